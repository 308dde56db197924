//===- DeterminismTest.cpp - the same bits, however work is cut -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// `tfopt --deterministic`: logits are equal to the bit for any number of threads, any
// cut of a prompt into calls, and any place in a batch.
//
//===----------------------------------------------------------------------===//

#include "test/e2e/Support.h"

#include <gtest/gtest.h>

using namespace xfm::e2e;

namespace {

/// bard, in both precisions, and a model whose windows are narrower than the prompt.
struct Case {
  const char *name, *precision;
  bool isWindowed;
};

class Determinism : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    std::string source = bard().folder;
    if (GetParam().isWindowed) {
      source = folder / "model";
      Outcome made = run({XFM_PYTHON, XFM_SOURCE_DIR "/test/tools/tiny_model.py", "mistral", source});
      ASSERT_EQ(made.status, 0) << made.error;
    }
    // Short chunks, so that long prompts are cut too.
    for (const char *chunk : {"512", "7"}) {
      std::string path = folder / (std::string("model") + chunk + ".tfa");
      Outcome compiled =
          run({XFM_TFOPT, source, "-o", path, "-q", "--deterministic", std::string("--chunk=") + chunk,
               std::string("--precision=") + GetParam().precision});
      ASSERT_EQ(compiled.status, 0) << compiled.error;
      models.push_back(open(path));
    }
    for (int i = 0; i < 40; ++i)
      tokens.push_back(3 + i * 7 % 80);
    Session session(models[0]);
    expected = session.call("score", tokens).values;
    ASSERT_FALSE(expected.empty());
  }

  TemporaryFolder folder;
  std::vector<Model> models;
  std::vector<int32_t> tokens;
  std::vector<float> expected;
};

} // namespace

TEST_P(Determinism, ThreadsAndChunks) {
  for (const Model &model : models)
    for (int32_t threads = 1; threads <= 4; ++threads) {
      Session session(model, threads);
      EXPECT_EQ(session.call("score", tokens).values, expected) << threads;
    }
}

/// The last logits of a prompt given in pieces are those of one given at once.
TEST_P(Determinism, Pieces) {
  Session once(models[0]);
  std::vector<float> last = once.call("prefill", tokens).values;
  for (size_t piece : {1, 3, 8, 17}) {
    Session session(models[0], 2);
    std::vector<float> values;
    for (size_t begin = 0; begin < tokens.size(); begin += piece) {
      size_t end = std::min(begin + piece, tokens.size());
      values = session.call("prefill", {tokens.begin() + begin, tokens.begin() + end}).values;
    }
    EXPECT_EQ(values, last) << piece;
  }
}

TEST_P(Determinism, Batches) {
  std::vector<int32_t> rows;
  for (int row = 0; row < 3; ++row)
    for (int32_t token : tokens)
      rows.push_back(row == 1 ? token : 5 + (token + row) % 50);
  Session session(models[0], 2, 3);
  std::vector<float> all = session.call("score", rows).values;
  ASSERT_EQ(all.size(), 3 * expected.size());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), all.begin() + expected.size()));
  EXPECT_FALSE(std::equal(expected.begin(), expected.end(), all.begin()));
}

TEST_P(Determinism, Recorded) {
  EXPECT_NE(std::string(xfm_model_manifest(models[0].get())).find("\"deterministic\": true"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Models, Determinism,
                         testing::Values(Case{"f32", "f32", false}, Case{"bf16", "bf16", false},
                                         Case{"windows", "f32", true}),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
