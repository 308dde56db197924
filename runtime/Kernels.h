//===- Kernels.h - the kernels of a GPU artifact ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_KERNELS_H
#define XFM_RUNTIME_KERNELS_H

#include "runtime/Json.h"
#include "runtime/Tensor.h"

#include <string>
#include <vector>

namespace xfm {

/// A dimension of a tensor map: `factor` times the product of words of the launch.
struct MapDim {
  std::vector<int64_t> words;
  int64_t factor = 1;
};

/// How TMA sees a buffer of a launch; dimensions and box are outermost first.
struct TensorMapSpec {
  int64_t word = 0; ///< of its address
  xfm_dtype dtype = XFM_F32;
  int64_t swizzle = 0;
  std::vector<int64_t> box;
  std::vector<MapDim> dims;
};

/// A row of the table of kernels (codegen/GPU/README.md).
struct KernelSpec {
  std::string symbol;
  int64_t threads = 0, shared = 0, cluster = 1, words = 0;
  bool persistent = false;
  bool overlaps = false; ///< waits for the kernels ahead of it by itself
  std::vector<int64_t> tile;
  std::vector<TensorMapSpec> maps;
};

/// The kernels of one architecture; either file may be missing, not both.
struct KernelSet {
  std::string arch;
  std::string ptx, cubin; ///< names of files
  std::vector<KernelSpec> table;

  /// The compute capability of the name, 80 for sm_80, and whether it runs on no other (sm_90a).
  int64_t capability() const;
  bool isExact() const { return !arch.empty() && arch.back() == 'a'; }
};

/// Reads and validates the manifest's `kernels`.
std::vector<KernelSet> readKernels(const JsonReader &value);

} // namespace xfm

#endif // XFM_RUNTIME_KERNELS_H
