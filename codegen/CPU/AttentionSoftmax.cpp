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
  auto [s, head] = positionAndHead(b, row);
  SmallVector<Value> at{type.getDimSize(0) == 1 ? zero : batch, type.getDimSize(1) == 1 ? zero : head, s, j};
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

/// The weights of one row from its scores; its maximum, and the sum of the new weights.
std::pair<Value, Value> AttentionEmitter::weighRow(OpBuilder &b, Value row, Value inTile, Value begin,
                                                   Value padded, Value before, bool isMasked) {
  using Kind = vector::CombiningKind;
  Value zero = constant(b, 0);
  auto largest = scf::ForOp::create(b, loc, zero, padded, constant(b, lanes), ValueRange{splat(b, before)},
                                    [&](OpBuilder &b, Location loc, Value j, ValueRange carried) {
                                      Value s = vector::LoadOp::create(b, loc, f32Vector(b), scores,
                                                                       ValueRange{inTile, j});
                                      Value key = arith::AddIOp::create(b, loc, begin, j);
                                      if (isGeneral())
                                        s = finishScore(b, s, row, key);
                                      if (isMasked)
                                        s = hideScore(b, s, row, key);
                                      if (isGeneral() || isMasked)
                                        vector::StoreOp::create(b, loc, s, scores, ValueRange{inTile, j});
                                      scf::YieldOp::create(b, loc, maximum(b, carried[0], s));
                                    });
  Value most = vector::ReductionOp::create(b, loc, Kind::MAXIMUMF, largest.getResult(0), Value(),
                                           arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
  auto contract = arith::FastMathFlags::contract;
  Value scale = splat(b, factor());
  Value shift = splat(b, Value(arith::MulFOp::create(b, loc, most, constantF32(b, loc, factor()))));
  ArrayRef<double> coefficients = valueDepth > 1 ? ArrayRef(kExp2Short) : ArrayRef(kExp2);
  auto summed = scf::ForOp::create(
      b, loc, zero, padded, constant(b, lanes), ValueRange{splat(b, 0.0)},
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
  return {most, horizontal(b, loc, Kind::ADD, summed.getResult(0), Value())};
}

/// The weights of one row and its new maximum, sum and correction.
void AttentionEmitter::softmaxRow(OpBuilder &b, Value row, Value inTile, Value begin, Value columns) {
  // Whole vectors; what is behind the range of the row is hidden.
  Value padded = arith::MulIOp::create(
      b, loc, arith::CeilDivUIOp::create(b, loc, columns, constant(b, lanes)), constant(b, lanes));
  auto [low, high] = rangeOf(b, row);
  Value before = memref::LoadOp::create(b, loc, maxima, row);
  Value end = arith::AddIOp::create(b, loc, begin, padded);
  high = arith::MinSIOp::create(b, loc, high, tileEnd);
  Value seesAll =
      arith::AndIOp::create(b, loc, arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, end, high),
                            arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, low, begin));
  auto yield = [&](bool isMasked) {
    return [&, isMasked](OpBuilder &b, Location loc) {
      auto [most, sum] = weighRow(b, row, inTile, begin, padded, before, isMasked);
      scf::YieldOp::create(b, loc, ValueRange{most, sum});
    };
  };
  auto weighed = scf::IfOp::create(b, loc, seesAll, yield(false), yield(true));
  Value most = weighed.getResult(0);
  Value correction = emitExp2(b, loc,
                              arith::MulFOp::create(b, loc, arith::SubFOp::create(b, loc, before, most),
                                                    constantF32(b, loc, factor())),
                              kExp2);
  Value sum = arith::MulFOp::create(b, loc, memref::LoadOp::create(b, loc, sums, row), correction);
  sum = arith::AddFOp::create(b, loc, sum, weighed.getResult(1));
  memref::StoreOp::create(b, loc, sum, sums, row);
  memref::StoreOp::create(b, loc, most, maxima, row);
  memref::StoreOp::create(b, loc, correction, corrections, inTile);
}
