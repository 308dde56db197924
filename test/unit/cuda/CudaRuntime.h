//===- CudaRuntime.h - a compiled model on a driver of the tests --------===//
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

#ifndef TEST_UNIT_CUDA_CUDARUNTIME_H
#define TEST_UNIT_CUDA_CUDARUNTIME_H

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

namespace mlir::transformer {

/// The kernels of the artifact by name, for the driver's callback.
struct Kernels {
  llvm::StringMap<std::unique_ptr<emulator::EmulatedKernel>> byName;
  emulator::DeviceMemory everything;
};

inline bool runKernel(void *user, const char *symbol, unsigned blocks, unsigned, unsigned,
                      const char *parameters, size_t bytes) {
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

  static inline SmallString<128> folder;
  static inline MLIRContext *context;
  static inline LoadedModel *model;
  static inline KernelModule *kernelModule;
  static inline Kernels *kernels;
  static inline FakeCudaResetFn reset;
  static inline FakeCudaFaultsFn faults;
  static inline FakeCudaCountsFn counts;
  static inline FakeCudaComplaintFn complaint;
};

} // namespace mlir::transformer

#endif // TEST_UNIT_CUDA_CUDARUNTIME_H
