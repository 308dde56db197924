//===- CommandLineTest.cpp - tfrun from outside -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Npy.h"
#include "runtime/text/Json.h"
#include "test/unit/text/Support.h"
#include "tools/tfrun/Info.h"
#include "tools/tfrun/Options.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

using namespace xfm;
using test::runTfrun;
using Arguments = std::vector<std::string>;

namespace {
/// An artifact around FakeModule.c with the tokenizer of examples/bard.
class CommandLine : public testing::Test {
protected:
  void SetUp() override {
    test::writeArtifact(
        folder, R"({"vocab_size": 1024, "max_positions": 200, "bos_token_id": 0, "eos_token_ids": [7]})");
    folder.write("tokenizer.json", text::readFile(test::sourceFile("examples/bard/tokenizer.json")));
  }

  test::Outcome run(Arguments arguments) {
    arguments.insert(arguments.begin(), folder.path);
    return runTfrun(arguments);
  }

  /// What the fake model says after these ids, greedily.
  static std::vector<int32_t> continued(std::vector<int32_t> ids, size_t count) {
    for (size_t i = 0; i < count; ++i)
      ids.push_back((5 * ids.back() + int32_t(ids.size())) % 1024);
    return ids;
  }

  static std::string listOf(const std::vector<int32_t> &ids) {
    std::string list;
    for (int32_t id : ids)
      list += (list.empty() ? "" : ",") + std::to_string(id);
    return list + "\n";
  }

  void expectError(const Arguments &arguments, const std::string &message) {
    test::Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.error, "tfrun: error: " + message + "\n");
  }

  test::TemporaryFolder folder;
};
} // namespace

TEST_F(CommandLine, TokensInTokensOut) {
  test::Outcome outcome = run({"--tokens", "1,2,3", "-n", "16", "--temperature", "0"});
  EXPECT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_EQ(outcome.out, listOf(continued({1, 2, 3}, 16)));
  EXPECT_NE(outcome.error.find("prompt: 3 tokens"), std::string::npos);
  EXPECT_NE(outcome.error.find("generation: 16 tokens"), std::string::npos);
}

TEST_F(CommandLine, TextIsThePromptAndItsContinuation) {
  text::Tokenizer tokenizer = test::bardTokenizer();
  std::vector<int32_t> ids = continued(tokenizer.encode("ROMEO:"), 20);
  test::Outcome outcome = run({"-p", "ROMEO:", "-n", "20", "--temperature", "0", "--ignore-eos", "-q"});
  EXPECT_EQ(outcome.out, tokenizer.decode(ids) + "\n");
  EXPECT_EQ(outcome.error, "");
}

TEST_F(CommandLine, AnEmptyPromptStartsFromBos) {
  std::vector<int32_t> ids = continued({0}, 10);
  ids.erase(ids.begin());
  test::Outcome outcome = run({"-p", "", "-n", "10", "--temperature", "0", "--ignore-eos"});
  EXPECT_EQ(outcome.out, test::bardTokenizer().decode(ids) + "\n");
}

TEST_F(CommandLine, TokenizerConfigMayAskForBos) {
  text::Tokenizer tokenizer = test::bardTokenizer();
  std::vector<int32_t> ids = tokenizer.encode("ROMEO:");
  ids.insert(ids.begin(), 0);
  ids = continued(ids, 5);
  ids.erase(ids.begin());
  folder.write("tokenizer_config.json", R"({"add_bos_token": true})");
  test::Outcome outcome = run({"-p", "ROMEO:", "-n", "5", "--temperature", "0", "--ignore-eos"});
  EXPECT_EQ(outcome.out, tokenizer.decode(ids) + "\n");
}

TEST_F(CommandLine, StopsAtEos) {
  // After 6 at position 0 comes 31, then 157; find a prompt that leads to 7: 5 t + 1 = 7 mod 1024.
  int32_t before = 0;
  while ((5 * before + 1) % 1024 != 7)
    ++before;
  std::string prompt = std::to_string(before);
  test::Outcome outcome = run({"--tokens", prompt, "-n", "4", "--temperature", "0"});
  EXPECT_EQ(outcome.out, prompt + "\n");
  EXPECT_EQ(outcome.status, 0);
  outcome = run({"--tokens", prompt, "-n", "4", "--temperature", "0", "--ignore-eos"});
  EXPECT_EQ(outcome.out, listOf(continued({before}, 4)));
}

TEST_F(CommandLine, StopString) {
  text::Tokenizer tokenizer = test::bardTokenizer();
  std::vector<int32_t> ids = continued(tokenizer.encode("ROMEO:"), 12);
  std::string all = tokenizer.decode(ids), start = "ROMEO:";
  std::string stop = all.substr(start.size() + 4, 3); // spans the tokens' borders somewhere
  size_t at = all.find(stop, start.size());
  test::Outcome outcome =
      run({"-p", "ROMEO:", "-n", "12", "--temperature", "0", "--ignore-eos", "--stop", stop});
  EXPECT_EQ(outcome.out, all.substr(0, at) + "\n");
}

TEST_F(CommandLine, TheContextLimitEndsGeneration) {
  test::Outcome outcome = run({"--tokens", "1,2,3", "-n", "50", "--temperature", "0", "--context", "8"});
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.out, listOf(continued({1, 2, 3}, 6))); // the last one needs no place in the cache
  EXPECT_NE(outcome.error.find("tfrun: note: the context of 8 positions is full; raise --context to go on\n"),
            std::string::npos);
}

TEST_F(CommandLine, SeedsRepeat) {
  Arguments arguments = {"--tokens", "1", "-n",      "20", "--temperature", "5",     "--top-k", "0",
                         "--top-p",  "1", "--min-p", "0",  "--ignore-eos",  "--seed"};
  auto draw = [&](const char *seed) {
    Arguments all = arguments;
    all.push_back(seed);
    return run(all).out;
  };
  EXPECT_EQ(draw("1"), draw("1"));
  EXPECT_NE(draw("1"), draw("2"));
  EXPECT_NE(run({"--tokens", "1", "-n", "1", "-v", "--seed", "77"}).error.find("seed: 77\n"),
            std::string::npos);
}

TEST_F(CommandLine, RunsAnEntryPoint) {
  std::vector<int64_t> tokens = {1, 2, 3, 4};
  xfm_tensor tensor{tokens.data(), XFM_I64, 2, {1, 4}};
  ASSERT_TRUE(writeNpy(folder / "tokens.npy", tensor).ok());
  test::Outcome outcome = run({"--entry=score", "--input", "tokens=" + (folder / "tokens.npy"), "--output",
                               "sums=" + (folder / "sums.npy")});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  NpyArray sums;
  ASSERT_TRUE(readNpy(folder / "sums.npy", NpyReadOptions(), sums).ok());
  EXPECT_EQ(sums.shape, (std::vector<int64_t>{1, 4}));
  const float *values = reinterpret_cast<const float *>(sums.data.data());
  EXPECT_EQ(std::vector<float>(values, values + 4), (std::vector<float>{1, 3, 6, 10}));
}

TEST_F(CommandLine, EntryPointErrors) {
  std::string in = "tokens=" + (folder / "tokens.npy"), out = "sums=" + (folder / "sums.npy");
  expectError({"--entry=odd", "--input", in, "--output", out},
              "'" + folder.path + "' has no entry point 'odd', but prefill, decode, score");
  expectError({"--entry=score", "--input", "odd=x.npy", "--output", out},
              "there is no input 'odd', but tokens");
  expectError({"--entry=score", "--output", out}, "entry point 'score' needs --input for each of tokens");
  expectError({"--entry=score", "--input", in}, "no --output is asked for; there is sums");
  expectError({"--entry=score", "--input", in, "--input", in, "--output", out},
              "input 'tokens' is given twice");
  std::vector<int64_t> tokens = {1, int64_t(1) << 40};
  ASSERT_TRUE(writeNpy(folder / "tokens.npy", xfm_tensor{tokens.data(), XFM_I64, 2, {1, 2}}).ok());
  test::Outcome outcome = run({"--entry=score", "--input", in, "--output", out});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_FALSE(folder.has("sums.npy"));
}

TEST_F(CommandLine, BenchAsJson) {
  test::Outcome outcome = run({"--bench", "--threads", "2", "--json", "--repetitions", "3"});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  text::Json results = text::parseJson(outcome.out);
  ASSERT_EQ(results.size(), 2u); // pp512 does not fit into 200 positions
  EXPECT_NE(outcome.error.find("tfrun: note: pp512 is left out"), std::string::npos);
  for (const text::Json &result : results) {
    EXPECT_EQ(result.at("threads"), 2);
    const text::Json &rate = result.at("tokens_per_second");
    EXPECT_LE(rate.at("min"), rate.at("median"));
    EXPECT_LE(rate.at("median"), rate.at("max"));
    EXPECT_GT(rate.at("min"), 0);
  }
  EXPECT_EQ(results[0].at("test"), "pp128");
  EXPECT_EQ(results[1].at("test"), "tg64");
  EXPECT_NE(run({"--bench", "--depth", "100"}).out.find("tg64"), std::string::npos);
  expectError({"--bench", "--depth", "190", "-q"}, "no test fits into 200 positions; lower --depth");
}

TEST_F(CommandLine, InfoAsJson) {
  test::Outcome outcome = run({"--info", "--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  text::Json info = text::parseJson(outcome.out);
  EXPECT_EQ(info.at("entry_points")[0].at("name"), "prefill");
  EXPECT_EQ(info.at("entry_points")[0].at("dispatches")[0], (text::Json{{"name", "formula"}, {"count", 2}}));
  EXPECT_EQ(info.at("entry_points")[2].at("outputs")[0].at("name"), "sums");
  EXPECT_TRUE(info.at("weights").is_array());
  EXPECT_EQ(info.at("target").at("device"), "cpu");
  EXPECT_EQ(info.at("versions").at("abi_version"), 1);
  EXPECT_NE(run({"--info"}).out.find("    in  tokens i32 [B, S]\n"), std::string::npos);
}

TEST(Info, ListsWeights) {
  std::string manifest = R"({"weights": [{"name": "w", "format": "int4", "shape": [2, 3], "bytes": 3}]})";
  text::Json info = text::parseJson(tfrun::describeManifest(manifest, true));
  EXPECT_EQ(info.at("weights")[0],
            (text::Json{{"name", "w"}, {"format", "int4"}, {"shape", {2, 3}}, {"bytes", 3}}));
  EXPECT_NE(
      tfrun::describeManifest(manifest, false).find("weights: 1, 3 bytes (0.00 KiB)\n  w int4 [2,3] 3\n"),
      std::string::npos);
  EXPECT_NE(test::errorOf([] { tfrun::describeManifest(R"({"weights": [1]})", true); }), "no error");
}

TEST_F(CommandLine, PromptErrors) {
  expectError({"--tokens", "1,2,3", "--context", "2"},
              "the prompt has 3 tokens, but the context holds 2; shorten the prompt or raise --context");
  expectError({"--tokens", "1,1024"}, "token 1024 is outside the model's vocabulary of 1024");
  expectError({"-p", "\xFF"}, "text is not valid UTF-8 at byte 0");
  folder.write("tokenizer.json", "{\"model\":\n{}}");
  expectError({"-p", "x"}, "'" + (folder / "tokenizer.json") +
                               "': model has no type and no merges; only BPE is supported");
  EXPECT_EQ(run({"--tokens", "1", "-n", "1", "--temperature", "0"}).out, "1,6\n"); // needs no tokenizer
}

TEST_F(CommandLine, WithoutATokenizerIdsStillWork) {
  std::filesystem::remove(folder / "tokenizer.json");
  expectError({"-p", "x"}, "'" + folder.path + "' has no tokenizer.json, so it takes no text; use --tokens");
  EXPECT_EQ(run({"--tokens", "1", "-n", "1", "--temperature", "0"}).out, "1,6\n");
}

TEST_F(CommandLine, WithoutBosAnEmptyPromptIsRefused) {
  test::writeArtifact(folder, R"({"vocab_size": 1024})");
  expectError({"-p", ""}, "the prompt is empty and the model has no BOS token to start from; give a prompt");
}

TEST_F(CommandLine, LogitsThatAreNoNumbersAreAnError) {
  test::Outcome outcome = run({"--tokens", "1023", "-n", "1"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.error.find("tfrun: error: the logit of token 0 is NaN"), std::string::npos);
}

TEST_F(CommandLine, OptionErrors) {
  expectError({}, "expected one of -p, --tokens, --entry, --bench and --info, but got none");
  expectError({"--bench", "--info"}, "expected one of -p, --tokens, --entry, --bench and --info, but got 2");
  expectError({"--tokens", "1,x"}, "expected --tokens to be ids such as 1,2,3, but got '1,x'");
  expectError({"-p", "x", "--temperature", "-1"}, "expected temperature to be 0 or more, but got -1.000000");
  expectError({"-p", "x", "--input", "a=b"}, "--input and --output need --entry");
  expectError({"-p", "x", "--json"}, "--json needs --info or --bench");
  expectError({"--bench", "--entry=score", "--depth", "1"},
              "--depth is of a language model's --bench, without --entry");
  expectError({"--bench", "--entry=score", "--output", "a=b"}, "--bench writes no --output");
  expectError({"-p", "x", "--stop", ""}, "expected --stop to be text of one character or more in UTF-8");
  EXPECT_EQ(run({"-p", "x", "-n", "many"}).status, 1);
  EXPECT_EQ(run({"-p", "x", "--odd"}).status, 1);
}

TEST_F(CommandLine, TextMayLookLikeAnOption) {
  test::Outcome outcome = run({"-p", "-n --x", "-n", "0"});
  EXPECT_EQ(outcome.out, "-n --x\n") << outcome.error;
}

TEST(CommandLineAlone, HelpAndVersion) {
  EXPECT_EQ(runTfrun({"--help"}).status, 0);
  EXPECT_NE(runTfrun({"--help"}).out.find("--repetition-penalty"), std::string::npos);
  EXPECT_EQ(runTfrun({"--version"}).out.substr(0, 6), "tfrun ");
  test::Outcome outcome = runTfrun({"/nowhere.tfa", "-p", "x"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.error.substr(0, 14), "tfrun: error: ");
  EXPECT_EQ(std::count(outcome.error.begin(), outcome.error.end(), '\n'), 1);
}

TEST(CommandLineAlone, AFullDiskIsAnError) {
  test::Outcome outcome = test::runTfrun({"--version"}, "/dev/full");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.error, "tfrun: error: cannot write to stdout: No space left on device\n");
}

TEST(Options, Tokens) {
  EXPECT_EQ(tfrun::parseTokens("0,12,3"), (std::vector<int32_t>{0, 12, 3}));
  for (const char *bad : {"", ",", "1,", "1,,2", "-1", "1 2", "2147483648", "1.5"})
    EXPECT_NE(test::errorOf([&] { tfrun::parseTokens(bad); }), "no error") << bad;
}

TEST(Options, NamedFiles) {
  tfrun::NamedFile file = tfrun::parseNamedFile("a=b=c.npy", "--input");
  EXPECT_EQ(file.name, "a");
  EXPECT_EQ(file.path, "b=c.npy");
  for (const char *bad : {"", "a", "=b", "a="})
    EXPECT_EQ(test::errorOf([&] { tfrun::parseNamedFile(bad, "--input"); }),
              std::string("expected --input to be NAME=FILE.npy, but got '") + bad + "'");
}
