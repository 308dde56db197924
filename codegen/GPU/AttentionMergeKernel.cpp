//===- AttentionMergeKernel.cpp - one attention from those of splits ----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block has a query and a head, a thread a dimension of it (FlashDecoding). The lanes of every warp hold
// what each split weighs; a sum of a split without keys may be anything, so it is not multiplied but dropped.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/AttentionKernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
class AttentionMergeEmitter {
public:
  AttentionMergeEmitter(GPUKernelContext &context, AttentionMergeOp op)
      : context(context), op(op), loc(op.getLoc()), input(context.argument(op.getInput())) {
    auto type = cast<RankedTensorType>(op.getInput().getType());
    splits = type.getDimSize(1), heads = type.getDimSize(2), headDim = type.getDimSize(3) - 2;
  }

  void emit(OpBuilder &b);

private:
  /// What the lane's splits (lane, lane + 32, …) weigh, and 1 / the sum of all weights or 0.
  Value weighSplits(OpBuilder &b, Value lane);
  Value load(OpBuilder &b, Value split, Value column) {
    return memref::LoadOp::create(b, loc, input, ValueRange{batch, split, head, column});
  }
  /// The sum of a dimension over splits.
  Value sumOf(OpBuilder &b, Value column);
  Value f32(OpBuilder &b, double v) { return constantF32(b, loc, v); }
  Value index(OpBuilder &b, int64_t v) { return constantIndex(b, loc, v); }
  Value below(OpBuilder &b, Value x, Value bound) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x, bound);
  }
  Value isNotZero(OpBuilder &b, Value x) {
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, x, f32(b, 0.0));
  }

  GPUKernelContext &context;
  AttentionMergeOp op;
  Location loc;
  Value input, batch, head;
  int64_t splits, heads, headDim;
  SmallVector<Value> weights; ///< of the lane's splits
  Value end;                  ///< behind the last split that weighs anything (index)
};
} // namespace

Value AttentionMergeEmitter::weighSplits(OpBuilder &b, Value lane) {
  SmallVector<Value> maxima, totals;
  Value used = constantI32(b, loc, 0);
  for (int64_t from = 0; from < splits; from += kWarp) {
    Value split = addIndex(b, loc, lane, from), exists = below(b, split, index(b, splits));
    split = arith::MinUIOp::create(b, loc, split, index(b, splits - 1));
    Value total = load(b, split, index(b, headDim + 1));
    totals.push_back(arith::SelectOp::create(b, loc, exists, total, f32(b, 0.0)));
    Value number = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), addIndex(b, loc, split, 1));
    number = arith::SelectOp::create(b, loc, isNotZero(b, totals.back()), number, used);
    used = arith::MaxUIOp::create(b, loc, used, number);
    Value maximum = load(b, split, index(b, headDim));
    maxima.push_back(arith::SelectOp::create(b, loc, exists, maximum, f32(b, kNothing)));
  }
  used = reduceLanes(b, loc, vector::CombiningKind::MAXUI, used, kWarp);
  end = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), used);
  Value highest = maxima[0];
  for (Value maximum : ArrayRef(maxima).drop_front())
    highest = arith::MaxNumFOp::create(b, loc, highest, maximum);
  highest = reduceLanes(b, loc, vector::CombiningKind::MAXNUMF, highest, kWarp);
  Value sum = f32(b, 0.0);
  for (auto [maximum, total] : llvm::zip_equal(maxima, totals)) {
    Value distance = arith::SubFOp::create(b, loc, maximum, highest);
    Value weight = approximateExp2(b, loc, arith::MulFOp::create(b, loc, distance, f32(b, kLog2E)));
    weights.push_back(arith::SelectOp::create(b, loc, isNotZero(b, total), weight, f32(b, 0.0)));
    sum = arith::AddFOp::create(b, loc, sum, arith::MulFOp::create(b, loc, weights.back(), total));
  }
  sum = reduceLanes(b, loc, vector::CombiningKind::ADD, sum, kWarp);
  Value inverse = arith::DivFOp::create(b, loc, f32(b, 1.0), sum);
  return arith::SelectOp::create(b, loc, isNotZero(b, sum), inverse, f32(b, 0.0));
}

Value AttentionMergeEmitter::sumOf(OpBuilder &b, Value column) {
  Value sum = f32(b, 0.0);
  for (auto [number, weight] : llvm::enumerate(weights)) {
    int64_t from = static_cast<int64_t>(number) * kWarp;
    Value most = index(b, from + kWarp), to = arith::MinUIOp::create(b, loc, end, most);
    auto body = [&, weight = weight](OpBuilder &b, Location loc, Value i, ValueRange carried) {
      Value lane = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), addIndex(b, loc, i, -from));
      Value w = shuffleFrom(b, loc, weight, lane);
      Value product = arith::MulFOp::create(b, loc, w, load(b, i, column), arith::FastMathFlags::contract);
      Value next = arith::AddFOp::create(b, loc, product, carried[0], arith::FastMathFlags::contract);
      Value counts = isNotZero(b, w);
      scf::YieldOp::create(b, loc, arith::SelectOp::create(b, loc, counts, next, carried[0]).getResult());
    };
    sum = scf::ForOp::create(b, loc, index(b, from), to, index(b, 1), sum, body).getResult(0);
  }
  return sum;
}

void AttentionMergeEmitter::emit(OpBuilder &b) {
  int64_t out = context.numberOf(context.spec.getArguments().back());
  setGrid(context.kernel, {{out, 0, 1}, {out, 2, 1}});
  int64_t threads = context.config.getThreads();
  Value thread = threadIndex(b, loc, threads);
  SmallVector<OpFoldResult> sizes{memref::DimOp::create(b, loc, context.out(), 0).getResult(),
                                  b.getIndexAttr(heads)};
  SmallVector<Value> at = delinearizeSmall(b, loc, blockIndex(b, loc), sizes);
  batch = at[0], head = at[1];
  Value inverse = weighSplits(b, arith::RemUIOp::create(b, loc, thread, index(b, kWarp)));
  for (int64_t first = 0; first < headDim; first += threads) {
    // All lanes take part in shuffles.
    Value column = addIndex(b, loc, thread, first), exists = below(b, column, index(b, headDim));
    Value sum = sumOf(b, arith::MinUIOp::create(b, loc, column, index(b, headDim - 1)));
    scf::IfOp::create(b, loc, exists, [&](OpBuilder &b, Location loc) {
      Value result = convertTo(b, loc, arith::MulFOp::create(b, loc, sum, inverse),
                               getElementTypeOrSelf(op.getResult().getType()));
      memref::StoreOp::create(b, loc, result, context.out(), ValueRange{batch, index(b, 0), head, column});
      scf::YieldOp::create(b, loc);
    });
  }
}

LogicalResult mlir::transformer::emitAttentionMergeKernel(OpBuilder &b, GPUKernelContext &context) {
  AttentionMergeEmitter(context, cast<AttentionMergeOp>(outputOf(context.spec))).emit(b);
  return success();
}
