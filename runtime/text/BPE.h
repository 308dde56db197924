//===- BPE.h - Byte-pair encoding ---------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_BPE_H
#define XFM_RUNTIME_TEXT_BPE_H

#include "runtime/text/Json.h"

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace xfm::text {

/// The `model` of a tokenizer.json of type BPE (Sennrich et al. 2016): a vocabulary and ranked merges.
class BPE {
public:
  explicit BPE(const Json &description);
  BPE(const BPE &) = delete; // byId points into vocabulary

  /// Appends the ids of one piece: O(n log n) in its length. Throws Error on a character that has no id where
  /// there is no unknown token.
  void encode(std::string_view piece, std::vector<int32_t> &ids) const;

  std::optional<int32_t> findId(std::string_view token) const;
  /// Null if no token has this id.
  const std::string *findToken(int32_t id) const;
  /// One more than the largest id.
  int32_t idLimit() const { return limit; }

private:
  struct Merge {
    uint32_t rank;
    int32_t result;
  };
  struct Symbol;

  void readVocabulary(const Json &vocab);
  void readMerges(const Json &list);
  std::vector<int32_t> split(std::string_view piece) const;
  void merge(std::vector<int32_t> &ids) const;
  const Merge *findMerge(int32_t left, int32_t right) const;

  std::unordered_map<std::string, int32_t> vocabulary;
  std::unordered_map<int32_t, const std::string *> byId;
  std::unordered_map<uint64_t, Merge> merges; ///< by left id << 32 | right id
  std::optional<int32_t> unknown;
  std::vector<int32_t> byteIds; ///< of <0x00> … <0xFF>, -1 where absent; empty without byte_fallback
  std::string prefix, suffix;   ///< of symbols inside a word, of the last symbol
  bool fuseUnknown = false, ignoreMerges = false;
  int32_t limit = 0;
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_BPE_H
