//===- PostProcessor.cpp - Tokens around the text -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/PostProcessor.h"
#include "runtime/text/Error.h"

namespace xfm::text {

/// A [token, id] pair.
static int32_t getPairId(const Json &description, const char *key) {
  const Json &pair = getArray(description, key);
  if (pair.size() != 2)
    throw Error(std::string("expected '") + key + "' to be a token and its id");
  return getTokenId(pair[1], std::string("'") + key + "'");
}

void PostProcessor::addTemplate(const Json &description) {
  std::vector<int32_t> front, back;
  bool textSeen = false;
  const Json *specials = findMember(description, "special_tokens");
  for (const Json &item : getArray(description, "single")) {
    if (const Json *sequence = findMember(item, "Sequence")) {
      if (getString(*sequence, "id") != "A" || textSeen)
        throw Error("expected the template of a single text to hold the sequence A once");
      textSeen = true;
      continue;
    }
    const Json *special = findMember(item, "SpecialToken");
    if (!special)
      throw Error("template has an item that is neither Sequence nor SpecialToken");
    std::string name = getString(*special, "id");
    const Json *entry = specials ? findMember(*specials, name.c_str()) : nullptr;
    if (!entry)
      throw Error("template names the special token '" + name + "', which is not in its special_tokens");
    for (const Json &id : getArray(*entry, "ids"))
      (textSeen ? back : front).push_back(getTokenId(id, "special token '" + name + "'"));
  }
  if (!textSeen)
    throw Error("expected the template of a single text to hold the sequence A once");
  prefix.insert(prefix.begin(), front.begin(), front.end());
  suffix.insert(suffix.end(), back.begin(), back.end());
}

void PostProcessor::add(const Json &description) {
  std::string type = getString(description, "type");
  if (type == "Sequence") {
    for (const Json &step : getArray(description, "processors"))
      add(step);
  } else if (type == "TemplateProcessing") {
    addTemplate(description);
  } else if (type == "RobertaProcessing" || type == "BertProcessing") {
    prefix.insert(prefix.begin(), getPairId(description, "cls"));
    suffix.push_back(getPairId(description, "sep"));
  } else if (type != "ByteLevel") { // ByteLevel moves offsets only
    throw Error("post-processor '" + type + "' is not supported");
  }
}

} // namespace xfm::text
