//===- CudaDevice.cpp - a GPU by the CUDA driver ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/CudaDevice.h"
#include "runtime/Binding.h"
#include "runtime/Tensor.h"
#include "runtime/cuda/Driver.h"
#include "runtime/cuda/TensorMaps.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>

using namespace xfm;
using namespace xfm::cuda;

/// Of each of the two pinned buffers that large uploads go through.
static constexpr int64_t stagingBytes = int64_t{16} << 20;
static constexpr size_t parameterLimit = 4096;

bool xfm::parseCudaDevice(const std::string &text, int64_t &ordinal) {
  ordinal = 0;
  if (text == "cuda")
    return true;
  if (text.rfind("cuda:", 0) != 0 || text.size() == 5 || text.size() > 9)
    return false;
  for (char c : text.substr(5)) {
    if (c < '0' || c > '9')
      return false;
    ordinal = ordinal * 10 + (c - '0');
  }
  return true;
}

const KernelSet *xfm::chooseKernels(const std::vector<KernelSet> &sets, int64_t capability, bool &useCubin) {
  const KernelSet *best = nullptr;
  auto consider = [&](const KernelSet &set, bool cubin) {
    // The newest architecture that runs; of one, what needs no compilation.
    if (best &&
        (set.capability() < best->capability() || (set.capability() == best->capability() && !set.isExact())))
      return;
    best = &set;
    useCubin = cubin;
  };
  for (const KernelSet &set : sets) {
    bool exact = set.capability() == capability;
    bool sameMajor = set.capability() / 10 == capability / 10 && set.capability() <= capability;
    if (!set.cubin.empty() && (set.isExact() ? exact : sameMajor))
      consider(set, true);
    else if (!set.ptx.empty() && (set.isExact() ? exact : set.capability() <= capability))
      consider(set, false);
  }
  return best;
}

namespace {

/// What a captured call was called with: the same again may be replayed.
struct CallKey {
  xfm_entry_fn code = nullptr;
  std::vector<int64_t> sizes;
  std::vector<void *> buffers;
  std::vector<uint64_t> then; ///< kernel and words of the launch behind the call
  bool operator==(const CallKey &other) const {
    return code == other.code && sizes == other.sizes && buffers == other.buffers && then == other.then;
  }
};

class CudaDevice : public Device {
public:
  ~CudaDevice() override;
  Status open(const Folder &folder, const Manifest &manifest, int64_t number, bool graphs);

  std::string name() const override { return title; }
  Status allocate(int64_t bytes, const std::string &what, void *&out) override;
  void release(void *memory) override;
  Status upload(void *to, const void *from, int64_t bytes) override;
  Status download(void *to, const void *from, int64_t bytes) override;
  const xfm_abi &services() const override;
  Status run(const EntryPoint &entry, xfm_entry_fn code, xfm_call &call, const DeviceLaunch *then) override;
  Status launch(const DeviceLaunch &launch) override;
  Status makeReadback(int64_t bytes, std::unique_ptr<Readback> &out) override;

private:
  friend class CudaReadback;
  struct Kernel {
    const KernelSpec *spec = nullptr;
    CUfunction function = nullptr;
    int64_t mostBlocks = 0; ///< of a persistent kernel
  };

  Status openContext(int64_t number);
  Status loadKernels(const Folder &folder, const Manifest &manifest);
  Status prepareKernel(const KernelSpec &spec);
  CUresult countBlocks(Kernel &kernel);
  CUlaunchConfig configOf(const KernelSpec &spec, int64_t blocks, CUlaunchAttribute (&attributes)[2]) const;
  static void refuseParallelFor(void *context, xfm_task_fn, void *, int64_t, int64_t, int32_t);
  static void launchThunk(void *context, int32_t kernel, const int64_t *dims, const uint64_t *words,
                          int32_t dispatch);
  void launch(int32_t number, const int64_t *dims, const uint64_t *words);
  Status execute(const EntryPoint &entry, xfm_entry_fn code, xfm_call &call, const DeviceLaunch *then);
  Status capture(const EntryPoint &entry, xfm_entry_fn code, xfm_call &call, const DeviceLaunch *then);
  void dropGraph();
  Status kernelFailure(CUresult code) const;

  /// Of all below: sessions of one model call from threads of their own.
  std::mutex mutex;
  const Driver *driver = nullptr;
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUmodule module = nullptr;
  void *staging[2] = {nullptr, nullptr};
  CUevent stagingFree[2] = {nullptr, nullptr};
  std::string title;
  KernelSet kernelSet;
  std::vector<Kernel> kernels;
  Status launchError; ///< the first of a call
  TensorMaps maps;
  CallKey lastCall, capturedCall;
  CUgraphExec graph = nullptr;
  bool useGraphs = true; ///< not off, and not refused by the driver
};

/// Copies into pinned memory, with an event behind the copy.
class CudaReadback : public Readback {
public:
  CudaReadback(CudaDevice &device, size_t bytes) : device(device), bytes(bytes) {}
  ~CudaReadback() override {
    std::lock_guard<std::mutex> lock(device.mutex);
    device.driver->CtxSetCurrent(device.context);
    device.driver->StreamSynchronize(device.stream); // a copy may be under way
    if (copied)
      device.driver->EventDestroy(copied);
    if (memory)
      device.driver->MemFreeHost(memory);
  }
  Status allocate() {
    std::lock_guard<std::mutex> lock(device.mutex);
    device.driver->CtxSetCurrent(device.context);
    if (CUresult code = device.driver->MemAllocHost(&memory, bytes))
      return device.driver->error(code, "no pinned memory for what is read back");
    if (CUresult code = device.driver->EventCreate(&copied, /*CU_EVENT_DISABLE_TIMING*/ 2))
      return device.driver->error(code, "no event for what is read back");
    return {};
  }
  Status begin(const void *from) override {
    std::lock_guard<std::mutex> lock(device.mutex);
    device.driver->CtxSetCurrent(device.context);
    CUresult code =
        device.driver->MemcpyDtoHAsync(memory, reinterpret_cast<CUdeviceptr>(from), bytes, device.stream);
    if (!code)
      code = device.driver->EventRecord(copied, device.stream);
    if (code)
      return device.driver->error(code,
                                  device.title + ": reading back " + std::to_string(bytes) + " bytes failed");
    return {};
  }
  /// Without the lock: other sessions go on meanwhile.
  Status finish(const void *&data) override {
    device.driver->CtxSetCurrent(device.context);
    if (CUresult code = device.driver->EventSynchronize(copied))
      return device.kernelFailure(code);
    data = memory;
    return {};
  }

private:
  CudaDevice &device;
  size_t bytes;
  void *memory = nullptr;
  CUevent copied = nullptr;
};

CudaDevice::~CudaDevice() {
  if (!context)
    return;
  driver->CtxSetCurrent(context);
  if (stream)
    driver->StreamSynchronize(stream);
  dropGraph();
  for (int i = 0; i < 2; ++i) {
    if (stagingFree[i])
      driver->EventDestroy(stagingFree[i]);
    if (staging[i])
      driver->MemFreeHost(staging[i]);
  }
  if (module)
    driver->ModuleUnload(module);
  if (stream)
    driver->StreamDestroy(stream);
  driver->DevicePrimaryCtxRelease(device);
}

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

Status CudaDevice::openContext(int64_t number) {
  if (Status status = Driver::get(driver); !status.ok())
    return status;
  int count = 0;
  if (CUresult code = driver->DeviceGetCount(&count))
    return driver->error(code, "GPUs cannot be counted");
  if (number >= count)
    return fail(XFM_INVALID_ARGUMENT, "there is no cuda:", number, ": this machine has ", count,
                count == 1 ? " GPU" : " GPUs", count ? ", numbered from cuda:0 on" : "");
  if (CUresult code = driver->DeviceGet(&device, static_cast<int>(number)))
    return driver->error(code, "cuda:" + std::to_string(number) + " cannot be opened");
  char text[128] = "";
  driver->DeviceGetName(text, sizeof text, device);
  title = "cuda:" + std::to_string(number) + " (" + text + ")";
  if (CUresult code = driver->DevicePrimaryCtxRetain(&context, device)) {
    context = nullptr;
    return driver->error(code, title + " cannot be opened");
  }
  if (CUresult code = driver->CtxSetCurrent(context))
    return driver->error(code, title + " cannot be used");
  if (CUresult code = driver->StreamCreate(&stream, /*CU_STREAM_NON_BLOCKING*/ 1))
    return driver->error(code, title + " has no stream");
  return {};
}

Status CudaDevice::loadKernels(const Folder &folder, const Manifest &manifest) {
  int major = 0, minor = 0;
  driver->DeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  driver->DeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
  bool useCubin = false;
  const KernelSet *chosen = chooseKernels(manifest.kernels, major * 10 + minor, useCubin);
  if (!chosen) {
    std::string archs;
    for (const KernelSet &set : manifest.kernels)
      archs += (archs.empty() ? "" : ", ") + set.arch;
    return fail(XFM_TARGET_MISMATCH, title, " has compute capability ", major, ".", minor,
                ", but the kernels are for ", archs, ": compile the model with --arch=sm_", major, minor);
  }
  kernelSet = *chosen;
  File file;
  if (Status status = folder.openFile(useCubin ? chosen->cubin : chosen->ptx, file); !status.ok())
    return status;
  if (Status status = file.map(); !status.ok())
    return status;
  // PTX is read as text that ends in a zero.
  std::string image(file.bytes());
  char jitLog[4096] = "";
  CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {jitLog, reinterpret_cast<void *>(sizeof jitLog)};
  if (CUresult code = driver->ModuleLoadDataEx(&module, image.c_str(), 2, options, values)) {
    module = nullptr;
    for (char *c = jitLog; *c; ++c)
      *c = *c == '\n' ? ' ' : *c;
    const char *advice = code == CUDA_ERROR_UNSUPPORTED_PTX_VERSION || code == CUDA_ERROR_INVALID_PTX
                             ? "the driver is too old for the PTX: update it, or compile where ptxas is found"
                             : "compile the model again";
    Status status = driver->error(code, file.path() + " is not accepted by " + title, advice);
    if (*jitLog)
      status.message += std::string("; the driver says: ") + jitLog;
    return status;
  }
  for (const KernelSpec &spec : kernelSet.table)
    if (Status status = prepareKernel(spec); !status.ok())
      return status;
  xfm::log(XFM_LOG_INFO, title + ": " + std::to_string(kernels.size()) + " kernels from " + file.path());
  return {};
}

Status CudaDevice::prepareKernel(const KernelSpec &spec) {
  Kernel kernel;
  kernel.spec = &spec;
  if (CUresult code = driver->ModuleGetFunction(&kernel.function, module, spec.symbol.c_str()))
    return driver->error(code, "kernel " + quote(spec.symbol) + " is not in its file",
                         "compile the model again");
  if (spec.shared > 48 << 10)
    if (CUresult code = driver->FuncSetAttribute(
            kernel.function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, static_cast<int>(spec.shared)))
      return driver->error(code, "kernel " + quote(spec.symbol) + " needs " + std::to_string(spec.shared) +
                                     " bytes of shared memory a block, which " + title + " does not give");
  if (spec.persistent)
    if (CUresult code = countBlocks(kernel))
      return driver->error(code, "kernel " + quote(spec.symbol) + " cannot be placed");
  kernels.push_back(kernel);
  return {};
}

/// A launch of `blocks`; `attributes` must stay as long as it.
CUlaunchConfig CudaDevice::configOf(const KernelSpec &spec, int64_t blocks,
                                    CUlaunchAttribute (&attributes)[2]) const {
  attributes[0] = attributes[1] = {};
  unsigned count = 0;
  if (spec.cluster > 1) {
    attributes[count].id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attributes[count++].value.clusterDim = {static_cast<unsigned>(spec.cluster), 1, 1};
  }
  if (spec.overlaps) {
    attributes[count].id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attributes[count++].value.programmaticStreamSerializationAllowed = 1;
  }
  CUlaunchConfig config = {};
  config.gridDimX = static_cast<unsigned>(blocks);
  config.gridDimY = config.gridDimZ = config.blockDimY = config.blockDimZ = 1;
  config.blockDimX = static_cast<unsigned>(spec.threads);
  config.sharedMemBytes = static_cast<unsigned>(spec.shared);
  config.hStream = stream;
  config.attrs = attributes;
  config.numAttrs = count;
  return config;
}

/// The blocks that the device runs at once. Clusters stay within a group of processors, some of which have
/// too few left for one more, so they are counted by the driver.
CUresult CudaDevice::countBlocks(Kernel &kernel) {
  const KernelSpec &spec = *kernel.spec;
  if (spec.cluster > 1) {
    CUlaunchAttribute attributes[2];
    CUlaunchConfig config = configOf(spec, spec.cluster, attributes);
    int clusters = 0;
    CUresult code = driver->OccupancyMaxActiveClusters(&clusters, kernel.function, &config);
    kernel.mostBlocks = std::max<int64_t>(clusters, 1) * spec.cluster;
    return code;
  }
  int blocks = 0, processors = 0;
  driver->DeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device);
  CUresult code = driver->OccupancyMaxActiveBlocksPerMultiprocessor(
      &blocks, kernel.function, static_cast<int>(spec.threads), static_cast<size_t>(spec.shared));
  kernel.mostBlocks = std::max<int64_t>(int64_t{blocks} * processors, 1);
  return code;
}

Status CudaDevice::open(const Folder &folder, const Manifest &manifest, int64_t number, bool graphs) {
  useGraphs = graphs;
  if (Status status = openContext(number); !status.ok())
    return status;
  if (Status status = loadKernels(folder, manifest); !status.ok())
    return status;
  for (int i = 0; i < 2; ++i) {
    if (CUresult code = driver->MemAllocHost(&staging[i], stagingBytes))
      return driver->error(code, "no pinned memory for uploads");
    if (CUresult code = driver->EventCreate(&stagingFree[i], /*CU_EVENT_DISABLE_TIMING*/ 2))
      return driver->error(code, "no event for uploads");
  }
  return {};
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Status CudaDevice::allocate(int64_t bytes, const std::string &what, void *&out) {
  std::lock_guard<std::mutex> lock(mutex);
  driver->CtxSetCurrent(context);
  CUdeviceptr address = 0;
  CUresult code = driver->MemAlloc(&address, static_cast<size_t>(bytes));
  if (code == CUDA_ERROR_OUT_OF_MEMORY) {
    size_t free = 0, total = 0;
    driver->MemGetInfo(&free, &total);
    return fail(XFM_OUT_OF_MEMORY, title, " has no memory for ", what, ": ", bytes, " bytes are needed, ",
                free, " of ", total,
                " are free: use a smaller context or batch, or a model in a narrower type");
  }
  if (code)
    return driver->error(code, title + ": " + std::to_string(bytes) + " bytes for " + what +
                                   " cannot be allocated");
  // For tests: what reads memory that nothing wrote finds NaNs, and says so by its results.
  const char *poison = std::getenv("XFM_POISON_DEVICE_MEMORY");
  if (poison && std::string(poison) == "1")
    if (CUresult code = driver->MemsetD8Async(address, 0xff, static_cast<size_t>(bytes), stream)) {
      driver->MemFree(address);
      return driver->error(code, title + ": " + what + " cannot be filled");
    }
  out = reinterpret_cast<void *>(address);
  return {};
}

void CudaDevice::release(void *memory) {
  std::lock_guard<std::mutex> lock(mutex);
  driver->CtxSetCurrent(context);
  driver->StreamSynchronize(stream);
  // A captured call may name it.
  dropGraph();
  driver->MemFree(reinterpret_cast<CUdeviceptr>(memory));
}

/// Through two pinned buffers in turn: while one is copied to the device the other is filled.
Status CudaDevice::upload(void *to, const void *from, int64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  driver->CtxSetCurrent(context);
  for (int64_t done = 0, turn = 0; done < bytes; done += stagingBytes, turn ^= 1) {
    int64_t count = std::min(stagingBytes, bytes - done);
    if (CUresult code = driver->EventSynchronize(stagingFree[turn]))
      return driver->error(code, title + ": uploading failed");
    std::memcpy(staging[turn], static_cast<const char *>(from) + done, static_cast<size_t>(count));
    CUresult code = driver->MemcpyHtoDAsync(reinterpret_cast<CUdeviceptr>(to) + static_cast<uint64_t>(done),
                                            staging[turn], static_cast<size_t>(count), stream);
    if (!code)
      code = driver->EventRecord(stagingFree[turn], stream);
    if (code)
      return driver->error(code, title + ": uploading " + std::to_string(bytes) + " bytes failed");
  }
  return {};
}

Status CudaDevice::download(void *to, const void *from, int64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  driver->CtxSetCurrent(context);
  if (bytes > 0)
    if (CUresult code = driver->MemcpyDtoHAsync(to, reinterpret_cast<CUdeviceptr>(from),
                                                static_cast<size_t>(bytes), stream))
      return driver->error(code, title + ": downloading " + std::to_string(bytes) + " bytes failed");
  if (CUresult code = driver->StreamSynchronize(stream))
    return kernelFailure(code);
  return {};
}

Status CudaDevice::kernelFailure(CUresult code) const {
  return driver->error(code, title + ": a kernel failed",
                       "run it again with compute-sanitizer to learn which");
}

Status CudaDevice::makeReadback(int64_t bytes, std::unique_ptr<Readback> &out) {
  auto readback = std::make_unique<CudaReadback>(*this, static_cast<size_t>(bytes));
  if (Status status = readback->allocate(); !status.ok())
    return status;
  out = std::move(readback);
  return {};
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

const xfm_abi &CudaDevice::services() const {
  static const xfm_abi table = {sizeof(xfm_abi), XFM_ABI_VERSION, refuseParallelFor, launchThunk};
  return table;
}

void CudaDevice::refuseParallelFor(void *context, xfm_task_fn, void *, int64_t, int64_t, int32_t) {
  auto *device = static_cast<CudaDevice *>(context);
  if (device->launchError.ok())
    device->launchError = fail(XFM_INTERNAL, "the module of a GPU runs a region on the CPU");
}

void CudaDevice::launchThunk(void *context, int32_t kernel, const int64_t *dims, const uint64_t *words,
                             int32_t) {
  static_cast<CudaDevice *>(context)->launch(kernel, dims, words);
}

void CudaDevice::launch(int32_t number, const int64_t *dims, const uint64_t *words) {
  if (!launchError.ok())
    return; // the first error is the one to tell
  if (number < 0 || static_cast<size_t>(number) >= kernels.size()) {
    launchError =
        fail(XFM_INTERNAL, "the module launches kernel ", number, ", but there are ", kernels.size());
    return;
  }
  const Kernel &kernel = kernels[static_cast<size_t>(number)];
  const KernelSpec &spec = *kernel.spec;
  int64_t blocks = 1;
  for (size_t i = 0; i < spec.tile.size(); ++i)
    if (__builtin_mul_overflow(blocks, (dims[i] + spec.tile[i] - 1) / spec.tile[i], &blocks) ||
        blocks > INT32_MAX) {
      launchError = fail(XFM_OUT_OF_RANGE, "kernel ", quote(spec.symbol),
                         ": the grid is larger than 2^31 blocks: call with fewer rows or positions");
      return;
    }
  if (blocks == 0)
    return;
  if (kernel.mostBlocks)
    blocks = std::min(blocks, kernel.mostBlocks);
  blocks = (blocks + spec.cluster - 1) / spec.cluster * spec.cluster;
  size_t mapBytes = spec.maps.size() * sizeof(CUtensorMap),
         bytes = mapBytes + static_cast<size_t>(spec.words) * 8;
  alignas(64) char parameters[parameterLimit];
  if (bytes > parameterLimit) {
    launchError = fail(XFM_INTERNAL, "kernel ", quote(spec.symbol), " has ", bytes,
                       " bytes of parameters; at most ", parameterLimit, " can be handed over");
    return;
  }
  for (size_t i = 0; i < spec.maps.size(); ++i) {
    CUtensorMap map;
    if (launchError = maps.encode(*driver, spec, spec.maps[i], words, map); !launchError.ok())
      return;
    std::memcpy(parameters + i * sizeof map, &map, sizeof map);
  }
  std::memcpy(parameters + mapBytes, words, static_cast<size_t>(spec.words) * 8);
  CUlaunchAttribute attributes[2];
  CUlaunchConfig config = configOf(spec, blocks, attributes);
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, parameters, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                   CU_LAUNCH_PARAM_END};
  if (CUresult code = driver->LaunchKernelEx(&config, kernel.function, nullptr, extra))
    launchError = driver->error(code, "kernel " + quote(spec.symbol) + " cannot be launched on " + title);
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

void CudaDevice::dropGraph() {
  if (graph)
    driver->GraphExecDestroy(graph);
  graph = nullptr;
  capturedCall = {};
  lastCall = {};
}

Status CudaDevice::execute(const EntryPoint &entry, xfm_entry_fn code, xfm_call &call,
                           const DeviceLaunch *then) {
  launchError = {};
  call.context = this;
  if (int32_t result = code(&call); result != 0)
    return fail(XFM_INTERNAL, quote(entry.name), ": the generated code failed with code ", result);
  if (then)
    launch(then->kernel, then->dims.data(), then->words.data());
  return launchError;
}

Status CudaDevice::launch(const DeviceLaunch &alone) {
  std::lock_guard<std::mutex> lock(mutex);
  driver->CtxSetCurrent(context);
  launchError = {};
  launch(alone.kernel, alone.dims.data(), alone.words.data());
  return launchError;
}

/// Records the launches of a call as a graph and runs it. Where the driver refuses, the call is
/// executed as any other, now and later.
Status CudaDevice::capture(const EntryPoint &entry, xfm_entry_fn code, xfm_call &call,
                           const DeviceLaunch *then) {
  CUgraph recorded = nullptr;
  CUresult failed = driver->StreamBeginCapture(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  if (!failed) {
    Status status = execute(entry, code, call, then);
    failed = driver->StreamEndCapture(stream, &recorded);
    if (!status.ok()) {
      if (recorded)
        driver->GraphDestroy(recorded);
      return status;
    }
  }
  if (!failed)
    failed = driver->GraphInstantiateWithFlags(&graph, recorded, 0);
  if (recorded)
    driver->GraphDestroy(recorded);
  if (failed) {
    graph = nullptr;
    useGraphs = false;
    xfm::log(XFM_LOG_WARNING, driver->error(failed, title + ": calls are not captured as graphs").message);
    return execute(entry, code, call, then);
  }
  capturedCall = lastCall;
  if (CUresult code = driver->GraphLaunch(graph, stream))
    return driver->error(code, quote(entry.name) + ": the captured call cannot be launched");
  return {};
}

Status CudaDevice::run(const EntryPoint &entry, xfm_entry_fn code, xfm_call &call, const DeviceLaunch *then) {
  std::lock_guard<std::mutex> lock(mutex);
  driver->CtxSetCurrent(context);
  CallKey key;
  key.code = code;
  key.sizes.assign(call.sizes, call.sizes + entry.sizes.size());
  key.buffers.assign(call.buffers, call.buffers + entry.bufferCount);
  key.buffers.push_back(call.arena);
  if (then) {
    key.then = then->words;
    key.then.push_back(static_cast<uint64_t>(then->kernel));
  }
  // A step of one position that is called twice in the same way will be called again. The pieces of a
  // prompt may be alike too, but recording them would cost more than it saves.
  bool isStep = positionsSize(entry) < 0;
  if (graph && key == capturedCall) {
    if (CUresult failed = driver->GraphLaunch(graph, stream))
      return driver->error(failed, quote(entry.name) + ": the captured call cannot be launched");
    return {};
  }
  bool repeats = key == lastCall;
  lastCall = std::move(key);
  if (!repeats || !isStep || !useGraphs)
    return execute(entry, code, call, then);
  if (graph)
    driver->GraphExecDestroy(graph);
  graph = nullptr;
  return capture(entry, code, call, then);
}

} // namespace

Status xfm::openCudaDevice(const Folder &folder, const Manifest &manifest, int64_t ordinal, bool graphs,
                           std::unique_ptr<Device> &out) {
  auto device = std::make_unique<CudaDevice>();
  if (Status status = device->open(folder, manifest, ordinal, graphs); !status.ok())
    return status;
  out = std::move(device);
  return {};
}
