//===- EmulatedDevice.cpp - artifacts of a GPU without one --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/EmulatedDevice.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/IR/XGPU.h"

#include <cstdlib>
#include <cstring>

using namespace mlir;
using namespace mlir::emulator;

/// Few, so that a persistent kernel's blocks have several tiles each.
static constexpr uint64_t kClustersAtOnce = 2;

llvm::Expected<std::unique_ptr<EmulatedDevice>> EmulatedDevice::create(ModuleOp kernels,
                                                                       const EmulatorOptions &options) {
  std::unique_ptr<EmulatedDevice> device(new EmulatedDevice(options));
  // Programs refer to its ops, in messages.
  device->module = kernels.clone();
  for (auto function : device->module->getOps<func::FuncOp>()) {
    llvm::Expected<std::unique_ptr<EmulatedKernel>> code = EmulatedKernel::create(function);
    if (!code)
      return code.takeError();
    Kernel kernel;
    kernel.code = std::move(*code);
    kernel.words = 0;
    for (const transformer::GridDim &factor : transformer::getGrid(function))
      kernel.tile.push_back(factor.tile);
    kernel.isPersistent = xgpu::KernelAttr::of(function).getPersistent();
    kernel.cluster = static_cast<uint64_t>(xgpu::KernelAttr::of(function).getCluster());
    for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
      auto memref = dyn_cast<MemRefType>(type);
      if (function.getArgAttr(i, xgpu::TensorMapAttr::kName))
        continue; // made from the words
      kernel.words += memref ? 1 + static_cast<int64_t>(memref.getNumDynamicDims()) : 1;
    }
    device->kernels.push_back(std::move(kernel));
  }
  return device;
}

EmulatedDevice::~EmulatedDevice() = default;

xfm::Status EmulatedDevice::allocate(int64_t bytes, const std::string &what, void *&out) {
  // Sizes are kept exactly, so that a byte beyond them is out of bounds.
  size_t rounded = llvm::alignTo(static_cast<size_t>(bytes), XFM_BUFFER_ALIGNMENT);
  out = std::aligned_alloc(XFM_BUFFER_ALIGNMENT, rounded);
  if (!out)
    return xfm::fail(XFM_OUT_OF_MEMORY, "no memory for ", what, ": ", bytes, " bytes are needed");
  std::memset(out, 0xff, rounded); // NaN wherever a kernel reads what nobody wrote
  memory.add(out, static_cast<uint64_t>(bytes), what);
  return {};
}

void EmulatedDevice::release(void *allocation) {
  memory.remove(allocation);
  std::free(allocation);
}

xfm::Status EmulatedDevice::upload(void *to, const void *from, int64_t bytes) {
  if (bytes > 0)
    std::memcpy(to, from, static_cast<size_t>(bytes));
  return {};
}

xfm::Status EmulatedDevice::download(void *to, const void *from, int64_t bytes) {
  return upload(to, from, bytes);
}

static void noParallelFor(void *, xfm_task_fn, void *, int64_t, int64_t, int32_t) {}

const xfm_abi &EmulatedDevice::services() const {
  static const xfm_abi table = {sizeof(xfm_abi), XFM_ABI_VERSION, noParallelFor, launchThunk};
  return table;
}

void EmulatedDevice::launchThunk(void *context, int32_t kernel, const int64_t *dims, const uint64_t *words,
                                 int32_t) {
  static_cast<EmulatedDevice *>(context)->launch(kernel, dims, words);
}

void EmulatedDevice::launch(int32_t number, const int64_t *dims, const uint64_t *words) {
  if (!error.empty())
    return;
  if (number < 0 || static_cast<size_t>(number) >= kernels.size()) {
    error = "the module launches kernel " + std::to_string(number) + " of " + std::to_string(kernels.size());
    return;
  }
  const Kernel &kernel = kernels[static_cast<size_t>(number)];
  LaunchConfig config;
  config.words = ArrayRef(words, static_cast<size_t>(kernel.words));
  for (auto [i, tile] : llvm::enumerate(kernel.tile))
    config.blocks *= llvm::divideCeil(static_cast<uint64_t>(dims[i]), static_cast<uint64_t>(tile));
  if (kernel.isPersistent)
    config.blocks = std::min(config.blocks, kClustersAtOnce * kernel.cluster);
  config.blocks = llvm::alignTo(config.blocks, kernel.cluster);
  ++launchCount;
  llvm::Expected<LaunchReport> report = kernel.code->launch(config, memory, options);
  if (report)
    work += *report;
  else
    error = llvm::toString(report.takeError());
}

xfm::Status EmulatedDevice::run(const xfm::EntryPoint &entry, xfm_entry_fn code, xfm_call &call,
                                const xfm::DeviceLaunch *then) {
  error.clear();
  call.context = this;
  if (int32_t result = code(&call); result != 0)
    return xfm::fail(XFM_INTERNAL, entry.name, ": the generated code failed with code ", result);
  if (then)
    launch(then->kernel, then->dims.data(), then->words.data());
  return error.empty() ? xfm::Status{} : xfm::fail(XFM_DEVICE_ERROR, error);
}

xfm::Status EmulatedDevice::launch(const xfm::DeviceLaunch &alone) {
  error.clear();
  launch(alone.kernel, alone.dims.data(), alone.words.data());
  return error.empty() ? xfm::Status{} : xfm::fail(XFM_DEVICE_ERROR, error);
}

namespace {
/// Everything is done when a launch returns.
class EmulatedReadback : public xfm::Readback {
public:
  explicit EmulatedReadback(int64_t bytes) : bytes(static_cast<size_t>(bytes)) {}
  xfm::Status begin(const void *from) override {
    std::memcpy(bytes.data(), from, bytes.size());
    return {};
  }
  xfm::Status finish(const void *&data) override {
    data = bytes.data();
    return {};
  }

private:
  std::vector<char> bytes;
};
} // namespace

xfm::Status EmulatedDevice::makeReadback(int64_t bytes, std::unique_ptr<xfm::Readback> &out) {
  out = std::make_unique<EmulatedReadback>(bytes);
  return {};
}
