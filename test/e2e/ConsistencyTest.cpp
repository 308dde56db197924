//===- ConsistencyTest.cpp - one model, run in different ways ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/e2e/Support.h"

#include <thread>

using namespace xfm;
using namespace xfm::e2e;

static constexpr double kF32 = 1e-5;

namespace {
/// examples/bard in f32, whose goldens are one row of 48 tokens.
struct Consistency : testing::Test {
  GoldenModel model = bard();
  std::vector<int32_t> tokens = readTokens(model.tokens);
  Logits golden = readLogits(model.logits);
  std::string compiled = artifact(model, {"--precision=f32"});

  std::vector<int32_t> part(size_t begin, size_t end) const {
    return {tokens.begin() + begin, tokens.begin() + end};
  }
  /// Another row of as many tokens.
  std::vector<int32_t> otherRow() const { return {tokens.rbegin(), tokens.rend()}; }
};
} // namespace

/// The logits that each token gives, one decode step after the other.
static Logits decodeAll(Session &session, const std::vector<int32_t> &tokens) {
  Logits logits;
  for (int32_t token : tokens)
    logits.append(session.call("decode", {token}));
  return logits;
}

TEST_F(Consistency, DecodeStepsEqualPrefill) {
  Session steps(open(compiled)), once(open(compiled));
  Logits decoded = decodeAll(steps, tokens);
  EXPECT_EQ(steps.length(), int64_t(tokens.size()));
  EXPECT_LE(distance(decoded, golden), kF32);
  Logits last = once.call("prefill", tokens);
  EXPECT_EQ(once.length(), int64_t(tokens.size()));
  EXPECT_LE(distance(decoded.at(tokens.size() - 1), last), kF32);
}

TEST_F(Consistency, EveryLengthOfPrefill) {
  Session session(open(compiled));
  for (size_t length = 1; length <= tokens.size(); ++length) {
    session.reset();
    EXPECT_LE(distance(session.call("prefill", part(0, length)), golden.at(length - 1)), kF32) << length;
  }
}

TEST_F(Consistency, DecodeAfterPrefill) {
  for (size_t length : {1, 7, 31}) {
    Session session(open(compiled));
    session.call("prefill", part(0, length));
    Logits rest = decodeAll(session, part(length, tokens.size()));
    for (int64_t i = 0; i < rest.positions(); ++i)
      EXPECT_LE(distance(rest.at(i), golden.at(length + i)), kF32) << length << " " << i;
  }
}

TEST_F(Consistency, PrefillAfterPrefill) {
  Session session(open(compiled));
  session.call("prefill", part(0, 5));
  session.call("prefill", part(5, 21));
  EXPECT_LE(distance(session.call("prefill", part(21, 48)), golden.at(47)), kF32);
}

/// Prompts longer than what one call computes run in pieces: 48 is a multiple of 8, 45 is not.
TEST_F(Consistency, ChunksEqualOneCall) {
  Session session(open(artifact(model, {"--precision=f32", "--chunk=8"})));
  EXPECT_LE(distance(session.call("score", tokens), golden), kF32);
  for (size_t length : {48, 45, 9, 8}) {
    session.reset();
    EXPECT_LE(distance(session.call("prefill", part(0, length)), golden.at(length - 1)), kF32) << length;
    EXPECT_EQ(session.length(), int64_t(length));
  }
}

TEST_F(Consistency, RowsOfABatchAreIndependent) {
  Model opened = open(compiled);
  std::vector<int32_t> rows[2] = {part(0, 20), otherRow()};
  rows[1].resize(20);
  Session both(opened, 1, 2);
  std::vector<int32_t> joined = rows[0];
  joined.insert(joined.end(), rows[1].begin(), rows[1].end());
  Logits prefilled = both.call("prefill", joined);
  ASSERT_EQ(prefilled.positions(), 2);
  Logits steps[2];
  for (int32_t i = 0; i < 4; ++i) {
    Logits step = both.call("decode", {tokens[20 + i], tokens[40 + i]});
    ASSERT_EQ(step.positions(), 2);
    for (int row : {0, 1})
      steps[row].append(step.at(row));
  }
  for (int row : {0, 1}) {
    Session alone(opened);
    EXPECT_LE(distance(prefilled.at(row), alone.call("prefill", rows[row])), kF32) << row;
    size_t begin = row == 0 ? 20 : 40;
    EXPECT_LE(distance(steps[row], decodeAll(alone, part(begin, begin + 4))), kF32) << row;
  }
}

/// Two sessions of one model at once compute exactly what each computes alone.
TEST_F(Consistency, SessionsInThreads) {
  Model opened = open(compiled);
  const std::vector<int32_t> rows[2] = {tokens, otherRow()};
  auto compute = [&](int row) {
    Session session(opened, 1 + row);
    Logits logits;
    for (int i = 0; i < 5; ++i) {
      session.reset();
      logits.append(session.call("prefill", rows[row]));
      logits.append(decodeAll(session, rows[row]));
    }
    return logits.values;
  };
  std::vector<float> alone[2] = {compute(0), compute(1)}, together[2];
  std::thread other([&] { together[1] = compute(1); });
  together[0] = compute(0);
  other.join();
  EXPECT_EQ(together[0], alone[0]);
  EXPECT_EQ(together[1], alone[1]);
  EXPECT_NE(together[0], together[1]);
}

TEST_F(Consistency, ThreadsOfASession) {
  for (int32_t threads : {1, 2, 3, 4}) {
    Session session(open(compiled), threads);
    EXPECT_LE(distance(session.call("score", tokens), golden), kF32) << threads;
    session.reset();
    EXPECT_LE(distance(decodeAll(session, part(0, 8)).at(7), golden.at(7)), kF32) << threads;
  }
}

/// Weights in large pages, and threads on cores of their own, compute the same.
TEST_F(Consistency, HugePagesAndAffinity) {
  std::vector<std::string> command{XFM_TFRUN, compiled,        "--tokens", "5,6,7", "-n",
                                   "12",      "--temperature", "0",        "-q"};
  Outcome plain = run(command);
  ASSERT_EQ(plain.status, 0) << plain.error;
  command.insert(command.end(), {"--huge-pages", "--affinity", "--threads", "2"});
  Outcome huge = run(command);
  ASSERT_EQ(huge.status, 0) << huge.error;
  EXPECT_EQ(huge.out, plain.out);
  EXPECT_FALSE(plain.out.empty());
}

/// A small context is a smaller buffer and nothing else; one more position is refused and harmless.
TEST_F(Consistency, ContextIsExact) {
  Session session(open(compiled), 1, 1, 48);
  session.call("prefill", part(0, 40));
  Logits rest = decodeAll(session, part(40, 48));
  EXPECT_LE(distance(rest.at(7), golden.at(47)), kF32);
  EXPECT_THROW(session.call("decode", {1}), std::runtime_error);
  EXPECT_EQ(session.length(), 48);
  session.reset();
  EXPECT_THROW(session.call("prefill", std::vector<int32_t>(49, 1)), std::runtime_error);
  EXPECT_EQ(session.length(), 0);
  EXPECT_LE(distance(session.call("prefill", tokens), golden.at(47)), kF32);
}

/// The same input gives the same file, so that a hash of an artifact means something.
TEST_F(Consistency, CompilingTwiceGivesTheSameBytes) {
  TemporaryFolder folder;
  Outcome outcome = run({XFM_TFOPT, model.folder, "-o", folder / "again.tfa", "-q", "--precision=f32"});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_EQ(folder.list(), std::vector<std::string>{"again.tfa"});
  for (const char *name : {"/manifest.json", "/module.so", "/weights.safetensors", "/tokenizer.json"})
    EXPECT_TRUE(readFile(folder / "again.tfa" + name) == readFile(compiled + name)) << name;
}
