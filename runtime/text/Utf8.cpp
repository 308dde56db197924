//===- Utf8.cpp - Valid UTF-8, in pieces --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Utf8.h"

namespace xfm::text {

namespace {
enum class Form { valid, incomplete, invalid };
struct Sequence {
  Form form;
  size_t length; ///< bytes of the sequence, of its present part, or of the maximal ill-formed subpart
};
} // namespace

static constexpr std::string_view replacementCharacter = "\xEF\xBF\xBD";

static Sequence sequenceAt(std::string_view text, size_t position) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(position);
  if (lead < 0x80)
    return {Form::valid, 1};
  if (lead < 0xC2 || lead > 0xF4)
    return {Form::invalid, 1};
  size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte is narrowed where a sequence would be overlong, a surrogate or above U+10FFFF.
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
    if (position + i == text.size())
      return {Form::incomplete, i};
    if (byte(position + i) < low || byte(position + i) > high)
      return {Form::invalid, i};
  }
  return {Form::valid, length};
}

size_t findInvalidUtf8(std::string_view text) {
  for (size_t position = 0; position < text.size();) {
    Sequence sequence = sequenceAt(text, position);
    if (sequence.form != Form::valid)
      return position;
    position += sequence.length;
  }
  return std::string_view::npos;
}

char32_t nextCodePoint(std::string_view text, size_t &position) {
  unsigned char lead = static_cast<unsigned char>(text[position++]);
  if (lead < 0x80)
    return lead;
  int rest = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  char32_t code = lead & (0x3F >> rest);
  for (; rest > 0 && position < text.size(); --rest)
    code = code << 6 | (static_cast<unsigned char>(text[position++]) & 0x3F);
  return code;
}

size_t previousBoundary(std::string_view text, size_t end) {
  do
    --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

void appendUtf8(std::string &text, char32_t code) {
  auto tail = [&](int shift) { text += static_cast<char>(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xC0 | code >> 6);
    tail(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xE0 | code >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | code >> 18);
    tail(12), tail(6), tail(0);
  }
}

std::vector<char32_t> toCodePoints(std::string_view text) {
  std::vector<char32_t> codes;
  codes.reserve(text.size());
  for (size_t position = 0; position < text.size();)
    codes.push_back(nextCodePoint(text, position));
  return codes;
}

bool isWhiteSpace(char32_t code) {
  return (code >= 0x9 && code <= 0xD) || code == 0x20 || code == 0x85 || code == 0xA0 || code == 0x1680 ||
         (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

void Utf8Repair::push(std::string_view bytes, std::string &out) {
  pending += bytes;
  size_t position = 0;
  while (position < pending.size()) {
    Sequence sequence = sequenceAt(pending, position);
    if (sequence.form == Form::incomplete)
      break;
    out += sequence.form == Form::valid ? std::string_view(pending).substr(position, sequence.length)
                                        : replacementCharacter;
    position += sequence.length;
  }
  pending.erase(0, position);
}

void Utf8Repair::finish(std::string &out) {
  if (!pending.empty())
    out += replacementCharacter;
  pending.clear();
}

} // namespace xfm::text
