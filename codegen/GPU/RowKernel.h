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
  Value valid; ///< i1: the row exists and is this group's to write
  int64_t threads;
};

/// Deals the rows of `count` (an index) to groups of `tile[1]` threads, `tile[0]` a block.
RowOfThread rowOfThread(OpBuilder &b, Location loc, xgpu::ConfigAttr config, Value count);

/// Writes the code of whole rows of a tensor: the reductions that a row reads, by all of
/// its threads together, then its elements, in vectors that the threads take in turn.
class RowKernel {
public:
  RowKernel(GPUKernelContext &context, Value tensor);

  /// Receives the element, or the vector of neighbours, at `column`.
  using Sink = function_ref<void(OpBuilder &, Value value, LaneIndex column)>;
  /// The row at the indices `leading` of all dimensions but the last.
  void emit(OpBuilder &b, const RowOfThread &thread, ArrayRef<Value> leading, Sink sink);

private:
  Value reduce(OpBuilder &b, linalg::GenericOp op, const RowOfThread &thread, ArrayRef<LaneIndex> at);
  Value reduceBlock(OpBuilder &b, vector::CombiningKind kind, Value value, const RowOfThread &thread);
  /// Sets the widest vectors, up to the config's, that `suits` and divide `size`.
  void chooseWidth(OpFoldResult size, function_ref<bool()> suits);

  GPUKernelContext &context;
  Evaluator evaluator;
  Value tensor;
  RowReductions reductions;
  Location loc;
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_ROWKERNEL_H
