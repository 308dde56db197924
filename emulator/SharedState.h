//===- SharedState.h - shared memory and who touched it -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_SHAREDSTATE_H
#define EMULATOR_SHAREDSTATE_H

#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mlir::emulator {

/// What a warp knows of the others that touch shared memory: happens-before by vector clocks (Fidge and
/// Mattern, 1988), joined at barriers. Those others are the warps of its cluster, block after block, and, for
/// each mbarrier of a block, the copies that report to it.
struct Clock {
  llvm::SmallVector<uint32_t, 48> seen;
  /// Up to when what they wrote with ordinary stores is visible to the asynchronous proxy, which serves TMA
  /// and wgmma: a fence.proxy takes it to what is seen.
  llvm::SmallVector<uint32_t, 48> fenced;

  explicit Clock(size_t members = 0) : seen(members, 0), fenced(members, 0) {}
  void join(const Clock &other);
  void fence() { fenced = seen; }
};

/// The shared memory of one block. Beside its bytes it keeps, for cells of two bytes, the last
/// write and each warp's last read, so that two accesses of which one writes and
/// neither is ordered before the other are found, whatever order the emulator ran them in.
/// A member is a warp's number in the cluster, or one behind them for the copies of an mbarrier.
class SharedState {
public:
  /// `warps` of the cluster, `warpsOfBlock` of each of its blocks.
  SharedState(uint64_t bytes, unsigned warps, unsigned warpsOfBlock, bool checkRaces);

  uint64_t size() const { return bytes.size(); }
  uint8_t *data() { return bytes.data(); }

  /// An access of warp `warp`; what is wrong with it, or an empty string.
  std::string read(uint64_t address, uint64_t count, unsigned warp, const Clock &clock);
  std::string write(uint64_t address, uint64_t count, unsigned warp, const Clock &clock);
  /// An asynchronous write begins: nobody may touch the bytes until it has landed. `isProxy`: the
  /// asynchronous proxy writes.
  std::string beginWrite(uint64_t address, uint64_t count, unsigned warp, const Clock &clock,
                         bool isProxy = false);
  /// It has come, as written by `member` at `time`.
  void land(uint64_t address, uint64_t count, unsigned member, uint32_t time, bool isProxy = false);
  /// The asynchronous proxy reads for `warp` until `endRead`: nobody may write the bytes meanwhile.
  std::string beginRead(uint64_t address, uint64_t count, unsigned warp, const Clock &clock);
  void endRead(uint64_t address, uint64_t count, unsigned warp, const Clock &clock);
  /// What messages call a member.
  std::string member(unsigned number) const;

private:
  static constexpr unsigned kCell = 2, kGroup = 512, kNobody = ~0u;
  /// As the time of a read: it is still under way.
  static constexpr uint32_t kReading = ~0u;
  struct Cell {
    unsigned writer = kNobody;
    uint32_t written = 0;
    bool inFlight = false;
    bool isOrdinary = true; ///< written by stores, not by the asynchronous proxy
  };
  /// The last reads of a cell by the warps of one block of the cluster, one after the other; null where none
  /// of them has read near it.
  const uint32_t *readsOf(uint64_t cell, unsigned block) const {
    const std::unique_ptr<uint32_t[]> &group = reads[block * groups() + cell / kGroup];
    return group ? &group[cell % kGroup * warpsOfBlock] : nullptr;
  }
  uint32_t &readBy(uint64_t cell, unsigned warp);
  size_t groups() const { return (cells.size() + kGroup - 1) / kGroup; }
  std::string checkRead(uint64_t cell, unsigned warp, const Clock &clock) const;
  std::string checkWrite(uint64_t cell, unsigned warp, const Clock &clock) const;
  std::string checkProxy(uint64_t cell, const Clock &clock) const;

  std::vector<uint8_t> bytes;
  std::vector<Cell> cells;
  std::vector<std::unique_ptr<uint32_t[]>> reads; ///< by block of the cluster and group of cells
  unsigned warps, warpsOfBlock;
  bool checkRaces;
};

} // namespace mlir::emulator

#endif // EMULATOR_SHAREDSTATE_H
