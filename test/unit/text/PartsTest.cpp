//===- PartsTest.cpp - UTF-8, Unicode, patterns and the byte alphabet ---===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Error.h"
#include "runtime/text/PreTokenizer.h"
#include "runtime/text/Regex.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"
#include "test/unit/text/Support.h"

#include <gtest/gtest.h>

using namespace xfm;
using namespace xfm::text;

TEST(Utf8, FindsWhatIsInvalid) {
  EXPECT_EQ(findInvalidUtf8("aé€\U0001F600"), std::string::npos);
  for (const char *bad :
       {"\x80", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5", "\xE2\x82"})
    EXPECT_EQ(findInvalidUtf8(std::string("a") + bad), 1u);
}

TEST(Utf8, CodePointsRoundTrip) {
  for (char32_t code : {0x24u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text = "x";
    appendUtf8(text, code);
    EXPECT_EQ(findInvalidUtf8(text), std::string::npos);
    EXPECT_EQ(toCodePoints(text), (std::vector<char32_t>{'x', code}));
    EXPECT_EQ(previousBoundary(text, text.size()), 1u);
  }
}

TEST(Utf8, RepairWaitsAndReplaces) {
  // Pieces of every size give the same text.
  std::string bytes = "a\xE2\x82\xAC\xE2\x82z\xF0\x9F\x98\x80\xFF\xED\xA0\x80\xC3";
  std::string expected = "a€\uFFFDz\U0001F600\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD";
  for (size_t size = 1; size <= bytes.size(); ++size) {
    Utf8Repair repair;
    std::string out;
    for (size_t at = 0; at < bytes.size(); at += size) {
      repair.push(std::string_view(bytes).substr(at, size), out);
      EXPECT_EQ(findInvalidUtf8(out), std::string::npos);
    }
    repair.finish(out);
    EXPECT_EQ(out, expected) << size;
  }
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(toNFC("e\u0301"), "\u00E9");
  EXPECT_EQ(toNFD("\u00E9"), "e\u0301");
  EXPECT_EQ(toNFC("\u212B"), "\u00C5");             // a singleton
  EXPECT_EQ(toNFC("\u0958"), "\u0915\u093C");       // excluded from composition
  EXPECT_EQ(toNFD("\u1E69"), "s\u0323\u0307");      // decomposes twice, marks in order
  EXPECT_EQ(toNFC("s\u0307\u0323"), "\u1E69");      // marks are put in order first
  EXPECT_EQ(toNFC("\u1112\u1161\u11AB"), "\uD55C"); // Hangul
  EXPECT_EQ(toNFD("\uD55C"), "\u1112\u1161\u11AB");
  EXPECT_EQ(toNFC("a\u0315\u0300"), "\u00E0\u0315");  // a mark of another class does not block
  EXPECT_EQ(toNFC("a\u0305\u0300"), "a\u0305\u0300"); // one of the same class does
}

TEST(Unicode, LongRunsOfMarksAreFast) {
  std::string line = "a";
  for (int i = 0; i < 200000; ++i)
    line += i % 2 ? "\u0315" : "\u0323";
  EXPECT_EQ(toNFC(line).substr(0, 3), "\u1EA1");
}

TEST(Unicode, LowerCase) {
  EXPECT_EQ(toLower("AÉΩЖǅⅧ Ⓐ𐐀"), "aéωжǆⅷ ⓐ𐐨");
  EXPECT_EQ(toLower("İ"), "i\u0307");
  EXPECT_EQ(toLower("ΣΑΣ"), "σασ"); // no final sigma: each letter by itself
}

TEST(ByteAlphabet, EveryByteRoundTrips) {
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte)
    bytes += char(byte);
  std::string letters = toByteAlphabet(bytes);
  EXPECT_EQ(toCodePoints(letters).size(), 256u);
  EXPECT_EQ(fromByteAlphabet(letters), bytes);
  EXPECT_EQ(toByteAlphabet(" \n"), "ĠĊ");
  EXPECT_EQ(fromByteAlphabet("日"), std::nullopt);
}

TEST(Regex, WhatTheEnginesReadDifferently) {
  EXPECT_EQ(translatePattern("\\s+"), "[\\t-\\r\\x{85}\\p{Z}]+");
  EXPECT_EQ(translatePattern("[^\\s\\p{L}]"), "[^\\t-\\r\\x{85}\\p{Z}\\p{L}]");
  EXPECT_EQ(translatePattern("(?m:.)(?i:a)"), "(?s:.)(?i:a)");
  EXPECT_EQ(translatePattern("a{,2}b{1,3}"), "a{0,2}b{1,3}");
  EXPECT_EQ(translatePattern("\\p{L}{2}"), "\\p{L}{2}");
  EXPECT_EQ(translatePattern("\\u00e9"), "\\x{00e9}");
  EXPECT_EQ(translatePattern("[[:alpha:]]"), "[[:alpha:]]");
  EXPECT_NE(test::errorOf([] { translatePattern("[^a[bc]]"); }).find("a class inside a class"),
            std::string::npos);
  EXPECT_NE(test::errorOf([] { translatePattern("[a&&b]"); }).find("an intersection"), std::string::npos);
  EXPECT_NE(test::errorOf([] { translatePattern("a{1,2}+"); }).find("after an interval"), std::string::npos);
}

TEST(Regex, Matches) {
  std::string text = "aé b";
  std::vector<std::string> found;
  for (Span span : Regex("\\w+").matches(text))
    found.push_back(text.substr(span.begin, span.end - span.begin));
  EXPECT_EQ(found, (std::vector<std::string>{"aé", "b"}));
  EXPECT_EQ(Regex("x*").matches("é").size(), 2u);       // empty matches advance by whole characters
  EXPECT_EQ(Regex("\\w").matches("\u0301").size(), 1u); // marks are word characters, as in Oniguruma
  EXPECT_EQ(Regex("^b").matches("a\nb").size(), 1u);
  EXPECT_EQ(Regex::literal("aa").replaceAll("aaa", "b"), "ba");
}

TEST(PreTokenizer, Behaviors) {
  auto split = [](const char *behavior) {
    PreTokenizer preTokenizer(
        Json{{"type", "Split"}, {"pattern", {{"String", "-"}}}, {"behavior", behavior}});
    std::vector<std::string> pieces;
    for (const Piece &piece : preTokenizer.apply({"the-final--countdown", true}))
      pieces.push_back(piece.text);
    return pieces;
  };
  using Pieces = std::vector<std::string>;
  EXPECT_EQ(split("Removed"), (Pieces{"the", "final", "countdown"}));
  EXPECT_EQ(split("Isolated"), (Pieces{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(split("MergedWithPrevious"), (Pieces{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(split("MergedWithNext"), (Pieces{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(split("Contiguous"), (Pieces{"the", "-", "final", "--", "countdown"}));
  EXPECT_EQ(test::errorOf([&] { split("Odd"); }), "split behavior 'Odd' is not supported");
}
