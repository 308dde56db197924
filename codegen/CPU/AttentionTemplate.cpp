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
// and only where a row's range ends are scores compared with it. Products of bf16
// are dot products of pairs where the target has them; p is rounded to bf16 for
// them, the sum l is not. Otherwise everything is f32.
//
// Decoding, one position at a time, reads each key once for a few rows, so packing
// would cost more than it saves: a score is the sum of the lanes of a product along
// the head, sixteen of them added up by a tree, and values are read where they are.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/MicroKernel.h"
#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
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

/// Maximum of a row that has seen nothing, and score of what is hidden: so much less
/// that it counts nothing even then, and finite, so that no difference is NaN.
constexpr double kNothing = -1.0e30, kHidden = -1.0e35;

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
  void computeRows(OpBuilder &b, Value tensor, Value target, Value begin, Value count);
  void packKeys(OpBuilder &b, Value count);
  void packValues(OpBuilder &b, Value count);
  Value loadRow(OpBuilder &b, Value memref, Value j, Value column, int64_t width, int64_t left, Type as);
  Value tileOf(OpBuilder &b, Value memref, Value count);

  //===--- a register tile ---===//
  void emitRowTile(OpBuilder &b, RowTile rows, Value begin, Value end);
  void computeScores(OpBuilder &b, RowTile rows, Value columns);
  void computeScoresInPlace(OpBuilder &b, RowTile rows, Value columns);
  SmallVector<SmallVector<Value>> multiplyKeys(OpBuilder &b, Value memref, Value j, Value last, RowTile rows,
                                               int64_t key, int64_t count);
  SmallVector<Value> dotTree(OpBuilder &b, Value memref, Value j, Value last, RowTile rows, int64_t key,
                             int64_t span);
  void softmaxRow(OpBuilder &b, Value row, Value inTile, Value begin, Value columns);
  std::pair<Value, Value> weighRow(OpBuilder &b, Value row, Value inTile, Value begin, Value padded,
                                   Value before, bool isMasked);
  Value finishScore(OpBuilder &b, Value score, Value row, Value j);
  Value hideScore(OpBuilder &b, Value score, Value row, Value j);
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
  void forLoop(OpBuilder &b, Value from, Value to, int64_t step,
               function_ref<void(OpBuilder &, Value)> body) {
    transformer::forLoop(b, loc, from, to, step, body);
  }
  void forRowTiles(OpBuilder &b, function_ref<void(OpBuilder &, RowTile)> body);
  /// The panel of packed keys that holds column `j` of a tile, and where in it.
  std::pair<Value, Value> panelOf(OpBuilder &b, Value j) {
    Value width = constant(b, tileColumns);
    return {arith::DivUIOp::create(b, loc, j, width), arith::RemUIOp::create(b, loc, j, width)};
  }
  Value exp2(OpBuilder &b, Value x, ArrayRef<double> coefficients);
  Value maximum(OpBuilder &b, Value x, Value y);
  bool isDecode() const { return blockPositions == 1; }
  bool isComputed(Value memref) const { return memref == keyRows || memref == valueRows; }
  /// Keys that decoding multiplies at a time: where a vector has four lanes and there are
  /// registers for it all four, which leaves no tree to hold; with more lanes one.
  int64_t keysTogether() const { return lanes == 4 && tileColumns / lanes >= 4 ? 4 : 1; }
  /// Scores go through a cap or a bias, or are not scaled by a positive number: they
  /// are finished before their maximum is taken.
  bool isGeneral() { return op.getSoftcap() || op.getBias() || op.getScale().convertToDouble() <= 0; }
  /// What scores are multiplied by for exp2.
  double factor() {
    constexpr double log2e = 1.4426950408889634;
    return isGeneral() ? log2e : op.getScale().convertToDouble() * log2e;
  }
  /// Keys visible to a row of the block: [low, high).
  std::pair<Value, Value> rangeOf(OpBuilder &b, Value row);

  KernelContext &context;
  AttentionOp op;
  Location loc;
  int64_t lanes, tileRows, tileColumns, blockPositions, blockKeys, depth, keyAlignment;
  int64_t heads, kvHeads, group, headDim, words, paddedDim, queryDim;
  int64_t valueDepth; ///< keys that one step of the product with values sums
  bool copiesValues;
  Type operand, valueOperand; ///< of what is multiplied: bf16 for dot products, else f32
  Value query, key, value, length, appended;
  Value keyRows, valueRows; ///< where keys and values of a tile are computed; null for arguments
  /// Scratch of a task: queries [rows, D], keys [panels, words, tileColumns * depth], values
  /// [blockKeys / depth, D * depth], scores and weights [tileRows, blockKeys],
  /// output [rows, D], maximum, sum and correction [rows].
  Value q, kt, vp, scores, weights, output, maxima, sums, corrections;
  /// Of the current task.
  Value batch, kvHead, firstPosition, rows, held, positions;
  /// Of the current tile of keys: where its first one stands, and the position behind its last.
  Value place, tileEnd;
};

} // namespace

AttentionEmitter::AttentionEmitter(KernelContext &context, AttentionOp op, LoweringConfigAttr config)
    : context(context), op(op), loc(op.getLoc()), lanes(config.getVector()), tileRows(config.getTile()[0]),
      tileColumns(config.getTile()[1]), blockPositions(config.getBlock()[0]), blockKeys(config.getBlock()[1]),
      depth(config.getBlock()[2]), keyAlignment(config.getBlock()[3]) {
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
    if (isa<BlockArgument>(op.getKey()))
      key = context.argument(op.getKey());
    if (isa<BlockArgument>(op.getValue()))
      value = context.argument(op.getValue());
    kvHeads = cast<RankedTensorType>(op.getKey().getType()).getDimSize(2);
  }
  group = heads / kvHeads;
  words = headDim / depth;
  paddedDim = llvm::alignTo(headDim, lanes);
  Type f32 = Float32Type::get(op.getContext()), bf16 = BFloat16Type::get(op.getContext());
  operand = depth > 1 ? bf16 : f32;
  valueDepth = isDecode() ? 1 : depth;
  valueOperand = valueDepth > 1 ? bf16 : f32;
  copiesValues = valueDepth > 1 || headDim % lanes != 0;
  // In place, keys are read in whole vectors; queries have zeros where heads have no more.
  queryDim = isDecode() ? llvm::divideCeilSigned(headDim, lanes * depth) * lanes * depth : headDim;
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
      body(b, {MicroKernel::opaqueIndex(b, loc, next), count});
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
  q = scratch({most, queryDim}, operand);
  // Transposition writes whole vectors of words, and the micro-kernel reads whole tiles of keys.
  if (!isDecode())
    kt = scratch({blockKeys / tileColumns, llvm::divideCeilSigned(words, lanes) * lanes, tileColumns * depth},
                 operand);
  if (copiesValues)
    vp = scratch({blockKeys / valueDepth, paddedDim * valueDepth}, valueOperand);
  scores = scratch({std::min(tileRows, most), blockKeys}, f32);
  weights = valueDepth > 1 ? scratch({tileRows, blockKeys}, valueOperand) : scores;
  output = scratch({most, paddedDim}, f32);
  // Keys and values that are computed stand as rows of the tile, [1, keys, 1, D].
  auto rowsOf = [&](Value tensor) {
    return scratch({1, blockKeys, 1, headDim}, getElementTypeOrSelf(tensor.getType()));
  };
  if (!key)
    key = keyRows = rowsOf(op.getKey());
  if (!value)
    value = valueRows = rowsOf(op.getValue());
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
  held = length ? heldPositions(b, loc, length, appended, batch)
                : indexValue(b, loc, Evaluator(context, lanes).dimSize(b, op.getKey(), 1));
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
    if (queryDim > headDim)
      for (int64_t d = 0; d < queryDim; d += lanes * depth)
        vector::StoreOp::create(
            b, loc, arith::ConstantOp::create(b, loc, b.getZeroAttr(vectorOf(lanes * depth, operand))), q,
            ValueRange{row, constant(b, d)});
    emitter.emit(b, {batch, s, head}, [&, row = row](OpBuilder &b, Value x, LaneIndex column, Value mask) {
      if (getElementTypeOrSelf(x.getType()) != operand)
        x = widen(b, loc, x);
      storeElements(b, loc, x, q, {row, column.base}, mask);
    });
    memref::StoreOp::create(b, loc, constantF32(b, loc, kNothing), maxima, row);
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
    // A tile of a ring ends where the ring does, so that its keys lie in a row. Where
    // results may not depend on the block, tiles end at multiples of their size.
    bool isRing = op.getCache() && op.getCache().getType().getPolicy() == CachePolicy::Ring;
    Value capacity = isRing ? Value(memref::DimOp::create(b, loc, key, 2)) : Value();
    auto floor = [&](OpBuilder &b, Value x, Value unit) -> Value {
      return arith::SubIOp::create(b, loc, x, arith::RemUIOp::create(b, loc, x, unit));
    };
    if (keyAlignment > 1) {
      Value aligned = floor(b, low, constant(b, keyAlignment));
      low = isRing ? Value(arith::MaxSIOp::create(b, loc, aligned, floor(b, low, capacity))) : aligned;
    }
    scf::WhileOp::create(
        b, loc, TypeRange(low.getType()), ValueRange(low),
        [&](OpBuilder &b, Location loc, ValueRange carried) {
          Value more = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, carried[0], high);
          scf::ConditionOp::create(b, loc, more, carried);
        },
        [&](OpBuilder &b, Location loc, ValueRange carried) {
          Value begin = carried[0];
          Value base = keyAlignment > 1 ? floor(b, begin, constant(b, keyAlignment)) : begin;
          Value end = arith::MinSIOp::create(b, loc, addIndex(b, loc, base, blockKeys), high);
          place = begin;
          if (isRing) {
            place = arith::RemUIOp::create(b, loc, begin, capacity);
            Value left = arith::SubIOp::create(b, loc, capacity, place);
            end = arith::MinSIOp::create(b, loc, end, arith::AddIOp::create(b, loc, begin, left));
          }
          emitKeyTile(b, begin, end);
          scf::YieldOp::create(b, loc, end);
        });
    finish(b);
  });
}

//===----------------------------------------------------------------------===//
// A tile of keys
//===----------------------------------------------------------------------===//

/// `width` elements at `column` of key or value `j` of the tile, as elements of type
/// `as`; zeros from the `left`-th on.
Value AttentionEmitter::loadRow(OpBuilder &b, Value memref, Value j, Value column, int64_t width,
                                int64_t left, Type as) {
  Type stored = cast<MemRefType>(memref.getType()).getElementType();
  VectorType type = vectorOf(width, stored);
  SmallVector<Value> at{batch, kvHead, arith::AddIOp::create(b, loc, place, j), column};
  if (!op.getCache())
    std::swap(at[1], at[2]);
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

/// The values of the tile as [keys, D], where they are.
Value AttentionEmitter::tileOf(OpBuilder &b, Value memref, Value count) {
  OpFoldResult one = b.getIndexAttr(1), zero = b.getIndexAttr(0), dim = b.getIndexAttr(headDim);
  SmallVector<OpFoldResult> offsets{batch, kvHead, place, zero}, sizes{one, one, count, dim};
  if (!op.getCache()) {
    std::swap(offsets[1], offsets[2]);
    std::swap(sizes[1], sizes[2]);
  }
  if (isComputed(memref))
    offsets.assign(4, zero);
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

/// vp[j / depth, d, j % depth] = value j of the tile at d.
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
      vector::StoreOp::create(b, loc, x, vp, ValueRange{step, constant(b, d * valueDepth)});
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
    emitter.emit(b, {batch, at, kvHead}, [&](OpBuilder &b, Value x, LaneIndex column, Value mask) {
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

/// Scores of keys j, j + 1, … with scale, cap and bias.
Value AttentionEmitter::finishScore(OpBuilder &b, Value score, Value row, Value j) {
  double scale = op.getScale().convertToDouble();
  if (op.getSoftcap()) {
    double cap = op.getSoftcap()->convertToDouble();
    Value inner = arith::MulFOp::create(b, loc, score, splat(b, scale / cap));
    score = arith::MulFOp::create(b, loc, math::TanhOp::create(b, loc, inner), splat(b, cap));
  } else {
    score = arith::MulFOp::create(b, loc, score, splat(b, scale));
  }
  if (!op.getBias())
    return score;
  auto type = cast<RankedTensorType>(op.getBias().getType());
  Value zero = constant(b, 0), memref = context.argument(op.getBias());
  auto [s, head] = positionAndHead(b, loc, row, group, firstPosition, kvHead);
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

/// One instruction: NaN in a score is not lost, since it is in the sum of the weights.
Value AttentionEmitter::maximum(OpBuilder &b, Value x, Value y) {
  auto flags = arith::FastMathFlags::nnan | arith::FastMathFlags::nsz;
  return arith::MaximumFOp::create(b, loc, x, y, flags);
}

/// 2^x for finite x <= 0; zero far below.
Value AttentionEmitter::exp2(OpBuilder &b, Value x, ArrayRef<double> coefficients) {
  auto contract = arith::FastMathFlags::contract;
  Type type = x.getType();
  auto constantLike = [&](double value) {
    Value scalar = constantF32(b, loc, value);
    return isa<VectorType>(type) ? Value(vector::BroadcastOp::create(b, loc, type, scalar)) : scalar;
  };
  auto polynomial = [&](Value f) {
    Value y = constantLike(coefficients[0]);
    for (double c : coefficients.drop_front())
      y = arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, y, f, contract), constantLike(c),
                                contract);
    return y;
  };
  if (isa<VectorType>(type) && lanes == 16) {
    // AVX-512 multiplies by a power of two in one instruction, which also rounds to zero.
    Value whole = math::RoundEvenOp::create(b, loc, x);
    Value y = polynomial(arith::SubFOp::create(b, loc, x, whole));
    Value all = arith::ConstantOp::create(b, loc, b.getI16IntegerAttr(-1));
    Value current = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(4)); // rounding mode
    return LLVM::CallIntrinsicOp::create(b, loc, type, b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"),
                                         ValueRange{y, whole, y, all, current})
        .getResult(0);
  }
  Type intType = b.getI32Type();
  if (auto vector = dyn_cast<VectorType>(type))
    intType = vector.clone(intType);
  Value least = constantLike(-126.0);
  Value bounded = maximum(b, x, least);
  Value whole = math::RoundEvenOp::create(b, loc, bounded);
  Value y = polynomial(arith::SubFOp::create(b, loc, bounded, whole));
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
  ArrayRef<double> coefficients = valueDepth > 1 ? ArrayRef<double>(kExp2Short) : ArrayRef<double>(kExp2);
  auto summed = scf::ForOp::create(
      b, loc, zero, padded, constant(b, lanes), ValueRange{splat(b, 0.0)},
      [&](OpBuilder &b, Location loc, Value j, ValueRange carried) {
        Value s = vector::LoadOp::create(b, loc, f32Vector(b), scores, ValueRange{inTile, j});
        Value x =
            arith::SubFOp::create(b, loc, arith::MulFOp::create(b, loc, s, scale, contract), shift, contract);
        Value p = exp2(b, x, coefficients);
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
  Value correction = exp2(b,
                          arith::MulFOp::create(b, loc, arith::SubFOp::create(b, loc, before, most),
                                                constantF32(b, loc, factor())),
                          kExp2);
  Value sum = arith::MulFOp::create(b, loc, memref::LoadOp::create(b, loc, sums, row), correction);
  sum = arith::AddFOp::create(b, loc, sum, weighed.getResult(1));
  memref::StoreOp::create(b, loc, sum, sums, row);
  memref::StoreOp::create(b, loc, most, maxima, row);
  memref::StoreOp::create(b, loc, correction, corrections, inTile);
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
