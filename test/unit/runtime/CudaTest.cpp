//===- CudaTest.cpp - artifacts of a GPU on the tests' CUDA driver --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The whole path from opening to results, on an artifact written by hand.
//
//===----------------------------------------------------------------------===//

#include "CudaTest.h"

#include <cstdlib>
#include <thread>

using namespace xfm::test;
using nlohmann::json;

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

// Pieces of at most 4 positions, of one row and of three, whose pieces are not contiguous.
TEST_F(CudaTest, PiecesAreJoined) {
  for (int64_t batch : {1, 3}) {
    close();
    open(batch);
    for (int64_t positions : {1, 4, 5, 8, 10, 20}) {
      xfm_session_reset(session);
      std::vector<int32_t> tokens(static_cast<size_t>(batch * positions));
      for (size_t i = 0; i < tokens.size(); ++i)
        tokens[i] = static_cast<int32_t>(i * 7 % 12);
      ASSERT_EQ(prefill(tokens, batch), XFM_OK) << xfm_last_error();
      std::vector<float> sums = output(0), pairs = output(1), last = output(2);
      for (int64_t b = 0; b < batch; ++b) {
        float sum = 0;
        for (int64_t s = 0; s < positions; ++s) {
          auto at = static_cast<size_t>(b * positions + s);
          sum += static_cast<float>(tokens[at]);
          EXPECT_EQ(sums[at], sum + 0.5f * static_cast<float>(at) + 100);
          EXPECT_EQ(pairs[2 * at], static_cast<float>(tokens[at]));
          EXPECT_EQ(pairs[2 * at + 1], static_cast<float>(at));
        }
        EXPECT_EQ(last[static_cast<size_t>(2 * b)], static_cast<float>((positions - 1) % 4 + 1));
        EXPECT_EQ(last[static_cast<size_t>(2 * b + 1)], sum);
      }
      EXPECT_EQ(xfm_session_length(session), positions);
    }
  }
}

TEST_F(CudaTest, ResetForgets) {
  open();
  ASSERT_EQ(prefill({1, 2, 3, 4, 5}), XFM_OK) << xfm_last_error();
  xfm_session_reset(session);
  EXPECT_EQ(xfm_session_length(session), 0);
  ASSERT_EQ(decode(9), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(0), std::vector<float>{9});
}

TEST_F(CudaTest, ContextFull) {
  open(1, 5);
  ASSERT_EQ(prefill({1, 2, 3, 4, 5}), XFM_OK);
  int launches = counts()->launches;
  expectFailure(decode(1), XFM_CONTEXT_FULL, "holds 5 of 5");
  EXPECT_EQ(counts()->launches, launches);
}

// Generated code that fails in the second piece, which was launched: the device's lengths are set back.
TEST_F(CudaTest, FailureTakesBackWhatWasCached) {
  open();
  ASSERT_EQ(prefill({1, 2}), XFM_OK);
  expectFailure(prefill({1, 1, 1, 1, 5, 5, 5}), XFM_INTERNAL, "failed with code 5");
  EXPECT_EQ(xfm_session_length(session), 2);
  ASSERT_EQ(decode(3), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(0), std::vector<float>{6});
}

TEST_F(CudaTest, ModuleThatDoesNotCountIsNoticed) {
  open();
  expectFailure(decode(7, "forgetful"), XFM_INTERNAL, "to hold 1 positions, but the module counted 0");
}

TEST_F(CudaTest, RandomWeightsNeedNoFile) {
  artifact.manifest["weights_stored"] = false;
  artifact.manifest["files"].erase(1);
  expectMessage(tryOpen(), "compiled with --no-weights: use --random-weights=SEED");
  xfm_open_options options = {};
  options.random_seed = 5;
  std::vector<float> biases[2];
  for (std::vector<float> &bias : biases) {
    close();
    ASSERT_EQ(tryOpen(options), "");
    session = createSession(1, 20);
    ASSERT_EQ(prefill({0}), XFM_OK) << xfm_last_error();
    bias = output(0);
    EXPECT_GE(bias[0], 0.9f);
    EXPECT_LT(bias[0], 1.1f);
  }
  EXPECT_EQ(biases[0], biases[1]);
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

// Of 4 processors with 2 blocks each, a persistent kernel gets 8 at most.
TEST_F(CudaTest, GridsFollowTheTile) {
  open();
  ASSERT_EQ(score("score", {1, 2, 3, 4, 5}), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(0), (std::vector<float>{2, 4, 6, 8, 10}));
  EXPECT_EQ(seen.blocks, 2u);
  EXPECT_EQ(seen.threads, 64u);
  EXPECT_EQ(seen.shared, 64u << 10);
  ASSERT_EQ(score("score", std::vector<int32_t>(60, 1)), XFM_OK) << xfm_last_error();
  EXPECT_EQ(seen.blocks, 8u);
}

TEST_F(CudaTest, MemoryIsPoisonedWhereThatIsAsked) {
  open();
  ASSERT_EQ(decode(9), XFM_OK) << xfm_last_error();
  EXPECT_EQ(counts()->fills, 0);
  close();
  setenv("XFM_POISON_DEVICE_MEMORY", "1", /*overwrite=*/1);
  open();
  int status = decode(9);
  unsetenv("XFM_POISON_DEVICE_MEMORY");
  ASSERT_EQ(status, XFM_OK) << xfm_last_error();
  EXPECT_GT(counts()->fills, 0);
  EXPECT_EQ(output(0), std::vector<float>{9});
}

TEST_F(CudaTest, ClustersAreWhole) {
  open();
  ASSERT_EQ(score("clustered", std::vector<int32_t>(17, 1)), XFM_OK) << xfm_last_error();
  EXPECT_EQ(seen.blocks, 8u); // 5 tiles
  EXPECT_EQ(counts()->lastCluster, 4);
  EXPECT_EQ(counts()->lastOverlaps, 1);
  ASSERT_EQ(score("clustered", std::vector<int32_t>(60, 1)), XFM_OK) << xfm_last_error();
  EXPECT_EQ(seen.blocks, 12u); // 15 tiles; the driver has 3 clusters at once
  ASSERT_EQ(score("score", {1}), XFM_OK) << xfm_last_error();
  EXPECT_EQ(counts()->lastCluster, 1);
  EXPECT_EQ(counts()->lastOverlaps, 0);
}

TEST_F(CudaTest, TensorMapsAreEncodedOnce) {
  open();
  std::vector<int32_t> tokens(8, 3);
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(score("mapped", tokens), XFM_OK) << xfm_last_error();
  EXPECT_EQ(counts()->tensorMaps, 1);
  const FakeCudaTensorMap &map = *lastMap();
  EXPECT_EQ(map.type, 3);    // INT32
  EXPECT_EQ(map.swizzle, 2); // 64 bytes
  EXPECT_EQ(map.rank, 2u);
  EXPECT_EQ(map.dims[0], 8u); // S, then 2 B
  EXPECT_EQ(map.dims[1], 2u);
  EXPECT_EQ(map.strides[0], 32u);
  EXPECT_EQ(map.box[0], 16u);
  EXPECT_EQ(map.box[1], 1u);
  EXPECT_EQ(seen.map[0], reinterpret_cast<uint64_t>(map.address));
  EXPECT_EQ(seen.map[1], 8u);
  // Another size is another map.
  ASSERT_EQ(score("mapped", std::vector<int32_t>(12, 3)), XFM_OK) << xfm_last_error();
  EXPECT_EQ(counts()->tensorMaps, 2);
  EXPECT_EQ(seen.map[1], 12u);
}

TEST_F(CudaTest, TensorMapThatTheDriverRefuses) {
  kernel(3)["maps"][0]["dtype"] = "i8"; // rows of 5 bytes
  open();
  expectFailure(score("mapped", std::vector<int32_t>(5, 3)), XFM_DEVICE_ERROR,
                "kernel 'mapped': a tensor map is refused: CUDA_ERROR");
}

// Nothing of the device is in doubt behind these: the session goes on.
TEST_F(CudaTest, DefectiveModules) {
  open();
  expectFailure(score("unlisted", {1}), XFM_INTERNAL, "launches kernel 99, but there are 7");
  expectFailure(score("region", {1}), XFM_INTERNAL, "runs a region on the CPU");
  expectFailure(score("huge", {1}), XFM_OUT_OF_RANGE, "kernel 'double': the grid is larger than 2^31 blocks");
  int launches = counts()->launches;
  ASSERT_EQ(score("nothing", {1}), XFM_OK) << xfm_last_error();
  EXPECT_EQ(counts()->launches, launches);
  ASSERT_EQ(score("score", {4}), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(0), std::vector<float>{8});
}

TEST_F(CudaTest, TooManyParameters) {
  kernel(1)["words"] = 600; // nothing is read of them
  open();
  expectFailure(score("score", {1}), XFM_INTERNAL, "4800 bytes of parameters; at most 4096");
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

TEST_F(CudaTest, TheSecondEqualStepIsRecorded) {
  open();
  ASSERT_EQ(prefill({1, 2, 3, 4, 5, 6, 7, 8}), XFM_OK); // two equal pieces: not recorded
  float sum = 36;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(decode(i), XFM_OK) << xfm_last_error();
    sum += static_cast<float>(i);
    EXPECT_EQ(output(0), std::vector<float>{sum});
    EXPECT_EQ(counts()->graphs, i < 1 ? 0 : 1);
    EXPECT_EQ(counts()->graphLaunches, i);
  }
  // A prompt between steps leaves the graph as it is.
  ASSERT_EQ(prefill({1}), XFM_OK);
  ASSERT_EQ(decode(0), XFM_OK);
  EXPECT_EQ(output(0), std::vector<float>{sum + 1});
  EXPECT_EQ(counts()->graphs, 1);
  EXPECT_EQ(counts()->graphLaunches, 5);
}

// Memory that a graph names is gone: it is dropped with it.
TEST_F(CudaTest, GrowingBuffersDropTheGraph) {
  open();
  for (int i = 0; i < 3; ++i)
    ASSERT_EQ(decode(1), XFM_OK);
  EXPECT_EQ(counts()->graphLaunches, 2);
  ASSERT_EQ(prefill({1, 2, 3, 4}), XFM_OK);
  ASSERT_EQ(score("score", std::vector<int32_t>(60, 1)), XFM_OK);
  ASSERT_EQ(decode(1), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(0), std::vector<float>{14});
  EXPECT_EQ(counts()->graphLaunches, 2);
}

TEST_F(CudaTest, GraphsCanBeOff) {
  xfm_open_options options = {};
  options.no_graphs = 1;
  ASSERT_EQ(tryOpen(options), "");
  session = createSession(1, 20);
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(decode(1), XFM_OK);
  EXPECT_EQ(counts()->graphs, 0);
  EXPECT_EQ(output(0), std::vector<float>{5});
}

TEST_F(CudaTest, GraphsMayBeRefused) {
  static std::vector<std::string> lines;
  lines.clear();
  xfm_set_log(
      [](void *, xfm_log_level level, const char *line) {
        if (level == XFM_LOG_WARNING)
          lines.push_back(line);
      },
      nullptr);
  for (bool atCapture : {true, false}) {
    close();
    open();
    (atCapture ? faults()->refuseCapture : faults()->refuseInstantiation) = true;
    for (int i = 0; i < 4; ++i)
      ASSERT_EQ(decode(1), XFM_OK) << xfm_last_error();
    EXPECT_EQ(output(0), std::vector<float>{4});
    faults()->refuseCapture = faults()->refuseInstantiation = false;
  }
  xfm_set_log(nullptr, nullptr);
  ASSERT_EQ(lines.size(), 2u); // once each
  expectMessage(lines[0], "calls are not captured as graphs");
}

TEST_F(CudaTest, GraphThatCannotBeLaunched) {
  for (int at : {1, 2}) { // as it is recorded, and later
    close();
    open();
    faults()->graphFailureAt = at;
    ASSERT_EQ(decode(1), XFM_OK);
    if (at == 2) {
      ASSERT_EQ(decode(1), XFM_OK) << xfm_last_error();
    }
    expectFailure(decode(1), XFM_DEVICE_ERROR, "'decode': the captured call cannot be launched");
  }
}

TEST_F(CudaTest, LaunchThatFailsWhileRecorded) {
  open();
  faults()->launchFailureAt = 2;
  ASSERT_EQ(decode(1), XFM_OK);
  expectFailure(decode(1), XFM_DEVICE_ERROR, "kernel 'decode' cannot be launched on cuda:0 (Fake GPU)");
  EXPECT_EQ(counts()->graphs, 0);
}

//===----------------------------------------------------------------------===//
// Faults of the device
//===----------------------------------------------------------------------===//

TEST_F(CudaTest, LostDeviceEndsTheSession) {
  open();
  ASSERT_EQ(decode(1), XFM_OK);
  faults()->loseAtSynchronization = 1;
  expectFailure(decode(1), XFM_DEVICE_ERROR, "a kernel failed: CUDA_ERROR_LAUNCH_FAILED");
  int launches = counts()->launches;
  expectFailure(decode(1), XFM_DEVICE_ERROR, "a kernel failed");
  EXPECT_EQ(counts()->launches, launches);
  EXPECT_EQ(xfm_session_length(session), 1);
}

TEST_F(CudaTest, UploadsThatFail) {
  faults()->uploadFailureAt = 1;
  expectMessage(tryOpen(), "uploading 16 bytes failed: CUDA_ERROR_LAUNCH_FAILED");
  ASSERT_EQ(tryOpen(), "");
  faults()->uploadFailureAt = 1;
  EXPECT_EQ(createSession(1, 20), nullptr);
  expectMessage(xfm_last_error(), "uploading 4 bytes failed");
}

// Every allocation of a model and a session, refused one after the other.
TEST_F(CudaTest, EveryAllocationMayFail) {
  std::vector<std::string> messages;
  for (int at = 1;; ++at) {
    close();
    reset(runKernel, &seen);
    faults()->outOfMemoryAt = at;
    std::string message = tryOpen();
    if (message.empty()) {
      session = createSession(1, 20);
      message = session && prefill({1, 2}) == XFM_OK ? "" : xfm_last_error();
    }
    if (message.empty())
      break;
    expectMessage(message, "cuda:0 (Fake GPU) has no memory for ");
    expectMessage(message, " are needed, 1000 of 2000 are free: use a smaller context or batch");
    messages.push_back(message);
    if (!session)
      continue;
    // The session is as before, and can be used.
    ASSERT_EQ(prefill({1, 2}), XFM_OK) << xfm_last_error();
    EXPECT_EQ(xfm_session_length(session), 2);
  }
  // Weights, caches, two inputs, three outputs and the activations.
  ASSERT_EQ(messages.size(), 8u);
  expectMessage(messages[0], "for the weights: 64 bytes");
  expectMessage(messages[1], "for the caches: ");
  expectMessage(messages[2], "for tokens: 8 bytes");
  expectMessage(messages[7], "for the activations of a call: 8 bytes");
}

TEST_F(CudaTest, SessionsOfOneModelRunAtOnce) {
  open();
  std::vector<float> results[2];
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t)
    threads.emplace_back([this, t, &results] {
      xfm_session *own = createSession(1, 64);
      for (int32_t i = 0; i < 60; ++i) {
        std::vector<int32_t> tokens = {i % 7 + t};
        xfm_tensor input = tensorOf(tokens, XFM_I32, {1, 1}), out = {};
        if (xfm_session_call(own, "decode", &input, 1) == XFM_OK &&
            xfm_session_output(own, 0, &out) == XFM_OK)
          results[t].push_back(*static_cast<const float *>(out.data));
      }
      xfm_session_destroy(own);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (int t = 0; t < 2; ++t) {
    ASSERT_EQ(results[t].size(), 60u);
    float sum = 0;
    for (int32_t i = 0; i < 60; ++i) {
      sum += static_cast<float>(i % 7 + t);
      EXPECT_EQ(results[t][static_cast<size_t>(i)], sum);
    }
  }
}

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

TEST_F(CudaTest, Devices) {
  EXPECT_EQ(tryOpen("cuda"), "");
  EXPECT_EQ(tryOpen("cuda:0"), "");
  expectMessage(tryOpen("cpu"), "made for a GPU and cannot run on the CPU: use --device=cuda");
  expectMessage(tryOpen("cuda:1"), "there is no cuda:1: this machine has 1 GPU, numbered from cuda:0 on");
  for (const char *name : {"gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999", "CUDA"})
    expectMessage(tryOpen(name), std::string("unknown device '") + name + "': use cpu, cuda or cuda:N");
  faults()->noDevices = true;
  EXPECT_EQ(tryOpen(), "there is no cuda:0: this machine has 0 GPUs");
  FakeArtifact forCPU;
  xfm_open_options options = {};
  options.size = sizeof options;
  options.device = "cuda:0";
  xfm_model *opened = nullptr;
  EXPECT_EQ(xfm_model_open(forCPU.path().c_str(), &options, &opened), XFM_TARGET_MISMATCH);
  expectMessage(xfm_last_error(), "made for the CPU and cannot run on cuda:0");
}

TEST_F(CudaTest, ChoicesThatAreOfTheCPU) {
  xfm_open_options options = {};
  options.profile = 1;
  expectMessage(tryOpen(options), "profiling is for the CPU");
  options = {};
  options.huge_pages = 1;
  expectMessage(tryOpen(options), "huge pages are for the CPU");
  ASSERT_EQ(tryOpen(), "");
  EXPECT_EQ(createSession(1, 20, 2), nullptr);
  expectMessage(xfm_last_error(), "threads are for the CPU, and the model runs on cuda:0 (Fake GPU)");
}

TEST_F(CudaTest, InspectingNeedsNoDevice) {
  faults()->noDevices = true;
  xfm_open_options options = {};
  options.inspect = 1;
  ASSERT_EQ(tryOpen(options), "");
  EXPECT_EQ(createSession(1, 20), nullptr);
  expectMessage(xfm_last_error(), "was opened to be looked at and cannot run");
}

TEST_F(CudaTest, ProgressOfTheUpload) {
  static std::vector<std::pair<int64_t, int64_t>> steps;
  steps.clear();
  xfm_open_options options = {};
  options.progress = [](void *user, const char *what, int64_t done, int64_t total) {
    EXPECT_STREQ(what, "uploading weights");
    *static_cast<int *>(user) += 1;
    steps.emplace_back(done, total);
  };
  int calls = 0;
  options.progress_user = &calls;
  ASSERT_EQ(tryOpen(options), "");
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(steps, (std::vector<std::pair<int64_t, int64_t>>{{16, 64}, {64, 64}}));
}

TEST_F(CudaTest, CubinOrPTX) {
  ASSERT_EQ(tryOpen(), "");
  EXPECT_FALSE(counts()->loadedPtx);
  faults()->capability = 90;
  ASSERT_EQ(tryOpen(), "");
  EXPECT_TRUE(counts()->loadedPtx);
  faults()->capability = 75;
  expectMessage(tryOpen(), "cuda:0 (Fake GPU) has compute capability 7.5, but the kernels are for sm_80: "
                           "compile the model with --arch=sm_75");
  faults()->capability = 90;
  faults()->refusePtx = true;
  std::string message = tryOpen();
  expectMessage(message, "fake.ptx is not accepted by cuda:0 (Fake GPU): CUDA_ERROR_UNSUPPORTED_PTX_VERSION");
  expectMessage(message, "the driver is too old for the PTX: update it");
  expectMessage(message, "the driver says: ptxas: unsupported .version");
}

TEST_F(CudaTest, KernelsThatDoNotLoad) {
  artifact.setFile("kernels/fake.sm_80.cubin", "damaged");
  expectMessage(tryOpen(), "fake.sm_80.cubin is not accepted by cuda:0");
  artifact.setFile("kernels/fake.sm_80.cubin", "cubin");
  kernel(2)["symbol"] = "missing";
  expectMessage(tryOpen(), "kernel 'missing' is not in its file");
  kernel(2)["symbol"] = "decode";
  kernel(1)["shared"] = 300 << 10;
  expectMessage(tryOpen(), "kernel 'double' needs 307200 bytes of shared memory a block");
  kernel(1)["shared"] = 0;
  faults()->pinnedMemoryAt = 2;
  expectMessage(tryOpen(), "no pinned memory for uploads");
  EXPECT_EQ(tryOpen(), "");
}

//===----------------------------------------------------------------------===//
// Drivers. A process loads one, so each is met in a process of its own
//===----------------------------------------------------------------------===//

namespace {
class CudaDriverDeathTest : public ::testing::Test {
protected:
  CudaDriverDeathTest() {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    makeGpuArtifact(artifact, FAKE_GPU_MODULE);
    artifact.write();
  }
  ~CudaDriverDeathTest() override {
    unsetenv("LD_LIBRARY_PATH");
    unsetenv("FAKE_CUDA_VERSION");
    unsetenv("FAKE_CUDA_NO_DEVICE");
  }
  /// Ends the process with the message on stderr.
  [[noreturn]] void openAndExit() {
    xfm_model *model = nullptr;
    xfm_status status = xfm_model_open(artifact.path().c_str(), nullptr, &model);
    fprintf(stderr, "%s: %s\n", xfm_status_name(status), xfm_last_error());
    _exit(7);
  }
  void expectMessage(const char *pattern) {
    EXPECT_EXIT(openAndExit(), ::testing::ExitedWithCode(7), pattern);
  }
  FakeArtifact artifact;
};
} // namespace

TEST_F(CudaDriverDeathTest, IsThere) { expectMessage("XFM_OK"); }

// A file of that name that is no library: the search ends there, whatever else is installed.
TEST_F(CudaDriverDeathTest, None) {
  TemporaryFolder folder;
  writeFile(folder.file("libcuda.so.1"), "");
  setenv("LD_LIBRARY_PATH", folder.path.c_str(), 1);
  expectMessage("XFM_DEVICE_ERROR: no CUDA driver: libcuda.so.1 cannot be loaded: install NVIDIA's driver");
}

TEST_F(CudaDriverDeathTest, Old) {
  setenv("FAKE_CUDA_VERSION", "11040", 1);
  expectMessage("XFM_DEVICE_ERROR: the CUDA driver is of CUDA 11.4, but 11.8 or newer is needed");
}

TEST_F(CudaDriverDeathTest, WithoutAFunction) {
  setenv("LD_LIBRARY_PATH", FAKE_CUDA_SMALL, 1);
  expectMessage("XFM_DEVICE_ERROR: the CUDA driver has no cuInit: update NVIDIA's driver");
}

TEST_F(CudaDriverDeathTest, WithoutAGPU) {
  setenv("FAKE_CUDA_NO_DEVICE", "1", 1);
  expectMessage("XFM_DEVICE_ERROR: the CUDA driver does not start: .*is there a GPU");
}
