//===- KernelBuilder.h - what kernel templates are written with -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_KERNELBUILDER_H
#define CODEGEN_GPU_KERNELBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"

namespace mlir::transformer {

constexpr int64_t kWarp = 32;

/// Shared memory given out from its base upwards, while a kernel is written.
class SharedMemory {
public:
  /// The offset of `bytes` bytes at a multiple of `alignment` (at most 1024).
  int64_t allocate(int64_t bytes, int64_t alignment = 16);
  int64_t size() const { return used; }

private:
  int64_t used = 0;
};

/// The thread's number in a block of `threads`, and the block's in the grid (index).
Value threadIndex(OpBuilder &b, Location loc, int64_t threads);
Value blockIndex(OpBuilder &b, Location loc);
Value constantIndex(OpBuilder &b, Location loc, int64_t value);
Value constantI32(OpBuilder &b, Location loc, int64_t value);

/// Code under a condition, without results; `otherwise` may be missing.
void ifTrue(OpBuilder &b, Location loc, Value condition, function_ref<void(OpBuilder &)> then,
            function_ref<void(OpBuilder &)> otherwise = nullptr);
/// The same where `index` is below `bound`.
void ifBelow(OpBuilder &b, Location loc, Value index, Value bound, function_ref<void(OpBuilder &)> then);

/// All threads of the block meet, and see each other's writes to memory.
void barrier(OpBuilder &b, Location loc);

/// The value of lane (own lane XOR `distance`). i32, i64 or f32, in all lanes of the warp.
Value shuffleXor(OpBuilder &b, Location loc, Value value, int64_t distance);

/// The value of lane `from` (i32). i32 or f32, in all lanes of the warp.
Value shuffleFrom(OpBuilder &b, Location loc, Value value, Value from);

/// The values of all lanes of each group of `lanes` neighbours (a power of two up to 32) combined, in every
/// lane, in an order that is the same in each. i32, i64 or f32.
Value reduceLanes(OpBuilder &b, Location loc, vector::CombiningKind kind, Value value, int64_t lanes);

/// 2^x of an f32 to two units in the last place; 0 where that is no normal number.
Value approximateExp2(OpBuilder &b, Location loc, Value x);

/// Pointers of `elements` of `type` into the dynamic shared memory: its base, and the
/// place `offset` bytes (a constant) + `index` elements (index) behind it.
Value sharedBase(OpBuilder &b, Location loc);
Value sharedAddress(OpBuilder &b, Location loc, Value base, int64_t offset, Value index,
                    int64_t elementBytes);
/// Loads and stores a scalar or vector, aligned to its own size up to 16 bytes.
Value loadFrom(OpBuilder &b, Location loc, Type type, Value address);
void storeTo(OpBuilder &b, Location loc, Value value, Value address);

/// A number that surely divides `index`, from how it is computed. 0 stands for an index
/// that is 0.
int64_t knownDivisor(Value index);

/// States on the loads and stores of vectors below `op` how far their places are aligned,
/// as their indices show; what is not stated is taken to be aligned to an element.
void stateAlignment(Operation *op);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_KERNELBUILDER_H
