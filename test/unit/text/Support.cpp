//===- Support.cpp - What several tests need ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/text/Support.h"
#include "runtime/Hash.h"
#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Json.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace xfm::test {

std::string errorOf(const std::function<void()> &action) {
  try {
    action();
  } catch (const std::exception &error) {
    return error.what();
  }
  return "no error";
}

std::string sourceFile(const std::string &name) { return std::string(XFM_SOURCE_DIR) + "/" + name; }

text::Tokenizer bardTokenizer() { return text::Tokenizer::load(sourceFile("examples/bard/tokenizer.json")); }

std::string byteLevelJson(const std::string &members) {
  text::Json vocab;
  for (int byte = 0; byte < 256; ++byte)
    vocab[text::toByteAlphabet(std::string(1, char(byte)))] = byte;
  std::string json = R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "merges": [], "vocab": )" +
                     vocab.dump() + "}";
  return json + (members.empty() ? "" : ", " + members) + "}";
}

std::string sentencePieceJson() {
  text::Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", unsigned(byte));
    vocab[name] = 3 + byte;
  }
  int next = 259;
  for (const char *piece : {"▁", "a", "b", "ab", "▁a"})
    vocab[piece] = next++;
  return R"({"added_tokens": [{"id": 1, "content": "<s>", "special": true}, {"id": 2, "content": "</s>", "special": true}],
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
      {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
      "merges": ["a b", ["▁", "a"]], "vocab": )" +
         vocab.dump() + "}}";
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "text-tests-XXXXXX").string();
  if (!mkdtemp(name.data()))
    throw std::runtime_error("cannot make a temporary folder");
  path = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

void TemporaryFolder::write(const std::string &name, const std::string &text) const {
  std::ofstream(*this / name, std::ios::binary) << text;
}

std::string TemporaryFolder::read(const std::string &name) const { return text::readFile(*this / name); }

bool TemporaryFolder::has(const std::string &name) const { return std::filesystem::exists(*this / name); }

void writeArtifact(const TemporaryFolder &folder, const std::string &model) {
  std::string module = text::readFile(XFM_FAKE_MODULE);
  folder.write("module.so", module);
  std::string tokens =
      R"("inputs": [{"name": "tokens", "dtype": "i32", "shape": ["B", "S"], "range": [0, 1024]}])";
  auto generating = [&](const std::string &name) {
    return R"({"name": ")" + name + R"(", "symbol": "xfm_entry_)" + name +
           R"(", "arena_symbol": "xfm_arena_none", "sizes": ["B", "S", "C"], )" + tokens +
           R"(, "caches": ["cache.0"],
      "outputs": [{"name": "logits", "dtype": "f32", "shape": ["B", 1024]}],
      "arena": [{"bytes": 0, "sizes": ["B", "S"]}],
      "dispatches": [{"name": "formula", "count": 2},
                     {"name": "stand_out", "count": 1, "flops": [{"coefficient": 7, "sizes": ["B", "S"]}],
                      "bytes": [{"coefficient": 4, "sizes": []}]}]})";
  };
  std::string body = R"({"format": "xfm-artifact", "format_version": 1, "abi_version": 1,
    "compiler": {"name": "test", "version": "0"},
    "target": {"device": "cpu", "triple": ")" XFM_FAKE_TRIPLE R"(", "cpu": "any", "features": []},
    "model": )" + model +
                     R"(, "entry_points": [)" + generating("prefill") + ", " + generating("decode") +
                     R"(, {"name": "score", "symbol": "xfm_entry_score", "arena_symbol": "xfm_arena_none",
      "sizes": ["S", "B"], )" +
                     tokens +
                     R"(, "caches": [], "outputs": [{"name": "sums", "dtype": "f32", "shape": ["B", "S"]}]}],
    "caches": [{"name": "cache.0", "policy": "full", "buffers": [{"part": "length", "dtype": "i32", "shape": ["B"]}]}],
    "weights": [], "files": [{"name": "module.so", "bytes": )" +
                     std::to_string(module.size()) + R"(, "xxh3": ")" +
                     hexDigits(hashBytes(module.data(), module.size())) + "\"}]";
  folder.write("manifest.json",
               body + ",\n  \"checksum\": \"" + hexDigits(hashBytes(body.data(), body.size())) + "\"\n}\n");
}

Outcome runTfrun(const std::vector<std::string> &arguments, const std::string &target) {
  TemporaryFolder folder;
  std::string out = target.empty() ? folder / "out" : target, error = folder / "error";
  std::vector<const char *> raw = {XFM_TFRUN};
  for (const std::string &argument : arguments)
    raw.push_back(argument.c_str());
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, error.c_str(), O_WRONLY | O_CREAT, 0600);
  pid_t process = 0;
  int failed =
      posix_spawn(&process, XFM_TFRUN, &actions, nullptr, const_cast<char *const *>(raw.data()), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (failed || waitpid(process, &status, 0) != process)
    throw std::runtime_error("cannot run " XFM_TFRUN);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
          target.empty() ? folder.read("out") : "", folder.read("error")};
}

} // namespace xfm::test
