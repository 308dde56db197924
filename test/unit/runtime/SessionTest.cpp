//===- SessionTest.cpp - calls, caches and chunks -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeArtifact.h"

#include <algorithm>
#include <cstring>
#include <thread>

using namespace xfm::test;
using nlohmann::json;

namespace {
/// The fake artifact, opened, with a session. Change `artifact` before open().
class SessionTest : public ::testing::Test {
protected:
  ~SessionTest() override {
    xfm_session_destroy(session);
    xfm_model_close(model);
  }

  void open(int64_t batch = 1, int64_t context = 20, int32_t threads = 2) {
    artifact.write();
    model = openModel(artifact.path());
    ASSERT_NE(model, nullptr);
    xfm_session_options options = {sizeof options, threads, batch, context, 0};
    ASSERT_EQ(xfm_session_create(model, &options, &session), XFM_OK) << xfm_last_error();
  }

  /// Calls prefill with tokens [batch, positions].
  xfm_status prefill(const std::vector<int32_t> &tokens, int64_t batch, int64_t positions) {
    std::vector<float> offsets(tokens.size() * 2);
    for (size_t i = 0; i < tokens.size(); ++i) {
      offsets[2 * i] = 0.5f * static_cast<float>(i);
      offsets[2 * i + 1] = static_cast<float>(i);
    }
    xfm_tensor inputs[] = {tensorOf(tokens, XFM_I32, {batch, positions}),
                           tensorOf(offsets, XFM_F32, {batch, positions, 2})};
    return xfm_session_call(session, "prefill", inputs, 2);
  }

  xfm_status score(const xfm_tensor &tokens) { return xfm_session_call(session, "score", &tokens, 1); }

  std::vector<float> output(int32_t index, const std::vector<int64_t> &dims) {
    xfm_tensor tensor = {};
    EXPECT_EQ(xfm_session_output(session, index, &tensor), XFM_OK) << xfm_last_error();
    EXPECT_EQ(tensor.dtype, XFM_F32);
    EXPECT_EQ(std::vector<int64_t>(tensor.dims, tensor.dims + tensor.rank), dims);
    size_t count = 1;
    for (int64_t dim : dims)
      count *= static_cast<size_t>(dim);
    auto data = static_cast<const float *>(tensor.data);
    return data ? std::vector<float>(data, data + count) : std::vector<float>();
  }

  void expectFailure(xfm_status actual, xfm_status expected, const std::string &part) {
    std::string message = xfm_last_error();
    EXPECT_STREQ(xfm_status_name(actual), xfm_status_name(expected)) << message;
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
  }

  FakeArtifact artifact;
  xfm_model *model = nullptr;
  xfm_session *session = nullptr;
};
} // namespace

static std::vector<int32_t> tokensUpTo(size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int32_t>((i * 7 + 3) % 12);
  return tokens;
}

//===----------------------------------------------------------------------===//
// Chunks
//===----------------------------------------------------------------------===//

// Pieces are at most 4 positions: 1 to 3 pieces, whole and cut short. With more
// than one row, neither inputs nor outputs of a piece are contiguous.
TEST_F(SessionTest, PiecesAreJoined) {
  for (int64_t batch : {1, 3}) {
    open(batch);
    for (int64_t positions : {1, 3, 4, 5, 8, 11, 20}) {
      xfm_session_reset(session);
      std::vector<int32_t> tokens = tokensUpTo(static_cast<size_t>(batch * positions));
      ASSERT_EQ(prefill(tokens, batch, positions), XFM_OK) << xfm_last_error();
      std::vector<float> sums = output(0, {batch, positions});
      std::vector<float> pairs = output(1, {batch, positions, 2});
      std::vector<float> last = output(2, {batch, 2});
      for (int64_t b = 0; b < batch; ++b) {
        float sum = 0;
        for (int64_t s = 0; s < positions; ++s) {
          size_t at = static_cast<size_t>(b * positions + s);
          sum += static_cast<float>(tokens[at]);
          EXPECT_EQ(sums[at], sum + 0.5f * static_cast<float>(at)) << "row " << b << " position " << s;
          EXPECT_EQ(pairs[2 * at], static_cast<float>(tokens[at]));
          EXPECT_EQ(pairs[2 * at + 1], static_cast<float>(at));
        }
        // Of the last piece.
        size_t row = static_cast<size_t>(2 * b);
        EXPECT_EQ(last[row], static_cast<float>((positions - 1) % 4 + 1));
        EXPECT_EQ(last[row + 1], sum);
      }
      EXPECT_EQ(xfm_session_length(session), positions);
      EXPECT_EQ(xfm_session_arena_bytes(session), 4 * batch * std::min<int64_t>(positions, 4));
    }
    xfm_session_destroy(session);
    xfm_model_close(model);
    session = nullptr;
    model = nullptr;
  }
}

// A ring has as many slots as the manifest says; how many positions may come is
// the session's context, as for any cache.
TEST_F(SessionTest, RingsHaveASizeOfTheirOwn) {
  json &cache = artifact.manifest["caches"][0];
  cache["policy"] = "ring";
  cache["window"] = 7;
  cache["buffers"][0]["shape"] = {"B", 1, 10, 2};
  open(1, 18);
  ASSERT_EQ(prefill(tokensUpTo(18), 1, 18), XFM_OK) << xfm_last_error();
  EXPECT_EQ(xfm_session_length(session), 18);
  expectFailure(prefill({1}, 1, 1), XFM_CONTEXT_FULL, "the cache holds 18 of 18");
}

TEST_F(SessionTest, WithoutAChunkNothingIsCut) {
  artifact.manifest["model"].erase("chunk");
  open();
  ASSERT_EQ(prefill(tokensUpTo(11), 1, 11), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(2, {1, 2})[0], 11);
}

// An entry point without caches is run whole, however long the input is.
TEST_F(SessionTest, WithoutCachesNothingIsCut) {
  open();
  std::vector<int32_t> tokens = tokensUpTo(30);
  ASSERT_EQ(score(tensorOf(tokens, XFM_I32, {2, 15})), XFM_OK) << xfm_last_error();
  std::vector<float> doubled = output(0, {2, 15});
  for (size_t i = 0; i < tokens.size(); ++i)
    EXPECT_EQ(doubled[i], 2 * static_cast<float>(tokens[i]));
  EXPECT_EQ(xfm_session_length(session), 0);
}

TEST_F(SessionTest, PositionsCoverTheModel) {
  open();
  std::vector<int32_t> tokens = tokensUpTo(65);
  EXPECT_EQ(score(tensorOf(tokens, XFM_I32, {1, 64})), XFM_OK);
  expectFailure(score(tensorOf(tokens, XFM_I32, {1, 65})), XFM_OUT_OF_RANGE,
                "65 positions, but the model covers 64");
}

//===----------------------------------------------------------------------===//
// Caches
//===----------------------------------------------------------------------===//

TEST_F(SessionTest, CachesContinue) {
  open(2);
  ASSERT_EQ(prefill({1, 2, 3, 10, 20, 30}, 2, 3), XFM_OK) << xfm_last_error();
  std::vector<int32_t> next = {4, 40};
  xfm_tensor token = tensorOf(next, XFM_I32, {2, 1});
  ASSERT_EQ(xfm_session_call(session, "decode", &token, 1), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(0, {2}), (std::vector<float>{10, 100}));
  EXPECT_EQ(xfm_session_length(session), 4);
  ASSERT_EQ(prefill({5, 50}, 2, 1), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(2, {2, 2}), (std::vector<float>{1, 15, 1, 150}));

  xfm_session_reset(session);
  EXPECT_EQ(xfm_session_length(session), 0);
  xfm_tensor tensor;
  expectFailure(xfm_session_output(session, 0, &tensor), XFM_INVALID_ARGUMENT, "no output 0");
  ASSERT_EQ(xfm_session_call(session, "decode", &token, 1), XFM_OK);
  EXPECT_EQ(output(0, {2}), (std::vector<float>{4, 40}));
}

TEST_F(SessionTest, ContextFull) {
  open(1, 6);
  EXPECT_EQ(xfm_session_context(session), 6);
  ASSERT_EQ(prefill({1, 2, 3, 4, 5}, 1, 5), XFM_OK) << xfm_last_error();
  expectFailure(prefill({6, 7}, 1, 2), XFM_CONTEXT_FULL,
                "2 more positions do not fit: the cache holds 5 of 6");
  // The refused call changed nothing: the outputs of the one before are there.
  EXPECT_EQ(output(2, {1, 2})[1], 15);
  ASSERT_EQ(prefill({6}, 1, 1), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(2, {1, 2})[1], 21);
  std::vector<int32_t> next = {7};
  xfm_tensor token = tensorOf(next, XFM_I32, {1, 1});
  expectFailure(xfm_session_call(session, "decode", &token, 1), XFM_CONTEXT_FULL, "holds 6 of 6");
  EXPECT_EQ(xfm_session_length(session), 6);
}

// Code that fails in the second piece leaves the cache as before the call.
TEST_F(SessionTest, FailureTakesBackWhatWasCached) {
  open();
  ASSERT_EQ(prefill({1, 2}, 1, 2), XFM_OK);
  expectFailure(prefill({1, 1, 1, 1, 13, 1}, 1, 6), XFM_INTERNAL, "failed with code 5");
  EXPECT_EQ(xfm_session_length(session), 2);
  xfm_tensor tensor;
  EXPECT_EQ(xfm_session_output(session, 0, &tensor), XFM_INVALID_ARGUMENT);
  ASSERT_EQ(prefill({3}, 1, 1), XFM_OK);
  EXPECT_EQ(output(2, {1, 2})[1], 6);
}

TEST_F(SessionTest, ModuleThatDoesNotCountIsNoticed) {
  open();
  std::vector<int32_t> next = {7};
  xfm_tensor token = tensorOf(next, XFM_I32, {1, 1});
  expectFailure(xfm_session_call(session, "forgetful", &token, 1), XFM_INTERNAL,
                "expected row 0 of cache 'cache.0' to hold 1 positions, but the module counted 0");
  EXPECT_EQ(xfm_session_length(session), 0);
}

TEST_F(SessionTest, ArenaOfLessThanNothing) {
  artifact.entry("score")["arena_symbol"] = "xfm_arena_negative";
  open();
  std::vector<int32_t> tokens = {1};
  expectFailure(score(tensorOf(tokens, XFM_I32, {1, 1})), XFM_INTERNAL, "an arena of -1 bytes");
}

TEST_F(SessionTest, CachesTakeMemoryWhenTouched) {
  // 64 GiB of keys.
  artifact.manifest["model"]["max_positions"] = 1 << 24;
  artifact.manifest["caches"][0]["buffers"][0]["shape"] = {"B", "C", 1024};
  open(1, 1 << 24);
  EXPECT_EQ(xfm_session_context(session), 1 << 24);
}

//===----------------------------------------------------------------------===//
// Creation
//===----------------------------------------------------------------------===//

TEST_F(SessionTest, Defaults) {
  open(0, 0, 0);
  EXPECT_EQ(xfm_session_context(session), 64); // max_positions
  EXPECT_EQ(prefill({1, 2}, 1, 2), XFM_OK) << xfm_last_error();
}

TEST_F(SessionTest, BadOptions) {
  open();
  auto create = [&](int32_t threads, int64_t batch, int64_t context) {
    xfm_session_options options = {sizeof options, threads, batch, context, 0};
    xfm_session *other = nullptr;
    xfm_status status = xfm_session_create(model, &options, &other);
    EXPECT_EQ(other, nullptr);
    return status;
  };
  expectFailure(create(-1, 0, 0), XFM_INVALID_ARGUMENT, "threads is -1");
  expectFailure(create(1 << 20, 0, 0), XFM_INVALID_ARGUMENT, "threads is 1048576");
  expectFailure(create(1, -1, 0), XFM_INVALID_ARGUMENT, "batch is -1");
  expectFailure(create(1, 1, 65), XFM_INVALID_ARGUMENT, "context is 65, but the model covers 64");
}

TEST_F(SessionTest, CachesThatDoNotFitIntoMemory) {
  artifact.manifest["caches"][0]["buffers"][0]["shape"] = {"B", "C", 1LL << 50};
  artifact.write();
  model = openModel(artifact.path());
  xfm_session_options options = {sizeof options, 1, 1 << 20, 0, 0};
  expectFailure(xfm_session_create(model, &options, &session), XFM_OUT_OF_MEMORY,
                "1048576 rows and 64 positions");
}

//===----------------------------------------------------------------------===//
// Refused inputs
//===----------------------------------------------------------------------===//

TEST_F(SessionTest, ShapesAndTypes) {
  open(2);
  std::vector<int32_t> tokens(64, 1);
  std::vector<float> offsets(64, 0);
  auto call = [&](std::vector<int64_t> tokenDims, std::vector<int64_t> offsetDims,
                  xfm_dtype dtype = XFM_I32) {
    xfm_tensor inputs[] = {tensorOf(tokens, dtype, tokenDims), tensorOf(offsets, XFM_F32, offsetDims)};
    return xfm_session_call(session, "prefill", inputs, 2);
  };
  const xfm_status invalid = XFM_INVALID_ARGUMENT;
  expectFailure(call({2, 3}, {2, 3, 2}, XFM_F32), invalid, "expected i32 [B, S], but got f32 [2, 3]");
  expectFailure(call({6}, {2, 3, 2}), invalid, "expected i32 [B, S], but got i32 [6]");
  expectFailure(call({2, 3}, {2, 4, 2}), invalid, "expected S to be 3 as elsewhere, but got f32 [2, 4, 2]");
  expectFailure(call({1, 3}, {1, 3, 2}), invalid, "expected B to be 2 as elsewhere");
  expectFailure(call({2, 3}, {2, 3, 3}), invalid, "expected dimension 2 to be 2");
  expectFailure(call({2, 0}, {2, 0, 2}), invalid, "expected S to be at least 1");
  expectFailure(call({2, -3}, {2, 3, 2}), invalid, "no tensor has the shape [2, -3]");
  expectFailure(call({INT64_MAX, 3}, {2, 3, 2}), invalid, "no tensor has the shape");
  expectFailure(call({2, 3}, {2, 3, 2}, static_cast<xfm_dtype>(7)), invalid, "not a tensor");

  xfm_tensor input = tensorOf(tokens, XFM_I32, {2, 3});
  expectFailure(xfm_session_call(session, "prefill", &input, 1), invalid, "expected 2 inputs, but got 1");
  expectFailure(xfm_session_call(session, "score", nullptr, 1), invalid, "inputs is null");
  expectFailure(xfm_session_call(session, "nothing", &input, 1), invalid, "no entry point 'nothing'");
  xfm_tensor broken = input;
  broken.data = nullptr;
  expectFailure(score(broken), invalid, "data is null");
  broken = input;
  broken.rank = 9;
  expectFailure(score(broken), invalid, "not a tensor");
  EXPECT_EQ(xfm_session_length(session), 0);
  EXPECT_EQ(call({2, 3}, {2, 3, 2}), XFM_OK) << xfm_last_error();
}

TEST_F(SessionTest, TokensOutOfRange) {
  open();
  expectFailure(prefill({1, 2, 100}, 1, 3), XFM_OUT_OF_RANGE, "value 100 at index 2 is outside [0, 100)");
  expectFailure(prefill({1, -1, 2}, 1, 3), XFM_OUT_OF_RANGE, "value -1 at index 1");
  // In the last of several pieces: nothing was computed before it was seen.
  expectFailure(prefill({1, 2, 3, 4, 5, 6, 7, 8, 900}, 1, 9), XFM_OUT_OF_RANGE, "value 900 at index 8");
  EXPECT_EQ(xfm_session_length(session), 0);
  EXPECT_EQ(prefill({0, 99}, 1, 2), XFM_OK) << xfm_last_error();
}

TEST_F(SessionTest, LongTokensAreNarrowed) {
  open();
  std::vector<int64_t> tokens = {1, 2, 99};
  ASSERT_EQ(score(tensorOf(tokens, XFM_I64, {1, 3})), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(0, {1, 3}), (std::vector<float>{2, 4, 198}));
  // Its lower half would be in range.
  tokens[1] = (int64_t{1} << 32) + 5;
  expectFailure(score(tensorOf(tokens, XFM_I64, {1, 3})), XFM_OUT_OF_RANGE, "value 4294967301 at index 1");
  // In pieces.
  std::vector<int64_t> many = {1, 2, 3, 4, 5, 6};
  std::vector<float> offsets(12, 0);
  xfm_tensor inputs[] = {tensorOf(many, XFM_I64, {1, 6}), tensorOf(offsets, XFM_F32, {1, 6, 2})};
  ASSERT_EQ(xfm_session_call(session, "prefill", inputs, 2), XFM_OK) << xfm_last_error();
  EXPECT_EQ(output(0, {1, 6}), (std::vector<float>{1, 3, 6, 10, 15, 21}));
}

// Without a range, what an i32 holds is the range.
TEST_F(SessionTest, LongTokensWithoutARange) {
  artifact.entry("score")["inputs"][0].erase("range");
  open();
  std::vector<int64_t> tokens = {INT32_MAX, INT32_MIN};
  EXPECT_EQ(score(tensorOf(tokens, XFM_I64, {1, 2})), XFM_OK) << xfm_last_error();
  tokens[1] = int64_t{INT32_MIN} - 1;
  expectFailure(score(tensorOf(tokens, XFM_I64, {1, 2})), XFM_OUT_OF_RANGE, "value -2147483649 at index 1");
  tokens[1] = int64_t{INT32_MAX} + 1;
  expectFailure(score(tensorOf(tokens, XFM_I64, {1, 2})), XFM_OUT_OF_RANGE, "value 2147483648 at index 1");
}

// A caller's data may lie anywhere; the module checks that it gets aligned data.
TEST_F(SessionTest, UnalignedInputs) {
  open();
  alignas(64) char bytes[64 + 3 * 4] = {};
  for (int offset : {0, 1, 4, 64}) {
    int32_t tokens[3] = {5, 6, 7};
    memcpy(bytes + offset, tokens, sizeof tokens);
    xfm_tensor tensor = {};
    tensor.data = bytes + offset;
    tensor.dtype = XFM_I32;
    tensor.rank = 2;
    tensor.dims[0] = 1;
    tensor.dims[1] = 3;
    ASSERT_EQ(score(tensor), XFM_OK) << xfm_last_error();
    EXPECT_EQ(output(0, {1, 3}), (std::vector<float>{10, 12, 14}));
  }
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

// Two sessions of one model in two threads do not see each other.
TEST_F(SessionTest, TwoSessionsAtOnce) {
  open();
  auto use = [this](int32_t token, int32_t threads) {
    xfm_session_options options = {sizeof options, threads, 3, 60, 0};
    xfm_session *own = nullptr;
    ASSERT_EQ(xfm_session_create(model, &options, &own), XFM_OK) << xfm_last_error();
    std::vector<int32_t> tokens(3 * 60, token);
    std::vector<float> offsets(2 * tokens.size(), 0);
    xfm_tensor inputs[] = {tensorOf(tokens, XFM_I32, {3, 60}), tensorOf(offsets, XFM_F32, {3, 60, 2})};
    for (int i = 0; i < 30; ++i) {
      xfm_session_reset(own);
      ASSERT_EQ(xfm_session_call(own, "prefill", inputs, 2), XFM_OK) << xfm_last_error();
      xfm_tensor sums;
      ASSERT_EQ(xfm_session_output(own, 0, &sums), XFM_OK);
      for (int64_t at = 0; at < 180; ++at)
        ASSERT_EQ(static_cast<const float *>(sums.data)[at], static_cast<float>((at % 60 + 1) * token));
      xfm_tensor call = tensorOf(tokens, XFM_I32, {3, 60});
      ASSERT_EQ(xfm_session_call(own, "score", &call, 1), XFM_OK) << xfm_last_error();
    }
    xfm_session_destroy(own);
  };
  std::thread other(use, 3, 3);
  use(5, 2);
  other.join();
}
