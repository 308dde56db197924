//===- Regex.cpp - Patterns of a tokenizer ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Regex.h"
#include "runtime/text/Error.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace xfm::text {

namespace {
/// What a match needs beside the pattern; one per thread, because it is written to.
struct Scratch {
  pcre2_match_data *data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context *context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack *stack = pcre2_jit_stack_create(32 << 10, 4 << 20, nullptr);

  Scratch() {
    if (!data || !context)
      throw std::bad_alloc();
    pcre2_set_match_limit(context, 10'000'000);
    pcre2_set_heap_limit(context, 64 << 10); // KiB
    if (stack)
      pcre2_jit_stack_assign(context, nullptr, stack);
  }
  Scratch(const Scratch &) = delete;
  ~Scratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};
} // namespace

static std::string describe(int error) {
  PCRE2_UCHAR buffer[160] = {};
  pcre2_get_error_message(error, buffer, sizeof buffer);
  return reinterpret_cast<const char *>(buffer);
}

Regex::Regex(std::string_view pattern) : source(pattern) {
  if (pattern.size() > 64 << 10)
    throw Error("pattern has " + std::to_string(pattern.size()) + " bytes, but at most 65536 are allowed");
  std::string translated = translatePattern(pattern);
  int error = 0;
  PCRE2_SIZE where = 0;
  // Oniguruma's ^ and $ stand at every line.
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code *compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                       options, &error, &where, nullptr);
  if (!compiled)
    throw Error("pattern does not compile (" + describe(error) + " at " + std::to_string(where) +
                "): " + source);
  code.reset(compiled, [](void *held) { pcre2_code_free(static_cast<pcre2_code *>(held)); });
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); // where this fails, the interpreter gives the same matches
}

Regex Regex::literal(std::string_view text) {
  if (text.empty())
    throw Error("pattern is empty");
  Regex regex;
  regex.source = text;
  return regex;
}

std::vector<Span> Regex::matches(std::string_view text) const {
  std::vector<Span> found;
  if (!code) {
    for (size_t at = text.find(source); at != std::string_view::npos;
         at = text.find(source, at + source.size()))
      found.push_back({at, at + source.size()});
    return found;
  }
  thread_local Scratch scratch;
  for (size_t at = 0; at <= text.size();) {
    // The caller checked the text once; checking again at each match would be quadratic.
    int status =
        pcre2_match(static_cast<const pcre2_code *>(code.get()), reinterpret_cast<PCRE2_SPTR>(text.data()),
                    text.size(), at, PCRE2_NO_UTF_CHECK, scratch.data, scratch.context);
    if (status == PCRE2_ERROR_NOMATCH)
      break;
    if (status < 0)
      throw Error("pattern fails on this text (" + describe(status) + "): " + source);
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(scratch.data);
    if (offsets[0] < at || offsets[1] < offsets[0])
      throw Error("pattern matches backwards: " + source);
    found.push_back({offsets[0], offsets[1]});
    at = offsets[1];
    if (offsets[0] != offsets[1])
      continue;
    do // An empty match: go on behind the next code point.
      ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  }
  return found;
}

std::string Regex::replaceAll(std::string_view text, std::string_view content) const {
  std::string out;
  size_t last = 0;
  for (Span span : matches(text)) {
    out += text.substr(last, span.begin - last);
    out += content;
    last = span.end;
  }
  return out += text.substr(last);
}

} // namespace xfm::text
