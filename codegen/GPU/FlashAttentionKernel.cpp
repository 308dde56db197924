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
  Value corrections[2];
  weigh(b, scores, carried, corrections);
  correct(b, carried.sums, corrections);
  waitForCopies(b, loc, 1); // and its values
  barrier(b, loc);
  prefetch(value, valueTile);
  multiplyValues(b, stage, scores, carried);
  return carried.flatten(other);
}

void FlashAttentionEmitter::emit(OpBuilder &b) {
  beginBlock(b);
  beginRows(b, arith::MulIOp::create(b, loc, toIndex(b, warp), index(b, kMmaRows)));
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
  static_cast<RowState &>(start) = emptyState(b);
  start.sums.assign(dims / kMmaColumns * 4, f32(b, 0.0));
  auto loop =
      scf::ForOp::create(b, loc, begin, end, i32(b, keys), start.flatten(i32(b, 0)),
                         [&, end = end](OpBuilder &b, Location loc, Value firstKey, ValueRange values) {
                           scf::YieldOp::create(b, loc, emitTile(b, firstKey, end, values));
                         });
  FlashState last = FlashState::of(loop.getResults());
  storeRows(b, last.sums, last);
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
