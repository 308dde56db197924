//===- Decoder.cpp - Tokens back to text --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Decoder.h"
#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/Error.h"
#include "runtime/text/Normalizer.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace xfm::text {

namespace {
/// Joins tokens by spaces.
class Join : public DecodeStage {
public:
  void push(std::string token, const Sink &sink) override {
    sink(first ? std::move(token) : " " + token);
    first = false;
  }

private:
  bool first = true;
};

/// Makes one token of all.
class Gather : public DecodeStage {
public:
  void push(std::string token, const Sink &) override { all += token; }
  void finish(const Sink &sink) override { sink(std::move(all)); }

private:
  std::string all;
};

class Replace : public DecodeStage {
public:
  Replace(Regex pattern, std::string content) : pattern(std::move(pattern)), content(std::move(content)) {}
  void push(std::string token, const Sink &sink) override { sink(pattern.replaceAll(token, content)); }

private:
  Regex pattern;
  std::string content;
};

/// <0xE2> <0x82> <0xAC> -> €. A run of such tokens is judged as a whole, so it is held back until it ends: if
/// it is not valid UTF-8, each of its bytes becomes U+FFFD.
class ByteFallback : public DecodeStage {
public:
  void push(std::string token, const Sink &sink) override {
    if (int byte = byteOf(token); byte >= 0) {
      run += static_cast<char>(byte);
      return;
    }
    finish(sink);
    sink(std::move(token));
  }
  void finish(const Sink &sink) override {
    if (run.empty())
      return;
    if (findInvalidUtf8(run) != std::string::npos) {
      std::string marks;
      for (size_t i = 0; i < run.size(); ++i)
        appendUtf8(marks, 0xFFFD);
      run = std::move(marks);
    }
    sink(std::move(run));
    run.clear();
  }

private:
  static int byteOf(const std::string &token) {
    if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token[5] != '>')
      return -1;
    auto isHex = [](unsigned char c) { return std::isxdigit(c) != 0; };
    return isHex(token[3]) && isHex(token[4]) ? std::stoi(token.substr(3, 2), nullptr, 16) : -1;
  }
  std::string run;
};

/// Cuts a character off the ends of each token.
class Strip : public DecodeStage {
public:
  Strip(std::string character, size_t start, size_t stop)
      : character(std::move(character)), start(start), stop(stop) {}

  void push(std::string token, const Sink &sink) override {
    size_t begin = 0, end = token.size(), width = character.size();
    for (size_t i = 0; i < start && token.compare(begin, width, character) == 0; ++i)
      begin += width;
    for (size_t i = 0; i < stop && end >= begin + width && token.compare(end - width, width, character) == 0;
         ++i)
      end -= width;
    sink(token.substr(begin, end - begin));
  }

private:
  std::string character;
  size_t start, stop;
};

/// Strip of a fused text, as it arrives.
class StripStream : public DecodeStage {
public:
  StripStream(std::string character, size_t start, size_t stop)
      : character(std::move(character)), start(start), stop(stop) {}

  void push(std::string token, const Sink &sink) override {
    size_t begin = 0, width = character.size();
    for (; start > 0 && begin < token.size(); --start, begin += width)
      if (token.compare(begin, width, character) != 0) {
        start = 0;
        break;
      }
    held += token.substr(begin);
    // At most `stop` characters at the end may have to go.
    size_t keep = held.size();
    for (size_t i = 0; i < stop && keep >= width && held.compare(keep - width, width, character) == 0; ++i)
      keep -= width;
    if (keep > 0)
      sink(held.substr(0, keep));
    held.erase(0, keep);
  }

private:
  std::string character, held;
  size_t start, stop;
};

/// Marks become spaces; those of the first token go where the encoder put one in front.
class Metaspace : public DecodeStage {
public:
  Metaspace(Regex mark, bool dropFirst) : mark(std::move(mark)), dropFirst(dropFirst) {}
  void push(std::string token, const Sink &sink) override {
    sink(mark.replaceAll(token, dropFirst ? "" : " "));
    dropFirst = false;
  }

private:
  Regex mark;
  bool dropFirst;
};

/// The bytes behind the letters, as UTF-8. A token with other letters stands for itself.
class ByteLevel : public DecodeStage {
public:
  void push(std::string token, const Sink &sink) override {
    std::string text;
    repair.push(fromByteAlphabet(token).value_or(token), text);
    if (!text.empty())
      sink(std::move(text));
  }
  void finish(const Sink &sink) override {
    std::string text;
    repair.finish(text);
    if (!text.empty())
      sink(std::move(text));
  }

private:
  Utf8Repair repair;
};
} // namespace

template <typename Stage, typename... Arguments> static auto factoryOf(Arguments... arguments) {
  return [=]() -> std::unique_ptr<DecodeStage> { return std::make_unique<Stage>(arguments...); };
}

Decoder::Decoder() { factories.push_back(factoryOf<Join>()); }

Decoder::Decoder(const Json &description) { add(description); }

void Decoder::addPerToken(Factory factory) {
  if (fused)
    factories.push_back(factoryOf<Gather>());
  factories.push_back(std::move(factory));
}

void Decoder::addStrip(const Json &description) {
  std::string character = getString(description, "content");
  size_t end = 0;
  if (character.empty() || (nextCodePoint(character, end), end != character.size()))
    throw Error("expected 'content' of the decoder Strip to be one character");
  auto count = [&](const char *key) -> size_t {
    const Json *value = findMember(description, key);
    if (!value)
      return 0;
    if (!value->is_number_unsigned())
      throw Error(std::string("expected '") + key + "' of the decoder Strip to be a count");
    return value->get<size_t>();
  };
  size_t start = count("start"), stop = count("stop");
  factories.push_back(fused ? Factory(factoryOf<StripStream>(character, start, stop))
                            : Factory(factoryOf<Strip>(character, start, stop)));
}

void Decoder::add(const Json &description) {
  std::string type = getString(description, "type");
  if (type == "Sequence") {
    for (const Json &step : getArray(description, "decoders"))
      add(step);
  } else if (type == "Replace") {
    const Json *pattern = findMember(description, "pattern");
    std::string text = pattern ? getString(*pattern, "String", "") : "";
    Factory factory = factoryOf<Replace>(getPattern(description), getString(description, "content"));
    // One character is never cut by the border of two tokens.
    size_t end = 0;
    bool oneCharacter = !text.empty() && (nextCodePoint(text, end), end == text.size());
    oneCharacter ? factories.push_back(std::move(factory)) : addPerToken(std::move(factory));
  } else if (type == "ByteFallback") {
    addPerToken(factoryOf<ByteFallback>());
  } else if (type == "Fuse") {
    fused = true;
  } else if (type == "Strip") {
    addStrip(description);
  } else if (type == "Metaspace") {
    const char *absent = getBool(description, "add_prefix_space", true) ? "always" : "never";
    bool dropFirst = getString(description, "prepend_scheme", absent) != "never";
    Regex mark = Regex::literal(getString(description, "replacement", "\xE2\x96\x81"));
    addPerToken(factoryOf<Metaspace>(mark, dropFirst));
  } else if (type == "ByteLevel") {
    addPerToken(factoryOf<ByteLevel>());
    fused = true;
  } else {
    throw Error("decoder '" + type + "' is not supported");
  }
}

std::vector<std::unique_ptr<DecodeStage>> Decoder::start() const {
  std::vector<std::unique_ptr<DecodeStage>> stages;
  for (const Factory &factory : factories)
    stages.push_back(factory());
  return stages;
}

} // namespace xfm::text
