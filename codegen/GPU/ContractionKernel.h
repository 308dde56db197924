//===- ContractionKernel.h - what the kernels of products share ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_CONTRACTIONKERNEL_H
#define CODEGEN_GPU_CONTRACTIONKERNEL_H

#include "codegen/Common/Projection.h"
#include "codegen/GPU/RowPrologue.h"

namespace mlir::transformer {

/// A dense row-major argument seen as [rows, columns], columns being its last dimension.
class GlobalMatrix {
public:
  GlobalMatrix(OpBuilder &b, Location loc, Value memref);

  /// `width` neighbours of `row` from `column` on, a multiple of `width`, in the matrix's
  /// type; a scalar for a width of 1.
  Value load(OpBuilder &b, Value row, Value column, int64_t width) const;
  /// The address (!llvm.ptr<1>) of an element.
  Value addressOf(OpBuilder &b, Value row, Value column) const;

  Location loc;
  Value base; ///< !llvm.ptr<1>
  int64_t columns;
  Type element;
};

/// x [M, K] times one or several weights [N, K] and the rest of the dispatch: what a
/// template of products reads from the dispatch's body.
class Contraction {
public:
  Contraction(OpBuilder &b, GPUKernelContext &context);

  /// The grid of a kernel whose blocks make so many rows and columns of the result.
  void setGrid(int64_t rowsOfBlock, int64_t columnsOfBlock);

  /// Computes the rest of the dispatch for `width` neighbours of a row from `column` on and
  /// stores the results; `sums` are the products of each weight, in f32. Both indices exist.
  void finish(OpBuilder &b, Value row, Value column, ArrayRef<Value> sums, int64_t width);
  /// Does so for fragments of a warp as `mma.m16n8k16` has its sums: `down` x `across` of them from `row` and
  /// `column` (index) on, those that exist. `sumsOf`(weight, m, n) are the four of one.
  void finishFragments(OpBuilder &b, Value lane, Value row, Value column, int64_t down, int64_t across,
                       function_ref<ValueRange(int64_t, int64_t, int64_t)> sumsOf);
  /// Whether `finish` can take neighbours `width` at a time.
  bool canFinish(int64_t width);

  /// The widest vector, up to `most` elements, that rows of `x` and of weights divide into.
  int64_t vectorOfK(int64_t most) const;

  Location loc;
  SmallVector<Projection> projections;
  Type element;                        ///< of x
  std::optional<GlobalMatrix> x;       ///< where it is an argument
  std::optional<RowPrologue> prologue; ///< where the dispatch computes its rows
  SmallVector<GlobalMatrix, 2> weights;
  Value rows;             ///< M (index)
  int64_t columns, depth; ///< N, K

private:
  GPUKernelContext &context;
  Evaluator evaluator;
  Value result;
  SmallVector<OpFoldResult> leading; ///< sizes of all dimensions of the result but the last
};

/// Whether tensor cores multiply operands of these types: both of 16 bits, or of f32 where `tf32` lets them
/// be rounded.
bool suitsTensorCores(const Projection &projection, bool tf32);

/// Whether the rows of both operands begin at multiples of 16 bytes.
bool hasWholeChunks(const Projection &projection);

/// Reports rows that are no argument to a template that reads them from memory alone.
LogicalResult checkRowsInMemory(GPUKernelContext &context);

/// The indices of `task` in a grid of sizes whose product is below 2^31, the last fastest.
SmallVector<Value> delinearizeSmall(OpBuilder &b, Location loc, Value task, ArrayRef<OpFoldResult> sizes);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_CONTRACTIONKERNEL_H
