//===- Json.cpp - JSON from files that are not trusted --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Json.h"
#include "weights/Error.h"

#include "llvm/ADT/StringSet.h"

using namespace llvm;

namespace mlir::transformer {

static constexpr size_t maxDepth = 64;

namespace {
/// An object or array that is open at the scanner's position.
struct Scope {
  bool isObject;
  bool expectsKey;
  StringSet<> keys;
};
} // namespace

/// The end of the string that starts at text[begin] == '"': the index of the
/// closing quote, or npos.
static size_t endOfString(StringRef text, size_t begin) {
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '"')
      return i;
  }
  return StringRef::npos;
}

/// A key without its quotes; escapes are decoded so that two spellings of one
/// key are equal.
static std::string decodeKey(StringRef token) {
  if (token.contains('\\')) {
    Expected<json::Value> value = json::parse(token);
    if (value && value->getAsString())
      return value->getAsString()->str();
    consumeError(value.takeError());
  }
  return token.drop_front().drop_back().str();
}

/// Finds what the parser does not look for. Anything malformed is left to it.
static Error checkNestingAndKeys(StringRef text, StringRef where) {
  std::vector<Scope> scopes;
  for (size_t i = 0; i < text.size(); ++i) {
    switch (text[i]) {
    case '{':
    case '[':
      if (scopes.size() == maxDepth)
        return makeError(where + ": JSON nested deeper than " + Twine(maxDepth) + " levels at byte " +
                         Twine(i) + "; no file of a model needs that");
      scopes.push_back({text[i] == '{', text[i] == '{', {}});
      break;
    case '}':
    case ']':
      if (scopes.empty())
        return Error::success();
      scopes.pop_back();
      break;
    case ',':
      if (!scopes.empty())
        scopes.back().expectsKey = scopes.back().isObject;
      break;
    case '"': {
      size_t end = endOfString(text, i);
      if (end == StringRef::npos)
        return Error::success();
      if (!scopes.empty() && scopes.back().expectsKey) {
        scopes.back().expectsKey = false;
        std::string key = decodeKey(text.slice(i, end + 1));
        if (!scopes.back().keys.insert(key).second)
          return makeError(where + ": the key " + quoted(key) +
                           " stands twice in one object; remove one of them");
      }
      i = end;
      break;
    }
    default:
      break;
    }
  }
  return Error::success();
}

Expected<json::Object> parseJsonObject(StringRef text, StringRef where) {
  if (Error error = checkNestingAndKeys(text, where))
    return error;
  Expected<json::Value> value = json::parse(text);
  if (!value)
    return makeError(where + ": invalid JSON: " + toString(value.takeError()));
  json::Object *object = value->getAsObject();
  if (!object)
    return makeError(where + ": expected a JSON object at the top");
  return std::move(*object);
}

} // namespace mlir::transformer
