//===- SamplerTest.cpp - Drawing tokens ---------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Sampler.h"
#include "test/unit/text/Support.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

using namespace xfm;
using text::Candidate;
using text::Random;
using text::Sampler;
using text::SamplingOptions;

/// No filter, temperature 1.
static SamplingOptions plain(uint64_t seed = 1) {
  SamplingOptions options;
  options.temperature = 1;
  options.topK = 0;
  options.topP = 1;
  options.minP = 0;
  options.seed = seed;
  return options;
}

static const std::vector<float> logits = {0.5f, 2.0f, -1.0f, 1.0f, 0.0f, 1.5f, -3.0f, 0.25f};

static std::vector<int32_t> idsOf(const SamplingOptions &options, const std::vector<int32_t> &history = {}) {
  std::vector<int32_t> ids;
  for (const Candidate &candidate : Sampler(options).distribution(logits.data(), logits.size(), history))
    ids.push_back(candidate.id);
  return ids;
}

/// Pearson's chi-square of `draws` samples against probabilities that the test computes.
static double chiSquare(const SamplingOptions &options, const std::map<int32_t, double> &expected,
                        int draws) {
  Sampler sampler(options);
  std::map<int32_t, int> counts;
  for (int i = 0; i < draws; ++i)
    ++counts[sampler.sample(logits.data(), logits.size(), {})];
  double sum = 0;
  for (auto [id, probability] : expected)
    sum += std::pow(counts[id] - draws * probability, 2) / (draws * probability);
  int inside = 0;
  for (auto [id, count] : counts)
    inside += expected.count(id) ? count : 0;
  EXPECT_EQ(inside, draws) << "a token was drawn that cannot occur";
  return sum;
}

static std::map<int32_t, double> softmaxOf(const std::vector<int32_t> &ids, double temperature) {
  std::map<int32_t, double> probabilities;
  double sum = 0;
  for (int32_t id : ids)
    sum += probabilities[id] = std::exp(logits[size_t(id)] / temperature);
  for (auto &[id, probability] : probabilities)
    probability /= sum;
  return probabilities;
}

// 7 degrees of freedom: 24.3 is exceeded once in a thousand seeds.
TEST(Sampler, DrawsBySoftmax) {
  std::vector<int32_t> all(logits.size());
  std::iota(all.begin(), all.end(), 0);
  for (double temperature : {0.5, 1.0, 2.0}) {
    SamplingOptions options = plain(17);
    options.temperature = temperature;
    EXPECT_LT(chiSquare(options, softmaxOf(all, temperature), 40000), 24.3) << temperature;
  }
}

// The test can tell distributions apart: temperature 1 against 1.1 is far outside.
TEST(Sampler, ChiSquareHasPower) {
  std::vector<int32_t> all(logits.size());
  std::iota(all.begin(), all.end(), 0);
  EXPECT_GT(chiSquare(plain(17), softmaxOf(all, 1.1), 40000), 50);
}

TEST(Sampler, DrawsFromTopKOnly) {
  SamplingOptions options = plain(3);
  options.topK = 3;
  options.temperature = 0.7;
  EXPECT_LT(chiSquare(options, softmaxOf({1, 5, 3}, 0.7), 40000), 13.8); // 2 degrees of freedom
}

TEST(Sampler, TopK) {
  SamplingOptions options = plain();
  options.topK = 3;
  EXPECT_EQ(idsOf(options), (std::vector<int32_t>{1, 5, 3}));
  options.topK = 1000;
  EXPECT_EQ(idsOf(options).size(), logits.size());
}

TEST(Sampler, TopPTakesTheFewest) {
  std::map<int32_t, double> probabilities = softmaxOf({0, 1, 2, 3, 4, 5, 6, 7}, 1);
  SamplingOptions options = plain();
  options.topP = probabilities[1] + probabilities[5] - 1e-6;
  EXPECT_EQ(idsOf(options), (std::vector<int32_t>{1, 5}));
  options.topP = probabilities[1] + probabilities[5] + 1e-6;
  EXPECT_EQ(idsOf(options), (std::vector<int32_t>{1, 5, 3}));
  options.topP = 1e-9;
  EXPECT_EQ(idsOf(options), (std::vector<int32_t>{1}));
}

TEST(Sampler, MinP) {
  SamplingOptions options = plain();
  options.minP = std::exp(1.0 - 2.0) - 1e-6; // keeps down to the logit 1 below the largest
  EXPECT_EQ(idsOf(options), (std::vector<int32_t>{1, 5, 3}));
  options.minP = 1;
  EXPECT_EQ(idsOf(options), (std::vector<int32_t>{1}));
}

// Temperature comes last: it changes what top-p and min-p keep not at all.
TEST(Sampler, FiltersComeBeforeTemperature) {
  SamplingOptions options = plain();
  options.topP = 0.7;
  options.minP = 0.2;
  std::vector<int32_t> kept = idsOf(options);
  options.temperature = 5;
  EXPECT_EQ(idsOf(options), kept);
}

// Top-k comes before top-p: the probabilities that top-p adds up are those among the k.
TEST(Sampler, TopKComesBeforeTopP) {
  SamplingOptions options = plain();
  options.topK = 2;
  std::map<int32_t, double> among = softmaxOf({1, 5}, 1);
  options.topP = among[1] - 1e-6;
  EXPECT_EQ(idsOf(options), (std::vector<int32_t>{1}));
}

TEST(Sampler, RepetitionPenalty) {
  SamplingOptions options = plain();
  options.repetitionPenalty = 2;
  auto logitOf = [&](int32_t id) {
    for (const Candidate &candidate :
         Sampler(options).distribution(logits.data(), logits.size(), {1, 1, 2, -5, 99}))
      if (candidate.id == id)
        return candidate.logit;
    return std::numeric_limits<double>::quiet_NaN();
  };
  EXPECT_EQ(logitOf(1), 1.0);  // positive: divided, once however often it occurred
  EXPECT_EQ(logitOf(2), -2.0); // negative: multiplied
  EXPECT_EQ(logitOf(5), 1.5);
  options.temperature = 0;
  EXPECT_EQ(idsOf(options, {1}), (std::vector<int32_t>{5}));
}

TEST(Sampler, GreedyTakesTheFirstOfEquals) {
  SamplingOptions options;
  options.temperature = 0;
  std::vector<float> equal = {1, 3, 3, 2};
  EXPECT_EQ(Sampler(options).sample(equal.data(), equal.size(), {}), 1);
}

TEST(Sampler, ProbabilitiesSumToOne) {
  SamplingOptions options;
  std::vector<float> extreme = {-1e30f, 3e38f, 1e20f, -std::numeric_limits<float>::infinity()};
  double sum = 0;
  for (const Candidate &candidate : Sampler(options).distribution(extreme.data(), extreme.size(), {}))
    sum += candidate.probability;
  EXPECT_DOUBLE_EQ(sum, 1);
  EXPECT_EQ(Sampler(plain()).sample(extreme.data(), extreme.size(), {}), 1);
}

TEST(Sampler, RefusesWhatIsNoNumber) {
  float infinity = std::numeric_limits<float>::infinity();
  auto error = [](std::vector<float> values) {
    return test::errorOf([&] { Sampler(SamplingOptions()).sample(values.data(), values.size(), {}); });
  };
  EXPECT_EQ(error({0, NAN}), "the logit of token 1 is NaN; the model's weights or its code are damaged");
  EXPECT_EQ(error({infinity, 0}),
            "the logit of token 0 is infinite; the model's weights or its code are damaged");
  EXPECT_EQ(error({-infinity, -infinity}),
            "every logit is -infinity; the model's weights or its code are damaged");
  EXPECT_EQ(error({}), "there are no logits");
  SamplingOptions greedy;
  greedy.temperature = 0;
  std::vector<float> values = {1, NAN};
  EXPECT_NE(test::errorOf([&] { Sampler(greedy).sample(values.data(), 2, {}); }), "no error");
}

TEST(Sampler, RefusesOptionsOutOfRange) {
  auto error = [](auto change) {
    SamplingOptions options;
    change(options);
    return test::errorOf([&] { Sampler sampler(options); });
  };
  EXPECT_EQ(error([](SamplingOptions &o) { o.temperature = -1; }),
            "expected temperature to be 0 or more, but got -1.000000");
  EXPECT_NE(error([](SamplingOptions &o) { o.temperature = NAN; }), "no error");
  EXPECT_NE(error([](SamplingOptions &o) { o.topK = -1; }), "no error");
  EXPECT_NE(error([](SamplingOptions &o) { o.topP = 0; }), "no error");
  EXPECT_NE(error([](SamplingOptions &o) { o.minP = 1.5; }), "no error");
  EXPECT_NE(error([](SamplingOptions &o) { o.repetitionPenalty = 0; }), "no error");
}

TEST(Random, IsTheSameEverywhere) {
  // From the reference code: splitmix64 of 0 begins e220a8397b1dcdaf, and xoshiro256** multiplies its second
  // word.
  Random random(0);
  EXPECT_EQ(random.next(), 0x99EC5F36CB75F2B4u);
  EXPECT_EQ(random.next(), 0xBF6E1F784956452Au);
}

TEST(Random, UniformStaysBelowOne) {
  Random random(5);
  double sum = 0, most = 0;
  for (int i = 0; i < 100000; ++i) {
    double value = random.uniform();
    EXPECT_GE(value, 0);
    sum += value;
    most = std::max(most, value);
  }
  EXPECT_LT(most, 1);
  EXPECT_NEAR(sum / 100000, 0.5, 0.005);
}

TEST(Sampler, SeedsDecide) {
  auto draw = [](uint64_t seed) {
    Sampler sampler(plain(seed));
    std::vector<int32_t> ids;
    for (int i = 0; i < 50; ++i)
      ids.push_back(sampler.sample(logits.data(), logits.size(), {}));
    return ids;
  };
  EXPECT_EQ(draw(9), draw(9));
  EXPECT_NE(draw(9), draw(10));
}
