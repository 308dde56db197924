//===- CudaDevice.h - a GPU by the CUDA driver --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_CUDA_CUDADEVICE_H
#define XFM_RUNTIME_CUDA_CUDADEVICE_H

#include "runtime/Device.h"
#include "runtime/File.h"

#include <memory>
#include <string>
#include <vector>

namespace xfm {

/// "cuda" or "cuda:N"; false for anything else.
bool parseCudaDevice(const std::string &text, int64_t &ordinal);

/// Opens GPU number `ordinal` and loads the artifact's kernels for its architecture: a cubin that it
/// runs, else PTX, which the driver compiles. `graphs`: steps that are called again are recorded.
Status openCudaDevice(const Folder &folder, const Manifest &manifest, int64_t ordinal, bool graphs,
                      std::unique_ptr<Device> &out);

/// The set of kernels for a GPU of compute capability `capability` (90 for 9.0), and whether its
/// cubin is taken rather than its PTX; null where none runs on it.
const KernelSet *chooseKernels(const std::vector<KernelSet> &sets, int64_t capability, bool &useCubin);

} // namespace xfm

#endif // XFM_RUNTIME_CUDA_CUDADEVICE_H
