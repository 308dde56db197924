//===- DecodeAttentionKernel.h - attention of few queries ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_DECODEATTENTIONKERNEL_H
#define CODEGEN_GPU_DECODEATTENTIONKERNEL_H

#include "codegen/GPU/AttentionKernel.h"

namespace mlir::transformer {

/// Rows (positions times heads that share keys) that one merge of the warps takes.
constexpr int64_t kMergedRows = 8;

/// A block has `tile[0]` rows and the keys that they see, or a split of them; its warps take steps of keys
/// in turn. How a warp attends is for those that derive from it.
class DecodeAttention : protected AttentionKernel {
public:
  /// A warp has sums of `dims` dimensions, at least the head's.
  DecodeAttention(GPUKernelContext &context, AttentionOp op, int64_t stepKeys, int64_t dims);
  virtual ~DecodeAttention() = default;
  void emit(OpBuilder &b);

protected:
  virtual void loadQueries(OpBuilder &b) = 0;
  /// The state of a warp that has seen nothing, and after `stepKeys` keys from `firstKey` (i32) on.
  virtual SmallVector<Value> initialState(OpBuilder &b) = 0;
  virtual SmallVector<Value> emitStep(OpBuilder &b, Value firstKey, ValueRange state) = 0;
  /// What is left to do before warps merge.
  virtual void finishState(OpBuilder &, SmallVector<Value> &) {}
  /// Stores the warp's sums, maximum and total of rows [kMergedRows * part, …) by storeSums and storeRow.
  virtual void storeState(OpBuilder &b, ArrayRef<Value> state, int64_t part) = 0;

  /// A row's position in the call and its query head (index).
  std::pair<Value, Value> placeOf(OpBuilder &b, Value row);
  /// Keys of the block that a row of it (index) sees: [low, high) (i32).
  std::pair<Value, Value> rangeOfRow(OpBuilder &b, Value row);
  /// The number of the row of keys or values for a position of the block's keys, at most the last (index).
  Value rowOfKey(OpBuilder &b, Value position);
  /// Hides (or not) the finished score of `position` (i32) for a row that sees [low, high).
  Value maskScore(OpBuilder &b, Value score, Value position, Value low, Value high);
  /// Puts neighbouring sums of a row of the part (i32) in shared memory, beside those of other warps.
  void storeSums(OpBuilder &b, Value sums, Value row, Value column);
  void storeRow(OpBuilder &b, Value maximum, Value total, Value row);

  int64_t threads, warps, rows, headsOfBlock, stepKeys;
  Value base, thread, lane, warp; ///< i32
  Value first, last;              ///< the block's keys: [first, last) (i32)

private:
  void beginBlock(OpBuilder &b);
  void restrictToSplit(OpBuilder &b, Value split);
  void attend(OpBuilder &b);
  void mergeWarps(OpBuilder &b, int64_t part);
  /// The merged row and column number `element` (i32) of a part, stored.
  void mergeElement(OpBuilder &b, int64_t part, Value element);
  void storeAt(OpBuilder &b, Value x, Value row, Value column);
  void storeNothing(OpBuilder &b);
  void storeResult(OpBuilder &b, Value row, Value column, Value sum, Value maximum, Value total);
  Value addressOf(OpBuilder &b, int64_t offset, Value place);

  int64_t pitch, sumsAt, maximaAt, totalsAt; ///< of a warp's row, and in shared memory
  Value firstHead, split;                    ///< index
};

/// Reports a config whose rows are more than `mostRows` or not those of heads that share keys.
LogicalResult checkDecodeConfig(AttentionOp op, xgpu::ConfigAttr config, int64_t mostRows);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_DECODEATTENTIONKERNEL_H
