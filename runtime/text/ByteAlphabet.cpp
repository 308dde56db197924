//===- ByteAlphabet.cpp - Bytes written as letters ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Utf8.h"

#include <array>

namespace xfm::text {

static constexpr int letterCount = 0x144;

namespace {
struct Alphabet {
  std::array<std::string, 256> letters;
  std::array<int, letterCount> bytes;

  Alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      bool visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      char32_t letter = visible ? char32_t(byte) : next++;
      appendUtf8(letters[byte], letter);
      bytes[letter] = byte;
    }
  }
};
} // namespace

static const Alphabet &alphabet() {
  static const Alphabet instance;
  return instance;
}

std::string toByteAlphabet(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (unsigned char byte : text)
    out += alphabet().letters[byte];
  return out;
}

std::optional<std::string> fromByteAlphabet(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    char32_t letter = nextCodePoint(text, position);
    if (letter >= letterCount || alphabet().bytes[letter] < 0)
      return std::nullopt;
    out += static_cast<char>(alphabet().bytes[letter]);
  }
  return out;
}

} // namespace xfm::text
