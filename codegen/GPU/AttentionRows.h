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

/// Attention of many queries whose warps have 16 rows each, in fragments as `mma.m16n8k16` has its sums: a
/// lane has two rows, eight apart. Scores and sums of weighted values are lists by fragment of eight columns,
/// four each.
class AttentionRows : protected PrefillAttention {
protected:
  AttentionRows(GPUKernelContext &context, AttentionOp op)
      : PrefillAttention(context, op), type(shape.query) {}

  /// Finds what the rows of a warp see; `firstRow` (index) of its 16 in the block.
  void beginRows(OpBuilder &b, Value firstRow);

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
  Value ownRow[2];         ///< the lane's two rows in the block (index)
  Value low[2], high[2];   ///< what they see
  Value warpLow, warpHigh; ///< what all rows of the warp see
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_ATTENTIONROWS_H
