//===- CudaRuntimeTest.cpp - the CUDA side of the runtime, on a driver of the tests ===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A model compiled for sm_80 runs through the whole runtime: the fake driver (test/fake-cuda) keeps
// the memory and the graphs, the emulator runs the kernels from the parameters that the driver was handed.
//
//===----------------------------------------------------------------------===//

#include <gtest/gtest.h>

#include "test/fake-cuda/FakeCuda.h"

#include "codegen/Compile.h"
#include "emulator/EmulatedDevice.h"
#include "runtime/Model.h"
#include "runtime/Session.h"
#include "runtime/cuda/CudaDevice.h"
#include "tools/driver/Driver.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/FileSystem.h"

#include <dlfcn.h>

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// The kernels of the artifact by name, for the driver's callback.
struct Kernels {
  llvm::StringMap<std::unique_ptr<emulator::EmulatedKernel>> byName;
  emulator::DeviceMemory everything;
};

bool runKernel(void *user, const char *symbol, unsigned blocks, unsigned, unsigned, const char *parameters,
               size_t bytes) {
  auto &kernels = *static_cast<Kernels *>(user);
  auto it = kernels.byName.find(symbol);
  if (it == kernels.byName.end())
    return false;
  emulator::LaunchConfig config;
  config.blocks = blocks;
  config.words = ArrayRef(reinterpret_cast<const uint64_t *>(parameters), bytes / 8);
  llvm::Expected<emulator::LaunchReport> report = it->second->launch(config, kernels.everything);
  if (report)
    return true;
  ADD_FAILURE() << llvm::toString(report.takeError());
  return false;
}

class CudaRuntime : public testing::Test {
protected:
  static void SetUpTestSuite() {
    llvm::sys::fs::createUniqueDirectory("xfm-cuda", folder);
    DialectRegistry registry;
    registerAll(registry);
    context = new MLIRContext(registry, MLIRContext::Threading::DISABLED);
    LoadOptions load;
    load.precision = "f32"; // so that results are comparable
    llvm::Expected<LoadedModel> loaded = loadModel(*context, XFM_SOURCE_DIR "/examples/bard", load);
    ASSERT_TRUE(bool(loaded)) << llvm::toString(loaded.takeError());
    model = new LoadedModel(std::move(*loaded));
    CompileOptions options;
    options.progress = false;
    options.chunk = 4; // prompts go in pieces
    compile(options, "cpu.tfa");
    options.gpuArchs = {"sm_80"};
    std::vector<KernelModule> modules;
    options.kernels = &modules;
    compile(options, "gpu.tfa");
    kernelModule = new KernelModule(std::move(modules[0]));
    kernels = new Kernels;
    kernels->everything.add(nullptr, ~uint64_t(0), "everything");
    for (auto function : kernelModule->module->getOps<func::FuncOp>()) {
      llvm::Expected<std::unique_ptr<emulator::EmulatedKernel>> kernel =
          emulator::EmulatedKernel::create(function);
      ASSERT_TRUE(bool(kernel)) << llvm::toString(kernel.takeError());
      kernels->byName[function.getName()] = std::move(*kernel);
    }
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    ASSERT_NE(library, nullptr) << dlerror();
    reset = reinterpret_cast<FakeCudaResetFn>(dlsym(library, "fakeCudaReset"));
    faults = reinterpret_cast<FakeCudaFaultsFn>(dlsym(library, "fakeCudaFaults"));
    counts = reinterpret_cast<FakeCudaCountsFn>(dlsym(library, "fakeCudaCounts"));
    complaint = reinterpret_cast<FakeCudaComplaintFn>(dlsym(library, "fakeCudaComplaint"));
    ASSERT_NE(reset, nullptr) << "the driver found is not the tests'";
  }
  static void TearDownTestSuite() { llvm::sys::fs::remove_directories(folder); }
  static void compile(const CompileOptions &options, StringRef name) {
    OwningOpRef<ModuleOp> copy = (*model->module).clone();
    llvm::Error error = compileToArtifact(*copy, model->folder, path(name), options);
    ASSERT_FALSE(bool(error)) << llvm::toString(std::move(error));
  }
  static std::string path(StringRef name) { return (folder + "/" + name).str(); }

  void SetUp() override { reset(runKernel, kernels); }
  void TearDown() override { EXPECT_STREQ(complaint(), ""); }

  /// Opens an artifact on a device; the message where it does not.
  std::string open(StringRef name, StringRef device, std::unique_ptr<xfm::Model> &out) {
    xfm::Model::Choices choices;
    choices.device = device.str();
    return xfm::Model::open(path(name), std::move(choices), out).message;
  }
  /// The logits after a prompt of nine tokens and after each of four steps, or what went wrong.
  std::string generate(const xfm::Model &opened, std::vector<std::vector<float>> &logits) {
    std::unique_ptr<xfm::Session> session;
    if (xfm::Status status = xfm::Session::create(opened, 1, 1, 32, false, session); !status.ok())
      return status.message;
    return generate(*session, logits);
  }
  std::string generate(xfm::Session &session, std::vector<std::vector<float>> &logits) {
    std::vector<int32_t> prompt{5, 9, 3, 40, 12, 7, 7, 2, 30};
    for (int i = 0; i < 5; ++i) {
      std::vector<int32_t> tokens = i ? std::vector<int32_t>{i * 11} : prompt;
      xfm_tensor input = {tokens.data(), XFM_I32, 2, {1, static_cast<int64_t>(tokens.size())}};
      if (xfm::Status status = session.call(i ? "decode" : "prefill", &input, 1); !status.ok())
        return status.message;
      xfm_tensor output;
      if (xfm::Status status = session.output(0, output); !status.ok())
        return status.message;
      auto *values = static_cast<const float *>(output.data);
      logits.emplace_back(values, values + output.dims[output.rank - 1]);
    }
    return "";
  }

  static SmallString<128> folder;
  static MLIRContext *context;
  static LoadedModel *model;
  static KernelModule *kernelModule;
  static Kernels *kernels;
  static FakeCudaResetFn reset;
  static FakeCudaFaultsFn faults;
  static FakeCudaCountsFn counts;
  static FakeCudaComplaintFn complaint;
};
SmallString<128> CudaRuntime::folder;
MLIRContext *CudaRuntime::context;
LoadedModel *CudaRuntime::model;
KernelModule *CudaRuntime::kernelModule;
Kernels *CudaRuntime::kernels;
FakeCudaResetFn CudaRuntime::reset;
FakeCudaFaultsFn CudaRuntime::faults;
FakeCudaCountsFn CudaRuntime::counts;
FakeCudaComplaintFn CudaRuntime::complaint;

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
