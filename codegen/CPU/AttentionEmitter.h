//===- AttentionEmitter.h - attention over blocks of keys ------------------===//
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
// Decoding, one position at a time, is AttentionDecode's, tile by tile of keys.
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_ATTENTIONEMITTER_H
#define CODEGEN_CPU_ATTENTIONEMITTER_H

#include "codegen/CPU/Templates.h"
#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::transformer {

/// Maximum of a row that has seen nothing, and score of what is hidden: so much less
/// that it counts nothing even then, and finite, so that no difference is NaN.
constexpr double kNothing = AttentionOp::kNoMaximum, kHidden = -1.0e35;

class AttentionEmitter {
public:
  AttentionEmitter(KernelContext &context, AttentionOp op, LoweringConfigAttr config);

  void emit(OpBuilder &b);

private:
  /// What a task attends for.
  struct Task {
    Value batch, kvHead, firstPosition;
  };

  /// What is read behind a tile of keys: the next tile, or the next task's first.
  struct Next {
    Value isTask;
    Task of;
    Value place, keys; ///< where the first key stands, and how many there are; 0 where nobody knows
    Value share;       ///< keys that each row tile asks for
  };

  /// A register tile of rows and what belongs to it.
  struct RowTile {
    Value first;   ///< its first row in the block
    int64_t count; ///< static
  };

  /// Keys of a tile that a register tile sees: from the first of a panel on.
  struct Columns {
    Value first, last;
  };

  /// Heads that decoding multiplies together, in the lanes of some vectors.
  struct HeadTile {
    Value number;    ///< of tiles
    Value first;     ///< its first head of those that share keys
    int64_t heads;   ///< static
    int64_t width;   ///< lanes of each, a power of two
    int64_t vectors; ///< that the heads take
  };

  //===--- setting up ---===//
  void allocate(OpBuilder &b);
  Task taskOf(OpBuilder &b, Value number);
  void beginTask(OpBuilder &b, Value number);
  void loadQueries(OpBuilder &b);
  void walkKeys(OpBuilder &b, Value low, Value high);
  std::pair<Value, Value> splitOf(OpBuilder &b, Value low, Value high);

  //===--- a tile of keys ---===//
  void emitKeyTile(OpBuilder &b, Value begin, Value end);
  void computeRows(OpBuilder &b, Value tensor, Value target, Value begin, Value count);
  void packKeys(OpBuilder &b, Value count);
  void packValues(OpBuilder &b, Value count);
  Value loadRow(OpBuilder &b, Value memref, Value j, Value column, int64_t width, int64_t left, Type as);
  SmallVector<Value> keyIndices(const Task &of, Value row, Value column);
  Value rowsOf(OpBuilder &b, Value memref, Value first, Value count);

  //===--- what is read next ---===//
  /// Elements of what memory is asked for at a time, 64 bytes.
  static int64_t elementsOfLine(Value memref) {
    return 512 / cast<MemRefType>(memref.getType()).getElementTypeBitWidth();
  }
  void prefetch(OpBuilder &b, Value memref, SmallVector<Value> indices, int64_t elements,
                bool isWritten = false);
  void prefetchKey(OpBuilder &b, Value memref, const Task &of, Value row, Value column, int64_t elements);
  void prefetchInRange(OpBuilder &b, Value memref, Value j, Value offset, int64_t elements);
  void prefetchQuery(OpBuilder &b, const Task &of, Value row);
  void prefetchResult(OpBuilder &b, Value row);
  void findNext(OpBuilder &b, Value begin, Value end);
  void prefetchNext(OpBuilder &b, RowTile tile);

  //===--- a register tile ---===//
  void emitRowTile(OpBuilder &b, RowTile rows, Value begin, Value end);
  void computeScores(OpBuilder &b, RowTile rows, Columns columns);
  void softmaxRows(OpBuilder &b, RowTile tile, Value begin, Columns columns);
  Value largestScore(OpBuilder &b, Value row, Value inTile, Value begin, Value from, Value to, Value before,
                     bool isMasked);
  void updateMaximum(OpBuilder &b, Value row, Value inTile, Value begin, Columns columns);
  void weighRow(OpBuilder &b, Value row, Value inTile, Columns columns);
  Value capScore(OpBuilder &b, Value score);
  Value finishScore(OpBuilder &b, Value score, Value row, Value j);
  Value hideScore(OpBuilder &b, Value score, Value row, Value j);
  void accumulateValues(OpBuilder &b, RowTile rows, Columns columns);
  void finish(OpBuilder &b);
  void finishSplit(OpBuilder &b);
  void finishEmptySplit(OpBuilder &b);

  //===--- decoding ---===//
  int64_t accumulators() const;
  /// Heads of a whole tile: as many as leave accumulators for the keys of a tree.
  int64_t mostHeads() const {
    if (byRows)
      return accumulators();
    return std::max<int64_t>(accumulators() / 4, 1) * std::max<int64_t>(lanes / 4, 1);
  }
  /// Tiles of heads that share what they ask for: all, where they are alike.
  int64_t tilesThatAsk() const { return group % mostHeads() == 0 ? group / mostHeads() : 1; }
  HeadTile tileOfHeads(Value number, Value first, int64_t heads) const;
  void forHeadTiles(OpBuilder &b, function_ref<void(OpBuilder &, HeadTile)> body);
  void allocateDecode(function_ref<Value(ArrayRef<int64_t>, Type)> scratch);
  void arrangeQueries(OpBuilder &b);
  void settleLanes(OpBuilder &b);
  void decodeTile(OpBuilder &b, Value begin, Value columns);
  int64_t stepsOf(HeadTile tile) const { return llvm::divideCeilSigned(words, tile.width); }
  /// Keys of which each lane of a width adds up one: as many as have their sums in registers, a multiple of
  /// the width; by rows, where sums wait in memory, the width.
  int64_t keysTogether(HeadTile tile) const {
    if (byRows)
      return lanes;
    return std::max<int64_t>(accumulators() / tile.vectors / tile.width, 1) * tile.width;
  }
  bool copiesKeys(HeadTile tile);
  bool sharesCopies();
  void copyKeys(OpBuilder &b, Value j, Value count);
  Value repeatWords(OpBuilder &b, HeadTile tile, Value rows, int64_t i, Value column);
  SmallVector<Value> multiplyKeys(OpBuilder &b, HeadTile tile, Value rows, int64_t count, Value ahead);
  SmallVector<Value> multiplyRows(OpBuilder &b, HeadTile tile, Value rows, int64_t count, Value ahead);
  SmallVector<Value> addLanes(OpBuilder &b, SmallVector<Value> sums, int64_t width);
  Value finishLanes(OpBuilder &b, HeadTile tile, int64_t v, Value score, Value key);
  void scoreBlock(OpBuilder &b, HeadTile tile, Value begin, Value j, Value rows, Value exist);
  void forKeyBlocks(OpBuilder &b, Value columns, int64_t size,
                    function_ref<void(OpBuilder &, Value j, Value rest)> body);
  void scoreTile(OpBuilder &b, Value begin, Value columns);
  void weighLanes(OpBuilder &b, HeadTile tile, int64_t v, Value columns);
  void correctOutputs(OpBuilder &b, HeadTile tile, int64_t v, Value correction);
  bool loadsTwoVectors();
  SmallVector<int64_t> columnsOfHalf(bool second) const;
  SmallVector<Value> loadValues(OpBuilder &b, Value rows, ValueRange keys, Value d, int64_t vectors);
  void arrangeSums(OpBuilder &b, MutableArrayRef<Value> sums, int64_t vectors, bool back);
  void prefetchNextKeys(OpBuilder &b, HeadTile tile, Value g, Value d, int64_t vectors, Value columns,
                        int64_t step);
  void addValueTile(OpBuilder &b, HeadTile tile, Value d, int64_t vectors, Value columns);
  void addValues(OpBuilder &b, HeadTile tile, Value columns);

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
  /// The largest multiple of `unit` that is no more than `x`.
  Value roundDown(OpBuilder &b, Value x, Value unit) {
    return arith::SubIOp::create(b, loc, x, arith::RemUIOp::create(b, loc, x, unit));
  }
  void forRowTiles(OpBuilder &b, function_ref<void(OpBuilder &, RowTile)> body);
  /// The panel of packed keys that holds column `j` of a tile, and where in it.
  std::pair<Value, Value> panelOf(OpBuilder &b, Value j) {
    Value width = constant(b, tileColumns);
    return {arith::DivUIOp::create(b, loc, j, width), arith::RemUIOp::create(b, loc, j, width)};
  }
  Value maximum(OpBuilder &b, Value x, Value y);
  /// The position in the call and the query head of a task's row.
  std::pair<Value, Value> positionAndHead(OpBuilder &b, const Task &task, Value row);
  bool isDecode() const { return blockPositions == 1; }
  bool isSplit() { return op.splitCount() > 0; }
  bool isComputed(Value memref) const { return memref == keyRows || memref == valueRows; }
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
  int64_t lanes, tileRows, tileColumns, blockPositions, blockKeys, depth, keyAlignment, unroll;
  int64_t mostKeys; ///< of a tile: a last one may be a little longer
  int64_t heads, kvHeads, group, headDim, words, paddedDim, queryDim;
  int64_t valueDepth; ///< keys that one step of the product with values sums
  bool copiesValues;
  bool byRows;                ///< decoding multiplies one key after the other
  Type operand, valueOperand; ///< of what is multiplied: bf16 for dot products, else f32
  Value query, key, value, length, appended;
  Value keyRows, valueRows; ///< where keys and values of a tile are computed; null for arguments
  /// Scratch of a task: queries [rows, D], keys [panels, words, tileColumns * depth], values
  /// [panels, mostKeys / depth, tileColumns * depth], scores and weights [tileRows, mostKeys],
  /// output [rows, D], maximum, sum and correction [rows]. Rows of which one element each is
  /// read at a time are a little longer: else they would meet in one bank of the cache.
  Value q, kt, vp, scores, weights, output, maxima, sums, corrections;
  /// Of decoding: queries as rows [heads, D], in q [tiles, steps, vectors, lanes]; a few keys
  /// [keys, D], and where they come one after the other their sums [keys, heads, lanes]; scores
  /// and weights are [tiles, vectors, keys / width, lanes], maxima of the tile of keys, maxima
  /// and sums of lanes [tiles, vectors, lanes].
  Value qRows, keyBlock, rowSums, tileMaxima, laneMaxima, laneSums;
  /// Of the current task.
  Task task, following;
  Value rows, held, positions, split;
  Value isFollowed; ///< whether the thread has another task, `following`
  /// Of the current tile of keys: where its first one stands, and the position behind its last.
  Value place, tileEnd;
  Value left;          ///< keys of the range from the tile's first on
  Value firstComputed; ///< the first row of those that see one of them
  Next next;
};

/// The positions that row `batch` of a cache holds.
Value heldPositions(OpBuilder &b, Location loc, Value length, Value appended, Value batch);

} // namespace mlir::transformer

#endif // CODEGEN_CPU_ATTENTIONEMITTER_H
