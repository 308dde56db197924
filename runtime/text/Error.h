//===- Error.h - What the text library throws ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_ERROR_H
#define XFM_RUNTIME_TEXT_ERROR_H

#include <stdexcept>
#include <string>

namespace xfm::text {

/// One line: what is wrong, where, and what to do where that is known.
/// What files say in it cannot make it more: control characters are escaped, and it is cut.
class Error : public std::runtime_error {
public:
  explicit Error(const std::string &what) : std::runtime_error(oneLine(what)) {}

private:
  static std::string oneLine(const std::string &text) {
    constexpr size_t longest = 1000;
    std::string line;
    for (unsigned char c : text) {
      // Not in the middle of a character of UTF-8.
      if (line.size() >= longest && (c & 0xC0) != 0x80)
        return line + "…";
      if (c >= 0x20 && c != 0x7F) {
        line += char(c);
        continue;
      }
      const char *digits = "0123456789abcdef";
      line += c == '\n' ? "\\n" : std::string("\\x") + digits[c >> 4] + digits[c & 15];
    }
    return line;
  }
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_ERROR_H
