//===- GPUKernelTest.cpp - tensor core kernels around their tiles -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/GPUTemplates.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

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
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    for (int64_t rows : kRows)
      test.check(name, {{"B", 1 + rows % 2}, {"S", rows}}, 1e-5);
  report(test);
}

} // namespace
