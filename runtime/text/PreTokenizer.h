//===- PreTokenizer.h - Text split into pieces --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_PRETOKENIZER_H
#define XFM_RUNTIME_TEXT_PRETOKENIZER_H

#include "runtime/text/Json.h"

#include <functional>
#include <string>
#include <vector>

namespace xfm::text {

/// A part of the text that merges never cross.
struct Piece {
  std::string text;
  bool atStart; ///< it begins where the whole text begins
};

/// The `pre_tokenizer` of a tokenizer.json: steps that split pieces further.
class PreTokenizer {
public:
  PreTokenizer() = default;
  explicit PreTokenizer(const Json &description) { add(description); }

  std::vector<Piece> apply(Piece piece) const;

private:
  using Step = std::function<void(Piece piece, std::vector<Piece> &out)>;
  void add(const Json &description);
  void addByteLevel(const Json &description);
  void addMetaspace(const Json &description);
  std::vector<Step> steps;
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_PRETOKENIZER_H
