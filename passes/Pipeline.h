//===- Pipeline.h - the optimisations of each level -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_PIPELINE_H
#define PASSES_PIPELINE_H

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer {

struct OptimizationOptions {
  /// 0: nothing. 1: as imported; code generation fuses neighbours. 2: fusion.
  /// 3: as 2: what measured configs add is asked for by name (tfopt --tuning).
  int level = 3;
  /// Passes to run instead of the level's ("transformer-merge-qkv,cse"), or empty.
  std::string passes;
};

/// The phase of `--stop-at` and `--emit` in which these passes run.
inline constexpr StringLiteral kOptimizedPhase = "optimized";

/// Appends the passes of the level, which keep the module in the transformer
/// dialect. An error where `options.passes` is no pipeline.
llvm::Error buildOptimizationPipeline(OpPassManager &pm, const OptimizationOptions &options);

/// The relative error that a lossy pass, by its argument, may add to a result; 0
/// for passes that are lossless.
double lossBudget(StringRef pass);

/// `--transformer-optimize` for the opt driver.
void registerOptimizationPipeline();

} // namespace mlir::transformer

#endif // PASSES_PIPELINE_H
