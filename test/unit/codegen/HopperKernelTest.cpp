//===- HopperKernelTest.cpp - kernels of sm_90a around their tiles -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/Differential.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/Templates.h"
#include "codegen/GPU/Validated.h"
#include "tools/driver/Driver.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <set>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

constexpr const char *kArch = "sm_90a";

/// The templates that the dispatches of `text` get, of those of every kind or of those validated alone.
std::set<std::string> templatesOf(const std::string &text, bool newest = true) {
  DialectRegistry registry;
  registerAll(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  LoweringOptions options;
  options.gpuArchs = {kArch};
  options.newestGPUKernels = newest;
  llvm::Expected<CPUTarget> target = CPUTarget::resolve("native");
  llvm::Error error = lowerModule(*module, *target, options, "strategy");
  EXPECT_FALSE(bool(error)) << llvm::toString(std::move(error));
  std::set<std::string> names;
  for (auto function : module->getOps<func::FuncOp>())
    if (auto configs = function->getAttrOfType<DictionaryAttr>(kGPUConfigsAttr))
      names.insert(configs.getAs<xgpu::ConfigAttr>(kArch).getTemplateName().str());
  return names;
}

void report(const Differential &test) {
  std::printf("  %lld calls, largest error %.2g in f32, %.2g in narrower types\n",
              static_cast<long long>(test.calls), test.worst, test.worstNarrow);
}

TEST(HopperKernel, WgmmaGemmAroundItsTiles) {
  constexpr int64_t kRows[] = {1, 63, 64, 65, 127, 128, 129, 300};
  // A column of tiles, several, a width of 256; depths of less than a step and of more than the ring.
  const std::pair<int, int> shapes[] = {{8, 8}, {128, 64}, {129, 72}, {200, 512}, {4100, 40}};
  std::string text;
  std::vector<std::string> names;
  for (const char *type : {"bf16", "f16"})
    for (auto [n, k] : shapes) {
      std::string N = std::to_string(n), K = std::to_string(k);
      names.push_back("linear" + std::to_string(names.size()));
      text += functionText(
          names.back(),
          {{"x", "B, S, " + K + ", " + type}, {"w", N + ", " + K + ", " + type}, {"b", N + ", f32"}},
          {{"y", "B, S, " + N + ", f32"}},
          "%y = transformer.linear %x, %w bias %b : {x}, {w}, {b} -> {y} return %y : {y}");
    }
  EXPECT_EQ(templatesOf(text), std::set<std::string>{"wgmma_gemm"});
  EXPECT_EQ(templatesOf(text, /*newest=*/false), std::set<std::string>{"mma_gemm"});
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  int64_t turn = 0;
  for (const std::string &name : names)
    for (int64_t rows : kRows)
      if (turn++ % 2 == 0 || rows >= 128)
        test.check(name, {{"B", 1 + rows % 2}, {"S", rows}}, 1e-5);
  report(test);
}

TEST(HopperKernel, TwoWeightsOfOneInput) {
  std::string text = functionText("mlp",
                                  {{"x", "B, S, 72, bf16"}, {"g", "136, 72, bf16"}, {"u", "136, 72, bf16"}},
                                  {{"y", "B, S, 136, bf16"}}, R"(
    %0 = transformer.linear %x, %g : {x}, {g} -> {y}
    %1 = transformer.activation silu %0 : {y} -> {y}
    %2 = transformer.linear %x, %u : {x}, {u} -> {y}
    %3 = arith.mulf %1, %2 : {y}
    return %3 : {y})");
  EXPECT_EQ(templatesOf(text), std::set<std::string>{"wgmma_gemm"});
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  for (int64_t rows : {1, 65, 140})
    test.check("mlp", {{"B", 1}, {"S", rows}});
  report(test);
}

TEST(HopperKernel, ValidatedTemplatesAreRead) {
  const char *text = "# template, architecture\nwgmma_gemm sm_90a 2026-12-01 NVIDIA H200\nmma_gemm sm_80\n";
  EXPECT_TRUE(isValidated(text, "wgmma_gemm", "sm_90a"));
  EXPECT_FALSE(isValidated(text, "wgmma_gemm", "sm_80"));
  EXPECT_FALSE(isValidated(text, "mma_gemm", "sm_80")) << "neither date nor device";
  EXPECT_FALSE(isValidated(text, "template,", "architecture"));
}

} // namespace
