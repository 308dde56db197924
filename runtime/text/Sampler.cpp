//===- Sampler.cpp - The next token from logits -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Sampler.h"
#include "runtime/SplitMix.h"
#include "runtime/text/Error.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace xfm::text {

Random::Random(uint64_t seed) {
  SplitMix words{seed};
  for (uint64_t &word : state)
    word = words.next();
}

uint64_t Random::next() {
  auto rotate = [](uint64_t x, int k) { return x << k | x >> (64 - k); };
  uint64_t result = rotate(state[1] * 5, 7) * 9, shifted = state[1] << 17;
  state[2] ^= state[0];
  state[3] ^= state[1];
  state[1] ^= state[2];
  state[0] ^= state[3];
  state[2] ^= shifted;
  state[3] = rotate(state[3], 45);
  return result;
}

double Random::uniform() { return double(next() >> 11) * 0x1p-53; }

void SamplingOptions::check() const {
  auto need = [](bool holds, const char *name, const char *range, double value) {
    if (!holds)
      throw Error(std::string("expected ") + name + " to be " + range + ", but got " + std::to_string(value));
  };
  need(std::isfinite(temperature) && temperature >= 0, "temperature", "0 or more", temperature);
  need(topK >= 0, "top-k", "0 or more", double(topK));
  need(topP > 0 && topP <= 1, "top-p", "above 0 and at most 1", topP);
  need(minP >= 0 && minP <= 1, "min-p", "from 0 to 1", minP);
  need(std::isfinite(repetitionPenalty) && repetitionPenalty > 0, "repetition-penalty", "above 0",
       repetitionPenalty);
}

Sampler::Sampler(const SamplingOptions &options) : options(options), random(options.seed) { options.check(); }

/// Most likely first; of equal ones the lower id.
static bool isLikelier(const Candidate &a, const Candidate &b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

std::vector<Candidate> Sampler::penalized(const float *logits, size_t count,
                                          const std::vector<int32_t> &history) const {
  if (count == 0)
    throw Error("there are no logits");
  std::vector<Candidate> candidates(count);
  bool anyFinite = false;
  for (size_t i = 0; i < count; ++i) {
    double logit = logits[i];
    if (std::isnan(logit) || logit == INFINITY)
      throw Error("the logit of token " + std::to_string(i) + " is " +
                  (std::isnan(logit) ? "NaN" : "infinite") + "; the model's weights or its code are damaged");
    anyFinite |= std::isfinite(logit);
    candidates[i] = {static_cast<int32_t>(i), logit, 0};
  }
  if (!anyFinite)
    throw Error("every logit is -infinity; the model's weights or its code are damaged");
  if (options.repetitionPenalty == 1)
    return candidates;
  std::vector<bool> seen(count);
  for (int32_t id : history) {
    if (id < 0 || size_t(id) >= count || seen[id])
      continue;
    seen[id] = true;
    double &logit = candidates[id].logit;
    logit = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty;
  }
  return candidates;
}

/// probability = softmax(logit / temperature). Candidates are sorted, so that the first has the largest
/// logit.
static void softmax(std::vector<Candidate> &candidates, double temperature) {
  double sum = 0;
  for (Candidate &candidate : candidates)
    sum += candidate.probability = std::exp((candidate.logit - candidates[0].logit) / temperature);
  for (Candidate &candidate : candidates)
    candidate.probability /= sum;
}

std::vector<Candidate> Sampler::distribution(const float *logits, size_t count,
                                             const std::vector<int32_t> &history) const {
  std::vector<Candidate> candidates = penalized(logits, count, history);
  size_t kept = options.topK > 0 ? std::min<size_t>(options.topK, count) : count;
  if (options.temperature == 0)
    kept = 1;
  std::partial_sort(candidates.begin(), candidates.begin() + kept, candidates.end(), isLikelier);
  candidates.resize(kept);
  softmax(candidates, 1);

  if (options.topP < 1) {
    double sum = 0;
    size_t keep = 0;
    while (keep < candidates.size() && sum < options.topP)
      sum += candidates[keep++].probability;
    candidates.resize(std::max<size_t>(keep, 1));
  }
  if (options.minP > 0) {
    double least = options.minP * candidates[0].probability;
    size_t keep = 1;
    while (keep < candidates.size() && candidates[keep].probability >= least)
      ++keep;
    candidates.resize(keep);
  }
  softmax(candidates, options.temperature == 0 ? 1 : options.temperature);
  return candidates;
}

int32_t Sampler::sample(const float *logits, size_t count, const std::vector<int32_t> &history) {
  std::vector<Candidate> candidates = distribution(logits, count, history);
  if (options.temperature == 0)
    return candidates[0].id;
  double left = random.uniform();
  for (const Candidate &candidate : candidates) {
    left -= candidate.probability;
    if (left < 0)
      return candidate.id;
  }
  // Rounding left a sliver: the last candidate that can occur at all.
  auto last = std::find_if(candidates.rbegin(), candidates.rend(),
                           [](const Candidate &c) { return c.probability > 0; });
  return last->id;
}

} // namespace xfm::text
