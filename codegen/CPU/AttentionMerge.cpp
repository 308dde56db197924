//===- AttentionMerge.cpp - one attention from those to ranges of keys -----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Of the splits i of a row, with maximum m_i, sum of weights l_i and sums o_i:
//
//   M = max m_i,  w_i = exp(m_i - M),  out = sum w_i o_i / sum w_i l_i
//
// A split without keys (l_i = 0) is not read further, and a row without keys is zero.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Exp2.h"
#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Vectors of a row that are summed at a time: few enough for any register file.
constexpr int64_t kVectorsTogether = 8;

/// Writes the merge of one row, [1, H] of the batch.
class MergeEmitter {
public:
  MergeEmitter(KernelContext &context, AttentionMergeOp op, int64_t lanes)
      : context(context), op(op), loc(op.getLoc()), lanes(lanes) {
    auto type = cast<RankedTensorType>(op.getInput().getType());
    splits = type.getDimSize(1), headDim = type.getDimSize(3) - 2;
  }

  void emit(OpBuilder &b);

private:
  Value constant(OpBuilder &b, int64_t v) { return arith::ConstantIndexOp::create(b, loc, v); }
  Value loadScalar(OpBuilder &b, Value split, int64_t column) {
    return memref::LoadOp::create(b, loc, input, ValueRange{batch, split, head, constant(b, column)});
  }
  Value isNotZero(OpBuilder &b, Value x) {
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, x, constantF32(b, loc, 0.0));
  }
  /// for (split) carried = body(split, carried)
  SmallVector<Value> overSplits(OpBuilder &b, ValueRange init,
                                function_ref<SmallVector<Value>(OpBuilder &, Value, ValueRange)> body) {
    auto loop = scf::ForOp::create(b, loc, constant(b, 0), constant(b, splits), constant(b, 1), init,
                                   [&](OpBuilder &b, Location loc, Value split, ValueRange carried) {
                                     scf::YieldOp::create(b, loc, body(b, split, carried));
                                   });
    return SmallVector<Value>(loop.getResults());
  }
  Value weighSplits(OpBuilder &b);
  void addColumns(OpBuilder &b, int64_t first, int64_t vectors, Value inverse);

  KernelContext &context;
  AttentionMergeOp op;
  Location loc;
  int64_t lanes, splits, headDim;
  Value input;         ///< [B, splits, H, D + 2]
  Value weights, sums; ///< scratch [splits, padded to vectors]
  Value batch, head;   ///< of the current task
};

} // namespace

/// weights[i] = w_i; 1 / sum w_i l_i, or zero for a row without keys.
Value MergeEmitter::weighSplits(OpBuilder &b) {
  auto type = VectorType::get({lanes}, b.getF32Type());
  auto splat = [&](double value) -> Value {
    return vector::BroadcastOp::create(b, loc, type, constantF32(b, loc, value));
  };
  // The maxima and sums beside each other, so that the rest is a few vectors.
  int64_t padded = llvm::alignTo(splits, lanes);
  for (int64_t i = 0; i < padded; i += lanes) {
    vector::StoreOp::create(b, loc, splat(AttentionOp::kNoMaximum), weights, constant(b, i));
    vector::StoreOp::create(b, loc, splat(0.0), sums, constant(b, i));
  }
  Value nothing = constantF32(b, loc, AttentionOp::kNoMaximum);
  Value most = overSplits(b, nothing, [&](OpBuilder &b, Value i, ValueRange carried) -> SmallVector<Value> {
    Value largest = loadScalar(b, i, headDim);
    memref::StoreOp::create(b, loc, largest, weights, i);
    memref::StoreOp::create(b, loc, loadScalar(b, i, headDim + 1), sums, i);
    auto flags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
    return {arith::MaximumFOp::create(b, loc, carried[0], largest, flags)};
  })[0];
  Value all = vector::BroadcastOp::create(b, loc, type, most), total = splat(0.0);
  for (int64_t i = 0; i < padded; i += lanes) {
    Value at = constant(b, i), sum = vector::LoadOp::create(b, loc, type, sums, at);
    constexpr double log2e = 1.4426950408889634;
    Value distance = arith::SubFOp::create(b, loc, vector::LoadOp::create(b, loc, type, weights, at), all);
    Value weight = emitExp2(b, loc, arith::MulFOp::create(b, loc, distance, splat(log2e)), kExp2);
    Value any = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, sum, splat(0.0));
    weight = arith::SelectOp::create(b, loc, any, weight, splat(0.0));
    vector::StoreOp::create(b, loc, weight, weights, at);
    total = vector::FMAOp::create(b, loc, weight, sum, total);
  }
  Value sum = horizontal(b, loc, vector::CombiningKind::ADD, total, Value());
  Value inverse = arith::DivFOp::create(b, loc, constantF32(b, loc, 1.0), sum);
  return arith::SelectOp::create(b, loc, isNotZero(b, sum), inverse, constantF32(b, loc, 0.0));
}

/// The result's columns from `first` on.
void MergeEmitter::addColumns(OpBuilder &b, int64_t first, int64_t vectors, Value inverse) {
  auto type = VectorType::get({lanes}, b.getF32Type());
  auto maskOf = [&](OpBuilder &b, int64_t column) -> Value {
    if (headDim - column >= lanes)
      return {};
    auto bits = VectorType::get({lanes}, b.getI1Type());
    return vector::CreateMaskOp::create(b, loc, bits, constant(b, headDim - column));
  };
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  auto body = [&](OpBuilder &b, Value i, ValueRange carried) -> SmallVector<Value> {
    Value weight = memref::LoadOp::create(b, loc, weights, i);
    auto add = [&](OpBuilder &b, Location loc) {
      Value all = vector::BroadcastOp::create(b, loc, type, weight);
      SmallVector<Value> sums;
      for (int64_t v = 0; v < vectors; ++v) {
        int64_t column = first + v * lanes;
        SmallVector<Value> at{batch, i, head, constant(b, column)};
        Value mask = maskOf(b, column);
        Value part = mask ? Value(vector::MaskedLoadOp::create(b, loc, type, input, at, mask, none))
                          : Value(vector::LoadOp::create(b, loc, type, input, at));
        sums.push_back(vector::FMAOp::create(b, loc, all, part, carried[v]));
      }
      scf::YieldOp::create(b, loc, sums);
    };
    auto skip = [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, carried); };
    return SmallVector<Value>(scf::IfOp::create(b, loc, isNotZero(b, weight), add, skip).getResults());
  };
  SmallVector<Value> sums = overSplits(b, SmallVector<Value>(vectors, none), body);
  Type element = cast<RankedTensorType>(op.getResult().getType()).getElementType();
  Value scale = vector::BroadcastOp::create(b, loc, type, inverse);
  for (auto [v, sum] : llvm::enumerate(sums)) {
    Value x = arith::MulFOp::create(b, loc, sum, scale);
    if (!element.isF32())
      x = arith::TruncFOp::create(b, loc, type.clone(element), x);
    int64_t column = first + static_cast<int64_t>(v) * lanes;
    storeElements(b, loc, x, context.out(), {batch, constant(b, 0), head, constant(b, column)},
                  maskOf(b, column));
  }
}

void MergeEmitter::emit(OpBuilder &b) {
  int64_t out = context.numberOf(context.spec.getArguments().back());
  setGrid(context.kernel, {{out, 0, 1}, {out, 2, 1}});
  input = context.argument(op.getInput());
  auto type = MemRefType::get({static_cast<int64_t>(llvm::alignTo(splits, lanes))}, b.getF32Type());
  weights = memref::AllocaOp::create(b, loc, type);
  sums = memref::AllocaOp::create(b, loc, type);
  SmallVector<OpFoldResult> sizes{memref::DimOp::create(b, loc, context.out(), 0).getResult(),
                                  memref::DimOp::create(b, loc, context.out(), 2).getResult()};
  forEachTask(b, context, [&](OpBuilder &b, Value task) {
    SmallVector<Value> at = delinearize(b, loc, task, sizes);
    batch = at[0], head = at[1];
    Value inverse = weighSplits(b);
    int64_t vectors = llvm::divideCeilSigned(headDim, lanes);
    for (int64_t v = 0; v < vectors; v += kVectorsTogether)
      addColumns(b, v * lanes, std::min(kVectorsTogether, vectors - v), inverse);
  });
}

LogicalResult mlir::transformer::emitAttentionMerge(OpBuilder &b, KernelContext &context,
                                                    LoweringConfigAttr config) {
  auto op = cast<AttentionMergeOp>(outputOf(context.spec));
  MergeEmitter(context, op, config.getVector()).emit(b);
  return success();
}
