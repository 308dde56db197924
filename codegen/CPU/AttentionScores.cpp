//===- AttentionScores.cpp - the two products of attention -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/AttentionEmitter.h"

#include "codegen/CPU/MicroKernel.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

/// Asks for a row tile's share of the next tile's keys and values, that each task packs: rows of the other
/// heads lie between them, so no hardware sees a stream.
void AttentionEmitter::prefetchNextTile(OpBuilder &b, RowTile tile) {
  if (tile.count < tileRows)
    return;
  int64_t share = llvm::divideCeilSigned(blockKeys, std::max<int64_t>(blockPositions * group / tileRows, 1));
  Value first = arith::MulIOp::create(
      b, loc, arith::DivUIOp::create(b, loc, tile.first, constant(b, tileRows)), constant(b, share));
  for (int64_t i = 0; i < share; ++i)
    for (Value memref : {key, value})
      if (!isComputed(memref))
        prefetch(b, memref, addIndex(b, loc, first, blockKeys + i), constant(b, 0), headDim);
}

void AttentionEmitter::emitRowTile(OpBuilder &b, RowTile tile, Value begin, Value end) {
  prefetchNextTile(b, tile);
  // The last row sees the most; keys behind them are not computed for any.
  Value high = rangeOf(b, addIndex(b, loc, tile.first, tile.count - 1)).second;
  Value columns = arith::SubIOp::create(b, loc, arith::MinSIOp::create(b, loc, end, high), begin);
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, columns, constant(b, 0));
  scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
    computeScores(b, tile, columns);
    forLoop(b, constant(b, 0), constant(b, tile.count), 1, [&](OpBuilder &b, Value i) {
      softmaxRow(b, arith::AddIOp::create(b, loc, tile.first, i), i, begin, columns);
    });
    accumulateValues(b, tile, columns);
    scf::YieldOp::create(b, loc);
  });
}

/// scores[i, j] = q_i . k_j: whole tiles of columns, then one vector at a time.
void AttentionEmitter::computeScores(OpBuilder &b, RowTile tile, Value columns) {
  MicroKernel::Rows rows{q, {}};
  for (int64_t i = 0; i < tile.count; ++i)
    rows.leading.push_back({addIndex(b, loc, tile.first, i)});
  auto loop = [&](Value from, Value to, int64_t vectors) {
    MicroKernel kernel(loc, lanes, vectors, depth);
    forLoop(b, from, to, vectors * lanes, [&](OpBuilder &b, Value column) {
      auto [panel, inPanel] = panelOf(b, column);
      SmallVector<Value> sums = kernel.run(b, rows, {kt, {panel}, inPanel}, constant(b, 0),
                                           constant(b, words), words % 2 == 0, kernel.zeros(b, tile.count));
      for (auto [n, sum] : llvm::enumerate(sums))
        vector::StoreOp::create(
            b, loc, sum, scores,
            ValueRange{constant(b, n / vectors), addIndex(b, loc, column, n % vectors * lanes)});
    });
  };
  Value rest = arith::RemUIOp::create(b, loc, columns, constant(b, tileColumns));
  Value whole = arith::SubIOp::create(b, loc, columns, rest);
  loop(constant(b, 0), whole, tileColumns / lanes);
  loop(whole, columns, 1);
}

/// output = correction * output + weights * values.
void AttentionEmitter::accumulateValues(OpBuilder &b, RowTile tile, Value columns) {
  Value steps =
      valueDepth > 1 ? Value(arith::CeilDivUIOp::create(b, loc, columns, constant(b, valueDepth))) : columns;
  MicroKernel::Rows rows{weights, {}};
  for (int64_t i = 0; i < tile.count; ++i)
    rows.leading.push_back({constant(b, i)});
  auto emitColumns = [&](OpBuilder &b, Value d, int64_t vectors) {
    MicroKernel kernel(loc, lanes, vectors, valueDepth);
    SmallVector<Value> held;
    for (int64_t i = 0; i < tile.count; ++i) {
      Value correction = splat(b, memref::LoadOp::create(b, loc, corrections, constant(b, i)));
      for (int64_t v = 0; v < vectors; ++v) {
        Value o = vector::LoadOp::create(
            b, loc, f32Vector(b), output,
            ValueRange{addIndex(b, loc, tile.first, i), addIndex(b, loc, d, v * lanes)});
        held.push_back(arith::MulFOp::create(b, loc, o, correction));
      }
    }
    SmallVector<Value> sums =
        kernel.run(b, rows, {vp, {panelOf(b, d).first}, constant(b, 0)}, constant(b, 0), steps,
                   /*isEven=*/false, held);
    for (auto [n, sum] : llvm::enumerate(sums))
      vector::StoreOp::create(
          b, loc, sum, output,
          ValueRange{addIndex(b, loc, tile.first, n / vectors), addIndex(b, loc, d, n % vectors * lanes)});
  };
  int64_t whole = paddedDim / tileColumns * tileColumns;
  if (whole > 0)
    forLoop(b, constant(b, 0), constant(b, whole), tileColumns,
            [&](OpBuilder &b, Value d) { emitColumns(b, d, tileColumns / lanes); });
  if (whole < paddedDim)
    emitColumns(b, constant(b, whole), (paddedDim - whole) / lanes);
}
