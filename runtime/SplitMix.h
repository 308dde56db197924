//===- SplitMix.h - numbers to seed others with -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_SPLITMIX_H
#define XFM_RUNTIME_SPLITMIX_H

#include <cstdint>

namespace xfm {

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every platform.
struct SplitMix {
  uint64_t state;
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
};

} // namespace xfm

#endif // XFM_RUNTIME_SPLITMIX_H
