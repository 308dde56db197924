//===- TokenizerTest.cpp - Each part of a tokenizer.json ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Tokenizer.h"
#include "runtime/text/Json.h"
#include "test/unit/text/Support.h"

#include <gtest/gtest.h>

using namespace xfm;
using text::Tokenizer;
using Ids = std::vector<int32_t>;

/// A tokenizer whose vocabulary is single letters and the given tokens, ids in order.
static Tokenizer wordTokenizer(const std::vector<std::string> &tokens, const std::string &members,
                               const std::string &modelMembers = "\"merges\": []") {
  text::Json vocab;
  for (size_t i = 0; i < tokens.size(); ++i)
    vocab[tokens[i]] = i;
  return Tokenizer::parse("{" + members + (members.empty() ? "" : ", ") + "\"model\": {\"type\": \"BPE\", " +
                          modelMembers + ", \"vocab\": " + vocab.dump() + "}}");
}

TEST(Tokenizer, SentencePiece) {
  Tokenizer tokenizer = Tokenizer::parse(test::sentencePieceJson());
  EXPECT_EQ(tokenizer.encode("ab a"), (Ids{1, 259, 262, 263})); // "a b" outranks "▁ a"
  EXPECT_EQ(tokenizer.encode("a", false), (Ids{263}));
  EXPECT_EQ(tokenizer.encode("a\n", false), (Ids{263, 3 + 0x0A}));
  EXPECT_EQ(tokenizer.encode(""), (Ids{1}));
  EXPECT_EQ(tokenizer.encode("€", false), (Ids{259, 3 + 0xE2, 3 + 0x82, 3 + 0xAC}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ab a €")), "<s> ab a €");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("ab a €"), true), "ab a €");
  // Every part between added tokens is normalised by itself.
  EXPECT_EQ(tokenizer.encode("a</s>a", false), (Ids{263, 2, 263}));
}

TEST(Tokenizer, BytesThatAreNoUtf8BecomeReplacementCharacters) {
  Tokenizer tokenizer = Tokenizer::parse(test::sentencePieceJson());
  EXPECT_EQ(tokenizer.decode({3 + 0xE2, 3 + 0x82, 260}), "\uFFFD\uFFFDa");
  EXPECT_EQ(tokenizer.decode({3 + 'x', 3 + 0xFF}), "\uFFFD\uFFFD"); // a run is judged as a whole
}

TEST(Tokenizer, ByteLevel) {
  Tokenizer tokenizer = Tokenizer::parse(test::byteLevelJson());
  EXPECT_EQ(tokenizer.encode("é\n"), (Ids{0xC3, 0xA9, 0x0A}));
  EXPECT_EQ(tokenizer.decode({0xC3, 0xA9, 0x0A}), "é\n");
  EXPECT_EQ(tokenizer.decode({0xE2, 0x82, 'x', 0xFF}), "\uFFFDx\uFFFD"); // one per maximal subpart
}

TEST(Tokenizer, IdsWithoutATokenGiveNothing) {
  Tokenizer tokenizer = Tokenizer::parse(test::byteLevelJson());
  EXPECT_EQ(tokenizer.decode({'a', 5000, -1, 'b'}), "ab");
}

TEST(Tokenizer, AddedTokensTakeWhiteSpaceAlong) {
  Tokenizer tokenizer = Tokenizer::parse(test::byteLevelJson(R"("added_tokens": [
    {"id": 300, "content": "<l>", "lstrip": true}, {"id": 301, "content": "<r>", "rstrip": true}])"));
  EXPECT_EQ(tokenizer.encode("a  <l> b"), (Ids{'a', 300, ' ', 'b'}));
  EXPECT_EQ(tokenizer.encode("a <r>  b"), (Ids{'a', ' ', 301, 'b'}));
  EXPECT_EQ(tokenizer.encode("<r> <l>x"), (Ids{301, 300, 'x'})); // the space is taken once
}

TEST(Tokenizer, AddedTokensAreLeftmostThenLongest) {
  Tokenizer tokenizer = Tokenizer::parse(test::byteLevelJson(R"("added_tokens": [
    {"id": 300, "content": "ab"}, {"id": 301, "content": "abc"}, {"id": 302, "content": "bcd"}])"));
  EXPECT_EQ(tokenizer.encode("abcd"), (Ids{301, 'd'}));
  EXPECT_EQ(tokenizer.encode("abd"), (Ids{300, 'd'}));
}

TEST(Tokenizer, SingleWordTokensTouchNoWord) {
  Tokenizer tokenizer = Tokenizer::parse(test::byteLevelJson(R"("added_tokens": [
    {"id": 300, "content": "cat", "single_word": true}])"));
  EXPECT_EQ(tokenizer.encode("a cat."), (Ids{'a', ' ', 300, '.'}));
  EXPECT_EQ(tokenizer.encode("cats"), (Ids{'c', 'a', 't', 's'}));
  EXPECT_EQ(tokenizer.encode("écat").size(), 5u);
}

TEST(Tokenizer, NormalizedTokensAreFoundInNormalizedText) {
  Tokenizer tokenizer =
      Tokenizer::parse(test::byteLevelJson(R"("normalizer": {"type": "Lowercase"}, "added_tokens": [
    {"id": 300, "content": "Yes", "normalized": true}, {"id": 301, "content": "No", "normalized": false}])"));
  EXPECT_EQ(tokenizer.encode("YES"), (Ids{300}));
  EXPECT_EQ(tokenizer.encode("NO"), (Ids{'n', 'o'}));
  EXPECT_EQ(tokenizer.encode("No"), (Ids{301}));
}

TEST(Tokenizer, SpecialTokensAreLeftOutOnRequest) {
  Tokenizer tokenizer = Tokenizer::parse(test::byteLevelJson(R"("added_tokens": [
    {"id": 300, "content": "<s>", "special": true}, {"id": 301, "content": "<t>"}])"));
  EXPECT_EQ(tokenizer.decode({300, 'a', 301}), "<s>a<t>");
  EXPECT_EQ(tokenizer.decode({300, 'a', 301}, true), "a<t>");
}

TEST(Tokenizer, Metaspace) {
  auto make = [](const std::string &members) {
    return wordTokenizer({"▁", "a", "b", "▁a", "<x>"},
                         R"("added_tokens": [{"id": 4, "content": "<x>"}], "decoder": {"type": "Metaspace"},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁")" +
                             members + "}",
                         R"("merges": ["▁ a"])");
  };
  EXPECT_EQ(make("").encode("a<x>a a"), (Ids{3, 4, 3, 3}));
  EXPECT_EQ(make(R"(, "prepend_scheme": "first")").encode("a<x>a a"), (Ids{3, 4, 1, 3}));
  EXPECT_EQ(make(R"(, "prepend_scheme": "never")").encode("a<x>a a"), (Ids{1, 4, 1, 3}));
  EXPECT_EQ(make(R"(, "add_prefix_space": false)").encode("a a"), (Ids{1, 3}));
  EXPECT_EQ(make("").encode(" a"), (Ids{3})); // there is a space already
  EXPECT_EQ(make("").decode({3, 3, 2}), "a ab");
}

TEST(Tokenizer, IgnoreMergesTakesWholePieces) {
  std::vector<std::string> tokens = {"a", "b", "c", "bc", "abc"};
  EXPECT_EQ(wordTokenizer(tokens, "", R"("merges": ["b c"])").encode("abc"), (Ids{0, 3}));
  EXPECT_EQ(wordTokenizer(tokens, "", R"("merges": ["b c"], "ignore_merges": true)").encode("abc"), (Ids{4}));
}

TEST(Tokenizer, UnknownCharacters) {
  std::vector<std::string> tokens = {"<unk>", "a"};
  auto encode = [&](const char *members) { return wordTokenizer(tokens, "", members).encode("xyaz"); };
  EXPECT_EQ(encode(R"("merges": [], "unk_token": "<unk>")"), (Ids{0, 0, 1, 0}));
  EXPECT_EQ(encode(R"("merges": [], "unk_token": "<unk>", "fuse_unk": true)"), (Ids{0, 1, 0}));
  EXPECT_EQ(test::errorOf([&] { encode("\"merges\": []"); }),
            "character U+0078 is not in the vocabulary and there is no unk_token");
}

TEST(Tokenizer, AffixesOfWords) {
  Tokenizer tokenizer =
      wordTokenizer({"a", "##b", "##b</w>", "a##b"}, "",
                    R"("merges": [], "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>")");
  EXPECT_EQ(tokenizer.encode("abb"), (Ids{0, 1, 2}));
}

TEST(Tokenizer, PreTokenizers) {
  auto pieces = [](const std::string &description, const std::string &line) {
    // Every merge is possible, so that tokens show where the text was cut.
    Tokenizer tokenizer = wordTokenizer(
        {"<u>", "a", "1", ".", "aa", "11", "..", "a1", "1.", "-"}, "\"pre_tokenizer\": " + description,
        R"("unk_token": "<u>", "merges": ["a a", "1 1", ". .", "a 1", "1 ."])");
    std::string shown;
    for (int32_t id : tokenizer.encode(line))
      shown += (shown.empty() ? "" : "|") + *tokenizer.findToken(id);
    return shown;
  };
  EXPECT_EQ(pieces(R"({"type": "Digits", "individual_digits": true})", "aa11"), "aa|1|1");
  EXPECT_EQ(pieces(R"({"type": "Digits"})", "a11a"), "a|11|a");
  EXPECT_EQ(pieces(R"({"type": "Punctuation"})", "1.."), "1|.|.");
  EXPECT_EQ(pieces(R"({"type": "Punctuation", "behavior": "Contiguous"})", "1.."), "1|..");
  EXPECT_EQ(pieces(R"({"type": "Whitespace"})", "a a.. 1"), "a|a|..|1");
  EXPECT_EQ(pieces(R"({"type": "WhitespaceSplit"})", "a1 a\t1."), "a1|a|1.");
  auto split = [&](const char *behavior, const char *invert) {
    return pieces(R"({"type": "Split", "pattern": {"String": "-"}, "behavior": ")" + std::string(behavior) +
                      R"(", "invert": )" + invert + "}",
                  "a-1");
  };
  EXPECT_EQ(split("Removed", "false"), "a|1");
  EXPECT_EQ(split("Removed", "true"), "-");
  EXPECT_EQ(split("Isolated", "false"), "a|-|1");
}

TEST(Tokenizer, PostProcessors) {
  auto encode = [](const std::string &description) {
    return Tokenizer::parse(test::byteLevelJson("\"post_processor\": " + description)).encode("x");
  };
  EXPECT_EQ(encode(R"({"type": "RobertaProcessing", "cls": ["<s>", 7], "sep": ["</s>", 8]})"),
            (Ids{7, 'x', 8}));
  EXPECT_EQ(encode(R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
    {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "b"}}, {"Sequence": {"id": "A"}}],
     "special_tokens": {"b": {"ids": [5, 6]}}}]})"),
            (Ids{5, 6, 'x'}));
}

TEST(Tokenizer, LongPiecesTakeNoQuadraticTime) {
  // One piece of a million characters: quadratic merging would take hours.
  Tokenizer tokenizer = Tokenizer::parse(test::sentencePieceJson());
  std::string line;
  for (int i = 0; i < 500000; ++i)
    line += "ab";
  EXPECT_EQ(tokenizer.encode(line, false).size(), 500001u);
}

TEST(Tokenizer, WhatIsNotSupportedIsNamed) {
  auto error = [](const std::string &members) {
    return test::errorOf([&] { Tokenizer::parse(test::byteLevelJson(members)); });
  };
  EXPECT_EQ(error(R"("normalizer": {"type": "Precompiled"})"), "normalizer 'Precompiled' is not supported");
  EXPECT_EQ(error(R"("post_processor": {"type": "Odd"})"), "post-processor 'Odd' is not supported");
  EXPECT_EQ(test::errorOf([] { wordTokenizer({"a"}, R"("decoder": {"type": "CTC"})"); }),
            "decoder 'CTC' is not supported");
  EXPECT_EQ(test::errorOf([] { wordTokenizer({"a"}, R"("pre_tokenizer": {"type": "UnicodeScripts"})"); }),
            "pre-tokenizer 'UnicodeScripts' is not supported");
  EXPECT_EQ(test::errorOf([] { Tokenizer::parse(R"({"model": {"type": "Unigram", "vocab": []}})"); }),
            "model 'Unigram' is not supported; only BPE is");
  EXPECT_EQ(test::errorOf([] {
              Tokenizer::parse(test::byteLevelJson(R"("normalizer": {"type": "NFKC"})")).encode("é");
            }),
            "normalizer 'NFKC' is supported for ASCII text only");
}
