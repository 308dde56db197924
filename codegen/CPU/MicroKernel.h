//===- MicroKernel.h - register tiles of products -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The inner loop of contractions and of attention: accumulators of native vectors,
// carried by one loop over k, so that they stay in registers. Nothing but vectors of
// the native width is emitted: what LLVM would have to split, it spills.
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_MICROKERNEL_H
#define CODEGEN_CPU_MICROKERNEL_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::transformer {

/// sums[i, v] += sum over steps of a[i, step] * b[step, v], where v is a vector of
/// `lanes` columns and a step `depth` values of k: 1, or 2 for dot products of pairs
/// of bf16 (AVX512-BF16).
class MicroKernel {
public:
  MicroKernel(Location loc, int64_t lanes, int64_t vectors, int64_t depth)
      : loc(loc), lanes(lanes), vectors(vectors), depth(depth) {}

  /// Rows of a in memory: [.., steps * depth] at `indices` but for the last.
  struct Rows {
    Value memref;
    SmallVector<SmallVector<Value>> leading; ///< per row
  };
  /// b in memory: [.., steps, columns * depth], from column `column` on.
  struct Columns {
    Value memref;
    SmallVector<Value> leading;
    Value column;
  };

  int64_t rowVectors() const { return vectors; }
  VectorType sumType(OpBuilder &b) const { return VectorType::get({lanes}, b.getF32Type()); }
  /// Sums of `rows` rows, all zero.
  SmallVector<Value> zeros(OpBuilder &b, int64_t rows) const;
  /// The sums after the steps [first, last); `isEven` promises an even number of them.
  SmallVector<Value> run(OpBuilder &b, const Rows &rows, const Columns &columns, Value first, Value last,
                         bool isEven, ValueRange sums) const;

  /// sum + x y, lane by lane: of dot products of `depth` neighbours where it is more than one.
  static Value multiplyAdd(OpBuilder &b, Location loc, int64_t depth, Value x, Value y, Value sum);

private:
  SmallVector<Value> step(OpBuilder &b, const Rows &rows, const Columns &columns, Value at,
                          ValueRange sums) const;
  Value broadcastRow(OpBuilder &b, const Rows &rows, size_t row, Value at) const;

  Location loc;
  int64_t lanes, vectors, depth;
};

} // namespace mlir::transformer

#endif // CODEGEN_CPU_MICROKERNEL_H
