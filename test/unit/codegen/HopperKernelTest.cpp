//===- HopperKernelTest.cpp - kernels of sm_90a around their tiles -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/GPUTemplates.h"

#include "codegen/GPU/Validated.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

constexpr const char *kArch = "sm_90a";

std::set<std::string> templatesOf(const std::string &text, bool newest = true) {
  return numeric::templatesOf(text, kArch, newest);
}

TEST(HopperKernel, WgmmaGemmAroundItsTiles) {
  constexpr int64_t kRows[] = {1, 63, 64, 65, 127, 128, 129, 300};
  // A column of tiles, several, a width of 256; depths of less than a step and of more than the ring.
  const std::pair<int, int> shapes[] = {{8, 8}, {128, 64}, {129, 72}, {200, 512}, {4100, 40}};
  std::vector<std::string> names;
  std::string text = linearsText(shapes, names);
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

/// TMA wants rows that begin at multiples of 16 bytes; others are padded before.
TEST(HopperKernel, ProductsOfAnyDepth) {
  std::vector<std::string> names;
  std::string text = linearsText({{64, 50}, {129, 52}, {40, 63}, {16, 1}}, names);
  EXPECT_EQ(templatesOf(text), (std::set<std::string>{"rows", "wgmma_gemm"}));
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    for (int64_t rows : {1, 100, 129})
      test.check(name, {{"B", 1 + rows % 2}, {"S", rows}}, 1e-5);
  report(test);
}

TEST(HopperKernel, TwoWeightsOfOneInput) {
  std::string text =
      functionText("mlp", {{"x", "B, S, 72, bf16"}, {"g", "136, 72, bf16"}, {"u", "136, 72, bf16"}},
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

constexpr Heads kHeads[] = {{2, 2, 16}, {4, 2, 32}, {8, 1, 64}, {2, 1, 128}, {3, 3, 96}, {4, 1, 80}};

TEST(HopperKernel, AttentionOfKeysAndValues) {
  std::string text;
  std::vector<std::string> names;
  for (const Heads &heads : kHeads)
    for (const char *mask : {"none", "causal", "window, 1", "window, 40", "window, 200"}) {
      size_t turn = names.size();
      const char *type = turn % 4 == 3 ? "f16" : "bf16";
      std::string cap = turn % 5 == 1 ? " softcap 2.5" : "";
      names.push_back("attention" + std::to_string(turn));
      text += functionText(names.back(),
                           {{"q", shapeOf(heads.query, heads.size, "S", type)},
                            {"k", shapeOf(heads.key, heads.size, "K", type)},
                            {"v", shapeOf(heads.key, heads.size, "K", type)}},
                           {{"y", shapeOf(heads.query, heads.size, "S", type)}},
                           "%y = transformer.attention %q, %k, %v scale 0.2 mask <" + std::string(mask) +
                               ">" + cap + " : {q}, {k}, {v} -> {y} return %y : {y}");
    }
  EXPECT_EQ(templatesOf(text), std::set<std::string>{"wgmma_attention"});
  EXPECT_EQ(templatesOf(text, /*newest=*/false), std::set<std::string>{"flash_attention"});
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  int64_t turn = 0;
  for (const std::string &name : names)
    for (auto [queries, keys] : {std::pair<int64_t, int64_t>{1, 1},
                                 {33, 33},
                                 {129, 129},
                                 {64, 300},
                                 {17, 128},
                                 {40, 20},
                                 {150, 257}})
      if (turn++ % 3 == 0)
        test.check(name, {{"B", 1 + turn % 2}, {"S", queries}, {"K", keys}});
  report(test);
}

/// Heads that TMA cannot copy.
TEST(HopperKernel, AttentionOfNarrowerAlignment) {
  std::string text;
  for (int size : {20, 36, 50})
    text += stepText("step" + std::to_string(size), {4, 2, size}, "causal", "full");
  EXPECT_EQ(templatesOf(text), (std::set<std::string>{"append", "flash_attention"}));
}

TEST(HopperKernel, AttentionOfCaches) {
  std::string text;
  std::vector<std::string> names;
  for (const Heads &heads : kHeads)
    for (const char *mask : {"causal", "window, 50"}) {
      names.push_back("step" + std::to_string(names.size()));
      text += stepText(names.back(), heads, mask, "full");
    }
  EXPECT_EQ(templatesOf(text), (std::set<std::string>{"append", "wgmma_attention"}));
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    test.checkCalls({{name, 3}, {name, 1}, {name, 130}, {name, 20}}, {{"B", 2}});
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
