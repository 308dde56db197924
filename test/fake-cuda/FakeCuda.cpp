//===- FakeCuda.cpp - a CUDA driver of the tests ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A libcuda.so.1 whose device memory is the process's: enough of the driver for the runtime to be tested
// without a GPU, and stricter than one. Kernels are run by the test, through a callback. Graphs keep what was
// launched while they were recorded. What the test sees wrong is told at the end (fakeCudaComplaint).
//
//===----------------------------------------------------------------------===//

#include "test/fake-cuda/FakeCuda.h"

#include "runtime/cuda/Driver.h"

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace xfm::cuda;

namespace {

enum : CUresult {
  INVALID_VALUE = 1,
  NOT_INITIALIZED = 3,
  INVALID_DEVICE = 101,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801
};

struct Launch {
  std::string symbol;
  unsigned blocks, threads, shared;
  std::vector<char> parameters;
};

struct State {
  FakeCudaFaults faults;
  FakeCudaCounts counts;
  FakeCudaKernel kernel = nullptr;
  void *user = nullptr;
  std::string complaint;
  std::map<uint64_t, size_t> allocations;
  std::map<std::string, std::unique_ptr<std::string>> functions;
  std::vector<Launch> recorded;
  int retained = 0;
  bool initialised = false, recording = false, current = false, lost = false;
};

State &state() {
  static State *state = new State;
  return *state;
}

CUresult complain(const std::string &what) {
  if (state().complaint.empty())
    state().complaint = what;
  return INVALID_VALUE;
}

bool isInside(uint64_t address, size_t bytes) {
  auto it = state().allocations.upper_bound(address);
  if (it == state().allocations.begin())
    return false;
  --it;
  return address - it->first + bytes <= it->second;
}

bool strikes(int &countdown) { return countdown > 0 && --countdown == 0; }

CUresult runLaunch(const Launch &launch) {
  ++state().counts.launches;
  if (strikes(state().faults.loseAtLaunch))
    state().lost = true;
  if (state().kernel && !state().lost)
    if (!state().kernel(state().user, launch.symbol.c_str(), launch.blocks, launch.threads, launch.shared,
                        launch.parameters.data(), launch.parameters.size()))
      state().lost = true;
  return CUDA_SUCCESS;
}
} // namespace

extern "C" {

FakeCudaFaults *fakeCudaFaults() { return &state().faults; }
FakeCudaCounts *fakeCudaCounts() { return &state().counts; }
const char *fakeCudaComplaint() { return state().complaint.c_str(); }
void fakeCudaReset(FakeCudaKernel kernel, void *user) {
  state().faults = {};
  state().counts = {};
  state().complaint.clear();
  state().lost = state().recording = false;
  state().kernel = kernel;
  state().user = user;
}

CUresult cuDriverGetVersion(int *version) {
  *version = std::getenv("FAKE_CUDA_VERSION") ? std::atoi(std::getenv("FAKE_CUDA_VERSION")) : 12040;
  return CUDA_SUCCESS;
}
CUresult cuInit(unsigned flags) {
  state().initialised = flags == 0;
  return std::getenv("FAKE_CUDA_NO_DEVICE") ? 100 : CUDA_SUCCESS;
}
CUresult cuGetErrorName(CUresult error, const char **text) {
  *text = error == CUDA_ERROR_OUT_OF_MEMORY             ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == LAUNCH_FAILED                      ? "CUDA_ERROR_LAUNCH_FAILED"
          : error == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ? "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"
                                                        : "CUDA_ERROR";
  return CUDA_SUCCESS;
}
CUresult cuGetErrorString(CUresult, const char **text) {
  *text = "as the test wished";
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int *count) {
  *count = 1;
  return state().initialised ? CUDA_SUCCESS : NOT_INITIALIZED;
}
CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  *device = 7;
  return ordinal == 0 ? CUDA_SUCCESS : INVALID_DEVICE;
}
CUresult cuDeviceGetName(char *name, int length, CUdevice) {
  std::strncpy(name, "Fake GPU", static_cast<size_t>(length));
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  if (device != 7)
    return complain("an attribute of a device that is none");
  int capability = state().faults.capability ? state().faults.capability : 80;
  *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR   ? capability / 10
           : attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR ? capability % 10
                                                                       : 4;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
  *context = reinterpret_cast<CUcontext>(uintptr_t{0x100});
  ++state().retained;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  if (--state().retained == 0 && !state().allocations.empty())
    complain("the context is released while memory is allocated");
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext) {
  state().current = true;
  return CUDA_SUCCESS;
}
CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  *free = 1000, *total = 2000;
  return CUDA_SUCCESS;
}
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  if (bytes == 0)
    return complain("an allocation of no bytes");
  if (strikes(state().faults.outOfMemoryAt))
    return CUDA_ERROR_OUT_OF_MEMORY;
  void *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(memory, 0xff, bytes);
  *address = reinterpret_cast<uint64_t>(memory);
  state().allocations[*address] = bytes;
  ++state().counts.allocations;
  return CUDA_SUCCESS;
}
CUresult cuMemFree_v2(CUdeviceptr address) {
  if (!state().allocations.erase(address))
    return complain("memory is freed that is not allocated");
  std::free(reinterpret_cast<void *>(address));
  return CUDA_SUCCESS;
}
CUresult cuMemAllocHost_v2(void **address, size_t bytes) {
  *address = std::malloc(bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void *address) {
  std::free(address);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream) {
  if (state().recording)
    return complain("a copy from the host while a graph is recorded");
  if (!isInside(to, bytes))
    return complain("a copy beyond an allocation");
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream) {
  if (!isInside(from, bytes))
    return complain("a copy from beyond an allocation");
  std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
  return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream *stream, unsigned) {
  *stream = reinterpret_cast<CUstream>(uintptr_t{0x200});
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream) { return CUDA_SUCCESS; }
CUresult cuStreamSynchronize(CUstream) { return state().lost ? LAUNCH_FAILED : CUDA_SUCCESS; }
CUresult cuEventCreate(CUevent *event, unsigned) {
  *event = reinterpret_cast<CUevent>(uintptr_t{0x300});
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent) { return CUDA_SUCCESS; }
CUresult cuEventRecord(CUevent, CUstream) { return CUDA_SUCCESS; }
CUresult cuEventSynchronize(CUevent) { return CUDA_SUCCESS; }
CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, CUjit_option *options,
                            void **values) {
  bool isText = std::strstr(static_cast<const char *>(image), ".version") != nullptr;
  if (state().faults.refusePtx && isText) {
    for (unsigned i = 0; i < count; ++i)
      if (options[i] == CU_JIT_ERROR_LOG_BUFFER)
        std::strcpy(static_cast<char *>(values[i]), "ptxas: unsupported\n.version");
    return CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
  }
  state().counts.loadedPtx = isText;
  *module = reinterpret_cast<CUmodule>(uintptr_t{0x400});
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
CUresult cuModuleGetFunction(CUfunction *function, CUmodule, const char *name) {
  auto &known = state().functions[name];
  if (!known)
    known = std::make_unique<std::string>(name);
  *function = reinterpret_cast<CUfunction>(known.get());
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute attribute, int value) {
  return attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES && value <= 232448 ? CUDA_SUCCESS
                                                                                         : INVALID_VALUE;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction, int, size_t) {
  *blocks = 2;
  return CUDA_SUCCESS;
}
CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters,
                          void **extra) {
  if (!state().current)
    return complain("a launch without a current context");
  if (parameters || !extra || extra[0] != CU_LAUNCH_PARAM_BUFFER_POINTER ||
      extra[2] != CU_LAUNCH_PARAM_BUFFER_SIZE || extra[4])
    return complain("a launch whose parameters are no buffer");
  if (strikes(state().faults.launchFailureAt))
    return INVALID_VALUE;
  if (config->gridDimX == 0 || config->blockDimX == 0 || config->gridDimY != 1 || config->blockDimZ != 1)
    return complain("a launch of no blocks or threads");
  auto *bytes = static_cast<const char *>(extra[1]);
  Launch launch{*reinterpret_cast<std::string *>(function), config->gridDimX, config->blockDimX,
                config->sharedMemBytes, std::vector<char>(bytes, bytes + *static_cast<size_t *>(extra[3]))};
  if (!state().recording)
    return runLaunch(launch);
  state().recorded.push_back(std::move(launch));
  return CUDA_SUCCESS;
}
CUresult cuStreamBeginCapture_v2(CUstream, CUstreamCaptureMode) {
  if (state().faults.refuseCapture)
    return NOT_SUPPORTED;
  state().recording = true;
  state().recorded.clear();
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream, CUgraph *graph) {
  state().recording = false;
  *graph = reinterpret_cast<CUgraph>(new std::vector<Launch>(std::move(state().recorded)));
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long) {
  *executable =
      reinterpret_cast<CUgraphExec>(new std::vector<Launch>(*reinterpret_cast<std::vector<Launch> *>(graph)));
  ++state().counts.graphs;
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream) {
  ++state().counts.graphLaunches;
  for (const Launch &launch : *reinterpret_cast<std::vector<Launch> *>(executable))
    runLaunch(launch);
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
  delete reinterpret_cast<std::vector<Launch> *>(executable);
  return CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
  delete reinterpret_cast<std::vector<Launch> *>(graph);
  return CUDA_SUCCESS;
}
CUresult cuTensorMapEncodeTiled(CUtensorMap *, CUtensorMapDataType, uint32_t, void *, const uint64_t *,
                                const uint64_t *, const uint32_t *, const uint32_t *, CUtensorMapInterleave,
                                CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  return CUDA_SUCCESS;
}
}
