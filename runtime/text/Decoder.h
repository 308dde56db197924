//===- Decoder.h - Tokens back to text ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_DECODER_H
#define XFM_RUNTIME_TEXT_DECODER_H

#include "runtime/text/Json.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace xfm::text {

/// One step of a decoder while a text is decoded. It receives tokens one by one and hands on what is certain.
class DecodeStage {
public:
  using Sink = std::function<void(std::string token)>;
  virtual ~DecodeStage() = default;
  virtual void push(std::string token, const Sink &sink) = 0;
  /// No more tokens: hands on what was held back.
  virtual void finish(const Sink &) {}
};

/// The `decoder` of a tokenizer.json. Without one, tokens are joined by spaces.
class Decoder {
public:
  Decoder();
  explicit Decoder(const Json &description);

  /// Fresh stages for one text, in order.
  std::vector<std::unique_ptr<DecodeStage>> start() const;

private:
  using Factory = std::function<std::unique_ptr<DecodeStage>()>;
  void add(const Json &description);
  /// Adds a step that looks at each token by itself. Behind a Fuse there is but one token, so all text is
  /// awaited.
  void addPerToken(Factory factory);
  void addStrip(const Json &description);

  std::vector<Factory> factories;
  bool fused = false; ///< all tokens are one from here on
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_DECODER_H
