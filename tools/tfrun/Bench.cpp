//===- Bench.cpp - Measuring a language model ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Bench.h"
#include "runtime/text/Sampler.h"
#include "tools/tfrun/Output.h"
#include "tools/tfrun/Profile.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>

namespace xfm::tfrun {

namespace {
struct Test {
  const char *name;
  int64_t tokens;
  bool isGeneration; ///< one token per call
};
struct Result {
  Test test;
  double median, least, most; ///< tokens per second
};
} // namespace

static constexpr Test tests[] = {{"pp128", 128, false}, {"pp512", 512, false}, {"tg64", 64, true}};

static std::vector<int32_t> randomIds(size_t count, int64_t vocabulary, text::Random &random) {
  std::vector<int32_t> ids(count);
  for (int32_t &id : ids)
    id = static_cast<int32_t>(random.uniform() * double(vocabulary));
  return ids;
}

/// Seconds of one run of a test behind cached positions, which are neither measured nor profiled.
static double measure(Generator &generator, Profile *profile, const Test &test,
                      const std::vector<int32_t> &before, const std::vector<int32_t> &ids) {
  using Clock = std::chrono::steady_clock;
  generator.reset();
  if (!before.empty())
    generator.prefill(before.data(), before.size());
  if (profile)
    profile->start();
  Clock::time_point begin = Clock::now();
  if (test.isGeneration)
    for (int32_t id : ids)
      generator.decode(id);
  else
    generator.prefill(ids.data(), ids.size());
  double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (profile)
    profile->stop();
  return seconds;
}

static Result run(Generator &generator, Profile &profile, const Test &test, const Options &options,
                  int64_t vocabulary) {
  text::Random random(42);
  std::vector<int32_t> before = randomIds(size_t(options.depth), vocabulary, random);
  std::vector<double> rates;
  for (int64_t repetition = -1; repetition < options.repetitions; ++repetition) { // -1 warms up
    double seconds = measure(generator, repetition < 0 ? nullptr : &profile, test, before,
                             randomIds(size_t(test.tokens), vocabulary, random));
    if (repetition >= 0)
      rates.push_back(double(test.tokens) / std::max(seconds, 1e-9));
  }
  std::sort(rates.begin(), rates.end());
  size_t half = rates.size() / 2;
  double median = rates.size() % 2 ? rates[half] : (rates[half - 1] + rates[half]) / 2;
  return {test, median, rates.front(), rates.back()};
}

static void writeJson(const std::vector<Result> &results, int32_t threads, int64_t depth) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Result &result : results) {
    nlohmann::ordered_json entry = {{"test", result.test.name}, {"threads", threads}};
    if (depth > 0)
      entry["depth"] = depth;
    entry["tokens_per_second"] = {{"median", result.median}, {"min", result.least}, {"max", result.most}};
    list.push_back(std::move(entry));
  }
  writeOut(list.dump(2) + "\n");
}

static void writeTable(const std::vector<Result> &results, int32_t threads, int64_t depth) {
  char line[128];
  std::snprintf(line, sizeof line, "%-7s %7s %7s %12s %12s %12s\n", "test", "threads", "depth", "tokens/s",
                "min", "max");
  std::string table = line;
  for (const Result &result : results) {
    std::snprintf(line, sizeof line, "%-7s %7d %7lld %12.2f %12.2f %12.2f\n", result.test.name, int(threads),
                  static_cast<long long>(depth), result.median, result.least, result.most);
    table += line;
  }
  writeOut(table);
}

void bench(const Model &model, const Options &options) {
  int64_t limit = model.info().max_positions;
  if (options.context > 0 && (limit < 0 || options.context < limit))
    limit = options.context;
  std::vector<Test> kept;
  int64_t context = options.context;
  for (const Test &test : tests) {
    int64_t needed = 0;
    if (__builtin_add_overflow(options.depth, test.tokens, &needed) || (limit >= 0 && needed > limit)) {
      if (!options.quiet)
        writeError(std::string("tfrun: note: ") + test.name + " is left out: it needs " +
                   std::to_string(test.tokens) + " positions behind " + std::to_string(options.depth) +
                   ", and there are " + std::to_string(limit));
      continue;
    }
    kept.push_back(test);
    context = std::max(context, needed);
  }
  if (kept.empty())
    throw std::runtime_error("no test fits into " + std::to_string(limit) + " positions; lower --depth");
  int64_t vocabulary = model.info().vocab_size;
  if (vocabulary <= 0)
    throw std::runtime_error(
        "the model does not say the size of its vocabulary, so there are no ids to measure with");

  int32_t threads = options.threads > 0 ? options.threads : model.isForGPU() ? 1 : availableCores();
  Generator generator(model, threads, context);
  Profile profile(generator.get(), options);
  profile.stop();
  std::vector<Result> results;
  for (const Test &test : kept)
    results.push_back(run(generator, profile, test, options, vocabulary));
  options.json ? writeJson(results, threads, options.depth) : writeTable(results, threads, options.depth);
  profile.report();
}

} // namespace xfm::tfrun
