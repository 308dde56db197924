//===- AttentionRows.cpp - rows of queries in fragments ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/AttentionRows.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/RowEmitter.h"
#include "codegen/GPU/MmaFragments.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

AttentionRows::AttentionRows(GPUKernelContext &context, AttentionOp op)
    : AttentionKernel(context, op), type(shape.query), rows(context.config.getTile()[0]),
      keys(context.config.getTile()[1]), positionsOfBlock(rows / group),
      threads(context.config.getThreads()) {}

void AttentionRows::beginBlock(OpBuilder &b) {
  int64_t out = context.numberOf(context.spec.getArguments().back());
  setGrid(context.kernel, {{out, 0, 1}, {out, 2, group}, {out, 1, positionsOfBlock}});
  thread = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), threadIndex(b, loc, threads));
  lane = arith::RemUIOp::create(b, loc, thread, i32(b, kWarp));
  Value batches = memref::DimOp::create(b, loc, context.out(), 0);
  Value count = memref::DimOp::create(b, loc, context.out(), 1);
  Value blocks = arith::CeilDivUIOp::create(b, loc, count, index(b, positionsOfBlock));
  SmallVector<Value> at =
      delinearizeSmall(b, loc, blockIndex(b, loc), {batches, b.getIndexAttr(kvHeads), blocks});
  beginSequence(b, at[0], at[1]);
  // The last positions see the most keys: they begin first.
  Value turned = arith::SubIOp::create(b, loc, arith::SubIOp::create(b, loc, blocks, index(b, 1)), at[2]);
  firstPosition = arith::MulIOp::create(b, loc, turned, index(b, positionsOfBlock));
}

void AttentionRows::beginRows(OpBuilder &b, Value firstRow) {
  Value inWarp = toIndex(b, arith::DivUIOp::create(b, loc, lane, i32(b, 4)));
  for (int i = 0; i < 2; ++i) {
    ownRow[i] = addIndex(b, loc, add(b, firstRow, inWarp), 8 * i);
    std::tie(low[i], high[i]) = rangeOfRow(b, ownRow[i]);
  }
  warpHigh = rangeOfRow(b, firstRow).second;
  warpLow = rangeOfRow(b, addIndex(b, loc, firstRow, kMmaRows - 1)).first;
}

std::pair<Value, Value> AttentionRows::rangeOfBlock(OpBuilder &b) {
  Value begin = rangeOfRow(b, index(b, 0)).first,
        end = rangeOfRow(b, index(b, positionsOfBlock * group - 1)).second;
  return {arith::SubIOp::create(b, loc, begin, arith::RemUIOp::create(b, loc, begin, i32(b, keys))), end};
}

std::pair<Value, Value> AttentionRows::placeOf(OpBuilder &b, Value row) {
  Value size = index(b, group);
  Value s = add(b, firstPosition, arith::DivUIOp::create(b, loc, row, size));
  Value head = add(b, arith::MulIOp::create(b, loc, kvHead, size), arith::RemUIOp::create(b, loc, row, size));
  return {s, head};
}

std::pair<Value, Value> AttentionRows::existingPlaceOf(OpBuilder &b, Value row) {
  auto [s, head] = placeOf(b, arith::MinUIOp::create(b, loc, row, index(b, positionsOfBlock * group - 1)));
  return {arith::MinUIOp::create(b, loc, s, arith::SubIOp::create(b, loc, positions, index(b, 1))), head};
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
    Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, ownRow[i],
                                         index(b, positionsOfBlock * group));
    exists = arith::AndIOp::create(b, loc, exists,
                                   arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, s, positions));
    scf::IfOp::create(b, loc, exists, [&, s = s, head = head](OpBuilder &b, Location loc) {
      for (int64_t n = 0; n < headDim / kMmaColumns; ++n) {
        Value both = vector::FromElementsOp::create(
            b, loc, pair,
            ValueRange{mulF(b, sums[n * 4 + 2 * i], inverse), mulF(b, sums[n * 4 + 2 * i + 1], inverse)});
        storeElements(b, loc, convertTo(b, loc, both, element), context.out(),
                      {batch, s, head, addIndex(b, loc, column, n * kMmaColumns)}, Value());
      }
      scf::YieldOp::create(b, loc);
    });
  }
}
