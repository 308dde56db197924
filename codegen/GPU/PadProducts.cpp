//===- PadProducts.cpp - rows of products in whole chunks -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// x [.., 50] * w [N, 50]  ->  pad(x) [.., 56] * w.padded_56 [N, 56], in 16 bits
//
// Runs before dispatches are formed, which makes the padding of x one of them. Tensor cores are fed 16 bytes
// at a time, so each row must begin at a multiple of them. Zeros behind a row add nothing to a sum. Those of
// weights are written at compile time, into a derived weight.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/GPU/ContractionKernel.h"
#include "codegen/GPU/MmaFragments.h"
#include "codegen/Passes.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-pad-products"

namespace mlir::transformer {
#define GEN_PASS_DEF_PADPRODUCTSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

struct PadProducts : transformer::impl::PadProductsPassBase<PadProducts> {
  using Base::Base;

  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (func::FuncOp entry : getOperation().getOps<func::FuncOp>()) {
      if (!isEntry(entry))
        continue;
      DenseMap<Value, Value> padded;
      for (auto op : entry.getBody().front().getOps<linalg::GenericOp>())
        if (std::optional<Projection> projection = Projection::match(op))
          pad(*projection, padded, symbols);
    }
  }

  /// `padded` are the operands of the function that have been padded before.
  void pad(const Projection &projection, DenseMap<Value, Value> &padded, SymbolTable &symbols) {
    if (!suitsTensorCores(projection, tf32))
      return;
    int64_t depth = projection.depth();
    int64_t whole = llvm::alignTo(depth, elementsOfChunk(projection.weightType().getElementType()));
    if (whole == depth)
      return;
    OpBuilder b(projection.op);
    for (OpOperand *operand : {projection.input, projection.weight}) {
      Value &result = padded[operand->get()];
      if (!result) {
        auto use = operand->get().getDefiningOp<UseOp>();
        result = use ? padWeight(b, use, whole, symbols) : padRows(b, operand->get(), whole);
      }
      operand->set(result);
    }
    passed(projection.op, DEBUG_TYPE,
           "padded rows of " + Twine(depth) + " elements to " + Twine(whole) + " for tensor cores");
  }

  static RankedTensorType withColumns(RankedTensorType type, int64_t columns) {
    SmallVector<int64_t> shape(type.getShape());
    shape.back() = columns;
    return RankedTensorType::get(shape, type.getElementType());
  }

  /// A weight of zeros, and one that has them behind each row of the weight.
  static Value padWeight(OpBuilder &b, UseOp use, int64_t columns, SymbolTable &symbols) {
    auto type = cast<RankedTensorType>(use.getResult().getType());
    RankedTensorType whole = withColumns(type, columns);
    std::string name = (use.getWeight() + ".padded_" + Twine(columns)).str();
    Operation *source = symbols.lookup(use.getWeight());
    if (!symbols.lookup(name)) {
      OpBuilder top(b.getContext());
      top.setInsertionPointAfter(source);
      auto derive = [&](StringRef name, DeriveKind kind, ArrayRef<Attribute> sources, RankedTensorType type,
                        StringRef parameter, Attribute value) {
        auto op = DeriveOp::create(top, source->getLoc(), name, kind, top.getArrayAttr(sources), type);
        op->setAttr(parameter, value);
        symbols.insert(op, top.getInsertionPoint());
        return FlatSymbolRefAttr::get(op.getSymNameAttr());
      };
      RankedTensorType rest = withColumns(type, columns - type.getDimSize(1));
      auto zeros = derive(name + ".zeros", DeriveKind::Fill, {}, rest, "value", top.getF64FloatAttr(0.0));
      derive(name, DeriveKind::Concat, {use.getWeightAttr(), zeros}, whole, "axis", top.getI64IntegerAttr(1));
    }
    return UseOp::create(b, use.getLoc(), whole, FlatSymbolRefAttr::get(b.getContext(), name));
  }

  /// A name for profiles.
  static Location paddedName(Location loc) {
    auto name = loc->findInstanceOf<NameLoc>();
    return name ? NameLoc::get(StringAttr::get(loc.getContext(), name.getName().strref() + ".padded")) : loc;
  }

  /// Not the dimensions of a result that a dispatch may take in: who reads them would read it.
  static SmallVector<OpFoldResult> sizesOf(OpBuilder &b, Value x) {
    if (auto generic = x.getDefiningOp<linalg::GenericOp>())
      if (auto empty = generic.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>())
        return empty.getMixedSizes();
    return tensor::getMixedSizes(b, x.getLoc(), x);
  }

  /// A copy with zeros behind each row.
  static Value padRows(OpBuilder &b, Value x, int64_t columns) {
    Location loc = paddedName(x.getLoc());
    auto type = cast<RankedTensorType>(x.getType());
    SmallVector<OpFoldResult> sizes = sizesOf(b, x);
    sizes.back() = b.getIndexAttr(columns);
    Value shape = tensor::EmptyOp::create(b, loc, sizes, type.getElementType());
    int64_t depth = type.getShape().back();
    return buildMap(b, loc, shape, {}, [&](OpBuilder &b, Location loc, ValueRange) -> Value {
      SmallVector<Value> at;
      for (int64_t i = 0; i < type.getRank(); ++i)
        at.push_back(linalg::IndexOp::create(b, loc, i));
      Value exists =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, at.back(), constantIndex(b, loc, depth));
      at.back() = arith::MinUIOp::create(b, loc, at.back(), constantIndex(b, loc, depth - 1));
      Value element = tensor::ExtractOp::create(b, loc, x, at);
      Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type.getElementType()));
      return arith::SelectOp::create(b, loc, exists, element, zero);
    });
  }
};

} // namespace
