//===- WeightOps.cpp - weights and derived weights ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/KernelTypes.h"
#include "dialect/OpUtils.h"
#include "dialect/Transformer.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// weight
//===----------------------------------------------------------------------===//

LogicalResult WeightOp::verify() {
  // C1
  StringRef file = getFile();
  if (file.empty() || file.contains('/') || file.contains(".."))
    return emitOpError("expected a plain file name without '/' or '..', but got \"") << file << '"';
  return success();
}

//===----------------------------------------------------------------------===//
// derive
//===----------------------------------------------------------------------===//

/// C2: the parameter `name` must be there with type `AttrT`.
template <typename AttrT> static FailureOr<AttrT> parameter(DeriveOp op, StringRef name, StringRef type) {
  auto attr = op->getAttrOfType<AttrT>(name);
  if (!attr) {
    op.emitOpError() << stringifyDeriveKind(op.getKind()) << " needs the parameter '" << name << "' of type "
                     << type;
    return failure();
  }
  return attr;
}

static LogicalResult verifyRopeTable(DeriveOp op) {
  auto theta = parameter<FloatAttr>(op, "theta", "f64");
  auto part = parameter<StringAttr>(op, "part", "string");
  auto scaling = parameter<StringAttr>(op, "scaling", "string");
  if (failed(theta) || failed(part) || failed(scaling))
    return failure();
  if (part->getValue() != "cos" && part->getValue() != "sin")
    return op.emitOpError("expected part \"cos\" or \"sin\", but got ") << *part;
  SmallVector<StringRef> floats, ints;
  StringRef kind = scaling->getValue();
  if (kind == "linear") {
    floats = {"factor"};
  } else if (kind == "llama3") {
    floats = {"factor", "low_freq_factor", "high_freq_factor"};
    ints = {"original_max_positions"};
  } else if (kind == "longrope") {
    floats = {"attention_factor"};
    auto factors = parameter<DenseF64ArrayAttr>(op, "ext_factors", "array<f64: ...>");
    if (failed(factors))
      return failure();
    if (factors->size() != op.getTensorType().getDimSize(1))
      return op.emitOpError("expected one ext_factor per frequency, ")
             << op.getTensorType().getDimSize(1) << ", but got " << factors->size();
  } else if (kind == "yarn") {
    floats = {"factor", "beta_fast", "beta_slow", "attention_factor"};
    ints = {"original_max_positions"};
  } else if (kind != "none") {
    return op.emitOpError("expected scaling none, linear, llama3, longrope or yarn, but got ") << *scaling;
  }
  for (StringRef name : floats)
    if (failed(parameter<FloatAttr>(op, name, "f64")))
      return failure();
  for (StringRef name : ints)
    if (failed(parameter<IntegerAttr>(op, name, "i64")))
      return failure();
  return success();
}

/// How many sources a kind has: the least, and whether there may be more.
static std::pair<size_t, bool> sourceCount(DeriveKind kind) {
  switch (kind) {
  case DeriveKind::RopeTable:
  case DeriveKind::Sinusoid:
  case DeriveKind::Fill:
    return {0, false};
  case DeriveKind::Concat:
  case DeriveKind::Add:
    return {1, true};
  case DeriveKind::ScaleColumns:
  case DeriveKind::Matmul:
    return {2, false};
  default:
    return {1, false};
  }
}

static LogicalResult verifySourceCount(DeriveOp op) {
  auto [least, orMore] = sourceCount(op.getKind());
  size_t count = op.getSources().size();
  if (orMore ? count >= least : count == least)
    return success();
  static constexpr StringLiteral words[] = {"no", "one", "two"};
  return op.emitOpError() << stringifyDeriveKind(op.getKind()) << " expected " << words[least]
                          << (orMore       ? " or more sources"
                              : least == 2 ? " sources"
                                           : " source")
                          << ", but got " << count;
}

/// C2: the parameter `name` must be one of two words.
static LogicalResult verifyWord(DeriveOp op, StringRef name, StringRef first, StringRef second) {
  auto word = parameter<StringAttr>(op, name, "string");
  if (failed(word))
    return failure();
  if (word->getValue() != first && word->getValue() != second)
    return op.emitOpError("expected ")
           << name << " \"" << first << "\" or \"" << second << "\", but got " << *word;
  return success();
}

/// What a packed encoding needs to know of the elements.
static LogicalResult verifyPacked(DeriveOp op) {
  PackedAttr packed = PackedAttr::of(op.getTensorType());
  Type element = op.getTensorType().getElementType();
  if (element.isInteger(4) && packed.getDepth() % 2 != 0)
    return op.emitOpError("expected an even depth, as two values of i4 are a byte, but got ")
           << packed.getDepth();
  int64_t most = element.isInteger(4) ? 8 : element.isInteger(8) ? 128 : 0;
  if (packed.getBias() > most)
    return op.emitOpError("expected a bias of at most ")
           << most << " on elements of " << element << ", but got " << packed.getBias();
  return success();
}

LogicalResult DeriveOp::verify() {
  DeriveKind kind = getKind();
  // C1
  if (failed(verifySourceCount(*this)))
    return failure();
  bool isTable = kind == DeriveKind::RopeTable || kind == DeriveKind::Sinusoid;
  if (isTable && getTensorType().getRank() != 2)
    return emitOpError("expected a table of rank 2, but got ") << getType();
  // C2
  switch (kind) {
  case DeriveKind::Convert:
  case DeriveKind::Transpose:
  case DeriveKind::ScaleColumns:
  case DeriveKind::Add:
  case DeriveKind::Matmul:
    return success();
  case DeriveKind::Pack:
    if (!PackedAttr::of(getType()))
      return emitOpError("pack needs a result with the encoding #transformer.packed, but got ") << getType();
    return verifyPacked(*this);
  case DeriveKind::Concat:
    return LogicalResult(parameter<IntegerAttr>(*this, "axis", "i64"));
  case DeriveKind::AddScalar:
  case DeriveKind::Scale:
  case DeriveKind::Fill:
    return LogicalResult(parameter<FloatAttr>(*this, "value", "f64"));
  case DeriveKind::Slice:
    for (StringRef name : {"axis", "begin", "end"})
      if (failed(parameter<IntegerAttr>(*this, name, "i64")))
        return failure();
    return success();
  case DeriveKind::RopeTable:
    return verifyRopeTable(*this);
  case DeriveKind::Sinusoid:
    return verifyWord(*this, "layout", "split", "interleaved");
  case DeriveKind::Factorize:
    if (failed(parameter<IntegerAttr>(*this, "rank", "i64")))
      return failure();
    return verifyWord(*this, "part", "left", "right");
  }
  llvm_unreachable("unknown derive kind");
}

/// The tensor type of a weight symbol, or null.
static RankedTensorType weightType(Operation *symbol) {
  if (auto weight = dyn_cast_or_null<WeightOp>(symbol))
    return weight.getTensorType();
  if (auto derive = dyn_cast_or_null<DeriveOp>(symbol))
    return derive.getTensorType();
  return {};
}

/// C3: the axis a kind works along.
static FailureOr<int64_t> axisOf(DeriveOp op, RankedTensorType source) {
  int64_t axis = op->getAttrOfType<IntegerAttr>("axis").getInt();
  if (axis < 0 || axis >= source.getRank())
    return op.emitOpError("expected axis in [0, ") << source.getRank() << "), but got " << axis;
  return axis;
}

static FailureOr<SmallVector<int64_t>> concatShape(DeriveOp op, ArrayRef<RankedTensorType> types) {
  FailureOr<int64_t> axis = axisOf(op, types[0]);
  if (failed(axis))
    return failure();
  SmallVector<int64_t> expected(types[0].getShape());
  for (RankedTensorType type : types.drop_front()) {
    for (int64_t i = 0, e = type.getRank(); i < e; ++i)
      if (type.getRank() != types[0].getRank() || (i != *axis && type.getDimSize(i) != expected[i]))
        return op.emitOpError("expected sources that differ along axis ")
               << *axis << " only, but got " << types[0] << " and " << type;
    expected[*axis] += type.getDimSize(*axis);
  }
  return expected;
}

static FailureOr<SmallVector<int64_t>> sliceShape(DeriveOp op, RankedTensorType type) {
  FailureOr<int64_t> axis = axisOf(op, type);
  if (failed(axis))
    return failure();
  SmallVector<int64_t> expected(type.getShape());
  int64_t begin = op->getAttrOfType<IntegerAttr>("begin").getInt();
  int64_t end = op->getAttrOfType<IntegerAttr>("end").getInt();
  if (begin < 0 || end <= begin || end > expected[*axis])
    return op.emitOpError("expected 0 <= begin < end <= ")
           << expected[*axis] << ", but got [" << begin << ", " << end << ')';
  expected[*axis] = end - begin;
  return expected;
}

static FailureOr<SmallVector<int64_t>> factorShape(DeriveOp op, RankedTensorType type) {
  int64_t rank = op->getAttrOfType<IntegerAttr>("rank").getInt();
  int64_t largest = std::min(type.getDimSize(0), type.getDimSize(1));
  if (rank < 1 || rank > largest)
    return op.emitOpError("expected a rank in [1, ") << largest << "], but got " << rank;
  if (op->getAttrOfType<StringAttr>("part").getValue() == "left")
    return SmallVector<int64_t>{type.getDimSize(0), rank};
  return SmallVector<int64_t>{rank, type.getDimSize(1)};
}

/// The shape of the result, or an error.
static FailureOr<SmallVector<int64_t>> expectedShape(DeriveOp op, ArrayRef<RankedTensorType> types) {
  DeriveKind kind = op.getKind();
  SmallVector<int64_t> first(types[0].getShape());
  // C1
  bool isMatrixKind = kind == DeriveKind::Transpose || kind == DeriveKind::Pack ||
                      kind == DeriveKind::ScaleColumns || kind == DeriveKind::Matmul ||
                      kind == DeriveKind::Factorize;
  if (isMatrixKind && first.size() != 2)
    return op.emitOpError() << stringifyDeriveKind(kind) << " expected a source of rank 2, but got "
                            << types[0];
  // C3
  switch (kind) {
  case DeriveKind::Transpose:
    return SmallVector<int64_t>{first[1], first[0]};
  case DeriveKind::Concat:
    return concatShape(op, types);
  case DeriveKind::Slice:
    return sliceShape(op, types[0]);
  case DeriveKind::Factorize:
    return factorShape(op, types[0]);
  case DeriveKind::Add:
    for (RankedTensorType type : types.drop_front())
      if (type.getShape() != types[0].getShape())
        return op.emitOpError("expected sources of one shape, but got ") << types[0] << " and " << type;
    return first;
  case DeriveKind::ScaleColumns:
    if (types[1].getRank() != 1 || types[1].getDimSize(0) != first[1])
      return op.emitOpError("expected one factor per column, ") << first[1] << ", but got " << types[1];
    return first;
  case DeriveKind::Matmul: {
    int64_t rank = types[1].getRank();
    if (rank < 1 || rank > 2 || types[1].getDimSize(0) != first[1])
      return op.emitOpError("expected a second source of ")
             << first[1] << " rows and rank 1 or 2, but got " << types[1];
    SmallVector<int64_t> shape{first[0]};
    if (rank == 2)
      shape.push_back(types[1].getDimSize(1));
    return shape;
  }
  default:
    return first;
  }
}

LogicalResult DeriveOp::verifySymbolUses(SymbolTableCollection &tables) {
  // C4
  SmallVector<RankedTensorType> types;
  for (auto source : getSources().getAsRange<FlatSymbolRefAttr>()) {
    RankedTensorType type = weightType(tables.lookupNearestSymbolFrom(*this, source));
    if (!type)
      return emitOpError("expected a weight or derived weight, but ") << source << " is none of this module";
    if (PackedAttr::of(type))
      return emitOpError("expected a source in its logical order, but ") << source << " is packed";
    types.push_back(type);
  }
  if (types.empty())
    return success();
  FailureOr<SmallVector<int64_t>> expected = expectedShape(*this, types);
  if (failed(expected))
    return failure();
  if (ArrayRef(*expected) != getTensorType().getShape())
    return emitOpError("expected a result of shape [") << *expected << "], but got " << getType();
  return success();
}

//===----------------------------------------------------------------------===//
// use
//===----------------------------------------------------------------------===//

LogicalResult UseOp::verifySymbolUses(SymbolTableCollection &tables) {
  // C1
  RankedTensorType type = weightType(tables.lookupNearestSymbolFrom(*this, getWeightAttr()));
  if (!type)
    return emitOpError("expected a weight or derived weight, but ")
           << getWeightAttr() << " is none of this module";
  auto shaped = cast<ShapedType>(getResult().getType());
  bool isTensor = isa<RankedTensorType>(shaped);
  if (isTensor ? shaped != type : shaped != memrefOf(type))
    return emitOpError("expected the type of ") << getWeightAttr() << ", " << type << ", but got " << shaped;
  return success();
}
