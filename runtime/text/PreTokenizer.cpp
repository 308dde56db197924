//===- PreTokenizer.cpp - Text split into pieces ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/PreTokenizer.h"
#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Error.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/Regex.h"

#include <algorithm>

namespace xfm::text {

namespace {
enum class Behavior { removed, isolated, mergedWithPrevious, mergedWithNext, contiguous };
struct Part {
  Span span;
  bool isMatch;
};
} // namespace

static Behavior getBehavior(const Json &description, const char *absent) {
  std::string name = getString(description, "behavior", absent);
  if (name == "Removed")
    return Behavior::removed;
  if (name == "Isolated")
    return Behavior::isolated;
  if (name == "MergedWithPrevious")
    return Behavior::mergedWithPrevious;
  if (name == "MergedWithNext")
    return Behavior::mergedWithNext;
  if (name == "Contiguous")
    return Behavior::contiguous;
  throw Error("split behavior '" + name + "' is not supported");
}

/// Matches and what lies between them; `invert` swaps the two.
static std::vector<Part> partsOf(std::string_view text, const Regex &pattern, bool invert) {
  std::vector<Part> parts;
  size_t last = 0;
  for (Span match : pattern.matches(text)) {
    if (last != match.begin)
      parts.push_back({{last, match.begin}, invert});
    parts.push_back({match, !invert});
    last = match.end;
  }
  if (last != text.size())
    parts.push_back({{last, text.size()}, invert});
  return parts;
}

/// Joins matches with a neighbour. A match directly behind a match starts a part of its own, as does what
/// follows.
static std::vector<Part> joined(const std::vector<Part> &parts, Behavior behavior) {
  std::vector<Part> out;
  bool previousMatch = false;
  auto join = [&](const Part &part) {
    bool extend =
        behavior == Behavior::contiguous ? part.isMatch == previousMatch : part.isMatch && !previousMatch;
    if (extend && !out.empty()) {
      out.back().span.begin = std::min(out.back().span.begin, part.span.begin);
      out.back().span.end = std::max(out.back().span.end, part.span.end);
    } else {
      out.push_back(part);
    }
    previousMatch = part.isMatch;
  };
  if (behavior == Behavior::mergedWithNext) {
    std::for_each(parts.rbegin(), parts.rend(), join);
    std::reverse(out.begin(), out.end());
  } else {
    std::for_each(parts.begin(), parts.end(), join);
  }
  return out;
}

static void split(const Piece &piece, const Regex &pattern, bool invert, Behavior behavior,
                  std::vector<Piece> &out) {
  std::vector<Part> parts = partsOf(piece.text, pattern, invert);
  if (behavior == Behavior::removed)
    parts.erase(std::remove_if(parts.begin(), parts.end(), [](const Part &part) { return part.isMatch; }),
                parts.end());
  else if (behavior != Behavior::isolated)
    parts = joined(parts, behavior);
  for (const Part &part : parts)
    if (part.span.begin != part.span.end)
      out.push_back({piece.text.substr(part.span.begin, part.span.end - part.span.begin),
                     piece.atStart && part.span.begin == 0});
}

void PreTokenizer::addByteLevel(const Json &description) {
  static const char *gpt2 =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  if (getBool(description, "add_prefix_space", true))
    steps.push_back([](Piece piece, std::vector<Piece> &out) {
      if (piece.text[0] != ' ')
        piece.text.insert(0, 1, ' ');
      out.push_back(std::move(piece));
    });
  if (getBool(description, "use_regex", true))
    steps.push_back([pattern = Regex(gpt2)](Piece piece, std::vector<Piece> &out) {
      split(piece, pattern, false, Behavior::isolated, out);
    });
  steps.push_back([](Piece piece, std::vector<Piece> &out) {
    out.push_back({toByteAlphabet(piece.text), piece.atStart});
  });
}

void PreTokenizer::addMetaspace(const Json &description) {
  std::string mark = getString(description, "replacement", "\xE2\x96\x81");
  // Files older than `prepend_scheme` say add_prefix_space.
  const char *absent = getBool(description, "add_prefix_space", true) ? "always" : "never";
  std::string scheme = getString(description, "prepend_scheme", absent);
  if (scheme != "always" && scheme != "first" && scheme != "never")
    throw Error("Metaspace prepend_scheme '" + scheme + "' is not supported");
  steps.push_back([mark, scheme, space = Regex::literal(" ")](Piece piece, std::vector<Piece> &out) {
    piece.text = space.replaceAll(piece.text, mark);
    bool prepend = scheme == "always" || (scheme == "first" && piece.atStart);
    if (prepend && piece.text.compare(0, mark.size(), mark) != 0)
      piece.text.insert(0, mark);
    out.push_back(std::move(piece));
  });
  if (getBool(description, "split", true))
    steps.push_back([pattern = Regex::literal(mark)](Piece piece, std::vector<Piece> &out) {
      split(piece, pattern, false, Behavior::mergedWithNext, out);
    });
}

void PreTokenizer::add(const Json &description) {
  auto addSplit = [&](Regex pattern, bool invert, Behavior behavior) {
    steps.push_back(
        [=](Piece piece, std::vector<Piece> &out) { split(piece, pattern, invert, behavior, out); });
  };
  std::string type = getString(description, "type");
  if (type == "Sequence") {
    for (const Json &step : getArray(description, "pretokenizers"))
      add(step);
  } else if (type == "ByteLevel") {
    addByteLevel(description);
  } else if (type == "Metaspace") {
    addMetaspace(description);
  } else if (type == "Split") {
    addSplit(getPattern(description), getBool(description, "invert", false),
             getBehavior(description, "Isolated"));
  } else if (type == "Digits") {
    bool individual = getBool(description, "individual_digits", false);
    addSplit(Regex("\\p{N}"), false, individual ? Behavior::isolated : Behavior::contiguous);
  } else if (type == "Punctuation") {
    addSplit(Regex("[!-/:-@\\[-`{-~\\p{P}]"), false, getBehavior(description, "Isolated"));
  } else if (type == "Whitespace") {
    addSplit(Regex("\\w+|[^\\w\\s]+"), true, Behavior::removed);
  } else if (type == "WhitespaceSplit") {
    addSplit(Regex("\\s"), false, Behavior::removed);
  } else if (type == "CharDelimiterSplit") {
    addSplit(Regex::literal(getString(description, "delimiter")), false, Behavior::removed);
  } else {
    throw Error("pre-tokenizer '" + type + "' is not supported");
  }
}

std::vector<Piece> PreTokenizer::apply(Piece piece) const {
  std::vector<Piece> pieces;
  if (!piece.text.empty())
    pieces.push_back(std::move(piece));
  for (const Step &step : steps) {
    std::vector<Piece> next;
    for (Piece &each : pieces)
      step(std::move(each), next);
    pieces = std::move(next);
  }
  return pieces;
}

} // namespace xfm::text
