//===- AttentionRows.cpp - rows of queries in fragments ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/AttentionRows.h"

#include "codegen/Common/RowEmitter.h"
#include "codegen/GPU/MmaFragments.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

void AttentionRows::beginRows(OpBuilder &b, Value firstRow) {
  Value inWarp = toIndex(b, arith::DivUIOp::create(b, loc, lane, i32(b, 4)));
  for (int i = 0; i < 2; ++i) {
    ownRow[i] = addIndex(b, loc, add(b, firstRow, inWarp), 8 * i);
    std::tie(low[i], high[i]) = rangeOfRow(b, ownRow[i]);
  }
  warpHigh = rangeOfRow(b, firstRow).second;
  warpLow = rangeOfRow(b, addIndex(b, loc, firstRow, kMmaRows - 1)).first;
}

//===----------------------------------------------------------------------===//
// Scores and weights
//===----------------------------------------------------------------------===//

SmallVector<Value> AttentionRows::finishScores(OpBuilder &b, SmallVector<Value> scores, Value firstKey) {
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

SmallVector<Value> AttentionRows::maskScores(OpBuilder &b, SmallVector<Value> scores, Value firstKey) {
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

RowState AttentionRows::emptyState(OpBuilder &b) {
  return {{f32(b, kNothing), f32(b, kNothing)}, {f32(b, 0.0), f32(b, 0.0)}};
}

void AttentionRows::weigh(OpBuilder &b, SmallVector<Value> &scores, RowState &state,
                          Value (&corrections)[2]) {
  Value scale = f32(b, factor());
  for (int i = 0; i < 2; ++i) {
    Value highest = state.maximum[i];
    for (auto [n, score] : llvm::enumerate(scores))
      if (static_cast<int>(n / 2 % 2) == i)
        highest = maxF(b, highest, score);
    highest = reduceLanes(b, loc, vector::CombiningKind::MAXNUMF, highest, 4);
    Value difference = arith::SubFOp::create(b, loc, state.maximum[i], highest);
    corrections[i] = exp2(b, mulF(b, difference, scale));
    Value offset = arith::NegFOp::create(b, loc, mulF(b, highest, scale));
    state.maximum[i] = highest;
    Value total = mulF(b, state.total[i], corrections[i]);
    for (auto [n, score] : llvm::enumerate(scores))
      if (static_cast<int>(n / 2 % 2) == i) {
        score = exp2(b, addF(b, mulF(b, score, scale), offset));
        total = addF(b, total, score);
      }
    state.total[i] = total; // of this lane's keys; the lanes are added up at the end
  }
}

void AttentionRows::correct(OpBuilder &b, SmallVector<Value> &sums, const Value (&corrections)[2]) {
  for (auto [n, sum] : llvm::enumerate(sums))
    sum = mulF(b, sum, corrections[n / 2 % 2]);
}

SmallVector<Value> AttentionRows::packWeights(OpBuilder &b, ArrayRef<Value> weights, int64_t k) {
  SmallVector<Value> left;
  for (int64_t half = 0; half < 2; ++half)
    for (int64_t i = 0; i < 2; ++i) {
      int64_t n = (2 * k + half) * 4 + 2 * i;
      left.push_back(packPair(b, loc, type, weights[n], weights[n + 1]));
    }
  return left;
}

void AttentionRows::storeRows(OpBuilder &b, ArrayRef<Value> sums, const RowState &state) {
  Type element = getElementTypeOrSelf(op.getType());
  Value column =
      toIndex(b, arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, lane, i32(b, 4)), i32(b, 2)));
  auto pair = VectorType::get({2}, b.getF32Type());
  for (int i = 0; i < 2; ++i) {
    Value total = reduceLanes(b, loc, vector::CombiningKind::ADD, state.total[i], 4);
    Value inverse = inverseOf(b, total);
    auto [s, head] = placeOf(b, ownRow[i]);
    scf::IfOp::create(b, loc, exists(b, ownRow[i], s), [&, s = s, head = head](OpBuilder &b, Location loc) {
      auto store = [&](OpBuilder &b, int64_t n, Value at) {
        Value both = vector::FromElementsOp::create(
            b, loc, pair,
            ValueRange{mulF(b, sums[n * 4 + 2 * i], inverse), mulF(b, sums[n * 4 + 2 * i + 1], inverse)});
        storeElements(b, loc, convertTo(b, loc, both, element), context.out(), {batch, s, head, at}, Value());
      };
      for (int64_t n = 0; n * kMmaColumns < headDim; ++n) {
        Value at = addIndex(b, loc, column, n * kMmaColumns);
        if ((n + 1) * kMmaColumns <= headDim)
          store(b, n, at);
        else
          ifBelow(b, loc, at, index(b, headDim), [&](OpBuilder &b) { store(b, n, at); });
      }
      scf::YieldOp::create(b, loc);
    });
  }
}
