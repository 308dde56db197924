//===- MmaFragments.h - matrix products of a warp -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_MMAFRAGMENTS_H
#define CODEGEN_GPU_MMAFRAGMENTS_H

#include "codegen/GPU/KernelBuilder.h"

namespace mlir::transformer {

/// The shape of one product of a warp: D [16, 8] += A [16, 16] B [16, 8] (PTX ISA, mma.m16n8k16). Of tf32
/// half as deep (mma.m16n8k8).
constexpr int64_t kMmaRows = 16, kMmaColumns = 8, kMmaDepth = 16;

/// Elements of `type` in 16 bytes.
inline int64_t elementsOfChunk(Type type) { return 128 / type.getIntOrFloatBitWidth(); }

/// A tile in shared memory, rows of 16-byte chunks. The chunks of a row are permuted by
/// its number, so that the eight rows that a warp reads of one chunk are on different banks.
struct SwizzledTile {
  int64_t offset;       ///< of its first byte
  int64_t rows, chunks; ///< `chunks` of a row: a power of two

  int64_t bytes() const { return rows * chunks * 16; }
  /// The address of a chunk, `shift` bytes (i32) behind the tile; row and chunk are i32. `below` rows further
  /// down and `right` chunks further on, multiples of 8, have the same permutation and cost no arithmetic.
  Value addressOf(OpBuilder &b, Location loc, Value base, Value shift, Value row, Value chunk,
                  int64_t below = 0, int64_t right = 0) const;
};

/// Four 8x8 matrices from the rows that the lanes name (ldmatrix.x4), one i32 of two elements, or of an f32,
/// each; each matrix transposed where `transposed`.
SmallVector<Value> loadMatrices(OpBuilder &b, Location loc, Value address, bool transposed);

/// Registers of an f32 each (i32) rounded to the nearest tf32, halves away from zero (cvt.rna.tf32.f32).
SmallVector<Value> roundToTF32(OpBuilder &b, Location loc, ValueRange registers);

/// A B + C of one warp: `a` are 4 registers (i32), `b` 2 and `c` 4 (f32), of elements of `type` (bf16, f16,
/// or f32, which are tf32).
SmallVector<Value> multiplyFragments(OpBuilder &b, Location loc, Type type, ValueRange a, ValueRange factor,
                                     ValueRange sums);

/// Two f32 rounded to `type` in one i32, `low` first.
Value packPair(OpBuilder &b, Location loc, Type type, Value low, Value high);

/// Element i of vector x and element j of vector y, of 16 bits, in one i32, the former first.
Value joinElements(OpBuilder &b, Location loc, Value x, int64_t i, Value y, int64_t j);

/// Copies a chunk of 16 bytes, or 4 or 8, from global (!llvm.ptr<1>) to shared memory while the thread goes
/// on; of the source only `valid` bytes (i32), the rest zeros. Null: all of it.
void copyChunkAsync(OpBuilder &b, Location loc, Value target, Value source, Value valid, int64_t bytes = 16);
void commitCopies(OpBuilder &b, Location loc);
/// Waits until at most `pending` commits of this thread are under way. Other threads see the data after a
/// barrier.
void waitForCopies(OpBuilder &b, Location loc, int64_t pending);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_MMAFRAGMENTS_H
