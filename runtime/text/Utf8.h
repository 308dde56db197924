//===- Utf8.h - Valid UTF-8, in pieces ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_UTF8_H
#define XFM_RUNTIME_TEXT_UTF8_H

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace xfm::text {

/// Where the first ill-formed byte of `text` stands; npos if it is valid UTF-8.
size_t findInvalidUtf8(std::string_view text);

/// The code point at `position`, which moves behind it. `text` must be valid.
char32_t nextCodePoint(std::string_view text, size_t &position);

/// The start of the code point that ends at `end` > 0. `text` must be valid.
size_t previousBoundary(std::string_view text, size_t end);

void appendUtf8(std::string &text, char32_t codePoint);

std::vector<char32_t> toCodePoints(std::string_view text);

/// Whether Unicode calls it white space.
bool isWhiteSpace(char32_t codePoint);

/// Makes valid UTF-8 of bytes that arrive in pieces: an incomplete sequence waits for its rest, and every
/// maximal ill-formed subpart becomes one U+FFFD (Unicode 15, section 3.9).
class Utf8Repair {
public:
  /// Appends to `out` all that is certain after `bytes`.
  void push(std::string_view bytes, std::string &out);
  /// No more bytes: a waiting sequence becomes U+FFFD.
  void finish(std::string &out);

private:
  std::string pending;
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_UTF8_H
