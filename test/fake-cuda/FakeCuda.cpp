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

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
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
  INVALID_IMAGE = 200,
  NOT_FOUND = 500,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801
};

struct Function {
  std::string name;
  int sharedLimit = 48 << 10;
};

struct Launch {
  std::string symbol;
  unsigned blocks, threads, shared;
  std::vector<char> parameters;
};

/// Of a context, stream, event or module: what is not among them was never made, or is gone.
enum class Kind { context, stream, event, module, graph, executable };
constexpr const char *kindNames[] = {"context", "stream", "event", "module", "graph", "executable graph"};

struct State {
  FakeCudaFaults faults = {};
  FakeCudaCounts counts = {};
  FakeCudaKernel kernel = nullptr;
  void *user = nullptr;
  std::string complaint;
  std::map<uint64_t, size_t> allocations;
  std::map<void *, size_t> pinned;
  std::map<void *, Kind> handles;
  std::map<std::string, std::unique_ptr<Function>> functions;
  FakeCudaTensorMap lastMap = {};
  std::vector<Launch> recorded;
  std::map<void *, std::vector<Launch>> graphs;
  /// Copies to pinned memory that nobody has waited for, and how many of all there were before each event.
  std::deque<std::pair<void *, std::vector<char>>> copies;
  std::map<CUevent, uint64_t> copiesBefore;
  uint64_t copiesMade = 0;
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

template <typename Handle> Handle make(Kind kind) {
  void *handle = new char;
  state().handles[handle] = kind;
  return reinterpret_cast<Handle>(handle);
}

template <typename Handle> bool isHandle(Handle handle, Kind kind) {
  auto it = state().handles.find(reinterpret_cast<void *>(handle));
  if (it != state().handles.end() && it->second == kind)
    return true;
  complain(std::string("a ") + kindNames[int(kind)] + " that is none");
  return false;
}

template <typename Handle> CUresult destroy(Handle handle, Kind kind) {
  if (!isHandle(handle, kind))
    return INVALID_VALUE;
  state().handles.erase(reinterpret_cast<void *>(handle));
  delete reinterpret_cast<char *>(handle);
  return CUDA_SUCCESS;
}

/// Copies go through pinned memory, or to the host.
bool isPinned(const void *address, size_t bytes) {
  for (auto [begin, size] : state().pinned)
    if (address >= begin && static_cast<const char *>(address) + bytes <= static_cast<char *>(begin) + size)
      return true;
  return false;
}

/// Copies to pinned memory come no sooner than they are waited for: the first `count` of all that were made.
void finishCopies(uint64_t count) {
  State &s = state();
  while (!s.copies.empty() && s.copiesMade - s.copies.size() < count) {
    std::memcpy(s.copies.front().first, s.copies.front().second.data(), s.copies.front().second.size());
    s.copies.pop_front();
  }
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
const FakeCudaTensorMap *fakeCudaLastTensorMap() { return &state().lastMap; }
void fakeCudaReset(FakeCudaKernel kernel, void *user) {
  state().lastMap = {};
  state().faults = {};
  state().counts = {};
  state().complaint.clear();
  state().lost = state().recording = false;
  state().copies.clear();
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
  *count = state().faults.noDevices ? 0 : 1;
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
  static CUcontext primary = make<CUcontext>(Kind::context);
  *context = primary;
  ++state().retained;
  return CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  if (--state().retained > 0)
    return CUDA_SUCCESS;
  if (state().retained < 0)
    return complain("a context is released twice");
  if (!state().allocations.empty() || !state().pinned.empty())
    return complain("the context is released while memory is allocated");
  if (state().handles.size() > 1) // the context itself
    return complain(
        std::string("the context is released before a ") +
        kindNames[int(std::max_element(state().handles.begin(), state().handles.end(), [](auto &a, auto &b) {
                        return a.second < b.second;
                      })->second)]);
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext context) {
  state().current = isHandle(context, Kind::context);
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
  if (strikes(state().faults.pinnedMemoryAt))
    return CUDA_ERROR_OUT_OF_MEMORY;
  *address = std::malloc(bytes);
  state().pinned[*address] = bytes;
  return CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void *address) {
  for (auto &[to, bytes] : state().copies)
    if (isPinned(to, bytes.size()) && address <= to &&
        to < static_cast<char *>(address) + state().pinned[address])
      return complain("pinned memory is freed while it is copied to");
  if (!state().pinned.erase(address))
    return complain("pinned memory is freed that is not allocated");
  std::free(address);
  return CUDA_SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  if (!isHandle(stream, Kind::stream))
    return INVALID_VALUE;
  if (state().recording)
    return complain("a copy from the host while a graph is recorded");
  if (!isPinned(from, bytes))
    return complain("a copy from memory that is not pinned");
  if (strikes(state().faults.uploadFailureAt))
    return LAUNCH_FAILED;
  if (!isInside(to, bytes))
    return complain("a copy beyond an allocation");
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  return CUDA_SUCCESS;
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  if (!isHandle(stream, Kind::stream))
    return INVALID_VALUE;
  if (!isInside(to, bytes))
    return complain("a fill beyond an allocation");
  std::memset(reinterpret_cast<void *>(to), value, bytes);
  ++state().counts.fills;
  return CUDA_SUCCESS;
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  if (!isHandle(stream, Kind::stream))
    return INVALID_VALUE;
  if (!isInside(from, bytes))
    return complain("a copy from beyond an allocation");
  if (state().recording)
    return complain("a copy to the host while a graph is recorded");
  if (strikes(state().faults.readFailureAt))
    return LAUNCH_FAILED;
  auto *begin = reinterpret_cast<const char *>(from);
  if (isPinned(to, bytes)) {
    state().copies.emplace_back(to, std::vector<char>(begin, begin + bytes));
    ++state().copiesMade;
    std::memset(to, 0xee, bytes); // until then it is nobody's
    return CUDA_SUCCESS;
  }
  std::memcpy(to, begin, bytes);
  return CUDA_SUCCESS;
}
CUresult cuStreamCreate(CUstream *stream, unsigned) {
  *stream = make<CUstream>(Kind::stream);
  return CUDA_SUCCESS;
}
CUresult cuStreamDestroy_v2(CUstream stream) { return destroy(stream, Kind::stream); }
CUresult cuStreamSynchronize(CUstream stream) {
  if (!isHandle(stream, Kind::stream))
    return INVALID_VALUE;
  if (strikes(state().faults.loseAtSynchronization))
    state().lost = true;
  finishCopies(state().copiesMade);
  return state().lost ? LAUNCH_FAILED : CUDA_SUCCESS;
}
CUresult cuEventCreate(CUevent *event, unsigned) {
  *event = make<CUevent>(Kind::event);
  return CUDA_SUCCESS;
}
CUresult cuEventDestroy_v2(CUevent event) { return destroy(event, Kind::event); }
CUresult cuEventRecord(CUevent event, CUstream stream) {
  state().copiesBefore[event] = state().copiesMade;
  return isHandle(event, Kind::event) && isHandle(stream, Kind::stream) ? CUDA_SUCCESS : INVALID_VALUE;
}
CUresult cuEventSynchronize(CUevent event) {
  if (!isHandle(event, Kind::event))
    return INVALID_VALUE;
  finishCopies(state().copiesBefore[event]);
  return state().lost ? LAUNCH_FAILED : CUDA_SUCCESS;
}
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
  if (std::strcmp(static_cast<const char *>(image), "damaged") == 0)
    return INVALID_IMAGE;
  *module = make<CUmodule>(Kind::module);
  return CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module) {
  for (auto &[name, function] : state().functions)
    function->sharedLimit = Function().sharedLimit;
  return destroy(module, Kind::module);
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  if (!isHandle(module, Kind::module))
    return INVALID_VALUE;
  if (std::strcmp(name, "missing") == 0)
    return NOT_FOUND;
  auto &known = state().functions[name];
  if (!known)
    known = std::make_unique<Function>();
  known->name = name;
  *function = reinterpret_cast<CUfunction>(known.get());
  return CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value > 232448)
    return INVALID_VALUE;
  reinterpret_cast<Function *>(function)->sharedLimit = value;
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction, int, size_t) {
  *blocks = 2;
  return CUDA_SUCCESS;
}
CUresult cuOccupancyMaxActiveClusters(int *clusters, CUfunction, const CUlaunchConfig *config) {
  if (config->numAttrs == 0 || config->attrs[0].id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
    return complain("clusters are counted of a launch that has none");
  *clusters = 3;
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
  if (config->gridDimX == 0 || config->blockDimX == 0 || config->blockDimX > 1024 || config->gridDimY != 1 ||
      config->gridDimZ != 1 || config->blockDimY != 1 || config->blockDimZ != 1)
    return complain("a launch of no blocks or threads, or of more than one dimension");
  if (!isHandle(config->hStream, Kind::stream))
    return INVALID_VALUE;
  auto &known = *reinterpret_cast<Function *>(function);
  if (config->sharedMemBytes > static_cast<unsigned>(known.sharedLimit))
    return complain("a launch of '" + known.name + "' with more shared memory than it was given");
  if (reinterpret_cast<uintptr_t>(extra[1]) % 64 != 0)
    return complain("parameters that are not aligned as tensor maps are");
  unsigned cluster = 1;
  int overlaps = 0;
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    if (config->attrs[i].id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION) {
      overlaps = config->attrs[i].value.programmaticStreamSerializationAllowed;
      continue;
    }
    if (config->attrs[i].id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION)
      return complain("an unknown attribute of a launch");
    cluster = config->attrs[i].value.clusterDim.x;
    if (cluster == 0 || config->gridDimX % cluster != 0 || config->attrs[i].value.clusterDim.y != 1 ||
        config->attrs[i].value.clusterDim.z != 1)
      return complain("a grid that is not made of clusters");
  }
  state().counts.lastCluster = static_cast<int>(cluster);
  state().counts.lastOverlaps = overlaps;
  auto *bytes = static_cast<const char *>(extra[1]);
  Launch launch{known.name, config->gridDimX, config->blockDimX, config->sharedMemBytes,
                std::vector<char>(bytes, bytes + *static_cast<size_t *>(extra[3]))};
  if (!state().recording)
    return runLaunch(launch);
  state().recorded.push_back(std::move(launch));
  return CUDA_SUCCESS;
}
CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode) {
  if (!isHandle(stream, Kind::stream) || state().faults.refuseCapture)
    return NOT_SUPPORTED;
  state().recording = true;
  state().recorded.clear();
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream, CUgraph *graph) {
  state().recording = false;
  *graph = make<CUgraph>(Kind::graph);
  state().graphs[*graph] = std::move(state().recorded);
  state().recorded.clear();
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph, unsigned long long) {
  if (!isHandle(graph, Kind::graph))
    return INVALID_VALUE;
  if (state().faults.refuseInstantiation)
    return NOT_SUPPORTED;
  *executable = make<CUgraphExec>(Kind::executable);
  state().graphs[*executable] = state().graphs[graph];
  ++state().counts.graphs;
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
  if (!isHandle(executable, Kind::executable) || !isHandle(stream, Kind::stream))
    return INVALID_VALUE;
  if (strikes(state().faults.graphFailureAt))
    return LAUNCH_FAILED;
  ++state().counts.graphLaunches;
  for (const Launch &launch : state().graphs[executable])
    runLaunch(launch);
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec executable) {
  state().graphs.erase(executable);
  return destroy(executable, Kind::executable);
}
CUresult cuGraphDestroy(CUgraph graph) {
  state().graphs.erase(graph);
  return destroy(graph, Kind::graph);
}
/// Keeps the arguments, and writes the address and the sizes into the map.
CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, uint32_t rank, void *address,
                                const uint64_t *dims, const uint64_t *strides, const uint32_t *box,
                                const uint32_t *elementStrides, CUtensorMapInterleave interleave,
                                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  ++state().counts.tensorMaps;
  if (rank < 1 || rank > 5 || interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
      reinterpret_cast<uintptr_t>(map) % 64 != 0 || reinterpret_cast<uintptr_t>(address) % 16 != 0)
    return complain("a tensor map of a rank, a place or an address that is not allowed");
  for (uint32_t i = 0; i < rank; ++i)
    if (dims[i] == 0 || box[i] == 0 || box[i] > 256 || elementStrides[i] != 1 ||
        (i + 1 < rank && strides[i] % 16 != 0))
      return INVALID_VALUE;
  FakeCudaTensorMap &last = state().lastMap;
  last = {};
  last.type = type;
  last.swizzle = swizzle;
  last.rank = rank;
  last.address = address;
  for (uint32_t i = 0; i < rank; ++i) {
    last.dims[i] = dims[i];
    last.box[i] = box[i];
    last.strides[i] = i + 1 < rank ? strides[i] : 0;
    map->opaque[i + 1] = dims[i];
  }
  map->opaque[0] = reinterpret_cast<uint64_t>(address);
  return CUDA_SUCCESS;
}
}
