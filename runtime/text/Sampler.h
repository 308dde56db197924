//===- Sampler.h - The next token from logits ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_SAMPLER_H
#define XFM_RUNTIME_TEXT_SAMPLER_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace xfm::text {

/// xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64: the same numbers on every platform.
class Random {
public:
  explicit Random(uint64_t seed);
  uint64_t next();
  /// In [0, 1), a multiple of 2^-53.
  double uniform();

private:
  uint64_t state[4];
};

/// A filter is off at the value in its comment.
struct SamplingOptions {
  double temperature = 0.8;       ///< 0: the most likely token, always
  int64_t topK = 40;              ///< the k most likely; 0: off
  double topP = 0.95;             ///< the fewest that hold this probability; 1: off
  double minP = 0.05;             ///< at least this fraction of the most likely; 0: off
  double repetitionPenalty = 1.0; ///< of tokens that occurred (Keskar et al. 2019); 1: off
  uint64_t seed = 0;

  /// Throws Error naming the option that is out of its range.
  void check() const;
};

/// A token that may come next.
struct Candidate {
  int32_t id;
  double logit;
  double probability;
};

/// Draws tokens: repetition penalty, top-k, top-p, min-p, then temperature, in the order of llama.cpp.
class Sampler {
public:
  /// Throws Error if an option is out of its range.
  explicit Sampler(const SamplingOptions &options);

  /// Draws from `logits` [count]. `history` holds the ids so far, which the penalty is for. Throws Error on a
  /// logit that is NaN or +infinity and where all are -infinity. Of equal logits the lower id comes first.
  /// Each call takes one random number, unless the temperature is 0, however many tokens are left to choose
  /// from.
  int32_t sample(const float *logits, size_t count, const std::vector<int32_t> &history);

  /// What sample() draws from, most likely first; the probabilities sum to 1.
  std::vector<Candidate> distribution(const float *logits, size_t count,
                                      const std::vector<int32_t> &history) const;

private:
  std::vector<Candidate> penalized(const float *logits, size_t count,
                                   const std::vector<int32_t> &history) const;
  SamplingOptions options;
  Random random;
};

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_SAMPLER_H
