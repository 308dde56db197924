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

#include "codegen/CPU/IntegerProducts.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::transformer {

/// What is asked for at a time.
inline constexpr int64_t kLineBytes = 64;

/// sums[i, v] += sum over steps of a[i, step] * b[step, v], where v is a vector of
/// `lanes` columns and a step `depth` values of k: 1, or 2 for dot products of pairs
/// of bf16 (AVX512-BF16, BFDOT), or what products of integers take. A turn of the loop takes
/// `unroll` steps.
class MicroKernel {
public:
  MicroKernel(Location loc, int64_t lanes, int64_t vectors, int64_t depth, int64_t unroll = 2,
              std::optional<IntegerProducts> integers = std::nullopt)
      : loc(loc), lanes(lanes), vectors(vectors), depth(depth), unroll(unroll), integers(integers) {}

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

  /// What is asked for meanwhile: `places` of some memory in each turn, `first` and then
  /// every `stride` elements. Not for i4, a turn of which is one step.
  struct Ahead {
    Value memref;
    SmallVector<Value> leading; ///< indices but the last
    Value first, stride;
    int64_t places;
  };

  int64_t rowVectors() const { return vectors; }
  VectorType sumType(OpBuilder &b) const {
    return VectorType::get({lanes}, integers ? Type(b.getI32Type()) : b.getF32Type());
  }
  /// Sums of `rows` rows, all zero.
  SmallVector<Value> zeros(OpBuilder &b, int64_t rows) const;
  /// The sums after the steps [first, last); `isWhole` promises that they are whole turns. Several panels
  /// of columns have their sums one behind the other.
  SmallVector<Value> run(OpBuilder &b, const Rows &rows, ArrayRef<Columns> panels, Value first, Value last,
                         bool isWhole, ValueRange sums, const Ahead *ahead = nullptr) const;

  /// sum + x y, lane by lane: of dot products of `depth` neighbours where it is more than one.
  static Value multiplyAdd(OpBuilder &b, Location loc, int64_t depth, Value x, Value y, Value sum);

  /// An index of which LLVM does not know where it comes from. Its loop strength
  /// reduction writes what it knows of an address into the inner loop, divisions and
  /// all. With `staysInLoop` it is another one in each turn of the loop it stands in,
  /// so that what it is the address of is not loaded before the loop, into more
  /// registers than there are.
  static Value opaqueIndex(OpBuilder &b, Location loc, Value index, bool staysInLoop = false);

private:
  /// Of steps that one turn of the loop takes: which one it is, and whether it asks for what later ones read.
  struct Turn {
    int64_t number;
    bool asksAhead;
  };

  SmallVector<Value> step(OpBuilder &b, const Rows &rows, const Columns &columns, Value at, ValueRange sums,
                          Turn turn) const;
  SmallVector<Value> integerStep(OpBuilder &b, const Rows &rows, ValueRange stored, Value at,
                                 ValueRange sums) const;
  void prefetch(OpBuilder &b, Value memref, SmallVector<Value> indices, int64_t steps) const;
  void prefetchAhead(OpBuilder &b, const Ahead &ahead, Value step) const;
  Value broadcastRow(OpBuilder &b, const Rows &rows, size_t row, Value at, int64_t count) const;

  Location loc;
  int64_t lanes, vectors, depth, unroll;
  std::optional<IntegerProducts> integers;
};

} // namespace mlir::transformer

#endif // CODEGEN_CPU_MICROKERNEL_H
