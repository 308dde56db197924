//===- CheckpointTest.cpp - single files and shards --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Checkpoint.h"
#include "Fixtures.h"

using namespace mlir::transformer;
using namespace mlir::transformer::test;

static std::string openError(const TempFolder &folder) {
  WeightStore store(folder.str());
  return messageOf(Checkpoint::open(store));
}

static std::string shard(const char *tensor) {
  return SafetensorsBuilder().add<float>(tensor, "F32", {2}, {1, 2}).build();
}

TEST(Checkpoint, ReadsShards) {
  TempFolder folder;
  folder.write("m-1.safetensors", shard("a"));
  folder.write("m-2.safetensors", shard("b"));
  folder.write(
      "model.safetensors.index.json",
      R"({"metadata": {"total_size": 16}, "weight_map": {"b": "m-2.safetensors", "a": "m-1.safetensors"}})");
  WeightStore store(folder.str());
  auto checkpoint = Checkpoint::open(store);
  ASSERT_TRUE(bool(checkpoint)) << toString(checkpoint.takeError());
  EXPECT_TRUE(checkpoint->contains("a"));
  EXPECT_EQ(messageOf(checkpoint->require("b", {2})), "");
  ASSERT_EQ(checkpoint->used().size(), 1u);
  EXPECT_EQ(checkpoint->used()[0].name, "b");
  EXPECT_EQ(checkpoint->used()[0].entry->file, "m-2.safetensors");
  EXPECT_EQ(checkpoint->unused(), std::vector<llvm::StringRef>{"a"});
}

TEST(Checkpoint, TakesTheSingleFileFirst) {
  TempFolder folder;
  folder.write("model.safetensors", shard("a"));
  folder.write("model.safetensors.index.json", "not even JSON");
  EXPECT_EQ(openError(folder), "");
}

TEST(Checkpoint, NamesWhatIsMissing) {
  TempFolder folder;
  expectMessage(openError(folder),
                {folder.str(), "neither model.safetensors nor model.safetensors.index.json"});
  folder.write("m-1.safetensors", shard("a"));
  folder.write("model.safetensors.index.json",
               R"({"weight_map": {"b": "m-2.safetensors", "a": "m-1.safetensors"}})");
  expectMessage(openError(folder),
                {"model.safetensors.index.json", "the shard \"m-2.safetensors\" is missing"});
}

TEST(Checkpoint, RefusesBadIndexes) {
  auto error = [](const char *index) {
    TempFolder folder;
    folder.write("model.safetensors.index.json", index);
    return openError(folder);
  };
  expectMessage(error("{"), {"invalid JSON"});
  expectMessage(error("{}"), {"weight_map"});
  expectMessage(error(R"({"weight_map": {"a": 1}})"), {"\"a\"", "no string"});
  expectMessage(error(R"({"weight_map": {"a": "../x.safetensors"}})"),
                {"\"a\"", "../x.safetensors", "plain"});
  expectMessage(error(R"({"weight_map": {"a": "/x.safetensors"}})"), {"plain"});
  expectMessage(error(R"({"weight_map": {"a": "d/x.safetensors"}})"), {"plain"});
  expectMessage(error(R"({"weight_map": {"a": "x", "a": "y"}})"), {"\"a\"", "twice"});
}

TEST(Checkpoint, ChecksShapeAndType) {
  TempFolder folder;
  folder.write("model.safetensors", SafetensorsBuilder()
                                        .add<float>("model.up", "F32", {2, 3}, {0, 0, 0, 0, 0, 0})
                                        .add<int32_t>("ids", "I32", {2}, {0, 0})
                                        .add<double>("wide", "F64", {2}, {0, 0})
                                        .build());
  WeightStore store(folder.str());
  Checkpoint checkpoint = cantFail(Checkpoint::open(store));
  expectMessage(messageOf(checkpoint.require("model.up", {3, 2})),
                {"model.safetensors", "\"model.up\"", "expected shape [3, 2]", "found [2, 3]"});
  expectMessage(messageOf(checkpoint.require("model.up", {6})), {"expected shape [6]"});
  expectMessage(messageOf(checkpoint.require("ids", {2})),
                {"\"ids\"", "expected dtype F32, F16 or BF16", "found I32"});
  expectMessage(messageOf(checkpoint.require("wide", {2})), {"found F64"});
  expectMessage(messageOf(checkpoint.require("model.down", {2, 3})),
                {"\"model.down\"", "[2, 3]", "closest is \"model.up\""});
}

// An index may name a tensor that its shard does not hold.
TEST(Checkpoint, ChecksTheShardItself) {
  TempFolder folder;
  folder.write("m.safetensors", shard("a"));
  folder.write("model.safetensors.index.json", R"({"weight_map": {"b": "m.safetensors"}})");
  WeightStore store(folder.str());
  Checkpoint checkpoint = cantFail(Checkpoint::open(store));
  expectMessage(messageOf(checkpoint.require("b", {2})),
                {"m.safetensors", "no tensor \"b\"", "closest is \"a\""});
}
