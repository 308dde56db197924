//===- Options.cpp - The command line of tfrun --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Options.h"
#include "runtime/text/Utf8.h"
#include "runtime/xfm.h"
#include "tools/tfrun/Output.h"

#include <CLI/CLI.hpp>

#include <charconv>
#include <random>
#include <sstream>
#include <stdexcept>

namespace xfm::tfrun {

std::vector<int32_t> parseTokens(const std::string &list) {
  std::vector<int32_t> ids;
  for (size_t begin = 0; begin <= list.size();) {
    size_t end = std::min(list.find(',', begin), list.size());
    int32_t id = 0;
    auto [rest, error] = std::from_chars(list.data() + begin, list.data() + end, id);
    if (error != std::errc() || rest != list.data() + end || id < 0)
      throw std::runtime_error("expected --tokens to be ids such as 1,2,3, but got '" + list + "'");
    ids.push_back(id);
    begin = end + 1;
  }
  return ids;
}

NamedFile parseNamedFile(const std::string &text, const char *option) {
  size_t sign = text.find('=');
  if (sign == std::string::npos || sign == 0 || sign + 1 == text.size())
    throw std::runtime_error(std::string("expected ") + option + " to be NAME=FILE.npy, but got '" + text +
                             "'");
  return {text.substr(0, sign), text.substr(sign + 1)};
}

namespace {
/// What CLI11 writes to before it is checked.
struct Raw {
  std::string tokens;
  std::vector<std::string> inputs, outputs;
  std::optional<uint64_t> seed;
  bool noVerify = false, bench = false, info = false;
  CLI::Option *promptOption, *tokensOption, *entryOption, *depthOption, *profileOption;
};
} // namespace

/// Exactly one value for each time the option is given.
static void takesOne(CLI::Option *option) {
  option->type_size(1)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

static void addGeneration(CLI::App &app, Options &options, Raw &raw) {
  const char *group = "Generation";
  raw.promptOption =
      app.add_option("-p,--prompt", options.prompt, "Continue this text; an empty one starts from BOS");
  raw.tokensOption = app.add_option("--tokens", raw.tokens, "Continue these ids (1,2,3) and write ids");
  CLI::Option *all[] = {
      raw.promptOption,
      raw.tokensOption,
      app.add_option("-n,--count", options.count, "Tokens to generate at most")
          ->check(CLI::NonNegativeNumber),
      app.add_option("--temperature", options.sampling.temperature, "0 takes the most likely token"),
      app.add_option("--top-k", options.sampling.topK, "Draw from the k most likely; 0 is off"),
      app.add_option("--top-p", options.sampling.topP,
                     "Draw from the fewest that hold this probability; 1 is off"),
      app.add_option("--min-p", options.sampling.minP,
                     "Least fraction of the most likely's probability; 0 is off"),
      app.add_option("--repetition-penalty", options.sampling.repetitionPenalty,
                     "Of tokens that occurred; 1 is off"),
      app.add_option("--seed", raw.seed, "Of the random numbers (default: a random one, shown with -v)"),
      app.add_option("--stop", options.stops, "Stop before this text (repeatable)"),
      app.add_flag("--ignore-eos", options.ignoreEos, "Go on at end-of-sequence tokens")};
  for (CLI::Option *option : all)
    option->group(group);
  takesOne(app.get_option("--stop"));
}

static void addOthers(CLI::App &app, Options &options, Raw &raw) {
  raw.entryOption =
      app.add_option("--entry", options.entry, "Run this entry point once; with --bench, measure it")
          ->group("One call");
  app.add_option("--input", raw.inputs, "NAME=FILE.npy (repeatable)")->group("One call");
  app.add_option("--output", raw.outputs, "NAME=FILE.npy (repeatable)")->group("One call");
  takesOne(app.get_option("--input"));
  takesOne(app.get_option("--output"));

  app.add_flag("--bench", raw.bench, "Measure prompt processing and generation, or one --entry")
      ->group("Measuring");
  raw.depthOption = app.add_option("--depth", options.depth, "Positions in the cache before measuring")
                        ->check(CLI::NonNegativeNumber)
                        ->group("Measuring");
  app.add_option("--repetitions", options.repetitions, "Times each test is measured")
      ->check(CLI::Range(1, 10000))
      ->group("Measuring");

  // A flag, so that what follows it is never taken for the file.
  raw.profileOption = app.add_flag("--profile", options.trace,
                                   "Say where the time went; --profile=FILE also writes a trace for Perfetto")
                          ->group("Measuring");

  app.add_flag("--info", raw.info, "Describe the artifact");
  app.add_flag("--json", options.json, "Write --info or --bench as JSON");
  app.add_option("--threads", options.threads, "Threads to use; 0 is one per available core")
      ->check(CLI::Range(0, 4096));
  app.add_option("--context", options.context,
                 "Positions the cache holds (default: the model's, at most 4096)")
      ->check(CLI::PositiveNumber);
  app.add_option("--device", options.device,
                 "cpu, cuda or cuda:N (default: what the artifact was compiled for)");
  app.add_flag("--no-cuda-graph", options.noCudaGraph, "Launch the kernels of a step one by one");
  app.add_option("--random-weights", options.randomSeed,
                 "Random weights of this seed instead of the model's, e.g. of an artifact without weights")
      ->check(CLI::PositiveNumber);
  app.add_flag("--huge-pages", options.hugePages,
               "Copy the weights to pages of 2 MiB: opens slower, reads faster");
  app.add_flag("--affinity", options.affinity, "Keep each thread to a core of its own");
  app.add_flag("--no-verify", raw.noVerify, "Do not verify the hash of the weights");
  app.add_flag("-v,--verbose", options.verbose, "Say more on stderr");
  app.add_flag("-q,--quiet", options.quiet, "Say nothing on stderr but errors");
}

/// Checks what CLI11 does not.
static void finish(Options &options, const Raw &raw) {
  const bool isEntry = raw.entryOption->count() > 0;
  const std::pair<bool, Mode> asked[] = {{raw.promptOption->count() > 0, Mode::prompt},
                                         {raw.tokensOption->count() > 0, Mode::tokens},
                                         {isEntry && !raw.bench, Mode::entry},
                                         {raw.bench, isEntry ? Mode::benchEntry : Mode::bench},
                                         {raw.info, Mode::info}};
  int count = 0;
  for (auto [given, mode] : asked)
    if (given)
      options.mode = mode, ++count;
  if (count != 1)
    throw std::runtime_error("expected one of -p, --tokens, --entry, --bench and --info, but got " +
                             (count == 0 ? "none" : std::to_string(count)));
  if (options.mode == Mode::tokens)
    options.tokens = parseTokens(raw.tokens);
  if (options.mode == Mode::tokens && !options.stops.empty())
    throw std::runtime_error("--stop is text, and --tokens has none");
  for (const std::string &text : raw.inputs)
    options.inputs.push_back(parseNamedFile(text, "--input"));
  for (const std::string &text : raw.outputs)
    options.outputs.push_back(parseNamedFile(text, "--output"));
  const bool isBench = options.mode == Mode::bench || options.mode == Mode::benchEntry;
  if (options.mode == Mode::benchEntry && !options.outputs.empty())
    throw std::runtime_error("--bench writes no --output");
  if (options.mode == Mode::benchEntry && raw.depthOption->count() > 0)
    throw std::runtime_error("--depth is of a language model's --bench, without --entry");
  if (!isEntry && !(options.inputs.empty() && options.outputs.empty()))
    throw std::runtime_error("--input and --output need --entry");
  if (options.json && options.mode != Mode::info && !isBench)
    throw std::runtime_error("--json needs --info or --bench");
  for (const std::string &stop : options.stops)
    if (stop.empty() || text::findInvalidUtf8(stop) != std::string::npos)
      throw std::runtime_error("expected --stop to be text of one character or more in UTF-8");
  options.profile = raw.profileOption->count() > 0;
  if (options.trace == "true") // what a flag without a value holds
    options.trace.clear();
  if (options.profile && options.mode == Mode::info)
    throw std::runtime_error("--profile needs -p, --tokens, --entry or --bench");
  if (options.profile && options.quiet && options.trace.empty())
    throw std::runtime_error("-q leaves nothing of --profile; use --profile=FILE");
  options.sampling.check();
  std::random_device device;
  options.sampling.seed = raw.seed ? *raw.seed : uint64_t(device()) << 32 | device();
  options.verify = !raw.noVerify;
}

std::optional<Options> parseOptions(int argc, const char *const *argv) {
  Options options;
  Raw raw;
  CLI::App app("Runs a compiled Transformer model.", "tfrun");
  app.option_defaults()->always_capture_default(false);
  app.add_option("artifact", options.artifact, "The OUT.tfa folder that tfopt wrote")->required();
  app.set_version_flag("--version", std::string("tfrun ") + XFM_VERSION + " (runtime " + xfm_version() + ")");
  addGeneration(app, options, raw);
  addOthers(app, options, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &success) { // --help, --version
    std::ostringstream text;
    app.exit(success, text, text);
    writeOut(text.str());
    return std::nullopt;
  } catch (const CLI::ParseError &error) {
    throw std::runtime_error(std::string(error.what()) + "; see tfrun --help");
  }
  finish(options, raw);
  return options;
}

} // namespace xfm::tfrun
