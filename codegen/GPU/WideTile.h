//===- WideTile.h - tiles of f32 in shared memory -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_WIDETILE_H
#define CODEGEN_GPU_WIDETILE_H

#include "codegen/GPU/KernelBuilder.h"

namespace mlir::transformer {

/// Rows of a matrix of any type as a tile of f32 in shared memory: rows at `pitch` apart or, transposed,
/// columns.
struct WideTile {
  Value memref;
  int64_t rows;
  int64_t existing, columns; ///< of the matrix; of the tile, those behind being zeros
  int64_t width;             ///< elements moved at once; divides both
  bool transposed;
  int64_t pitch, offset = 0;

  int64_t bytes() const { return (transposed ? columns : rows) * pitch * 4; }

  /// A row of the tile (i32) to that of the matrix (index), which is seen as [.., its last dimension].
  using RowOf = function_ref<Value(OpBuilder &, Value row)>;
  /// Fills the tile, all threads of the block together; they see it behind a barrier.
  void fill(OpBuilder &b, Location loc, Value base, Value thread, int64_t threads, RowOf rowOf) const;
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_WIDETILE_H
