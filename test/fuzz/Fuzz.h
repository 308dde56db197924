//===- Fuzz.h - what the fuzz targets share ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

/// Ends the process where a property of the target does not hold.
#define FUZZ_CHECK(condition)                                                                                \
  do {                                                                                                       \
    if (!(condition)) {                                                                                      \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                    \
      std::abort();                                                                                          \
    }                                                                                                        \
  } while (false)

namespace fuzz {

/// A refusal is one line, not too long, and names the place.
inline void checkMessage(std::string_view message, std::string_view place) {
  FUZZ_CHECK(!message.empty() && message.find('\n') == std::string_view::npos);
  FUZZ_CHECK(message.size() < 4096 + place.size());
  FUZZ_CHECK(message.find(place) != std::string_view::npos);
}

/// A folder that is removed at the end of the process.
class Folder {
public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "xfm-fuzz-XXXXXX").string();
    FUZZ_CHECK(mkdtemp(pattern.data()));
    path = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Folder(const Folder &) = delete;

  void write(const std::string &name, const std::string &text) const {
    std::ofstream(path + "/" + name, std::ios::binary) << text;
  }

  std::string path;
};

} // namespace fuzz

#endif // TEST_FUZZ_FUZZ_H
