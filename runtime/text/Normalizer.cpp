//===- Normalizer.cpp - Text before it is split -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Normalizer.h"
#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Error.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

namespace xfm::text {

Regex getPattern(const Json &description) {
  const Json *pattern = findMember(description, "pattern");
  if (!pattern)
    throw Error("member 'pattern' is missing");
  if (findMember(*pattern, "String"))
    return Regex::literal(getString(*pattern, "String"));
  return Regex(getString(*pattern, "Regex"));
}

static std::string strip(const std::string &text, bool left, bool right) {
  size_t begin = 0, end = text.size();
  for (size_t next = 0; left && next < end && isWhiteSpace(nextCodePoint(text, next));)
    begin = next;
  while (right && end > begin) {
    size_t last = previousBoundary(text, end), after = last;
    if (!isWhiteSpace(nextCodePoint(text, after)))
      break;
    end = last;
  }
  return text.substr(begin, end - begin);
}

void Normalizer::add(const Json &description) {
  std::string type = getString(description, "type");
  if (type == "Sequence") {
    for (const Json &step : getArray(description, "normalizers"))
      add(step);
  } else if (type == "Prepend") {
    steps.push_back([prefix = getString(description, "prepend")](std::string text) {
      return text.empty() ? text : prefix + text;
    });
  } else if (type == "Replace") {
    steps.push_back([pattern = getPattern(description), content = getString(description, "content")](
                        std::string text) { return pattern.replaceAll(text, content); });
  } else if (type == "Strip") {
    bool left = getBool(description, "strip_left", true), right = getBool(description, "strip_right", true);
    steps.push_back([=](std::string text) { return strip(text, left, right); });
  } else if (type == "Lowercase") {
    steps.push_back([](std::string text) { return toLower(text); });
  } else if (type == "NFC") {
    steps.push_back([](std::string text) { return toNFC(text); });
  } else if (type == "NFD") {
    steps.push_back([](std::string text) { return toNFD(text); });
  } else if (type == "ByteLevel") {
    steps.push_back([](std::string text) { return toByteAlphabet(text); });
  } else if (type == "NFKC" || type == "NFKD") {
    steps.push_back([type](std::string text) {
      if (!isAscii(text))
        throw Error("normalizer '" + type + "' is supported for ASCII text only");
      return text;
    });
  } else {
    throw Error("normalizer '" + type + "' is not supported");
  }
}

std::string Normalizer::apply(std::string text) const {
  for (const auto &step : steps)
    text = step(std::move(text));
  return text;
}

} // namespace xfm::text
