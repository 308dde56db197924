//===- DeviceMemory.h - what kernels may touch --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_DEVICEMEMORY_H
#define EMULATOR_DEVICEMEMORY_H

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <map>
#include <string>

namespace mlir::emulator {

/// The global memory of the emulated device: regions of the host's memory, by their own
/// addresses. What lies in none of them cannot be accessed.
class DeviceMemory {
public:
  struct Region {
    uint64_t begin = 0, bytes = 0;
    std::string name;
    bool writable = true;
    bool holds(uint64_t address, uint64_t count) const {
      return address >= begin && count <= bytes && address - begin <= bytes - count;
    }
  };

  void add(void *begin, uint64_t bytes, llvm::StringRef name, bool writable = true);
  void remove(void *begin);
  /// The region that starts at or before `address`, or null.
  const Region *findBefore(uint64_t address) const;

private:
  std::map<uint64_t, Region> regions;
};

} // namespace mlir::emulator

#endif // EMULATOR_DEVICEMEMORY_H
