//===- SimtDecodeAttention.cpp - few queries of any type ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Some lanes of a warp share a key, a vector or two of its dimensions each, and the warp has several keys at
// a time. Every group of lanes has an online softmax of its own; they are merged at the end. All is f32 in
// registers, whatever the types in memory are.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/DecodeAttentionKernel.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
/// How lanes share a key: `lanes` of them, each with `vectors` of `width` elements, `lanes` vectors apart.
struct Sharing {
  Sharing(int64_t headDim, int64_t mostWidth) {
    for (width = mostWidth; headDim % width != 0;)
      width /= 2;
    lanes = std::min<int64_t>(llvm::PowerOf2Ceil(headDim / width), kWarp);
    vectors = llvm::divideCeilSigned(headDim / width, lanes);
  }
  int64_t dims() const { return vectors * width; } ///< of a lane
  int64_t keys() const { return kWarp / lanes; }   ///< of a warp at a time
  /// How many times over, so that loads are under way; wide lanes have fewer registers left.
  int64_t turns() const { return dims() > 4 ? 2 : 4; }

  int64_t width, lanes, vectors;
};

class SimtDecodeAttention : public DecodeAttention {
public:
  SimtDecodeAttention(GPUKernelContext &context, AttentionOp op, Sharing sharing)
      : DecodeAttention(context, op, sharing.keys() * sharing.turns(), AttentionShape(op).headDim),
        sharing(sharing) {}

private:
  void loadQueries(OpBuilder &b) override;
  SmallVector<Value> initialState(OpBuilder &b) override;
  SmallVector<Value> emitStep(OpBuilder &b, Value firstKey, ValueRange state) override;
  void finishState(OpBuilder &b, SmallVector<Value> &state) override;
  void storeState(OpBuilder &b, ArrayRef<Value> state, int64_t part) override;

  /// The lane's dimensions of a row (index), in f32; those behind the last repeat others.
  SmallVector<Value> loadDims(OpBuilder &b, const GlobalMatrix &matrix, Value row);
  /// The first column of a vector of the lane, and whether it exists (null where all do).
  std::pair<Value, Value> columnOf(OpBuilder &b, int64_t vector);
  /// A row's score of the key at `position` (i32), in all lanes that share it.
  Value scoreOf(OpBuilder &b, int64_t row, ArrayRef<Value> keyDims, Value position);
  int64_t maximumAt(int64_t row) const { return rows * sharing.dims() + row; }
  int64_t totalAt(int64_t row) const { return maximumAt(rows) + row; }
  MutableArrayRef<Value> sumsOf(MutableArrayRef<Value> state, int64_t row) {
    return state.slice(row * sharing.dims(), sharing.dims());
  }

  Sharing sharing;
  Value member, laneGroup;                             ///< the lane among those of its key, its key (i32)
  SmallVector<SmallVector<Value>> queries;             ///< by row
  SmallVector<std::pair<Value, Value>> places, ranges; ///< by row
};
} // namespace

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

std::pair<Value, Value> SimtDecodeAttention::columnOf(OpBuilder &b, int64_t vector) {
  Value column = mul(b, add(b, member, i32(b, vector * sharing.lanes)), sharing.width);
  if ((vector + 1) * sharing.lanes * sharing.width <= headDim)
    return {toIndex(b, column), Value()};
  Value exists = below(b, column, i32(b, headDim));
  column = arith::MinUIOp::create(b, loc, column, i32(b, headDim - sharing.width));
  return {toIndex(b, column), exists};
}

SmallVector<Value> SimtDecodeAttention::loadDims(OpBuilder &b, const GlobalMatrix &matrix, Value row) {
  SmallVector<Value> dims;
  for (int64_t v = 0; v < sharing.vectors; ++v) {
    Value x = convertTo(b, loc, matrix.load(b, row, columnOf(b, v).first, sharing.width), b.getF32Type());
    for (int64_t i = 0; i < sharing.width; ++i)
      dims.push_back(sharing.width > 1 ? Value(vector::ExtractOp::create(b, loc, x, i)) : x);
  }
  return dims;
}

void SimtDecodeAttention::loadQueries(OpBuilder &b) {
  member = rem(b, lane, sharing.lanes);
  laneGroup = div(b, lane, sharing.lanes);
  GlobalMatrix matrix(b, loc, query);
  for (int64_t row = 0; row < rows; ++row) {
    places.push_back(placeOf(b, index(b, row)));
    ranges.push_back(rangeOfRow(b, index(b, row)));
    queries.push_back(loadDims(b, matrix, queryRow(b, places[row].first, places[row].second)));
    // What a lane has twice counts once.
    for (int64_t v = 0; v < sharing.vectors; ++v)
      if (Value exists = columnOf(b, v).second)
        for (Value &x : MutableArrayRef(queries.back()).slice(v * sharing.width, sharing.width))
          x = arith::SelectOp::create(b, loc, exists, x, f32(b, 0.0));
  }
}

//===----------------------------------------------------------------------===//
// A step of keys
//===----------------------------------------------------------------------===//

SmallVector<Value> SimtDecodeAttention::initialState(OpBuilder &b) {
  SmallVector<Value> state(rows * sharing.dims(), f32(b, 0.0));
  state.append(rows, f32(b, kNothing));
  state.append(rows, f32(b, 0.0));
  return state;
}

Value SimtDecodeAttention::scoreOf(OpBuilder &b, int64_t row, ArrayRef<Value> keyDims, Value position) {
  Value sum = f32(b, 0.0);
  for (auto [q, k] : llvm::zip_equal(queries[row], keyDims))
    sum = addF(b, mulF(b, q, k), sum);
  sum = reduceLanes(b, loc, vector::CombiningKind::ADD, sum, sharing.lanes);
  Value end = arith::SubIOp::create(b, loc, last, i32(b, 1));
  Value existing = toIndex(b, arith::MinUIOp::create(b, loc, position, end));
  sum = finishScore(b, sum, places[row].first, places[row].second, existing);
  return maskScore(b, sum, position, ranges[row].first, ranges[row].second);
}

SmallVector<Value> SimtDecodeAttention::emitStep(OpBuilder &b, Value firstKey, ValueRange carried) {
  SmallVector<Value> state(carried), positions;
  GlobalMatrix keyMatrix(b, loc, key), valueMatrix(b, loc, value);
  SmallVector<SmallVector<Value>> keys, values;
  for (int64_t u = 0; u < sharing.turns(); ++u)
    positions.push_back(add(b, firstKey, add(b, laneGroup, i32(b, u * sharing.keys()))));
  for (Value position : positions)
    keys.push_back(loadDims(b, keyMatrix, rowOfKey(b, position)));
  for (Value position : positions)
    values.push_back(loadDims(b, valueMatrix, rowOfKey(b, position)));
  for (int64_t row = 0; row < rows; ++row) {
    SmallVector<Value> scores;
    for (auto [dims, position] : llvm::zip_equal(keys, positions))
      scores.push_back(scoreOf(b, row, dims, position));
    Value before = state[maximumAt(row)], highest = before;
    for (Value score : scores)
      highest = maxF(b, highest, score);
    Value correction = weigh(b, before, highest);
    Value total = mulF(b, state[totalAt(row)], correction);
    for (Value &sum : sumsOf(state, row))
      sum = mulF(b, sum, correction);
    for (auto [score, dims] : llvm::zip_equal(scores, values)) {
      Value weight = weigh(b, score, highest);
      total = addF(b, total, weight);
      for (auto [sum, v] : llvm::zip_equal(sumsOf(state, row), dims))
        sum = addF(b, mulF(b, weight, v), sum);
    }
    state[maximumAt(row)] = highest;
    state[totalAt(row)] = total;
  }
  return state;
}

/// The groups of lanes become one.
void SimtDecodeAttention::finishState(OpBuilder &b, SmallVector<Value> &state) {
  for (int64_t distance = sharing.lanes; distance < kWarp; distance *= 2)
    for (int64_t row = 0; row < rows; ++row) {
      Value own = state[maximumAt(row)];
      Value highest = maxF(b, own, shuffleXor(b, loc, own, distance));
      Value correction = weigh(b, own, highest);
      state[maximumAt(row)] = highest;
      auto merge = [&](Value &x) {
        x = mulF(b, x, correction);
        x = addF(b, x, shuffleXor(b, loc, x, distance));
      };
      merge(state[totalAt(row)]);
      llvm::for_each(sumsOf(state, row), merge);
    }
}

void SimtDecodeAttention::storeState(OpBuilder &b, ArrayRef<Value> state, int64_t part) {
  int64_t from = part * kMergedRows, to = std::min(rows, from + kMergedRows);
  ifTrue(b, loc, below(b, lane, i32(b, sharing.lanes)), [&](OpBuilder &b) {
    for (int64_t v = 0; v < sharing.vectors; ++v) {
      auto [column, exists] = columnOf(b, v);
      auto store = [&, column = column](OpBuilder &b) {
        for (int64_t row = from; row < to; ++row)
          for (int64_t i = 0; i < sharing.width; ++i)
            storeSums(b, state[row * sharing.dims() + v * sharing.width + i], i32(b, row - from),
                      add(b, toI32(b, column), i32(b, i)));
      };
      if (exists)
        ifTrue(b, loc, exists, store);
      else
        store(b);
    }
  });
  ifTrue(b, loc, isZero(b, lane), [&](OpBuilder &b) {
    for (int64_t row = from; row < to; ++row)
      storeRow(b, state[maximumAt(row)], state[totalAt(row)], i32(b, row - from));
  });
}

LogicalResult mlir::transformer::emitSimtDecodeAttentionKernel(OpBuilder &b, GPUKernelContext &context) {
  auto op = cast<AttentionOp>(outputOf(context.spec));
  if (failed(checkDecodeConfig(op, context.config, kMergedRows)))
    return failure();
  AttentionShape shape(op);
  SimtDecodeAttention(context, op, Sharing(shape.headDim, context.config.getVector())).emit(b);
  return success();
}
