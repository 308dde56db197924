//===- AddedTokens.h - Tokens that are found before anything is split ---===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_ADDEDTOKENS_H
#define XFM_RUNTIME_TEXT_ADDEDTOKENS_H

#include "runtime/text/BPE.h"
#include "runtime/text/Json.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/Regex.h"

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace xfm::text {

/// An entry of `added_tokens`.
struct AddedToken {
  std::string content;
  int32_t id;
  bool singleWord; ///< only where it touches no word character
  bool leftStrip;  ///< takes the white space before it along
  bool rightStrip; ///< takes the white space behind it along
  bool normalized; ///< looked for in the normalised text, itself normalised
  bool special;    ///< left out when decoding without special tokens
};

/// A part of a text: an added token, or what lies between two.
struct AddedTokenPart {
  Span span;
  const AddedToken *token; ///< null for text
};

/// The `added_tokens` of a tokenizer.json.
class AddedTokens {
public:
  AddedTokens() = default;
  AddedTokens(AddedTokens &&) =
      default; // the tries point into tokens, which a move keeps and a copy would not
  AddedTokens &operator=(AddedTokens &&) = default;
  AddedTokens(const Json &list, const BPE &model, const Normalizer &normalizer);

  /// Splits at the tokens that are, or are not, looked for in normalised text: leftmost, then longest.
  std::vector<AddedTokenPart> split(std::string_view text, bool normalized) const;

  const AddedToken *findId(int32_t id) const;
  const AddedToken *findContent(std::string_view content) const;
  /// One more than the largest id.
  int32_t idLimit() const { return tokens.empty() ? 0 : tokens.rbegin()->first + 1; }

private:
  /// Patterns as a tree of bytes; node 0 is the root.
  struct Trie {
    struct Node {
      std::map<char, size_t> children;
      const AddedToken *token = nullptr;
    };
    std::vector<Node> nodes{1};
    void insert(std::string_view pattern, const AddedToken *token);
    const AddedToken *longestAt(std::string_view text, size_t at, size_t &end) const;
  };

  std::map<int32_t, AddedToken> tokens; ///< by id
  std::unordered_map<std::string, int32_t> ids;
  Trie tries[2]; ///< not normalised, normalised
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_ADDEDTOKENS_H
