//===- RandomWeightsTest.cpp - weights nobody trained ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/RandomWeights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

using namespace xfm;

static std::vector<float> fill(const char *name, std::vector<int64_t> shape, uint64_t seed,
                               const char *format = "f32") {
  int64_t count = 1;
  for (int64_t dim : shape)
    count *= dim;
  bool isF32 = std::string(format) == "f32";
  WeightSpec weight{name, format, std::move(shape), count * (isF32 ? 4 : 2)};
  std::vector<char> bytes(static_cast<size_t>(weight.bytes));
  fillRandomWeight(weight, seed, bytes.data());
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    uint32_t bits = 0; // a bf16 is the upper half of an f32
    std::memcpy(reinterpret_cast<char *>(&bits) + (isF32 ? 0 : 2), &bytes[i * (isF32 ? 4 : 2)],
                isF32 ? 4 : 2);
    std::memcpy(&values[i], &bits, sizeof bits);
  }
  return values;
}

TEST(RandomWeights, FollowSeedAndName) {
  EXPECT_EQ(fill("a", {8, 8}, 1), fill("a", {8, 8}, 1));
  EXPECT_NE(fill("a", {8, 8}, 1), fill("a", {8, 8}, 2));
  EXPECT_NE(fill("a", {8, 8}, 1), fill("b", {8, 8}, 1));
}

// Mean 0 and variance 1 / K, K being the last of two dimensions and the middle one of three.
TEST(RandomWeights, KeepTheSizeOfWhatTheyMultiply) {
  for (const std::vector<int64_t> &shape : {std::vector<int64_t>{256, 64}, {16, 64, 16}}) {
    double sum = 0, squares = 0;
    std::vector<float> values = fill("w", shape, 3);
    for (float value : values)
      sum += value, squares += double(value) * value;
    auto count = static_cast<double>(values.size()); // 16384
    EXPECT_NEAR(sum / count, 0, 5 * std::sqrt(1.0 / 64 / count));
    EXPECT_NEAR(64 * squares / count, 1, 0.05);
  }
}

TEST(RandomWeights, VectorsAreNearOne) {
  for (float value : fill("norm", {1000}, 3)) {
    EXPECT_GE(value, 0.9f);
    EXPECT_LT(value, 1.1f);
  }
}

TEST(RandomWeights, Bf16IsTheSameRounded) {
  std::vector<float> wide = fill("w", {64, 64}, 3), narrow = fill("w", {64, 64}, 3, "bf16");
  for (size_t i = 0; i < wide.size(); ++i)
    EXPECT_NEAR(narrow[i], wide[i], std::fabs(wide[i]) / 256);
}
