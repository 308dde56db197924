//===- FlashAttentionKernel.cpp - attention on tensor cores -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// FlashAttention-2 (arXiv:2307.08691) for bf16 and f16, sm_80 and later. Rows are positions times the query
// heads that share keys, position by position, so that keys are read once for all of them; a block has `tile`
// = [rows, keys], a warp 16 rows. Scores and sums stay in registers as fragments of mma.m16n8k16; the weights
// of the softmax, rounded, are the left operand of the product with the values as they are. Tiles of keys and
// of values come by cp.async into two stages of shared memory. Tiles that no row of the block sees are not
// visited, those that all rows of a warp see are not masked. Queries stay in registers too; of heads beyond
// 128, whose sums need these, they stand in shared memory and are read for every tile, which then has 32
// keys.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/FlashAttentionKernel.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

void FlashAttentionEmitter::beginWarp(OpBuilder &b) {
  Value firstRow = arith::MulIOp::create(b, loc, toIndex(b, warp), index(b, kMmaRows));
  Value inWarp = toIndex(b, arith::DivUIOp::create(b, loc, lane, i32(b, 4)));
  for (int i = 0; i < 2; ++i) {
    ownRow[i] = addIndex(b, loc, add(b, firstRow, inWarp), 8 * i);
    std::tie(low[i], high[i]) = rangeOfRow(b, ownRow[i]);
  }
  warpHigh = rangeOfRow(b, firstRow).second;
  warpLow = rangeOfRow(b, addIndex(b, loc, firstRow, kMmaRows - 1)).first;
}

/// The scale, the cap and the bias, where the maximum must be of what is finished.
SmallVector<Value> FlashAttentionEmitter::finishScores(OpBuilder &b, SmallVector<Value> scores,
                                                       Value firstKey) {
  if (!isGeneral())
    return scores;
  Value inLane = arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, lane, i32(b, 4)), i32(b, 2));
  for (auto [n, score] : llvm::enumerate(scores)) {
    auto [s, head] = existingPlaceOf(b, ownRow[n / 2 % 2]);
    Value j = add(b, add(b, firstKey, inLane), i32(b, static_cast<int64_t>(n / 4 * kMmaColumns + n % 2)));
    score = finishScore(b, score, s, head, toIndex(b, arith::MinUIOp::create(b, loc, j, lastKey)));
  }
  return scores;
}

SmallVector<Value> FlashAttentionEmitter::maskScores(OpBuilder &b, SmallVector<Value> scores,
                                                     Value firstKey) {
  Value end = add(b, firstKey, i32(b, keys));
  Value hides = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, end, warpHigh);
  if (op.getMask().getKind() == MaskKind::Window)
    hides = arith::OrIOp::create(b, loc, hides,
                                 arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, firstKey, warpLow));
  Value inLane = arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, lane, i32(b, 4)), i32(b, 2));
  auto masked = scf::IfOp::create(
      b, loc, hides,
      [&](OpBuilder &b, Location loc) {
        SmallVector<Value> results;
        for (auto [n, score] : llvm::enumerate(scores)) {
          Value j =
              add(b, add(b, firstKey, inLane), i32(b, static_cast<int64_t>(n / 4 * kMmaColumns + n % 2)));
          Value sees = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, j, high[n / 2 % 2]);
          if (op.getMask().getKind() == MaskKind::Window)
            sees = arith::AndIOp::create(
                b, loc, sees, arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, j, low[n / 2 % 2]));
          results.push_back(arith::SelectOp::create(b, loc, sees, score, f32(b, kHidden)));
        }
        scf::YieldOp::create(b, loc, results);
      },
      [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, scores); });
  return SmallVector<Value>(masked.getResults());
}

/// Scores become weights, and what was summed before is corrected to the new maximum (arXiv:1805.02867). Four
/// lanes share a row.
void FlashAttentionEmitter::weigh(OpBuilder &b, SmallVector<Value> &scores, FlashState &carried) {
  Value scale = f32(b, factor());
  for (int i = 0; i < 2; ++i) {
    Value highest = carried.maximum[i];
    for (auto [n, score] : llvm::enumerate(scores))
      if (static_cast<int>(n / 2 % 2) == i)
        highest = arith::MaxNumFOp::create(b, loc, highest, score);
    highest = reduceLanes(b, loc, vector::CombiningKind::MAXNUMF, highest, 4);
    Value difference = arith::SubFOp::create(b, loc, carried.maximum[i], highest);
    Value correction = exp2(b, mulF(b, difference, scale));
    Value offset = arith::NegFOp::create(b, loc, mulF(b, highest, scale));
    carried.maximum[i] = highest;
    Value total = mulF(b, carried.total[i], correction);
    for (auto [n, score] : llvm::enumerate(scores))
      if (static_cast<int>(n / 2 % 2) == i) {
        score = exp2(b, addF(b, mulF(b, score, scale), offset));
        total = addF(b, total, score);
      }
    carried.total[i] = total; // of this lane's keys; the lanes are added up at the end
    for (auto [n, sum] : llvm::enumerate(carried.sums))
      if (static_cast<int>(n / 2 % 2) == i)
        sum = mulF(b, sum, correction);
  }
}

/// A tile of keys: its keys are on their way when it begins, its values too, and the next tile's follow them.
SmallVector<Value> FlashAttentionEmitter::emitTile(OpBuilder &b, Value firstKey, Value end,
                                                   ValueRange values) {
  FlashState carried = FlashState::of(values);
  Value stage = values.back(), other = arith::XOrIOp::create(b, loc, stage, i32(b, 1));
  Value next = add(b, firstKey, i32(b, keys));
  Value more = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, next, end);
  auto prefetch = [&](Value memref, const SwizzledTile &tile) {
    scf::IfOp::create(b, loc, more, [&](OpBuilder &b, Location loc) {
      copyKeys(b, memref, tile, next, other);
      scf::YieldOp::create(b, loc);
    });
    commitCopies(b, loc);
  };
  waitForCopies(b, loc, 1); // this tile's keys are here
  barrier(b, loc);
  prefetch(key, keyTile);
  SmallVector<Value> scores = finishScores(b, multiplyKeys(b, stage), firstKey);
  scores = maskScores(b, scores, firstKey);
  weigh(b, scores, carried);
  waitForCopies(b, loc, 1); // and its values
  barrier(b, loc);
  prefetch(value, valueTile);
  multiplyValues(b, stage, scores, carried);
  return carried.flatten(other);
}

void FlashAttentionEmitter::finish(OpBuilder &b, const FlashState &carried) {
  Type element = getElementTypeOrSelf(op.getType());
  Value column =
      toIndex(b, arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, lane, i32(b, 4)), i32(b, 2)));
  auto pair = VectorType::get({2}, b.getF32Type());
  for (int i = 0; i < 2; ++i) {
    Value total = reduceLanes(b, loc, vector::CombiningKind::ADD, carried.total[i], 4);
    Value inverse = inverseOf(b, total);
    auto [s, head] = placeOf(b, ownRow[i]);
    scf::IfOp::create(b, loc, exists(b, ownRow[i], s), [&, s = s, head = head](OpBuilder &b, Location loc) {
      for (int64_t n = 0; n < headDim / kMmaColumns; ++n) {
        Value both =
            vector::FromElementsOp::create(b, loc, pair,
                                           ValueRange{mulF(b, carried.sums[n * 4 + 2 * i], inverse),
                                                      mulF(b, carried.sums[n * 4 + 2 * i + 1], inverse)});
        storeElements(b, loc, convertTo(b, loc, both, element), context.out(),
                      {batch, s, head, addIndex(b, loc, column, n * kMmaColumns)}, Value());
      }
      scf::YieldOp::create(b, loc);
    });
  }
}

void FlashAttentionEmitter::emit(OpBuilder &b) {
  beginBlock(b);
  beginWarp(b);
  clearPadding(b);
  if (!isWide())
    loadQueries(b);
  auto [begin, end] = rangeOfBlock(b);
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, begin, end);
  scf::IfOp::create(
      b, loc, any,
      [&, begin = begin](OpBuilder &b, Location loc) {
        if (isWide())
          copyQueries(b);
        copyKeys(b, key, keyTile, begin, i32(b, 0));
        commitCopies(b, loc);
        copyKeys(b, value, valueTile, begin, i32(b, 0));
        scf::YieldOp::create(b, loc);
      },
      [&](OpBuilder &b, Location loc) {
        commitCopies(b, loc);
        scf::YieldOp::create(b, loc);
      });
  commitCopies(b, loc);
  FlashState start;
  start.sums.assign(dims / kMmaColumns * 4, f32(b, 0.0));
  for (int i = 0; i < 2; ++i)
    start.maximum[i] = f32(b, kNothing), start.total[i] = f32(b, 0.0);
  auto loop =
      scf::ForOp::create(b, loc, begin, end, i32(b, keys), start.flatten(i32(b, 0)),
                         [&, end = end](OpBuilder &b, Location loc, Value firstKey, ValueRange values) {
                           scf::YieldOp::create(b, loc, emitTile(b, firstKey, end, values));
                         });
  finish(b, FlashState::of(loop.getResults()));
}

LogicalResult mlir::transformer::emitFlashAttentionKernel(OpBuilder &b, GPUKernelContext &context) {
  auto op = cast<AttentionOp>(outputOf(context.spec));
  ArrayRef<int64_t> tile = context.config.getTile();
  bool divides = tile.size() == 2 && tile[0] == context.config.getThreads() / kWarp * kMmaRows &&
                 tile[1] % (2 * kMmaDepth) == 0;
  if (!divides)
    return op.emitOpError("expected 16 rows for each warp and keys in multiples of 32, but got ")
           << context.config;
  FlashAttentionEmitter(context, op).emit(b);
  return success();
}
