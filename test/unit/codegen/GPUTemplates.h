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

/// The templates that the dispatches of `text` get; `newest`: also those that no GPU has validated.
inline std::set<std::string> templatesOf(const std::string &text, const char *arch = kGPUArch,
                                         bool newest = false) {
  DialectRegistry registry;
  registerAll(registry);
  MLIRContext context(registry, MLIRContext::Threading::DISABLED);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  LoweringOptions options;
  options.gpuArchs = {arch};
  options.newestGPUKernels = newest;
  llvm::Expected<CPUTarget> target = CPUTarget::resolve("native");
  llvm::Error error = lowerModule(*module, *target, options, "strategy");
  EXPECT_FALSE(bool(error)) << llvm::toString(std::move(error));
  std::set<std::string> names;
  for (auto function : module->getOps<func::FuncOp>())
    if (auto configs = function->getAttrOfType<DictionaryAttr>(kGPUConfigsAttr))
      names.insert(configs.getAs<xgpu::ConfigAttr>(arch).getTemplateName().str());
  return names;
}

inline void report(const Differential &test) {
  std::printf("  %lld calls, largest error %.2g in f32, %.2g in narrower types\n",
              static_cast<long long>(test.calls), test.worst, test.worstNarrow);
}

} // namespace mlir::transformer::numeric

#endif // TEST_UNIT_CODEGEN_GPUTEMPLATES_H
