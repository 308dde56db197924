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
// visited, those that all rows of a warp see are not masked.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/AttentionRows.h"
#include "codegen/GPU/MmaFragments.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kChunk = 8, kStages = 2;

class FlashAttentionEmitter : AttentionRows {
public:
  FlashAttentionEmitter(GPUKernelContext &context, AttentionOp op);
  void emit(OpBuilder &b);

private:
  void loadQueries(OpBuilder &b);
  void issueCopies(OpBuilder &b, Value memref, const SwizzledTile &tile, Value firstKey, Value stage);
  SmallVector<Value> multiplyKeys(OpBuilder &b, Value stage);
  void multiplyValues(OpBuilder &b, Value stage, ArrayRef<Value> weights, SmallVector<Value> &sums);
  SmallVector<Value> emitTile(OpBuilder &b, Value firstKey, Value end, ValueRange values);

  /// What a lane carries over the tiles of keys: the sums, the state, the stage.
  SmallVector<Value> flatten(ArrayRef<Value> sums, const RowState &state, Value stage) {
    SmallVector<Value> all(sums);
    all.append({state.maximum[0], state.maximum[1], state.total[0], state.total[1], stage});
    return all;
  }
  std::pair<SmallVector<Value>, RowState> unflatten(ValueRange all) {
    ValueRange rest = all.take_back(5);
    return {SmallVector<Value>(all.drop_back(5)), {{rest[0], rest[1]}, {rest[2], rest[3]}}};
  }

  int64_t stageBytes;
  SwizzledTile keyTile, valueTile;
  Value base;
  SmallVector<SmallVector<Value>> queryFragments; ///< by 16 dimensions
};
} // namespace

FlashAttentionEmitter::FlashAttentionEmitter(GPUKernelContext &context, AttentionOp op)
    : AttentionRows(context, op) {
  int64_t chunks = llvm::PowerOf2Ceil(headDim / kChunk);
  keyTile = {0, keys, chunks};
  stageBytes = keyTile.bytes();
  valueTile = {kStages * stageBytes, keys, chunks};
  context.shared.allocate(2 * kStages * stageBytes, 128);
}

void FlashAttentionEmitter::loadQueries(OpBuilder &b) {
  GlobalMatrix matrix(b, loc, query); // rows (batch, position, head)
  Value matrixRow[2];
  for (int i = 0; i < 2; ++i) {
    auto [s, head] = existingPlaceOf(b, ownRow[i]);
    matrixRow[i] = queryRow(b, s, head);
  }
  Value column =
      toIndex(b, arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, lane, i32(b, 4)), i32(b, 2)));
  auto pair = VectorType::get({2}, type);
  for (int64_t d = 0; d < headDim; d += kMmaDepth) {
    SmallVector<Value> fragment;
    for (int64_t half : {0, 8})
      for (int i = 0; i < 2; ++i) {
        Value address = matrix.addressOf(b, matrixRow[i], addIndex(b, loc, column, d + half));
        fragment.push_back(LLVM::BitcastOp::create(b, loc, b.getI32Type(), loadFrom(b, loc, pair, address)));
      }
    queryFragments.push_back(fragment);
  }
}

void FlashAttentionEmitter::issueCopies(OpBuilder &b, Value memref, const SwizzledTile &tile, Value firstKey,
                                        Value stage) {
  GlobalMatrix matrix(b, loc, memref);
  int64_t chunks = headDim / kChunk;
  Value shift = arith::MulIOp::create(b, loc, stage, i32(b, stageBytes));
  for (int64_t i = 0; i < keys * chunks / threads; ++i) {
    Value number = add(b, thread, i32(b, i * threads));
    Value row = arith::DivUIOp::create(b, loc, number, i32(b, chunks)),
          chunk = arith::RemUIOp::create(b, loc, number, i32(b, chunks));
    Value from = toIndex(b, keyRow(b, add(b, firstKey, row)));
    Value column = arith::MulIOp::create(b, loc, toIndex(b, chunk), index(b, kChunk));
    copyChunkAsync(b, loc, tile.addressOf(b, loc, base, shift, row, chunk), matrix.addressOf(b, from, column),
                   Value());
  }
}

/// Scores of the warp's rows against the tile's keys, by fragment of 8 keys, 4 each.
SmallVector<Value> FlashAttentionEmitter::multiplyKeys(OpBuilder &b, Value stage) {
  SmallVector<Value> scores(keys / kMmaColumns * 4, f32(b, 0.0));
  Value shift = arith::MulIOp::create(b, loc, stage, i32(b, stageBytes));
  Value eighth = arith::DivUIOp::create(b, loc, lane, i32(b, 8));
  Value row =
      add(b, arith::RemUIOp::create(b, loc, lane, i32(b, 8)),
          arith::MulIOp::create(b, loc, arith::DivUIOp::create(b, loc, eighth, i32(b, 2)), i32(b, 8)));
  Value half = arith::RemUIOp::create(b, loc, eighth, i32(b, 2));
  for (auto [k, fragment] : llvm::enumerate(queryFragments))
    for (int64_t j = 0; j < keys; j += 2 * kMmaColumns) {
      Value chunk = add(b, half, i32(b, 2 * static_cast<int64_t>(k)));
      SmallVector<Value> factors = loadMatrices(b, loc, keyTile.addressOf(b, loc, base, shift, row, chunk, j),
                                                /*transposed=*/false);
      for (int64_t n = 0; n < 2; ++n) {
        MutableArrayRef<Value> place = MutableArrayRef(scores).slice((j / kMmaColumns + n) * 4, 4);
        llvm::copy(multiplyFragments(b, loc, type, fragment, ValueRange(factors).slice(2 * n, 2), place),
                   place.begin());
      }
    }
  return scores;
}

void FlashAttentionEmitter::multiplyValues(OpBuilder &b, Value stage, ArrayRef<Value> weights,
                                           SmallVector<Value> &sums) {
  Value shift = arith::MulIOp::create(b, loc, stage, i32(b, stageBytes));
  Value row = arith::RemUIOp::create(b, loc, lane, i32(b, 16)),
        side = arith::DivUIOp::create(b, loc, lane, i32(b, 16));
  for (int64_t k = 0; k < keys / kMmaDepth; ++k) {
    SmallVector<Value> left = packWeights(b, weights, k);
    for (int64_t d = 0; d < headDim / kMmaColumns; d += 2) {
      SmallVector<Value> factors = loadMatrices(
          b, loc, valueTile.addressOf(b, loc, base, shift, row, add(b, side, i32(b, d)), k * kMmaDepth),
          /*transposed=*/true);
      for (int64_t n = 0; n < 2; ++n) {
        MutableArrayRef<Value> place = MutableArrayRef(sums).slice((d + n) * 4, 4);
        llvm::copy(multiplyFragments(b, loc, type, left, ValueRange(factors).slice(2 * n, 2), place),
                   place.begin());
      }
    }
  }
}

/// A tile of keys: its keys are on their way when it begins, its values too, and the next tile's follow them.
SmallVector<Value> FlashAttentionEmitter::emitTile(OpBuilder &b, Value firstKey, Value end,
                                                   ValueRange values) {
  auto [sums, state] = unflatten(values);
  Value stage = values.back(), other = arith::XOrIOp::create(b, loc, stage, i32(b, 1));
  Value next = add(b, firstKey, i32(b, keys));
  Value more = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, next, end);
  auto prefetch = [&](Value memref, const SwizzledTile &tile) {
    scf::IfOp::create(b, loc, more, [&](OpBuilder &b, Location loc) {
      issueCopies(b, memref, tile, next, other);
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
  weigh(b, scores, state, corrections);
  correct(b, sums, corrections);
  waitForCopies(b, loc, 1); // and its values
  barrier(b, loc);
  prefetch(value, valueTile);
  multiplyValues(b, stage, scores, sums);
  return flatten(sums, state, other);
}

void FlashAttentionEmitter::emit(OpBuilder &b) {
  beginBlock(b);
  base = sharedBase(b, loc);
  Value warp = arith::DivUIOp::create(b, loc, thread, i32(b, kWarp));
  beginRows(b, arith::MulIOp::create(b, loc, toIndex(b, warp), index(b, kMmaRows)));
  loadQueries(b);
  auto [begin, end] = rangeOfBlock(b);
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, begin, end);
  scf::IfOp::create(
      b, loc, any,
      [&, begin = begin](OpBuilder &b, Location loc) {
        issueCopies(b, key, keyTile, begin, i32(b, 0));
        commitCopies(b, loc);
        issueCopies(b, value, valueTile, begin, i32(b, 0));
        scf::YieldOp::create(b, loc);
      },
      [&](OpBuilder &b, Location loc) {
        commitCopies(b, loc);
        scf::YieldOp::create(b, loc);
      });
  commitCopies(b, loc);
  SmallVector<Value> sums(headDim / kMmaColumns * 4, f32(b, 0.0));
  auto loop =
      scf::ForOp::create(b, loc, begin, end, i32(b, keys), flatten(sums, emptyState(b), i32(b, 0)),
                         [&, end = end](OpBuilder &b, Location loc, Value firstKey, ValueRange values) {
                           scf::YieldOp::create(b, loc, emitTile(b, firstKey, end, values));
                         });
  auto [results, state] = unflatten(loop.getResults());
  storeRows(b, results, state);
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
