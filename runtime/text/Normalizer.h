//===- Normalizer.h - Text before it is split ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_NORMALIZER_H
#define XFM_RUNTIME_TEXT_NORMALIZER_H

#include "runtime/text/Json.h"
#include "runtime/text/Regex.h"

#include <functional>
#include <string>
#include <vector>

namespace xfm::text {

/// The `normalizer` of a tokenizer.json: steps that rewrite the text between added tokens.
class Normalizer {
public:
  Normalizer() = default;
  explicit Normalizer(const Json &description) { add(description); }

  /// Throws Error where a step cannot handle this text.
  std::string apply(std::string text) const;

private:
  void add(const Json &description);
  std::vector<std::function<std::string(std::string)>> steps;
};

/// The `pattern` of a description: {"String": …} or {"Regex": …}.
Regex getPattern(const Json &description);

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_NORMALIZER_H
