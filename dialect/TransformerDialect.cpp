//===- TransformerDialect.cpp - types, attributes, registration -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/Transformer.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Assembly directives
//===----------------------------------------------------------------------===//

/// Parses and prints `(@a, @b)`.
static ParseResult parseSymbolList(OpAsmParser &parser, ArrayAttr &symbols) {
  SmallVector<Attribute> list;
  auto parseOne = [&] {
    FlatSymbolRefAttr symbol;
    if (parser.parseAttribute(symbol))
      return failure();
    list.push_back(symbol);
    return success();
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseOne))
    return failure();
  symbols = parser.getBuilder().getArrayAttr(list);
  return success();
}

static void printSymbolList(OpAsmPrinter &printer, Operation *, ArrayAttr symbols) {
  printer << '(';
  llvm::interleaveComma(symbols, printer);
  printer << ')';
}

/// Parses and prints the kind of a derived weight as a word.
static ParseResult parseDeriveKind(OpAsmParser &parser, DeriveKindAttr &attr) {
  StringRef word;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&word))
    return failure();
  std::optional<DeriveKind> kind = symbolizeDeriveKind(word);
  if (!kind)
    return parser.emitError(loc, "expected a kind of derived weight, but got '") << word << "'";
  attr = DeriveKindAttr::get(parser.getContext(), *kind);
  return success();
}

static void printDeriveKind(OpAsmPrinter &printer, Operation *, DeriveKindAttr attr) {
  printer << stringifyDeriveKind(attr.getValue());
}

/// Parses and prints an f64 without its type.
static ParseResult parseF64(OpAsmParser &parser, FloatAttr &attr) {
  double value;
  if (parser.parseFloat(value))
    return failure();
  attr = parser.getBuilder().getF64FloatAttr(value);
  return success();
}

static void printF64(OpAsmPrinter &printer, Operation *, FloatAttr attr) {
  printer.printFloat(attr.getValue());
}

static ParseResult parseOptionalF64(OpAsmParser &parser, FloatAttr &attr) { return parseF64(parser, attr); }

static void printOptionalF64(OpAsmPrinter &printer, Operation *op, FloatAttr attr) {
  printF64(printer, op, attr);
}

/// The call structure is always an LLVM pointer; its type is not written.
static ParseResult parseCallType(OpAsmParser &parser, Type &type) {
  type = LLVM::LLVMPointerType::get(parser.getContext());
  return success();
}

static void printCallType(OpAsmPrinter &, Operation *, Type) {}

#include "dialect/TransformerDialect.cpp.inc"

#include "dialect/TransformerEnums.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/TransformerAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/TransformerTypes.cpp.inc"

#define GET_OP_CLASSES
#include "dialect/TransformerOps.cpp.inc"

void TransformerDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialect/TransformerAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/TransformerTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialect/TransformerOps.cpp.inc"
      >();
}

LogicalResult MaskAttr::verify(function_ref<InFlightDiagnostic()> emitError, MaskKind kind, int64_t window) {
  // C1
  if (kind == MaskKind::Window && window < 1)
    return emitError() << "expected a window of at least 1, but got " << window;
  if (kind != MaskKind::Window && window != 0)
    return emitError() << "expected no window on a " << stringifyMaskKind(kind) << " mask, but got "
                       << window;
  return success();
}

//===----------------------------------------------------------------------===//
// packed
//===----------------------------------------------------------------------===//

LogicalResult PackedAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t columns, int64_t depth,
                                 int64_t bias) {
  // C1
  if (columns < 1 || depth < 1)
    return emitError() << "expected columns and depth of at least 1, but got " << columns << " and " << depth;
  // C2
  if (bias < 0 || bias > 128)
    return emitError() << "expected a bias of 0 to 128, but got " << bias;
  return success();
}

SmallVector<int64_t> PackedAttr::getStoredShape(RankedTensorType type) const {
  int64_t step = getColumns() * getDepth();
  return {llvm::divideCeilSigned(type.getDimSize(0), getColumns()),
          llvm::divideCeilSigned(type.getDimSize(1), getDepth()),
          type.getElementType().isInteger(4) ? step / 2 : step};
}

PackedAttr PackedAttr::of(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor ? dyn_cast_or_null<PackedAttr>(tensor.getEncoding()) : PackedAttr();
}

LogicalResult KVCacheType::verify(function_ref<InFlightDiagnostic()> emitError, int64_t heads,
                                  int64_t headDim, Type element, CachePolicy policy, int64_t window) {
  // C1
  if (heads < 1 || headDim < 1)
    return emitError() << "expected positive heads and head_dim, but got " << heads << " x " << headDim;
  // C2
  if (!element.isF32() && !element.isF16() && !element.isBF16())
    return emitError() << "expected cache elements of f32, f16 or bf16, but got " << element;
  // C3
  if (policy == CachePolicy::Ring && window < 1)
    return emitError() << "expected a ring of at least 1 position, but got " << window;
  if (policy == CachePolicy::Full && window != 0)
    return emitError() << "expected no window on a full cache, but got " << window;
  return success();
}
