//===- Tokenizer.cpp - Text to token ids and back -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Tokenizer.h"
#include "runtime/text/AddedTokens.h"
#include "runtime/text/BPE.h"
#include "runtime/text/Decoder.h"
#include "runtime/text/Json.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/PostProcessor.h"
#include "runtime/text/PreTokenizer.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace xfm::text {

struct Tokenizer::Parts {
  explicit Parts(const Json &file);

  Normalizer normalizer;
  PreTokenizer preTokenizer;
  BPE model;
  AddedTokens added;
  PostProcessor postProcessor;
  Decoder decoder;
};

/// The `model`, once it is known to be BPE. Files older than its `type` are told by their members.
static const Json &getModel(const Json &file) {
  const Json *model = findMember(file, "model");
  if (!model)
    throw Error("member 'model' is missing");
  std::string type = getString(*model, "type", findMember(*model, "merges") ? "BPE" : "");
  if (type.empty())
    throw Error("model has no type and no merges; only BPE is supported");
  if (type != "BPE")
    throw Error("model '" + type + "' is not supported; only BPE is");
  return *model;
}

template <typename Part> static Part readPart(const Json &file, const char *key) {
  const Json *description = findMember(file, key);
  return description ? Part(*description) : Part();
}

Tokenizer::Parts::Parts(const Json &file)
    : normalizer(readPart<Normalizer>(file, "normalizer")),
      preTokenizer(readPart<PreTokenizer>(file, "pre_tokenizer")), model(getModel(file)),
      postProcessor(readPart<PostProcessor>(file, "post_processor")),
      decoder(readPart<Decoder>(file, "decoder")) {
  if (const Json *list = findMember(file, "added_tokens"))
    added = AddedTokens(*list, model, normalizer);
  int32_t limit = std::max(model.idLimit(), added.idLimit());
  for (const auto *ids : {&postProcessor.before(), &postProcessor.behind()})
    for (int32_t id : *ids)
      if (id >= limit)
        throw Error("the post-processor adds the id " + std::to_string(id) +
                    ", but the ids of tokens end at " + std::to_string(limit - 1));
}

Tokenizer Tokenizer::parse(std::string_view json) {
  Json file = parseJson(json);
  if (!file.is_object())
    throw Error(std::string("expected a tokenizer.json to be an object, but got ") + file.type_name());
  return Tokenizer(std::make_shared<Parts>(file));
}

Tokenizer Tokenizer::load(const std::string &path) {
  std::string json = readFile(path);
  try {
    return parse(json);
  } catch (const Error &error) {
    throw Error("'" + path + "': " + error.what());
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool addSpecial) const {
  if (size_t bad = findInvalidUtf8(text); bad != std::string_view::npos)
    throw Error("text is not valid UTF-8 at byte " + std::to_string(bad));
  std::vector<int32_t> ids;
  if (addSpecial)
    ids = parts->postProcessor.before();
  // Added tokens are cut out first; what lies between is normalised, cut at the added tokens that are looked
  // for in normalised text, split and encoded.
  for (const AddedTokenPart &outer : parts->added.split(text, false)) {
    if (outer.token) {
      ids.push_back(outer.token->id);
      continue;
    }
    std::string between(text.substr(outer.span.begin, outer.span.end - outer.span.begin));
    between = parts->normalizer.apply(std::move(between));
    for (const AddedTokenPart &inner : parts->added.split(between, true)) {
      if (inner.token) {
        ids.push_back(inner.token->id);
        continue;
      }
      Piece whole{between.substr(inner.span.begin, inner.span.end - inner.span.begin),
                  outer.span.begin == 0 && inner.span.begin == 0};
      for (const Piece &piece : parts->preTokenizer.apply(std::move(whole)))
        parts->model.encode(piece.text, ids);
    }
  }
  if (addSpecial)
    ids.insert(ids.end(), parts->postProcessor.behind().begin(), parts->postProcessor.behind().end());
  return ids;
}

std::string Tokenizer::decode(const std::vector<int32_t> &ids, bool skipSpecial) const {
  StreamDecoder stream(*this, skipSpecial);
  std::string text;
  for (int32_t id : ids)
    text += stream.push(id);
  return text += stream.finish();
}

std::optional<int32_t> Tokenizer::findId(std::string_view token) const {
  if (const AddedToken *added = parts->added.findContent(token))
    return added->id;
  return parts->model.findId(token);
}

std::optional<std::string> Tokenizer::findToken(int32_t id) const {
  if (const AddedToken *added = parts->added.findId(id))
    return added->content;
  const std::string *token = parts->model.findToken(id);
  return token ? std::optional(*token) : std::nullopt;
}

int32_t Tokenizer::idLimit() const { return std::max(parts->model.idLimit(), parts->added.idLimit()); }

StreamDecoder::StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial)
    : parts(tokenizer.parts), stages(tokenizer.parts->decoder.start()), skipSpecial(skipSpecial) {}
StreamDecoder::StreamDecoder(StreamDecoder &&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

/// Hands a token through the stages from `stage` on.
void StreamDecoder::run(size_t stage, std::string token, std::string &out) {
  if (stage == stages.size())
    out += token;
  else
    stages[stage]->push(std::move(token), [&](std::string next) { run(stage + 1, std::move(next), out); });
}

std::string StreamDecoder::push(int32_t id) {
  std::string out;
  const AddedToken *added = parts->added.findId(id);
  if (added && added->special && skipSpecial)
    return out;
  const std::string *token = added ? &added->content : parts->model.findToken(id);
  if (token)
    run(0, *token, out);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out;
  for (size_t stage = 0; stage < stages.size(); ++stage)
    stages[stage]->finish([&](std::string token) { run(stage + 1, std::move(token), out); });
  return out;
}

} // namespace xfm::text
