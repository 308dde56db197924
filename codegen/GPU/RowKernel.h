//===- RowKernel.h - rows by the threads of a warp or block -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_ROWKERNEL_H
#define CODEGEN_GPU_ROWKERNEL_H

#include "codegen/Common/RowEmitter.h"
#include "codegen/GPU/Templates.h"

namespace mlir::transformer {

/// The row that a thread works on, together with the others of its group.
struct RowOfThread {
  Value row;   ///< clamped to the last one, so that all threads meet at barriers
  Value lane;  ///< the thread's number among those of the row
  Value valid; ///< i1: the row exists and is this group's to write; null where that is known
  int64_t threads;
};

/// Deals the rows of `count` (an index) to groups of `tile[1]` threads, `tile[0]` a block.
RowOfThread rowOfThread(OpBuilder &b, Location loc, xgpu::ConfigAttr config, Value count);

/// Whether the threads of a row share the work of a reduction, each taking a part of its elements.
bool isSharedByThreads(linalg::GenericOp op);

/// Writes the code of whole rows of a tensor: the reductions that a row reads, by all of
/// its threads together, then its elements, in vectors that the threads take in turn.
class RowKernel {
public:
  /// `width` is the widest vector to use.
  RowKernel(GPUKernelContext &context, Value tensor, int64_t width);

  /// Receives the element, or the vector of neighbours, at `column`.
  using Sink = function_ref<void(OpBuilder &, Value value, LaneIndex column)>;
  /// The row at the indices `leading` of all dimensions but the last.
  void emit(OpBuilder &b, const RowOfThread &thread, ArrayRef<Value> leading, Sink sink);

  /// Its reductions alone, in all threads of the row.
  SmallVector<Value> reduceRow(OpBuilder &b, const RowOfThread &thread, ArrayRef<Value> leading);
  /// `count` neighbours of the row from `column` on, as a vector, given its reductions.
  Value neighbours(OpBuilder &b, ArrayRef<Value> leading, ValueRange reduced, Value column, int64_t count);

private:
  Value reduce(OpBuilder &b, linalg::GenericOp op, const RowOfThread &thread, ArrayRef<LaneIndex> at);
  Value reduceBlock(OpBuilder &b, vector::CombiningKind kind, Value value, const RowOfThread &thread);
  /// Sets the widest vectors that `suits` and divide `size`.
  void chooseWidth(OpFoldResult size, function_ref<bool()> suits);
  void setReduced(ValueRange values);
  void forgetReduced();

  /// Shows `body` the places of the thread's vectors below `size`, a few at a time where their number is
  /// known, so that their loads do not wait for each other; values are carried from one to the next.
  using Places = function_ref<SmallVector<Value>(OpBuilder &, ArrayRef<Value> places, ValueRange carried)>;
  SmallVector<Value> forPlaces(OpBuilder &b, const RowOfThread &thread, OpFoldResult size, ValueRange init,
                               Places body);

  GPUKernelContext &context;
  Evaluator evaluator;
  Value tensor;
  int64_t widest;
  RowReductions reductions;
  Location loc;
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_ROWKERNEL_H
