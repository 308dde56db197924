//===- DeviceMemory.cpp - what kernels may touch ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/DeviceMemory.h"

using namespace mlir::emulator;

void DeviceMemory::add(void *begin, uint64_t bytes, llvm::StringRef name, bool writable) {
  uint64_t address = reinterpret_cast<uint64_t>(begin);
  regions[address] = {address, bytes, name.str(), writable};
}

void DeviceMemory::remove(void *begin) { regions.erase(reinterpret_cast<uint64_t>(begin)); }

const DeviceMemory::Region *DeviceMemory::findBefore(uint64_t address) const {
  auto it = regions.upper_bound(address);
  return it == regions.begin() ? nullptr : &std::prev(it)->second;
}
