//===- AttentionKeys.cpp - tiles of keys and values ------------------------===//
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

/// Where column `column` of key or value `row` of a task's head stands in its memref.
SmallVector<Value> AttentionEmitter::keyIndices(const Task &of, Value row, Value column) {
  if (op.getCache())
    return {of.batch, of.kvHead, row, column};
  return {of.batch, row, of.kvHead, column};
}

/// `width` elements at `column` of key or value `j` of the tile, as elements of type
/// `as`; zeros from the `left`-th on.
Value AttentionEmitter::loadRow(OpBuilder &b, Value memref, Value j, Value column, int64_t width,
                                int64_t left, Type as) {
  Type stored = cast<MemRefType>(memref.getType()).getElementType();
  VectorType type = vectorOf(width, stored);
  SmallVector<Value> at = keyIndices(task, arith::AddIOp::create(b, loc, place, j), column);
  if (isComputed(memref))
    at = {constant(b, 0), j, constant(b, 0), column};
  Value x;
  if (left < width) {
    Value mask = vector::CreateMaskOp::create(b, loc, vectorOf(width, b.getI1Type()), constant(b, left));
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    x = vector::MaskedLoadOp::create(b, loc, type, memref, at, mask, zero);
  } else {
    x = vector::LoadOp::create(b, loc, type, memref, at);
  }
  return stored == as ? x : widen(b, loc, x);
}

/// Keys or values of the tile from the `first`-th on as [count, D], where they are.
Value AttentionEmitter::rowsOf(OpBuilder &b, Value memref, Value first, Value count) {
  OpFoldResult one = b.getIndexAttr(1), zero = b.getIndexAttr(0), dim = b.getIndexAttr(headDim);
  OpFoldResult at = arith::AddIOp::create(b, loc, place, first).getResult();
  SmallVector<OpFoldResult> offsets{task.batch, task.kvHead, at, zero}, sizes{one, one, count, dim};
  if (!op.getCache()) {
    std::swap(offsets[1], offsets[2]);
    std::swap(sizes[1], sizes[2]);
  }
  if (isComputed(memref))
    offsets = {zero, first, zero, zero};
  SmallVector<OpFoldResult> strides(4, one);
  SmallVector<int64_t> shape{ShapedType::kDynamic, headDim};
  auto type = cast<MemRefType>(memref::SubViewOp::inferRankReducedResultType(
      shape, cast<MemRefType>(memref.getType()), offsets, sizes, strides));
  return memref::SubViewOp::create(b, loc, type, memref, offsets, sizes, strides);
}

/// Transposes a square of vectors by exchanging ever larger halves.
static void transposeSquare(OpBuilder &b, Location loc, SmallVector<Value> &rows) {
  int64_t n = rows.size();
  for (int64_t s = 1; s < n; s *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < n; ++lane) {
      bool first = (lane & s) == 0;
      low.push_back(first ? lane : n + lane - s);
      high.push_back(first ? lane + s : n + lane);
    }
    for (int64_t i = 0; i < n; ++i) {
      if (i & s)
        continue;
      Value a = rows[i], c = rows[i + s];
      rows[i] = vector::ShuffleOp::create(b, loc, a, c, low);
      rows[i + s] = vector::ShuffleOp::create(b, loc, a, c, high);
    }
  }
}

/// kt[p, w, j] = word w of key p * tileColumns + j of the tile, for squares of `lanes`
/// keys and words. A panel of keys lies in a row, so that it fills the cache evenly.
void AttentionEmitter::packKeys(OpBuilder &b, Value count) {
  Value last = addIndex(b, loc, count, -1);
  auto square = [&](OpBuilder &b, Value j, Value w, int64_t left) {
    Value column = depth == 1 ? w : Value(arith::MulIOp::create(b, loc, w, constant(b, depth)));
    SmallVector<Value> rows;
    for (int64_t i = 0; i < lanes; ++i) {
      // Keys behind the last repeat it; their scores are hidden.
      Value at = arith::MinUIOp::create(b, loc, addIndex(b, loc, j, i), last);
      Value row = loadRow(b, key, at, column, lanes * depth, left * depth, operand);
      rows.push_back(depth > 1 ? Value(vector::BitCastOp::create(b, loc, f32Vector(b), row)) : row);
    }
    transposeSquare(b, loc, rows);
    auto [panel, inPanel] = panelOf(b, j);
    Value at = depth == 1 ? inPanel : Value(arith::MulIOp::create(b, loc, inPanel, constant(b, depth)));
    for (auto [i, row] : llvm::enumerate(rows)) {
      Value x =
          depth > 1 ? Value(vector::BitCastOp::create(b, loc, vectorOf(lanes * depth, operand), row)) : row;
      vector::StoreOp::create(b, loc, x, kt, ValueRange{panel, addIndex(b, loc, w, i), at});
    }
  };
  int64_t whole = words / lanes * lanes;
  forLoop(b, constant(b, 0), count, lanes, [&](OpBuilder &b, Value j) {
    if (whole > 0)
      forLoop(b, constant(b, 0), constant(b, whole), lanes,
              [&](OpBuilder &b, Value w) { square(b, j, w, lanes); });
    if (whole < words)
      square(b, j, constant(b, whole), words - whole);
  });
}

/// vp[d / tileColumns, j / depth, d % tileColumns, j % depth] = value j of the tile at d:
/// a panel is read from front to back, once for each register tile of rows. In decoding,
/// where heads fill no vectors, values lie as they do: vp[j, d].
void AttentionEmitter::packValues(OpBuilder &b, Value count) {
  Value last = addIndex(b, loc, count, -1);
  forLoop(b, constant(b, 0), count, valueDepth, [&](OpBuilder &b, Value j) {
    Value step = valueDepth > 1 ? Value(arith::DivUIOp::create(b, loc, j, constant(b, valueDepth))) : j;
    for (int64_t d = 0; d < headDim; d += lanes) {
      int64_t left = std::min(lanes, headDim - d);
      Value x = loadRow(b, value, j, constant(b, d), lanes, left, valueOperand);
      if (valueDepth > 1) {
        Value next = arith::MinUIOp::create(b, loc, addIndex(b, loc, j, 1), last);
        x = vector::InterleaveOp::create(b, loc, x,
                                         loadRow(b, value, next, constant(b, d), lanes, left, valueOperand));
      }
      if (isDecode())
        vector::StoreOp::create(b, loc, x, vp, ValueRange{step, constant(b, d)});
      else
        vector::StoreOp::create(
            b, loc, x, vp,
            ValueRange{constant(b, d / tileColumns), step, constant(b, d % tileColumns * valueDepth)});
    }
  });
}

/// The rows of a tile of keys or values that are no argument.
void AttentionEmitter::computeRows(OpBuilder &b, Value tensor, Value target, Value begin, Value count) {
  if (!target)
    return;
  RowEmitter emitter(context, tensor, lanes);
  forLoop(b, constant(b, 0), count, 1, [&](OpBuilder &b, Value j) {
    Value zero = constant(b, 0), at = arith::AddIOp::create(b, loc, begin, j);
    emitter.emit(b, {task.batch, at, task.kvHead}, [&](OpBuilder &b, Value x, LaneIndex column, Value mask) {
      storeElements(b, loc, x, target, {zero, j, zero, column.base}, mask);
    });
  });
}

void AttentionEmitter::emitKeyTile(OpBuilder &b, Value begin, Value end) {
  Value count = arith::SubIOp::create(b, loc, end, begin);
  tileEnd = end;
  computeRows(b, op.getKey(), keyRows, begin, count);
  computeRows(b, op.getValue(), valueRows, begin, count);
  if (!isDecode())
    packKeys(b, count);
  if (copiesValues)
    packValues(b, count);
  if (isDecode())
    return decodeTile(b, begin, count);
  findNext(b, begin, end);
  forRowTiles(b, [&](OpBuilder &b, RowTile tile) { emitRowTile(b, tile, begin, end); });
}
