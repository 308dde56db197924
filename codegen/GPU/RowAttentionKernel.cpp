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
#include "codegen/Common/GenericBuilder.h"
#include "codegen/GPU/ContractionKernel.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
/// Maximum of a query that has seen nothing, and score of what is hidden: finite, so that no
/// difference is NaN.
constexpr double kNothing = -1.0e30, kHidden = -1.0e35, kLog2E = 1.4426950408889634;

class RowAttentionEmitter {
public:
  RowAttentionEmitter(GPUKernelContext &context, AttentionOp op)
      : context(context), op(op), loc(op.getLoc()), query(context.argument(op.getQuery())) {
    auto type = cast<RankedTensorType>(op.getQuery().getType());
    heads = type.getDimSize(2), headDim = type.getDimSize(3);
    if (op.getCache()) {
      const SmallVector<Value> &parts = context.arguments[op.getCache()];
      key = parts[0], value = parts[1], length = parts[2], appended = parts[3];
      kvHeads = op.getCache().getType().getHeads();
    } else {
      key = context.argument(op.getKey()), value = context.argument(op.getValue());
      kvHeads = cast<RankedTensorType>(op.getKey().getType()).getDimSize(2);
    }
    width = context.config.getVector();
    while (headDim % width != 0)
      width /= 2;
    parts = llvm::divideCeilSigned(headDim, kWarp);
  }

  void emit(OpBuilder &b);

private:
  void emitQuery(OpBuilder &b, Value row);
  /// Keys that the query sees: [low, high).
  std::pair<Value, Value> rangeOf(OpBuilder &b);
  SmallVector<Value> emitTile(OpBuilder &b, Value first, Value low, Value high, ValueRange carried);
  Value scoreOf(OpBuilder &b, Value position);
  SmallVector<Value> placeOf(OpBuilder &b, Value position, Value column);
  Value exp2(OpBuilder &b, Value x);
  Value f32(OpBuilder &b, double v) { return constantF32(b, loc, v); }

  GPUKernelContext &context;
  AttentionOp op;
  Location loc;
  Value query, key, value, length, appended;
  int64_t heads, kvHeads, headDim, width, parts;
  Value lane, batch, s, head, kvHead, positions, held;
};
} // namespace

Value RowAttentionEmitter::exp2(OpBuilder &b, Value x) {
  auto name = b.getStringAttr("llvm.nvvm.ex2.approx.ftz.f");
  return LLVM::CallIntrinsicOp::create(b, loc, b.getF32Type(), name, ValueRange{x}).getResult(0);
}

std::pair<Value, Value> RowAttentionEmitter::rangeOf(OpBuilder &b) {
  Value low = constantIndex(b, loc, 0), high = held;
  if (op.getMask().getKind() == MaskKind::None)
    return {low, high};
  // The query of position s of the call stands at held - S + s and sees itself.
  Value end =
      arith::AddIOp::create(b, loc, arith::SubIOp::create(b, loc, held, positions), addIndex(b, loc, s, 1));
  high = arith::MaxSIOp::create(b, loc, end, low);
  if (op.getMask().getKind() == MaskKind::Window)
    low = arith::MaxSIOp::create(b, loc, addIndex(b, loc, high, -op.getMask().getWindow()), low);
  return {low, high};
}

SmallVector<Value> RowAttentionEmitter::placeOf(OpBuilder &b, Value position, Value column) {
  if (!op.getCache())
    return {batch, position, kvHead, column};
  Value slot = position;
  if (op.getCache().getType().getPolicy() == CachePolicy::Ring)
    slot = arith::RemUIOp::create(b, loc, position, memref::DimOp::create(b, loc, key, 2));
  return {batch, kvHead, slot, column};
}

Value RowAttentionEmitter::scoreOf(OpBuilder &b, Value position) {
  Type f32Type = b.getF32Type();
  auto load = [&](OpBuilder &b, Value memref, ArrayRef<Value> at) -> Value {
    Type element = cast<MemRefType>(memref.getType()).getElementType();
    Value x = width > 1 ? Value(vector::LoadOp::create(b, loc, VectorType::get({width}, element), memref, at))
                        : Value(memref::LoadOp::create(b, loc, memref, at));
    return convertTo(b, loc, x, f32Type);
  };
  Type sumType = width > 1 ? Type(VectorType::get({width}, f32Type)) : f32Type;
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(sumType));
  auto body = [&](OpBuilder &b, Location loc, Value d, ValueRange carried) {
    Value product =
        arith::MulFOp::create(b, loc, load(b, query, {batch, s, head, d}),
                              load(b, key, placeOf(b, position, d)), arith::FastMathFlags::contract);
    Value sum = arith::AddFOp::create(b, loc, product, carried[0], arith::FastMathFlags::contract);
    scf::YieldOp::create(b, loc, sum);
  };
  Value sum = scf::ForOp::create(b, loc, constantIndex(b, loc, 0), constantIndex(b, loc, headDim),
                                 constantIndex(b, loc, width), none, body)
                  .getResult(0);
  if (width > 1)
    sum = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, sum, arith::FastMathFlags::reassoc);
  Value score = arith::MulFOp::create(b, loc, sum, f32(b, op.getScale().convertToDouble()));
  if (op.getSoftcap()) {
    Value cap = f32(b, op.getSoftcap()->convertToDouble());
    score = arith::MulFOp::create(b, loc, cap,
                                  math::TanhOp::create(b, loc, arith::DivFOp::create(b, loc, score, cap)));
  }
  if (op.getBias()) {
    auto type = cast<RankedTensorType>(op.getBias().getType());
    Value zero = constantIndex(b, loc, 0);
    SmallVector<Value> at{type.getDimSize(0) == 1 ? zero : batch, type.getDimSize(1) == 1 ? zero : head, s,
                          position};
    Value bias = memref::LoadOp::create(b, loc, context.argument(op.getBias()), at);
    // A bias of -inf hides a key; what is below everything stays finite.
    bias = arith::MaximumFOp::create(b, loc, convertTo(b, loc, bias, f32Type), f32(b, kHidden));
    score = arith::AddFOp::create(b, loc, score, bias);
  }
  return score;
}

/// `carried` is the maximum, the sum of the weights, and this lane's dimensions of the result.
SmallVector<Value> RowAttentionEmitter::emitTile(OpBuilder &b, Value first, Value low, Value high,
                                                 ValueRange carried) {
  Value maximum = carried[0], sum = carried[1];
  Value own = arith::AddIOp::create(b, loc, first, lane);
  auto compare = [&](arith::CmpIPredicate predicate, Value a, Value c) -> Value {
    return arith::CmpIOp::create(b, loc, predicate, a, c);
  };
  Value sees = arith::AndIOp::create(b, loc, compare(arith::CmpIPredicate::ult, own, high),
                                     compare(arith::CmpIPredicate::uge, own, low));
  Value last = arith::SubIOp::create(b, loc, high, constantIndex(b, loc, 1));
  Value clamped = arith::MaxUIOp::create(b, loc, arith::MinUIOp::create(b, loc, own, last), low);
  Value score = arith::SelectOp::create(b, loc, sees, scoreOf(b, clamped), f32(b, kHidden));
  Value highest = reduceLanes(b, loc, vector::CombiningKind::MAXNUMF, score, kWarp);
  Value next = arith::MaxNumFOp::create(b, loc, maximum, highest);
  auto weigh = [&](Value x) {
    Value difference = arith::SubFOp::create(b, loc, x, next);
    return exp2(b, arith::MulFOp::create(b, loc, difference, f32(b, kLog2E)));
  };
  Value correction = weigh(maximum), weight = weigh(score);
  sum = arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, sum, correction),
                              reduceLanes(b, loc, vector::CombiningKind::ADD, weight, kWarp));
  SmallVector<Value> results{next, sum};
  SmallVector<Value> start;
  for (Value x : carried.drop_front(2))
    start.push_back(arith::MulFOp::create(b, loc, x, correction));
  // Keys of the tile that exist, the same for all lanes.
  Value left = arith::SubIOp::create(b, loc, high, first);
  Value count = arith::MinUIOp::create(b, loc, left, constantIndex(b, loc, kWarp));
  Value skipped = arith::SubIOp::create(b, loc, arith::MaxUIOp::create(b, loc, low, first), first);
  auto body = [&](OpBuilder &b, Location loc, Value i, ValueRange sums) {
    Value from = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), i);
    Value p = shuffleFrom(b, loc, weight, from);
    Value position = arith::AddIOp::create(b, loc, first, i);
    SmallVector<Value> next;
    for (int64_t t = 0; t < parts; ++t) {
      Value d = addIndex(b, loc, lane, t * kWarp);
      if ((t + 1) * kWarp > headDim)
        d = arith::MinUIOp::create(b, loc, d, constantIndex(b, loc, headDim - 1));
      Value v = memref::LoadOp::create(b, loc, value, placeOf(b, position, d));
      Value product = arith::MulFOp::create(b, loc, p, convertTo(b, loc, v, b.getF32Type()),
                                            arith::FastMathFlags::contract);
      next.push_back(arith::AddFOp::create(b, loc, product, sums[t], arith::FastMathFlags::contract));
    }
    scf::YieldOp::create(b, loc, next);
  };
  auto loop = scf::ForOp::create(b, loc, skipped, count, constantIndex(b, loc, 1), start, body);
  results.append(loop.getResults().begin(), loop.getResults().end());
  return results;
}

void RowAttentionEmitter::emitQuery(OpBuilder &b, Value row) {
  Value batches = memref::DimOp::create(b, loc, context.out(), 0);
  SmallVector<Value> at = delinearizeSmall(b, loc, row, {batches, positions, b.getIndexAttr(heads)});
  batch = at[0], s = at[1], head = at[2];
  kvHead = arith::DivUIOp::create(b, loc, head, constantIndex(b, loc, heads / kvHeads));
  if (length) {
    Value before = memref::LoadOp::create(b, loc, length, ValueRange{batch});
    held =
        arith::AddIOp::create(b, loc, arith::IndexCastOp::create(b, loc, b.getIndexType(), before), appended);
  } else {
    held = indexValue(b, loc, Evaluator(context, 1).dimSize(b, op.getKey(), 1));
  }
  auto [low, high] = rangeOf(b);
  Value tile = constantIndex(b, loc, kWarp);
  Value begin = arith::SubIOp::create(b, loc, low, arith::RemUIOp::create(b, loc, low, tile));
  SmallVector<Value> start{f32(b, kNothing)};
  start.append(1 + parts, f32(b, 0.0));
  auto body = [&, low = low, high = high](OpBuilder &b, Location loc, Value first, ValueRange carried) {
    scf::YieldOp::create(b, loc, emitTile(b, first, low, high, carried));
  };
  auto loop = scf::ForOp::create(b, loc, begin, high, tile, start, body);
  // Weights of keys that only a bias hides are 1 where nothing else was seen.
  Value seen = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, loop.getResult(0), f32(b, kNothing));
  for (int64_t t = 0; t < parts; ++t) {
    Value quotient = arith::DivFOp::create(b, loc, loop.getResult(2 + t), loop.getResult(1));
    Value result = arith::SelectOp::create(b, loc, seen, quotient, f32(b, 0.0));
    result = convertTo(b, loc, result, getElementTypeOrSelf(op.getType()));
    Value d = addIndex(b, loc, lane, t * kWarp);
    auto store = [&](OpBuilder &b) {
      memref::StoreOp::create(b, loc, result, context.out(), ValueRange{batch, s, head, d});
    };
    if ((t + 1) * kWarp <= headDim) {
      store(b);
      continue;
    }
    Value exists =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, d, constantIndex(b, loc, headDim));
    scf::IfOp::create(b, loc, exists, [&](OpBuilder &b, Location loc) {
      store(b);
      scf::YieldOp::create(b, loc);
    });
  }
}

void RowAttentionEmitter::emit(OpBuilder &b) {
  int64_t warps = context.config.getThreads() / kWarp;
  setGrid(context.kernel, {{context.numberOf(context.spec.getArguments().back()), 0, warps, 3}});
  Value thread = threadIndex(b, loc, context.config.getThreads());
  lane = arith::RemUIOp::create(b, loc, thread, constantIndex(b, loc, kWarp));
  Value row = arith::AddIOp::create(
      b, loc, arith::MulIOp::create(b, loc, blockIndex(b, loc), constantIndex(b, loc, warps)),
      arith::DivUIOp::create(b, loc, thread, constantIndex(b, loc, kWarp)));
  positions = memref::DimOp::create(b, loc, context.out(), 1);
  Value rows = arith::MulIOp::create(b, loc, memref::DimOp::create(b, loc, context.out(), 0), positions);
  rows = arith::MulIOp::create(b, loc, rows, constantIndex(b, loc, heads));
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, row, rows);
  scf::IfOp::create(b, loc, exists, [&](OpBuilder &b, Location loc) {
    emitQuery(b, row);
    scf::YieldOp::create(b, loc);
  });
}

LogicalResult mlir::transformer::emitRowAttentionKernel(OpBuilder &b, GPUKernelContext &context) {
  RowAttentionEmitter(context, cast<AttentionOp>(outputOf(context.spec))).emit(b);
  return success();
}
