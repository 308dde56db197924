//===- WeightStoreTest.cpp - lookup in a folder ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/WeightStore.h"
#include "Fixtures.h"

#include <sys/stat.h>
#include <thread>

using namespace mlir::transformer;
using namespace mlir::transformer::test;

TEST(WeightStore, LooksUpTensors) {
  TempFolder folder;
  folder.write("a.safetensors", SafetensorsBuilder().add<int32_t>("x", "I32", {2}, {7, -9}).build());
  WeightStore store(folder.str());
  auto tensor = store.lookup("a.safetensors", "x");
  ASSERT_TRUE(bool(tensor)) << toString(tensor.takeError());
  EXPECT_EQ(tensor->dtype, Dtype::I32);
  int32_t values[2];
  ASSERT_EQ(tensor->data.size(), sizeof(values));
  std::memcpy(values, tensor->data.data(), sizeof(values));
  EXPECT_EQ(values[0], 7);
  EXPECT_EQ(values[1], -9);
  // Mapped once: the same bytes again.
  EXPECT_EQ(cantFail(store.lookup("a.safetensors", "x")).data.data(), tensor->data.data());
}

TEST(WeightStore, NamesWhatIsMissing) {
  TempFolder folder;
  folder.write("a.safetensors", SafetensorsBuilder()
                                    .add<float>("model.layers.0.up.weight", "F32", {1}, {1})
                                    .add<float>("model.norm.weight", "F32", {1}, {1})
                                    .build());
  folder.write("none.safetensors", rawSafetensors("{}", ""));
  WeightStore store(folder.str());
  expectMessage(messageOf(store.lookup("a.safetensors", "model.layers.1.up.weight")),
                {"a.safetensors", "\"model.layers.1.up.weight\"", "closest is \"model.layers.0.up.weight\""});
  expectMessage(messageOf(store.lookup("none.safetensors", "x")), {"\"x\"", "holds none"});
  expectMessage(messageOf(store.lookup("b.safetensors", "x")), {"b.safetensors", "No such file"});
}

TEST(WeightStore, RefusesNamesThatLeaveTheFolder) {
  TempFolder folder;
  WeightStore store(folder.str());
  for (llvm::StringRef name : {"../a", "/etc/passwd", "sub/a", "..", ".", "", "a..b"})
    expectMessage(messageOf(store.lookup(name, "x")), {"no plain file name"});
}

TEST(WeightStore, RefusesWhatIsNoFile) {
  TempFolder folder;
  ASSERT_EQ(mkdir(folder.file("folder").c_str(), 0755), 0);
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0644), 0);
  folder.write("empty", "");
  WeightStore store(folder.str());
  expectMessage(messageOf(store.lookup("folder", "x")), {"folder", "not a file"});
  expectMessage(messageOf(store.lookup("pipe", "x")),
                {"pipe", "not a file"}); // and does not wait for a writer
  expectMessage(messageOf(store.lookup("empty", "x")), {"empty", "0 bytes"});
}

TEST(WeightStore, ManyThreadsOpenOnce) {
  TempFolder folder;
  folder.write("a.safetensors", SafetensorsBuilder().add<float>("x", "F32", {1}, {3}).build());
  WeightStore store(folder.str());
  std::vector<const char *> seen(8);
  std::vector<std::thread> threads;
  for (const char *&slot : seen)
    threads.emplace_back([&] { slot = cantFail(store.lookup("a.safetensors", "x")).data.data(); });
  for (std::thread &thread : threads)
    thread.join();
  for (const char *data : seen)
    EXPECT_EQ(data, seen[0]);
}

TEST(WeightStore, ReleasedBytesCanBeReadAgain) {
  TempFolder folder;
  std::vector<float> values(100000, 2.5f);
  folder.write("a.safetensors", SafetensorsBuilder().add<float>("x", "F32", {100000}, values).build());
  WeightStore store(folder.str());
  llvm::ArrayRef<char> data = cantFail(store.lookup("a.safetensors", "x")).data;
  WeightStore::release(data);
  EXPECT_EQ(std::memcmp(data.data(), values.data(), data.size()), 0);
}
