//===- ClusterGemmTest.cpp - products by clusters of blocks on sm_90a --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The emulated device runs two clusters at once: up to two tiles are split over K, of more than that as many
// rows of tiles are shared as make up clusters, and the rest is split.
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/GPUTemplates.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

constexpr const char *kArch = "sm_90a";

/// The blocks of the clusters of all kernels, each of which must be wgmma_gemm.
std::set<int64_t> clustersOf(const std::string &text) {
  std::set<int64_t> clusters;
  forConfigs(text, kArch, /*newest=*/true, [&](xgpu::ConfigAttr config) {
    EXPECT_EQ(config.getTemplateName(), "wgmma_gemm");
    clusters.insert(config.getTile().back());
  });
  return clusters;
}

/// Products with a bias of each pair of N and K around the sizes of tiles, for each of `rows`.
void checkLinears(ArrayRef<std::pair<int, int>> shapes, int64_t cluster, ArrayRef<int64_t> rows,
                  const emulator::EmulatorOptions &emulation = {}) {
  std::vector<std::string> names;
  std::string text = linearsText(shapes, names);
  EXPECT_EQ(clustersOf(text), std::set<int64_t>{cluster});
  Differential test(text, kArch, emulation);
  ASSERT_TRUE(test.isCompiled());
  int64_t turn = 0;
  for (const std::string &name : names)
    for (int64_t count : rows)
      if (++turn % 2 == 0 || names.size() == 2)
        test.check(name, {{"B", 1}, {"S", count}}, 1e-5);
  report(test);
}

/// Two tiles and fewer, one row of several, two rows and with a rest behind them; five to nine steps.
TEST(ClusterGemm, PairsShareWeightsOrSplitK) {
  checkLinears({{136, 264}, {128, 320}, {300, 512}, {65, 544}}, 2, {1, 64, 128, 129, 256, 257, 300});
}

/// Tiles of 256 columns, whose sums take most of the ring.
TEST(ClusterGemm, PairsOfWideTiles) { checkLinears({{4100, 256}}, 2, {40, 130}); }

TEST(ClusterGemm, FoursShareWeightsOrSplitK) {
  checkLinears({{72, 968}, {200, 1024}}, 4, {1, 100, 300});
  checkLinears({{72, 1032}}, 4, {512, 700});
}

/// Copies may also come at once, and turns be taken in another order.
TEST(ClusterGemm, WhateverTheOrder) {
  for (bool late : {true, false})
    for (uint64_t seed : {1, 2, 3}) {
      emulator::EmulatorOptions emulation;
      emulation.late = late;
      emulation.seed = seed;
      checkLinears({{136, 264}}, 2, {20, 300}, emulation);
    }
}

/// A share of K that is no whole number of steps, and outputs without pairs, at random.
TEST(ClusterGemm, RandomShapes) {
  std::mt19937 random(11);
  auto upTo = [&](int most) { return 1 + static_cast<int>(random() % static_cast<unsigned>(most)); };
  std::vector<std::pair<int, int>> shapes;
  for (int i = 0; i < 8; ++i)
    shapes.push_back({upTo(270), 200 + 8 * upTo(60)});
  checkLinears(shapes, 2, {upTo(128), 128 + upTo(128), 256 + upTo(128), 384 + upTo(128)});
}

/// Gate and up, two sums of each element, in results of 16 bits and of odd width; rows that are known.
std::string gatedText(const std::string &name, const std::string &dims, int columns, int depth,
                      const std::string &type) {
  std::string N = std::to_string(columns), K = std::to_string(depth);
  return functionText(name,
                      {{"x", dims + ", " + K + ", " + type},
                       {"g", N + ", " + K + ", " + type},
                       {"u", N + ", " + K + ", " + type},
                       {"r", dims + ", " + N + ", " + type}},
                      {{"y", dims + ", " + N + ", " + type}}, R"(
    %0 = transformer.linear %x, %g : {x}, {g} -> {y}
    %1 = transformer.activation silu %0 : {y} -> {y}
    %2 = transformer.linear %x, %u : {x}, {u} -> {y}
    %3 = arith.mulf %1, %2 : {y}
    %4 = arith.addf %3, %r : {y}
    return %4 : {y})");
}

TEST(ClusterGemm, TwoWeightsAndAnEpilogue) {
  std::string text = gatedText("even", "B, S", 136, 272, "bf16") + gatedText("odd", "B, S", 137, 512, "f16");
  EXPECT_EQ(clustersOf(text), std::set<int64_t>{2});
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  for (int64_t rows : {3, 140, 300})
    for (const char *name : {"even", "odd"})
      test.check(name, {{"B", 1}, {"S", rows}}, 1e-5);
  report(test);
}

TEST(ClusterGemm, RowsThatAreKnown) {
  std::string text =
      gatedText("few", "2, 20", 136, 1040, "bf16") + gatedText("more", "1, 130", 120, 1024, "bf16");
  EXPECT_EQ(clustersOf(text), std::set<int64_t>{4});
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  test.check("few", {}, 1e-5);
  test.check("more", {}, 1e-5);
  report(test);
}

/// What decides: a share of K must be worth an exchange, and four blocks find few tiles.
TEST(ClusterGemm, ClustersAreChosenByShape) {
  auto clusterOf = [](const std::string &dims, int columns, int depth) {
    std::string N = std::to_string(columns), K = std::to_string(depth);
    std::set<int64_t> clusters =
        clustersOf(functionText("f", {{"x", dims + ", " + K + ", bf16"}, {"w", N + ", " + K + ", bf16"}},
                                {{"y", dims + ", " + N + ", bf16"}},
                                "%y = transformer.linear %x, %w : {x}, {w} -> {y} return %y : {y}"));
    return clusters.size() == 1 ? *clusters.begin() : 0;
  };
  EXPECT_EQ(clusterOf("B, S", 1024, 192), 1);
  EXPECT_EQ(clusterOf("B, S", 1024, 200), 2);
  EXPECT_EQ(clusterOf("B, S", 1024, 1024), 4);
  EXPECT_EQ(clusterOf("B, S", 1024, 960), 2);
  EXPECT_EQ(clusterOf("B, S", 1152, 1024), 2); // nine columns of tiles, of four rows
  EXPECT_EQ(clusterOf("1, 64", 4096, 1024), 4);
  EXPECT_EQ(clusterOf("1, 512", 4096, 1024), 2);
}

} // namespace
