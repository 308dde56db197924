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

void AttentionEmitter::emitRowTile(OpBuilder &b, RowTile tile, Value begin, Value end) {
  // The last row sees the most; keys behind them are not computed for any. Of a window, the first row sees
  // the earliest; panels in front of them are not computed either.
  Value high = rangeOf(b, addIndex(b, loc, tile.first, tile.count - 1)).second;
  Columns columns{constant(b, 0),
                  arith::SubIOp::create(b, loc, arith::MinSIOp::create(b, loc, end, high), begin)};
  if (op.getMask().getKind() == MaskKind::Window) {
    Value low = arith::SubIOp::create(b, loc, rangeOf(b, tile.first).first, begin);
    low = arith::MaxSIOp::create(b, loc, low, columns.first);
    columns.first = arith::SubIOp::create(b, loc, low, panelOf(b, low).second);
  }
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, columns.last, columns.first);
  scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
    if (tile.count == tileRows)
      prefetchNext(b, tile);
    Value isLast = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, end, high);
    scf::IfOp::create(b, loc, isLast, [&](OpBuilder &b, Location loc) {
      forLoop(b, constant(b, 0), constant(b, tile.count), 1, [&](OpBuilder &b, Value i) {
        prefetchResult(b, arith::AddIOp::create(b, loc, tile.first, i));
      });
      scf::YieldOp::create(b, loc);
    });
    computeScores(b, tile, columns);
    softmaxRows(b, tile, begin, columns);
    accumulateValues(b, tile, columns);
    scf::YieldOp::create(b, loc);
  });
}

/// scores[i, j] = q_i . k_j: whole tiles of columns, then one vector at a time.
void AttentionEmitter::computeScores(OpBuilder &b, RowTile tile, Columns columns) {
  MicroKernel::Rows rows{q, {}};
  for (int64_t i = 0; i < tile.count; ++i)
    rows.leading.push_back({addIndex(b, loc, tile.first, i)});
  auto loop = [&](Value from, Value to, int64_t vectors) {
    MicroKernel kernel(loc, lanes, vectors, depth, unroll);
    forLoop(b, from, to, vectors * lanes, [&](OpBuilder &b, Value column) {
      auto [panel, inPanel] = panelOf(b, column);
      SmallVector<Value> sums =
          kernel.run(b, rows, MicroKernel::Columns{kt, {panel}, inPanel}, constant(b, 0), constant(b, words),
                     words % unroll == 0, kernel.zeros(b, tile.count));
      for (auto [n, sum] : llvm::enumerate(sums))
        vector::StoreOp::create(
            b, loc, sum, scores,
            ValueRange{constant(b, n / vectors), addIndex(b, loc, column, n % vectors * lanes)});
    });
  };
  Value rest = arith::RemUIOp::create(b, loc, columns.last, constant(b, tileColumns));
  Value whole = arith::SubIOp::create(b, loc, columns.last, rest);
  loop(columns.first, whole, tileColumns / lanes);
  loop(whole, columns.last, 1);
}

/// output = correction * output + weights * values.
void AttentionEmitter::accumulateValues(OpBuilder &b, RowTile tile, Columns columns) {
  Value depth = constant(b, valueDepth);
  Value firstStep = arith::DivUIOp::create(b, loc, columns.first, depth);
  Value lastStep = arith::CeilDivUIOp::create(b, loc, columns.last, depth);
  MicroKernel::Rows rows{weights, {}};
  for (int64_t i = 0; i < tile.count; ++i)
    rows.leading.push_back({constant(b, i)});
  auto emitColumns = [&](OpBuilder &b, Value d, int64_t vectors) {
    MicroKernel kernel(loc, lanes, vectors, valueDepth, unroll);
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
    SmallVector<Value> sums = kernel.run(
        b, rows, MicroKernel::Columns{vp, {panelOf(b, d).first}, constant(b, 0)}, firstStep, lastStep,
        /*isWhole=*/false, held);
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
