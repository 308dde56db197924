//===- TensorMaps.h - what TMA knows of tensors ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_CUDA_TENSORMAPS_H
#define XFM_RUNTIME_CUDA_TENSORMAPS_H

#include "runtime/Kernels.h"
#include "runtime/cuda/Driver.h"

#include <map>
#include <vector>

namespace xfm::cuda {

/// Tensor maps (PTX ISA, 5.5.8) of the launches of a device, each encoded once. A launch copies its maps, so
/// they may be forgotten at any time: all of them are when there are `mostMaps`, which only calls of ever
/// other sizes bring about.
class TensorMaps {
public:
  static constexpr size_t mostMaps = 4096;

  /// The map `map` of `kernel`, launched with `words`. Fails where the driver refuses it or knows no maps.
  Status encode(const Driver &driver, const KernelSpec &kernel, const TensorMapSpec &map,
                const uint64_t *words, CUtensorMap &out);
  size_t size() const { return maps.size(); }

private:
  std::map<std::vector<uint64_t>, CUtensorMap> maps; ///< by map, address and sizes
};

} // namespace xfm::cuda

#endif // XFM_RUNTIME_CUDA_TENSORMAPS_H
