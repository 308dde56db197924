//===- Pipeline.cpp - the optimisations of each level ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Pipeline.h"
#include "passes/Passes.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::transformer;

/// Level 2: fewer and larger ops, without loss. The order is part of the meaning;
/// each pass finds the forms that those before it leave.
static void addFusion(OpPassManager &pm) {
  // Some checkpoints store gate and up as one matrix; gated MLPs have one form from here on.
  pm.addPass(createSplitGateUpPass());
  // SwiGLU and GeGLU become one op, before later passes have to know their parts.
  pm.addPass(createFuseGatedMLPPass());
  // One pass over the normed hidden state for queries, keys and values.
  pm.addPass(createMergeQKVPass());
  // Last: what other passes derived once per layer and entry point is shared.
  pm.addPass(createShareDerivedPass());
}

LogicalResult mlir::transformer::buildOptimizationPipeline(OpPassManager &pm,
                                                           const OptimizationOptions &options,
                                                           llvm::raw_ostream &errors) {
  if (!options.passes.empty())
    return parsePassPipeline(options.passes, pm, errors);
  if (options.level >= 2)
    addFusion(pm);
  return success();
}

namespace {
struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  Option<int> level{*this, "level", llvm::cl::desc("optimisation level, 0 to 3"), llvm::cl::init(3)};
};
} // namespace

void mlir::transformer::registerOptimizationPipeline() {
  PassPipelineRegistration<PipelineOptions>("transformer-optimize",
                                            "Run the optimisations of a level on transformer functions",
                                            [](OpPassManager &pm, const PipelineOptions &options) {
                                              OptimizationOptions optimization;
                                              optimization.level = options.level;
                                              (void)buildOptimizationPipeline(pm, optimization);
                                            });
}
