//===- Safetensors.h - the safetensors header -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_SAFETENSORS_H
#define WEIGHTS_SAFETENSORS_H

#include "mlir/Support/LLVM.h"
#include "weights/Dtype.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer {

/// A tensor of a file: where its bytes lie and what they are.
struct StoredTensor {
  Dtype dtype;
  SmallVector<int64_t, 4> shape;
  uint64_t offset; // from the start of the file
  uint64_t bytes;
};

/// Reads and checks the header of a safetensors file: eight bytes of length,
/// a JSON object, the data. Every tensor it returns lies inside `file` and
/// overlaps no other. `path` starts the message of an error.
llvm::Expected<llvm::StringMap<StoredTensor>> parseSafetensors(ArrayRef<char> file, StringRef path);

/// The bytes of a tensor, or nothing where a dimension is negative or the
/// product does not fit in 63 bits.
std::optional<uint64_t> byteSize(ArrayRef<int64_t> shape, Dtype dtype);

} // namespace mlir::transformer

#endif // WEIGHTS_SAFETENSORS_H
