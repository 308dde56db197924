//===- GPUTemplates.h - the templates that a program's kernels have -----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_UNIT_CODEGEN_GPUTEMPLATES_H
#define TEST_UNIT_CODEGEN_GPUTEMPLATES_H

#include "test/unit/codegen/Differential.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/Templates.h"
#include "tools/driver/Driver.h"

#include "mlir/Parser/Parser.h"

#include <set>

namespace mlir::transformer::numeric {

constexpr const char *kGPUArch = "sm_80";

/// Shows `visit` the configs that the dispatches of `text` get; `newest`: also those that no GPU has
/// validated.
inline void forConfigs(const std::string &text, const char *arch, bool newest,
                       llvm::function_ref<void(xgpu::ConfigAttr)> visit, bool tf32 = false) {
  DialectRegistry registry;
  registerAll(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  LoweringOptions options;
  options.gpuArchs = {arch};
  options.newestGPUKernels = newest;
  options.tf32 = tf32;
  llvm::Expected<CPUTarget> target = CPUTarget::resolve("native");
  llvm::Error error = lowerModule(*module, *target, options, "strategy");
  EXPECT_FALSE(bool(error)) << llvm::toString(std::move(error));
  for (auto function : module->getOps<func::FuncOp>())
    if (auto configs = function->getAttrOfType<DictionaryAttr>(kGPUConfigsAttr))
      visit(configs.getAs<xgpu::ConfigAttr>(arch));
}

/// The templates of those configs.
inline std::set<std::string> templatesOf(const std::string &text, const char *arch = kGPUArch,
                                         bool newest = false, bool tf32 = false) {
  std::set<std::string> names;
  forConfigs(
      text, arch, newest, [&](xgpu::ConfigAttr config) { names.insert(config.getTemplateName().str()); },
      tf32);
  return names;
}

inline void report(const Differential &test) {
  std::printf("  %lld calls, largest error %.2g in f32, %.2g in narrower types\n",
              static_cast<long long>(test.calls), test.worst, test.worstNarrow);
}

/// Products with a bias of each pair of N and K, in bf16 and in f16, as functions whose names go to `names`.
inline std::string linearsText(ArrayRef<std::pair<int, int>> shapes, std::vector<std::string> &names) {
  std::string text;
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
  return text;
}

/// Heads of queries and of keys, and their dimensions.
struct Heads {
  int query, key, size;
};

inline std::string shapeOf(int heads, int size, const char *positions, const char *type) {
  return std::string("B, ") + positions + ", " + std::to_string(heads) + ", " + std::to_string(size) + ", " +
         type;
}

/// A step that appends to a cache of bf16 with the policy and attends to it.
inline std::string stepText(const std::string &name, const Heads &heads, const std::string &mask,
                            const std::string &policy) {
  std::string cache = "!transformer.kv_cache<" + std::to_string(heads.key) + " x " +
                      std::to_string(heads.size) + " x bf16, " + policy + ">";
  // Entry points of one module share what has one name.
  const std::string c = "cache." + name;
  return functionText(name,
                      {{c, cache},
                       {"q", shapeOf(heads.query, heads.size, "S", "bf16")},
                       {"k", shapeOf(heads.key, heads.size, "S", "bf16")},
                       {"v", shapeOf(heads.key, heads.size, "S", "bf16")}},
                      {{"y", shapeOf(heads.query, heads.size, "S", "bf16")}, {c, cache}},
                      "%longer = transformer.cache_append %" + c + ", %k, %v : {" + c +
                          "}, {k}, {v} %y = transformer.attention %q cache %longer scale 0.2 mask <" + mask +
                          "> : {q}, {" + c + "} -> {y} return %y, %longer : {y}, {" + c + "}");
}

} // namespace mlir::transformer::numeric

#endif // TEST_UNIT_CODEGEN_GPUTEMPLATES_H
