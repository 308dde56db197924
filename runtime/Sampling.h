//===- Sampling.h - tokens drawn on a device ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_SAMPLING_H
#define XFM_RUNTIME_SAMPLING_H

#include "runtime/Device.h"

namespace xfm {

/// The options whose structure is zero beyond its size: off.
xfm_sampling_options defaultSampling();

/// Draws the tokens of a session's rows on its device: what the kernel reads and writes, and what of that is
/// on its way to the host.
class DeviceSampler {
public:
  DeviceSampler(Device &device, const SamplingSpec &spec, int64_t batch)
      : device(device), spec(spec), batch(batch) {}

  /// Seeds the generators and marks the tokens of `history` [batch, count], of which those below zero are
  /// none.
  Status start(const xfm_sampling_options &options, const int32_t *history, int64_t count);
  /// The launch that draws from logits in the device's memory.
  DeviceLaunch launchOn(const void *logits) const;
  /// What is drawn, i32 [batch, 1] in the device's memory.
  void *tokens() const { return memory.data() + tokensOffset; }

  /// Begins to read back what is drawn by all launches so far; at most two are read at once.
  Status beginRead();
  /// Waits for the oldest of those. A row without a token is an error.
  Status finishRead(int32_t *out_tokens);

  int64_t begun() const { return begunReads; }
  int64_t finished() const { return finishedReads; }
  /// Tokens that are wanted for each row, at most.
  int64_t wanted() const { return mostTokens; }

private:
  Status reserve(const xfm_sampling_options &options);
  Status markSeen(const int32_t *history, int64_t count);

  Device &device;
  const SamplingSpec &spec;
  int64_t batch;
  DeviceBuffer memory; ///< options, generators, tokens and status, one behind the other
  DeviceBuffer seen;   ///< where there is a penalty
  int64_t randomOffset = 0, tokensOffset = 0;
  std::unique_ptr<Readback> reads[2];
  int64_t begunReads = 0, finishedReads = 0, mostTokens = 0;
};

} // namespace xfm

#endif // XFM_RUNTIME_SAMPLING_H
