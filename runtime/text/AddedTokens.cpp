//===- AddedTokens.cpp - Tokens that are found before anything is split ---===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/AddedTokens.h"
#include "runtime/text/Error.h"
#include "runtime/text/Utf8.h"

namespace xfm::text {

static AddedToken readToken(const Json &entry) {
  AddedToken token;
  token.content = getString(entry, "content");
  const Json *id = findMember(entry, "id");
  if (!id)
    throw Error("added token '" + token.content + "' has no id");
  token.id = getTokenId(*id, "added token '" + token.content + "'");
  token.special = getBool(entry, "special", false);
  token.singleWord = getBool(entry, "single_word", false);
  token.leftStrip = getBool(entry, "lstrip", false);
  token.rightStrip = getBool(entry, "rstrip", false);
  token.normalized = getBool(entry, "normalized", !token.special);
  return token;
}

AddedTokens::AddedTokens(const Json &list, const BPE &model, const Normalizer &normalizer) {
  if (!list.is_array())
    throw Error(std::string("expected 'added_tokens' to be an array, but got ") + list.type_name());
  for (const Json &entry : list) {
    AddedToken token = readToken(entry);
    if (token.content.empty() || ids.count(token.content))
      continue;
    token.id =
        model.findId(token.content).value_or(token.id); // the model's id counts, as in the tokenizers library
    auto [placed, isNew] = tokens.emplace(token.id, token);
    if (!isNew)
      throw Error("added tokens '" + placed->second.content + "' and '" + token.content +
                  "' have the same id " + std::to_string(token.id));
    ids.emplace(token.content, token.id);
    const AddedToken *held = &placed->second;
    tries[held->normalized].insert(held->normalized ? normalizer.apply(held->content) : held->content, held);
  }
}

void AddedTokens::Trie::insert(std::string_view pattern, const AddedToken *token) {
  if (pattern.empty())
    return;
  size_t node = 0;
  for (char c : pattern) {
    auto [child, isNew] = nodes[node].children.emplace(c, nodes.size());
    node = child->second;
    if (isNew)
      nodes.emplace_back();
  }
  if (!nodes[node].token)
    nodes[node].token = token;
}

const AddedToken *AddedTokens::Trie::longestAt(std::string_view text, size_t at, size_t &end) const {
  const AddedToken *longest = nullptr;
  for (size_t node = 0; at < text.size(); ++at) {
    auto child = nodes[node].children.find(text[at]);
    if (child == nodes[node].children.end())
      break;
    node = child->second;
    if (nodes[node].token) {
      longest = nodes[node].token;
      end = at + 1;
    }
  }
  return longest;
}

/// Whether a word character touches the span from outside.
static bool touchesWord(std::string_view text, Span span) {
  static const Regex word("\\w");
  auto isWord = [&](size_t begin) {
    size_t end = begin;
    nextCodePoint(text, end);
    return !word.matches(text.substr(begin, end - begin)).empty();
  };
  return (span.begin > 0 && isWord(previousBoundary(text, span.begin))) ||
         (span.end < text.size() && isWord(span.end));
}

/// The span with the white space that the token takes along, but none before `floor`.
static Span widened(std::string_view text, Span span, const AddedToken &token, size_t floor) {
  while (token.leftStrip && span.begin > floor) {
    size_t before = previousBoundary(text, span.begin), after = before;
    if (before < floor || !isWhiteSpace(nextCodePoint(text, after)))
      break;
    span.begin = before;
  }
  for (size_t after = span.end;
       token.rightStrip && after < text.size() && isWhiteSpace(nextCodePoint(text, after));)
    span.end = after;
  return span;
}

std::vector<AddedTokenPart> AddedTokens::split(std::string_view text, bool normalized) const {
  const Trie &trie = tries[normalized];
  std::vector<AddedTokenPart> parts;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const AddedToken *token = trie.longestAt(text, at, end);
    if (!token) {
      ++at;
      continue;
    }
    Span match{at, end};
    at = end;
    if (token->singleWord && touchesWord(text, match))
      continue;
    Span span = widened(text, match, *token, done);
    if (done < span.begin)
      parts.push_back({{done, span.begin}, nullptr});
    parts.push_back({span, token});
    at = done = span.end;
  }
  if (done < text.size())
    parts.push_back({{done, text.size()}, nullptr});
  return parts;
}

const AddedToken *AddedTokens::findId(int32_t id) const {
  auto found = tokens.find(id);
  return found == tokens.end() ? nullptr : &found->second;
}

const AddedToken *AddedTokens::findContent(std::string_view content) const {
  auto found = ids.find(std::string(content));
  return found == ids.end() ? nullptr : findId(found->second);
}

} // namespace xfm::text
