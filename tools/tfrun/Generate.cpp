//===- Generate.cpp - Text and ids from a language model ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Generate.h"
#include "runtime/text/Json.h"
#include "tools/tfrun/Output.h"
#include "tools/tfrun/Profile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

namespace xfm::tfrun {

std::vector<int32_t> encodePrompt(const text::Tokenizer &tokenizer, const std::string &prompt, int64_t bos,
                                  bool addBos) {
  std::vector<int32_t> ids = tokenizer.encode(prompt);
  bool hasBos = !ids.empty() && ids[0] == bos;
  if (bos >= 0 && !hasBos && (addBos || prompt.empty()))
    ids.insert(ids.begin(), static_cast<int32_t>(bos));
  if (ids.empty())
    throw std::runtime_error(
        "the prompt is empty and the model has no BOS token to start from; give a prompt");
  return ids;
}

bool readAddBos(const std::string &path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    return false;
  try {
    return text::getBool(text::parseJson(text::readFile(path)), "add_bos_token", false);
  } catch (const text::Error &error) {
    throw std::runtime_error("'" + path + "': " + error.what());
  }
}

TextWriter::TextWriter(const text::Tokenizer &tokenizer, const std::vector<int32_t> &prompt,
                       std::vector<std::string> stops, Write write)
    : decoder(tokenizer), stops(std::move(stops)), write(std::move(write)),
      promptBytes(tokenizer.decode(prompt).size()) {
  for (int32_t id : prompt)
    emit(decoder.push(id));
}

/// The decoder may hand on the end of the prompt only with the first generated id, so bytes are counted.
void TextWriter::emit(std::string text) {
  size_t ofPrompt = std::min(promptBytes, text.size());
  promptBytes -= ofPrompt;
  std::string out = text.substr(0, ofPrompt) + stops.push(std::string_view(text).substr(ofPrompt));
  if (!out.empty())
    write(out);
}

bool TextWriter::push(int32_t id) {
  emit(decoder.push(id));
  return !stops.stopped();
}

void TextWriter::finish() {
  emit(decoder.finish());
  write(stops.finish() + "\n");
}

namespace {
using Clock = std::chrono::steady_clock;

/// Why generation ended.
enum class End { count, eos, stop, context };

/// One generation: owns what the loop needs.
class Generation {
public:
  Generation(const Model &model, const Options &options, std::vector<int32_t> prompt)
      : options(options), info(model.info()), ids(std::move(prompt)), sampler(options.sampling),
        generator(model, options.threads, options.context),
        drawsOnDevice(model.canSample() && options.count > 0), profile(generator.get(), options) {
    if (model.isForGPU() && !model.canSample() && !options.quiet)
      writeError(
          "tfrun: warning: the artifact has no kernel that draws tokens, so the logits of each are copied "
          "to the host; compile the model again");
    int64_t context = generator.context();
    if (int64_t(ids.size()) > context)
      throw std::runtime_error("the prompt has " + std::to_string(ids.size()) +
                               " tokens, but the context holds " + std::to_string(context) +
                               "; shorten the prompt or raise --context");
    for (int32_t id : ids)
      if (info.vocab_size >= 0 && id >= info.vocab_size)
        throw std::runtime_error("token " + std::to_string(id) + " is outside the model's vocabulary of " +
                                 std::to_string(info.vocab_size));
  }

  /// `accept` takes each generated id and returns false to stop.
  void run(const std::function<bool(int32_t)> &accept) {
    Clock::time_point begin = Clock::now();
    size_t promptCount = ids.size();
    logits = generator.prefill(ids.data(), ids.size());
    promptSeconds = secondsSince(begin);
    begin = Clock::now();
    if (drawsOnDevice)
      generator.startSampling(options.sampling, ids, options.count);
    end = loop(accept);
    if (drawsOnDevice)
      generator.stopSampling();
    generateSeconds = secondsSince(begin);
    generated = ids.size() - promptCount;
  }

  void report() const {
    reportRates();
    profile.report();
  }

private:
  void reportRates() const {
    if (options.quiet)
      return;
    if (end == End::context)
      writeError("tfrun: note: the context of " + std::to_string(generator.context()) +
                 " positions is full; raise --context to go on");
    writeError(rate("prompt", ids.size() - generated, promptSeconds));
    writeError(rate("generation", generated, generateSeconds));
    if (options.verbose) {
      const char *reasons[] = {"-n", "an end-of-sequence token", "a stop string", "the context limit"};
      writeError(std::string("stopped by ") + reasons[int(end)]);
    }
  }

  static double secondsSince(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  static std::string rate(const char *what, size_t count, double seconds) {
    char line[128];
    std::snprintf(line, sizeof line, "%s: %zu tokens in %.3f s, %.1f tokens/s", what, count, seconds,
                  seconds > 0 ? double(count) / seconds : 0.0);
    return line;
  }

  bool isEos(int32_t id) const {
    return !options.ignoreEos && std::find(info.eos_token_ids, info.eos_token_ids + info.eos_count, id) !=
                                     info.eos_token_ids + info.eos_count;
  }

  /// The next id: where the logits are, if the model can.
  int32_t drawToken() {
    if (drawsOnDevice)
      return generator.nextToken();
    if (!logits.data)
      logits = generator.decode(ids.back());
    int32_t id = sampler.sample(logits.data, logits.count, ids);
    logits = {};
    return id;
  }

  End loop(const std::function<bool(int32_t)> &accept) {
    for (int64_t left = options.count; left > 0; --left) {
      int32_t id = drawToken();
      if (isEos(id))
        return End::eos;
      ids.push_back(id);
      if (!accept(id))
        return End::stop;
      if (left == 1)
        return End::count;
      if (generator.length() >= generator.context())
        return End::context;
    }
    return End::count;
  }

  const Options &options;
  const xfm_model_info &info;
  std::vector<int32_t> ids;
  text::Sampler sampler;
  Generator generator;
  Logits logits{nullptr, 0}; ///< to draw the next id from; none before the last id's step has run
  bool drawsOnDevice;
  Profile profile;
  End end = End::count;
  size_t generated = 0;
  double promptSeconds = 0, generateSeconds = 0;
};
} // namespace

/// The artifact's tokenizer. Without one only ids can go in and out.
static text::Tokenizer loadTokenizer(const Model &model) {
  std::string path = model.file("tokenizer.json");
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    throw std::runtime_error("'" + std::string(xfm_model_path(model.get())) +
                             "' has no tokenizer.json, so it takes no text; use --tokens");
  return text::Tokenizer::load(path);
}

static void generateText(const Model &model, const Options &options) {
  text::Tokenizer tokenizer = loadTokenizer(model);
  int64_t bos = model.info().bos_token_id;
  std::vector<int32_t> prompt =
      encodePrompt(tokenizer, options.prompt, bos, readAddBos(model.file("tokenizer_config.json")));
  Generation generation(model, options, prompt);
  if (prompt[0] == bos) // the text starts behind BOS
    prompt.erase(prompt.begin());
  TextWriter writer(tokenizer, prompt, options.stops, writeOut);
  generation.run([&](int32_t id) { return writer.push(id); });
  writer.finish();
  generation.report();
}

static void generateIds(const Model &model, const Options &options) {
  Generation generation(model, options, options.tokens);
  std::string given;
  for (int32_t id : options.tokens)
    given += (given.empty() ? "" : ",") + std::to_string(id);
  writeOut(given);
  generation.run([](int32_t id) {
    writeOut("," + std::to_string(id));
    return true;
  });
  writeOut("\n");
  generation.report();
}

void generate(const Model &model, const Options &options) {
  if (options.verbose)
    writeError("seed: " + std::to_string(options.sampling.seed));
  options.mode == Mode::tokens ? generateIds(model, options) : generateText(model, options);
}

} // namespace xfm::tfrun
