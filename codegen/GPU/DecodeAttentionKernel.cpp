//===- DecodeAttentionKernel.cpp - attention of few queries -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reading keys and values is all the time there is, so each is read once, in vectors of 16 bytes and straight
// into registers, for all query heads that share it. `tile` = [rows, splits, split_keys]: a block has `rows`
// rows, positions times heads, and all keys that they see, or one of several splits (FlashDecoding). Its
// warps take steps of keys in turn, each with its own online softmax (arXiv:1805.02867), and merge through
// shared memory; splits are merged by `attention_merge`.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/DecodeAttentionKernel.h"

#include "codegen/Common/DispatchUtils.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

DecodeAttention::DecodeAttention(GPUKernelContext &context, AttentionOp op, int64_t stepKeys, int64_t dims)
    : AttentionKernel(context, op), threads(context.config.getThreads()), warps(threads / kWarp),
      rows(context.config.getTile()[0]), headsOfBlock(rows / shape.positions), stepKeys(stepKeys) {
  // Pairs stay aligned, and rows begin on different banks.
  pitch = llvm::alignTo(dims, 2) + 2;
  sumsAt = context.shared.allocate(warps * kMergedRows * pitch * 4);
  maximaAt = context.shared.allocate(warps * kMergedRows * 4);
  totalsAt = context.shared.allocate(warps * kMergedRows * 4);
}

//===----------------------------------------------------------------------===//
// Rows and keys
//===----------------------------------------------------------------------===//

void DecodeAttention::beginBlock(OpBuilder &b) {
  int64_t out = context.numberOf(context.spec.getArguments().back()), splits = op.splitCount();
  SmallVector<GridDim> grid{{out, 0, 1}, {out, 2, headsOfBlock}};
  SmallVector<OpFoldResult> sizes{memref::DimOp::create(b, loc, context.out(), 0).getResult(),
                                  b.getIndexAttr(heads / headsOfBlock)};
  if (splits > 0) {
    grid.push_back({out, 1, 1});
    sizes.push_back(b.getIndexAttr(splits));
  }
  setGrid(context.kernel, grid);
  thread = toI32(b, threadIndex(b, loc, threads));
  lane = rem(b, thread, kWarp);
  warp = div(b, thread, kWarp);
  base = sharedBase(b, loc);
  SmallVector<Value> at = delinearizeSmall(b, loc, blockIndex(b, loc), sizes);
  firstHead = arith::MulIOp::create(b, loc, at[1], index(b, headsOfBlock));
  beginSequence(b, at[0], arith::DivUIOp::create(b, loc, firstHead, index(b, group)));
  first = rangeOf(b, index(b, 0)).first;
  last = rangeOf(b, index(b, shape.positions - 1)).second;
  if (splits > 0)
    restrictToSplit(b, at[2]);
}

/// Of v keys a split has max(k, ceil(v / n)) rounded up to a unit, the last ones what is left.
void DecodeAttention::restrictToSplit(OpBuilder &b, Value number) {
  split = number;
  int64_t splits = op.splitCount(), unit = AttentionOp::kSplitUnit;
  Value seen = arith::SubIOp::create(b, loc, last, first);
  Value keys = div(b, add(b, seen, i32(b, splits - 1)), splits);
  keys = arith::MaxUIOp::create(b, loc, keys, i32(b, op.leastSplitKeys()));
  keys = mul(b, div(b, add(b, keys, i32(b, unit - 1)), unit), unit);
  first = add(b, first, arith::MulIOp::create(b, loc, keys, toI32(b, split)));
  first = arith::MinUIOp::create(b, loc, first, last);
  last = arith::MinUIOp::create(b, loc, add(b, first, keys), last);
}

std::pair<Value, Value> DecodeAttention::placeOf(OpBuilder &b, Value row) {
  Value size = index(b, headsOfBlock);
  return {arith::DivUIOp::create(b, loc, row, size),
          add(b, firstHead, arith::RemUIOp::create(b, loc, row, size))};
}

std::pair<Value, Value> DecodeAttention::rangeOfRow(OpBuilder &b, Value row) {
  if (shape.positions == 1)
    return {first, last};
  return rangeOf(b, placeOf(b, row).first);
}

Value DecodeAttention::rowOfKey(OpBuilder &b, Value position) {
  Value end = arith::SubIOp::create(b, loc, last, i32(b, 1));
  return toIndex(b, keyRow(b, arith::MinUIOp::create(b, loc, position, end)));
}

Value DecodeAttention::maskScore(OpBuilder &b, Value score, Value position, Value low, Value high) {
  Value sees = below(b, position, high);
  if (hasWindow() && shape.positions > 1)
    sees = arith::AndIOp::create(b, loc, sees,
                                 arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, position, low));
  return arith::SelectOp::create(b, loc, sees, score, f32(b, kHidden));
}

//===----------------------------------------------------------------------===//
// Warps become one
//===----------------------------------------------------------------------===//

Value DecodeAttention::addressOf(OpBuilder &b, int64_t offset, Value place) {
  return sharedAddress(b, loc, base, offset, toIndex(b, place), 4);
}

void DecodeAttention::storeSums(OpBuilder &b, Value sums, Value row, Value column) {
  Value place = mul(b, add(b, mul(b, warp, kMergedRows), row), pitch);
  storeTo(b, loc, sums, addressOf(b, sumsAt, add(b, place, column)));
}

void DecodeAttention::storeRow(OpBuilder &b, Value maximum, Value total, Value row) {
  Value place = add(b, mul(b, warp, kMergedRows), row);
  storeTo(b, loc, maximum, addressOf(b, maximaAt, place));
  storeTo(b, loc, total, addressOf(b, totalsAt, place));
}

void DecodeAttention::mergeElement(OpBuilder &b, int64_t part, Value element) {
  Value row = div(b, element, headDim), column = rem(b, element, headDim);
  auto load = [&](int64_t offset, Value place) {
    return loadFrom(b, loc, b.getF32Type(), addressOf(b, offset, place));
  };
  SmallVector<Value> maxima;
  for (int64_t w = 0; w < warps; ++w)
    maxima.push_back(load(maximaAt, add(b, row, i32(b, w * kMergedRows))));
  Value maximum = maxima[0], total = f32(b, 0.0), sum = total;
  for (Value other : ArrayRef(maxima).drop_front())
    maximum = maxF(b, maximum, other);
  for (int64_t w = 0; w < warps; ++w) {
    Value weight = weigh(b, maxima[w], maximum), place = add(b, row, i32(b, w * kMergedRows));
    total = addF(b, mulF(b, weight, load(totalsAt, place)), total);
    sum = addF(b, mulF(b, weight, load(sumsAt, add(b, mul(b, place, pitch), column))), sum);
  }
  storeResult(b, addIndex(b, loc, toIndex(b, row), part * kMergedRows), toIndex(b, column), sum, maximum,
              total);
}

void DecodeAttention::storeAt(OpBuilder &b, Value x, Value row, Value column) {
  auto [s, head] = placeOf(b, row);
  memref::StoreOp::create(b, loc, convertTo(b, loc, x, getElementTypeOrSelf(op.getType())), context.out(),
                          ValueRange{batch, split ? split : s, head, column});
}

void DecodeAttention::storeResult(OpBuilder &b, Value row, Value column, Value sum, Value maximum,
                                  Value total) {
  if (!split)
    return storeAt(b, mulF(b, sum, inverseOf(b, total)), row, column);
  storeAt(b, sum, row, column);
  Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, column, index(b, 0));
  scf::IfOp::create(b, loc, isFirst, [&](OpBuilder &b, Location loc) {
    // Scores are compared with those of other splits as the op means them.
    Value scaled = isGeneral() ? maximum : mulF(b, maximum, f32(b, op.getScale().convertToDouble()));
    Value seen = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, total, f32(b, 0.0));
    storeAt(b, arith::SelectOp::create(b, loc, seen, scaled, f32(b, kNothing)), row, index(b, headDim));
    storeAt(b, total, row, index(b, headDim + 1));
    scf::YieldOp::create(b, loc);
  });
}

/// Of a split without keys the sums may be anything.
void DecodeAttention::storeNothing(OpBuilder &b) {
  scf::IfOp::create(b, loc, below(b, thread, i32(b, rows)), [&](OpBuilder &b, Location loc) {
    storeAt(b, f32(b, kNothing), toIndex(b, thread), index(b, headDim));
    storeAt(b, f32(b, 0.0), toIndex(b, thread), index(b, headDim + 1));
    scf::YieldOp::create(b, loc);
  });
}

void DecodeAttention::mergeWarps(OpBuilder &b, int64_t part) {
  int64_t count = std::min(rows - part * kMergedRows, kMergedRows);
  scf::ForOp::create(b, loc, thread, i32(b, count * headDim), i32(b, threads), ValueRange(),
                     [&](OpBuilder &b, Location loc, Value element, ValueRange) {
                       mergeElement(b, part, element);
                       scf::YieldOp::create(b, loc);
                     });
}

void DecodeAttention::attend(OpBuilder &b) {
  loadQueries(b);
  Value from = add(b, first, mul(b, warp, stepKeys));
  auto loop = scf::ForOp::create(b, loc, from, last, i32(b, warps * stepKeys), initialState(b),
                                 [&](OpBuilder &b, Location loc, Value firstKey, ValueRange state) {
                                   scf::YieldOp::create(b, loc, emitStep(b, firstKey, state));
                                 });
  SmallVector<Value> state(loop.getResults());
  finishState(b, state);
  for (int64_t part = 0; part * kMergedRows < rows; ++part) {
    if (part > 0)
      barrier(b, loc); // the part before has been read
    storeState(b, state, part);
    barrier(b, loc);
    mergeWarps(b, part);
  }
}

void DecodeAttention::emit(OpBuilder &b) {
  beginBlock(b);
  if (!split)
    return attend(b);
  scf::IfOp::create(
      b, loc, below(b, first, last),
      [&](OpBuilder &b, Location loc) {
        attend(b);
        scf::YieldOp::create(b, loc);
      },
      [&](OpBuilder &b, Location loc) {
        storeNothing(b);
        scf::YieldOp::create(b, loc);
      });
}

LogicalResult mlir::transformer::checkDecodeConfig(AttentionOp op, xgpu::ConfigAttr config,
                                                   int64_t mostRows) {
  AttentionShape shape(op);
  int64_t rows = config.getTile()[0];
  if (!ShapedType::isDynamic(shape.positions) && rows <= mostRows && rows % shape.positions == 0 &&
      shape.group % (rows / shape.positions) == 0)
    return success();
  return op.emitOpError("expected at most ")
         << mostRows << " rows, positions times heads that share keys, but got " << config;
}
