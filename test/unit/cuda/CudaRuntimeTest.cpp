//===- CudaRuntimeTest.cpp - the CUDA side of the runtime, on a driver of the tests ===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/cuda/CudaRuntime.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

TEST_F(CudaRuntime, ComputesWhatTheCPUDoesAndReplaysSteps) {
  std::unique_ptr<xfm::Model> cpu, gpu;
  ASSERT_EQ(open("cpu.tfa", "", cpu), "");
  ASSERT_EQ(open("gpu.tfa", "", gpu), "");
  std::vector<std::vector<float>> expected, actual;
  ASSERT_EQ(generate(*cpu, expected), "");
  ASSERT_EQ(generate(*gpu, actual), "");
  for (auto [a, b] : llvm::zip_equal(actual, expected))
    for (auto [x, y] : llvm::zip_equal(a, b))
      ASSERT_NEAR(x, y, 1e-4);
  // The second step is recorded, and run as the graph that the third and fourth are.
  EXPECT_EQ(counts()->graphs, 1);
  EXPECT_EQ(counts()->graphLaunches, 3);
}

TEST_F(CudaRuntime, WorksWhereGraphsAreRefused) {
  std::unique_ptr<xfm::Model> gpu;
  ASSERT_EQ(open("gpu.tfa", "cuda:0", gpu), "");
  std::vector<std::vector<float>> expected, actual;
  ASSERT_EQ(generate(*gpu, expected), "");
  std::unique_ptr<xfm::Model> other;
  faults()->refuseCapture = true;
  ASSERT_EQ(open("gpu.tfa", "cuda", other), "");
  ASSERT_EQ(generate(*other, actual), "");
  EXPECT_EQ(actual, expected);
  EXPECT_EQ(counts()->graphs, 1);
}

TEST_F(CudaRuntime, SessionsStartOverAfterAReset) {
  std::unique_ptr<xfm::Model> gpu;
  ASSERT_EQ(open("gpu.tfa", "", gpu), "");
  std::unique_ptr<xfm::Session> session;
  ASSERT_TRUE(xfm::Session::create(*gpu, 1, 1, 32, false, session).ok());
  std::vector<std::vector<float>> first, second;
  ASSERT_EQ(generate(*session, first), "");
  EXPECT_EQ(session->length(), 13);
  session->reset();
  EXPECT_EQ(session->length(), 0);
  ASSERT_EQ(generate(*session, second), "");
  EXPECT_EQ(first, second);
}

TEST_F(CudaRuntime, TellsWhatMemoryIsMissing) {
  std::unique_ptr<xfm::Model> gpu;
  faults()->outOfMemoryAt = 1;
  std::string message = open("gpu.tfa", "", gpu);
  EXPECT_NE(message.find("cuda:0 (Fake GPU) has no memory for the weights: "), std::string::npos) << message;
  EXPECT_NE(message.find(" bytes are needed, 1000 of 2000 are free"), std::string::npos) << message;
  ASSERT_EQ(open("gpu.tfa", "", gpu), "");
  faults()->outOfMemoryAt = 1;
  std::vector<std::vector<float>> logits;
  message = generate(*gpu, logits);
  EXPECT_NE(message.find("no memory for the caches"), std::string::npos) << message;
}

TEST_F(CudaRuntime, NamesTheKernelThatCannotBeLaunched) {
  std::unique_ptr<xfm::Model> gpu;
  ASSERT_EQ(open("gpu.tfa", "", gpu), "");
  faults()->launchFailureAt = 3;
  std::vector<std::vector<float>> logits;
  std::string message = generate(*gpu, logits);
  EXPECT_NE(message.find("kernel 'layer$"), std::string::npos) << message;
  EXPECT_NE(message.find("cannot be launched"), std::string::npos) << message;
  EXPECT_TRUE(logits.empty());
}

TEST_F(CudaRuntime, KeepsTheErrorOfALostDevice) {
  std::unique_ptr<xfm::Model> gpu;
  ASSERT_EQ(open("gpu.tfa", "", gpu), "");
  std::unique_ptr<xfm::Session> session;
  ASSERT_TRUE(xfm::Session::create(*gpu, 1, 1, 32, false, session).ok());
  faults()->loseAtLaunch = 20;
  std::vector<std::vector<float>> logits;
  std::string message = generate(*session, logits);
  EXPECT_NE(message.find("a kernel failed: CUDA_ERROR_LAUNCH_FAILED"), std::string::npos) << message;
  EXPECT_EQ(generate(*session, logits), message);
}

TEST_F(CudaRuntime, TellsThatTheDriverIsTooOldForThePTX) {
  std::unique_ptr<xfm::Model> gpu;
  faults()->refusePtx = true;
  faults()->capability = 120; // no cubin is for it
  std::string message = open("gpu.tfa", "", gpu);
  EXPECT_NE(message.find("the driver is too old for the PTX"), std::string::npos) << message;
  EXPECT_NE(message.find("the driver says: ptxas: unsupported .version"), std::string::npos) << message;
}

TEST_F(CudaRuntime, TakesPTXForANewerGPU) {
  std::unique_ptr<xfm::Model> gpu;
  faults()->capability = 120;
  ASSERT_EQ(open("gpu.tfa", "", gpu), "");
  EXPECT_TRUE(counts()->loadedPtx);
  faults()->capability = 75;
  std::string message = open("gpu.tfa", "", gpu);
  EXPECT_NE(message.find("has compute capability 7.5, but the kernels are for sm_80"), std::string::npos)
      << message;
}

TEST_F(CudaRuntime, NeverTakesAnotherDevice) {
  std::unique_ptr<xfm::Model> opened;
  EXPECT_NE(open("gpu.tfa", "cpu", opened).find("made for a GPU and cannot run on the CPU"),
            std::string::npos);
  EXPECT_NE(open("cpu.tfa", "cuda:0", opened).find("made for the CPU and cannot run on cuda:0"),
            std::string::npos);
  EXPECT_EQ(open("gpu.tfa", "cuda:3", opened),
            "there is no cuda:3: this machine has 1 GPU, numbered from cuda:0 on");
  EXPECT_NE(open("gpu.tfa", "gpu", opened).find("unknown device 'gpu'"), std::string::npos);
}

TEST(ChooseKernels, TakesTheNewestThatRuns) {
  auto set = [](const char *arch, bool ptx, bool cubin) {
    xfm::KernelSet result;
    result.arch = arch;
    result.ptx = ptx ? "p" : "";
    result.cubin = cubin ? "c" : "";
    return result;
  };
  std::vector<xfm::KernelSet> sets{set("sm_80", true, true), set("sm_90a", false, true)};
  bool cubin = false;
  auto chosen = [&](int64_t capability) {
    const xfm::KernelSet *best = xfm::chooseKernels(sets, capability, cubin);
    return best ? best->arch : "none";
  };
  EXPECT_EQ(chosen(80), "sm_80");
  EXPECT_TRUE(cubin);
  EXPECT_EQ(chosen(86), "sm_80");
  EXPECT_TRUE(cubin);
  EXPECT_EQ(chosen(90), "sm_90a");
  EXPECT_TRUE(cubin);
  EXPECT_EQ(chosen(100), "sm_80"); // sm_90a runs on 9.0 alone
  EXPECT_FALSE(cubin);
  EXPECT_EQ(chosen(75), "none");
}

} // namespace
