//===- CudaSamplingTest.cpp - tokens that a device draws ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Steps whose kernels are functions of this file: the logits after token t are largest at t + 1, and the draw
// takes the largest.
//
//===----------------------------------------------------------------------===//

#include "CudaTest.h"
#include "runtime/xfm_abi.h"

#include <cmath>
#include <limits>

using namespace xfm::test;

namespace {
constexpr int64_t kTokens = 4;

class CudaSampling : public CudaTest {
protected:
  CudaSampling() {
    seen.others = [this](const std::string &name, Words w, size_t bytes) {
      if (name == "step")
        return runStep(w), true;
      if (name != "sample")
        return false;
      EXPECT_EQ(bytes, 88u);
      runSample(w);
      return true;
    };
  }
  void runStep(Words w) {
    auto tokens = w.at<int32_t>(0), length = w.at<int32_t>(2);
    for (int64_t b = 0, B = w.number(4), C = w.number(5); b < B; ++b) {
      ASSERT_LT(length[b], C);
      w.at<float>(1)[b * C + length[b]++] = static_cast<float>(tokens[b]);
      for (int64_t i = 0; i < kTokens; ++i)
        w.at<float>(3)[b * kTokens + i] = i == (tokens[b] + 1) % kTokens ? 2 : wrongLogit;
    }
  }
  void runSample(Words w) {
    for (size_t i : {4, 6, 8, 10})
      EXPECT_EQ(w.words[i], w.words[1]);
    int64_t rows = w.number(1);
    options = *w.at<xfm_sampling>(2);
    random.assign(w.at<uint64_t>(5), w.at<uint64_t>(5) + 4 * rows);
    if (options.penalty != 1)
      marks.assign(w.at<int8_t>(3), w.at<int8_t>(3) + rows * kTokens);
    for (int64_t b = 0; b < rows; ++b) {
      const float *logits = w.at<float>(0) + b * kTokens;
      int32_t best = 0, status = XFM_SAMPLE_DRAWN;
      for (int32_t i = 0; i < kTokens; ++i) {
        best = logits[i] > logits[best] ? i : best;
        if (std::isnan(logits[i]))
          best = i, status = XFM_SAMPLE_NAN;
      }
      if (status == XFM_SAMPLE_DRAWN && logits[best] == std::numeric_limits<float>::infinity())
        status = XFM_SAMPLE_INFINITE;
      if (status == XFM_SAMPLE_DRAWN && std::isinf(logits[best]))
        status = XFM_SAMPLE_NOTHING;
      w.at<int32_t>(7)[b] = best;
      w.at<int32_t>(9)[b] = status;
    }
  }

  xfm_sampling_options usual(int64_t count = 0) {
    return {sizeof(xfm_sampling_options), 0.5, 3, 0.9, 0.25, 1, 7, count};
  }
  /// A step on tokens 0, 1, 2 …, one for each row.
  xfm_status step(int64_t batch = 1) {
    std::vector<int32_t> tokens;
    for (int32_t row = 0; row < batch; ++row)
      tokens.push_back(row);
    xfm_tensor input = tensorOf(tokens, XFM_I32, {batch, 1});
    return xfm_session_call(session, "step", &input, 1);
  }
  xfm_status start(const xfm_sampling_options &options) {
    return xfm_sampling_start(session, &options, nullptr, 0);
  }
  void begin(const xfm_sampling_options &options) {
    ASSERT_EQ(step(), XFM_OK) << xfm_last_error();
    ASSERT_EQ(start(options), XFM_OK) << xfm_last_error();
  }
  int32_t next() {
    int32_t token = -1;
    EXPECT_EQ(xfm_sampling_next(session, &token), XFM_OK) << xfm_last_error();
    return token;
  }

  float wrongLogit = 1; ///< of every token but one
  xfm_sampling options = {};
  std::vector<uint64_t> random;
  std::vector<int8_t> marks;
};
} // namespace

TEST_F(CudaSampling, EveryTokenIsTheNextStepsInput) {
  constexpr int64_t kRows = 3;
  open(kRows);
  EXPECT_EQ(xfm_model_can_sample(model), 1);
  ASSERT_EQ(step(kRows), XFM_OK) << xfm_last_error();
  ASSERT_EQ(start(usual()), XFM_OK) << xfm_last_error();
  for (int32_t i = 1; i < 10; ++i) {
    int32_t tokens[kRows] = {-1, -1, -1};
    ASSERT_EQ(xfm_sampling_next(session, tokens), XFM_OK) << xfm_last_error();
    for (int32_t row = 0; row < kRows; ++row)
      EXPECT_EQ(tokens[row], (row + i) % kTokens);
    // A step more is under way, which does not count.
    EXPECT_EQ(xfm_session_length(session), i);
    EXPECT_EQ(counts()->launches, 2 + 2 * i);
  }
  // The first step is launched, the second recorded, and replayed from then on.
  EXPECT_EQ(counts()->graphs, 1);
  EXPECT_EQ(counts()->graphLaunches, 8);
  ASSERT_EQ(xfm_sampling_stop(session), XFM_OK) << xfm_last_error();
  EXPECT_EQ(xfm_session_length(session), 9);
  // What ran ahead is taken back: the module counts from there.
  ASSERT_EQ(step(kRows), XFM_OK) << xfm_last_error();
  EXPECT_EQ(xfm_session_length(session), 10);
}

TEST_F(CudaSampling, NoStepIsRunForNothing) {
  open();
  begin(usual(/*count=*/3));
  for (int32_t i = 1; i <= 3; ++i)
    EXPECT_EQ(next(), i);
  EXPECT_EQ(counts()->launches, 1 + 1 + 2 * 2);
  int32_t token = -1;
  expectFailure(xfm_sampling_next(session, &token), XFM_INVALID_ARGUMENT,
                "all 3 tokens that were wanted have been drawn");
  EXPECT_EQ(xfm_session_length(session), 3);
}

TEST_F(CudaSampling, WorksWithoutGraphs) {
  xfm_open_options open = {};
  open.no_graphs = 1;
  ASSERT_EQ(tryOpen(open), "");
  session = createSession(1, 20);
  begin(usual());
  for (int32_t i = 1; i < 8; ++i)
    EXPECT_EQ(next(), i % kTokens);
  EXPECT_EQ(counts()->graphs, 0);
}

TEST_F(CudaSampling, TheKernelGetsTheOptions) {
  open(2);
  ASSERT_EQ(step(2), XFM_OK);
  xfm_sampling_options given = usual();
  given.repetition_penalty = 1.5;
  const int32_t history[] = {0, 3, -1, 1, -5, 99}; // of two rows
  ASSERT_EQ(xfm_sampling_start(session, &given, history, 3), XFM_OK) << xfm_last_error();
  EXPECT_EQ(options.top_k, 3);
  EXPECT_EQ(options.top_p, 0.9);
  EXPECT_EQ(options.min_logit, std::log(0.25));
  EXPECT_DOUBLE_EQ(options.scale, 2 * std::log2(std::exp(1.0)));
  EXPECT_EQ(options.penalty, 1.5);
  EXPECT_EQ(marks, (std::vector<int8_t>{1, 0, 0, 1, 0, 1, 0, 0}));
  // The states of SplitMix64 from the seeds 7 and 8 on (the reference implementation of xoshiro256**).
  std::vector<uint64_t> both = random;
  ASSERT_EQ(both.size(), 8u);
  given.seed = 8;
  ASSERT_EQ(step(2), XFM_OK);
  ASSERT_EQ(xfm_sampling_start(session, &given, nullptr, 0), XFM_OK) << xfm_last_error();
  EXPECT_TRUE(std::equal(both.begin() + 4, both.end(), random.begin()));
  EXPECT_FALSE(std::equal(both.begin(), both.begin() + 4, random.begin()));
  EXPECT_EQ(marks, std::vector<int8_t>(8)); // forgotten

  // What is off, and what f32 does not hold.
  given = {sizeof given, 0, 0, 1, 0, 1, 0, 0};
  ASSERT_EQ(step(2), XFM_OK);
  ASSERT_EQ(start(given), XFM_OK);
  EXPECT_EQ(options.top_k, 4);
  EXPECT_EQ(options.scale, 0);
  EXPECT_EQ(options.min_logit, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(random[0], 0xe220a8397b1dcdafu); // SplitMix64 of seed 0
  for (auto [temperature, scale] : {std::pair{1e-300, double(std::numeric_limits<float>::max())},
                                    std::pair{1e300, double(std::numeric_limits<float>::min())}}) {
    given.temperature = temperature;
    ASSERT_EQ(step(2), XFM_OK);
    ASSERT_EQ(start(given), XFM_OK);
    EXPECT_EQ(options.scale, scale);
  }
  // An older caller knows no more than the temperature.
  given = usual();
  given.size = offsetof(xfm_sampling_options, top_k);
  ASSERT_EQ(step(2), XFM_OK);
  ASSERT_EQ(start(given), XFM_OK);
  EXPECT_EQ(options.top_k, 4);
  EXPECT_EQ(options.top_p, 1);
  EXPECT_EQ(options.penalty, 1);
}

TEST_F(CudaSampling, OptionsOutOfRange) {
  open();
  ASSERT_EQ(step(), XFM_OK);
  auto refuse = [&](auto change, const char *message) {
    xfm_sampling_options options = usual();
    change(options);
    expectFailure(start(options), XFM_OUT_OF_RANGE, message);
  };
  double nan = std::nan("");
  refuse([](auto &o) { o.temperature = -0.1; }, "expected temperature to be 0 or more, but got -0.1");
  refuse([&](auto &o) { o.temperature = nan; }, "expected temperature to be 0 or more, but got nan");
  refuse([](auto &o) { o.top_k = -1; }, "expected top_k to be 0 or more, but got -1");
  refuse([](auto &o) { o.top_p = 0; }, "expected top_p to be above 0 and at most 1, but got 0");
  refuse([&](auto &o) { o.top_p = nan; }, "expected top_p to be above 0 and at most 1");
  refuse([](auto &o) { o.min_p = 1.5; }, "expected min_p to be from 0 to 1, but got 1.5");
  refuse([](auto &o) { o.repetition_penalty = 0; }, "expected repetition_penalty to be above 0, but got 0");
  refuse([](auto &o) { o.count = -1; }, "expected count to be 0 or more, but got -1");
  // Refused options leave the logits where they are.
  ASSERT_EQ(start(usual()), XFM_OK) << xfm_last_error();
  EXPECT_EQ(next(), 1);
}

TEST_F(CudaSampling, WhatIsMissing) {
  open();
  int32_t token = -1;
  expectFailure(xfm_sampling_next(session, &token), XFM_INVALID_ARGUMENT, "no tokens are being drawn");
  EXPECT_EQ(xfm_sampling_stop(session), XFM_OK);
  const char *noLogits = "the last call left no output 'logits', f32 [1, 4], to draw from";
  expectFailure(start(usual()), XFM_INVALID_ARGUMENT, noLogits);
  ASSERT_EQ(prefill({1}), XFM_OK);
  expectFailure(start(usual()), XFM_INVALID_ARGUMENT, noLogits);
  begin(usual());
  expectFailure(start(usual()), XFM_INVALID_ARGUMENT, noLogits); // those of the call are gone
  expectFailure(xfm_sampling_next(session, &token), XFM_INVALID_ARGUMENT, "no tokens are being drawn");
  // A call and a reset end it.
  begin(usual());
  ASSERT_EQ(step(), XFM_OK);
  expectFailure(xfm_sampling_next(session, &token), XFM_INVALID_ARGUMENT, "no tokens are being drawn");
  begin(usual());
  xfm_session_reset(session);
  expectFailure(xfm_sampling_next(session, &token), XFM_INVALID_ARGUMENT, "no tokens are being drawn");
  ASSERT_EQ(step(), XFM_OK) << xfm_last_error();
  EXPECT_EQ(xfm_session_length(session), 1);

  xfm_sampling_options options = usual();
  expectFailure(xfm_sampling_start(session, &options, nullptr, 2), XFM_INVALID_ARGUMENT,
                "history is null, but of 2 tokens");
  expectFailure(xfm_sampling_start(session, &options, &token, -1), XFM_INVALID_ARGUMENT, "history is of -1");
  expectFailure(xfm_sampling_start(nullptr, &options, nullptr, 0), XFM_INVALID_ARGUMENT, "session is null");
  expectFailure(xfm_sampling_start(session, nullptr, nullptr, 0), XFM_INVALID_ARGUMENT, "options is null");
  expectFailure(xfm_sampling_next(nullptr, &token), XFM_INVALID_ARGUMENT, "session is null");
  expectFailure(xfm_sampling_next(session, nullptr), XFM_INVALID_ARGUMENT, "out_tokens is null");
  expectFailure(xfm_sampling_stop(nullptr), XFM_INVALID_ARGUMENT, "session is null");
  EXPECT_EQ(xfm_model_can_sample(nullptr), 0);
}

TEST_F(CudaSampling, ArtifactsWithoutTheKernel) {
  artifact.manifest.erase("sampling");
  open();
  EXPECT_EQ(xfm_model_can_sample(model), 0);
  ASSERT_EQ(step(), XFM_OK);
  expectFailure(start(usual()), XFM_INVALID_ARGUMENT,
                "tokens are not drawn on its device: draw them from the logits");
}

TEST_F(CudaSampling, EndsWhereTheCacheIsFull) {
  open(1, /*context=*/4);
  begin(usual());
  for (int32_t i = 1; i <= 4; ++i)
    EXPECT_EQ(next(), i % kTokens);
  EXPECT_EQ(xfm_session_length(session), 4);
  int32_t token = -1;
  for (int i = 0; i < 2; ++i)
    expectFailure(xfm_sampling_next(session, &token), XFM_CONTEXT_FULL,
                  "the cache holds 4 positions and is full: reset the session or create one with a larger");
  ASSERT_EQ(xfm_sampling_stop(session), XFM_OK) << xfm_last_error();
  EXPECT_EQ(xfm_session_length(session), 4);
}

TEST_F(CudaSampling, LogitsThatAreNone) {
  open();
  const float infinity = std::numeric_limits<float>::infinity();
  for (auto [value, message] :
       {std::pair{std::nanf(""), "the logit of token 2 of row 0 is NaN; the model's weights"},
        std::pair{infinity, "the logit of token 0 of row 0 is infinite; the model's"}}) {
    wrongLogit = 1;
    xfm_session_reset(session);
    begin(usual());
    EXPECT_EQ(next(), 1);
    // The step on token 1 is under way with good logits; that on token 2 is the first with others.
    wrongLogit = value;
    EXPECT_EQ(next(), 2);
    int32_t token = -1;
    expectFailure(xfm_sampling_next(session, &token), XFM_INTERNAL, message);
    expectFailure(xfm_sampling_next(session, &token), XFM_INVALID_ARGUMENT, "no tokens are being drawn");
    // The session is as it was at the last token, and goes on.
    EXPECT_EQ(xfm_session_length(session), 2);
    wrongLogit = 1;
    ASSERT_EQ(step(), XFM_OK) << xfm_last_error();
    EXPECT_EQ(xfm_session_length(session), 3);
  }
}

//===----------------------------------------------------------------------===//
// Faults of the device
//===----------------------------------------------------------------------===//

TEST_F(CudaSampling, LaunchesThatFail) {
  // The draw from the call's logits, the first step, its draw, and a step that is recorded.
  for (int at : {1, 2, 3, 4, 5}) {
    close();
    open();
    ASSERT_EQ(step(), XFM_OK);
    faults()->launchFailureAt = at;
    xfm_status status = start(usual());
    int32_t token = -1;
    for (int i = 0; i < 3 && status == XFM_OK; ++i)
      status = xfm_sampling_next(session, &token);
    bool isStep = at % 2 == 0;
    expectFailure(status, XFM_DEVICE_ERROR,
                  std::string("kernel '") + (isStep ? "step" : "sample") + "' cannot be launched on cuda:0");
    expectFailure(step(), XFM_DEVICE_ERROR, "cannot be launched"); // the session has ended
    expectFailure(start(usual()), XFM_DEVICE_ERROR, "cannot be launched");
    expectFailure(xfm_sampling_next(session, &token), XFM_DEVICE_ERROR, "cannot be launched");
    faults()->launchFailureAt = 0;
  }
}

TEST_F(CudaSampling, ReadsThatFail) {
  for (int at : {1, 2, 3}) {
    close();
    open();
    ASSERT_EQ(step(), XFM_OK);
    faults()->readFailureAt = at;
    xfm_status status = start(usual());
    int32_t token = -1;
    for (int i = 0; i < 3 && status == XFM_OK; ++i)
      status = xfm_sampling_next(session, &token);
    expectFailure(status, XFM_DEVICE_ERROR, "reading back 8 bytes failed: CUDA_ERROR_LAUNCH_FAILED");
  }
}

TEST_F(CudaSampling, ALostDeviceEndsTheSession) {
  open();
  begin(usual());
  EXPECT_EQ(next(), 1);
  faults()->loseAtLaunch = 1;
  int32_t token = -1;
  expectFailure(xfm_sampling_next(session, &token), XFM_DEVICE_ERROR,
                "a kernel failed: CUDA_ERROR_LAUNCH_FAILED");
  int launches = counts()->launches;
  expectFailure(xfm_sampling_next(session, &token), XFM_DEVICE_ERROR, "a kernel failed");
  expectFailure(xfm_sampling_stop(session), XFM_DEVICE_ERROR, "a kernel failed");
  expectFailure(step(), XFM_DEVICE_ERROR, "a kernel failed");
  EXPECT_EQ(counts()->launches, launches);
  EXPECT_EQ(xfm_session_length(session), 1);
}

TEST_F(CudaSampling, GraphThatCannotBeLaunched) {
  open();
  begin(usual());
  EXPECT_EQ(next(), 1);
  faults()->graphFailureAt = 1;
  int32_t token = -1;
  expectFailure(xfm_sampling_next(session, &token), XFM_DEVICE_ERROR,
                "'step': the captured call cannot be launched");
}

TEST_F(CudaSampling, EveryAllocationMayFail) {
  for (bool isPinned : {false, true}) {
    std::vector<std::string> messages;
    for (int at = 1;; ++at) {
      close();
      open();
      ASSERT_EQ(step(), XFM_OK);
      (isPinned ? faults()->pinnedMemoryAt : faults()->outOfMemoryAt) = at;
      xfm_sampling_options options = usual();
      options.repetition_penalty = 2;
      if (start(options) == XFM_OK)
        break;
      messages.push_back(xfm_last_error());
      expectFailure(start(options), XFM_OK, ""); // the logits are still there
      EXPECT_EQ(next(), 1);
      EXPECT_EQ(next(), 2);
    }
    faults()->pinnedMemoryAt = faults()->outOfMemoryAt = 0;
    ASSERT_EQ(messages.size(), 2u);
    expectMessage(messages[0],
                  isPinned ? "no pinned memory for what is read back" : "for drawing tokens: 136 bytes");
    expectMessage(messages[1], isPinned ? "no pinned memory for what is read back"
                                        : "for the tokens that occurred: 4 bytes");
  }
}
