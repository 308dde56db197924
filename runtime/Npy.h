//===- Npy.h - tensors in .npy files --------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_NPY_H
#define XFM_RUNTIME_NPY_H

#include "runtime/Status.h"

#include <vector>

namespace xfm {

/// A dense row-major tensor read from a file.
struct NpyArray {
  xfm_dtype dtype = XFM_F32;  ///< f32, f16, i32, i64 or i8
  std::vector<int64_t> shape; ///< at most XFM_MAX_RANK dimensions
  std::vector<char> data;

  xfm_tensor tensor() const;
};

struct NpyReadOptions {
  bool narrowF64 = false; ///< read f8 as f32 instead of refusing it
};

/// Reads a file of version 1 or 2, little endian, in C order. Its size must be
/// exactly what its header says.
Status readNpy(const std::string &path, const NpyReadOptions &options, NpyArray &out);

/// Writes version 1. bf16, which the format lacks, is written as f4, exactly.
/// The file appears under its name only when it is whole.
Status writeNpy(const std::string &path, const xfm_tensor &tensor);

} // namespace xfm

#endif // XFM_RUNTIME_NPY_H
