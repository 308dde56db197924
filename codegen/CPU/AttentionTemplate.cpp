//===- AttentionTemplate.cpp - attention over blocks of keys --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Online softmax (arXiv:1805.02867) over tiles of keys, as in FlashAttention
// (arXiv:2205.14135). A task is a block of positions of one key/value head; its
// rows are those positions for each query head that shares the keys
// (arXiv:2305.13245), position by position, so that rows near each other see the
// same keys. For each tile of keys, which are transposed and packed once for all
// rows, and each register tile of rows:
//
//   s = scale * q k^T                     one micro-kernel, sums in registers
//   m' = max(m, max s),  p = exp(s - m'),  c = exp(m - m')
//   l' = c l + sum p,    o' = c o + p v   another, the sums being o
//
// The mask is a range of keys: tiles outside of a row's range are not computed,
// and in a tile at its border the scores outside are -inf. Products of bf16 are dot
// products of pairs where the target has them; p is rounded to bf16 for them, the
// sum l is not. Otherwise everything is f32.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/MicroKernel.h"
#include "codegen/CPU/RowEmitter.h"
#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

/// The positions that row `batch` of a cache holds.
static Value heldPositions(OpBuilder &b, Location loc, Value length, Value appended, Value batch) {
  Value held = arith::IndexCastOp::create(b, loc, b.getIndexType(),
                                          memref::LoadOp::create(b, loc, length, ValueRange{batch}));
  return arith::AddIOp::create(b, loc, held, appended);
}

namespace {

/// 2^f for |f| <= 1/2, from the highest coefficient on. The long one is off by less
/// than 2e-8 (Cephes), the short one by 5e-5, a hundredth of a rounding to bf16.
constexpr double kExp2[] = {1.535336188319500e-4,
                            1.339887440266574e-3,
                            9.618437357674640e-3,
                            5.550332471162809e-2,
                            2.402264791363012e-1,
                            6.931472028550421e-1,
                            1.0};
constexpr double kExp2Short[] = {9.618129107628477e-3, 5.550410866482158e-2, 2.402265069591007e-1,
                                 6.931471805599453e-1, 1.0};

class AttentionEmitter {
public:
  AttentionEmitter(KernelContext &context, AttentionOp op, LoweringConfigAttr config);

  void emit(OpBuilder &b);

private:
  /// A register tile of rows and what belongs to it.
  struct RowTile {
    Value first;   ///< its first row in the block
    int64_t count; ///< static
  };

  //===--- setting up ---===//
  void allocate(OpBuilder &b);
  void beginTask(OpBuilder &b, Value task);
  void loadQueries(OpBuilder &b);

  //===--- a tile of keys ---===//
  void emitKeyTile(OpBuilder &b, Value begin, Value end);
  void packKeys(OpBuilder &b, Value begin, Value count);
  void packValues(OpBuilder &b, Value begin, Value count);
  SmallVector<Value> loadRows(OpBuilder &b, Value memref, Value begin, Value last, int64_t rows, Value column,
                              int64_t width, int64_t left);
  SmallVector<Value> keyAddress(OpBuilder &b, Value j);

  //===--- a register tile ---===//
  void emitRowTile(OpBuilder &b, RowTile rows, Value begin, Value end);
  void computeScores(OpBuilder &b, RowTile rows, Value columns);
  void softmaxRow(OpBuilder &b, Value row, Value inTile, Value begin, Value columns);
  Value finishScore(OpBuilder &b, Value score, Value row, Value j, Value low, Value high);
  void accumulateValues(OpBuilder &b, RowTile rows, Value columns);
  void finish(OpBuilder &b);

  //===--- small things ---===//
  Value constant(OpBuilder &b, int64_t v) { return arith::ConstantIndexOp::create(b, loc, v); }
  VectorType vectorOf(int64_t size, Type element) { return VectorType::get({size}, element); }
  VectorType f32Vector(OpBuilder &b) { return vectorOf(lanes, b.getF32Type()); }
  Value splat(OpBuilder &b, double value) {
    return vector::BroadcastOp::create(b, loc, f32Vector(b), constantF32(b, loc, value));
  }
  Value splat(OpBuilder &b, Value scalar) {
    return vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, scalar.getType()), scalar);
  }
  void forLoop(OpBuilder &b, Value from, Value to, int64_t step, function_ref<void(OpBuilder &, Value)> body);
  void forRowTiles(OpBuilder &b, function_ref<void(OpBuilder &, RowTile)> body);
  Value exp2(OpBuilder &b, Value x, ArrayRef<double> coefficients);
  /// Keys visible to a row of the block: [low, high).
  std::pair<Value, Value> rangeOf(OpBuilder &b, Value row);

  KernelContext &context;
  AttentionOp op;
  Location loc;
  int64_t lanes, tileRows, tileColumns, blockPositions, blockKeys, depth;
  int64_t heads, kvHeads, group, headDim, words, paddedDim;
  Type operand; ///< of what is multiplied: bf16 for dot products, else f32
  Value query, key, value, length, appended;
  /// Scratch of a task: queries [rows, D], keys [words, blockKeys * depth], values
  /// [blockKeys / depth, D * depth], scores and weights [tileRows, blockKeys],
  /// output [rows, D], maximum, sum and correction [rows].
  Value q, kt, vp, scores, weights, output, maxima, sums, corrections;
  /// Of the current task.
  Value batch, kvHead, firstPosition, rows, held, positions;
};

} // namespace

AttentionEmitter::AttentionEmitter(KernelContext &context, AttentionOp op, LoweringConfigAttr config)
    : context(context), op(op), loc(op.getLoc()), lanes(config.getVector()), tileRows(config.getTile()[0]),
      tileColumns(config.getTile()[1]), blockPositions(config.getBlock()[0]), blockKeys(config.getBlock()[1]),
      depth(config.getBlock()[2]) {
  auto type = cast<RankedTensorType>(op.getQuery().getType());
  heads = type.getDimSize(2);
  headDim = type.getDimSize(3);
  if (isa<BlockArgument>(op.getQuery()))
    query = context.argument(op.getQuery());
  if (op.getCache()) {
    const SmallVector<Value> &parts = context.arguments[op.getCache()];
    key = parts[0], value = parts[1], length = parts[2], appended = parts[3];
    kvHeads = op.getCache().getType().getHeads();
  } else {
    key = context.argument(op.getKey());
    value = context.argument(op.getValue());
    kvHeads = cast<MemRefType>(key.getType()).getDimSize(2);
  }
  group = heads / kvHeads;
  words = headDim / depth;
  paddedDim = llvm::alignTo(headDim, lanes);
  operand = depth > 1 ? Type(BFloat16Type::get(op.getContext())) : Type(Float32Type::get(op.getContext()));
}

void AttentionEmitter::forLoop(OpBuilder &b, Value from, Value to, int64_t step,
                               function_ref<void(OpBuilder &, Value)> body) {
  scf::ForOp::create(b, loc, from, to, constant(b, step), ValueRange(),
                     [&](OpBuilder &b, Location loc, Value i, ValueRange) {
                       body(b, i);
                       scf::YieldOp::create(b, loc);
                     });
}

/// Whole register tiles, then tiles of powers of two for the rest.
void AttentionEmitter::forRowTiles(OpBuilder &b, function_ref<void(OpBuilder &, RowTile)> body) {
  Value zero = constant(b, 0);
  if (blockPositions == 1) {
    // Decoding: as many rows as heads share the keys, always.
    int64_t full = group / tileRows * tileRows, left = group - full;
    if (full > 0)
      forLoop(b, zero, constant(b, full), tileRows,
              [&](OpBuilder &b, Value row) { body(b, {row, tileRows}); });
    if (left > 0)
      body(b, {constant(b, full), left});
    return;
  }
  Value whole =
      arith::SubIOp::create(b, loc, rows, arith::RemUIOp::create(b, loc, rows, constant(b, tileRows)));
  bool fits = blockPositions * group >= tileRows;
  if (fits)
    forLoop(b, zero, whole, tileRows, [&](OpBuilder &b, Value row) { body(b, {row, tileRows}); });
  int64_t most = std::min(tileRows - 1, blockPositions * group);
  Value next = fits ? whole : zero;
  for (int64_t count = llvm::bit_floor(static_cast<uint64_t>(most)); count >= 1; count /= 2) {
    Value bit = arith::AndIOp::create(b, loc, fits ? Value(arith::SubIOp::create(b, loc, rows, whole)) : rows,
                                      constant(b, count));
    Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, bit, zero);
    scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
      body(b, {next, count});
      scf::YieldOp::create(b, loc);
    });
    next = arith::AddIOp::create(b, loc, next, bit);
  }
}

//===----------------------------------------------------------------------===//
// Setting up
//===----------------------------------------------------------------------===//

void AttentionEmitter::allocate(OpBuilder &b) {
  Type f32 = b.getF32Type();
  auto scratch = [&](ArrayRef<int64_t> shape, Type element) -> Value {
    return memref::AllocaOp::create(b, loc, MemRefType::get(shape, element), b.getI64IntegerAttr(64));
  };
  int64_t most = blockPositions * group;
  q = scratch({most, headDim}, operand);
  // Transposition writes whole vectors of words, and the micro-kernel reads whole tiles of keys.
  kt = scratch({llvm::divideCeilSigned(words, lanes) * lanes, blockKeys * depth}, operand);
  vp = scratch({blockKeys / depth, paddedDim * depth}, operand);
  scores = scratch({tileRows, blockKeys}, f32);
  weights = depth > 1 ? scratch({tileRows, blockKeys}, operand) : scores;
  output = scratch({most, paddedDim}, f32);
  maxima = scratch({most}, f32);
  sums = scratch({most}, f32);
  corrections = scratch({tileRows}, f32);
}

void AttentionEmitter::beginTask(OpBuilder &b, Value task) {
  Value out = context.out();
  Value batches = memref::DimOp::create(b, loc, out, 0);
  positions = memref::DimOp::create(b, loc, out, 1);
  Value blocks = arith::CeilDivUIOp::create(b, loc, positions, constant(b, blockPositions));
  SmallVector<Value> at = delinearize(b, loc, task, {batches, b.getIndexAttr(kvHeads), blocks});
  batch = at[0], kvHead = at[1];
  firstPosition = arith::MulIOp::create(b, loc, at[2], constant(b, blockPositions));
  Value count = arith::MinUIOp::create(b, loc, arith::SubIOp::create(b, loc, positions, firstPosition),
                                       constant(b, blockPositions));
  rows = arith::MulIOp::create(b, loc, count, constant(b, group));
  held =
      length ? heldPositions(b, loc, length, appended, batch) : Value(memref::DimOp::create(b, loc, key, 1));
}

/// A row's position in the call and its query head.
static std::pair<Value, Value> positionAndHead(OpBuilder &b, Location loc, Value row, int64_t group,
                                               Value firstPosition, Value kvHead) {
  Value size = arith::ConstantIndexOp::create(b, loc, group);
  Value s = arith::AddIOp::create(b, loc, firstPosition, arith::DivUIOp::create(b, loc, row, size));
  Value head = arith::AddIOp::create(b, loc, arith::MulIOp::create(b, loc, kvHead, size),
                                     arith::RemUIOp::create(b, loc, row, size));
  return {s, head};
}

void AttentionEmitter::loadQueries(OpBuilder &b) {
  RowEmitter emitter(context, op.getQuery(), lanes);
  forLoop(b, constant(b, 0), rows, 1, [&](OpBuilder &b, Value row) {
    auto [s, head] = positionAndHead(b, loc, row, group, firstPosition, kvHead);
    emitter.emit(b, {batch, s, head}, [&, row = row](OpBuilder &b, Value x, LaneIndex column, Value mask) {
      if (getElementTypeOrSelf(x.getType()) != operand)
        x = widen(b, loc, x);
      storeElements(b, loc, x, q, {row, column.base}, mask);
    });
    memref::StoreOp::create(b, loc, constantF32(b, loc, -1.0e30), maxima, row);
    memref::StoreOp::create(b, loc, constantF32(b, loc, 0.0), sums, row);
    Value zero = splat(b, 0.0);
    for (int64_t d = 0; d < paddedDim; d += lanes)
      vector::StoreOp::create(b, loc, zero, output, ValueRange{row, constant(b, d)});
  });
}

std::pair<Value, Value> AttentionEmitter::rangeOf(OpBuilder &b, Value row) {
  Value low = constant(b, 0), high = held;
  if (op.getMask().getKind() == MaskKind::None)
    return {low, high};
  // The query of position s of the call stands at held - S + s and sees itself.
  Value s =
      arith::AddIOp::create(b, loc, firstPosition, arith::DivUIOp::create(b, loc, row, constant(b, group)));
  Value end =
      arith::AddIOp::create(b, loc, arith::SubIOp::create(b, loc, held, positions), addIndex(b, loc, s, 1));
  high = arith::MaxSIOp::create(b, loc, end, low);
  if (op.getMask().getKind() == MaskKind::Window)
    low = arith::MaxSIOp::create(b, loc, addIndex(b, loc, high, -op.getMask().getWindow()), low);
  return {low, high};
}

void AttentionEmitter::emit(OpBuilder &b) {
  int64_t out = context.kernel.getNumArguments() - 3;
  // A factor of heads that no dimension of the result holds: its own divided by the group.
  setGrid(context.kernel, {{out, 0, 1}, {out, 2, group}, {out, 1, blockPositions}});
  allocate(b);
  forEachTask(b, context, [&](OpBuilder &b, Value task) {
    beginTask(b, task);
    loadQueries(b);
    Value low = rangeOf(b, constant(b, 0)).first;
    Value high = rangeOf(b, addIndex(b, loc, rows, -1)).second;
    forLoop(b, low, high, blockKeys, [&](OpBuilder &b, Value begin) {
      Value end = arith::MinUIOp::create(b, loc, addIndex(b, loc, begin, blockKeys), high);
      emitKeyTile(b, begin, end);
    });
    finish(b);
  });
}

//===----------------------------------------------------------------------===//
// A tile of keys
//===----------------------------------------------------------------------===//

/// Where the key or value of position `j` stands, but for the last index.
SmallVector<Value> AttentionEmitter::keyAddress(OpBuilder &b, Value j) {
  if (!op.getCache())
    return {batch, j, kvHead};
  if (op.getCache().getType().getPolicy() == CachePolicy::Ring)
    j = arith::RemUIOp::create(b, loc, j, memref::DimOp::create(b, loc, key, 2));
  return {batch, kvHead, j};
}

/// Vectors of `width` elements at `column` of the keys or values from `begin` on, as
/// what is multiplied; those behind `last` repeat it. `left` elements of a row exist.
SmallVector<Value> AttentionEmitter::loadRows(OpBuilder &b, Value memref, Value begin, Value last,
                                              int64_t count, Value column, int64_t width, int64_t left) {
  Type stored = cast<MemRefType>(memref.getType()).getElementType();
  VectorType type = vectorOf(width, stored);
  Value mask, zero;
  if (left < width) {
    mask = vector::CreateMaskOp::create(b, loc, vectorOf(width, b.getI1Type()), constant(b, left));
    zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  }
  SmallVector<Value> loaded;
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<Value> at = keyAddress(b, arith::MinUIOp::create(b, loc, addIndex(b, loc, begin, i), last));
    at.push_back(column);
    Value x = mask ? Value(vector::MaskedLoadOp::create(b, loc, type, memref, at, mask, zero))
                   : Value(vector::LoadOp::create(b, loc, type, memref, at));
    loaded.push_back(stored == operand ? x : widen(b, loc, x));
  }
  return loaded;
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

/// kt[w, j] = word w of key begin + j, for squares of `lanes` keys and words.
void AttentionEmitter::packKeys(OpBuilder &b, Value begin, Value count) {
  Value last = addIndex(b, loc, arith::AddIOp::create(b, loc, begin, count), -1);
  Type word = b.getF32Type();
  auto square = [&](OpBuilder &b, Value j, Value w, int64_t left) {
    Value column = depth == 1 ? w : Value(arith::MulIOp::create(b, loc, w, constant(b, depth)));
    SmallVector<Value> rows = loadRows(b, key, arith::AddIOp::create(b, loc, begin, j), last, lanes, column,
                                       lanes * depth, left * depth);
    for (Value &row : rows)
      if (depth > 1)
        row = vector::BitCastOp::create(b, loc, vectorOf(lanes, word), row);
    transposeSquare(b, loc, rows);
    Value at = depth == 1 ? j : Value(arith::MulIOp::create(b, loc, j, constant(b, depth)));
    for (auto [i, row] : llvm::enumerate(rows)) {
      Value x =
          depth > 1 ? Value(vector::BitCastOp::create(b, loc, vectorOf(lanes * depth, operand), row)) : row;
      vector::StoreOp::create(b, loc, x, kt, ValueRange{addIndex(b, loc, w, i), at});
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

/// vp[j / depth, d, j % depth] = value begin + j at d.
void AttentionEmitter::packValues(OpBuilder &b, Value begin, Value count) {
  Value last = addIndex(b, loc, arith::AddIOp::create(b, loc, begin, count), -1);
  forLoop(b, constant(b, 0), count, depth, [&](OpBuilder &b, Value j) {
    auto piece = [&](OpBuilder &b, Value d, int64_t left) {
      SmallVector<Value> rows =
          loadRows(b, value, arith::AddIOp::create(b, loc, begin, j), last, depth, d, lanes, left);
      Value x = depth > 1 ? Value(vector::InterleaveOp::create(b, loc, rows[0], rows[1])) : rows[0];
      Value step = depth > 1 ? Value(arith::DivUIOp::create(b, loc, j, constant(b, depth))) : j;
      Value at = depth > 1 ? Value(arith::MulIOp::create(b, loc, d, constant(b, depth))) : d;
      vector::StoreOp::create(b, loc, x, vp, ValueRange{step, at});
    };
    int64_t whole = headDim / lanes * lanes;
    for (int64_t d = 0; d < whole; d += lanes)
      piece(b, constant(b, d), lanes);
    if (whole < headDim)
      piece(b, constant(b, whole), headDim - whole);
  });
}

void AttentionEmitter::emitKeyTile(OpBuilder &b, Value begin, Value end) {
  Value count = arith::SubIOp::create(b, loc, end, begin);
  packKeys(b, begin, count);
  packValues(b, begin, count);
  forRowTiles(b, [&](OpBuilder &b, RowTile tile) { emitRowTile(b, tile, begin, end); });
}

//===----------------------------------------------------------------------===//
// A register tile of rows
//===----------------------------------------------------------------------===//

void AttentionEmitter::emitRowTile(OpBuilder &b, RowTile tile, Value begin, Value end) {
  // The last row sees the most; keys behind them are not computed for any.
  Value high = rangeOf(b, addIndex(b, loc, tile.first, tile.count - 1)).second;
  Value columns = arith::SubIOp::create(b, loc, arith::MinSIOp::create(b, loc, end, high), begin);
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sgt, columns, constant(b, 0));
  scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
    computeScores(b, tile, columns);
    forLoop(b, constant(b, 0), constant(b, tile.count), 1, [&](OpBuilder &b, Value i) {
      softmaxRow(b, arith::AddIOp::create(b, loc, tile.first, i), i, begin, columns);
    });
    accumulateValues(b, tile, columns);
    scf::YieldOp::create(b, loc);
  });
}

/// scores[i, j] = q_i . k_j, for whole tiles of columns.
void AttentionEmitter::computeScores(OpBuilder &b, RowTile tile, Value columns) {
  MicroKernel kernel(loc, lanes, tileColumns / lanes, depth);
  MicroKernel::Rows rows{q, {}};
  for (int64_t i = 0; i < tile.count; ++i)
    rows.leading.push_back({addIndex(b, loc, tile.first, i)});
  forLoop(b, constant(b, 0), columns, tileColumns, [&](OpBuilder &b, Value column) {
    SmallVector<Value> sums = kernel.run(b, rows, {kt, {}, column}, constant(b, 0), constant(b, words),
                                         words % 2 == 0, kernel.zeros(b, tile.count));
    for (auto [n, sum] : llvm::enumerate(sums)) {
      int64_t i = n / kernel.rowVectors(), v = n % kernel.rowVectors();
      vector::StoreOp::create(b, loc, sum, scores,
                              ValueRange{constant(b, i), addIndex(b, loc, column, v * lanes)});
    }
  });
}

/// Scaled, capped, biased and masked scores of keys j, j + 1, …, times log2(e).
Value AttentionEmitter::finishScore(OpBuilder &b, Value score, Value row, Value j, Value low, Value high) {
  constexpr double log2e = 1.4426950408889634;
  double scale = op.getScale().convertToDouble();
  if (op.getSoftcap()) {
    double cap = op.getSoftcap()->convertToDouble();
    Value inner = arith::MulFOp::create(b, loc, score, splat(b, scale / cap));
    score = arith::MulFOp::create(b, loc, math::TanhOp::create(b, loc, inner), splat(b, cap * log2e));
  } else {
    score = arith::MulFOp::create(b, loc, score, splat(b, scale * log2e));
  }
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
  if (op.getBias()) {
    auto type = cast<RankedTensorType>(op.getBias().getType());
    Value zero = constant(b, 0);
    auto [s, head] = positionAndHead(b, loc, row, group, firstPosition, kvHead);
    SmallVector<Value> at{type.getDimSize(0) == 1 ? zero : batch, type.getDimSize(1) == 1 ? zero : head, s,
                          j};
    VectorType stored = vectorOf(lanes, type.getElementType());
    Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(stored));
    Value bias = widen(
        b, loc,
        vector::MaskedLoadOp::create(b, loc, stored, context.argument(op.getBias()), at, visible, none));
    bias = arith::MulFOp::create(b, loc, bias, splat(b, log2e));
    score = arith::AddFOp::create(b, loc, score, bias);
  }
  FloatType f32 = b.getF32Type();
  Value hidden = arith::ConstantOp::create(
      b, loc,
      DenseElementsAttr::get(f32Vector(b), APFloat::getInf(f32.getFloatSemantics(), /*Negative=*/true)));
  return arith::SelectOp::create(b, loc, visible, score, hidden);
}

/// 2^x for x <= 0; zero below the normal numbers, so that what is hidden counts nothing.
Value AttentionEmitter::exp2(OpBuilder &b, Value x, ArrayRef<double> coefficients) {
  auto contract = arith::FastMathFlags::contract;
  Type type = x.getType();
  auto constantLike = [&](double value) {
    Value scalar = constantF32(b, loc, value);
    return isa<VectorType>(type) ? Value(vector::BroadcastOp::create(b, loc, type, scalar)) : scalar;
  };
  Type intType = b.getI32Type();
  if (auto vector = dyn_cast<VectorType>(type))
    intType = vector.clone(intType);
  Value least = constantLike(-126.0);
  Value bounded = arith::MaximumFOp::create(b, loc, x, least);
  Value whole = math::RoundEvenOp::create(b, loc, bounded);
  Value f = arith::SubFOp::create(b, loc, bounded, whole);
  Value y = constantLike(coefficients[0]);
  for (double c : coefficients.drop_front())
    y = arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, y, f, contract), constantLike(c),
                              contract);
  // Adding to the exponent multiplies by a power of two.
  Value exponent = arith::FPToSIOp::create(b, loc, intType, whole);
  TypedAttr shift =
      isa<VectorType>(intType)
          ? TypedAttr(DenseElementsAttr::get(cast<VectorType>(intType), b.getI32IntegerAttr(23)))
          : TypedAttr(b.getI32IntegerAttr(23));
  Value bits = arith::ShLIOp::create(b, loc, exponent, arith::ConstantOp::create(b, loc, shift));
  bits = arith::AddIOp::create(b, loc, arith::BitcastOp::create(b, loc, intType, y), bits);
  Value result = arith::BitcastOp::create(b, loc, type, bits);
  Value below = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OLT, x, least);
  return arith::SelectOp::create(b, loc, below, constantLike(0.0), result);
}

/// The weights of one row and its new maximum, sum and correction.
void AttentionEmitter::softmaxRow(OpBuilder &b, Value row, Value inTile, Value begin, Value columns) {
  using Kind = vector::CombiningKind;
  Value zero = constant(b, 0);
  // Whole vectors, and an even number of keys for dot products; the mask hides what is beyond.
  Value padded = arith::MulIOp::create(
      b, loc, arith::CeilDivUIOp::create(b, loc, columns, constant(b, lanes)), constant(b, lanes));
  auto [low, high] = rangeOf(b, row);
  Value before = memref::LoadOp::create(b, loc, maxima, row);
  auto largest = scf::ForOp::create(
      b, loc, zero, padded, constant(b, lanes), ValueRange{splat(b, before)},
      [&, low = low, high = high](OpBuilder &b, Location loc, Value j, ValueRange carried) {
        Value s = vector::LoadOp::create(b, loc, f32Vector(b), scores, ValueRange{inTile, j});
        s = finishScore(b, s, row, arith::AddIOp::create(b, loc, begin, j), low, high);
        vector::StoreOp::create(b, loc, s, scores, ValueRange{inTile, j});
        scf::YieldOp::create(b, loc, Value(arith::MaximumFOp::create(b, loc, carried[0], s)));
      });
  Value maximum = horizontal(b, loc, Kind::MAXIMUMF, largest.getResult(0), Value());
  Value correction = exp2(b, arith::SubFOp::create(b, loc, before, maximum), kExp2);
  Value shift = splat(b, maximum);
  ArrayRef<double> coefficients = depth > 1 ? ArrayRef<double>(kExp2Short) : ArrayRef<double>(kExp2);
  auto summed = scf::ForOp::create(
      b, loc, zero, padded, constant(b, lanes), ValueRange{splat(b, 0.0)},
      [&](OpBuilder &b, Location loc, Value j, ValueRange carried) {
        Value s = vector::LoadOp::create(b, loc, f32Vector(b), scores, ValueRange{inTile, j});
        Value p = exp2(b, arith::SubFOp::create(b, loc, s, shift), coefficients);
        Value stored = depth > 1 ? Value(arith::TruncFOp::create(b, loc, vectorOf(lanes, operand), p)) : p;
        vector::StoreOp::create(b, loc, stored, weights, ValueRange{inTile, j});
        scf::YieldOp::create(b, loc, Value(arith::AddFOp::create(b, loc, carried[0], p)));
      });
  Value sum = arith::MulFOp::create(b, loc, memref::LoadOp::create(b, loc, sums, row), correction);
  sum = horizontal(b, loc, Kind::ADD, summed.getResult(0), sum);
  memref::StoreOp::create(b, loc, sum, sums, row);
  memref::StoreOp::create(b, loc, maximum, maxima, row);
  memref::StoreOp::create(b, loc, correction, corrections, inTile);
}

/// output = correction * output + weights * values.
void AttentionEmitter::accumulateValues(OpBuilder &b, RowTile tile, Value columns) {
  Value steps = depth > 1 ? Value(arith::CeilDivUIOp::create(b, loc, columns, constant(b, depth))) : columns;
  MicroKernel::Rows rows{weights, {}};
  for (int64_t i = 0; i < tile.count; ++i)
    rows.leading.push_back({constant(b, i)});
  auto emitColumns = [&](OpBuilder &b, Value d, int64_t vectors) {
    MicroKernel kernel(loc, lanes, vectors, depth);
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
    SmallVector<Value> sums = kernel.run(b, rows, {vp, {}, d}, constant(b, 0), steps, /*isEven=*/false, held);
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

/// Divides by the sums and writes the block; a row that saw no key gets zeros.
void AttentionEmitter::finish(OpBuilder &b) {
  Type element = cast<RankedTensorType>(op.getResult().getType()).getElementType();
  forLoop(b, constant(b, 0), rows, 1, [&](OpBuilder &b, Value row) {
    auto [s, head] = positionAndHead(b, loc, row, group, firstPosition, kvHead);
    Value sum = memref::LoadOp::create(b, loc, sums, row);
    Value one = constantF32(b, loc, 1.0), zero = constantF32(b, loc, 0.0);
    Value any = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, sum, zero);
    Value inverse = arith::SelectOp::create(b, loc, any, arith::DivFOp::create(b, loc, one, sum), zero);
    for (int64_t d = 0; d < headDim; d += lanes) {
      Value o = vector::LoadOp::create(b, loc, f32Vector(b), output, ValueRange{row, constant(b, d)});
      o = arith::MulFOp::create(b, loc, o, splat(b, inverse));
      if (!element.isF32())
        o = arith::TruncFOp::create(b, loc, vectorOf(lanes, element), o);
      Value mask;
      if (headDim - d < lanes)
        mask = vector::CreateMaskOp::create(b, loc, vectorOf(lanes, b.getI1Type()), constant(b, headDim - d));
      storeElements(b, loc, o, context.out(), {batch, s, head, constant(b, d)}, mask);
    }
  });
}

LogicalResult mlir::transformer::emitAttention(OpBuilder &b, KernelContext &context,
                                               LoweringConfigAttr config) {
  auto op = cast<AttentionOp>(outputOf(context.spec));
  AttentionEmitter(context, op, config).emit(b);
  return success();
}

LogicalResult mlir::transformer::emitCacheAppend(OpBuilder &b, KernelContext &context,
                                                 LoweringConfigAttr config) {
  auto op = cast<CacheAppendOp>(outputOf(context.spec));
  Location loc = op.getLoc();
  KVCacheType type = op.getCache().getType();
  const SmallVector<Value> &parts = context.arguments[op.getCache()];
  Value count = context.spec.getArgument(0);
  if (!count.getType().isIndex())
    return op.emitOpError("expected a dispatch whose first argument is the number of positions");
  int64_t cache = context.numberOf(op.getCache());
  setGrid(context.kernel, {{cache, 0, 1}, {context.numberOf(count), 0, 1}, {cache, 1, 1}});
  SmallVector<OpFoldResult> sizes{memref::DimOp::create(b, loc, parts[0], 0).getResult(),
                                  context.argument(count), b.getIndexAttr(type.getHeads())};
  forEachTask(b, context, [&](OpBuilder &b, Value task) {
    SmallVector<Value> at = delinearize(b, loc, task, sizes);
    Value held = heldPositions(b, loc, parts[2], parts[3], at[0]);
    Value slot = arith::AddIOp::create(b, loc, held, at[1]);
    if (type.getPolicy() == CachePolicy::Ring)
      slot = arith::RemUIOp::create(b, loc, slot, memref::DimOp::create(b, loc, parts[0], 2));
    for (auto [source, target] : {std::pair(op.getKey(), parts[0]), std::pair(op.getValue(), parts[1])})
      RowEmitter(context, source, config.getVector())
          .emit(b, at, [&, target = target](OpBuilder &b, Value x, LaneIndex column, Value mask) {
            Type element = type.getElement();
            if (element != getElementTypeOrSelf(x.getType())) {
              x = widen(b, loc, x);
              Type stored = element;
              if (auto vector = dyn_cast<VectorType>(x.getType()))
                stored = vector.clone(element);
              if (!element.isF32())
                x = arith::TruncFOp::create(b, loc, stored, x);
            }
            storeElements(b, loc, x, target, {at[0], at[2], slot, column.base}, mask);
          });
  });
  return success();
}
