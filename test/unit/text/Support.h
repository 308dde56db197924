//===- Support.h - What several tests need ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TEST_UNIT_TEXT_SUPPORT_H
#define XFM_TEST_UNIT_TEXT_SUPPORT_H

#include "runtime/text/Tokenizer.h"

#include <functional>
#include <string>
#include <vector>

namespace xfm::test {

/// The message of the exception that `action` throws; "no error" if it throws none.
std::string errorOf(const std::function<void()> &action);

/// The path of a file of the repository.
std::string sourceFile(const std::string &name);

/// The tokenizer of examples/bard.
text::Tokenizer bardTokenizer();

/// A byte-level tokenizer.json with the 256 letters of bytes and the given members beside its model.
std::string byteLevelJson(const std::string &members = "");

/// A sentencepiece-style tokenizer.json with byte_fallback, as Llama 2 has it: 0 <unk>, 1 <s>, 2 </s>, 3 …
/// 258 bytes, then the pieces ▁ a b ab ▁a.
std::string sentencePieceJson();

/// A folder of its own for each test, removed with its files.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string operator/(const std::string &name) const { return path + "/" + name; }
  void write(const std::string &name, const std::string &text) const;
  std::string read(const std::string &name) const;
  bool has(const std::string &name) const;

  std::string path;
};

/// Writes an artifact around FakeModule.c. `model` is the manifest's member of that name.
void writeArtifact(const TemporaryFolder &folder, const std::string &model);

/// What a tfrun command line gave.
struct Outcome {
  int status;
  std::string out, error;
};

/// Runs tfrun in a process of its own. Its stdout goes to a file that is read back, or to `out`.
Outcome runTfrun(const std::vector<std::string> &arguments, const std::string &out = "");

} // namespace xfm::test

#endif // XFM_TEST_UNIT_TEXT_SUPPORT_H
