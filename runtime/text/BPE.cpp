//===- BPE.cpp - Byte-pair encoding -------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/BPE.h"
#include "runtime/text/Error.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <cstdio>
#include <queue>

namespace xfm::text {

static constexpr size_t maxPieceBytes = size_t(1) << 30;

static uint64_t pairKey(int32_t left, int32_t right) {
  return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
}

BPE::BPE(const Json &description) {
  if (const Json *dropout = findMember(description, "dropout"); dropout && *dropout != 0)
    throw Error("BPE with dropout is not supported: its encoding is random");
  const Json *vocab = findMember(description, "vocab");
  if (!vocab || !vocab->is_object())
    throw Error("expected the BPE member 'vocab' to be an object");
  prefix = getString(description, "continuing_subword_prefix", "");
  suffix = getString(description, "end_of_word_suffix", "");
  fuseUnknown = getBool(description, "fuse_unk", false);
  ignoreMerges = getBool(description, "ignore_merges", false);
  readVocabulary(*vocab);
  readMerges(getArray(description, "merges"));

  if (findMember(description, "unk_token")) {
    std::string token = getString(description, "unk_token");
    unknown = findId(token);
    if (!unknown)
      throw Error("unk_token '" + token + "' is not in the vocabulary");
  }
  if (getBool(description, "byte_fallback", false)) {
    for (int byte = 0; byte < 256; ++byte) {
      char name[8];
      std::snprintf(name, sizeof name, "<0x%02X>", unsigned(byte));
      byteIds.push_back(findId(name).value_or(-1));
    }
  }
}

void BPE::readVocabulary(const Json &vocab) {
  vocabulary.reserve(vocab.size());
  byId.reserve(vocab.size());
  for (const auto &[token, value] : vocab.items()) {
    int32_t id = getTokenId(value, "token '" + token + "'");
    auto entry = vocabulary.emplace(token, id).first;
    if (auto [other, isNew] = byId.emplace(id, &entry->first); !isNew)
      throw Error("tokens '" + *other->second + "' and '" + token + "' have the same id " +
                  std::to_string(id));
    limit = std::max(limit, id + 1);
  }
}

void BPE::readMerges(const Json &list) {
  merges.reserve(list.size());
  uint32_t rank = 0;
  auto idOf = [&](const std::string &token) {
    if (std::optional<int32_t> id = findId(token))
      return *id;
    throw Error("merge " + std::to_string(rank) + " has the token '" + token +
                "', which is not in the vocabulary");
  };
  for (const Json &entry : list) {
    std::string left, right;
    if (entry.is_string()) {
      const std::string &text = entry.get_ref<const std::string &>();
      size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
        throw Error("expected merge " + std::to_string(rank) + " to be two tokens, but got '" + text + "'");
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      left = entry[0].get<std::string>();
      right = entry[1].get<std::string>();
    } else {
      throw Error("expected merge " + std::to_string(rank) + " to be two tokens, but got " +
                  entry.type_name());
    }
    int32_t leftId = idOf(left), rightId = idOf(right);
    if (right.size() < prefix.size())
      throw Error("merge " + std::to_string(rank) + " lacks the prefix '" + prefix + "'");
    // Of equal merges the last counts, as in the tokenizers library.
    merges[pairKey(leftId, rightId)] = {rank, idOf(left + right.substr(prefix.size()))};
    ++rank;
  }
}

std::optional<int32_t> BPE::findId(std::string_view token) const {
  auto found = vocabulary.find(std::string(token));
  return found == vocabulary.end() ? std::nullopt : std::optional(found->second);
}

const std::string *BPE::findToken(int32_t id) const {
  auto found = byId.find(id);
  return found == byId.end() ? nullptr : found->second;
}

const BPE::Merge *BPE::findMerge(int32_t left, int32_t right) const {
  auto found = merges.find(pairKey(left, right));
  return found == merges.end() ? nullptr : &found->second;
}

/// The ids of the single characters, before any merge.
std::vector<int32_t> BPE::split(std::string_view piece) const {
  std::vector<int32_t> ids;
  ids.reserve(piece.size());
  std::optional<int32_t> pendingUnknown;
  for (size_t position = 0; position < piece.size();) {
    size_t begin = position;
    char32_t code = nextCodePoint(piece, position);
    std::string symbol = (begin == 0 ? "" : prefix) + std::string(piece.substr(begin, position - begin));
    if (position == piece.size())
      symbol += suffix;
    if (std::optional<int32_t> id = findId(symbol)) {
      if (pendingUnknown)
        ids.push_back(*std::exchange(pendingUnknown, std::nullopt));
      ids.push_back(*id);
      continue;
    }
    auto byteId = [&](unsigned char byte) { return byteIds[byte]; };
    if (!byteIds.empty() &&
        std::all_of(symbol.begin(), symbol.end(), [&](char c) { return byteId(c) >= 0; })) {
      // A waiting unknown token stays behind these bytes, as in the tokenizers library.
      for (char c : symbol)
        ids.push_back(byteId(c));
      continue;
    }
    if (!unknown) {
      char name[16];
      std::snprintf(name, sizeof name, "U+%04X", unsigned(code));
      throw Error(std::string("character ") + name + " is not in the vocabulary and there is no unk_token");
    }
    if (pendingUnknown && !fuseUnknown)
      ids.push_back(*pendingUnknown);
    pendingUnknown = unknown;
  }
  if (pendingUnknown)
    ids.push_back(*pendingUnknown);
  return ids;
}

struct BPE::Symbol {
  int32_t id; ///< -1 once merged into its left neighbour
  int32_t previous, next;
};

void BPE::merge(std::vector<int32_t> &ids) const {
  struct Candidate {
    uint32_t rank;
    int32_t position, result;
    bool operator<(const Candidate &other) const { // the queue's top is the lowest rank, then the leftmost
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  int32_t count = static_cast<int32_t>(ids.size());
  std::vector<Symbol> symbols(count);
  std::vector<Candidate> initial;
  auto candidateAt = [&](int32_t position) -> std::optional<Candidate> {
    const Merge *found = findMerge(symbols[position].id, symbols[symbols[position].next].id);
    return found ? std::optional(Candidate{found->rank, position, found->result}) : std::nullopt;
  };
  for (int32_t i = 0; i < count; ++i)
    symbols[i] = {ids[i], i - 1, i + 1 < count ? i + 1 : -1};
  for (int32_t i = 0; i + 1 < count; ++i)
    if (auto candidate = candidateAt(i))
      initial.push_back(*candidate);
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(initial));

  while (!queue.empty()) {
    Candidate top = queue.top();
    queue.pop();
    Symbol &left = symbols[top.position];
    if (left.id < 0 || left.next < 0)
      continue;
    // The neighbours may have changed since. A candidate still counts if its pair now gives the same token by
    // a merge of another rank, as in the tokenizers library.
    const Merge *now = findMerge(left.id, symbols[left.next].id);
    if (!now || now->result != top.result)
      continue;
    Symbol &right = symbols[left.next];
    left.id = top.result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) {
      symbols[left.next].previous = top.position;
      if (auto candidate = candidateAt(top.position))
        queue.push(*candidate);
    }
    if (left.previous >= 0)
      if (auto candidate = candidateAt(left.previous))
        queue.push(*candidate);
  }
  ids.clear();
  for (int32_t i = 0; i >= 0 && i < count; i = symbols[i].next)
    ids.push_back(symbols[i].id);
}

void BPE::encode(std::string_view piece, std::vector<int32_t> &ids) const {
  if (piece.empty())
    return;
  if (piece.size() > maxPieceBytes)
    throw Error("text has a piece of " + std::to_string(piece.size()) +
                " bytes, but at most 1 GiB is allowed");
  if (ignoreMerges)
    if (std::optional<int32_t> whole = findId(piece)) {
      ids.push_back(*whole);
      return;
    }
  std::vector<int32_t> own = split(piece);
  merge(own);
  ids.insert(ids.end(), own.begin(), own.end());
}

} // namespace xfm::text
