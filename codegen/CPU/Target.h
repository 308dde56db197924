//===- Target.h - the CPU code is generated for ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_TARGET_H
#define CODEGEN_CPU_TARGET_H

#include "codegen/CPU/Prefetched.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <string>
#include <vector>

namespace mlir::transformer {

/// A CPU by what generated code may use of it. `features` is all of it: code is
/// generated for them and nothing else, and the runtime checks every one.
struct CPUTarget {
  std::string triple;
  std::string cpu;                   ///< for instruction costs, and to print
  std::vector<std::string> features; ///< LLVM's names, sorted
  int64_t l1Bytes = 32 << 10;        ///< of a core's first-level data cache
  int64_t l2Bytes = 1 << 20;         ///< of a core's second-level cache
  int64_t cores = 8;                 ///< that one model has; of another machine than this a guess
  int64_t fmaPipes = 2;              ///< vectors that are multiplied and added in one cycle
  int64_t fmaLatency = 4;            ///< cycles until such a sum can be added to

  /// `native`, or a name LLVM knows (`znver4`, `x86-64-v3`, `neoverse-n1`, …), for the
  /// triple `mtriple`. Where that is empty, a name that is no CPU of this machine's
  /// architecture is one of the other's.
  static llvm::Expected<CPUTarget> resolve(llvm::StringRef mcpu, llvm::StringRef mtriple = "");

  bool isX86() const;

  bool has(llvm::StringRef feature) const;
  int64_t vectorBytes() const;
  int64_t vectorRegisters() const;
  /// Whether vectors of pairs of bf16 are multiplied and added up, and f32 rounded to
  /// bf16, in one instruction each.
  bool multipliesBF16() const;
  /// Products of integers that one instruction sums in vectors of `vectorBytes`: 4 of i8,
  /// 2 of i16, or 1 where there is none.
  int64_t int8Depth() const;
  /// The level of the cache that this comes to, 1 or 2: the one measured to be faster.
  int64_t levelOf(Prefetched what) const;
  /// Position-independent code of the small model.
  llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createMachine() const;
};

} // namespace mlir::transformer

#endif // CODEGEN_CPU_TARGET_H
