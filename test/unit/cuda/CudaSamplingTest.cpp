//===- CudaSamplingTest.cpp - text whose tokens the device draws --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Tokens drawn on the device, by sessions and by tfrun, against those that the host draws from the same
// logits and against those of the CPU.
//
//===----------------------------------------------------------------------===//

#include "test/unit/cuda/CudaRuntime.h"

#include "runtime/Hash.h"
#include "runtime/text/Sampler.h"
#include "tools/tfrun/Main.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

using namespace mlir;
using namespace mlir::transformer;

namespace {
const std::vector<int32_t> kPrompt{5, 9, 3, 40, 12, 7, 7, 2, 30};

xfm_sampling_options toC(const xfm::text::SamplingOptions &options) {
  return {sizeof(xfm_sampling_options), options.temperature, options.topK, options.topP, options.minP,
          options.repetitionPenalty,    options.seed,        /*count=*/0};
}

std::vector<xfm::text::SamplingOptions> variousOptions() {
  xfm::text::SamplingOptions greedy, usual, wide, penalized;
  greedy.temperature = 0;
  usual.seed = 3;
  wide.topK = 0, wide.topP = 0.9, wide.minP = 0, wide.temperature = 1.5, wide.seed = 4;
  penalized.repetitionPenalty = 1.3, penalized.topP = 1, penalized.seed = 5;
  return {greedy, usual, wide, penalized};
}

class CudaSampling : public CudaRuntime {
protected:
  void SetUp() override {
    CudaRuntime::SetUp();
    ASSERT_EQ(open("gpu.tfa", "", gpu), "");
    session = makeSession();
  }
  std::unique_ptr<xfm::Session> makeSession(int64_t context = 32) {
    std::unique_ptr<xfm::Session> made;
    EXPECT_TRUE(xfm::Session::create(*gpu, 1, 1, context, false, made).ok());
    return made;
  }
  static std::string call(xfm::Session &session, const char *entry, const std::vector<int32_t> &tokens) {
    xfm_tensor input = {tokens.data(), XFM_I32, 2, {1, static_cast<int64_t>(tokens.size())}};
    return session.call(entry, &input, 1).message;
  }
  static std::vector<float> logitsOf(xfm::Session &session) {
    xfm_tensor output;
    EXPECT_TRUE(session.output(0, output).ok());
    auto *values = static_cast<const float *>(output.data);
    return {values, values + output.dims[1]};
  }
  std::string start(const xfm::text::SamplingOptions &options, int64_t count = 0) {
    xfm_sampling_options given = toC(options);
    given.count = count;
    return session->startSampling(given, kPrompt.data(), static_cast<int64_t>(kPrompt.size())).message;
  }
  /// What the host draws from the logits of steps on the device.
  std::vector<int32_t> drawOnHost(const xfm::text::SamplingOptions &options, size_t count) {
    std::unique_ptr<xfm::Session> own = makeSession();
    xfm::text::Sampler sampler(options);
    std::vector<int32_t> history = kPrompt;
    EXPECT_EQ(call(*own, "prefill", kPrompt), "");
    for (size_t i = 0; i < count; ++i) {
      if (i > 0)
        EXPECT_EQ(call(*own, "decode", {history.back()}), "");
      std::vector<float> logits = logitsOf(*own);
      history.push_back(sampler.sample(logits.data(), logits.size(), history));
    }
    return {history.begin() + static_cast<int64_t>(kPrompt.size()), history.end()};
  }

  std::unique_ptr<xfm::Model> gpu;
  std::unique_ptr<xfm::Session> session;
};

TEST_F(CudaSampling, DrawsWhatTheHostDrawsFromTheSameLogits) {
  constexpr size_t kTokens = 6;
  for (const xfm::text::SamplingOptions &options : variousOptions()) {
    session->reset();
    ASSERT_EQ(call(*session, "prefill", kPrompt), "");
    ASSERT_EQ(start(options, kTokens), "");
    std::vector<int32_t> drawn(kTokens);
    for (int32_t &token : drawn)
      ASSERT_EQ(session->nextTokens(&token).message, "");
    EXPECT_EQ(drawn, drawOnHost(options, kTokens));
  }
}

// The draw is in the graph of the step, which is the same whatever the options are.
TEST_F(CudaSampling, StepsAndDrawsAreOneGraph) {
  constexpr int kTokens = 6;
  for (int turn = 0; turn < 2; ++turn) {
    session->reset();
    ASSERT_EQ(call(*session, "prefill", kPrompt), "");
    ASSERT_EQ(start(variousOptions()[static_cast<size_t>(turn)], kTokens), "");
    int32_t token = -1;
    for (int i = 0; i < kTokens; ++i)
      ASSERT_EQ(session->nextTokens(&token).message, "");
    // Five steps and none beyond. The first of all is not recorded.
    EXPECT_EQ(counts()->graphLaunches, turn ? 9 : 4);
    EXPECT_EQ(counts()->graphs, 1);
    EXPECT_EQ(session->length(), static_cast<int64_t>(kPrompt.size()) + kTokens - 1);
    EXPECT_EQ(session->nextTokens(&token).message, "all 6 tokens that were wanted have been drawn");
    EXPECT_EQ(session->stopSampling().message, "");
  }
}

TEST_F(CudaSampling, StoppingTakesBackWhatRanAhead) {
  ASSERT_EQ(call(*session, "prefill", kPrompt), "");
  ASSERT_EQ(start(variousOptions()[1]), "");
  std::vector<int32_t> drawn(3);
  for (int32_t &token : drawn)
    ASSERT_EQ(session->nextTokens(&token).message, "");
  ASSERT_EQ(session->stopSampling().message, "");
  EXPECT_EQ(session->length(), static_cast<int64_t>(kPrompt.size()) + 2);
  ASSERT_EQ(call(*session, "decode", {drawn[2]}), "");
  std::unique_ptr<xfm::Session> other = makeSession();
  ASSERT_EQ(call(*other, "prefill", kPrompt), "");
  for (int32_t token : drawn)
    ASSERT_EQ(call(*other, "decode", {token}), "");
  EXPECT_EQ(logitsOf(*session), logitsOf(*other));
}

TEST_F(CudaSampling, EndsWhereTheCacheIsFull) {
  session = makeSession(static_cast<int64_t>(kPrompt.size()) + 2);
  ASSERT_EQ(call(*session, "prefill", kPrompt), "");
  ASSERT_EQ(start(variousOptions()[1]), "");
  int32_t token = -1;
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(session->nextTokens(&token).message, "");
  EXPECT_EQ(session->length(), session->context());
  xfm::Status status = session->nextTokens(&token);
  EXPECT_EQ(status.code, XFM_CONTEXT_FULL);
  EXPECT_EQ(status.message,
            "the cache holds 11 positions and is full: reset the session or create one with a "
            "larger context");
}

//===----------------------------------------------------------------------===//
// tfrun
//===----------------------------------------------------------------------===//

class CudaGenerate : public CudaRuntime {
protected:
  struct Output {
    int code;
    std::string out, error;
  };
  static Output run(StringRef artifact, std::vector<std::string> options) {
    options.insert(options.begin(), {"tfrun", path(artifact)});
    std::vector<const char *> arguments;
    for (const std::string &option : options)
      arguments.push_back(option.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    int code = xfm::tfrun::run(static_cast<int>(arguments.size()), arguments.data());
    std::string out = testing::internal::GetCapturedStdout();
    return {code, out, testing::internal::GetCapturedStderr()};
  }
};

// The text of the CPU, although its logits are other ones in their last digits.
TEST_F(CudaGenerate, WritesTheTextOfTheCPU) {
  for (std::vector<std::string> options :
       {std::vector<std::string>{"-p", "ROMEO:", "-n", "10", "--temperature", "0", "-q"},
        {"-p", "First ", "-n", "10", "--seed", "7", "-q"},
        {"--tokens", "5,9,3", "-n", "8", "--seed", "8", "--top-k", "0", "--repetition-penalty", "1.2",
         "-q"}}) {
    Output cpu = run("cpu.tfa", options), gpu = run("gpu.tfa", options);
    EXPECT_EQ(cpu.code, 0) << cpu.error;
    EXPECT_EQ(gpu.code, 0) << gpu.error;
    EXPECT_EQ(gpu.out, cpu.out);
    EXPECT_EQ(gpu.error, "");
  }
}

TEST_F(CudaGenerate, StopsAtTextAndAtTheContext) {
  std::vector<std::string> options{"-p", "ROMEO:", "-n", "10", "--temperature", "0", "-v"};
  std::string whole = run("cpu.tfa", options).out;
  ASSERT_GT(whole.size(), 12u);
  std::string stop = whole.substr(10, 2); // of the text that is generated
  for (std::vector<std::string> more : {std::vector<std::string>{"--stop", stop}, {"--context", "9"}}) {
    std::vector<std::string> all = options;
    all.insert(all.end(), more.begin(), more.end());
    Output cpu = run("cpu.tfa", all), gpu = run("gpu.tfa", all);
    EXPECT_EQ(gpu.code, 0) << gpu.error;
    EXPECT_EQ(gpu.out, cpu.out);
    EXPECT_LT(gpu.out.size(), whole.size());
    const char *reason = more[0] == "--stop" ? "stopped by a stop string" : "stopped by the context limit";
    EXPECT_NE(gpu.error.find(reason), std::string::npos) << gpu.error;
    EXPECT_NE(cpu.error.find(reason), std::string::npos) << cpu.error;
  }
}

/// A copy of the artifact for a GPU whose manifest `change` has been at.
template <typename Change> void copyArtifact(const std::string &from, const std::string &to, Change change) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
  std::stringstream text;
  text << std::ifstream(from + "/manifest.json").rdbuf();
  nlohmann::json manifest = nlohmann::json::parse(text.str());
  manifest.erase("checksum");
  change(manifest);
  std::string body = manifest.dump(2);
  body.resize(body.size() - 2); // the closing brace and the line before it
  char trailer[64];
  std::snprintf(trailer, sizeof trailer, ",\n  \"checksum\": \"%016llx\"\n}\n",
                static_cast<unsigned long long>(xfm::hashBytes(body.data(), body.size())));
  std::ofstream(to + "/manifest.json") << body << trailer;
}

TEST_F(CudaGenerate, SaysThatAnArtifactWithoutTheKernelIsSampledOnTheHost) {
  copyArtifact(path("gpu.tfa"), path("older.tfa"), [](nlohmann::json &manifest) {
    ASSERT_EQ(manifest.at("sampling").at("entry"), "decode");
    manifest.erase("sampling");
  });
  std::vector<std::string> options{"--tokens", "5,9,3", "-n", "4", "--seed", "7"};
  Output newer = run("gpu.tfa", options), older = run("older.tfa", options);
  EXPECT_EQ(older.code, 0) << older.error;
  EXPECT_EQ(older.out, newer.out);
  const char *warning =
      "tfrun: warning: the artifact has no kernel that draws tokens, so the logits of each are "
      "copied to the host; compile the model again\n";
  EXPECT_NE(older.error.find(warning), std::string::npos) << older.error;
  EXPECT_EQ(newer.error.find("warning"), std::string::npos) << newer.error;
  options.push_back("-q");
  EXPECT_EQ(run("older.tfa", options).error, "");
}

TEST_F(CudaGenerate, TellsADeviceThatIsLost) {
  faults()->loseAtLaunch = 100; // in a step, behind the prompt
  Output lost = run("gpu.tfa", {"--tokens", "5,9,3", "-n", "40", "-q"});
  EXPECT_EQ(lost.code, 1);
  EXPECT_NE(lost.error.find("a kernel failed: CUDA_ERROR_LAUNCH_FAILED"), std::string::npos) << lost.error;
  EXPECT_EQ(std::count(lost.error.begin(), lost.error.end(), '\n'), 1) << lost.error;
}

} // namespace
