//===- AttentionSoftmax.cpp - scores to weights ----------------------------===//
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

#include "codegen/CPU/Exp2.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

/// Scores with scale and cap.
Value AttentionEmitter::capScore(OpBuilder &b, Value score) {
  double scale = op.getScale().convertToDouble();
  if (op.getSoftcap()) {
    double cap = op.getSoftcap()->convertToDouble();
    Value inner = arith::MulFOp::create(b, loc, score, splat(b, scale / cap));
    score = arith::MulFOp::create(b, loc, math::TanhOp::create(b, loc, inner), splat(b, cap));
  } else {
    score = arith::MulFOp::create(b, loc, score, splat(b, scale));
  }
  return score;
}

/// Scores of keys j, j + 1, … with scale, cap and bias.
Value AttentionEmitter::finishScore(OpBuilder &b, Value score, Value row, Value j) {
  score = capScore(b, score);
  if (!op.getBias())
    return score;
  auto type = cast<RankedTensorType>(op.getBias().getType());
  Value zero = constant(b, 0), memref = context.argument(op.getBias());
  auto [s, head] = positionAndHead(b, task, row);
  SmallVector<Value> at{type.getDimSize(0) == 1 ? zero : task.batch, type.getDimSize(1) == 1 ? zero : head, s,
                        j};
  VectorType stored = vectorOf(lanes, type.getElementType());
  Value left = arith::SubIOp::create(b, loc, memref::DimOp::create(b, loc, memref, 3), j);
  Value exists = vector::CreateMaskOp::create(b, loc, vectorOf(lanes, b.getI1Type()), left);
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(stored));
  Value bias = widen(b, loc, vector::MaskedLoadOp::create(b, loc, stored, memref, at, exists, none));
  // A bias may be -inf; what it hides counts nothing.
  return maximum(b, arith::AddFOp::create(b, loc, score, bias), splat(b, kHidden));
}

/// kHidden for the keys from j on that the row does not see, or the tile does not hold.
Value AttentionEmitter::hideScore(OpBuilder &b, Value score, Value row, Value j) {
  auto [low, high] = rangeOf(b, row);
  high = arith::MinSIOp::create(b, loc, high, tileEnd);
  Value lane = arith::ConstantOp::create(
      b, loc, b.getI32VectorAttr(llvm::to_vector(llvm::seq<int32_t>(0, static_cast<int32_t>(lanes)))));
  auto distance = [&](Value bound) {
    Value keys = arith::SubIOp::create(b, loc, bound, j);
    return splat(b, Value(arith::IndexCastOp::create(b, loc, b.getI32Type(), keys)));
  };
  Value visible = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, lane, distance(high));
  if (op.getMask().getKind() == MaskKind::Window) {
    Value late = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sge, lane, distance(low));
    visible = arith::AndIOp::create(b, loc, visible, late);
  }
  return arith::SelectOp::create(b, loc, visible, score, splat(b, kHidden));
}

/// One instruction of x86, which `maximumf` is not in a loop, whatever its flags. A NaN among
/// scores may be lost here; it is in the sum of the weights.
Value AttentionEmitter::maximum(OpBuilder &b, Value x, Value y) {
  Value larger = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, x, y);
  return arith::SelectOp::create(b, loc, larger, x, y);
}

/// The largest score of the vectors [from, to) of one row, and of those in `before`; keys that the row does
/// not see are hidden where it may not see all.
Value AttentionEmitter::largestScore(OpBuilder &b, Value row, Value inTile, Value begin, Value from, Value to,
                                     Value before, bool isMasked) {
  auto next = [&](OpBuilder &b, Location loc, Value j, ValueRange carried) {
    Value s = vector::LoadOp::create(b, loc, f32Vector(b), scores, ValueRange{inTile, j});
    Value key = arith::AddIOp::create(b, loc, begin, j);
    if (isGeneral())
      s = finishScore(b, s, row, key);
    if (isMasked)
      s = hideScore(b, s, row, key);
    if (isGeneral() || isMasked)
      vector::StoreOp::create(b, loc, s, scores, ValueRange{inTile, j});
    scf::YieldOp::create(b, loc, maximum(b, carried[0], s));
  };
  return scf::ForOp::create(b, loc, from, to, constant(b, lanes), before, next).getResult(0);
}

/// The new maximum of one row and the correction of what it has. Only the vectors where its range of keys
/// begins and ends are compared with it.
void AttentionEmitter::updateMaximum(OpBuilder &b, Value row, Value inTile, Value begin, Columns columns) {
  auto [low, high] = rangeOf(b, row);
  Value before = memref::LoadOp::create(b, loc, maxima, row);
  // Of the tile's columns; a row may see none of them.
  auto column = [&](Value key) -> Value {
    Value at = arith::SubIOp::create(b, loc, key, begin);
    at = arith::MaxSIOp::create(b, loc, at, columns.first);
    return arith::MinSIOp::create(b, loc, at, columns.last);
  };
  Value begins = columns.first;
  Value ends = roundDown(b, column(arith::MinSIOp::create(b, loc, high, tileEnd)), constant(b, lanes));
  Value largest = splat(b, before);
  if (op.getMask().getKind() == MaskKind::Window) {
    begins = roundDown(b, addIndex(b, loc, column(low), lanes - 1), constant(b, lanes));
    ends = arith::MaxUIOp::create(b, loc, begins, ends);
    largest = largestScore(b, row, inTile, begin, columns.first, begins, largest, /*isMasked=*/true);
  }
  largest = largestScore(b, row, inTile, begin, begins, ends, largest, /*isMasked=*/false);
  largest = largestScore(b, row, inTile, begin, ends, columns.last, largest, /*isMasked=*/true);
  Value most = vector::ReductionOp::create(b, loc, vector::CombiningKind::MAXIMUMF, largest, Value(),
                                           arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
  Value less = arith::MulFOp::create(b, loc, arith::SubFOp::create(b, loc, before, most),
                                     constantF32(b, loc, factor()));
  memref::StoreOp::create(b, loc, emitExp2(b, loc, less, kExp2), corrections, inTile);
  memref::StoreOp::create(b, loc, most, maxima, row);
}

/// The weights of one row from its scores and its maximum, and its new sum.
void AttentionEmitter::weighRow(OpBuilder &b, Value row, Value inTile, Columns columns) {
  auto contract = arith::FastMathFlags::contract;
  Value most = memref::LoadOp::create(b, loc, maxima, row);
  Value scale = splat(b, factor());
  Value shift = splat(b, Value(arith::MulFOp::create(b, loc, most, constantF32(b, loc, factor()))));
  ArrayRef<double> coefficients = valueDepth > 1 ? ArrayRef(kExp2Short) : ArrayRef(kExp2);
  auto summed = scf::ForOp::create(
      b, loc, columns.first, columns.last, constant(b, lanes), ValueRange{splat(b, 0.0)},
      [&](OpBuilder &b, Location loc, Value j, ValueRange carried) {
        Value s = vector::LoadOp::create(b, loc, f32Vector(b), scores, ValueRange{inTile, j});
        Value x =
            arith::SubFOp::create(b, loc, arith::MulFOp::create(b, loc, s, scale, contract), shift, contract);
        Value p = emitExp2(b, loc, x, coefficients);
        Value stored =
            valueDepth > 1 ? Value(arith::TruncFOp::create(b, loc, vectorOf(lanes, valueOperand), p)) : p;
        vector::StoreOp::create(b, loc, stored, weights, ValueRange{inTile, j});
        scf::YieldOp::create(b, loc, Value(arith::AddFOp::create(b, loc, carried[0], p)));
      });
  Value correction = memref::LoadOp::create(b, loc, corrections, inTile);
  Value sum = arith::MulFOp::create(b, loc, memref::LoadOp::create(b, loc, sums, row), correction);
  sum = arith::AddFOp::create(b, loc, sum,
                              horizontal(b, loc, vector::CombiningKind::ADD, summed.getResult(0), Value()));
  memref::StoreOp::create(b, loc, sum, sums, row);
}

/// The weights of a register tile's rows, their maxima, sums and corrections. All maxima come first: a row's
/// weights wait for its own, and the next row's loop begins before this one's has ended.
void AttentionEmitter::softmaxRows(OpBuilder &b, RowTile tile, Value begin, Columns columns) {
  // Whole vectors; what is behind the range of a row is hidden.
  Value vectors = arith::CeilDivUIOp::create(b, loc, columns.last, constant(b, lanes));
  columns.last = arith::MulIOp::create(b, loc, vectors, constant(b, lanes));
  auto forRows = [&](function_ref<void(OpBuilder &, Value, Value)> body) {
    forLoop(b, constant(b, 0), constant(b, tile.count), 1,
            [&](OpBuilder &b, Value i) { body(b, arith::AddIOp::create(b, loc, tile.first, i), i); });
  };
  forRows([&](OpBuilder &b, Value row, Value i) { updateMaximum(b, row, i, begin, columns); });
  forRows([&](OpBuilder &b, Value row, Value i) { weighRow(b, row, i, columns); });
}
