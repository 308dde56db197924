//===- MmaDecodeAttention.cpp - few queries on tensor cores -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A step of a warp is 16 keys. Scores are Q K^T, queries being the 16 rows of mma.m16n8k16; the sums are
// V^T P^T, so that the weights are already where the second product wants them, and 8 queries waste nothing
// there. A sum over dimensions does not ask for their order, nor do the rows of the second product: both are
// numbered so that what a lane needs of a key lies in 16 bytes, and nothing passes through shared memory.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/DecodeAttentionKernel.h"
#include "codegen/GPU/LaneSlices.h"
#include "codegen/GPU/MmaFragments.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kStepKeys = 16, kLaneGroups = 8, kGroupLanes = 4;

class MmaDecodeAttention : public DecodeAttention {
public:
  MmaDecodeAttention(GPUKernelContext &context, AttentionOp op)
      : DecodeAttention(context, op, kStepKeys, wholeDims(op)), type(shape.query), dims(wholeDims(op)),
        parts(llvm::divideCeilSigned(rows, kMergedRows)), keySlices(slicesOf(dims, kGroupLanes, 4)),
        valueSlices(slicesOf(dims, kLaneGroups, 2)) {
    if (isWide())
      queriesAt = context.shared.allocate(parts * kMergedRows * queryPitch() * 2);
  }

private:
  void loadQueries(OpBuilder &b) override;
  SmallVector<Value> initialState(OpBuilder &b) override;
  SmallVector<Value> emitStep(OpBuilder &b, Value firstKey, ValueRange state) override;
  void storeState(OpBuilder &b, ArrayRef<Value> state, int64_t part) override;

  SmallVector<Value> multiplyKeys(OpBuilder &b, Slices &keys);
  void finishScores(OpBuilder &b, MutableArrayRef<Value> scores, Value firstKey);
  void weighScores(OpBuilder &b, MutableArrayRef<Value> scores, MutableArrayRef<Value> state);
  void addValues(OpBuilder &b, Slices &values, ArrayRef<Value> weights, MutableArrayRef<Value> state);
  static int64_t wholeDims(AttentionOp op) { return llvm::alignTo(AttentionShape(op).headDim, kMmaDepth); }
  /// The lane's vectors of rows (index), its number among the `lanes` that share a row being `member` (i32).
  SmallVector<Value> load(OpBuilder &b, const GlobalMatrix &matrix, ValueRange from, Value member,
                          int64_t lanes, Slice slice);
  Value loadPieces(OpBuilder &b, const GlobalMatrix &matrix, Value row, Value column, int64_t width,
                   bool checked);
  Value columnOf(OpBuilder &b, Value member, Slice slice) {
    return add(b, mul(b, member, slice.width), i32(b, slice.first));
  }
  void stageQueries(OpBuilder &b, const GlobalMatrix &matrix);
  Value stagedAddress(OpBuilder &b, int64_t part, Slice slice);
  /// The lane's vectors of a slice of the queries, by part.
  SmallVector<Value> queryVectors(OpBuilder &b, size_t number);

  /// The sums leave too few registers for queries, keys and values at a time.
  bool isWide() const { return parts * dims > 192; }
  int64_t queryPitch() const { return dims + 8; }
  int64_t tiles() const { return dims / kMmaRows; } ///< of the second product
  int64_t maximumAt(int64_t part) const { return parts * tiles() * 4 + part; }
  int64_t totalAt(int64_t part) const { return maximumAt(parts) + part; }

  Type type;
  int64_t dims; ///< the head's, and zeros that make a multiple of 16
  int64_t parts, queriesAt = 0;
  SmallVector<Slice> keySlices, valueSlices;
  Value laneGroup, member;                             ///< lane / 4, lane % 4 (i32)
  SmallVector<SmallVector<Value>> queries;             ///< by slice and part
  SmallVector<Value> rowsOfQueries;                    ///< in memory, by part
  SmallVector<std::pair<Value, Value>> places, ranges; ///< of the lane's row, by part
};
} // namespace

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

SmallVector<Value> MmaDecodeAttention::load(OpBuilder &b, const GlobalMatrix &matrix, ValueRange from,
                                            Value member, int64_t lanes, Slice slice) {
  Value column = toIndex(b, columnOf(b, member, slice));
  bool checked = slice.first + lanes * slice.width > headDim;
  return llvm::map_to_vector(from, [&](Value row) {
    return checked || shape.piece() < slice.width ? loadPieces(b, matrix, row, column, slice.width, checked)
                                                  : matrix.load(b, row, column, slice.width);
  });
}

/// A vector of a row whose head begins at a multiple of a smaller one; zeros behind the head's dimensions,
/// where it has some (`checked`). A piece is all of the head or nothing.
Value MmaDecodeAttention::loadPieces(OpBuilder &b, const GlobalMatrix &matrix, Value row, Value column,
                                     int64_t width, bool checked) {
  int64_t piece = std::min(shape.piece(), width);
  SmallVector<Value> words; // two elements each
  for (int64_t i = 0; i < width; i += piece) {
    Value own = addIndex(b, loc, column, i), address = matrix.addressOf(b, row, own), exists;
    if (checked) {
      exists = below(b, own, index(b, headDim));
      address = arith::SelectOp::create(b, loc, exists, address, matrix.base);
    }
    Value x = loadFrom(b, loc, VectorType::get({piece}, type), address);
    x = LLVM::BitcastOp::create(b, loc, VectorType::get({piece / 2}, b.getI32Type()), x);
    for (int64_t j = 0; j < piece / 2; ++j) {
      Value word = vector::ExtractOp::create(b, loc, x, j);
      words.push_back(checked ? Value(arith::SelectOp::create(b, loc, exists, word, i32(b, 0))) : word);
    }
  }
  Value all = vector::FromElementsOp::create(b, loc, VectorType::get({width / 2}, b.getI32Type()), words);
  return LLVM::BitcastOp::create(b, loc, VectorType::get({width}, type), all);
}

void MmaDecodeAttention::loadQueries(OpBuilder &b) {
  laneGroup = div(b, lane, kGroupLanes);
  member = rem(b, lane, kGroupLanes);
  GlobalMatrix matrix(b, loc, query);
  for (int64_t part = 0; part < parts; ++part) {
    // Rows that there are not repeat the last one.
    Value row = addIndex(b, loc, toIndex(b, laneGroup), part * kMergedRows);
    row = arith::MinUIOp::create(b, loc, row, index(b, rows - 1));
    places.push_back(placeOf(b, row));
    ranges.push_back(rangeOfRow(b, row));
    rowsOfQueries.push_back(queryRow(b, places[part].first, places[part].second));
  }
  if (isWide())
    return stageQueries(b, matrix);
  for (Slice slice : keySlices)
    queries.push_back(load(b, matrix, rowsOfQueries, member, kGroupLanes, slice));
}

/// Queries go to shared memory, by the first warp.
void MmaDecodeAttention::stageQueries(OpBuilder &b, const GlobalMatrix &matrix) {
  scf::IfOp::create(b, loc, below(b, thread, i32(b, kWarp)), [&](OpBuilder &b, Location loc) {
    for (Slice slice : keySlices)
      for (auto [part, x] : llvm::enumerate(load(b, matrix, rowsOfQueries, member, kGroupLanes, slice)))
        storeTo(b, loc, x, stagedAddress(b, static_cast<int64_t>(part), slice));
    scf::YieldOp::create(b, loc);
  });
  barrier(b, loc);
}

Value MmaDecodeAttention::stagedAddress(OpBuilder &b, int64_t part, Slice slice) {
  Value row = add(b, laneGroup, i32(b, part * kMergedRows));
  Value place = add(b, mul(b, row, queryPitch()), columnOf(b, member, slice));
  return sharedAddress(b, loc, base, queriesAt, toIndex(b, place), 2);
}

SmallVector<Value> MmaDecodeAttention::queryVectors(OpBuilder &b, size_t number) {
  if (!isWide())
    return queries[number];
  SmallVector<Value> vectors;
  Slice slice = keySlices[number];
  auto vector = VectorType::get({slice.width}, type);
  // Volatile: moved out of the loop of keys they would take the registers again.
  for (int64_t part = 0; part < parts; ++part)
    vectors.push_back(LLVM::LoadOp::create(b, loc, vector, stagedAddress(b, part, slice), 2 * slice.width,
                                           /*isVolatile=*/true));
  return vectors;
}

//===----------------------------------------------------------------------===//
// A step of keys
//===----------------------------------------------------------------------===//

SmallVector<Value> MmaDecodeAttention::initialState(OpBuilder &b) {
  SmallVector<Value> state(parts * tiles() * 4, f32(b, 0.0));
  state.append(parts, f32(b, kNothing));
  state.append(parts, f32(b, 0.0));
  return state;
}

/// Two fragments of scores of 8 keys, 4 each; `keys` are the lane's two, one of each.
SmallVector<Value> MmaDecodeAttention::multiplyKeys(OpBuilder &b, Slices &keys) {
  SmallVector<Value> scores(8, f32(b, 0.0));
  for (auto [number, slice] : llvm::enumerate(keySlices)) {
    SmallVector<Value> rowsOf = queryVectors(b, number), keysOf = keys[number];
    // Four elements of a lane are its share of 16 dimensions.
    for (int64_t i = 0; i < slice.width; i += 4) {
      SmallVector<Value> left;
      for (int64_t half : {0, 2})
        for (int64_t part : {0, 1})
          left.push_back(part < parts
                             ? joinElements(b, loc, rowsOf[part], i + half, rowsOf[part], i + half + 1)
                             : i32(b, 0));
      for (int64_t t = 0; t < 2; ++t) {
        Value x = keysOf[t];
        MutableArrayRef<Value> place = MutableArrayRef(scores).slice(4 * t, 4);
        SmallVector<Value> right{joinElements(b, loc, x, i, x, i + 1),
                                 joinElements(b, loc, x, i + 2, x, i + 3)};
        llvm::copy(multiplyFragments(b, loc, type, left, right, place), place.begin());
      }
    }
  }
  return scores;
}

void MmaDecodeAttention::finishScores(OpBuilder &b, MutableArrayRef<Value> scores, Value firstKey) {
  Value own = add(b, firstKey, mul(b, member, 2)), end = arith::SubIOp::create(b, loc, last, i32(b, 1));
  for (auto [n, score] : llvm::enumerate(scores)) {
    int64_t part = n / 2 % 2;
    if (part >= parts)
      continue;
    Value j = add(b, own, i32(b, static_cast<int64_t>(n / 4 * 8 + n % 2)));
    Value existing = toIndex(b, arith::MinUIOp::create(b, loc, j, end));
    score = finishScore(b, score, places[part].first, places[part].second, existing);
    score = maskScore(b, score, j, ranges[part].first, ranges[part].second);
  }
}

/// Scores become weights, and what was summed before is corrected to the new maximum. Four lanes share a
/// row of scores; the rows of sums are of two queries.
void MmaDecodeAttention::weighScores(OpBuilder &b, MutableArrayRef<Value> scores,
                                     MutableArrayRef<Value> state) {
  for (int64_t part = 0; part < parts; ++part) {
    Value before = state[maximumAt(part)], highest = before, total = state[totalAt(part)];
    SmallVector<int64_t> own{2 * part, 2 * part + 1, 2 * part + 4, 2 * part + 5};
    for (int64_t n : own)
      highest = maxF(b, highest, scores[n]);
    highest = reduceLanes(b, loc, vector::CombiningKind::MAXNUMF, highest, kGroupLanes);
    Value correction = weigh(b, before, highest);
    total = mulF(b, total, correction);
    for (int64_t n : own) {
      scores[n] = weigh(b, scores[n], highest);
      total = addF(b, total, scores[n]);
    }
    state[maximumAt(part)] = highest;
    state[totalAt(part)] = total; // of this lane's keys
    Value from = mul(b, member, 2 * kGroupLanes);
    Value corrections[2] = {shuffleFrom(b, loc, correction, from),
                            shuffleFrom(b, loc, correction, add(b, from, i32(b, kGroupLanes)))};
    for (int64_t i = 0; i < tiles() * 4; ++i) {
      Value &sum = state[part * tiles() * 4 + i];
      sum = mulF(b, sum, corrections[i % 2]);
    }
  }
}

/// `values` makes the vectors of a slice of the lane's four keys: 2 c, 2 c + 1 and those 8 behind them, c
/// being lane % 4.
void MmaDecodeAttention::addValues(OpBuilder &b, Slices &values, ArrayRef<Value> weights,
                                   MutableArrayRef<Value> state) {
  SmallVector<SmallVector<Value>> right(parts);
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t t = 0; t < 2; ++t)
      right[part].push_back(packPair(b, loc, type, weights[4 * t + 2 * part], weights[4 * t + 2 * part + 1]));
  int64_t tile = 0;
  for (auto [number, slice] : llvm::enumerate(valueSlices)) {
    SmallVector<Value> vectors = values[number];
    for (int64_t i = 0; i < slice.width; i += 2, ++tile) {
      SmallVector<Value> left;
      for (int64_t t = 0; t < 2; ++t)
        for (int64_t row = 0; row < 2; ++row)
          left.push_back(joinElements(b, loc, vectors[2 * t], i + row, vectors[2 * t + 1], i + row));
      for (int64_t part = 0; part < parts; ++part) {
        MutableArrayRef<Value> place = state.slice((part * tiles() + tile) * 4, 4);
        llvm::copy(multiplyFragments(b, loc, type, left, right[part], place), place.begin());
      }
    }
  }
}

SmallVector<Value> MmaDecodeAttention::emitStep(OpBuilder &b, Value firstKey, ValueRange carried) {
  SmallVector<Value> state(carried), keyRows, valueRows;
  GlobalMatrix keyMatrix(b, loc, key), valueMatrix(b, loc, value);
  for (int64_t n : {0, 8})
    keyRows.push_back(rowOfKey(b, add(b, firstKey, add(b, laneGroup, i32(b, n)))));
  for (int64_t n : {0, 1, 8, 9})
    valueRows.push_back(rowOfKey(b, add(b, firstKey, add(b, mul(b, member, 2), i32(b, n)))));
  Slices keys(keySlices.size(),
              [&](size_t i) { return load(b, keyMatrix, keyRows, member, kGroupLanes, keySlices[i]); });
  Slices values(valueSlices.size(), [&](size_t i) {
    return load(b, valueMatrix, valueRows, laneGroup, kLaneGroups, valueSlices[i]);
  });
  // All of them are on their way before the first is used, where there are registers for them.
  if (!isWide()) {
    keys.loadAll();
    values.loadAll();
  }
  SmallVector<Value> scores = multiplyKeys(b, keys);
  finishScores(b, scores, firstKey);
  weighScores(b, scores, state);
  addValues(b, values, scores, state);
  return state;
}

/// A lane has two neighbouring dimensions of queries 2 c and 2 c + 1 in each fragment of sums.
void MmaDecodeAttention::storeState(OpBuilder &b, ArrayRef<Value> state, int64_t part) {
  auto pair = VectorType::get({2}, b.getF32Type());
  int64_t tile = part * tiles();
  for (Slice slice : valueSlices)
    for (int64_t i = 0; i < slice.width; i += 2, ++tile) {
      Value column = add(b, mul(b, laneGroup, slice.width), i32(b, slice.first + i));
      for (int64_t n = 0; n < 2; ++n) {
        Value both = vector::FromElementsOp::create(b, loc, pair,
                                                    ValueRange{state[4 * tile + n], state[4 * tile + 2 + n]});
        storeSums(b, both, add(b, mul(b, member, 2), i32(b, n)), column);
      }
    }
  Value total = reduceLanes(b, loc, vector::CombiningKind::ADD, state[totalAt(part)], kGroupLanes);
  scf::IfOp::create(b, loc, isZero(b, member), [&](OpBuilder &b, Location loc) {
    storeRow(b, state[maximumAt(part)], total, laneGroup);
    scf::YieldOp::create(b, loc);
  });
}

LogicalResult mlir::transformer::emitDecodeAttentionKernel(OpBuilder &b, GPUKernelContext &context) {
  auto op = cast<AttentionOp>(outputOf(context.spec));
  if (failed(checkDecodeConfig(op, context.config, 2 * kMergedRows)))
    return failure();
  MmaDecodeAttention(context, op).emit(b);
  return success();
}
