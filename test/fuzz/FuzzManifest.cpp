//===- FuzzManifest.cpp - manifests of artifacts -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The input is a manifest without its checksum, which is put under it: what
// follows the checksum's test is what matters.
//
//===----------------------------------------------------------------------===//

#include "runtime/Hash.h"
#include "runtime/Manifest.h"
#include "test/fuzz/Fuzz.h"

static const char *const name = "manifest.json";

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string text(reinterpret_cast<const char *>(data), size);
  xfm::Manifest manifest;
  if (xfm::Status status = xfm::parseManifest(text, name, manifest); !status.ok())
    fuzz::checkMessage(status.message, name);
  text += ",\n  \"checksum\": \"" + xfm::hexDigits(xfm::hashBytes(data, size)) + "\"\n}\n";
  manifest = {};
  if (xfm::Status status = xfm::parseManifest(text, name, manifest); !status.ok()) {
    fuzz::checkMessage(status.message, name);
    return 0;
  }
  FUZZ_CHECK(manifest.findFile("module.so"));
  for (const xfm::FileSpec &file : manifest.files)
    FUZZ_CHECK(file.name.find('/') == (file.name.rfind("kernels/", 0) == 0 ? 7 : std::string::npos) &&
               file.name.find('/', 8) == std::string::npos && file.bytes >= 0);
  FUZZ_CHECK(manifest.kernels.empty() != manifest.target.isGPU());
  for (const xfm::KernelSet &set : manifest.kernels) {
    FUZZ_CHECK(set.capability() >= 10 && set.table.size() == manifest.kernels[0].table.size());
    FUZZ_CHECK(!set.ptx.empty() || !set.cubin.empty());
    for (const xfm::KernelSpec &kernel : set.table)
      for (const xfm::TensorMapSpec &map : kernel.maps) {
        FUZZ_CHECK(map.word < kernel.words && map.box.size() == map.dims.size() && map.dims.size() <= 5);
        for (const xfm::MapDim &dim : map.dims)
          for (int64_t word : dim.words)
            FUZZ_CHECK(word >= 0 && word < kernel.words);
      }
  }
  for (const xfm::EntryPoint &entry : manifest.entryPoints) {
    std::vector<int64_t> sizes(entry.sizes.size(), 7);
    xfm::evaluate(entry.arena, sizes, 1);
    for (size_t cache : entry.caches)
      FUZZ_CHECK(cache < manifest.caches.size());
    for (const auto *tensors : {&entry.inputs, &entry.outputs})
      for (const xfm::TensorSpec &tensor : *tensors)
        for (const xfm::Dim &dim : tensor.dims)
          FUZZ_CHECK(dim.symbol.empty() ? dim.extent >= 0 : size_t(dim.size) < entry.sizes.size());
  }
  return 0;
}
