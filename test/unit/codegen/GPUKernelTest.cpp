//===- GPUKernelTest.cpp - tensor core kernels around their tiles -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/Differential.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/Templates.h"
#include "tools/driver/Driver.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <set>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

constexpr const char *kArch = "sm_80";

/// The templates that the dispatches of `text` get.
std::set<std::string> templatesOf(const std::string &text) {
  DialectRegistry registry;
  registerAll(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  LoweringOptions options;
  options.gpuArchs = {kArch};
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

TEST(GPUKernel, MmaGemmAroundItsTiles) {
  constexpr int64_t kRows[] = {1, 15, 16, 17, 63, 64, 65, 130};
  const std::pair<int, int> shapes[] = {{8, 8},     {64, 32},  {63, 40}, {65, 64},
                                        {100, 104}, {128, 24}, {7, 256}, {200, 72}};
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
  EXPECT_EQ(templatesOf(text), std::set<std::string>{"mma_gemm"});
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    for (int64_t rows : kRows)
      test.check(name, {{"B", 1 + rows % 2}, {"S", rows}}, 1e-5);
  report(test);
}

struct Heads {
  int query, key, size;
};
constexpr Heads kHeads[] = {{2, 2, 16},  {4, 2, 32},  {8, 1, 64}, {3, 3, 48},
                            {2, 1, 128}, {14, 2, 80}, {6, 2, 96}};
const char *const kMasks[] = {"none", "causal", "window, 1", "window, 40", "window, 100"};

std::string shapeOf(int heads, int size, const char *positions, const char *type) {
  return std::string("B, ") + positions + ", " + std::to_string(heads) + ", " + std::to_string(size) + ", " +
         type;
}

TEST(GPUKernel, FlashAttentionOfKeysAndValues) {
  std::string text;
  std::vector<std::string> names;
  for (const Heads &heads : kHeads)
    for (const char *mask : kMasks) {
      size_t turn = names.size();
      const char *type = turn % 4 == 3 ? "f16" : "bf16";
      std::vector<Signature> arguments{{"q", shapeOf(heads.query, heads.size, "S", type)},
                                       {"k", shapeOf(heads.key, heads.size, "K", type)},
                                       {"v", shapeOf(heads.key, heads.size, "K", type)}};
      std::string bias, biasType, cap = turn % 5 == 1 ? " softcap 2.5" : "";
      if (turn % 3 == 1) {
        arguments.push_back(
            {"bias", std::string(turn % 2 ? "1, 1" : "B, " + std::to_string(heads.query)) + ", S, K, f32"});
        bias = " bias %bias", biasType = ", {bias}";
      }
      names.push_back("attention" + std::to_string(turn));
      text += functionText(names.back(), arguments, {{"y", shapeOf(heads.query, heads.size, "S", type)}},
                           "%y = transformer.attention %q, %k, %v" + bias + " scale 0.2 mask <" + mask + ">" +
                               cap + " : {q}, {k}, {v}" + biasType + " -> {y} return %y : {y}");
    }
  EXPECT_EQ(templatesOf(text), std::set<std::string>{"flash_attention"});
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  int64_t turn = 0;
  for (const std::string &name : names)
    for (auto [queries, keys] : {std::pair<int64_t, int64_t>{1, 1},
                                 {5, 5},
                                 {17, 64},
                                 {33, 33},
                                 {64, 65},
                                 {70, 70},
                                 {9, 130},
                                 {40, 20}})
      if (turn++ % 2 == 0)
        test.check(name, {{"B", 1 + turn % 3}, {"S", queries}, {"K", keys}});
  report(test);
}

TEST(GPUKernel, FlashAttentionOfCaches) {
  std::string text;
  std::vector<std::string> names;
  for (const Heads &heads : kHeads)
    for (const char *mask : {"causal", "window, 20"}) {
      std::string cache = "!transformer.kv_cache<" + std::to_string(heads.key) + " x " +
                          std::to_string(heads.size) + " x bf16, " +
                          (std::string(mask) == "causal" || names.size() % 4 == 1 ? "full>" : "ring, 20>");
      names.push_back("step" + std::to_string(names.size()));
      // Entry points of one module share what has one name.
      const std::string c = "cache." + names.back();
      text += functionText(names.back(),
                           {{c, cache},
                            {"q", shapeOf(heads.query, heads.size, "S", "bf16")},
                            {"k", shapeOf(heads.key, heads.size, "S", "bf16")},
                            {"v", shapeOf(heads.key, heads.size, "S", "bf16")}},
                           {{"y", shapeOf(heads.query, heads.size, "S", "bf16")}, {c, cache}},
                           "%longer = transformer.cache_append %" + c + ", %k, %v : {" + c +
                               "}, {k}, {v} "
                               "%y = transformer.attention %q cache %longer scale 0.2 mask <" +
                               std::string(mask) + "> : {q}, {" + c + "} -> {y} return %y, %longer : {y}, {" +
                               c + "}");
    }
  EXPECT_EQ(templatesOf(text), (std::set<std::string>{"append", "flash_attention"}));
  Differential test(text, kArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    test.checkSequence(name, {{"B", 2}}, {3, 1, 40, 17});
  report(test);
}

} // namespace
