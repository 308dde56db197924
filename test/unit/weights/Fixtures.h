//===- Fixtures.h - temporary folders and safetensors files ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_UNIT_WEIGHTS_FIXTURES_H
#define TEST_UNIT_WEIGHTS_FIXTURES_H

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"
#include "gtest/gtest.h"

#include <cstring>
#include <filesystem>

namespace mlir::transformer::test {

/// A folder that goes away with the object.
class TempFolder {
public:
  TempFolder() {
    if (std::error_code code = llvm::sys::fs::createUniqueDirectory("xfm-test", path))
      llvm::report_fatal_error(llvm::Twine("no temporary folder: ") + code.message());
  }
  ~TempFolder() {
    std::error_code ignored; // LLVM's function leaves pipes
    std::filesystem::remove_all(path.str().str(), ignored);
  }

  std::string file(llvm::StringRef name) const {
    llvm::SmallString<128> result(path);
    llvm::sys::path::append(result, name);
    return result.str().str();
  }
  std::string str() const { return path.str().str(); }

  void write(llvm::StringRef name, llvm::StringRef bytes) const {
    std::error_code code;
    llvm::raw_fd_ostream os(file(name), code);
    ASSERT_FALSE(code) << code.message();
    os << bytes;
  }

  /// The names in the folder.
  std::vector<std::string> list() const {
    std::vector<std::string> names;
    std::error_code code;
    for (llvm::sys::fs::directory_iterator it(path, code), end; it != end && !code; it.increment(code))
      names.push_back(llvm::sys::path::filename(it->path()).str());
    llvm::sort(names);
    return names;
  }

private:
  llvm::SmallString<128> path;
};

/// A safetensors file of a header and data that need not fit together.
inline std::string rawSafetensors(llvm::StringRef header, llvm::StringRef data) {
  uint64_t length = header.size();
  std::string file(reinterpret_cast<const char *>(&length), sizeof(length));
  return file + header.str() + data.str();
}

/// Collects tensors and lays them out one after another.
class SafetensorsBuilder {
public:
  template <typename T>
  SafetensorsBuilder &add(llvm::StringRef name, llvm::StringRef dtype, std::vector<int64_t> shape,
                          const std::vector<T> &values) {
    std::string bytes(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T));
    return addBytes(name, dtype, shape, bytes);
  }

  SafetensorsBuilder &addBytes(llvm::StringRef name, llvm::StringRef dtype, std::vector<int64_t> shape,
                               llvm::StringRef bytes) {
    header[name.str()] = // a key that is a reference would not outlive some names
        llvm::json::Object{{"dtype", dtype.str()},
                           {"shape", llvm::json::Array(shape)},
                           {"data_offsets", llvm::json::Array{data.size(), data.size() + bytes.size()}}};
    data += bytes;
    return *this;
  }

  std::string build() const {
    return rawSafetensors(llvm::formatv("{0}", llvm::json::Value(llvm::json::Object(header))).str(), data);
  }

private:
  llvm::json::Object header;
  std::string data;
};

/// The message of an error, or "" where there is none.
template <typename T> std::string messageOf(llvm::Expected<T> &&result) {
  return result ? std::string() : llvm::toString(result.takeError());
}
inline std::string messageOf(llvm::Error error) { return llvm::toString(std::move(error)); }

/// That `text` contains every one of `parts` and is one line.
inline void expectMessage(const std::string &text, std::vector<std::string> parts) {
  EXPECT_FALSE(text.empty()) << "expected an error";
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  for (const std::string &part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "expected \"" << part << "\" in: " << text;
}

} // namespace mlir::transformer::test

#endif // TEST_UNIT_WEIGHTS_FIXTURES_H
