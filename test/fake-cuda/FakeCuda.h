//===- FakeCuda.h - a CUDA driver of the tests --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_FAKE_CUDA_FAKECUDA_H
#define TEST_FAKE_CUDA_FAKECUDA_H

#include <cstddef>
#include <cstdint>

extern "C" {

/// Runs a kernel: its name, grid, block and parameters as the driver got them. False: the launch fails, as
/// the device tells later.
typedef bool (*FakeCudaKernel)(void *user, const char *symbol, unsigned blocks, unsigned threads,
                               unsigned shared, const char *parameters, size_t bytes);

/// What goes wrong; a number counts down, and at its end the call of that kind fails. Zero: nothing.
struct FakeCudaFaults {
  int outOfMemoryAt, pinnedMemoryAt, uploadFailureAt, readFailureAt, launchFailureAt, graphFailureAt,
      loseAtLaunch, loseAtSynchronization;
  bool refusePtx, refuseCapture, refuseInstantiation, noDevices;
  int capability; ///< of the device; 0: 80
};
struct FakeCudaCounts {
  int launches, graphs, graphLaunches, allocations, tensorMaps;
  int fills;        ///< of memory by the driver
  int lastCluster;  ///< of the last launch
  int lastOverlaps; ///< whether the last launch may begin before those ahead of it are done
  bool loadedPtx;
};
/// What the last tensor map was encoded from, innermost dimension first.
struct FakeCudaTensorMap {
  int type, swizzle;
  uint32_t rank;
  void *address;
  uint64_t dims[5], strides[5];
  uint32_t box[5];
};

typedef FakeCudaFaults *(*FakeCudaFaultsFn)();
typedef FakeCudaCounts *(*FakeCudaCountsFn)();
typedef const char *(*FakeCudaComplaintFn)();
typedef const FakeCudaTensorMap *(*FakeCudaTensorMapFn)();
typedef void (*FakeCudaResetFn)(FakeCudaKernel kernel, void *user);
}

#endif // TEST_FAKE_CUDA_FAKECUDA_H
