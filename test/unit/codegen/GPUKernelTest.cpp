//===- GPUKernelTest.cpp - tensor core kernels around their tiles -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/GPUTemplates.h"

#include "llvm/Support/xxhash.h"

#include <cmath>

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

/// What stands before a product: a norm of either kind, or elements of two tensors.
enum class Before { RmsNorm, LayerNorm, Gate };

struct Step {
  Before before;
  int columns, depth;
  const char *from, *type; ///< of what is normalised, and of what is multiplied
  int64_t rows = 0;        ///< where they are known
};

/// A product of rows that are computed before, with a residual, or two of the same rows, in turn.
std::string stepText(const std::string &name, const Step &step, bool isGated) {
  std::string n = std::to_string(step.columns), k = std::to_string(step.depth), type = step.type;
  std::string rows = (step.rows ? std::to_string(step.rows) : "B") + ", 1, ", row = rows + k + ", ";
  std::string multiplied =
      "tensor<" + (step.rows ? std::to_string(step.rows) : "?") + "x1x" + k + "x" + type + ">";
  std::vector<Signature> arguments{{"x", row + step.from}, {"w", n + ", " + k + ", " + type}};
  std::string body;
  switch (step.before) {
  case Before::RmsNorm:
    arguments.push_back({"s", k + ", f32"});
    body = "%m = transformer.rms_norm %x, %s epsilon 1.0e-12 : {x}, {s} -> " + multiplied;
    break;
  case Before::LayerNorm:
    arguments.insert(arguments.end(), {{"s", k + ", f32"}, {"b", k + ", f32"}});
    body = "%m = transformer.layer_norm %x, %s bias %b epsilon 1.0e-12 : {x}, {s}, {b} -> " + multiplied;
    break;
  case Before::Gate:
    arguments.push_back({"u", row + type});
    body = "%a = transformer.activation silu %x : {x} -> {u} %m = arith.mulf %a, %u : {u}";
    break;
  }
  arguments.push_back(isGated ? Signature{"v", n + ", " + k + ", " + type}
                              : Signature{"r", rows + n + ", f32"});
  body += " %0 = transformer.linear %m, %w : " + multiplied + ", {w} -> {y} ";
  body += isGated ? "%1 = transformer.activation silu %0 : {y} -> {y} "
                    "%2 = transformer.linear %m, %v : " +
                        multiplied + ", {v} -> {y} %y = arith.mulf %1, %2 : {y} return %y : {y}"
                  : "%y = arith.addf %0, %r : {y} return %y : {y}";
  return functionText(name, arguments, {{"y", rows + n + ", f32"}}, body);
}

/// Values whose norm is exact in any type: a row is a power of two with signs that cancel out, which its norm
/// makes plus or minus one. What rounds to bf16 then is the same whatever order sums had.
void makeNormExact(StringRef name, MutableArrayRef<double> values, int64_t depth) {
  for (auto [i, value] : llvm::enumerate(values)) {
    int64_t row = static_cast<int64_t>(i) / depth, column = static_cast<int64_t>(i) % depth;
    uint64_t hash = llvm::xxh3_64bits(std::to_string(row) + "," + std::to_string(column / 2));
    if (name == "x")
      value = ((hash & 1) != 0) == (column % 2 == 0) ? std::ldexp(1.0, row % 5) : -std::ldexp(1.0, row % 5);
    else if (name == "s" || name == "b")
      value = std::round(value * 32) / 32;
  }
}

/// Runs each step with as many rows as make up one block's round, more and fewer. Where all their kernels are
/// of the product's template, what stands before is in them.
void checkSteps(ArrayRef<Step> steps, const std::set<std::string> &templates) {
  std::string text;
  for (auto [i, step] : llvm::enumerate(steps))
    text += stepText("step" + std::to_string(i), step, /*isGated=*/i % 3 == 2);
  EXPECT_EQ(templatesOf(text), templates);
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step &step = steps[i];
    bool isNarrow = StringRef(step.type) != "f32", isExact = isNarrow && step.before != Before::Gate;
    test.override = [&](StringRef argument, MutableArrayRef<double> values) {
      if (isExact)
        makeNormExact(argument, values, step.depth);
    };
    for (int64_t rows : {1, 3, 8, 16, 17, 40})
      if (step.rows == 0 || rows == 1)
        test.check("step" + std::to_string(i), {{"B", rows}},
                   isNarrow && !isExact ? Differential::kNarrowTolerance : 1e-5);
  }
  report(test);
}

TEST(GPUKernel, GemvComputesItsRows) {
  // Staged rows of which a block holds four, two and one; rows that no vector divides.
  const Step steps[] = {
      {Before::RmsNorm, 37, 260, "f32", "f32"},     {Before::LayerNorm, 16, 129, "f32", "f32"},
      {Before::RmsNorm, 9, 1, "f32", "f32"},        {Before::LayerNorm, 40, 512, "f32", "f32"},
      {Before::RmsNorm, 5, 2304, "f32", "f32"},     {Before::LayerNorm, 17, 4100, "f32", "f32"},
      {Before::Gate, 33, 66, "f32", "f32"},         {Before::RmsNorm, 6, 8192, "f32", "f32"},
      {Before::LayerNorm, 21, 104, "f32", "f32", 3}};
  checkSteps(steps, {"gemv"});
}

TEST(GPUKernel, GemvComputesItsNarrowRow) {
  const Step steps[] = {{Before::RmsNorm, 37, 264, "f32", "bf16", 1},
                        {Before::LayerNorm, 20, 136, "bf16", "bf16", 1},
                        {Before::RmsNorm, 24, 1024, "bf16", "f16", 1},
                        {Before::RmsNorm, 19, 640, "f32", "bf16", 1},
                        {Before::LayerNorm, 30, 104, "f32", "f16", 1}};
  checkSteps(steps, {"gemv"});
}

/// Rows that a product wants padded are stored so by the kernel of the norm.
TEST(GPUKernel, NormsPadTheirRows) {
  const Step steps[] = {{Before::RmsNorm, 37, 260, "f32", "bf16"},
                        {Before::LayerNorm, 20, 130, "bf16", "bf16"},
                        {Before::RmsNorm, 24, 1023, "bf16", "f16"},
                        {Before::LayerNorm, 30, 100, "f32", "f16"}};
  checkSteps(steps, {"rows", "skinny_gemm"});
}

TEST(GPUKernel, SkinnyGemmComputesItsRows) {
  const Step steps[] = {
      {Before::RmsNorm, 16, 256, "f32", "bf16"},    {Before::LayerNorm, 33, 264, "f32", "bf16"},
      {Before::RmsNorm, 40, 1288, "f32", "bf16"},   {Before::LayerNorm, 7, 8, "f32", "f16"},
      {Before::Gate, 20, 520, "bf16", "bf16"},      {Before::LayerNorm, 17, 40, "bf16", "bf16"},
      {Before::RmsNorm, 8200, 24, "f32", "bf16"},   {Before::RmsNorm, 9, 4104, "f32", "f16"},
      {Before::Gate, 18, 72, "f32", "bf16"},        {Before::RmsNorm, 31, 248, "f32", "bf16", 16},
      {Before::LayerNorm, 30, 96, "f32", "bf16", 5}};
  checkSteps(steps, {"skinny_gemm"});
}

} // namespace
