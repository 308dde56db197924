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
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace mlir::transformer;

/// Level 2, first: graphs that other programs decomposed, in linalg, become the ops that fusion knows.
/// On what importers write there is nothing to find.
static void addRaising(OpPassManager &pm) {
  // Nothing in a norm is made by another raising, and its sums would only be in the way of others.
  pm.addPass(createRaiseNormsPass());
  // Activations may be read and made by ops in any form.
  pm.addPass(createRaiseActivationsPass());
  // Queries and keys are rotated before they meet.
  pm.addPass(createRaiseRopePass());
  // Before projections, which then see what lies between them and the heads.
  pm.addPass(createRaiseAttentionPass());
  // Of one attention for each head, one for all.
  pm.addPass(createRaiseHeadsPass());
  // Contractions that are left with a weight are projections.
  pm.addPass(createRaiseLinearPass());
  pm.addPass(createRaiseEmbeddingPass());
  // What is left of sums and products joins raised ops: one form for fusion.
  pm.addPass(createRaiseElementwisePass());
  // Last: every op has the order it wants now, and most ways between them are none.
  pm.addPass(createRaiseViewsPass());
}

/// Level 2: fewer and larger ops, without loss. The order is part of the meaning;
/// each pass finds the forms that those before it leave.
static void addFusion(OpPassManager &pm) {
  // Rows that no position reads are neither computed nor stored.
  pm.addPass(createTrimPositionTablesPass());
  // Fewer forms for everything that follows.
  pm.addPass(createCancelReshapesPass());
  // What is one matrix should be seen as one.
  pm.addPass(createFuseLinearsPass());
  // Some checkpoints store gate and up as one matrix; gated MLPs have one form from here on.
  pm.addPass(createSplitGateUpPass());
  // SwiGLU and GeGLU become one op, before later passes have to know their parts.
  pm.addPass(createFuseGatedMLPPass());
  // While the queries' matrix is one of its own.
  pm.addPass(createFoldQueryScalePass());
  // One pass over the normed hidden state for queries, keys and values.
  pm.addPass(createMergeQKVPass());
  // A norm now has one reader, which takes its weight.
  pm.addPass(createFoldNormScalePass());
  // Slices move up through few, large ops.
  pm.addPass(createNarrowToUsedPass());
  // What layers and the passes above ask for twice (rows of rotary tables, slices) is computed once.
  pm.addPass(createCSEPass());
  // Last: what other passes derived once per layer and entry point is shared.
  pm.addPass(createShareDerivedPass());
}

double mlir::transformer::lossBudget(StringRef pass) {
  // A lossy pass has a line here, and is in no level's pipeline.
  return llvm::StringSwitch<double>(pass)
      // A hidden state is the sum of a token's row and a position's; the table's bound is 1e-2 by default.
      .Case("transformer-low-rank-positions", 5e-2)
      .Default(0);
}

llvm::Error mlir::transformer::buildOptimizationPipeline(OpPassManager &pm,
                                                         const OptimizationOptions &options) {
  if (!options.passes.empty()) {
    std::string problem;
    llvm::raw_string_ostream stream(problem);
    if (succeeded(parsePassPipeline(options.passes, pm, stream)))
      return llvm::Error::success();
    // The parser shows the place in three lines; the first says what is wrong.
    StringRef line = StringRef(problem).split('\n').first;
    return llvm::createStringError(llvm::inconvertibleErrorCode(), "the pipeline \"" + options.passes +
                                                                       "\": " + line.split("error: ").second);
  }
  if (options.level >= 2) {
    addRaising(pm);
    addFusion(pm);
  }
  return llvm::Error::success();
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
                                              // Levels, unlike pipelines that people write, cannot be wrong.
                                              llvm::cantFail(buildOptimizationPipeline(pm, optimization));
                                            });
}
