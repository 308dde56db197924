//===- Tensor.cpp - shapes and element types ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Tensor.h"
#include "runtime/xfm_abi.h"

#include <algorithm>

using namespace xfm;

namespace {
struct DtypeRow {
  const char *name;
  size_t bytes;
};
} // namespace

/// In the order of xfm_dtype.
static constexpr DtypeRow dtypes[] = {{"f32", 4}, {"f16", 2}, {"bf16", 2}, {"i32", 4}, {"i64", 8}, {"i8", 1}};
static constexpr size_t dtypeCount = sizeof dtypes / sizeof *dtypes;

std::optional<xfm_dtype> xfm::dtypeByName(std::string_view name) {
  for (size_t i = 0; i < dtypeCount; ++i)
    if (name == dtypes[i].name)
      return static_cast<xfm_dtype>(i);
  return std::nullopt;
}

bool xfm::isDtype(xfm_dtype dtype) { return static_cast<unsigned>(dtype) < dtypeCount; }

bool xfm::isInteger(xfm_dtype dtype) { return dtype == XFM_I32 || dtype == XFM_I64 || dtype == XFM_I8; }

bool xfm::multiply(int64_t a, int64_t b, int64_t &out) { return !__builtin_mul_overflow(a, b, &out); }

bool xfm::alignUp(int64_t value, int64_t &out) {
  if (__builtin_add_overflow(value, int64_t{XFM_BUFFER_ALIGNMENT - 1}, &out))
    return false;
  out -= out % XFM_BUFFER_ALIGNMENT;
  return true;
}

bool xfm::byteSize(const int64_t *dims, size_t rank, int64_t elementBytes, int64_t &out) {
  // A zero among the dimensions must not hide that the others overflow: strides
  // are computed from them all the same.
  int64_t bound = elementBytes;
  bool empty = false;
  for (size_t i = 0; i < rank; ++i) {
    empty |= dims[i] == 0;
    if (dims[i] < 0 || !multiply(bound, std::max<int64_t>(dims[i], 1), bound))
      return false;
  }
  out = empty ? 0 : bound;
  return true;
}

std::string xfm::shapeText(const int64_t *dims, size_t rank) {
  std::string text = "[";
  for (size_t i = 0; i < rank; ++i)
    text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

std::string xfm::shapeText(const std::vector<Dim> &dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i) {
    text += i ? ", " : "";
    text += dims[i].symbol.empty() ? std::to_string(dims[i].extent) : dims[i].symbol;
  }
  return text + "]";
}

extern "C" {

const char *xfm_dtype_name(xfm_dtype dtype) { return isDtype(dtype) ? dtypes[dtype].name : "unknown"; }

size_t xfm_dtype_size(xfm_dtype dtype) { return isDtype(dtype) ? dtypes[dtype].bytes : 0; }

} // extern "C"
