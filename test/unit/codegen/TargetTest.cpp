//===- TargetTest.cpp - what is known of CPUs -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Target.h"

#include "llvm/Support/Threading.h"

#include <gtest/gtest.h>

using namespace mlir::transformer;

static CPUTarget resolve(llvm::StringRef mcpu) {
  llvm::Expected<CPUTarget> target = CPUTarget::resolve(mcpu);
  if (target)
    return *target;
  ADD_FAILURE() << llvm::toString(target.takeError());
  return {};
}

/// Published numbers (uops.info; Arm's software optimization guides).
TEST(TargetTest, MultiplicationsOfNamedCPUs) {
  struct Case {
    llvm::StringRef cpu;
    int64_t pipes, latency;
  };
  for (auto [cpu, pipes, latency] : {Case{"znver4", 1, 4}, // 512 bits take both pipes
                                     {"znver5", 2, 4},
                                     {"znver3", 2, 4},
                                     {"znver1", 1, 5}, // so do 256 bits there
                                     {"haswell", 2, 5},
                                     {"skylake-avx512", 2, 4},
                                     {"neoverse-n1", 2, 4},
                                     {"neoverse-v1", 4, 4}}) {
    CPUTarget target = resolve(cpu);
    EXPECT_EQ(target.fmaPipes, pipes) << cpu.str();
    EXPECT_EQ(target.fmaLatency, latency) << cpu.str();
  }
}

TEST(TargetTest, CachesAndCoresOfNamedCPUsAreGuesses) {
  EXPECT_EQ(resolve("znver4").l2Bytes, 1 << 20);
  EXPECT_EQ(resolve("haswell").l2Bytes, 1 << 19);
  EXPECT_EQ(resolve("haswell").l1Bytes, 32 << 10);
  EXPECT_EQ(resolve("haswell").cores, 8);
}

TEST(TargetTest, ThisMachineIsAsked) {
  CPUTarget target = resolve("native");
  EXPECT_EQ(target.cores, llvm::hardware_concurrency().compute_thread_count());
  EXPECT_GE(target.l1Bytes, 1 << 14);
  EXPECT_GE(target.l2Bytes, 1 << 18);
  EXPECT_GE(target.fmaPipes, 1);
  EXPECT_GE(target.fmaLatency, 1);
}
