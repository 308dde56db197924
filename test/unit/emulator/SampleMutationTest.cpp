//===- SampleMutationTest.cpp - faults planted in the kernel that draws --===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// As MutationTest.cpp, for the kernel that no entry point launches: draws from rows that take each of its
// ways must differ, or the emulator must find the fault.
//
//===----------------------------------------------------------------------===//

#include "emulator/Mutator.h"
#include "test/unit/codegen/SampledRows.h"

#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;
using emulator::Mutation;

namespace {

/// Top-k alone, with candidates in shared memory and beyond them; top-p; min-p; a penalty; the largest; ties.
std::vector<xfm::text::SamplingOptions> ways() {
  auto options = [](double temperature, int64_t topK, double topP, double minP, double penalty) {
    xfm::text::SamplingOptions result;
    result.temperature = temperature, result.topK = topK, result.topP = topP, result.minP = minP;
    result.repetitionPenalty = penalty, result.seed = static_cast<uint64_t>(topK) + 1;
    return result;
  };
  return {options(1, 600, 1, 0, 1),        options(2, 2200, 0.9, 0, 1), options(0.9, 0, 0.7, 0, 1.5),
          options(1.5, 700, 0.95, 0.1, 1), options(0, 0, 1, 0, 2),      options(100, 40, 1, 0, 1)};
}

/// All that the launches write; with a message where something was found to be wrong.
std::string run(ModuleOp module, std::string &message) {
  constexpr int64_t kRows = 1, kTokens = 2300;
  llvm::Expected<std::unique_ptr<emulator::EmulatedKernel>> kernel =
      emulator::EmulatedKernel::create(*module.getOps<func::FuncOp>().begin());
  if (!kernel) {
    message = llvm::toString(kernel.takeError());
    return "";
  }
  std::mt19937 random(9);
  std::string result;
  for (const xfm::text::SamplingOptions &options : ways()) {
    SampledRows rows(kRows, kTokens);
    rows.setOptions(options);
    std::normal_distribution<float> normal(0, 1);
    for (auto [i, logit] : llvm::enumerate(rows.logits)) {
      logit = normal(random);
      if (options.temperature == 100) // all alike
        logit = 1;
      rows.seen[i] = random() % 3 == 0;
    }
    message = rows.launch(**kernel);
    if (!message.empty())
      return "";
    result += std::to_string(rows.tokens[0]) + " " + std::to_string(rows.random[0]) + "\n";
    result.append(reinterpret_cast<const char *>(rows.seen.data()), rows.seen.size());
  }
  return result;
}

TEST(SampleMutants, AreCaught) {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = sampleModule(context, 2300);
  std::string message, expected = run(*module, message);
  ASSERT_EQ(message, "");
  std::vector<Mutation> mutations = emulator::mutationsOf(*module);
  ASSERT_GT(mutations.size(), 20u);
  size_t caught = 0, byEmulator = 0, shuffles = 0;
  // Reductions are made of hundreds of shuffles: some of them stand for all.
  llvm::erase_if(mutations, [&](const Mutation &mutation) {
    return mutation.kind == Mutation::OtherLane && shuffles++ % 24 != 0;
  });
  for (const Mutation &mutation : mutations) {
    OwningOpRef<ModuleOp> mutant = emulator::mutate(*module, mutation);
    bool differs = run(*mutant, message) != expected;
    byEmulator += !message.empty();
    caught += differs;
    if (!differs)
      std::printf("  survives: sample %s\n", mutation.describe(*module).c_str());
  }
  std::printf("  sample: %zu of %zu faults caught, %zu of them by the emulator\n", caught, mutations.size(),
              byEmulator);
  EXPECT_GE(caught * 20, mutations.size() * 19);
}

} // namespace
