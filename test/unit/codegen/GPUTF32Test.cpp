//===- GPUTF32Test.cpp - f32 on tensor cores ---------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/GPUTemplates.h"

#include <cstring>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

constexpr int64_t kRows[] = {2, 15, 16, 17, 63, 64, 65, 130};

/// Products with a bias, and a pair of them with a gate, of each pair of N and K.
std::string productsText(std::vector<std::string> &names) {
  const std::pair<int, int> shapes[] = {{8, 4},    {64, 16},  {63, 20}, {65, 32},
                                        {100, 52}, {128, 12}, {7, 128}, {4100, 36}};
  std::string text;
  for (auto [n, k] : shapes) {
    std::string N = std::to_string(n), K = std::to_string(k);
    std::vector<Signature> arguments{{"x", "B, S, " + K + ", f32"}, {"w", N + ", " + K + ", f32"}};
    names.push_back("one" + std::to_string(names.size()));
    arguments.push_back({"b", N + ", f32"});
    text += functionText(names.back(), arguments, {{"y", "B, S, " + N + ", f32"}},
                         "%y = transformer.linear %x, %w bias %b : {x}, {w}, {b} -> {y} return %y : {y}");
    names.push_back("two" + std::to_string(names.size()));
    arguments.back() = {"v", N + ", " + K + ", f32"};
    text += functionText(names.back(), arguments, {{"y", "B, S, " + N + ", f32"}},
                         "%g = transformer.linear %x, %w : {x}, {w} -> {y} "
                         "%a = transformer.activation silu %g : {y} -> {y} "
                         "%u = transformer.linear %x, %v : {x}, {v} -> {y} "
                         "%y = arith.mulf %a, %u : {y} return %y : {y}");
  }
  return text;
}

/// The value without the 13 bits of mantissa that tf32 has not.
double truncated(double value) {
  float x = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits &= ~0x1fffu;
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}

/// Products whose kernels are made by `templates` where tf32 was asked for, of values that tf32 has.
Differential exactProducts(const std::string &text, const std::set<std::string> &templates) {
  EXPECT_EQ(templatesOf(text, kGPUArch, /*newest=*/false, /*tf32=*/true), templates);
  EXPECT_EQ(templatesOf(text), std::set<std::string>{"simt_gemm"}) << "nobody asked for tf32";
  Differential test(text, "sm_80+tf32");
  test.override = [](StringRef, MutableArrayRef<double> values) {
    for (double &value : values)
      value = truncated(value);
  };
  return test;
}

TEST(GPUTF32, ValuesOfTF32AreMultipliedExactly) {
  std::vector<std::string> names;
  std::string text = productsText(names);
  Differential test = exactProducts(text, {"mma_gemm"});
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    for (int64_t rows : kRows)
      test.check(name, {{"B", 1 + rows % 2}, {"S", rows}}, 1e-5);
  report(test);
}

TEST(GPUTF32, ProductsOfAnyDepth) {
  std::string text;
  for (int k : {1, 50, 63})
    text += functionText(
        "any" + std::to_string(k),
        {{"x", "B, S, " + std::to_string(k) + ", f32"}, {"w", "40, " + std::to_string(k) + ", f32"}},
        {{"y", "B, S, 40, f32"}}, "%y = transformer.linear %x, %w : {x}, {w} -> {y} return %y : {y}");
  Differential test = exactProducts(text, {"mma_gemm", "rows"});
  ASSERT_TRUE(test.isCompiled());
  for (int k : {1, 50, 63})
    for (int64_t rows : {2, 65})
      test.check("any" + std::to_string(k), {{"B", 1}, {"S", rows}}, 1e-5);
  report(test);
}

TEST(GPUTF32, OthersAreRoundedToTheNearest) {
  std::vector<std::string> names;
  Differential test(productsText(names), "sm_80+tf32");
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    test.check(name, {{"B", 1}, {"S", 65}}, 2e-3);
  EXPECT_GT(test.worst, 2e-5) << "nothing was rounded";
  // The largest error where all factors have this value.
  auto errorOf = [&](double factor) {
    test.worst = 0;
    test.override = [=](StringRef name, MutableArrayRef<double> values) {
      llvm::fill(values, name == "b" ? 0 : factor);
    };
    test.check("one2", {{"B", 1}, {"S", 16}}, 2e-3);
    return test.worst;
  };
  // Halfway between two values of tf32, where rounding up and cutting off differ, and beyond.
  EXPECT_NEAR(errorOf(1 + 1.0 / 2048), 2.0 / 2048, 1.0 / 8192) << "1 + 2^-10 for 1 + 2^-11, twice";
  EXPECT_NEAR(errorOf(1 + 3.0 / 4096), 1.0 / 2048, 1.0 / 8192) << "1 + 2^-10 for 1 + 3 * 2^-12, twice";
}

} // namespace
