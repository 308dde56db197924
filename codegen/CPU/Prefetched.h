//===- Prefetched.h - what memory is asked for ahead of its use ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_PREFETCHED_H
#define CODEGEN_CPU_PREFETCHED_H

#include <cstdint>

namespace mlir::transformer {

/// What kernels ask for, as the locality of `memref.prefetch`. To which cache it comes is the target's to say
/// (`CPUTarget::levelOf`).
enum class Prefetched : uint32_t {
  Soon = 0,   ///< read a few thousand cycles later, between other things
  Later = 1,  ///< when as much was read as the first-level cache holds
  Stream = 2, ///< by the same loop, some steps on
  Nearest = 3 ///< so too, where a step is many instructions
};

/// Its locality, as the operation has it.
constexpr uint32_t localityOf(Prefetched what) { return static_cast<uint32_t>(what); }

} // namespace mlir::transformer

#endif // CODEGEN_CPU_PREFETCHED_H
