//===- Cluster.h - blocks that run together -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_CLUSTER_H
#define EMULATOR_CLUSTER_H

#include "emulator/Execution.h"

namespace mlir::emulator {

/// Addresses of a cluster's shared memory: a block's own have no bits above these; others have the block's
/// rank plus one there.
constexpr unsigned kWindowBits = 24;
inline uint64_t clusterAddress(uint64_t address, unsigned rank) {
  return (address & ((uint64_t(1) << kWindowBits) - 1)) | uint64_t(rank + 1) << kWindowBits;
}

/// Blocks whose warps are run in turns on one thread and which reach each other's shared memory. Without
/// clusters it is one block.
class Cluster {
public:
  /// `first` is its first block's number in the grid.
  Cluster(const class Program &program, const LaunchConfig &config, DeviceMemory &memory,
          const EmulatorOptions &options, LaunchReport &report, uint64_t first);
  /// Runs the blocks; false where they failed, with the report's `error` set.
  bool run();

  /// The active lanes of a warp arrive at the cluster's barrier, and wait there for all threads that have not
  /// ended.
  void arrive(Warp &warp, Operation *op);
  void wait(Warp &warp, Operation *op);
  /// Instructions of clusters are errors where there are none.
  void require(Warp &warp, Operation *op) const;

  /// Block `rank`, as `warp` may reach it: it has surely started and not ended.
  Block &peer(Warp &warp, Operation *op, uint64_t rank, int lane);
  /// A warp is done: where it was its block's last, nobody may reach the block any more.
  void end(Warp &warp);

  std::vector<std::unique_ptr<Block>> blocks;
  void backToScheduler(Warp &warp);

private:
  void prepare(Warp &warp);
  static void enter(unsigned high, unsigned low);
  /// Whether all who must have arrived at the barrier have; then the next meeting begins.
  void meetIfAll();
  void reportDeadlock();
  std::string nameOf(const Block &block) const;

  LaunchReport &report;
  uint64_t generation = 0; ///< of the barrier
  bool anyArrived = false;
  Clock joined[2]; ///< what those who meet know, by generation
  ucontext_t scheduler;
};

} // namespace mlir::emulator

#endif // EMULATOR_CLUSTER_H
