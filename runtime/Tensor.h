//===- Tensor.h - shapes and element types --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TENSOR_H
#define XFM_RUNTIME_TENSOR_H

#include "runtime/xfm.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace xfm {

/// One dimension of a tensor in the manifest: a number, or a symbol such as "S".
struct Dim {
  int64_t extent = -1; ///< -1 where symbolic
  std::string symbol;  ///< empty where a number
  int32_t size = -1;   ///< of a symbol: its index in the entry point's `sizes`
};

/// The values an integer input may hold: begin <= value < end.
struct ValueRange {
  int64_t begin = 0;
  int64_t end = 0;
};

struct TensorSpec {
  std::string name;
  xfm_dtype dtype = XFM_F32;
  std::vector<Dim> dims;
  std::optional<ValueRange> range;
};

/// The type spelled so in manifests ("bf16"); none where unknown.
std::optional<xfm_dtype> dtypeByName(std::string_view name);

/// Whether the value, which came over the C API, is one of the enumeration.
bool isDtype(xfm_dtype dtype);

bool isInteger(xfm_dtype dtype);

/// `a` * `b`, false where that does not fit. Both are >= 0.
bool multiply(int64_t a, int64_t b, int64_t &out);

/// `value` rounded up to a multiple of XFM_BUFFER_ALIGNMENT, false where that
/// does not fit.
bool alignUp(int64_t value, int64_t &out);

/// Bytes of a dense tensor, false where they do not fit in 63 bits.
bool byteSize(const int64_t *dims, size_t rank, int64_t elementBytes, int64_t &out);

/// A shape for messages: "[1, 512]", "[B, S]".
std::string shapeText(const int64_t *dims, size_t rank);
std::string shapeText(const std::vector<Dim> &dims);

} // namespace xfm

#endif // XFM_RUNTIME_TENSOR_H
