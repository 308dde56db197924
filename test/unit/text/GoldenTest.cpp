//===- GoldenTest.cpp - Ids and texts that others computed --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//
// bard_golden.json was made by the `tokenizers` Python package. The other data is
// not part of the repository; tests that need it skip where it is absent.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Json.h"
#include "runtime/text/Tokenizer.h"
#include "test/unit/text/Support.h"
#include "tools/tfrun/Generate.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

using namespace xfm;

static void expectIds(const text::Tokenizer &tokenizer, const std::string &path) {
  text::Json cases = text::parseJson(text::readFile(path));
  ASSERT_GT(cases.size(), 0u);
  for (const text::Json &each : cases) {
    std::string line = each.at("text");
    EXPECT_EQ(tokenizer.encode(line), each.at("ids").get<std::vector<int32_t>>()) << line;
  }
}

TEST(Golden, BardIds) {
  expectIds(test::bardTokenizer(), test::sourceFile("test/unit/text/bard_golden.json"));
}

TEST(Golden, BardDecodesWhatItEncodes) {
  text::Tokenizer tokenizer = test::bardTokenizer();
  for (const text::Json &each :
       text::parseJson(text::readFile(test::sourceFile("test/unit/text/bard_golden.json")))) {
    std::string line = each.at("text");
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(line)), line);
  }
}

namespace {
class SharedData : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    const char *given = std::getenv("XFM_TEST_DATA");
    folder = (given ? given : test::sourceFile("../shared/data")) + std::string("/models/") + GetParam();
    if (!std::filesystem::exists(folder))
      GTEST_SKIP() << folder << " is absent; XFM_TEST_DATA can name another place";
  }
  std::string folder;
};
} // namespace

TEST_P(SharedData, Ids) {
  expectIds(text::Tokenizer::load(folder + "/tokenizer.json"), folder + "/golden/tokenizer_cases.json");
}

/// What tfrun would print for the ids of a greedy generation from BOS alone.
TEST_P(SharedData, GreedyText) {
  text::Tokenizer tokenizer = text::Tokenizer::load(folder + "/tokenizer.json");
  text::Json greedy = text::parseJson(text::readFile(folder + "/golden/greedy.json"));
  EXPECT_EQ(tfrun::encodePrompt(tokenizer, "", 1, false),
            greedy.at("prompt_ids").get<std::vector<int32_t>>());
  std::string printed;
  tfrun::TextWriter writer(tokenizer, {}, {}, [&](std::string_view text) { printed += text; });
  for (int32_t id : greedy.at("continuation_ids"))
    EXPECT_TRUE(writer.push(id));
  writer.finish();
  EXPECT_EQ(printed, text::readFile(folder + "/golden/expected_stdout.txt") + "\n");
}

INSTANTIATE_TEST_SUITE_P(Models, SharedData, testing::Values("stories260K", "babyllama105"));
