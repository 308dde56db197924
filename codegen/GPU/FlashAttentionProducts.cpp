//===- FlashAttentionProducts.cpp - tiles and products of attention -----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What passes between global memory, shared memory and fragments. A tile has as many dimensions as its
// products, 16 at a time; those behind the head's are zeros. Heads of no multiple of 8 begin at multiples of
// 4 or 8 bytes and are copied in pieces of that.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/FlashAttentionKernel.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

/// Elements of a chunk; chunks that are permuted among each other.
static constexpr int64_t kChunk = 8, kLine = 8, kStages = 2;

FlashAttentionEmitter::FlashAttentionEmitter(GPUKernelContext &context, AttentionOp op)
    : AttentionRows(context, op), dims(llvm::alignTo(headDim, kMmaDepth)) {
  int64_t chunks = llvm::PowerOf2Ceil(dims / kChunk);
  keyTile = {0, keys, chunks};
  stageBytes = keyTile.bytes();
  valueTile = {kStages * stageBytes, keys, chunks};
  queryTile = {2 * kStages * stageBytes, rows, chunks};
  context.shared.allocate(queryTile.offset + (isWide() ? queryTile.bytes() : 0), 128);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

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
        if (d + half >= headDim) {
          fragment.push_back(i32(b, 0));
          continue;
        }
        Value own = addIndex(b, loc, column, d + half);
        // Behind the head keys are zeros, and a query's other numbers will do.
        if (d + half + 8 > headDim)
          own = arith::SelectOp::create(b, loc, below(b, own, index(b, headDim)), own, index(b, 0));
        Value address = matrix.addressOf(b, matrixRow[i], own);
        fragment.push_back(LLVM::BitcastOp::create(b, loc, b.getI32Type(), loadFrom(b, loc, pair, address)));
      }
    queryFragments.push_back(fragment);
  }
}

void FlashAttentionEmitter::issueCopies(OpBuilder &b, Value memref, const SwizzledTile &tile, Value shift,
                                        function_ref<Value(OpBuilder &, Value row)> rowOf) {
  GlobalMatrix matrix(b, loc, memref);
  int64_t piece = shape.piece(), pieces = headDim / piece, count = tile.rows * pieces;
  auto copy = [&](OpBuilder &b, Value number) {
    Value row = div(b, number, pieces), own = rem(b, number, pieces), chunk = own, place = shift;
    Value column = arith::MulIOp::create(b, loc, toIndex(b, own), index(b, piece));
    if (piece < kChunk) {
      chunk = div(b, own, kChunk / piece);
      Value within = mul(b, rem(b, own, kChunk / piece), 2 * piece);
      place = shift ? add(b, shift, within) : within;
    }
    copyChunkAsync(b, loc, tile.addressOf(b, loc, base, place, row, chunk),
                   matrix.addressOf(b, rowOf(b, row), column), Value(), 2 * piece);
  };
  if (piece < kChunk) {
    // So many that their addresses, computed ahead, would take the sums' registers.
    scf::ForOp::create(b, loc, thread, i32(b, count), i32(b, threads), ValueRange(),
                       [&](OpBuilder &b, Location loc, Value number, ValueRange) {
                         copy(b, number);
                         scf::YieldOp::create(b, loc);
                       });
    return;
  }
  for (int64_t first = 0; first < count; first += threads) {
    Value number = add(b, thread, i32(b, first));
    if (first + threads <= count) {
      copy(b, number);
      continue;
    }
    scf::IfOp::create(b, loc, below(b, number, i32(b, count)), [&](OpBuilder &b, Location loc) {
      copy(b, number);
      scf::YieldOp::create(b, loc);
    });
  }
}

/// Zeros behind the head's dimensions, in every tile: copies do not touch them.
void FlashAttentionEmitter::clearPadding(OpBuilder &b) {
  if (dims == headDim)
    return;
  int64_t count = 2 * kStages * keys + (isWide() ? rows : 0);
  SwizzledTile all{0, count, keyTile.chunks};
  // Pieces up to the next chunk, then a whole one.
  SmallVector<std::pair<int64_t, int64_t>> parts; // column, size
  for (int64_t column = headDim; column < dims; column += parts.back().second)
    parts.push_back({column, column % kChunk == 0 ? kChunk : shape.piece()});
  for (int64_t first = 0; first < count; first += threads) {
    Value row = add(b, thread, i32(b, first));
    scf::IfOp::create(b, loc, below(b, row, i32(b, count)), [&](OpBuilder &b, Location loc) {
      for (auto [column, size] : parts) {
        Type zeros = VectorType::get({size / 2}, b.getI32Type());
        Value within = column % kChunk == 0 ? Value() : i32(b, column % kChunk * 2);
        storeTo(b, loc, arith::ConstantOp::create(b, loc, b.getZeroAttr(zeros)),
                all.addressOf(b, loc, base, within, row, i32(b, column / kChunk)));
      }
      scf::YieldOp::create(b, loc);
    });
  }
}

void FlashAttentionEmitter::copyKeys(OpBuilder &b, Value memref, const SwizzledTile &tile, Value firstKey,
                                     Value stage) {
  issueCopies(b, memref, tile, mul(b, stage, stageBytes),
              [&](OpBuilder &b, Value row) { return toIndex(b, keyRow(b, add(b, firstKey, row))); });
}

void FlashAttentionEmitter::copyQueries(OpBuilder &b) {
  issueCopies(b, query, queryTile, Value(), [&](OpBuilder &b, Value row) {
    auto [s, head] = existingPlaceOf(b, toIndex(b, row));
    return queryRow(b, s, head);
  });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

SmallVector<Value> FlashAttentionEmitter::queryFragment(OpBuilder &b, int64_t k) {
  if (!isWide())
    return queryFragments[k];
  Value row = add(b, mul(b, warp, kMmaRows), rem(b, lane, kMmaRows)),
        chunk = add(b, div(b, lane, kMmaRows), i32(b, 2 * k % kLine));
  Value address =
      queryTile.addressOf(b, loc, base, Value(), row, chunk, /*below=*/0, /*right=*/2 * k / kLine * kLine);
  return loadMatrices(b, loc, address, /*transposed=*/false);
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
  for (int64_t k = 0; k < dims / kMmaDepth; ++k) {
    SmallVector<Value> fragment = queryFragment(b, k);
    for (int64_t j = 0; j < keys; j += 2 * kMmaColumns) {
      Value chunk = add(b, half, i32(b, 2 * k % kLine));
      SmallVector<Value> factors =
          loadMatrices(b, loc, keyTile.addressOf(b, loc, base, shift, row, chunk, j, 2 * k / kLine * kLine),
                       /*transposed=*/false);
      for (int64_t n = 0; n < 2; ++n) {
        MutableArrayRef<Value> place = MutableArrayRef(scores).slice((j / kMmaColumns + n) * 4, 4);
        llvm::copy(multiplyFragments(b, loc, type, fragment, ValueRange(factors).slice(2 * n, 2), place),
                   place.begin());
      }
    }
  }
  return scores;
}

void FlashAttentionEmitter::multiplyValues(OpBuilder &b, Value stage, ArrayRef<Value> weights,
                                           FlashState &carried) {
  Value shift = arith::MulIOp::create(b, loc, stage, i32(b, stageBytes));
  Value row = arith::RemUIOp::create(b, loc, lane, i32(b, 16)),
        side = arith::DivUIOp::create(b, loc, lane, i32(b, 16));
  for (int64_t k = 0; k < keys / kMmaDepth; ++k) {
    SmallVector<Value> left = packWeights(b, weights, k);
    for (int64_t d = 0; d < dims / kMmaColumns; d += 2) {
      SmallVector<Value> factors =
          loadMatrices(b, loc,
                       valueTile.addressOf(b, loc, base, shift, row, add(b, side, i32(b, d % kLine)),
                                           k * kMmaDepth, d / kLine * kLine),
                       /*transposed=*/true);
      for (int64_t n = 0; n < 2 && (d + n) * kMmaColumns < headDim; ++n) {
        MutableArrayRef<Value> place = MutableArrayRef(carried.sums).slice((d + n) * 4, 4);
        llvm::copy(multiplyFragments(b, loc, type, left, ValueRange(factors).slice(2 * n, 2), place),
                   place.begin());
      }
    }
  }
}
