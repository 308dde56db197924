//===- RegexTranslate.cpp - Oniguruma's syntax in PCRE2's ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Error.h"
#include "runtime/text/Regex.h"

#include <cctype>

namespace xfm::text {

namespace {
/// Copies a pattern, changing what the two engines read differently.
class Translator {
public:
  explicit Translator(std::string_view pattern) : in(pattern) {}

  std::string run() {
    while (at < in.size())
      inClass ? classItem() : item();
    return std::move(out);
  }

private:
  [[noreturn]] void fail(const std::string &what) const {
    throw Error("pattern uses " + what + ", which is not supported: " + std::string(in));
  }
  char peek(size_t ahead) const { return at + ahead < in.size() ? in[at + ahead] : '\0'; }
  void copy(size_t count = 1) {
    out += in.substr(at, count);
    at += count;
  }
  void put(std::string_view text, size_t skip) {
    out += text;
    at += skip;
  }

  void item() {
    switch (in[at]) {
    case '\\':
      return escape();
    case '[':
      copy();
      inClass = true;
      if (peek(0) == '^')
        copy();
      if (peek(0) == ']')
        copy();
      return;
    case '(':
      return peek(1) == '?' ? group() : copy();
    case '{':
      return interval();
    default:
      return copy();
    }
  }

  void classItem() {
    if (in[at] == ']')
      inClass = false;
    else if (in[at] == '\\')
      return escape();
    else if (in[at] == '&' && peek(1) == '&')
      fail("an intersection of classes (&&)");
    else if (in[at] == '[') {
      size_t end = peek(1) == ':' ? in.find(":]", at) : std::string_view::npos;
      if (end == std::string_view::npos)
        fail("a class inside a class");
      return copy(end + 2 - at);
    }
    copy();
  }

  /// Classes that PCRE2 defines otherwise, or otherwise from version to version.
  void escape() {
    static constexpr std::string_view word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
    static constexpr std::string_view space = "\\t-\\r\\x{85}\\p{Z}";
    static constexpr std::string_view hex = "0-9A-Fa-f";
    char kind = peek(1);
    std::string_view members = std::tolower(kind) == 'w'   ? word
                               : std::tolower(kind) == 's' ? space
                               : std::tolower(kind) == 'h' ? hex
                                                           : std::string_view();
    bool negated = std::isupper(static_cast<unsigned char>(kind));
    if (!members.empty() && !inClass)
      return put((negated ? "[^" : "[") + std::string(members) + "]", 2);
    if (!members.empty() && !negated)
      return put(members, 2);
    if (!members.empty() && kind != 'S') // [\S] differs only in U+180E
      fail(std::string("\\") + kind + " inside a class");
    if (kind == 'u')
      return put("\\x{" + std::string(in.substr(at + 2, 4)) + "}", std::min<size_t>(6, in.size() - at));
    copy(std::min<size_t>(2, in.size() - at));
    size_t end = peek(0) == '{' && std::string_view("pPx").find(kind) != std::string_view::npos
                     ? in.find('}', at)
                     : std::string_view::npos;
    if (end != std::string_view::npos)
      copy(end + 1 - at);
  }

  /// (?m) lets the dot match a newline, which PCRE2 calls (?s).
  void group() {
    copy(2);
    size_t end = in.find_first_not_of("imx-", at);
    if (end == std::string_view::npos || (in[end] != ':' && in[end] != ')'))
      return;
    for (; at < end; ++at)
      out += in[at] == 'm' ? 's' : in[at];
  }

  void interval() {
    size_t end = in.find_first_not_of("0123456789,", at + 1);
    if (end == std::string_view::npos || in[end] != '}' || end == at + 1)
      return copy();
    if (end + 1 < in.size() && in[end + 1] == '+')
      fail("a quantifier after an interval ({n,m}+)");
    if (peek(1) == ',')
      return put("{0" + std::string(in.substr(at + 1, end - at)), end + 1 - at);
    copy(end + 1 - at);
  }

  std::string_view in;
  std::string out;
  size_t at = 0;
  bool inClass = false;
};
} // namespace

std::string translatePattern(std::string_view pattern) { return Translator(pattern).run(); }

} // namespace xfm::text
