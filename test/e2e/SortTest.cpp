//===- SortTest.cpp - a GPT-2 that sorts ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// nano-gpt-sort was trained to continue six digits below three by the same in
// order. Unlike the models of random weights it computes something that can be
// checked without any other implementation.
//
//===----------------------------------------------------------------------===//

#include "test/e2e/Support.h"

#include <algorithm>
#include <gtest/gtest.h>

using namespace xfm::e2e;

namespace {
struct Sort : testing::Test {
  void SetUp() override {
    model = sharedModel("nano-gpt-sort");
    if (model.folder.empty())
      GTEST_SKIP() << "../shared/data/models/nano-gpt-sort is absent; XFM_TEST_DATA can name another place";
  }
  GoldenModel model;
};

constexpr int64_t digits = 6, inputs = 729; // 3^6
} // namespace

/// The most likely id of each row's last position.
static std::vector<int32_t> mostLikely(const Logits &logits, int64_t rows) {
  int64_t rowSize = int64_t(logits.values.size()) / rows;
  std::vector<int32_t> ids;
  for (int64_t row = 1; row <= rows; ++row) {
    auto end = logits.values.begin() + row * rowSize, begin = end - logits.vocabulary;
    ids.push_back(int32_t(std::max_element(begin, end) - begin));
  }
  return ids;
}

TEST_F(Sort, Logits) {
  Session session(open(artifact(model, {"--precision=f32"})), 1, /*batch=*/3);
  Logits golden = readLogits(model.logits), logits = session.call("score", readTokens(model.tokens));
  EXPECT_LT(distance(logits, golden), 1e-5);
}

TEST_F(Sort, SortsEverything) {
  std::vector<int32_t> prompts;
  for (int64_t input = 0; input < inputs; ++input)
    for (int64_t digit = 0, rest = input; digit < digits; ++digit, rest /= 3)
      prompts.push_back(int32_t(rest % 3));
  Session session(open(artifact(model, {"--precision=f32"})), 1, inputs);
  std::vector<int32_t> sorted(prompts);
  for (auto row = sorted.begin(); row != sorted.end(); row += digits)
    std::sort(row, row + digits);
  std::vector<int32_t> next = mostLikely(session.call("prefill", prompts), inputs);
  int64_t wrong = 0;
  for (int64_t digit = 0; digit < digits; ++digit) {
    if (digit > 0)
      next = mostLikely(session.call("decode", next), inputs);
    for (int64_t input = 0; input < inputs; ++input)
      wrong += next[input] != sorted[input * digits + digit];
  }
  EXPECT_EQ(wrong, 0);
}
