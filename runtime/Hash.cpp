//===- Hash.cpp - XXH3-64 of bytes, as the manifest spells it -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace xfm;

uint64_t xfm::hashBytes(const void *data, size_t size) { return XXH3_64bits(data, size); }

std::string xfm::hexDigits(uint64_t hash) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; hash >>= 4)
    text[i] = "0123456789abcdef"[hash & 15];
  return text;
}

bool xfm::parseHexDigits(std::string_view text, uint64_t &out) {
  if (text.size() != 16)
    return false;
  uint64_t value = 0;
  for (char c : text) {
    bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f'))
      return false;
    value = value << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  out = value;
  return true;
}
