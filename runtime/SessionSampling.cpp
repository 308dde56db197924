//===- SessionSampling.cpp - steps whose tokens a device draws ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Session.h"

#include <algorithm>

using namespace xfm;

/// The logits of the last call, in the device's memory.
Status Session::findLogits(const SamplingSpec &spec, const void *&out) const {
  const EntryPoint *entry = scratch.entry;
  for (size_t i = 0; entry && i < outputCount; ++i) {
    const TensorSpec &output = entry->outputs[i];
    if (output.name == spec.logits && output.dtype == XFM_F32 &&
        outputs[i].dims == std::vector<int64_t>{sizes.batch, spec.vocabulary}) {
      out = outputs[i].onDevice.data();
      return {};
    }
  }
  return fail(XFM_INVALID_ARGUMENT, "the last call left no output ", quote(spec.logits), ", f32 [",
              sizes.batch, ", ", spec.vocabulary, "], to draw from: call an entry point that gives it");
}

/// The step is prepared once: its buffers are the same for all tokens.
Status Session::prepareStep(const SamplingSpec &spec) {
  const EntryPoint *entry = model.manifest().findEntryPoint(spec.entry);
  std::vector<int32_t> unused(static_cast<size_t>(sizes.batch));
  xfm_tensor tokens = {unused.data(), XFM_I32, 2, {sizes.batch, 1}};
  step = {};
  step.entry = entry;
  if (Status status = bindSizes(*entry, &tokens, 1, sizes, step.sizes); !status.ok())
    return status;
  outputs.resize(std::max(outputs.size(), entry->outputs.size()));
  for (size_t i = 0; i < entry->outputs.size(); ++i)
    if (Status status = prepareOutput(step, entry->outputs[i], outputs[i]); !status.ok())
      return status;
  return prepareArena(step);
}

Status Session::startSampling(const xfm_sampling_options &options, const int32_t *history, int64_t count) {
  if (!broken.ok())
    return broken;
  const std::optional<SamplingSpec> &spec = model.manifest().sampling;
  if (!device || !spec)
    return fail(XFM_INVALID_ARGUMENT, model.path(),
                ": tokens are not drawn on its device: draw them from the logits");
  if (Status status = stopSampling(); !status.ok())
    return status;
  const void *logits = nullptr;
  if (Status status = findLogits(*spec, logits); !status.ok())
    return status;
  if (!sampler)
    sampler = std::make_unique<DeviceSampler>(*device, *spec, sizes.batch);
  if (Status status = sampler->start(options, history, count); !status.ok())
    return noteFailure(status);
  // The first token is drawn before the step's buffers take the place of the call's.
  Status status = device->launch(sampler->launchOn(logits));
  if (status.ok())
    status = sampler->beginRead();
  outputCount = 0;
  if (status.ok())
    status = prepareStep(*spec);
  isSampling = status.ok();
  return noteFailure(status);
}

/// Steps that are under way and whose tokens nobody has taken: their positions do not count yet. The first
/// token is not of a step.
int64_t Session::stepsAhead() const { return sampler->begun() - std::max<int64_t>(sampler->finished(), 1); }

bool Session::hasRoomForStep() const {
  for (size_t index : step.entry->caches)
    for (int64_t used : caches[index].lengths)
      if (used + stepsAhead() >= sizes.context)
        return false;
  return true;
}

Status Session::beginStep() {
  const EntryPoint &entry = *step.entry;
  buffers.assign(1, sampler->tokens());
  for (size_t index : entry.caches)
    buffers.insert(buffers.end(), caches[index].buffers.begin(), caches[index].buffers.end());
  const void *logits = nullptr;
  for (size_t i = 0; i < entry.outputs.size(); ++i) {
    buffers.push_back(outputs[i].onDevice.data());
    if (entry.outputs[i].name == model.manifest().sampling->logits)
      logits = outputs[i].onDevice.data();
  }
  xfm_call call = {};
  call.size = sizeof call;
  call.buffers = buffers.data();
  call.sizes = step.sizes.data();
  call.weights = model.weights();
  call.arena = arenaOnDevice.data();
  DeviceLaunch draw = sampler->launchOn(logits);
  if (Status status = device->run(entry, model.functions(entry).entry, call, &draw); !status.ok())
    return status;
  return sampler->beginRead();
}

Status Session::nextTokens(int32_t *out_tokens) {
  if (!broken.ok())
    return broken;
  if (!isSampling)
    return fail(XFM_INVALID_ARGUMENT, "no tokens are being drawn: start it after a call that gives logits");
  if (sampler->finished() >= sampler->wanted())
    return fail(XFM_INVALID_ARGUMENT, "all ", sampler->wanted(), " tokens that were wanted have been drawn");
  // One step more is begun than is waited for, so that the device never waits for the host.
  for (int64_t under = sampler->begun() - sampler->finished(); under < 2; ++under) {
    if (sampler->begun() >= sampler->wanted() || !hasRoomForStep())
      break;
    if (Status status = beginStep(); !status.ok())
      return abandonSampling(status);
  }
  if (sampler->begun() == sampler->finished())
    return fail(XFM_CONTEXT_FULL, "the cache holds ", sizes.context,
                " positions and is full: reset the session or create one with a larger context");
  bool isOfStep = sampler->finished() > 0;
  if (Status status = sampler->finishRead(out_tokens); !status.ok())
    return abandonSampling(status);
  if (isOfStep)
    for (size_t index : step.entry->caches)
      for (int64_t &length : caches[index].lengths)
        ++length;
  return {};
}

/// Leaves the caches as they were at the last token that was taken.
Status Session::abandonSampling(const Status &status) {
  isSampling = false;
  if (noteFailure(status).code != XFM_DEVICE_ERROR)
    for (size_t index : step.entry->caches)
      writeLengths(caches[index]);
  return status;
}

/// What ran ahead is checked with the rest, and taken back.
Status Session::stopSampling() {
  if (!isSampling)
    return broken;
  isSampling = false;
  int64_t ahead = stepsAhead();
  Status status;
  for (size_t index : step.entry->caches) {
    Cache &cache = caches[index];
    for (int64_t &length : cache.lengths)
      length += ahead;
    if (status.ok() && index == step.entry->caches[0]) // all grow in one launch
      status = checkLengths(*step.entry, index);
    for (int64_t &length : cache.lengths)
      length -= ahead;
    if (ahead > 0 && broken.ok())
      writeLengths(cache);
  }
  return status.ok() ? broken : status;
}
