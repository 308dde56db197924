//===- FuzzSafetensors.cpp - headers of weight files ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Both readers of the format: the compiler's and the runtime's. Where both take
// a file, they must see the same tensors, each inside the file.
//
//===----------------------------------------------------------------------===//

#include "runtime/Safetensors.h"
#include "test/fuzz/Fuzz.h"
#include "weights/Safetensors.h"

using namespace mlir::transformer;

static const char *const name = "file";

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  llvm::ArrayRef<char> file(reinterpret_cast<const char *>(data), size);
  llvm::Expected<llvm::StringMap<StoredTensor>> tensors = parseSafetensors(file, name);
  xfm::StoredTensors others;
  xfm::Status status = xfm::parseSafetensors({file.data(), file.size()}, name, others);
  if (!tensors) {
    fuzz::checkMessage(llvm::toString(tensors.takeError()), name);
    return 0;
  }
  for (const auto &entry : *tensors) {
    const StoredTensor &tensor = entry.second;
    FUZZ_CHECK(tensor.offset <= size && tensor.bytes <= size - tensor.offset);
    if (!status.ok())
      continue;
    auto other = others.find(entry.first().str());
    FUZZ_CHECK(other != others.end());
    FUZZ_CHECK(other->second.data.size() == tensor.bytes);
    FUZZ_CHECK(other->second.data.data() == file.data() + tensor.offset);
    FUZZ_CHECK(llvm::ArrayRef<int64_t>(tensor.shape) == llvm::ArrayRef<int64_t>(other->second.shape));
  }
  FUZZ_CHECK(!status.ok() || others.size() == tensors->size());
  return 0;
}
