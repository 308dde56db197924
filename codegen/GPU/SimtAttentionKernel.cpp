//===- SimtAttentionKernel.cpp - attention of many queries in f32 -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// FlashAttention-2 (arXiv:2307.08691) without tensor cores. A block has `tile` = [rows, keys]; queries, a
// tile of keys and one of values stand in shared memory in f32, queries and keys with their dimensions
// outermost. Eight threads share four rows: each makes 4x4 scores and, of those rows' sums, groups of four
// dimensions, so that every value read from shared memory is used four times. Weights pass through shared
// memory from the threads that make them to those that use them.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/RowEmitter.h"
#include "codegen/GPU/AttentionKernel.h"
#include "codegen/GPU/WideTile.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
/// Values of a thread side by side; threads that share rows; what they have together.
constexpr int64_t kGroup = 4, kSharers = 8, kSpan = kGroup * kSharers;

class SimtAttentionEmitter : PrefillAttention {
public:
  SimtAttentionEmitter(GPUKernelContext &context, AttentionOp op);
  void emit(OpBuilder &b);

private:
  /// Where a thread's sums are in what it carries over tiles: by group of dimensions, row and dimension.
  int64_t sumAt(int64_t part, int64_t row) const { return (part * kGroup + row) * kGroup; }
  int64_t maximumAt(int64_t row) const { return sumAt(parts, 0) + row; }
  int64_t totalAt(int64_t row) const { return maximumAt(kGroup) + row; }

  /// Four neighbours from a place (i32) on.
  SmallVector<Value> loadGroup(OpBuilder &b, int64_t offset, Value place);
  Value addressOf(OpBuilder &b, int64_t offset, Value place) {
    return sharedAddress(b, loc, base, offset, toIndex(b, place), 4);
  }
  SmallVector<Value> multiplyKeys(OpBuilder &b);
  void finishScores(OpBuilder &b, MutableArrayRef<Value> scores, Value firstKey);
  void weighScores(OpBuilder &b, MutableArrayRef<Value> scores, MutableArrayRef<Value> state);
  void multiplyValues(OpBuilder &b, MutableArrayRef<Value> state);
  SmallVector<Value> emitTile(OpBuilder &b, Value firstKey, ValueRange carried);
  void finishRow(OpBuilder &b, ArrayRef<Value> state, int64_t row, Value s, Value head);

  int64_t parts, width; ///< groups of dimensions of a thread; elements moved at once
  WideTile queryTile, keyTile, valueTile;
  int64_t weightsAt, weightPitch;
  Value sharer, firstRow;                 ///< the thread among those of its rows, its first row (i32)
  std::pair<Value, Value> ranges[kGroup]; ///< what the rows see
  std::pair<Value, Value> places[kGroup];
};
} // namespace

SimtAttentionEmitter::SimtAttentionEmitter(GPUKernelContext &context, AttentionOp op)
    : PrefillAttention(context, op), parts(llvm::divideCeilSigned(headDim, kSpan)), width(kGroup),
      weightPitch(rows + kGroup) {
  while (headDim % width != 0)
    width /= 2;
  queryTile = {query, rows, headDim, headDim, width, /*transposed=*/true, rows};
  keyTile = {key, keys, headDim, headDim, width, /*transposed=*/true, keys};
  valueTile = {value, keys, headDim, parts * kSpan, width, /*transposed=*/false, parts * kSpan};
  for (WideTile *tile : {&queryTile, &keyTile, &valueTile})
    tile->offset = context.shared.allocate(tile->bytes());
  weightsAt = context.shared.allocate(keys * weightPitch * 4);
}

SmallVector<Value> SimtAttentionEmitter::loadGroup(OpBuilder &b, int64_t offset, Value place) {
  Value x = loadFrom(b, loc, VectorType::get({kGroup}, b.getF32Type()), addressOf(b, offset, place));
  SmallVector<Value> elements;
  for (int64_t i = 0; i < kGroup; ++i)
    elements.push_back(vector::ExtractOp::create(b, loc, x, i));
  return elements;
}

//===----------------------------------------------------------------------===//
// A tile of keys
//===----------------------------------------------------------------------===//

/// Sums of products by row and key, four of each.
SmallVector<Value> SimtAttentionEmitter::multiplyKeys(OpBuilder &b) {
  Value own = mul(b, sharer, kGroup);
  auto body = [&](OpBuilder &b, Location loc, Value first, ValueRange carried) {
    SmallVector<Value> sums(carried);
    for (int64_t d = 0; d < width; ++d) {
      Value dim = add(b, first, i32(b, d));
      SmallVector<Value> q = loadGroup(b, queryTile.offset, add(b, mul(b, dim, queryTile.pitch), firstRow)),
                         k = loadGroup(b, keyTile.offset, add(b, mul(b, dim, keyTile.pitch), own));
      for (auto [n, sum] : llvm::enumerate(sums))
        sum = addF(b, mulF(b, q[n / kGroup], k[n % kGroup]), sum);
    }
    scf::YieldOp::create(b, loc, sums);
  };
  SmallVector<Value> none(kGroup * kGroup, f32(b, 0.0));
  auto loop = scf::ForOp::create(b, loc, i32(b, 0), i32(b, headDim), i32(b, width), none, body);
  return SmallVector<Value>(loop.getResults());
}

void SimtAttentionEmitter::finishScores(OpBuilder &b, MutableArrayRef<Value> scores, Value firstKey) {
  Value own = add(b, firstKey, mul(b, sharer, kGroup));
  for (auto [n, score] : llvm::enumerate(scores)) {
    int64_t row = n / kGroup;
    Value j = add(b, own, i32(b, n % kGroup));
    Value existing = toIndex(b, arith::MinUIOp::create(b, loc, j, lastKey));
    score = finishScore(b, score, places[row].first, places[row].second, existing);
    Value sees = below(b, j, ranges[row].second);
    if (hasWindow())
      sees = arith::AndIOp::create(
          b, loc, sees, arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, j, ranges[row].first));
    score = arith::SelectOp::create(b, loc, sees, score, f32(b, kHidden));
  }
}

/// Scores become weights, in shared memory by key, and sums are corrected to the new maxima.
void SimtAttentionEmitter::weighScores(OpBuilder &b, MutableArrayRef<Value> scores,
                                       MutableArrayRef<Value> state) {
  for (int64_t row = 0; row < kGroup; ++row) {
    MutableArrayRef<Value> own = scores.slice(row * kGroup, kGroup);
    Value before = state[maximumAt(row)], highest = before;
    for (Value score : own)
      highest = maxF(b, highest, score);
    highest = reduceLanes(b, loc, vector::CombiningKind::MAXNUMF, highest, kSharers);
    Value correction = weigh(b, before, highest);
    state[maximumAt(row)] = highest;
    Value &total = state[totalAt(row)]; // of this thread's keys
    total = mulF(b, total, correction);
    for (Value &score : own)
      total = addF(b, total, score = weigh(b, score, highest));
    for (int64_t part = 0; part < parts; ++part)
      for (Value &sum : state.slice(sumAt(part, row), kGroup))
        sum = mulF(b, sum, correction);
  }
  auto type = VectorType::get({kGroup}, b.getF32Type());
  Value firstKey = mul(b, sharer, kGroup);
  for (int64_t j = 0; j < kGroup; ++j) {
    SmallVector<Value> column;
    for (int64_t row = 0; row < kGroup; ++row)
      column.push_back(scores[row * kGroup + j]);
    Value place = add(b, mul(b, add(b, firstKey, i32(b, j)), weightPitch), firstRow);
    storeTo(b, loc, vector::FromElementsOp::create(b, loc, type, column), addressOf(b, weightsAt, place));
  }
}

void SimtAttentionEmitter::multiplyValues(OpBuilder &b, MutableArrayRef<Value> state) {
  constexpr int64_t together = 2;
  Value own = mul(b, sharer, kGroup);
  auto body = [&](OpBuilder &b, Location loc, Value first, ValueRange carried) {
    SmallVector<Value> sums(carried);
    for (int64_t i = 0; i < together; ++i) {
      Value j = add(b, first, i32(b, i));
      SmallVector<Value> p = loadGroup(b, weightsAt, add(b, mul(b, j, weightPitch), firstRow));
      for (int64_t part = 0; part < parts; ++part) {
        Value place = add(b, add(b, mul(b, j, valueTile.pitch), own), i32(b, part * kSpan));
        SmallVector<Value> v = loadGroup(b, valueTile.offset, place);
        for (int64_t row = 0; row < kGroup; ++row)
          for (int64_t d = 0; d < kGroup; ++d) {
            Value &sum = sums[sumAt(part, row) + d];
            sum = addF(b, mulF(b, p[row], v[d]), sum);
          }
      }
    }
    scf::YieldOp::create(b, loc, sums);
  };
  MutableArrayRef<Value> sums = state.take_front(sumAt(parts, 0));
  auto loop = scf::ForOp::create(b, loc, i32(b, 0), i32(b, keys), i32(b, together), sums, body);
  llvm::copy(loop.getResults(), sums.begin());
}

SmallVector<Value> SimtAttentionEmitter::emitTile(OpBuilder &b, Value firstKey, ValueRange carried) {
  SmallVector<Value> state(carried);
  auto rowOf = [&](OpBuilder &b, Value row) { return toIndex(b, keyRow(b, add(b, firstKey, row))); };
  keyTile.fill(b, loc, base, thread, threads, rowOf);
  valueTile.fill(b, loc, base, thread, threads, rowOf);
  barrier(b, loc);
  SmallVector<Value> scores = multiplyKeys(b);
  finishScores(b, scores, firstKey);
  weighScores(b, scores, state);
  barrier(b, loc);
  multiplyValues(b, state);
  barrier(b, loc);
  return state;
}

void SimtAttentionEmitter::finishRow(OpBuilder &b, ArrayRef<Value> state, int64_t row, Value s, Value head) {
  Value total = reduceLanes(b, loc, vector::CombiningKind::ADD, state[totalAt(row)], kSharers);
  Value inverse = inverseOf(b, total);
  auto storePart = [&](OpBuilder &b, int64_t part, int64_t i) {
    Value column = add(b, mul(b, sharer, kGroup), i32(b, part * kSpan + i));
    auto store = [&](OpBuilder &b) {
      SmallVector<Value> elements;
      for (int64_t d = 0; d < width; ++d)
        elements.push_back(mulF(b, state[sumAt(part, row) + i + d], inverse));
      Value x = elements[0];
      if (width > 1)
        x = vector::FromElementsOp::create(b, loc, VectorType::get({width}, b.getF32Type()), elements);
      storeElements(b, loc, convertTo(b, loc, x, getElementTypeOrSelf(op.getType())), context.out(),
                    {batch, s, head, toIndex(b, column)}, Value());
    };
    if ((part + 1) * kSpan <= headDim)
      return store(b);
    scf::IfOp::create(b, loc, below(b, column, i32(b, headDim)), [&](OpBuilder &b, Location loc) {
      store(b);
      scf::YieldOp::create(b, loc);
    });
  };
  Value isRow = exists(b, toIndex(b, add(b, firstRow, i32(b, row))), s);
  scf::IfOp::create(b, loc, isRow, [&](OpBuilder &b, Location loc) {
    for (int64_t part = 0; part < parts; ++part)
      for (int64_t i = 0; i < kGroup; i += width)
        storePart(b, part, i);
    scf::YieldOp::create(b, loc);
  });
}

void SimtAttentionEmitter::emit(OpBuilder &b) {
  beginBlock(b);
  sharer = rem(b, thread, kSharers);
  firstRow = mul(b, div(b, thread, kSharers), kGroup);
  for (int64_t row = 0; row < kGroup; ++row) {
    Value own = addIndex(b, loc, toIndex(b, firstRow), row);
    places[row] = existingPlaceOf(b, own);
    ranges[row] = rangeOfRow(b, own);
  }
  queryTile.fill(b, loc, base, thread, threads, [&](OpBuilder &b, Value row) {
    auto [s, head] = existingPlaceOf(b, toIndex(b, row));
    return queryRow(b, s, head);
  });
  auto [begin, end] = rangeOfBlock(b);
  SmallVector<Value> start(sumAt(parts, 0), f32(b, 0.0));
  start.append(kGroup, f32(b, kNothing));
  start.append(kGroup, f32(b, 0.0));
  auto loop = scf::ForOp::create(b, loc, begin, end, i32(b, keys), start,
                                 [&](OpBuilder &b, Location loc, Value firstKey, ValueRange state) {
                                   scf::YieldOp::create(b, loc, emitTile(b, firstKey, state));
                                 });
  SmallVector<Value> state(loop.getResults());
  for (int64_t row = 0; row < kGroup; ++row) {
    auto [s, head] = placeOf(b, addIndex(b, loc, toIndex(b, firstRow), row));
    finishRow(b, state, row, s, head);
  }
}

LogicalResult mlir::transformer::emitSimtAttentionKernel(OpBuilder &b, GPUKernelContext &context) {
  auto op = cast<AttentionOp>(outputOf(context.spec));
  ArrayRef<int64_t> tile = context.config.getTile();
  if (tile.size() != 2 || tile[1] != kSpan || tile[0] * kSharers != context.config.getThreads() * kGroup ||
      tile[0] < AttentionShape(op).group)
    return op.emitOpError("expected 8 threads for each four rows, and 32 keys, but got ") << context.config;
  SimtAttentionEmitter(context, op).emit(b);
  return success();
}
