//===- Safetensors.h - the tensors of a mapped safetensors file -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_SAFETENSORS_H
#define XFM_RUNTIME_SAFETENSORS_H

#include "runtime/Status.h"

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace xfm {

struct StoredTensor {
  std::string dtype; ///< as the file spells it: "F32", "BF16", "U8" …
  std::vector<int64_t> shape;
  std::string_view data; ///< inside the file's bytes
};

using StoredTensors = std::unordered_map<std::string, StoredTensor>;

/// Reads the header of `file`. Every tensor's data is checked to lie inside the
/// file and to be as long as its shape and type say. `path` is for messages.
Status parseSafetensors(std::string_view file, const std::string &path, StoredTensors &out);

} // namespace xfm

#endif // XFM_RUNTIME_SAFETENSORS_H
