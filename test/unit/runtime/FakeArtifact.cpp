//===- FakeArtifact.cpp - writes artifacts for tests ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FakeArtifact.h"
#include "runtime/Hash.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

using namespace xfm::test;
using nlohmann::json;

TemporaryFolder::TemporaryFolder() {
  std::string name = ::testing::TempDir() + "/xfm-XXXXXX";
  path = mkdtemp(name.data());
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

std::string xfm::test::readFile(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

void xfm::test::writeFile(const std::string &path, const std::string &bytes) {
  // A new file each time: the old one may be mapped by a model.
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string xfm::test::withChecksum(const std::string &body) {
  return body + ",\n  \"checksum\": \"" + hexDigits(hashBytes(body.data(), body.size())) + "\"\n}\n";
}

std::string xfm::test::manifestText(const json &manifest) {
  std::string text = manifest.dump(2);
  return withChecksum(text.substr(0, text.size() - 2));
}

std::string xfm::test::fakeWeights(float bias) {
  json header = {{"bias", {{"dtype", "F32"}, {"shape", {4}}, {"data_offsets", {0, 16}}}}};
  std::string text = header.dump();
  text.resize((8 + text.size() + 63) / 64 * 64 - 8, ' ');
  std::string file(8, '\0');
  file[0] = static_cast<char>(text.size());
  file += text;
  float values[4] = {bias, 1, 2, 3};
  file.append(reinterpret_cast<const char *>(values), sizeof values);
  return file;
}

static json tensor(const char *name, const char *dtype, json shape) {
  return {{"name", name}, {"dtype", dtype}, {"shape", std::move(shape)}};
}

static json entryPoint(const char *name, const char *arena, json sizes, json inputs, json caches,
                       json outputs) {
  std::string text = name;
  return {{"name", text},
          {"symbol", "xfm_entry_" + text},
          {"arena_symbol", arena},
          {"sizes", std::move(sizes)},
          {"inputs", std::move(inputs)},
          {"caches", std::move(caches)},
          {"outputs", std::move(outputs)},
          {"dispatches", json::array({{{"name", "all"}, {"count", 1}}})}};
}

FakeArtifact::FakeArtifact() {
#if defined(__x86_64__)
  const char *triple = "x86_64-unknown-linux-gnu";
#else
  const char *triple = "aarch64-unknown-linux-gnu";
#endif
  json tokens = tensor("tokens", "i32", {"B", "S"});
  tokens["range"] = {0, 100};
  json token = tensor("tokens", "i32", {"B", 1});
  token["range"] = {0, 100};
  json none = json::array();
  json caches = json::array({"cache.0"});
  manifest = {
      {"format", "xfm-artifact"},
      {"format_version", 1},
      {"abi_version", 1},
      {"compiler", {{"name", "by hand"}, {"version", "0"}}},
      {"target", {{"device", "cpu"}, {"triple", triple}, {"cpu", "any"}, {"features", json::array()}}},
      {"model",
       {{"architecture", "fake"},
        {"vocab_size", 100},
        {"max_positions", 64},
        {"chunk", 4},
        {"bos_token_id", 1},
        {"eos_token_ids", {2, 3}}}},
      {"caches",
       {{{"name", "cache.0"},
         {"policy", "full"},
         {"buffers",
          {{{"part", "keys"}, {"dtype", "f32"}, {"shape", {"B", "C"}}},
           {{"part", "length"}, {"dtype", "i32"}, {"shape", {"B"}}}}}}}},
      {"weights", {{{"name", "bias"}, {"format", "f32"}, {"shape", {4}}, {"bytes", 16}}}},
      {"files", json::array()}};
  manifest["entry_points"] = {
      entryPoint("prefill", "xfm_arena_prefill", {"B", "S", "C"},
                 {tokens, tensor("offsets", "f32", {"B", "S", 2})}, caches,
                 {tensor("sums", "f32", {"B", "S"}), tensor("pairs", "f32", {"B", "S", 2}),
                  tensor("last", "f32", {"B", 2})}),
      entryPoint("score", "xfm_arena_score", {"B", "S"}, json::array({tokens}), none,
                 json::array({tensor("doubled", "f32", {"B", "S"})})),
      entryPoint("decode", "xfm_arena_decode", {"B", "C"}, json::array({token}), caches,
                 json::array({tensor("sums", "f32", json::array({"B"}))})),
      entryPoint("forgetful", "xfm_arena_decode", {"B", "C"}, json::array({token}), caches, none)};
  setFile("module.so", readFile(FAKE_MODULE));
  setFile("weights.safetensors", fakeWeights(0));
  write();
}

void FakeArtifact::write() const { writeFile(file("manifest.json"), manifestText(manifest)); }

void FakeArtifact::setFile(const std::string &name, const std::string &bytes) {
  writeFile(file(name), bytes);
  json spec = {
      {"name", name}, {"bytes", bytes.size()}, {"xxh3", hexDigits(hashBytes(bytes.data(), bytes.size()))}};
  for (json &known : manifest["files"])
    if (known["name"] == name) {
      known = spec;
      return;
    }
  manifest["files"].push_back(spec);
}

void FakeArtifact::makeFolder(const std::string &name) const {
  std::filesystem::create_directory(file(name));
}

json &FakeArtifact::entry(const std::string &name) {
  for (json &known : manifest["entry_points"])
    if (known["name"] == name)
      return known;
  throw std::runtime_error("no entry point " + name);
}

xfm_model *xfm::test::openModel(const std::string &path) {
  xfm_model *model = nullptr;
  EXPECT_EQ(xfm_model_open(path.c_str(), nullptr, &model), XFM_OK) << xfm_last_error();
  return model;
}

void xfm::test::expectRefused(const std::string &path, xfm_status status, const std::string &part) {
  xfm_model *model = nullptr;
  xfm_status actual = xfm_model_open(path.c_str(), nullptr, &model);
  std::string message = xfm_last_error();
  EXPECT_STREQ(xfm_status_name(actual), xfm_status_name(status)) << message;
  EXPECT_EQ(model, nullptr);
  EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
  EXPECT_NE(message.find(path), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  xfm_model_close(model);
}
