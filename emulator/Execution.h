//===- Execution.h - blocks, warps and lanes at work --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_EXECUTION_H
#define EMULATOR_EXECUTION_H

#include "emulator/DeviceMemory.h"
#include "emulator/Emulator.h"
#include "emulator/Mbarriers.h"
#include "emulator/SharedState.h"

#include "mlir/IR/Operation.h"

#include <functional>
#include <memory>
#include <ucontext.h>

namespace mlir::emulator {

constexpr unsigned kLanes = 32;
constexpr uint32_t kAllLanes = 0xffffffff;
/// Address spaces of pointers: a block's own shared memory, and that of its cluster.
constexpr unsigned kShared = 3, kClusterShared = 7;

class Block;
class BulkStores;
class Cluster;
class WarpgroupProducts;

/// Asynchronous copies of a warp that were committed together, in the order of issue.
struct AsyncCopy {
  uint64_t target, source;
  unsigned bytes, copied; ///< what is beyond `copied` is zeros
};

/// 32 lanes that execute one instruction at a time, those of `mask` alone. Every value has words of
/// 64 bits, one for each lane; a vector, struct or memref several of them.
struct Warp {
  Warp(Block &block, unsigned number, unsigned words);
  ~Warp();

  uint64_t *at(unsigned slot) { return registers.data() + size_t(slot) * kLanes; }
  /// The value of the first active lane, of what is the same in all.
  uint64_t uniform(unsigned slot);
  bool active(unsigned lane) const { return mask >> lane & 1; }

  //===--- memory: `address` is a word for each lane ---===//
  /// Reads `bytes` for every active lane into `out`, lane after lane.
  void read(Operation *op, unsigned space, const uint64_t *address, unsigned bytes, uint8_t *out);
  void write(Operation *op, unsigned space, const uint64_t *address, unsigned bytes, const uint8_t *in);
  void copyAsync(Operation *op, const uint64_t *target, const uint64_t *source, unsigned bytes,
                 const uint64_t *copied);
  void commitCopies(Operation *op);
  void waitForCopies(Operation *op, unsigned pending);
  /// Those that nobody has waited for come when the warp ends.
  void landCopies();
  /// The block whose shared memory an address of the cluster is in; `address` becomes the place there.
  Block &reach(Operation *op, uint64_t &address, unsigned lane);
  /// What is in global memory at `address`, for the number of bytes, must be there to be read.
  void checkGlobal(Operation *op, uint64_t address, uint64_t bytes, unsigned lane, bool writes);

  /// Waits until `ready` returns true; `what` says for what, should it never.
  void block_until(Operation *op, const char *what, const std::function<bool()> &ready);
  /// Collective instructions are undefined where lanes are missing.
  void requireAllLanes(Operation *op);
  /// The one lane that executes an instruction which means something for each that does.
  unsigned soleLane(Operation *op);
  /// Ends the launch; does not return.
  [[noreturn]] void fail(Operation *op, const std::string &message, int lane = -1);

  Block &block;
  unsigned number; ///< in the block
  unsigned member; ///< of clocks: its number in the cluster
  uint32_t mask = kAllLanes;
  std::vector<uint64_t> registers;
  Clock clock;
  std::vector<AsyncCopy> issued;
  std::vector<std::vector<AsyncCopy>> groups;
  std::unique_ptr<WarpgroupProducts> products;
  std::unique_ptr<BulkStores> stores;
  uint32_t arrived[2] = {};   ///< lanes at the cluster's barrier that have not waited, by generation
  uint64_t registersHeld = 0; ///< of the device, each lane's
  bool overlaps = false;      ///< the kernels ahead may still be at work

  //===--- scheduling ---===//
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  bool finished = false;
  Operation *waitingAt = nullptr;
  const char *waitingFor = "";
  std::function<bool()> ready;

private:
  void countGlobal(const uint64_t *address, unsigned bytes);
  void countShared(const uint64_t *address, unsigned bytes);
  /// Where `bytes` bytes of shared memory are, and in which block's.
  SharedState &sharedAt(Operation *op, unsigned space, uint64_t &address, unsigned bytes, unsigned lane,
                        bool writes);
  void checkAlignment(Operation *op, uint64_t address, unsigned bytes, unsigned lane);
  const DeviceMemory::Region *lastRegion = nullptr;
};

/// What several warps meet at: barrier number 0 to 15.
struct NamedBarrier {
  unsigned arrived = 0, expected = 0, generation = 0; ///< threads
  Clock joined[2];                                    ///< what those who meet know, by generation
};

/// The warps of a block and what they share.
class Block {
public:
  /// `rank` is its number in the cluster.
  Block(const class Program &program, const LaunchConfig &config, DeviceMemory &memory,
        const EmulatorOptions &options, LaunchReport &report, uint64_t number, Cluster &cluster,
        unsigned rank);
  /// Warp `warp` arrives at a barrier of `threads` threads and, where it `waits`, waits for the others.
  void meet(Warp &warp, Operation *op, unsigned barrier, unsigned threads, bool waits = true);

  const Program &program;
  const LaunchConfig &config;
  DeviceMemory &memory;
  const EmulatorOptions &options;
  LaunchReport &report;
  Cluster &cluster;
  uint64_t number;
  unsigned rank, threads;
  uint64_t registers = 0; ///< those of all warps together, each lane's
  SharedState shared;
  Mbarriers mbarriers;
  std::vector<std::unique_ptr<Warp>> warps;
  /// When each warp of another block last reached this one's shared memory; what warps that have ended knew.
  std::vector<uint32_t> reached;
  Clock ended;

private:
  NamedBarrier barriers[16];
};

} // namespace mlir::emulator

#endif // EMULATOR_EXECUTION_H
