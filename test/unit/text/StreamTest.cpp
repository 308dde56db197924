//===- StreamTest.cpp - Text that arrives in pieces ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Sampler.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"
#include "test/unit/text/Support.h"
#include "tools/tfrun/Generate.h"
#include "tools/tfrun/StopStrings.h"

#include <gtest/gtest.h>

using namespace xfm;
using text::StreamDecoder;
using text::Tokenizer;
using tfrun::StopStrings;

/// What the ids give one after the other.
static std::string pushAll(StreamDecoder &stream, const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    text += stream.push(id);
  return text;
}

/// Random ids decode piece by piece to what they decode to at once, and every piece is valid UTF-8.
static void expectStreamEqualsDecode(const Tokenizer &tokenizer) {
  text::Random random(7);
  size_t letters = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> ids(random.next() % 40);
    StreamDecoder stream(tokenizer);
    std::string streamed;
    for (int32_t &id : ids) {
      id = int32_t(random.next() % uint64_t(tokenizer.idLimit()));
      std::string piece = stream.push(id);
      EXPECT_EQ(text::findInvalidUtf8(piece), std::string::npos);
      streamed += piece;
    }
    streamed += stream.finish();
    EXPECT_EQ(streamed, tokenizer.decode(ids));
    letters += streamed.size();
  }
  EXPECT_GT(letters, 1000u);
}

TEST(Stream, EqualsDecodeByteLevel) { expectStreamEqualsDecode(test::bardTokenizer()); }
TEST(Stream, EqualsDecodeSentencePiece) {
  expectStreamEqualsDecode(Tokenizer::parse(test::sentencePieceJson()));
}

TEST(Stream, WaitsForWholeCharacters) {
  Tokenizer tokenizer = Tokenizer::parse(test::byteLevelJson());
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.push(0x82), "");
  EXPECT_EQ(stream.push(0xAC), "€");
  EXPECT_EQ(stream.push(0xE2), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
}

TEST(Stream, StripsOnlyTheFirstSpace) {
  Tokenizer tokenizer = Tokenizer::parse(test::sentencePieceJson());
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(pushAll(stream, {263, 263, 259}), "a a ");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Stream, DecodersThatNeedTheWholeTextWaitForIt) {
  Tokenizer tokenizer =
      Tokenizer::parse(R"({"model": {"type": "BPE", "merges": [], "vocab": {"a": 0, "b": 1, " ": 2}},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"},
      {"type": "Replace", "pattern": {"String": "ab"}, "content": "x"}, {"type": "Strip", "content": " ", "start": 1, "stop": 1}]}})");
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(pushAll(stream, {2, 0, 1, 2}), "");
  EXPECT_EQ(stream.finish(), "x");
}

TEST(Stream, StripHoldsBackTheEnd) {
  Tokenizer tokenizer =
      Tokenizer::parse(R"({"model": {"type": "BPE", "merges": [], "vocab": {"a": 0, " ": 1}},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 0, "stop": 1}]}})");
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(0), "a");
  EXPECT_EQ(stream.push(1), "");
  EXPECT_EQ(stream.push(1), " ");
  EXPECT_EQ(stream.push(0), " a");
  EXPECT_EQ(stream.push(1), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Stop, WithinAPiece) {
  StopStrings stops({"END"});
  EXPECT_EQ(stops.push("one END two"), "one ");
  EXPECT_TRUE(stops.stopped());
  EXPECT_EQ(stops.push("more"), "");
  EXPECT_EQ(stops.finish(), "");
}

TEST(Stop, AcrossPieces) {
  StopStrings stops({"END"});
  EXPECT_EQ(stops.push("one E"), "one ");
  EXPECT_EQ(stops.push("N"), "");
  EXPECT_EQ(stops.push("E"), "EN"); // it was none; another may begin
  EXPECT_EQ(stops.push("ND"), "");
  EXPECT_TRUE(stops.stopped());
}

TEST(Stop, TheFirstOfSeveral) {
  StopStrings stops({"yz", "x"});
  EXPECT_EQ(stops.push("abyzx"), "ab");
  EXPECT_TRUE(stops.stopped());
}

TEST(Stop, WhatWasHeldBackComesAtTheEnd) {
  StopStrings stops({"END"});
  EXPECT_EQ(stops.push("an EN"), "an ");
  EXPECT_EQ(stops.finish(), "EN");
  EXPECT_FALSE(stops.stopped());
}

TEST(Stop, OverlappingBeginnings) {
  // Every way to cut the text into two pieces stops at the same place.
  std::string all = "aabaabaac";
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    StopStrings stops({"aabaac"});
    std::string out = stops.push(all.substr(0, cut));
    out += stops.push(all.substr(cut));
    EXPECT_EQ(out, "aab") << cut;
    EXPECT_TRUE(stops.stopped());
  }
}

namespace {
struct Written {
  std::string text;
  tfrun::TextWriter writer;
  Written(const Tokenizer &tokenizer, const std::vector<int32_t> &prompt, std::vector<std::string> stops)
      : writer(tokenizer, prompt, std::move(stops), [this](std::string_view piece) { text += piece; }) {}
};
} // namespace

TEST(TextWriter, StopsOnlyInTheGeneratedPart) {
  Tokenizer tokenizer = Tokenizer::parse(test::byteLevelJson());
  Written written(tokenizer, {'E', 'N', 'D', 'E'}, {"END"});
  EXPECT_TRUE(written.writer.push('N')); // "EN" across the border is no stop string's beginning
  EXPECT_TRUE(written.writer.push('D'));
  EXPECT_TRUE(written.writer.push('E'));
  EXPECT_TRUE(written.writer.push('N'));
  EXPECT_FALSE(written.writer.push('D'));
  written.writer.finish();
  EXPECT_EQ(written.text, "ENDEND\n");
}

TEST(TextWriter, PromptThatTheDecoderHoldsBack) {
  // The prompt ends in a byte token, which the decoder hands on with the next id only.
  Tokenizer tokenizer = Tokenizer::parse(test::sentencePieceJson());
  Written written(tokenizer, {263, 3 + '\n'}, {"\n"});
  EXPECT_TRUE(written.writer.push(260));
  EXPECT_TRUE(written.writer.push(3 + '\n'));
  written.writer.finish();
  EXPECT_EQ(written.text, "a\na\n"); // the generated newline is cut, the prompt's is not
}
