//===- RopeTest.cpp - rotary settings of configs -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/Rope.h"
#include "test/unit/weights/Fixtures.h"

#include <cmath>

using namespace mlir::transformer;
using namespace mlir::transformer::test;

static RopeSettings read(const char *text, int64_t headDim = 8, int64_t maxPositions = 4096) {
  Config config(cantFail(parseJsonObject(text, "c.json")), "c.json");
  RopeSettings rope = readRope(config, headDim, maxPositions);
  EXPECT_EQ(messageOf(config.takeError()), "");
  return rope;
}

static std::string errorOf(const char *text, int64_t headDim = 8) {
  Config config(cantFail(parseJsonObject(text, "c.json")), "c.json");
  readRope(config, headDim, 4096);
  return messageOf(config.takeError());
}

TEST(Rope, Defaults) {
  for (const char *text :
       {"{}", R"({"rope_scaling": null})", R"({"rope_scaling": {"rope_type": "default"}})"}) {
    RopeSettings rope = read(text);
    EXPECT_EQ(rope.theta, 10000.0);
    EXPECT_EQ(rope.scaling, "none");
    EXPECT_EQ(rope.rotaryDim, 8);
  }
}

TEST(Rope, ThetaAndPart) {
  EXPECT_EQ(read(R"({"rope_theta": 500000.0})").theta, 500000.0);
  EXPECT_EQ(
      read(R"({"rope_theta": 1.0, "rope_parameters": {"rope_theta": 2.0, "rope_type": "default"}})").theta,
      2.0);
  EXPECT_EQ(read(R"({"partial_rotary_factor": 0.5})").rotaryDim, 4);
  EXPECT_EQ(read(R"({"partial_rotary_factor": 0.75})", 128).rotaryDim, 96);
  EXPECT_EQ(read(R"({"rope_parameters": {"partial_rotary_factor": 0.25}})").rotaryDim, 2);
}

TEST(Rope, Linear) {
  // Both spellings of the type.
  for (const char *text : {R"({"rope_scaling": {"type": "linear", "factor": 4}})",
                           R"({"rope_scaling": {"rope_type": "linear", "factor": 4.0}})"}) {
    RopeSettings rope = read(text);
    EXPECT_EQ(rope.scaling, "linear");
    EXPECT_EQ(rope.factor, 4.0);
  }
}

TEST(Rope, Llama3) {
  RopeSettings rope =
      read(R"({"rope_theta": 500000.0, "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0,
    "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}})");
  EXPECT_EQ(rope.scaling, "llama3");
  EXPECT_EQ(rope.factor, 32.0);
  EXPECT_EQ(rope.lowFreqFactor, 1.0);
  EXPECT_EQ(rope.highFreqFactor, 4.0);
  EXPECT_EQ(rope.originalMaxPositions, 8192);
}

TEST(Rope, Yarn) {
  RopeSettings rope =
      read(R"({"max_position_embeddings": 131072, "rope_scaling": {"type": "yarn", "factor": 4.0,
    "original_max_position_embeddings": 32768}})");
  EXPECT_EQ(rope.scaling, "yarn");
  EXPECT_EQ(rope.factor, 4.0);
  EXPECT_EQ(rope.betaFast, 32.0);
  EXPECT_EQ(rope.betaSlow, 1.0);
  EXPECT_EQ(rope.originalMaxPositions, 32768);
  EXPECT_NEAR(rope.attentionFactor, 1.138629436111989, 1e-15);
  // Equal knobs cancel (DeepSeek-V2); a stated factor wins.
  EXPECT_EQ(read(R"({"max_position_embeddings": 100, "rope_scaling": {"type": "yarn", "factor": 40.0,
    "mscale": 0.707, "mscale_all_dim": 0.707}})")
                .attentionFactor,
            1.0);
  EXPECT_EQ(read(R"({"max_position_embeddings": 100, "rope_scaling": {"type": "yarn", "factor": 40.0,
    "attention_factor": 1.5}})")
                .attentionFactor,
            1.5);
}

TEST(Rope, LongRope) {
  const char *text = R"({"max_position_embeddings": 131072, "original_max_position_embeddings": 4096,
    "rope_scaling": {"type": "longrope", "short_factor": [1, 1, 1.5, 2], "long_factor": [1, 2, 30, 64.5]}})";
  RopeSettings rope = read(text, 8, 131072);
  EXPECT_EQ(rope.scaling, "longrope");
  EXPECT_EQ(rope.extFactors, (llvm::SmallVector<double>{1, 2, 30, 64.5}));
  EXPECT_NEAR(rope.attentionFactor, 1.1902380714238083, 1e-15); // sqrt(1 + 5/12)
  // Compiled for no more than the original length: the short factors.
  EXPECT_EQ(read(text, 8, 4096).extFactors, (llvm::SmallVector<double>{1, 1, 1.5, 2}));
  EXPECT_EQ(read(text, 8, 4097).extFactors[3], 64.5);
}

TEST(Rope, LayersOfOneKind) {
  const char *text =
      R"({"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}})";
  Config config(cantFail(parseJsonObject(text, "c.json")), "c.json");
  RopeSettings full = readRope(config, 8, 128), window = readRope(config, 8, 128, "sliding_attention");
  EXPECT_EQ(messageOf(config.takeError()), "");
  EXPECT_EQ(full.scaling, "linear");
  EXPECT_EQ(full.theta, 1e6);
  EXPECT_EQ(window.scaling, "none");
  EXPECT_EQ(window.theta, 1e4);
  expectMessage(errorOf(R"({"rope_parameters": {"full_attention": 7}})"),
                {"\"full_attention\"", "expected an object"});
}

TEST(Rope, RefusesBadSettings) {
  expectMessage(errorOf(R"({"rope_scaling": {"type": "dynamic", "factor": 2.0}})"),
                {"rope_scaling", "\"dynamic\"", "supported are default, linear, llama3, longrope and yarn"});
  expectMessage(errorOf(R"({"rope_scaling": {"type": "linear"}})"),
                {"rope_scaling", "\"factor\" is missing"});
  expectMessage(errorOf(R"({"rope_scaling": {"type": "linear", "factor": 0}})"), {"\"factor\" is"});
  expectMessage(errorOf(R"({"rope_scaling": {"type": "llama3", "factor": 8.0}})"),
                {"\"low_freq_factor\" is missing"});
  expectMessage(errorOf(R"({"rope_scaling": {"type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})"),
                {"greater than \"low_freq_factor\""});
  expectMessage(errorOf(R"({"max_position_embeddings": 8192, "original_max_position_embeddings": 4096,
    "rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]}})"),
                {"\"short_factor\"", "4 numbers"});
  expectMessage(errorOf(R"({"max_position_embeddings": 64, "rope_scaling": {"type": "yarn", "factor": 4.0,
    "truncate": false}})"),
                {"truncate"});
  expectMessage(errorOf(R"({"rope_scaling": "linear"})"), {"\"rope_scaling\"", "expected an object"});
  expectMessage(errorOf(R"({"rope_theta": -1})"), {"\"rope_theta\""});
  expectMessage(errorOf("{}", 7), {"head_dim 7", "even"});
  expectMessage(errorOf(R"({"partial_rotary_factor": 0.1})"), {"even"});
  expectMessage(errorOf(R"({"partial_rotary_factor": 1.5})"), {"greater than 1"});
}
