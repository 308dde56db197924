//===- RowPrologue.h - rows computed before they are multiplied ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_ROWPROLOGUE_H
#define CODEGEN_GPU_ROWPROLOGUE_H

#include "codegen/GPU/RowKernel.h"

namespace mlir::transformer {

/// The rows that a product multiplies where the dispatch computes them: the norm before a projection. A few
/// whole rows go to shared memory (`stage`), or only their reductions do (`reduce`) and their elements are
/// computed by the thread that multiplies them (`load`).
class RowPrologue {
public:
  /// Bytes of staged rows that a block may hold: three such blocks still share the 100 KiB of sm_89.
  static constexpr int64_t kMostBytes = 32768;

  /// `x` is what the product multiplies, `sizes` those of all its dimensions but the last, `rows` (index)
  /// their product.
  RowPrologue(GPUKernelContext &context, Value x, ArrayRef<OpFoldResult> sizes, Value rows);

  /// How many rows, at most `most`, a block holds at a time.
  int64_t mostStaged(int64_t most) const;
  /// The bytes of `count` rows, and where they begin in shared memory.
  int64_t stageBytes(int64_t count) const { return count * depth * elementBytes(); }
  void placeStage(int64_t offset) { staged = offset; }
  /// Computes `count` rows from `first` (index) on, those that exist, by all threads; a barrier stands
  /// behind.
  void stage(OpBuilder &b, Value first, int64_t count);
  /// `width` neighbours of the staged row number `row`.
  Value loadStaged(OpBuilder &b, int64_t row, Value column, int64_t width) const;

  bool hasReductions() const { return !reducedTypes.empty(); }
  /// Takes shared memory for the reductions of `count` rows.
  void reserveReductions(int64_t count);
  /// Reduces `count` rows from `first` (index) on, by all threads; a barrier stands behind, if there is
  /// anything to reduce.
  void reduce(OpBuilder &b, Value first, int64_t count);
  /// A row whose reductions are known.
  struct Row {
    SmallVector<Value> leading, reduced;
  };
  /// Row `first` + `place` (index), or the last one.
  Row rowAt(OpBuilder &b, Value first, Value place);
  Value load(OpBuilder &b, const Row &row, Value column, int64_t width);

private:
  struct Share {
    RowOfThread thread;
    SmallVector<Value> leading;
    Value place; ///< of the row among those computed
  };
  Share shareOf(OpBuilder &b, Value first, int64_t count);
  SmallVector<Value> leadingOf(OpBuilder &b, Value first, Value place);
  int64_t elementBytes() const { return element.getIntOrFloatBitWidth() / 8; }
  Value reductionAddress(OpBuilder &b, int64_t number, Value place);

  GPUKernelContext &context;
  RowKernel kernel;
  Location loc;
  Type element;
  int64_t depth;
  SmallVector<OpFoldResult> sizes;
  Value rows;
  SmallVector<Type> reducedTypes;
  int64_t staged = 0, reductions = 0, reducedRows = 0; ///< offsets in shared memory
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_ROWPROLOGUE_H
