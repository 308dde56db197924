//===- AttentionRows.h - rows of queries in fragments ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_ATTENTIONROWS_H
#define CODEGEN_GPU_ATTENTIONROWS_H

#include "codegen/GPU/AttentionKernel.h"

namespace mlir::transformer {

/// What a lane carries over the tiles of keys, for its two rows.
struct RowState {
  Value maximum[2], total[2];
};

/// An attention whose blocks have rows, being positions times the heads that share keys, and whose warps have
/// 16 of them in fragments as `mma.m16n8k16` has its sums: a lane has two rows, eight apart. Scores and sums
/// of weighted values are lists by fragment of eight columns, four each.
class AttentionRows : public AttentionKernel {
public:
  /// `tile` = [rows, keys] of a block.
  AttentionRows(GPUKernelContext &context, AttentionOp op);

protected:
  /// States the grid, and finds the sequence, the head and the positions of the block.
  void beginBlock(OpBuilder &b);
  /// Finds what the rows of a warp see; `firstRow` (index) of its 16 in the block.
  void beginRows(OpBuilder &b, Value firstRow);
  /// Keys that a row of the block sees: [low, high) (i32).
  std::pair<Value, Value> rangeOfRow(OpBuilder &b, Value row) { return rangeOf(b, placeOf(b, row).first); }
  /// What any row of the block sees, from the begin of a tile on.
  std::pair<Value, Value> rangeOfBlock(OpBuilder &b);
  /// A row's position in the call and its query head (index).
  std::pair<Value, Value> placeOf(OpBuilder &b, Value row);
  /// The same as placeOf for a row that exists: the last one's where there are fewer.
  std::pair<Value, Value> existingPlaceOf(OpBuilder &b, Value row);

  /// The scale, the cap and the bias, where the maximum must be of what is finished.
  SmallVector<Value> finishScores(OpBuilder &b, SmallVector<Value> scores, Value firstKey);
  /// Scores of keys that a row does not see are hidden.
  SmallVector<Value> maskScores(OpBuilder &b, SmallVector<Value> scores, Value firstKey);
  RowState emptyState(OpBuilder &b);
  /// Scores become weights, to the maximum of all that were seen (arXiv:1805.02867); `corrections` are the
  /// factors of what was summed before, for each of the two rows. Four lanes share a row.
  void weigh(OpBuilder &b, SmallVector<Value> &scores, RowState &state, Value (&corrections)[2]);
  void correct(OpBuilder &b, SmallVector<Value> &sums, const Value (&corrections)[2]);
  /// Two fragments of weights, of 16 keys from 16 `k` on, as the left operand of a product.
  SmallVector<Value> packWeights(OpBuilder &b, ArrayRef<Value> weights, int64_t k);
  /// Divides the sums by the total weight and stores those of rows that exist.
  void storeRows(OpBuilder &b, ArrayRef<Value> sums, const RowState &state);

  Type type;
  int64_t rows, keys, positionsOfBlock, threads;
  Value thread, lane;      ///< i32
  Value firstPosition;     ///< of the block
  Value ownRow[2];         ///< the lane's two rows in the block (index)
  Value low[2], high[2];   ///< what they see
  Value warpLow, warpHigh; ///< what all rows of the warp see
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_ATTENTIONROWS_H
