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
  std::vector<std::string> names;
  std::string text = linearsText(shapes, names);
  EXPECT_EQ(templatesOf(text), std::set<std::string>{"mma_gemm"});
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    for (int64_t rows : kRows)
      test.check(name, {{"B", 1 + rows % 2}, {"S", rows}}, 1e-5);
  report(test);
}

/// A bias, a residual and an activation are finished where the warps' sums meet.
std::string skinnyText(const std::string &name, const std::string &rows, int n, int k, const char *type,
                       int turn) {
  std::string N = std::to_string(n), K = std::to_string(k);
  std::vector<Signature> arguments{{"x", rows + ", " + K + ", " + type}, {"w", N + ", " + K + ", " + type}};
  if (turn % 3 == 0)
    return functionText(name, arguments, {{"y", rows + ", " + N + ", f32"}},
                        "%y = transformer.linear %x, %w : {x}, {w} -> {y} return %y : {y}");
  if (turn % 3 == 1) {
    arguments.push_back({"b", N + ", f32"});
    return functionText(name, arguments, {{"y", rows + ", " + N + ", f32"}},
                        "%0 = transformer.linear %x, %w bias %b : {x}, {w}, {b} -> {y} "
                        "%y = transformer.activation silu %0 : {y} -> {y} return %y : {y}");
  }
  arguments.push_back({"v", N + ", " + K + ", " + type});
  return functionText(name, arguments, {{"y", rows + ", " + N + ", f32"}},
                      "%g = transformer.linear %x, %w : {x}, {w} -> {y} "
                      "%a = transformer.activation silu %g : {y} -> {y} "
                      "%u = transformer.linear %x, %v : {x}, {v} -> {y} "
                      "%y = arith.mulf %a, %u : {y} return %y : {y}");
}

TEST(GPUKernel, SkinnyGemmAroundItsTiles) {
  const std::pair<int, int> shapes[] = {{8, 8},     {15, 32},  {16, 40},   {17, 256},  {33, 264},  {64, 512},
                                        {100, 520}, {7, 1024}, {40, 1288}, {8192, 16}, {8200, 40}, {31, 248}};
  std::string text;
  std::vector<std::pair<std::string, int64_t>> names; // and rows, where they are known
  for (const char *type : {"bf16", "f16"})
    for (auto [n, k] : shapes)
      for (int64_t rows : {0, 2, 5, 16}) {
        int turn = static_cast<int>(names.size());
        if (rows > 0 && turn % 4 != 1)
          continue;
        names.push_back({"skinny" + std::to_string(turn), rows});
        text +=
            skinnyText(names.back().first, rows ? "1, " + std::to_string(rows) : "B, 1", n, k, type, turn);
      }
  EXPECT_EQ(templatesOf(text), std::set<std::string>{"skinny_gemm"});
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (auto &[name, known] : names)
    for (int64_t rows : {1, 2, 7, 8, 9, 15, 16, 17, 33})
      if (known == 0 || rows == 1)
        test.check(name, {{"B", rows}}, 1e-5);
  report(test);
}

/// Rows of no multiple of 16 bytes are padded, and the kernels are those of whole rows.
TEST(GPUKernel, ProductsOfAnyDepth) {
  const std::pair<int, int> shapes[] = {{64, 50}, {33, 52}, {100, 63}, {16, 1}, {40, 257}, {70, 6}};
  const std::pair<const char *, const char *> rows[] = {
      {"1, 2", "skinny_gemm"}, {"1, 100", "mma_gemm"}, {"B, 1", "skinny_gemm"}, {"B, S", "mma_gemm"}};
  std::string text;
  std::vector<std::string> names;
  for (const char *type : {"bf16", "f16"})
    for (auto [n, k] : shapes)
      for (auto [size, expected] : rows) {
        int turn = static_cast<int>(names.size());
        names.push_back("any" + std::to_string(turn));
        std::string one = skinnyText(names.back(), size, n, k, type, turn / 3);
        EXPECT_EQ(templatesOf(one), (std::set<std::string>{"rows", expected})) << one;
        text += one;
      }
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    test.check(name, {{"B", 9}, {"S", 21}}, 1e-5);
  report(test);
}

/// Each second row is NaN, so that none of another row's numbers, even times zero, may be in a sum. The
/// larger of NaN and a number is the number.
TEST(GPUKernel, RowsArePaddedWithZeros) {
  std::string text;
  for (int k : {50, 52, 63})
    for (const char *rows : {"B, 1", "B, 20"}) {
      std::string y = std::string(rows) + ", 24, f32", x = std::string(rows) + ", " + std::to_string(k);
      text += functionText((rows[3] == '1' ? "few" : "many") + std::to_string(k),
                           {{"x", x + ", bf16"}, {"w", "24, " + std::to_string(k) + ", bf16"}, {"least", y}},
                           {{"y", y}},
                           "%0 = transformer.linear %x, %w : {x}, {w} -> {y} "
                           "%y = arith.maxnumf %0, %least : {y} return %y : {y}");
    }
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (int k : {50, 52, 63}) {
    test.override = [k](StringRef name, MutableArrayRef<double> values) {
      if (name == "least")
        llvm::fill(values, -20);
      if (name == "x")
        for (auto [i, value] : llvm::enumerate(values))
          if (static_cast<int64_t>(i) / k % 2 == 1)
            value = std::numeric_limits<double>::quiet_NaN();
    };
    for (const char *name : {"few", "many"})
      test.check(name + std::to_string(k), {{"B", 10}}, 1e-5);
  }
  report(test);
}

} // namespace
