//===- Cluster.h - blocks that share their memory, for kernel templates ------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_CLUSTER_H
#define CODEGEN_GPU_CLUSTER_H

#include "codegen/GPU/KernelBuilder.h"

namespace mlir::transformer {

/// The block's number in its cluster (i32).
Value clusterRank(OpBuilder &b, Location loc);
/// All threads of the cluster meet. `aligned`: those of a warp come together.
void meetCluster(OpBuilder &b, Location loc, bool aligned);
/// The same place in the shared memory of block `rank` (i32) of the cluster: !llvm.ptr<7>.
Value addressInBlock(OpBuilder &b, Location loc, Value address, Value rank);

/// Arrives at the mbarrier that has this place in block `rank`, and releases what was done before to the
/// cluster.
void arriveInBlock(OpBuilder &b, Location loc, Value barrier, Value rank);
/// Waits for a phase of the block's own mbarrier, and sees what those in the cluster that arrived had done.
void waitForCluster(OpBuilder &b, Location loc, Value barrier, Value parity);
/// The lanes of the warp meet, and see each other's accesses to memory.
void meetWarp(OpBuilder &b, Location loc);

/// Sums of which each block of a cluster has a part, added up through distributed shared memory. Each block
/// leaves its part in its own shared memory; then each reads its share of all parts, in the order of the
/// blocks, so that a sum does not depend on who is first.
class ClusterSums {
public:
  ClusterSums() = default;
  /// Of `threads` threads in each of `blocks` blocks, which all hold `groups` x 4 sums. They pass through
  /// `ringBytes` bytes at the base of shared memory, which are used in a circle.
  ClusterSums(SharedMemory &shared, int64_t blocks, int64_t threads, int64_t groups, int64_t ringBytes);

  /// The bytes of the ring that an exchange takes.
  int64_t bytes() const { return groups * granule(); }
  /// One thread initialises the mbarrier; a fence follows.
  void initialise(OpBuilder &b, Location loc, Value base) const;

  /// Where an exchange stands: its thread, the block's rank, the first byte in the ring and the parity of the
  /// mbarrier's phase (all i32).
  struct Place {
    Value base, thread, rank, shift, parity;
  };
  /// Leaves the block's part, four sums for each group, and waits for those of the others.
  void leave(OpBuilder &b, Location loc, const Place &place, ValueRange sums) const;
  /// The sums of `group` + rank * `stride`.
  SmallVector<Value> take(OpBuilder &b, Location loc, const Place &place, int64_t group,
                          int64_t stride) const;

private:
  /// The bytes of one group.
  int64_t granule() const { return threads * 16; }
  Value addressOf(OpBuilder &b, Location loc, const Place &place, Value base, Value bytes) const;

  int64_t blocks = 1, threads = 0, groups = 0, ringBytes = 0, barrier = 0;
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_CLUSTER_H
