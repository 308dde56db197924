//===- GPUSampleTest.cpp - tokens drawn on the device -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The kernel `sample` in the emulator against runtime/text/Sampler, which computes in f64. A token may be
// another one only where the random number, or the border of a filter, is as near to the next token as
// rounding in f32 can move it; the test looks how near it is.
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/SampledRows.h"

#include "llvm/ADT/STLExtras.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;
using xfm::text::Candidate;
using xfm::text::Random;
using xfm::text::Sampler;
using xfm::text::SamplingOptions;

namespace {
constexpr float kInfinity = std::numeric_limits<float>::infinity();
/// How far rounding moves a sum of probabilities. What the weight e^-x of a token is computed from, x, is
/// rounded three times in f32, so the weight is off by 3x 2^-24 of itself. All tokens x below the largest
/// hold N e^-x of it where there are N, which is little unless x is below ln(N), about 9 here; their share s
/// moves by s (1 - s) times that, at most 3 * 9 / 4 * 2^-24.
constexpr double kRounding = 0x1p-20;

class Kernel {
public:
  explicit Kernel(int64_t vocabulary) : module(sampleModule(context, vocabulary)) {
    llvm::Expected<std::unique_ptr<emulator::EmulatedKernel>> created =
        emulator::EmulatedKernel::create(*module->getOps<func::FuncOp>().begin());
    if (created)
      kernel = std::move(*created);
    else
      ADD_FAILURE() << llvm::toString(created.takeError());
  }
  const emulator::EmulatedKernel &operator*() const { return *kernel; }

private:
  MLIRContext context{MLIRContext::Threading::DISABLED};
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<emulator::EmulatedKernel> kernel;
};

/// Whether the host may draw `token` with a number that is within rounding of `uniform`.
bool isWithinRounding(const SamplingOptions &options, ArrayRef<float> logits,
                      const std::vector<int32_t> &history, double uniform, int32_t token) {
  for (int p : {0, -1, 1})
    for (int m : {0, -1, 1}) {
      SamplingOptions near = options;
      if (options.topP < 1)
        near.topP = std::min(1.0, std::max(1e-300, options.topP + p * kRounding));
      near.minP = std::min(1.0, options.minP * (1 + m * 2 * kRounding));
      double from = 0;
      for (const Candidate &candidate : Sampler(near).distribution(logits.data(), logits.size(), history)) {
        double to = from + candidate.probability;
        if (candidate.id == token)
          return from - kRounding <= uniform && uniform <= to + kRounding;
        from = to;
      }
    }
  return false;
}

std::vector<float> randomLogits(std::mt19937 &random, int64_t count) {
  std::vector<float> logits(static_cast<size_t>(count));
  int kind = static_cast<int>(random() % 5);
  std::normal_distribution<float> normal(0, kind == 0 ? 0.3f : 3);
  for (float &logit : logits) {
    logit = normal(random);
    if (kind == 1) // many are equal
      logit = std::round(logit);
    if (kind == 2 && random() % 3 == 0)
      logit = -kInfinity;
    if (kind == 3)
      logit = random() % 2 ? 0.0f : -0.0f;
  }
  logits[random() % logits.size()] = 1;
  return logits;
}

SamplingOptions randomOptions(std::mt19937 &random, int64_t vocabulary) {
  auto oneOf = [&](std::vector<double> values) { return values[random() % values.size()]; };
  SamplingOptions options;
  options.temperature = oneOf({1e-3, 0.3, 0.8, 1, 2, 100});
  options.topK = static_cast<int64_t>(
      oneOf({0, 0, 1, 2, 40, double(vocabulary) - 1, double(vocabulary), double(vocabulary) + 7}));
  options.topP = oneOf({1, 1, 1e-9, 0.1, 0.5, 0.95, 0.9999});
  options.minP = oneOf({0, 0, 1e-4, 0.05, 0.5, 1});
  options.repetitionPenalty = oneOf({1, 1, 1.3, 0.7});
  options.seed = random();
  return options;
}

std::string describe(const SamplingOptions &options) {
  return "temperature " + std::to_string(options.temperature) + " top-k " + std::to_string(options.topK) +
         " top-p " + std::to_string(options.topP) + " min-p " + std::to_string(options.minP) + " penalty " +
         std::to_string(options.repetitionPenalty) + " seed " + std::to_string(options.seed);
}

TEST(GPUSample, DrawsWhatTheHostDoes) {
  std::mt19937 random(11);
  int draws = 0, others = 0;
  for (int64_t vocabulary : {1, 2, 31, 33, 511, 512, 513, 1500, 2048, 2049, 5001}) {
    Kernel kernel(vocabulary);
    for (int i = 0; i < 30; ++i, ++draws) {
      SampledRows rows(1, vocabulary);
      SamplingOptions options = randomOptions(random, vocabulary);
      rows.logits = randomLogits(random, vocabulary);
      std::vector<int32_t> history;
      for (int n = 0; n < 5; ++n) {
        history.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocabulary)));
        rows.seen[static_cast<size_t>(history.back())] = 1;
      }
      rows.setOptions(options);
      ASSERT_EQ(rows.launch(*kernel), "") << vocabulary << ": " << describe(options);
      ASSERT_EQ(rows.status[0], XFM_SAMPLE_DRAWN);
      int32_t expected = Sampler(options).sample(rows.logits.data(), rows.logits.size(), history);
      if (rows.tokens[0] == expected)
        continue;
      ++others;
      EXPECT_TRUE(
          isWithinRounding(options, rows.logits, history, Random(options.seed).uniform(), rows.tokens[0]))
          << vocabulary << ": " << describe(options) << ": " << rows.tokens[0] << ", not " << expected;
    }
  }
  std::printf("  %d draws, %d of them others by rounding\n", draws, others);
  EXPECT_LE(others, draws / 100);
}

// The numbers of the row's own generator, one for each token, as the host takes them.
TEST(GPUSample, RowsDrawOnWithNumbersOfTheirOwn) {
  constexpr int64_t kRows = 3, kTokens = 300;
  Kernel kernel(kTokens);
  SamplingOptions options;
  options.repetitionPenalty = 1.1;
  options.topP = 1;
  options.topK = 0;
  options.seed = 42;
  SampledRows rows(kRows, kTokens);
  rows.setOptions(options);
  std::vector<Sampler> samplers;
  for (uint64_t row = 0; row < kRows; ++row) {
    SamplingOptions own = options;
    own.seed += row;
    samplers.emplace_back(own);
  }
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 1);
  std::vector<std::vector<int32_t>> histories(kRows);
  for (int step = 0; step < 20; ++step) {
    for (float &logit : rows.logits)
      logit = normal(random);
    ASSERT_EQ(rows.launch(*kernel), "");
    for (size_t row = 0; row < kRows; ++row) {
      ASSERT_EQ(rows.tokens[row], samplers[row].sample(&rows.logits[row * kTokens], kTokens, histories[row]))
          << "step " << step << ", row " << row;
      histories[row].push_back(rows.tokens[row]);
    }
  }
}

TEST(GPUSample, TemperatureZeroIsTheFirstOfTheLargest) {
  std::mt19937 random(3);
  for (int64_t vocabulary : {1, 7, 512, 4999}) {
    Kernel kernel(vocabulary);
    for (int i = 0; i < 10; ++i) {
      SampledRows rows(2, vocabulary);
      SamplingOptions options;
      options.temperature = 0;
      options.topK = static_cast<int64_t>(random() % 3);
      rows.setOptions(options);
      std::vector<uint64_t> state = rows.random;
      for (size_t row = 0; row < 2; ++row)
        llvm::copy(randomLogits(random, vocabulary),
                   rows.logits.begin() + static_cast<int64_t>(row) * vocabulary);
      ASSERT_EQ(rows.launch(*kernel), "");
      for (size_t row = 0; row < 2; ++row) {
        auto *begin = rows.logits.data() + static_cast<int64_t>(row) * vocabulary;
        EXPECT_EQ(rows.tokens[row], std::max_element(begin, begin + vocabulary) - begin);
      }
      EXPECT_EQ(rows.random, state); // no number is taken
    }
  }
}

// The host throws; the kernel names the first of them and its kind.
TEST(GPUSample, TellsLogitsThatAreNone) {
  constexpr int64_t kTokens = 1000;
  Kernel kernel(kTokens);
  for (double temperature : {0.0, 0.8}) {
    SampledRows rows(4, kTokens);
    SamplingOptions options;
    options.temperature = temperature;
    rows.setOptions(options);
    auto at = [&](int64_t row, int64_t token) -> float & {
      return rows.logits[static_cast<size_t>(row * kTokens + token)];
    };
    at(0, 700) = std::nanf("");
    at(0, 999) = kInfinity;
    at(1, 0) = kInfinity;
    at(1, 512) = -std::nanf("");
    std::fill_n(&at(2, 0), kTokens, -kInfinity);
    at(3, 5) = 9;
    ASSERT_EQ(rows.launch(*kernel), "");
    EXPECT_EQ(rows.status, (std::vector<int32_t>{XFM_SAMPLE_NAN, XFM_SAMPLE_INFINITE, XFM_SAMPLE_NOTHING,
                                                 XFM_SAMPLE_DRAWN}));
    EXPECT_EQ(rows.tokens[0], 700);
    EXPECT_EQ(rows.tokens[1], 0);
    if (temperature == 0)
      EXPECT_EQ(rows.tokens[3], 5);
  }
}

// What is drawn counts as seen, where that matters.
TEST(GPUSample, MarksWhatItDrew) {
  Kernel kernel(50);
  for (double penalty : {1.0, 1.5}) {
    SampledRows rows(1, 50);
    SamplingOptions options;
    options.temperature = 0;
    options.repetitionPenalty = penalty;
    rows.setOptions(options);
    rows.logits[7] = 2;
    rows.logits[9] = 1.9f;
    ASSERT_EQ(rows.launch(*kernel), "");
    EXPECT_EQ(rows.tokens[0], 7);
    EXPECT_EQ(rows.seen[7], penalty == 1 ? 0 : 1);
    EXPECT_EQ(std::count(rows.seen.begin(), rows.seen.end(), 1), penalty == 1 ? 0 : 1);
    ASSERT_EQ(rows.launch(*kernel), "");
    EXPECT_EQ(rows.tokens[0], penalty == 1 ? 7 : 9);
  }
}

} // namespace
