//===- ContractionTest.cpp - products with packed weights against the interpreter //
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Products of floats; those of integers are in IntegerTest.cpp. The sizes lie around the borders of register
// tiles (6 and 8 rows, up to 64 columns), of few rows (16) and their turns of k (12 KiB of a panel), of
// blocks of rows (132) and of cache blocks of k.
//
//===----------------------------------------------------------------------===//

#include "test/numeric/EmulatedAVX512.h"
#include "test/unit/codegen/Differential.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

struct Product {
  int64_t columns, depth;
  const char *input, *weight, *result; ///< types
  bool isGated = false;                ///< two products of the same rows

  std::string weightName(int64_t i) const {
    return llvm::formatv("w{0}_{1}_{2}_{3}_{4}", i, columns, depth, input, weight);
  }
  std::string name(const std::string &rows) const {
    return llvm::formatv("run_{0}_{1}_{2}_{3}_{4}_{5}", columns, depth, input, weight, isGated,
                         rows == "S" ? "any" : rows);
  }
};

/// Between the products and the result stands a little, so that there is an epilogue.
std::string textOf(const Product &product, llvm::ArrayRef<std::string> rows) {
  std::string text,
      type = llvm::formatv("tensor<{0}x{1}x{2}>", product.columns, product.depth, product.weight);
  for (int64_t i = 0; i <= product.isGated; ++i)
    text += llvm::formatv("transformer.weight @{0} : {1} from \"model.safetensors\"\n", product.weightName(i),
                          type);
  for (const std::string &count : rows) {
    std::string body = llvm::formatv(R"(
    %w = transformer.use @{0} : {1}
    %p = transformer.linear %x, %w : {{x}, {1} -> {{y}
    %a = transformer.activation relu %p : {{y} -> {{y})",
                                     product.weightName(0), type);
    if (product.isGated)
      body += llvm::formatv(R"(
    %v = transformer.use @{0} : {1}
    %q = transformer.linear %x, %v : {{x}, {1} -> {{y}
    %y = arith.mulf %a, %q : {{y}
    return %y : {{y})",
                            product.weightName(1), type);
    else
      body += "\n    return %a : {y}";
    text += functionText(
        product.name(count), {{"x", llvm::formatv("{0}, {1}, {2}", count, product.depth, product.input)}},
        {{"y", llvm::formatv("{0}, {1}, {2}", count, product.columns, product.result)}}, body);
  }
  return text;
}

class ContractionTest : public TargetTest {
protected:
  /// Each product with rows of known numbers and with any, which are `anyRows` then.
  void check(llvm::ArrayRef<Product> products, llvm::ArrayRef<int64_t> knownRows,
             llvm::ArrayRef<int64_t> anyRows) {
    std::vector<std::string> rows{"S"};
    for (int64_t count : knownRows)
      rows.push_back(std::to_string(count));
    std::string text;
    for (const Product &product : products)
      text += textOf(product, rows);
    Differential test(text, GetParam());
    ASSERT_TRUE(test.isCompiled());
    for (const Product &product : products) {
      for (int64_t count : knownRows)
        test.check(product.name(std::to_string(count)), {});
      for (int64_t count : anyRows)
        test.check(product.name("S"), {{"S", count}});
    }
    report(test);
  }
};

INSTANTIATE_TEST_SUITE_P(Targets, ContractionTest,
                         ::testing::Values("native", "x86-64-v3", "x86-64-v2", kEmulatedAVX512.data()),
                         targetName);

/// More steps than a turn has, an odd number and an even one, and fewer; for one row, panels that are
/// multiplied together and some that are left.
TEST_P(ContractionTest, FewRows) {
  check({{70, 421, "f32", "f32", "f32"},
         {170, 384, "f32", "bf16", "f32"},
         {64, 800, "bf16", "bf16", "f32"},
         {17, 250, "f32", "f16", "f32"},
         {16, 20, "f32", "f32", "f32"},
         {40, 300, "f32", "f32", "f32", /*isGated=*/true}},
        {1, 2, 5, 7, 8, 13, 16, 17}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19});
}

/// Odd numbers of pairs and two products.
TEST_P(ContractionTest, FewRowsOfPairs) {
  std::vector<int64_t> knownRows{2, 7, 16};
  // For one row LLVM calls a function to round bf16 that the emulation does not have.
  if (GetParam() != kEmulatedAVX512)
    knownRows.push_back(1);
  check({{33, 421, "bf16", "bf16", "bf16"}, {24, 422, "bf16", "bf16", "bf16", /*isGated=*/true}}, knownRows,
        {1, 2, 3, 5, 8, 11, 16, 17});
}

/// Blocks of rows and their last ones; steps that leave one, two and three after turns of four; rows of a
/// page.
TEST_P(ContractionTest, ManyRows) {
  check({{33, 65, "f32", "f32", "f32"},
         {40, 67, "f32", "f32", "f32", /*isGated=*/true},
         {20, 1024, "bf16", "bf16", "bf16"},
         {18, 70, "f32", "f32", "f32"},
         {64, 128, "bf16", "bf16", "bf16"},
         {48, 31, "f32", "bf16", "f32"},
         {8, 32, "f32", "f32", "f32"},
         {24, 40, "bf16", "bf16", "f32", /*isGated=*/true}},
        {20, 25, 133, 300}, {19, 23, 48, 131, 132, 133, 137, 264, 265, 300});
}

/// K is cut into cache blocks, and again for few rows.
TEST_P(ContractionTest, ManySteps) {
  check({{20, 9001, "f32", "f32", "f32"},
         {64, 9000, "bf16", "bf16", "bf16"},
         {16, 4500, "f32", "bf16", "f32", /*isGated=*/true}},
        {1, 7}, {1, 2, 6, 11, 16, 17, 40});
}

} // namespace
