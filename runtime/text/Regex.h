//===- Regex.h - Patterns of a tokenizer --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//
// The patterns in a tokenizer.json are written for Oniguruma; they are rewritten
// for PCRE2, which reads some classes and flags differently.
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_REGEX_H
#define XFM_RUNTIME_TEXT_REGEX_H

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace xfm::text {

/// A half-open range of bytes.
struct Span {
  size_t begin, end;
};

/// A compiled pattern; copies share it, and any number of threads may use it at once.
class Regex {
public:
  /// Throws Error if the pattern does not compile or means something PCRE2 cannot express.
  explicit Regex(std::string_view pattern);

  /// A pattern that matches `text` itself. `text` must not be empty.
  static Regex literal(std::string_view text);

  /// Every match in valid UTF-8, leftmost first, without overlap. Throws Error when the match limit is
  /// exceeded.
  std::vector<Span> matches(std::string_view text) const;

  /// The text with every match replaced by `content`, taken literally.
  std::string replaceAll(std::string_view text, std::string_view content) const;

private:
  Regex() = default;
  std::string source;
  std::shared_ptr<void> code; ///< null for a literal, which needs no PCRE2
};

/// The pattern in PCRE2's syntax; see runtime/text/README.md for what changes.
std::string translatePattern(std::string_view pattern);

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_REGEX_H
