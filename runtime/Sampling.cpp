//===- Sampling.cpp - tokens drawn on a device --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Sampling.h"
#include "runtime/SplitMix.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

using namespace xfm;

xfm_sampling_options xfm::defaultSampling() {
  xfm_sampling_options options = {};
  options.top_p = 1;
  options.repetition_penalty = 1;
  return options;
}

static Status checkOptions(const xfm_sampling_options &options) {
  auto range = [](const char *name, const char *expected, double value) {
    return fail(XFM_OUT_OF_RANGE, "expected ", name, " to be ", expected, ", but got ", value);
  };
  if (!std::isfinite(options.temperature) || options.temperature < 0)
    return range("temperature", "0 or more", options.temperature);
  if (options.top_k < 0)
    return range("top_k", "0 or more", static_cast<double>(options.top_k));
  if (!(options.top_p > 0 && options.top_p <= 1))
    return range("top_p", "above 0 and at most 1", options.top_p);
  if (!(options.min_p >= 0 && options.min_p <= 1))
    return range("min_p", "from 0 to 1", options.min_p);
  if (!std::isfinite(options.repetition_penalty) || options.repetition_penalty <= 0)
    return range("repetition_penalty", "above 0", options.repetition_penalty);
  if (options.count < 0)
    return range("count", "0 or more", static_cast<double>(options.count));
  return {};
}

/// As the kernel takes them. It computes in f32: no scale is beyond its normal numbers.
static xfm_sampling toDevice(const xfm_sampling_options &options, int64_t vocabulary) {
  constexpr double log2e = 1.4426950408889634;
  xfm_sampling sampling;
  sampling.top_k = static_cast<double>(options.top_k ? std::min(options.top_k, vocabulary) : vocabulary);
  sampling.top_p = options.top_p;
  sampling.min_logit = std::log(options.min_p);
  sampling.scale =
      options.temperature == 0 ? 0 : std::clamp<double>(log2e / options.temperature, FLT_MIN, FLT_MAX);
  sampling.penalty = options.repetition_penalty;
  return sampling;
}

Status DeviceSampler::reserve(const xfm_sampling_options &options) {
  // Neither the rows nor the vocabulary are above 2^31.
  auto aligned = [](int64_t bytes) {
    return (bytes + XFM_BUFFER_ALIGNMENT - 1) / XFM_BUFFER_ALIGNMENT * XFM_BUFFER_ALIGNMENT;
  };
  randomOffset = aligned(sizeof(xfm_sampling));
  tokensOffset = aligned(randomOffset + 32 * batch);
  if (Status status = memory.reserve(device, tokensOffset + 8 * batch, "drawing tokens"); !status.ok())
    return status;
  for (std::unique_ptr<Readback> &read : reads)
    if (!read)
      if (Status status = device.makeReadback(8 * batch, read); !status.ok())
        return status;
  if (options.repetition_penalty == 1)
    return {};
  return seen.reserve(device, batch * spec.vocabulary, "the tokens that occurred");
}

Status DeviceSampler::markSeen(const int32_t *history, int64_t count) {
  std::vector<char> marks(static_cast<size_t>(batch * spec.vocabulary));
  for (int64_t row = 0; row < batch; ++row)
    for (int64_t i = 0; i < count; ++i)
      if (int32_t id = history[row * count + i]; id >= 0 && id < spec.vocabulary)
        marks[static_cast<size_t>(row * spec.vocabulary + id)] = 1;
  return device.upload(seen.data(), marks.data(), static_cast<int64_t>(marks.size()));
}

Status DeviceSampler::start(const xfm_sampling_options &options, const int32_t *history, int64_t count) {
  if (Status status = checkOptions(options); !status.ok())
    return status;
  if (count < 0 || (count > 0 && !history))
    return fail(XFM_INVALID_ARGUMENT, "history is ", history ? "of " : "null, but of ", count, " tokens");
  if (Status status = reserve(options); !status.ok())
    return status;
  std::vector<char> state(static_cast<size_t>(tokensOffset));
  xfm_sampling sampling = toDevice(options, spec.vocabulary);
  std::memcpy(state.data(), &sampling, sizeof sampling);
  for (int64_t row = 0; row < batch; ++row) {
    SplitMix words{options.seed + static_cast<uint64_t>(row)};
    for (int64_t i = 0; i < 4; ++i) {
      uint64_t word = words.next();
      std::memcpy(state.data() + randomOffset + 32 * row + 8 * i, &word, sizeof word);
    }
  }
  if (Status status = device.upload(memory.data(), state.data(), tokensOffset); !status.ok())
    return status;
  if (options.repetition_penalty != 1)
    if (Status status = markSeen(history, count); !status.ok())
      return status;
  begunReads = finishedReads = 0;
  mostTokens = options.count ? options.count : INT64_MAX;
  return {};
}

DeviceLaunch DeviceSampler::launchOn(const void *logits) const {
  auto word = [](const void *address) { return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(address)); };
  auto rows = static_cast<uint64_t>(batch);
  // Without a penalty nobody looks at what was seen.
  const char *marks = seen.data() ? seen.data() : memory.data();
  return {static_cast<int32_t>(spec.kernel),
          {batch},
          {word(logits), rows, word(memory.data()), word(marks), rows, word(memory.data() + randomOffset),
           rows, word(tokens()), rows, word(memory.data() + tokensOffset + 4 * batch), rows}};
}

Status DeviceSampler::beginRead() {
  Status status = reads[begunReads % 2]->begin(tokens());
  if (status.ok())
    ++begunReads;
  return status;
}

Status DeviceSampler::finishRead(int32_t *out_tokens) {
  const void *data = nullptr;
  if (Status status = reads[finishedReads++ % 2]->finish(data); !status.ok())
    return status;
  std::vector<int32_t> drawn(static_cast<size_t>(2 * batch)); // tokens, then status
  std::memcpy(drawn.data(), data, drawn.size() * sizeof(int32_t));
  constexpr const char *advice = "; the model's weights or its code are damaged";
  for (size_t row = 0, rows = static_cast<size_t>(batch); row < rows; ++row) {
    if (drawn[rows + row] == XFM_SAMPLE_NOTHING)
      return fail(XFM_INTERNAL, "every logit of row ", row, " is -infinity", advice);
    if (drawn[rows + row] != XFM_SAMPLE_DRAWN)
      return fail(XFM_INTERNAL, "the logit of token ", drawn[row], " of row ", row, " is ",
                  drawn[rows + row] == XFM_SAMPLE_NAN ? "NaN" : "infinite", advice);
  }
  std::copy_n(drawn.begin(), batch, out_tokens);
  return {};
}
