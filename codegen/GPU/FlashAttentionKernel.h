//===- FlashAttentionKernel.h - attention on tensor cores ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_FLASHATTENTIONKERNEL_H
#define CODEGEN_GPU_FLASHATTENTIONKERNEL_H

#include "codegen/GPU/AttentionRows.h"
#include "codegen/GPU/MmaFragments.h"

namespace mlir::transformer {

/// What a lane carries over the tiles of keys, for its two rows.
struct FlashState : RowState {
  SmallVector<Value> sums; ///< of the weighted values, by fragment of 8 dimensions, 4 each

  SmallVector<Value> flatten(Value stage) const {
    SmallVector<Value> all(sums);
    all.append({maximum[0], maximum[1], total[0], total[1], stage});
    return all;
  }
  static FlashState of(ValueRange all) {
    FlashState carried;
    ValueRange rest = all.take_back(5);
    carried.sums = llvm::to_vector(all.drop_back(5));
    for (int i = 0; i < 2; ++i)
      carried.maximum[i] = rest[i], carried.total[i] = rest[2 + i];
    return carried;
  }
};

class FlashAttentionEmitter : AttentionRows {
public:
  FlashAttentionEmitter(GPUKernelContext &context, AttentionOp op);
  void emit(OpBuilder &b);

private:
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
  void multiplyValues(OpBuilder &b, Value stage, ArrayRef<Value> weights, FlashState &carried);
  SmallVector<Value> emitTile(OpBuilder &b, Value firstKey, Value end, ValueRange values);

  /// Queries stand in shared memory.
  bool isWide() const { return headDim > 128; }

  int64_t dims, stageBytes; ///< dimensions with those that make 16
  SwizzledTile queryTile, keyTile, valueTile;
  SmallVector<SmallVector<Value>> queryFragments; ///< by 16 dimensions, in registers
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_FLASHATTENTIONKERNEL_H
