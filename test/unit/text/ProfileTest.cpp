//===- ProfileTest.cpp - tfrun --profile, and memory in --info ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Profile.h"
#include "runtime/Npy.h"
#include "runtime/text/Json.h"
#include "test/unit/text/Support.h"
#include "tools/tfrun/Info.h"
#include "tools/tfrun/Limits.h"

#include <gtest/gtest.h>

#include <map>
#include <regex>

using namespace xfm;

namespace {
class ProfileRun : public testing::Test {
protected:
  void SetUp() override {
    test::writeArtifact(folder, R"({"vocab_size": 1024, "max_positions": 200, "chunk": 2})");
  }

  test::Outcome run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), folder.path);
    return test::runTfrun(arguments);
  }

  /// The calls of each line of a table whose name comes first, by "entry/name".
  static std::map<std::string, int> callsOf(const std::string &table) {
    std::map<std::string, int> calls;
    std::regex header("(\\w+): [0-9.]+ ms, [0-9.]+ % of all"), row("  (\\S+) +([0-9]+) .*");
    std::string entry;
    for (std::stringstream lines(table); lines;) {
      std::string line;
      std::getline(lines, line);
      std::smatch found;
      if (std::regex_match(line, found, header))
        entry = found[1];
      else if (std::regex_match(line, found, row))
        calls[entry + "/" + found[1].str()] = std::stoi(found[2]);
    }
    return calls;
  }

  test::TemporaryFolder folder;
};
} // namespace

// A prompt of 3 tokens is two pieces; 4 of the 5 tokens that follow are fed back.
TEST_F(ProfileRun, TheTableHasAllDispatches) {
  test::Outcome outcome = run({"--tokens", "1,2,3", "-n", "5", "--temperature", "0", "--profile"});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_EQ(outcome.out, run({"--tokens", "1,2,3", "-n", "5", "--temperature", "0"}).out);
  std::map<std::string, int> expected = {{"prefill/formula", 4},  {"prefill/stand_out", 2},
                                         {"prefill/(host)", 3},   {"decode/formula", 8},
                                         {"decode/stand_out", 4}, {"decode/(host)", 8}};
  EXPECT_EQ(callsOf(outcome.error), expected) << outcome.error;
  EXPECT_TRUE(std::regex_search(outcome.error, std::regex("limits of [0-9]+ threads: [0-9.]+ GB/s read from "
                                                          "memory, [0-9.]+ GFLOP/s in f32")))
      << outcome.error;
  std::smatch ratio;
  ASSERT_TRUE(std::regex_search(outcome.error, ratio, std::regex("ratio ([0-9.]+)\n$"))) << outcome.error;
  EXPECT_NEAR(std::stod(ratio[1]), 1, 0.03);
}

TEST_F(ProfileRun, TheTraceIsJson) {
  test::Outcome outcome = run(
      {"--tokens", "1,2,3", "-n", "5", "--temperature", "0", "-q", "--profile=" + (folder / "trace.json")});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_EQ(outcome.error, ""); // -q leaves out the table
  text::Json trace = text::parseJson(folder.read("trace.json"));
  std::map<std::string, int> slices;
  std::map<int, double> ends; // by row
  int rows = 0;
  for (const text::Json &event : trace.at("traceEvents")) {
    if (event.at("ph") == "M") {
      ++rows;
      continue;
    }
    EXPECT_EQ(event.at("ph"), "X");
    ++slices[event.at("cat").get<std::string>() + "/" + event.at("name").get<std::string>()];
    double &end = ends[event.at("tid").get<int>()];
    EXPECT_GE(event.at("ts").get<double>(), end - 1e-3);
    EXPECT_GE(event.at("dur").get<double>(), 0);
    end = event.at("ts").get<double>() + event.at("dur").get<double>();
  }
  EXPECT_EQ(rows, 2);
  EXPECT_EQ(slices.at("decode/formula"), 8);
  EXPECT_EQ(slices.at("prefill/stand_out"), 2);
  EXPECT_EQ(slices.size(), 6u);
}

TEST_F(ProfileRun, OfEveryMode) {
  test::Outcome outcome = run({"--bench", "--repetitions", "2", "--depth", "5", "--profile"});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  std::map<std::string, int> calls = callsOf(outcome.error);
  EXPECT_EQ(calls.at("prefill/formula"), 2 * 2 * 64); // neither the first run nor the depth
  EXPECT_EQ(calls.at("decode/stand_out"), 2 * 64);

  std::vector<int32_t> tokens = {1, 2};
  ASSERT_TRUE(writeNpy(folder / "tokens.npy", xfm_tensor{tokens.data(), XFM_I32, 2, {1, 2}}).ok());
  outcome = run({"--entry=score", "--input", "tokens=" + (folder / "tokens.npy"), "--output",
                 "sums=" + (folder / "sums.npy"), "--profile"});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_EQ(callsOf(outcome.error), (std::map<std::string, int>{{"score/(host)", 2}}));
}

// What follows --profile is not its file.
TEST_F(ProfileRun, Errors) {
  EXPECT_EQ(test::runTfrun({"--profile", folder.path, "--tokens", "1", "-n", "1"}).status, 0);
  test::Outcome outcome = run({"--info", "--profile"});
  EXPECT_EQ(outcome.error, "tfrun: error: --profile needs -p, --tokens, --entry or --bench\n");
  outcome = run({"--tokens", "1", "-q", "--profile"});
  EXPECT_EQ(outcome.error, "tfrun: error: -q leaves nothing of --profile; use --profile=FILE\n");
  outcome = run({"--tokens", "1", "-n", "1", "-q", "--profile=" + (folder / "no/trace.json")});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.error.find("no/trace.json: cannot create"), std::string::npos) << outcome.error;
}

static xfm_profile_record record(const char *entry, const char *name, double seconds, double flops,
                                 double bytes) {
  return {sizeof(xfm_profile_record), entry, name, 1, seconds, flops, bytes};
}

TEST(Profile, Table) {
  tfrun::Limits limits;
  limits.threads = 2;
  limits.vectors = "AVX2";
  limits.bytesPerSecond = 10e9;
  limits.flopsPerSecond = 100e9;
  EXPECT_EQ(tfrun::profileTable({record("a", "short", 0.001, 25e6, 9e6),
                                 record("b", "long", 0.006, 6e6, 12e6), record("a", "(host)", 0.003, -1, -1)},
                                0.0125, limits),
            "limits of 2 threads: 10.0 GB/s read from memory, 100.0 GFLOP/s in f32 (AVX2)\n"
            "b: 6.000 ms, 60.0 % of all\n"
            "  name         calls          ms share %   GFLOP/s      GB/s % of limit\n"
            "  long             1       6.000   100.0      1.00      2.00       20.0\n"
            "a: 4.000 ms, 40.0 % of all\n"
            "  name         calls          ms share %   GFLOP/s      GB/s % of limit\n"
            "  (host)           1       3.000    75.0         -         -          -\n"
            "  short            1       1.000    25.0     25.00      9.00       90.0\n"
            "sum 10.000 ms, wall time of the calls 12.500 ms, ratio 0.8000");
}

TEST(Profile, TraceEscapesNames) {
  xfm_profile_event event = {sizeof(xfm_profile_event), "a\"b", "c\\d", 1234567, 89};
  text::Json trace = text::parseJson(tfrun::traceJson({event}));
  EXPECT_EQ(trace.at("traceEvents")[0].at("args").at("name"), "a\"b");
  EXPECT_EQ(trace.at("traceEvents")[1].at("name"), "c\\d");
  EXPECT_EQ(trace.at("traceEvents")[1].at("ts"), 1234.567);
  EXPECT_EQ(trace.at("traceEvents")[1].at("dur"), 0.089);
  EXPECT_EQ(text::parseJson(tfrun::traceJson({})).at("traceEvents").size(), 0u);
}

// No machine in use is below or above these.
TEST(Profile, Limits) {
  tfrun::Limits limits = tfrun::measureLimits(2);
  EXPECT_GT(limits.bytesPerSecond, 1e8);
  EXPECT_LT(limits.bytesPerSecond, 1e13);
  EXPECT_GT(limits.flopsPerSecond, 1e9);
  EXPECT_LT(limits.flopsPerSecond, 1e13);
}

//===----------------------------------------------------------------------===//
// --info
//===----------------------------------------------------------------------===//

static const char *const planned = R"({
  "model": {"chunk": 128, "max_positions": 500},
  "caches": [{"name": "a", "buffers": [{"part": "keys", "dtype": "bf16", "shape": ["B", 4, "C", 8]},
                                       {"part": "length", "dtype": "i32", "shape": ["B"]}]},
             {"name": "ring", "buffers": [{"part": "keys", "dtype": "f32", "shape": ["B", 2, 159, 8]}]}],
  "entry_points": [
    {"name": "prefill", "caches": ["a", "ring"],
     "arena": [{"bytes": 2880, "sizes": ["B", "S"], "bound": 1}, {"bytes": 768, "sizes": ["B"]}]},
    {"name": "whole", "caches": [], "arena": [{"bytes": 64, "sizes": ["S", "S"]}, {"bytes": 5, "sizes": []}]},
    {"name": "odd", "caches": ["a"], "arena": [{"bytes": 64, "sizes": ["Q"]}]},
    {"name": "silent", "caches": []}]})";

TEST(Info, MemoryAsText) {
  std::string text = tfrun::describeManifest(planned, false);
  for (const char *line : {"    arena 2880*B*S + 768*B bytes: 0.35 MiB at B = 1, S = 128\n",
                           "    caches: 41.19 KiB at B = 1, C = 500\n", // 64 * 500 + 4, 64 * 159
                           "    arena 64*S*S + 5 bytes: 1.00 MiB at S = 128\n", "    arena 64*Q bytes\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "not in\n" << text;
}

TEST(Info, MemoryAsJson) {
  auto entries = [](int64_t context) {
    return text::parseJson(tfrun::describeManifest(planned, true, context)).at("entry_points");
  };
  text::Json all = entries(0);
  EXPECT_EQ(all[0].at("arena").at("formula"),
            text::parseJson(R"([{"bytes": 2880, "sizes": ["B", "S"]}, {"bytes": 768, "sizes": ["B"]}])"));
  EXPECT_EQ(all[0].at("arena").at("bytes_at_chunk"), 2880 * 128 + 768);
  EXPECT_EQ(all[0].at("cache_bytes"), 64 * 500 + 4 + 64 * 159);
  EXPECT_TRUE(all[2].at("arena").at("bytes_at_chunk").is_null());
  EXPECT_FALSE(all[3].contains("arena"));
  EXPECT_FALSE(all[3].contains("cache_bytes"));
  // A context below a chunk is all there is; without caches a call may be as long as one above.
  EXPECT_EQ(entries(100)[0].at("arena").at("bytes_at_chunk"), 2880 * 100 + 768);
  EXPECT_EQ(entries(100)[0].at("cache_bytes"), 64 * 100 + 4 + 64 * 159);
  EXPECT_EQ(entries(300)[0].at("arena").at("bytes_at_chunk"), 2880 * 128 + 768);
  EXPECT_EQ(entries(300)[1].at("arena").at("bytes_at_chunk"), 64 * 300 * 300 + 5);
  EXPECT_EQ(test::errorOf([&] { entries(501); }), "--context is 501, but the model covers 500 positions");
}
