//===- RowAttentionKernel.cpp - attention, a warp per query -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A warp has one query of one head. Keys come in tiles of 32: lane i multiplies key i
// with the query, the warp agrees on the maximum (online softmax, arXiv:1805.02867), and
// then lane d adds up dimension d of the values, weighted. It is for lengths and types that no
// tensor core kernel takes; keys are read by their lanes, through the cache.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/AttentionKernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
class RowAttentionEmitter : AttentionKernel {
public:
  RowAttentionEmitter(GPUKernelContext &context, AttentionOp op)
      : AttentionKernel(context, op), width(context.config.getVector()),
        parts(llvm::divideCeilSigned(headDim, kWarp)) {
    while (headDim % width != 0)
      width /= 2;
  }

  void emit(OpBuilder &b);

private:
  void emitQuery(OpBuilder &b, Value row);
  SmallVector<Value> emitTile(OpBuilder &b, Value first, ValueRange carried);
  /// The score of the lane's key at `position`, which exists.
  Value scoreOf(OpBuilder &b, Value position);
  /// The weighted values of keys [from, to) of a tile, added to the sums of this lane's dimensions.
  SmallVector<Value> addValues(OpBuilder &b, Value first, Value from, Value to, Value weight,
                               ValueRange sums);
  void storePart(OpBuilder &b, int64_t part, Value result);

  int64_t width, parts;
  Value lane;      ///< i32
  Value s, head;   ///< of the warp's query (index)
  Value low, high; ///< keys that it sees (i32)
};
} // namespace

Value RowAttentionEmitter::scoreOf(OpBuilder &b, Value position) {
  GlobalMatrix queries(b, loc, query), keys(b, loc, key);
  Value queryAt = queryRow(b, s, head), keyAt = toIndex(b, keyRow(b, position));
  Type sumType = width > 1 ? Type(VectorType::get({width}, b.getF32Type())) : b.getF32Type();
  auto body = [&](OpBuilder &b, Location loc, Value d, ValueRange carried) {
    Value q = convertTo(b, loc, queries.load(b, queryAt, d, width), b.getF32Type()),
          k = convertTo(b, loc, keys.load(b, keyAt, d, width), b.getF32Type());
    scf::YieldOp::create(b, loc, addF(b, mulF(b, q, k), carried[0]));
  };
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(sumType));
  Value sum =
      scf::ForOp::create(b, loc, index(b, 0), index(b, headDim), index(b, width), none, body).getResult(0);
  if (width > 1)
    sum = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
  return finishScore(b, sum, s, head, toIndex(b, position));
}

SmallVector<Value> RowAttentionEmitter::addValues(OpBuilder &b, Value first, Value from, Value to,
                                                  Value weight, ValueRange sums) {
  GlobalMatrix values(b, loc, value);
  auto body = [&](OpBuilder &b, Location loc, Value i, ValueRange carried) {
    Value p = shuffleFrom(b, loc, weight, i);
    Value row = toIndex(b, keyRow(b, add(b, first, i)));
    SmallVector<Value> next;
    for (int64_t t = 0; t < parts; ++t) {
      Value d = add(b, lane, i32(b, t * kWarp));
      if ((t + 1) * kWarp > headDim)
        d = arith::MinUIOp::create(b, loc, d, i32(b, headDim - 1));
      Value v = convertTo(b, loc, values.load(b, row, toIndex(b, d), 1), b.getF32Type());
      next.push_back(addF(b, mulF(b, p, v), carried[t]));
    }
    scf::YieldOp::create(b, loc, next);
  };
  return SmallVector<Value>(scf::ForOp::create(b, loc, from, to, i32(b, 1), sums, body).getResults());
}

/// `carried` is the maximum, the sum of the weights, and this lane's dimensions of the result.
SmallVector<Value> RowAttentionEmitter::emitTile(OpBuilder &b, Value first, ValueRange carried) {
  Value own = add(b, first, lane);
  Value sees = arith::AndIOp::create(b, loc, below(b, own, high),
                                     arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, own, low));
  Value last = arith::SubIOp::create(b, loc, high, i32(b, 1));
  Value clamped = arith::MaxUIOp::create(b, loc, arith::MinUIOp::create(b, loc, own, last), low);
  Value score = arith::SelectOp::create(b, loc, sees, scoreOf(b, clamped), f32(b, kHidden));
  Value highest = maxF(b, carried[0], reduceLanes(b, loc, vector::CombiningKind::MAXNUMF, score, kWarp));
  Value correction = weigh(b, carried[0], highest), weight = weigh(b, score, highest);
  SmallVector<Value> results{highest, addF(b, mulF(b, carried[1], correction),
                                           reduceLanes(b, loc, vector::CombiningKind::ADD, weight, kWarp))};
  SmallVector<Value> sums;
  for (Value x : carried.drop_front(2))
    sums.push_back(mulF(b, x, correction));
  // Keys of the tile that exist, the same for all lanes.
  Value left = arith::SubIOp::create(b, loc, high, first);
  Value to = arith::MinUIOp::create(b, loc, left, i32(b, kWarp));
  Value from = arith::SubIOp::create(b, loc, arith::MaxUIOp::create(b, loc, low, first), first);
  results.append(addValues(b, first, from, to, weight, sums));
  return results;
}

void RowAttentionEmitter::storePart(OpBuilder &b, int64_t part, Value result) {
  result = convertTo(b, loc, result, getElementTypeOrSelf(op.getType()));
  Value d = add(b, lane, i32(b, part * kWarp));
  auto store = [&](OpBuilder &b) {
    memref::StoreOp::create(b, loc, result, context.out(), ValueRange{batch, s, head, toIndex(b, d)});
  };
  if ((part + 1) * kWarp <= headDim)
    return store(b);
  scf::IfOp::create(b, loc, below(b, d, i32(b, headDim)), [&](OpBuilder &b, Location loc) {
    store(b);
    scf::YieldOp::create(b, loc);
  });
}

void RowAttentionEmitter::emitQuery(OpBuilder &b, Value row) {
  Value batches = memref::DimOp::create(b, loc, context.out(), 0);
  Value count = memref::DimOp::create(b, loc, context.out(), 1);
  SmallVector<Value> at = delinearizeSmall(b, loc, row, {batches, count, b.getIndexAttr(heads)});
  s = at[1], head = at[2];
  beginSequence(b, at[0], arith::DivUIOp::create(b, loc, head, index(b, group)));
  std::tie(low, high) = rangeOf(b, s);
  Value begin = arith::SubIOp::create(b, loc, low, rem(b, low, kWarp));
  SmallVector<Value> start{f32(b, kNothing)};
  start.append(1 + parts, f32(b, 0.0));
  auto loop = scf::ForOp::create(b, loc, begin, high, i32(b, kWarp), start,
                                 [&](OpBuilder &b, Location loc, Value first, ValueRange carried) {
                                   scf::YieldOp::create(b, loc, emitTile(b, first, carried));
                                 });
  Value inverse = inverseOf(b, loop.getResult(1));
  for (int64_t part = 0; part < parts; ++part)
    storePart(b, part, mulF(b, loop.getResult(2 + part), inverse));
}

void RowAttentionEmitter::emit(OpBuilder &b) {
  int64_t warps = context.config.getThreads() / kWarp;
  setGrid(context.kernel, {{context.numberOf(context.spec.getArguments().back()), 0, warps, 3}});
  Value thread = toI32(b, threadIndex(b, loc, context.config.getThreads()));
  lane = rem(b, thread, kWarp);
  Value row = arith::MulIOp::create(b, loc, blockIndex(b, loc), index(b, warps));
  row = add(b, row, toIndex(b, div(b, thread, kWarp)));
  Value rows = index(b, heads);
  for (int64_t dim : {0, 1})
    rows = arith::MulIOp::create(b, loc, rows, memref::DimOp::create(b, loc, context.out(), dim));
  scf::IfOp::create(b, loc, below(b, row, rows), [&](OpBuilder &b, Location loc) {
    emitQuery(b, row);
    scf::YieldOp::create(b, loc);
  });
}

LogicalResult mlir::transformer::emitRowAttentionKernel(OpBuilder &b, GPUKernelContext &context) {
  RowAttentionEmitter(context, cast<AttentionOp>(outputOf(context.spec))).emit(b);
  return success();
}
