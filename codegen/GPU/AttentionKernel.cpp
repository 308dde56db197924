//===- AttentionKernel.cpp - what templates of attention share ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/AttentionKernel.h"

#include "codegen/Common/DispatchUtils.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace mlir::transformer;

AttentionShape::AttentionShape(AttentionOp op) {
  auto type = cast<RankedTensorType>(op.getQuery().getType());
  query = type.getElementType();
  positions = type.getDimSize(1), heads = type.getDimSize(2), headDim = type.getDimSize(3);
  if (op.getCache()) {
    key = value = op.getCache().getType().getElement();
    kvHeads = op.getCache().getType().getHeads();
  } else {
    key = getElementTypeOrSelf(op.getKey().getType()), value = getElementTypeOrSelf(op.getValue().getType());
    kvHeads = cast<RankedTensorType>(op.getKey().getType()).getDimSize(2);
  }
  group = heads / kvHeads;
}

AttentionKernel::AttentionKernel(GPUKernelContext &context, AttentionOp op)
    : context(context), op(op), loc(op.getLoc()), shape(op), heads(shape.heads), kvHeads(shape.kvHeads),
      group(shape.group), headDim(shape.headDim), query(context.argument(op.getQuery())) {
  if (op.getCache()) {
    const SmallVector<Value> &parts = context.arguments[op.getCache()];
    key = parts[0], value = parts[1], length = parts[2], appended = parts[3];
  } else {
    key = context.argument(op.getKey()), value = context.argument(op.getValue());
  }
}

void AttentionKernel::beginSequence(OpBuilder &b, Value ofBatch, Value ofHead) {
  batch = ofBatch, kvHead = ofHead;
  positions = memref::DimOp::create(b, loc, query, 1);
  if (length) {
    Value before = memref::LoadOp::create(b, loc, length, ValueRange{batch});
    held = add(b, arith::IndexCastOp::create(b, loc, b.getIndexType(), before), appended);
  } else {
    held = memref::DimOp::create(b, loc, key, 1);
  }
  lastKey = toI32(b, arith::SubIOp::create(b, loc, held, index(b, 1)));
  Value row = op.getCache() ? add(b, arith::MulIOp::create(b, loc, batch, index(b, kvHeads)), kvHead) : batch;
  Value capacity = op.getCache() ? Value(memref::DimOp::create(b, loc, key, 2)) : held;
  firstKeyRow = toI32(b, arith::MulIOp::create(b, loc, row, capacity));
}

std::pair<Value, Value> AttentionKernel::rangeOf(OpBuilder &b, Value s) {
  if (op.getMask().getKind() == MaskKind::None)
    return {i32(b, 0), toI32(b, held)};
  // The query of position s of the call stands at held - S + s and sees itself. Rows behind the call's see no
  // more than there is.
  Value zero = index(b, 0);
  Value end = add(b, arith::SubIOp::create(b, loc, held, positions), addIndex(b, loc, s, 1));
  end = arith::MaxSIOp::create(b, loc, end, zero);
  Value high = arith::MinSIOp::create(b, loc, end, held);
  if (!hasWindow())
    return {i32(b, 0), toI32(b, high)};
  Value low = addIndex(b, loc, end, -op.getMask().getWindow());
  return {toI32(b, arith::MaxSIOp::create(b, loc, low, zero)), toI32(b, high)};
}

Value AttentionKernel::keyRow(OpBuilder &b, Value position) {
  position = arith::MinUIOp::create(b, loc, position, lastKey);
  if (!op.getCache())
    return add(b, mul(b, add(b, firstKeyRow, position), kvHeads), toI32(b, kvHead));
  if (op.getCache().getType().getPolicy() == CachePolicy::Ring)
    position = arith::RemUIOp::create(b, loc, position, toI32(b, memref::DimOp::create(b, loc, key, 2)));
  return add(b, firstKeyRow, position);
}

Value AttentionKernel::queryRow(OpBuilder &b, Value s, Value head) {
  Value place = add(b, arith::MulIOp::create(b, loc, batch, positions), s);
  return add(b, arith::MulIOp::create(b, loc, place, index(b, heads)), head);
}

Value AttentionKernel::finishScore(OpBuilder &b, Value score, Value s, Value head, Value j) {
  if (!isGeneral())
    return score;
  score = mulF(b, score, f32(b, op.getScale().convertToDouble()));
  if (op.getSoftcap()) {
    Value cap = f32(b, op.getSoftcap()->convertToDouble());
    score = mulF(b, cap, math::TanhOp::create(b, loc, arith::DivFOp::create(b, loc, score, cap)));
  }
  if (!op.getBias())
    return score;
  auto type = cast<RankedTensorType>(op.getBias().getType());
  SmallVector<Value> at{type.getDimSize(0) == 1 ? index(b, 0) : batch,
                        type.getDimSize(1) == 1 ? index(b, 0) : head, s, j};
  Value bias = memref::LoadOp::create(b, loc, context.argument(op.getBias()), at);
  // A bias of -inf hides a key; what is below everything stays finite.
  bias = arith::MaximumFOp::create(b, loc, convertTo(b, loc, bias, b.getF32Type()), f32(b, kHidden));
  return addF(b, score, bias);
}

Value AttentionKernel::weigh(OpBuilder &b, Value x, Value maximum) {
  return exp2(b, mulF(b, arith::SubFOp::create(b, loc, x, maximum), f32(b, factor())));
}

Value AttentionKernel::inverseOf(OpBuilder &b, Value total) {
  Value seen = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, total, f32(b, 0.0));
  Value inverse = arith::DivFOp::create(b, loc, f32(b, 1.0), total);
  return arith::SelectOp::create(b, loc, seen, inverse, f32(b, 0.0));
}

//===----------------------------------------------------------------------===//
// Many queries
//===----------------------------------------------------------------------===//

void PrefillAttention::beginBlock(OpBuilder &b) {
  int64_t out = context.numberOf(context.spec.getArguments().back());
  setGrid(context.kernel, {{out, 0, 1}, {out, 2, group}, {out, 1, positionsOfBlock}});
  thread = toI32(b, threadIndex(b, loc, threads));
  lane = rem(b, thread, kWarp);
  warp = div(b, thread, kWarp);
  base = sharedBase(b, loc);
  Value batches = memref::DimOp::create(b, loc, context.out(), 0);
  Value count = memref::DimOp::create(b, loc, context.out(), 1);
  Value blocks = arith::CeilDivUIOp::create(b, loc, count, index(b, positionsOfBlock));
  SmallVector<Value> at =
      delinearizeSmall(b, loc, blockIndex(b, loc), {batches, b.getIndexAttr(kvHeads), blocks});
  beginSequence(b, at[0], at[1]);
  // The last positions see the most keys: they begin first.
  Value turned = arith::SubIOp::create(b, loc, arith::SubIOp::create(b, loc, blocks, index(b, 1)), at[2]);
  firstPosition = arith::MulIOp::create(b, loc, turned, index(b, positionsOfBlock));
}

std::pair<Value, Value> PrefillAttention::placeOf(OpBuilder &b, Value row) {
  Value size = index(b, group);
  Value s = add(b, firstPosition, arith::DivUIOp::create(b, loc, row, size));
  Value head = add(b, arith::MulIOp::create(b, loc, kvHead, size), arith::RemUIOp::create(b, loc, row, size));
  return {s, head};
}

std::pair<Value, Value> PrefillAttention::existingPlaceOf(OpBuilder &b, Value row) {
  auto [s, head] = placeOf(b, arith::MinUIOp::create(b, loc, row, index(b, positionsOfBlock * group - 1)));
  return {arith::MinUIOp::create(b, loc, s, arith::SubIOp::create(b, loc, positions, index(b, 1))), head};
}

Value PrefillAttention::exists(OpBuilder &b, Value row, Value s) {
  return arith::AndIOp::create(b, loc, below(b, row, index(b, positionsOfBlock * group)),
                               below(b, s, positions));
}

std::pair<Value, Value> PrefillAttention::rangeOfBlock(OpBuilder &b) {
  Value begin = rangeOfRow(b, index(b, 0)).first,
        end = rangeOfRow(b, index(b, positionsOfBlock * group - 1)).second;
  return {arith::SubIOp::create(b, loc, begin, rem(b, begin, keys)), end};
}
