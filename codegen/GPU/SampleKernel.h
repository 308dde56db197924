//===- SampleKernel.h - the next token from logits ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_SAMPLEKERNEL_H
#define CODEGEN_GPU_SAMPLEKERNEL_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::transformer {

constexpr StringLiteral kSampleTemplate = "sample";

/// The entry point of a decoding step, and the names of its tokens and its logits.
constexpr StringLiteral kSampledEntry = "decode";
constexpr StringLiteral kSampledTokens = "tokens";
constexpr StringLiteral kSampledLogits = "logits";

/// The most tokens that the sums of their weights have room for.
constexpr int64_t kMostSampledTokens = int64_t(1) << 22;

/// Of a block: its threads, a multiple of 32 up to 1024, and how many candidates it keeps in shared memory.
struct SampleSizes {
  int64_t threads = 512, gathered = 2048;
};

/// Writes a kernel named `name` that draws from rows of `vocabulary` logits; what it takes and
/// computes is in codegen/GPU/README.md.
func::FuncOp emitSampleKernel(OpBuilder &b, Location loc, StringRef name, int64_t vocabulary,
                              const SampleSizes &sizes = {});

} // namespace mlir::transformer

#endif // CODEGEN_GPU_SAMPLEKERNEL_H
