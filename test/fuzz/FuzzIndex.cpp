//===- FuzzIndex.cpp - model.safetensors.index.json ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The input is the index of a folder with two shards.
//
//===----------------------------------------------------------------------===//

#include "test/fuzz/Fuzz.h"
#include "weights/Checkpoint.h"

using namespace mlir::transformer;

/// A shard with two tensors of two values.
static std::string shard() {
  std::string header = R"({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},)"
                       R"( "y": {"dtype": "BF16", "shape": [2, 1], "data_offsets": [8, 12]}})";
  header.resize(256, ' ');
  return std::string("\0\1\0\0\0\0\0\0", 8) + header + std::string(12, '\0');
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static fuzz::Folder folder;
  static bool isPrepared = [] {
    folder.write("a.safetensors", shard());
    folder.write("b.safetensors", shard());
    return true;
  }();
  (void)isPrepared;
  folder.write("model.safetensors.index.json", {reinterpret_cast<const char *>(data), size});
  WeightStore store(folder.path);
  llvm::Expected<Checkpoint> checkpoint = Checkpoint::open(store);
  if (!checkpoint) {
    fuzz::checkMessage(llvm::toString(checkpoint.takeError()), folder.path);
    return 0;
  }
  for (auto [name, shape] : {std::pair<const char *, std::vector<int64_t>>{"x", {2}}, {"y", {2, 1}}}) {
    bool isNamed = checkpoint->contains(name);
    if (llvm::Error error = checkpoint->require(name, shape))
      fuzz::checkMessage(llvm::toString(std::move(error)), folder.path);
    else
      FUZZ_CHECK(isNamed);
  }
  for (const Checkpoint::Required &tensor : checkpoint->used())
    FUZZ_CHECK(isPlainFileName(tensor.entry->file));
  checkpoint->unused();
  return 0;
}
