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
#include <string>
#include <vector>

namespace mlir::emulator {

/// When a warp last knew of each warp of its block: happens-before by vector clocks
/// (Fidge and Mattern, 1988). Barriers join them.
using Clock = llvm::SmallVector<uint32_t, 32>;

/// The shared memory of one block. Beside its bytes it keeps, for cells of two bytes, the last
/// write and each warp's last read, so that two accesses of which one writes and
/// neither is ordered before the other are found, whatever order the emulator ran them in.
class SharedState {
public:
  SharedState(uint64_t bytes, unsigned warps, bool checkRaces);

  uint64_t size() const { return bytes.size(); }
  uint8_t *data() { return bytes.data(); }

  /// An access of warp `warp`; what is wrong with it, or an empty string.
  std::string read(uint64_t address, uint64_t count, unsigned warp, const Clock &clock);
  std::string write(uint64_t address, uint64_t count, unsigned warp, const Clock &clock);
  /// An asynchronous write begins: nobody may touch the bytes until it has landed.
  std::string beginWrite(uint64_t address, uint64_t count, unsigned warp, const Clock &clock);
  void land(uint64_t address, uint64_t count, unsigned warp, const Clock &clock);

private:
  static constexpr unsigned kCell = 2, kNobody = ~0u;
  struct Cell {
    unsigned writer = kNobody;
    uint32_t written = 0;
    bool inFlight = false;
  };
  std::string checkWrite(uint64_t cell, unsigned warp, const Clock &clock) const;

  std::vector<uint8_t> bytes;
  std::vector<Cell> cells;
  std::vector<uint32_t> reads; ///< by cell and warp
  unsigned warps;
  bool checkRaces;
};

} // namespace mlir::emulator

#endif // EMULATOR_SHAREDSTATE_H
