//===- ModelTest.cpp - opening artifacts ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeArtifact.h"

#include <filesystem>
#include <sys/stat.h>

using namespace xfm::test;
using nlohmann::json;

TEST(Model, OpensAndDescribesItself) {
  FakeArtifact artifact;
  xfm_model *model = openModel(artifact.path());
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(xfm_model_path(model), artifact.path());
  EXPECT_EQ(xfm_model_manifest(model), readFile(artifact.file("manifest.json")));
  EXPECT_EQ(xfm_model_entry_count(model), 4);
  EXPECT_STREQ(xfm_model_entry_name(model, 1), "score");
  EXPECT_EQ(xfm_model_entry_name(model, 4), nullptr);
  EXPECT_EQ(xfm_model_input_count(model, "prefill"), 2);
  EXPECT_EQ(xfm_model_output_count(model, "prefill"), 3);
  EXPECT_EQ(xfm_model_output_count(model, "nothing"), -1);

  xfm_tensor_info info;
  ASSERT_EQ(xfm_model_input(model, "prefill", 1, &info), XFM_OK);
  EXPECT_STREQ(info.name, "offsets");
  EXPECT_EQ(info.dtype, XFM_F32);
  ASSERT_EQ(info.rank, 3);
  EXPECT_EQ(info.dims[0], -1);
  EXPECT_STREQ(info.symbols[1], "S");
  EXPECT_EQ(info.dims[2], 2);
  EXPECT_EQ(info.symbols[2], nullptr);
  EXPECT_EQ(xfm_model_input(model, "prefill", 2, &info), XFM_INVALID_ARGUMENT);
  EXPECT_EQ(xfm_model_output(model, "nothing", 0, &info), XFM_INVALID_ARGUMENT);

  xfm_model_info facts = {};
  facts.size = sizeof facts;
  ASSERT_EQ(xfm_model_get_info(model, &facts), XFM_OK);
  EXPECT_EQ(facts.vocab_size, 100);
  EXPECT_EQ(facts.eos_count, 2);
  EXPECT_EQ(facts.eos_token_ids[1], 3);
  xfm_model_close(model);
}

TEST(Model, PathMustBeAnArtifact) {
  TemporaryFolder folder;
  expectRefused(folder.file("nothing.tfa"), XFM_NOT_FOUND, "no such artifact");
  expectRefused(folder.path, XFM_NOT_FOUND, "manifest.json");
  writeFile(folder.file("model.gguf"), "text");
  expectRefused(folder.file("model.gguf"), XFM_INVALID_ARGUMENT, "this is a file");
  std::filesystem::create_directory(folder.file("manifest.json"));
  expectRefused(folder.path, XFM_CORRUPT, "regular file");
}

// A named pipe must not block the caller.
TEST(Model, ManifestIsAPipe) {
  TemporaryFolder folder;
  ASSERT_EQ(mkfifo(folder.file("manifest.json").c_str(), 0600), 0);
  expectRefused(folder.path, XFM_CORRUPT, "regular file");
}

TEST(Model, DamagedFiles) {
  for (const char *name : {"module.so", "weights.safetensors"}) {
    FakeArtifact artifact;
    std::string bytes = readFile(artifact.file(name)), damaged = bytes;
    damaged[bytes.size() / 2] = static_cast<char>(damaged[bytes.size() / 2] ^ 1);
    writeFile(artifact.file(name), damaged);
    expectRefused(artifact.path(), XFM_CORRUPT, std::string(name) + ": hash is");
    writeFile(artifact.file(name), bytes.substr(0, bytes.size() - 1));
    expectRefused(artifact.path(), XFM_CORRUPT, "bytes, but the manifest says");
    writeFile(artifact.file(name), bytes + "x");
    expectRefused(artifact.path(), XFM_CORRUPT, "bytes, but the manifest says");
    std::filesystem::remove(artifact.file(name));
    expectRefused(artifact.path(), XFM_NOT_FOUND, std::string(name) + ": no such file");
  }
}

TEST(Model, OtherFilesAreVerifiedToo) {
  FakeArtifact artifact;
  artifact.setFile("tokenizer.json", "{}");
  artifact.write();
  xfm_model_close(openModel(artifact.path()));
  writeFile(artifact.file("tokenizer.json"), "[]");
  expectRefused(artifact.path(), XFM_CORRUPT, "tokenizer.json: hash is");
}

TEST(Model, WeightHashCanBeSkipped) {
  FakeArtifact artifact;
  std::string bytes = readFile(artifact.file("weights.safetensors"));
  bytes.back() ^= 1;
  writeFile(artifact.file("weights.safetensors"), bytes);
  xfm_open_options options = {sizeof options, 1, 0, 0, nullptr, 0, 0, 0, nullptr, nullptr};
  xfm_model *model = nullptr;
  EXPECT_EQ(xfm_model_open(artifact.path().c_str(), &options, &model), XFM_OK) << xfm_last_error();
  xfm_model_close(model);
  // The code is verified all the same.
  std::string code = readFile(artifact.file("module.so"));
  code.back() ^= 1;
  writeFile(artifact.file("module.so"), code);
  model = nullptr;
  EXPECT_EQ(xfm_model_open(artifact.path().c_str(), &options, &model), XFM_CORRUPT);
}

TEST(Model, WeightsMustBeThoseOfTheManifest) {
  auto refused = [](auto change, const char *part) {
    FakeArtifact artifact;
    change(artifact.manifest["weights"][0]);
    artifact.write();
    expectRefused(artifact.path(), XFM_CORRUPT, part);
  };
  refused([](json &w) { w["name"] = "gain"; }, "holds no tensor 'gain'");
  refused([](json &w) { w["bytes"] = 20; }, "has 16 bytes, but the manifest says 20");
  refused([](json &w) { w["format"] = "i32"; }, "is F32 [4], but the manifest says i32 [4]");
  refused([](json &w) { w["shape"] = {2, 2}; }, "is F32 [4], but the manifest says f32 [2, 2]");
}

TEST(Model, WeightsMustBeAligned) {
  FakeArtifact artifact;
  std::string bytes = fakeWeights(0);
  bytes[0] = static_cast<char>(bytes[0] + 4); // a header that is longer by 4 spaces
  bytes.insert(64, 4, ' ');
  artifact.setFile("weights.safetensors", bytes);
  artifact.write();
  expectRefused(artifact.path(), XFM_CORRUPT, "multiple of 64");
}

TEST(Model, ModuleMustBeOne) {
  FakeArtifact artifact;
  artifact.setFile("module.so", "not a shared library");
  artifact.write();
  expectRefused(artifact.path(), XFM_CORRUPT, "cannot be loaded");
}

TEST(Model, ModuleMustExportItsSymbols) {
  FakeArtifact artifact;
  artifact.entry("score")["symbol"] = "xfm_entry_nothing";
  artifact.write();
  expectRefused(artifact.path(), XFM_CORRUPT, "exports no 'xfm_entry_nothing'");
  artifact.entry("score")["symbol"] = "xfm_entry_score";
  artifact.entry("score")["arena_symbol"] = "xfm_arena_nothing";
  artifact.write();
  expectRefused(artifact.path(), XFM_CORRUPT, "exports no 'xfm_arena_nothing'");
}

TEST(Model, ModuleMayRefuseTheRuntime) {
  FakeArtifact artifact;
  artifact.setFile("module.so", readFile(FAKE_MODULE_REFUSING));
  artifact.write();
  expectRefused(artifact.path(), XFM_VERSION_MISMATCH, "refuses this runtime with code 7");
}

TEST(Model, ModuleMustExportItsInit) {
  FakeArtifact artifact;
  std::string bytes = readFile(artifact.file("module.so"));
  size_t found = 0;
  for (size_t at = 0; (at = bytes.find("xfm_module_init", at)) != std::string::npos; at += 15, ++found)
    bytes.replace(at, 15, "xfm_absent_init");
  ASSERT_GT(found, 0u);
  artifact.setFile("module.so", bytes);
  artifact.write();
  expectRefused(artifact.path(), XFM_CORRUPT, "exports no 'xfm_module_init'");
}

TEST(Model, OpensTwice) {
  FakeArtifact artifact;
  xfm_model *first = openModel(artifact.path());
  xfm_model *second = openModel(artifact.path());
  xfm_model_close(first);
  xfm_session *session = nullptr;
  ASSERT_EQ(xfm_session_create(second, nullptr, &session), XFM_OK) << xfm_last_error();
  std::vector<int32_t> tokens = {1, 2, 3};
  xfm_tensor input = tensorOf(tokens, XFM_I32, {1, 3});
  EXPECT_EQ(xfm_session_call(session, "score", &input, 1), XFM_OK) << xfm_last_error();
  xfm_session_destroy(session);
  xfm_model_close(second);
}

/// The first sum after the token 1.
static float firstSum(xfm_model *model) {
  xfm_session *session = nullptr;
  EXPECT_EQ(xfm_session_create(model, nullptr, &session), XFM_OK) << xfm_last_error();
  std::vector<int32_t> tokens = {1};
  std::vector<float> offsets = {0, 0};
  xfm_tensor inputs[] = {tensorOf(tokens, XFM_I32, {1, 1}), tensorOf(offsets, XFM_F32, {1, 1, 2})};
  EXPECT_EQ(xfm_session_call(session, "prefill", inputs, 2), XFM_OK) << xfm_last_error();
  xfm_tensor sums = {};
  EXPECT_EQ(xfm_session_output(session, 0, &sums), XFM_OK);
  float result = sums.data ? *static_cast<const float *>(sums.data) : -1;
  xfm_session_destroy(session);
  return result;
}

// A model compiled again into the same folder is the new one, also while the
// old one is still open.
TEST(Model, ReplacedArtifactIsTheNewOne) {
  FakeArtifact artifact;
  artifact.setFile("weights.safetensors", fakeWeights(5));
  artifact.write();
  xfm_model *before = openModel(artifact.path());
  EXPECT_EQ(firstSum(before), 6);
  artifact.setFile("module.so", readFile(FAKE_MODULE_OTHER));
  artifact.setFile("weights.safetensors", fakeWeights(7));
  artifact.write();
  xfm_model *after = openModel(artifact.path());
  EXPECT_EQ(firstSum(after), 1008);
  EXPECT_EQ(firstSum(before), 6);
  xfm_model_close(before);
  EXPECT_EQ(firstSum(after), 1008);
  xfm_model_close(after);
}

// The loader knows code by the descriptor it came from. That number must not
// become another file's while the code is in use, by whichever model.
TEST(Model, ReplacedArtifactIsTheNewOneUnderOldNumbers) {
  FakeArtifact artifact;
  xfm_model *first = openModel(artifact.path()), *second = openModel(artifact.path());
  xfm_model_close(first);
  artifact.setFile("module.so", readFile(FAKE_MODULE_OTHER));
  artifact.write();
  std::vector<xfm_model *> later;
  for (int i = 0; i < 12; ++i) {
    later.push_back(openModel(artifact.path()));
    EXPECT_EQ(firstSum(later.back()), 1001) << i;
  }
  EXPECT_EQ(firstSum(second), 1);
  for (xfm_model *model : later)
    xfm_model_close(model);
  xfm_model_close(second);
}
