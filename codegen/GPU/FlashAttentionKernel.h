//===- FlashAttentionKernel.h - attention on tensor cores ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_FLASHATTENTIONKERNEL_H
#define CODEGEN_GPU_FLASHATTENTIONKERNEL_H

#include "codegen/GPU/AttentionKernel.h"
#include "codegen/GPU/MmaFragments.h"

namespace mlir::transformer {

/// What a lane carries over the tiles of keys, for its two rows.
struct FlashState {
  SmallVector<Value> sums; ///< of the weighted values, by fragment of 8 dimensions, 4 each
  Value maximum[2], total[2];

  SmallVector<Value> flatten(Value stage) const {
    SmallVector<Value> all(sums);
    all.append({maximum[0], maximum[1], total[0], total[1], stage});
    return all;
  }
  static FlashState of(ValueRange all) {
    FlashState carried;
    size_t n = all.size() - 5;
    carried.sums.assign(all.begin(), all.begin() + n);
    for (int i = 0; i < 2; ++i)
      carried.maximum[i] = all[n + i], carried.total[i] = all[n + 2 + i];
    return carried;
  }
};

class FlashAttentionEmitter : PrefillAttention {
public:
  FlashAttentionEmitter(GPUKernelContext &context, AttentionOp op);
  void emit(OpBuilder &b);

private:
  void beginWarp(OpBuilder &b);
  void loadQueries(OpBuilder &b);
  /// Rows of a matrix as a tile, `shift` bytes (i32) behind it, on their way; `rowOf` makes the matrix's row
  /// (index) of the tile's (i32).
  void issueCopies(OpBuilder &b, Value memref, const SwizzledTile &tile, Value shift,
                   function_ref<Value(OpBuilder &, Value row)> rowOf);
  void clearPadding(OpBuilder &b);
  void copyQueries(OpBuilder &b);
  void copyKeys(OpBuilder &b, Value memref, const SwizzledTile &tile, Value firstKey, Value stage);
  /// The warp's queries of 16 dimensions, number `k`, as a left operand.
  SmallVector<Value> queryFragment(OpBuilder &b, int64_t k);
  SmallVector<Value> multiplyKeys(OpBuilder &b, Value stage);
  SmallVector<Value> finishScores(OpBuilder &b, SmallVector<Value> scores, Value firstKey);
  SmallVector<Value> maskScores(OpBuilder &b, SmallVector<Value> scores, Value firstKey);
  void weigh(OpBuilder &b, SmallVector<Value> &scores, FlashState &carried);
  void multiplyValues(OpBuilder &b, Value stage, ArrayRef<Value> weights, FlashState &carried);
  SmallVector<Value> emitTile(OpBuilder &b, Value firstKey, Value end, ValueRange values);
  void finish(OpBuilder &b, const FlashState &carried);

  /// Queries stand in shared memory.
  bool isWide() const { return headDim > 128; }

  Type type;
  int64_t dims, stageBytes; ///< dimensions with those that make 16
  SwizzledTile queryTile, keyTile, valueTile;
  Value ownRow[2];                                ///< the lane's two rows in the block (index)
  Value low[2], high[2];                          ///< what they see
  Value warpLow, warpHigh;                        ///< what all rows of the warp see
  SmallVector<SmallVector<Value>> queryFragments; ///< by 16 dimensions, in registers
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_FLASHATTENTIONKERNEL_H
