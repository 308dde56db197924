//===- Warpgroup.h - TMA, mbarriers and wgmma for kernel templates -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_WARPGROUP_H
#define CODEGEN_GPU_WARPGROUP_H

#include "codegen/GPU/IR/XGPU.h"
#include "codegen/GPU/KernelBuilder.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::transformer {

/// Threads of a warpgroup, and the shape of one of its products: [64, N] += [64, 16] [16, N].
constexpr int64_t kWarpgroup = 128, kWgmmaRows = 64, kWgmmaDepth = 16;
/// Tiles for TMA and wgmma are panels of rows of 128 bytes, swizzled by 128: so many elements of 16 bits.
constexpr int64_t kPanelColumns = 64, kPanelRowBytes = 128;

//===----------------------------------------------------------------------===//
// Roles
//===----------------------------------------------------------------------===//

/// A value that is the same in all lanes of a warp, as one that the compiler knows to be.
Value uniform(OpBuilder &b, Location loc, Value value);
/// Whether `thread` (i32) is the first of its `threads` (a warp or a warpgroup).
Value isLeader(OpBuilder &b, Location loc, Value thread, int64_t threads);
/// The registers that a thread of this warpgroup may use from now on: the others' come from those that need
/// few.
void takeRegisters(OpBuilder &b, Location loc, int64_t count);
void giveRegistersBack(OpBuilder &b, Location loc, int64_t count);

//===----------------------------------------------------------------------===//
// Pipelines of copies
//===----------------------------------------------------------------------===//

/// Where a role stands in a ring of stages: i32 values, carried by its loops.
struct RingPlace {
  Value stage, parity;
};

/// Stages in shared memory that a producer fills by TMA and consumers release. Each stage has two mbarriers:
/// `full` with one arrival and the bytes of its copies, `empty` with an arrival of each consumer warp: that a
/// warp has waited for a product of its warpgroup does not say that the others have. In a cluster whose
/// blocks copy to each other a stage is empty when the consumers of all blocks have released it.
class MbarrierRing {
public:
  MbarrierRing() = default;
  /// `consumers` are warps; none where each stage is filled once. `blocks` of a cluster go round together.
  MbarrierRing(SharedMemory &shared, int64_t stages, int64_t consumers, int64_t blocks = 1);

  /// One thread does; all see it behind a barrier. A fence follows the last one (`fenceBarriers`).
  void initialise(OpBuilder &b, Location loc, Value base) const;
  /// The producer finds its first stages empty: its parity begins at the other end.
  RingPlace begin(OpBuilder &b, Location loc, bool isProducer) const;
  RingPlace next(OpBuilder &b, Location loc, RingPlace place) const;

  void waitUntilEmpty(OpBuilder &b, Location loc, Value base, RingPlace place) const;
  void waitUntilFull(OpBuilder &b, Location loc, Value base, RingPlace place) const;
  /// The producer's one arrival for a stage; returns the mbarrier for its copies.
  Value expect(OpBuilder &b, Location loc, Value base, RingPlace place, int64_t bytes) const;
  /// The same for a stage that nothing is copied to: consumers find it as it is.
  void grant(OpBuilder &b, Location loc, Value base, RingPlace place) const;
  /// A consumer warp, of which `lane` is a lane, has read: one lane says so, in a cluster one to each block.
  void release(OpBuilder &b, Location loc, Value base, Value stage, Value lane) const;

  int64_t stages = 0;

private:
  Value barrier(OpBuilder &b, Location loc, Value base, int64_t offset, Value stage) const;
  void wait(OpBuilder &b, Location loc, Value barrier, Value parity) const;

  int64_t consumers = 0, blocks = 1, full = 0, empty = 0;
};

void fenceBarriers(OpBuilder &b, Location loc);
/// Warps that make up `threads` meet at barrier `number` (1 to 15).
void meetAt(OpBuilder &b, Location loc, int64_t number, int64_t threads);
/// The same without waiting: those who wait there know what was done before.
void arriveAt(OpBuilder &b, Location loc, int64_t number, int64_t threads);
/// What this thread stored to shared memory is seen by TMA and wgmma, which use another path.
void fenceStores(OpBuilder &b, Location loc);
/// So is what it accessed in the cluster's shared memory.
void fenceClusterAccesses(OpBuilder &b, Location loc);

/// Adds a tensor map of memref argument `argument` to the kernel: its last argument.
Value addTensorMap(OpBuilder &b, func::FuncOp kernel, int64_t argument, ArrayRef<int64_t> groups,
                   ArrayRef<int64_t> box);
/// Copies a box to `target`; `at` (i32) names its first element, outermost dimension first. One thread does.
/// With `blocks` it comes to the same place in the first so many blocks of the cluster, and each one's
/// mbarrier counts it.
void copyBox(OpBuilder &b, Location loc, Value target, Value map, Value barrier, ArrayRef<Value> at,
             int64_t blocks = 1);

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// An operand in shared memory, in panels of `rows` rows of 64 elements one behind the other.
struct PanelTile {
  int64_t offset; ///< of its first byte: a multiple of 1024
  int64_t rows, columns;

  int64_t bytes() const { return rows * llvm::divideCeilSigned(columns, kPanelColumns) * kPanelRowBytes; }
  /// The descriptor of rows from `row` (a multiple of 8) and 16 columns from `column` on; `shift` bytes (i32)
  /// behind the tile. Rows are the M or N of a product, columns its K.
  Value rowsAt(OpBuilder &b, Location loc, Value base, Value shift, int64_t row, int64_t column) const;
  /// That of 16 rows, which are the K of the product, and all columns, which are its N.
  Value transposedAt(OpBuilder &b, Location loc, Value base, Value shift, int64_t row) const;
};

void beginProducts(OpBuilder &b, Location loc);
/// sums += left right; `left` is one descriptor or four registers; empty sums begin at zero.
SmallVector<Value> multiplyWarpgroup(OpBuilder &b, Location loc, Type element, ValueRange left, Value right,
                                     ValueRange sums, int64_t columns, bool transposed = false);
void commitProducts(OpBuilder &b, Location loc);
/// `values` when at most `pending` commits are under way.
SmallVector<Value> waitForProducts(OpBuilder &b, Location loc, int64_t pending, ValueRange values);

/// Writes xgpu.wgmma and xgpu.wgmma_wait as assembly.
void lowerWarpgroupOps(ModuleOp module);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_WARPGROUP_H
