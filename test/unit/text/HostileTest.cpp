//===- HostileTest.cpp - Files that are wrong by accident or on purpose ---===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//
// Each must give one line that says what is wrong. None may crash.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Sampler.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"
#include "test/unit/text/Support.h"

#include <gtest/gtest.h>

using namespace xfm;
using text::Tokenizer;

static std::string errorOfModel(const std::string &members) {
  return test::errorOf([&] { Tokenizer::parse("{\"model\": {\"type\": \"BPE\", " + members + "}}"); });
}

TEST(Hostile, Ids) {
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {"a": 99999999999999999999})"),
            "expected the id of token 'a' to be an integer, but got number");
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {"a": 4294967296})"),
            "the id of token 'a' is 4294967296, but ids are from 0 to 16777215");
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {"a": -1})"),
            "the id of token 'a' is -1, but ids are from 0 to 16777215");
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {"a": 1.5})"),
            "expected the id of token 'a' to be an integer, but got number");
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {"a": 1, "b": 1})"),
            "tokens 'a' and 'b' have the same id 1");
  // Gaps are harmless: nothing is sized by the largest id.
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {"a": 0, "b": 16777215})"), "no error");
}

TEST(Hostile, Structure) {
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {"a": 0, "a": 1})"), "duplicate key 'a'");
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": [])"), "expected the BPE member 'vocab' to be an object");
  EXPECT_EQ(errorOfModel(R"("vocab": {})"), "member 'merges' is missing");
  EXPECT_EQ(errorOfModel(R"("merges": ["a b c"], "vocab": {})"),
            "expected merge 0 to be two tokens, but got 'a b c'");
  EXPECT_EQ(errorOfModel(R"("merges": [["a"]], "vocab": {})"),
            "expected merge 0 to be two tokens, but got array");
  EXPECT_EQ(errorOfModel(R"("merges": ["a a"], "vocab": {"a": 0})"),
            "merge 0 has the token 'aa', which is not in the vocabulary");
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {}, "unk_token": "u")"),
            "unk_token 'u' is not in the vocabulary");
  EXPECT_EQ(errorOfModel(R"("merges": [], "vocab": {}, "dropout": 0.1)"),
            "BPE with dropout is not supported: its encoding is random");
  EXPECT_EQ(test::errorOf([] { Tokenizer::parse("[]"); }),
            "expected a tokenizer.json to be an object, but got array");
  EXPECT_EQ(test::errorOf([] { Tokenizer::parse("{}"); }), "member 'model' is missing");
  EXPECT_EQ(test::errorOf([] { Tokenizer::parse(std::string(100000, '[')); }), "nested deeper than 64");
}

TEST(Hostile, IdsThatThePostProcessorAdds) {
  auto error = [](const std::string &id) {
    return test::errorOf([&] {
      Tokenizer::parse(
          R"({"post_processor": {"type": "RobertaProcessing", "sep": ["s", )" + id +
          R"(], "cls": ["c", 0]}, "model": {"type": "BPE", "merges": [], "vocab": {"a": 0, "b": 5}}})");
    });
  };
  EXPECT_EQ(error("5"), "no error");
  EXPECT_EQ(error("6"), "the post-processor adds the id 6, but the ids of tokens end at 5");
}

/// What a file says in a message cannot make it more than one line, nor endless.
TEST(Hostile, MessagesAreOneLine) {
  EXPECT_EQ(errorOfModel(R"("merges": ["a\n\u0001b"], "vocab": {})"),
            "expected merge 0 to be two tokens, but got 'a\\n\\x01b'");
  std::string error = errorOfModel("\"merges\": [\"" + std::string(100000, 'x') + "\"], \"vocab\": {}");
  EXPECT_LT(error.size(), 1100u);
  // Cut between characters.
  error = errorOfModel("\"merges\": [\"" + std::string(999, 'x') + "\xe2\x82\xac\xe2\x82\xac" +
                       "\"], \"vocab\": {}");
  EXPECT_EQ(text::findInvalidUtf8(error), std::string::npos);
}

TEST(Hostile, InvalidUtf8) {
  EXPECT_NE(errorOfModel("\"merges\": [], \"vocab\": {\"\xFF\": 0}").find("not valid JSON"),
            std::string::npos);
  EXPECT_NE(errorOfModel(R"("merges": [], "vocab": {"\ud800": 0})").find("not valid JSON"),
            std::string::npos);
  EXPECT_EQ(test::errorOf([] { test::bardTokenizer().encode("ab\xFF"); }),
            "text is not valid UTF-8 at byte 2");
}

static std::string withPattern(const std::string &pattern) {
  return R"({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": ")" + pattern +
         R"("}, "behavior": "Isolated"}, "model": {"type": "BPE", "merges": [], "vocab": {"a": 0, "b": 1}}})";
}

TEST(Hostile, Patterns) {
  auto error = [](const std::string &pattern) {
    return test::errorOf([&] { Tokenizer::parse(withPattern(pattern)); });
  };
  EXPECT_EQ(error("(a"), "pattern does not compile (missing closing parenthesis at 2): (a");
  EXPECT_NE(error("\\\\C").find("does not compile"), std::string::npos);
  EXPECT_NE(error(std::string(300, '(') + std::string(300, ')')).find("does not compile"), std::string::npos);
  EXPECT_NE(error("\\\\").find("does not compile"), std::string::npos);
  EXPECT_NE(error(std::string(70000, 'a')).find("at most 65536"), std::string::npos);
}

TEST(Hostile, PatternsThatBacktrackForever) {
  Tokenizer tokenizer = Tokenizer::parse(withPattern("(a+a+)+$"));
  EXPECT_NE(
      test::errorOf([&] { tokenizer.encode(std::string(60, 'a') + "b"); }).find("pattern fails on this text"),
      std::string::npos);
}

/// Whatever a damaged file says, parsing and using it gives a result or an Error; anything else ends the test
/// program.
static void tryToUse(const std::string &json) {
  try {
    Tokenizer tokenizer = Tokenizer::parse(json);
    tokenizer.decode(tokenizer.encode("ab a <s> €\n"));
  } catch (const text::Error &) {
  }
}

TEST(Hostile, CutOffFiles) {
  std::string json = test::sentencePieceJson();
  for (size_t size = 0; size < json.size(); size += 7)
    EXPECT_NE(test::errorOf([&] { Tokenizer::parse(json.substr(0, size)); }), "no error");
}

/// Uses copies of a file with three bytes changed at random. Most of a file is its vocabulary, so half of the
/// damage is done within `parts` bytes from `begin`.
static void damage(const std::string &json, size_t begin, size_t parts) {
  std::string bytes = "{}[]\":,0919ae\\-\xFF ntSsR";
  text::Random random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string damaged = json;
    for (int i = 0; i < 3; ++i)
      damaged[i % 2 ? random.next() % json.size() : begin + random.next() % parts] =
          bytes[random.next() % bytes.size()];
    tryToUse(damaged);
  }
}

TEST(Hostile, DamagedFiles) {
  std::string json = test::sentencePieceJson();
  damage(json, 0, json.find("vocab"));
  json = test::byteLevelJson(
      R"json("added_tokens": [{"id": 300, "content": "<s>", "special": true, "rstrip": true},
    {"id": 301, "content": "a", "single_word": true}], "post_processor": {"type": "RobertaProcessing", "sep": ["s", 2],
    "cls": ["c", 0]}, "normalizer": {"type": "Replace", "pattern": {"Regex": "[^a](b+|c)*?(?!d)"}, "content": "x"})json");
  damage(json, json.find("added_tokens"), json.size() - json.find("added_tokens"));
}
