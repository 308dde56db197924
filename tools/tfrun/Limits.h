//===- Limits.h - What this machine can do at most ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_LIMITS_H
#define XFM_TOOLS_TFRUN_LIMITS_H

#include <cstdint>

namespace xfm::tfrun {

/// What threads of this process can do together at most, as measured.
struct Limits {
  int32_t threads = 0;
  const char *vectors = "";  ///< the widest there are, e.g. "AVX-512"
  double bytesPerSecond = 0; ///< read from memory
  double flopsPerSecond = 0; ///< of fused multiplications and additions in f32
};

/// Measures for about a quarter of a second. Throws std::runtime_error without memory or threads.
Limits measureLimits(int32_t threads);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_LIMITS_H
