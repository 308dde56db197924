//===- Unicode.cpp - Normal forms and lower case ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <vector>

namespace xfm::text {

namespace {
struct Decomposition {
  char32_t code, first, second; ///< `second` is 0 for a singleton
  int composes;                 ///< 0 where NFC must not compose it again
};
struct Range {
  char32_t first, last;
  int step, value;
};
} // namespace

#include "runtime/text/UnicodeTables.inc"

// Hangul syllables, from section 3.12 of the Unicode Standard.
static constexpr char32_t hangulBase = 0xAC00, leadBase = 0x1100, vowelBase = 0x1161, trailBase = 0x11A7;
static constexpr char32_t leads = 19, vowels = 21, trails = 28;

template <size_t size> static int lookUp(const Range (&table)[size], char32_t code) {
  const Range *found = std::lower_bound(std::begin(table), std::end(table), code,
                                        [](const Range &range, char32_t key) { return range.last < key; });
  if (found == std::end(table) || code < found->first || (code - found->first) % found->step != 0)
    return 0;
  return found->value;
}

static int combiningClass(char32_t code) { return code < 0x300 ? 0 : lookUp(combiningClasses, code); }

static void decompose(char32_t code, std::u32string &out) {
  if (code < 0xC0) {
    out += code;
    return;
  }
  if (char32_t index = code - hangulBase; index < leads * vowels * trails) {
    out += leadBase + index / (vowels * trails);
    out += vowelBase + index % (vowels * trails) / trails;
    if (index % trails != 0)
      out += trailBase + index % trails;
    return;
  }
  const Decomposition *found =
      std::lower_bound(std::begin(decompositions), std::end(decompositions), code,
                       [](const Decomposition &entry, char32_t key) { return entry.code < key; });
  if (found == std::end(decompositions) || found->code != code) {
    out += code;
    return;
  }
  decompose(found->first, out);
  if (found->second != 0)
    decompose(found->second, out);
}

/// Combining marks after a starter, in the order of their classes.
static void orderMarks(std::u32string &codes) {
  for (size_t begin = 0; begin < codes.size();) {
    if (combiningClass(codes[begin]) == 0) {
      ++begin;
      continue;
    }
    size_t end = begin + 1;
    while (end < codes.size() && combiningClass(codes[end]) != 0)
      ++end;
    std::vector<uint64_t>
        keys; // class, place in the run, code point: sorting them is stable and never quadratic
    for (size_t i = begin; i < end; ++i)
      keys.push_back(uint64_t(combiningClass(codes[i])) << 56 | uint64_t(i - begin) << 21 | codes[i]);
    std::sort(keys.begin(), keys.end());
    for (size_t i = begin; i < end; ++i)
      codes[i] = keys[i - begin] & 0x1FFFFF;
    begin = end;
  }
}

/// The code point that NFC puts for a pair; 0 if there is none.
static char32_t composePair(char32_t first, char32_t second) {
  if (first - leadBase < leads && second - vowelBase < vowels)
    return hangulBase + ((first - leadBase) * vowels + (second - vowelBase)) * trails;
  if (first - hangulBase < leads * vowels * trails && (first - hangulBase) % trails == 0 &&
      second - trailBase - 1 < trails - 1)
    return first + (second - trailBase);
  static const auto pairs = [] {
    std::unordered_map<uint64_t, char32_t> map;
    for (const Decomposition &entry : decompositions)
      if (entry.composes)
        map.emplace(uint64_t(entry.first) << 32 | entry.second, entry.code);
    return map;
  }();
  auto found = pairs.find(uint64_t(first) << 32 | second);
  return found == pairs.end() ? 0 : found->second;
}

static void compose(std::u32string &codes) {
  size_t starter = std::u32string::npos, length = 0;
  int last = -1; // class of the last mark kept after the starter; -1 directly behind it
  for (char32_t code : codes) {
    int own = combiningClass(code);
    if (starter != std::u32string::npos && last < own) {
      if (char32_t composed = composePair(codes[starter], code)) {
        codes[starter] = composed;
        continue;
      }
    }
    if (own == 0) {
      starter = length;
      last = -1;
    } else {
      last = own;
    }
    codes[length++] = code;
  }
  codes.resize(length);
}

static std::u32string decomposeAll(std::string_view text) {
  std::u32string codes;
  codes.reserve(text.size());
  for (size_t position = 0; position < text.size();)
    decompose(nextCodePoint(text, position), codes);
  orderMarks(codes);
  return codes;
}

static std::string encode(const std::u32string &codes) {
  std::string text;
  text.reserve(codes.size());
  for (char32_t code : codes)
    appendUtf8(text, code);
  return text;
}

std::string toNFD(std::string_view text) {
  return isAscii(text) ? std::string(text) : encode(decomposeAll(text));
}

std::string toNFC(std::string_view text) {
  if (isAscii(text))
    return std::string(text);
  std::u32string codes = decomposeAll(text);
  compose(codes);
  return encode(codes);
}

std::string toLower(std::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    char32_t code = nextCodePoint(text, position);
    if (code == 0x130) // the one letter whose lower case is two code points
      lower += "i\xCC\x87";
    else
      appendUtf8(lower, code + lookUp(lowerCases, code));
  }
  return lower;
}

bool isAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; });
}

} // namespace xfm::text
