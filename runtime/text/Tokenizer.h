//===- Tokenizer.h - Text to token ids and back -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//
// Reads the tokenizer.json of Hugging Face models whose model is BPE, byte-level
// or sentencepiece-style. Everything that can fail throws xfm::text::Error.
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_TOKENIZER_H
#define XFM_RUNTIME_TEXT_TOKENIZER_H

#include "runtime/text/Error.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace xfm::text {

class DecodeStage;

/// Immutable: any number of threads may use one at once. Copies share it.
class Tokenizer {
public:
  /// Reads a tokenizer.json. Errors name the file.
  static Tokenizer load(const std::string &path);
  /// Reads the text of a tokenizer.json.
  static Tokenizer parse(std::string_view json);

  /// The ids of a text, with those that the post-processor adds (BOS) where `addSpecial`. `text` must be
  /// valid UTF-8.
  std::vector<int32_t> encode(std::string_view text, bool addSpecial = true) const;

  /// The text of ids. Ids without a token, which padded vocabularies have, give nothing.
  std::string decode(const std::vector<int32_t> &ids, bool skipSpecial = false) const;

  std::optional<int32_t> findId(std::string_view token) const;
  std::optional<std::string> findToken(int32_t id) const;
  /// One more than the largest id.
  int32_t idLimit() const;

private:
  friend class StreamDecoder;
  struct Parts;
  explicit Tokenizer(std::shared_ptr<const Parts> parts) : parts(std::move(parts)) {}
  std::shared_ptr<const Parts> parts;
};

/// Decodes ids one by one. What all calls return, put together, is Tokenizer::decode of all ids, and each
/// return value is valid UTF-8. Text that a later id can still change is held back.
class StreamDecoder {
public:
  explicit StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial = false);
  StreamDecoder(StreamDecoder &&) noexcept;
  ~StreamDecoder();

  std::string push(int32_t id);
  /// No more ids: returns what was held back. Nothing may follow.
  std::string finish();

private:
  void run(size_t stage, std::string token, std::string &out);

  std::shared_ptr<const Tokenizer::Parts> parts;
  std::vector<std::unique_ptr<DecodeStage>> stages;
  bool skipSpecial;
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_TOKENIZER_H
