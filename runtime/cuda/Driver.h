//===- Driver.h - the CUDA driver, by dlopen ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The part of the CUDA driver API that this runtime calls, declared here, so that neither
// building nor starting it needs CUDA. Names and values are those of NVIDIA's
// documentation ("CUDA Driver API").
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_CUDA_DRIVER_H
#define XFM_RUNTIME_CUDA_DRIVER_H

#include "runtime/Status.h"

#include <cstddef>
#include <cstdint>

namespace xfm::cuda {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;
using CUcontext = struct CUctx_st *;
using CUstream = struct CUstream_st *;
using CUevent = struct CUevent_st *;
using CUmodule = struct CUmod_st *;
using CUfunction = struct CUfunc_st *;
using CUgraph = struct CUgraph_st *;
using CUgraphExec = struct CUgraphExec_st *;

enum : CUresult {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
};
enum CUdevice_attribute {
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
};
enum CUfunction_attribute { CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8 };
enum CUjit_option { CU_JIT_ERROR_LOG_BUFFER = 5, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES = 6 };
enum CUstreamCaptureMode { CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1 };
enum CUlaunchAttributeID {
  CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION = 4,
  CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION = 6,
};

struct CUlaunchAttribute {
  CUlaunchAttributeID id;
  char pad[8 - sizeof(CUlaunchAttributeID)];
  union {
    char pad[64];
    struct {
      unsigned x, y, z;
    } clusterDim;
    int programmaticStreamSerializationAllowed;
  } value;
};
struct CUlaunchConfig {
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute *attrs;
  unsigned numAttrs;
};
inline void *const CU_LAUNCH_PARAM_END = nullptr;
inline void *const CU_LAUNCH_PARAM_BUFFER_POINTER = reinterpret_cast<void *>(uintptr_t{1});
inline void *const CU_LAUNCH_PARAM_BUFFER_SIZE = reinterpret_cast<void *>(uintptr_t{2});

struct alignas(64) CUtensorMap {
  uint64_t opaque[16];
};
enum CUtensorMapDataType {
  CU_TENSOR_MAP_DATA_TYPE_UINT8 = 0,
  CU_TENSOR_MAP_DATA_TYPE_INT32 = 3,
  CU_TENSOR_MAP_DATA_TYPE_INT64 = 5,
  CU_TENSOR_MAP_DATA_TYPE_FLOAT16 = 6,
  CU_TENSOR_MAP_DATA_TYPE_FLOAT32 = 7,
  CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 = 9,
};
enum CUtensorMapInterleave { CU_TENSOR_MAP_INTERLEAVE_NONE = 0 };
enum CUtensorMapSwizzle {
  CU_TENSOR_MAP_SWIZZLE_NONE = 0,
  CU_TENSOR_MAP_SWIZZLE_32B = 1,
  CU_TENSOR_MAP_SWIZZLE_64B = 2,
  CU_TENSOR_MAP_SWIZZLE_128B = 3,
};
enum CUtensorMapL2promotion { CU_TENSOR_MAP_L2_PROMOTION_L2_128B = 2 };
enum CUtensorMapFloatOOBfill { CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE = 0 };

/// The driver's functions: X(name here, symbol of the library, parameters).
#define XFM_CUDA_FUNCTIONS(X)                                                                                \
  X(Init, "cuInit", (unsigned flags))                                                                        \
  X(DriverGetVersion, "cuDriverGetVersion", (int *version))                                                  \
  X(GetErrorName, "cuGetErrorName", (CUresult error, const char **text))                                     \
  X(GetErrorString, "cuGetErrorString", (CUresult error, const char **text))                                 \
  X(DeviceGetCount, "cuDeviceGetCount", (int *count))                                                        \
  X(DeviceGet, "cuDeviceGet", (CUdevice * device, int ordinal))                                              \
  X(DeviceGetName, "cuDeviceGetName", (char *name, int length, CUdevice device))                             \
  X(DeviceGetAttribute, "cuDeviceGetAttribute", (int *value, CUdevice_attribute attribute, CUdevice device)) \
  X(DevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext * context, CUdevice device))              \
  X(DevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice device))                              \
  X(CtxSetCurrent, "cuCtxSetCurrent", (CUcontext context))                                                   \
  X(MemGetInfo, "cuMemGetInfo_v2", (size_t *free, size_t *total))                                            \
  X(MemAlloc, "cuMemAlloc_v2", (CUdeviceptr * address, size_t bytes))                                        \
  X(MemFree, "cuMemFree_v2", (CUdeviceptr address))                                                          \
  X(MemAllocHost, "cuMemAllocHost_v2", (void **address, size_t bytes))                                       \
  X(MemFreeHost, "cuMemFreeHost", (void *address))                                                           \
  X(MemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                                                 \
    (CUdeviceptr to, const void *from, size_t bytes, CUstream stream))                                       \
  X(MemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void *to, CUdeviceptr from, size_t bytes, CUstream stream))    \
  X(MemsetD8Async, "cuMemsetD8Async", (CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream))  \
  X(StreamCreate, "cuStreamCreate", (CUstream * stream, unsigned flags))                                     \
  X(StreamDestroy, "cuStreamDestroy_v2", (CUstream stream))                                                  \
  X(StreamSynchronize, "cuStreamSynchronize", (CUstream stream))                                             \
  X(EventCreate, "cuEventCreate", (CUevent * event, unsigned flags))                                         \
  X(EventDestroy, "cuEventDestroy_v2", (CUevent event))                                                      \
  X(EventRecord, "cuEventRecord", (CUevent event, CUstream stream))                                          \
  X(EventSynchronize, "cuEventSynchronize", (CUevent event))                                                 \
  X(ModuleLoadDataEx, "cuModuleLoadDataEx",                                                                  \
    (CUmodule * module, const void *image, unsigned count, CUjit_option *options, void **values))            \
  X(ModuleUnload, "cuModuleUnload", (CUmodule module))                                                       \
  X(ModuleGetFunction, "cuModuleGetFunction", (CUfunction * function, CUmodule module, const char *name))    \
  X(FuncSetAttribute, "cuFuncSetAttribute",                                                                  \
    (CUfunction function, CUfunction_attribute attribute, int value))                                        \
  X(OccupancyMaxActiveBlocksPerMultiprocessor, "cuOccupancyMaxActiveBlocksPerMultiprocessor",                \
    (int *blocks, CUfunction function, int threads, size_t shared))                                          \
  X(OccupancyMaxActiveClusters, "cuOccupancyMaxActiveClusters",                                              \
    (int *clusters, CUfunction function, const CUlaunchConfig *config))                                      \
  X(LaunchKernelEx, "cuLaunchKernelEx",                                                                      \
    (const CUlaunchConfig *config, CUfunction function, void **parameters, void **extra))                    \
  X(StreamBeginCapture, "cuStreamBeginCapture_v2", (CUstream stream, CUstreamCaptureMode mode))              \
  X(StreamEndCapture, "cuStreamEndCapture", (CUstream stream, CUgraph * graph))                              \
  X(GraphInstantiateWithFlags, "cuGraphInstantiateWithFlags",                                                \
    (CUgraphExec * executable, CUgraph graph, unsigned long long flags))                                     \
  X(GraphLaunch, "cuGraphLaunch", (CUgraphExec executable, CUstream stream))                                 \
  X(GraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec executable))                                        \
  X(GraphDestroy, "cuGraphDestroy", (CUgraph graph))                                                         \
  X(TensorMapEncodeTiled, "cuTensorMapEncodeTiled",                                                          \
    (CUtensorMap * map, CUtensorMapDataType type, uint32_t rank, void *address, const uint64_t *dims,        \
     const uint64_t *strides, const uint32_t *box, const uint32_t *elementStrides,                           \
     CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,         \
     CUtensorMapFloatOOBfill fill))

struct Driver {
#define XFM_CUDA_DECLARE(name, symbol, parameters) CUresult(*name) parameters = nullptr;
  XFM_CUDA_FUNCTIONS(XFM_CUDA_DECLARE)
#undef XFM_CUDA_DECLARE

  /// The process's driver, loaded and initialised on the first call.
  static Status get(const Driver *&out);

  /// A failed call as a status: `doing` says what it was for, `advice` what to do.
  Status error(CUresult code, const std::string &doing, const char *advice = "") const;

private:
  Status load();
};

} // namespace xfm::cuda

#endif // XFM_RUNTIME_CUDA_DRIVER_H
