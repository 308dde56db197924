//===- TensorMaps.cpp - what TMA knows of tensors -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/TensorMaps.h"

#include "runtime/Tensor.h"

using namespace xfm;
using namespace xfm::cuda;

Status TensorMaps::encode(const Driver &driver, const KernelSpec &kernel, const TensorMapSpec &map,
                          const uint64_t *words, CUtensorMap &out) {
  size_t rank = map.dims.size();
  uint64_t dims[5], strides[5];
  uint32_t box[5], ones[5] = {1, 1, 1, 1, 1};
  // The driver counts from the innermost dimension on.
  std::vector<uint64_t> key{words[map.word], reinterpret_cast<uint64_t>(&map)};
  uint64_t stride = xfm_dtype_size(map.dtype);
  for (size_t i = 0; i < rank; ++i) {
    const MapDim &dim = map.dims[rank - 1 - i];
    dims[i] = static_cast<uint64_t>(dim.factor);
    for (int64_t word : dim.words)
      dims[i] *= words[word];
    box[i] = static_cast<uint32_t>(map.box[rank - 1 - i]);
    stride *= dims[i];
    strides[i] = stride; // of the next dimension
    key.push_back(dims[i]);
  }
  if (maps.size() >= mostMaps && maps.find(key) == maps.end())
    maps.clear();
  auto [found, isNew] = maps.try_emplace(std::move(key));
  if (!isNew) {
    out = found->second;
    return {};
  }
  if (!driver.TensorMapEncodeTiled)
    return fail(XFM_DEVICE_ERROR, "kernel ", quote(kernel.symbol),
                " needs tensor maps: update NVIDIA's driver to one of CUDA 12");
  auto type = map.dtype == XFM_F32    ? CU_TENSOR_MAP_DATA_TYPE_FLOAT32
              : map.dtype == XFM_F16  ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
              : map.dtype == XFM_BF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
              : map.dtype == XFM_I32  ? CU_TENSOR_MAP_DATA_TYPE_INT32
              : map.dtype == XFM_I64  ? CU_TENSOR_MAP_DATA_TYPE_INT64
                                      : CU_TENSOR_MAP_DATA_TYPE_UINT8;
  auto swizzle = map.swizzle == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
                 : map.swizzle == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                 : map.swizzle == 32 ? CU_TENSOR_MAP_SWIZZLE_32B
                                     : CU_TENSOR_MAP_SWIZZLE_NONE;
  CUresult code = driver.TensorMapEncodeTiled(
      &found->second, type, static_cast<uint32_t>(rank), reinterpret_cast<void *>(words[map.word]), dims,
      strides, box, ones, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code) {
    maps.erase(found);
    return driver.error(code, "kernel " + quote(kernel.symbol) + ": a tensor map is refused");
  }
  out = found->second;
  return {};
}
