//===- FakeArtifact.h - writes artifacts for tests ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TEST_UNIT_RUNTIME_FAKEARTIFACT_H
#define XFM_TEST_UNIT_RUNTIME_FAKEARTIFACT_H

#include "runtime/xfm.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace xfm::test {

/// A folder that is removed at the end.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  std::string file(const std::string &name) const { return path + "/" + name; }

  std::string path;
};

std::string readFile(const std::string &path);
void writeFile(const std::string &path, const std::string &bytes);

/// `body`, which lacks its closing "\n}\n", with a right checksum.
std::string withChecksum(const std::string &body);

/// The text of a manifest file with the given contents.
std::string manifestText(const nlohmann::json &manifest);

/// The bytes of a safetensors file with one tensor "bias", f32 [4], at 64 bytes.
std::string fakeWeights(float bias);

/// An artifact around fake_module.c. Change `manifest` or files, then write().
class FakeArtifact {
public:
  FakeArtifact();

  /// Writes the manifest as it is now, with a right checksum.
  void write() const;
  /// Replaces a file and its entry in `files`.
  void setFile(const std::string &name, const std::string &bytes);
  /// A folder for files inside the artifact.
  void makeFolder(const std::string &name) const;
  nlohmann::json &entry(const std::string &name);
  std::string file(const std::string &name) const { return folder.file(name); }
  const std::string &path() const { return folder.path; }

  nlohmann::json manifest;

private:
  TemporaryFolder folder;
};

/// Opens, expecting success.
xfm_model *openModel(const std::string &path);

/// Expects that opening fails so, with one line that holds `part`.
void expectRefused(const std::string &path, xfm_status status, const std::string &part);

/// A tensor over `data`.
template <typename T>
xfm_tensor tensorOf(const std::vector<T> &data, xfm_dtype dtype, const std::vector<int64_t> &dims) {
  xfm_tensor tensor = {};
  tensor.data = data.data();
  tensor.dtype = dtype;
  tensor.rank = static_cast<int32_t>(dims.size());
  for (size_t i = 0; i < dims.size(); ++i)
    tensor.dims[i] = dims[i];
  return tensor;
}

} // namespace xfm::test

#endif // XFM_TEST_UNIT_RUNTIME_FAKEARTIFACT_H
