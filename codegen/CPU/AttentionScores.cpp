//===- AttentionScores.cpp - the two products of attention -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/AttentionEmitter.h"

#include "codegen/CPU/MicroKernel.h"
#include "codegen/CPU/RowEmitter.h"
#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

void AttentionEmitter::emitRowTile(OpBuilder &b, RowTile tile, Value begin, Value end) {
  // The last row sees the most; keys behind them are not computed for any.
  Value high = rangeOf(b, addIndex(b, loc, tile.first, tile.count - 1)).second;
  Value columns = arith::SubIOp::create(b, loc, arith::MinSIOp::create(b, loc, end, high), begin);
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, columns, constant(b, 0));
  scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
    isDecode() ? computeScoresInPlace(b, tile, columns) : computeScores(b, tile, columns);
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

/// sums[k][i] = q_i times key j + key + k, lane by lane and not added up, for `count`
/// keys: a query that was loaded is multiplied with all of them.
SmallVector<SmallVector<Value>> AttentionEmitter::multiplyKeys(OpBuilder &b, Value memref, Value j,
                                                               Value last, RowTile tile, int64_t key,
                                                               int64_t count) {
  SmallVector<Value> at;
  for (int64_t k = 0; k < count; ++k)
    at.push_back(arith::MinUIOp::create(b, loc, addIndex(b, loc, j, key + k), last));
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(f32Vector(b)));
  SmallVector<SmallVector<Value>> sums(count, SmallVector<Value>(tile.count));
  // Queries are read again for each group of keys: there are no registers to keep them in.
  Value first = MicroKernel::opaqueIndex(b, loc, tile.first, /*staysInLoop=*/true);
  for (int64_t d = 0; d < queryDim; d += lanes * depth) {
    SmallVector<Value> keys;
    for (Value row : at)
      keys.push_back(loadRow(b, memref, row, constant(b, d), lanes * depth, headDim - d, operand));
    for (int64_t i = 0; i < tile.count; ++i) {
      Value x = vector::LoadOp::create(b, loc, vectorOf(lanes * depth, operand), q,
                                       ValueRange{addIndex(b, loc, first, i), constant(b, d)});
      for (int64_t k = 0; k < count; ++k) {
        Value &sum = sums[k][i];
        sum = !sum && depth == 1 ? Value(arith::MulFOp::create(b, loc, x, keys[k]))
                                 : MicroKernel::multiplyAdd(b, loc, depth, x, keys[k], sum ? sum : none);
      }
    }
  }
  return sums;
}

/// One vector for each row of `tile`, whose lanes with the bits of `key` below `span`
/// hold, once the lanes with the other bits are added, q . k for the keys j + lane.
SmallVector<Value> AttentionEmitter::dotTree(OpBuilder &b, Value memref, Value j, Value last, RowTile tile,
                                             int64_t key, int64_t span) {
  auto add = [&](ArrayRef<Value> even, ArrayRef<Value> odd, int64_t span) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      bool first = (lane & span) == 0;
      low.push_back(first ? lane : lanes + lane - span);
      high.push_back(first ? lane + span : lanes + lane);
    }
    SmallVector<Value> sums;
    for (auto [x, y] : llvm::zip(even, odd))
      sums.push_back(arith::AddFOp::create(b, loc, vector::ShuffleOp::create(b, loc, x, y, low),
                                           vector::ShuffleOp::create(b, loc, x, y, high)));
    return sums;
  };
  int64_t together = keysTogether();
  if (span > together / 2) {
    SmallVector<Value> even = dotTree(b, memref, j, last, tile, key, span / 2),
                       odd = dotTree(b, memref, j, last, tile, key + span, span / 2);
    return add(even, odd, span);
  }
  SmallVector<SmallVector<Value>> sums = multiplyKeys(b, memref, j, last, tile, key, together);
  for (int64_t s = 1; s < together; s *= 2)
    for (int64_t k = 0; k < together; k += 2 * s)
      sums[k] = add(sums[k], sums[k + s], s);
  return sums[0];
}

/// The same for a few rows, from keys where they are.
void AttentionEmitter::computeScoresInPlace(OpBuilder &b, RowTile tile, Value columns) {
  // Rows whose sums and tree fit the registers.
  int64_t most = std::min<int64_t>(tileColumns / lanes + 1, 4);
  Value last = addIndex(b, loc, columns, -1);
  forLoop(b, constant(b, 0), columns, lanes, [&](OpBuilder &b, Value j) {
    for (int64_t i = 0; i < tile.count; i += most) {
      RowTile part{addIndex(b, loc, tile.first, i), std::min(most, tile.count - i)};
      for (auto [n, sum] : llvm::enumerate(dotTree(b, key, j, last, part, 0, lanes / 2)))
        vector::StoreOp::create(b, loc, sum, scores, ValueRange{constant(b, i + n), j});
    }
  });
}

/// output = correction * output + weights * values.
void AttentionEmitter::accumulateValues(OpBuilder &b, RowTile tile, Value columns) {
  Value steps =
      valueDepth > 1 ? Value(arith::CeilDivUIOp::create(b, loc, columns, constant(b, valueDepth))) : columns;
  Value values = copiesValues ? vp : tileOf(b, value, columns);
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
        kernel.run(b, rows, {values, {}, d}, constant(b, 0), steps, /*isEven=*/false, held);
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
