//===- Api.cpp - the C API over Model and Session -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Session.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>

using namespace xfm;

struct xfm_model {
  std::unique_ptr<Model> impl;
};

struct xfm_session {
  std::unique_ptr<Session> impl;
};

/// Runs `fn` and keeps its failure for xfm_last_error(). No exception leaves the
/// C API: memory can run out anywhere.
template <typename Fn> static xfm_status guarded(Fn fn) noexcept {
  try {
    Status status;
    try {
      status = fn();
    } catch (const std::bad_alloc &) {
      status = fail(XFM_OUT_OF_MEMORY, "out of memory");
    } catch (const std::exception &error) {
      status = fail(XFM_INTERNAL, "unexpected failure: ", error.what());
    }
    if (!status.ok())
      setLastError(status);
    return status.code;
  } catch (...) {
    return XFM_OUT_OF_MEMORY; // not even the message could be kept
  }
}

/// Copies a caller's options, whose header may be older (fewer members; the rest
/// keep their defaults) or newer.
template <typename Options> static Status readOptions(const Options *given, Options &out) {
  if (!given)
    return {};
  if (given->size < sizeof given->size)
    return fail(XFM_INVALID_ARGUMENT, "the options' size is ", given->size,
                ": set it to sizeof the structure");
  std::memcpy(&out, given, std::min<size_t>(given->size, sizeof out));
  return {};
}

static Status nullArgument(const char *name) { return fail(XFM_INVALID_ARGUMENT, name, " is null"); }

static Status findTensor(const xfm_model *model, const char *entry, int32_t index, bool input,
                         xfm_tensor_info *out) {
  if (!model || !entry || !out)
    return nullArgument(!model ? "model" : !entry ? "entry" : "out_info");
  const EntryPoint *found = model->impl->manifest().findEntryPoint(entry);
  if (!found)
    return fail(XFM_INVALID_ARGUMENT, "there is no entry point ", quote(entry));
  const std::vector<TensorSpec> &tensors = input ? found->inputs : found->outputs;
  if (index < 0 || static_cast<size_t>(index) >= tensors.size())
    return fail(XFM_INVALID_ARGUMENT, quote(entry), " has no ", input ? "input " : "output ", index);
  const TensorSpec &tensor = tensors[static_cast<size_t>(index)];
  *out = {};
  out->name = tensor.name.c_str();
  out->dtype = tensor.dtype;
  out->rank = static_cast<int32_t>(tensor.dims.size());
  for (size_t i = 0; i < tensor.dims.size(); ++i) {
    out->dims[i] = tensor.dims[i].extent;
    out->symbols[i] = tensor.dims[i].symbol.empty() ? nullptr : tensor.dims[i].symbol.c_str();
  }
  return {};
}

static int32_t tensorCount(const xfm_model *model, const char *entry, bool input) {
  const EntryPoint *found = model && entry ? model->impl->manifest().findEntryPoint(entry) : nullptr;
  return found ? static_cast<int32_t>((input ? found->inputs : found->outputs).size()) : -1;
}

/// Writes as much of a structure as its caller knows.
template <typename Info> static Status writeInfo(Info info, Info *out) {
  if (out->size < sizeof out->size)
    return fail(XFM_INVALID_ARGUMENT, "the size of what is to be filled is ", out->size,
                ": set it to sizeof the structure");
  info.size = out->size;
  std::memcpy(out, &info, std::min<size_t>(info.size, sizeof info));
  return {};
}

static Profiler *profilerOf(const xfm_session *session) {
  return session ? session->impl->profiler() : nullptr;
}

/// Runs `fn` on the session's profiler.
template <typename Fn> static xfm_status profiled(const xfm_session *session, Fn fn) noexcept {
  return guarded([&]() -> Status {
    if (!session)
      return nullArgument("session");
    Profiler *profiler = profilerOf(session);
    if (!profiler)
      return fail(XFM_INVALID_ARGUMENT,
                  "the model was opened without profiling: set 'profile' in xfm_open_options");
    return fn(*profiler);
  });
}

static Status checkIndex(const char *what, int64_t index, size_t count) {
  if (index < 0 || static_cast<uint64_t>(index) >= count)
    return fail(XFM_INVALID_ARGUMENT, "there is no ", what, " ", index, ": there are ", count);
  return {};
}

static double secondsOf(int64_t nanoseconds) { return 1e-9 * static_cast<double>(nanoseconds); }

xfm_model *xfm::makeHandle(std::unique_ptr<Model> model) {
  auto handle = std::make_unique<xfm_model>();
  handle->impl = std::move(model);
  return handle.release();
}

extern "C" {

xfm_status xfm_model_open(const char *path, const xfm_open_options *options, xfm_model **out_model) {
  return guarded([&]() -> Status {
    if (!path || !out_model)
      return nullArgument(path ? "out_model" : "path");
    xfm_open_options read = {};
    if (Status status = readOptions(options, read); !status.ok())
      return status;
    auto model = std::make_unique<xfm_model>();
    Model::Choices choices;
    choices.skipWeightHash = read.skip_weight_hash != 0;
    choices.profile = read.profile != 0;
    choices.hugePages = read.huge_pages != 0;
    choices.device = read.device ? read.device : "";
    choices.randomSeed = read.random_seed;
    choices.inspect = read.inspect != 0;
    choices.graphs = read.no_graphs == 0;
    if (read.progress)
      choices.progress = [progress = read.progress, user = read.progress_user](const char *what, int64_t done,
                                                                               int64_t total) {
        progress(user, what, done, total);
      };
    if (Status status = Model::open(path, std::move(choices), model->impl); !status.ok())
      return status;
    *out_model = model.release();
    return {};
  });
}

void xfm_model_close(xfm_model *model) { delete model; }

const char *xfm_model_manifest(const xfm_model *model) {
  return model ? model->impl->manifest().text.c_str() : nullptr;
}

const char *xfm_model_path(const xfm_model *model) { return model ? model->impl->path().c_str() : nullptr; }

xfm_status xfm_model_get_info(const xfm_model *model, xfm_model_info *out_info) {
  return guarded([&]() -> Status {
    if (!model || !out_info)
      return nullArgument(model ? "out_info" : "model");
    const ModelFacts &facts = model->impl->manifest().model;
    xfm_model_info info = {};
    info.vocab_size = facts.vocabSize;
    info.max_positions = facts.maxPositions;
    info.chunk = facts.chunk;
    info.bos_token_id = facts.bosTokenId;
    info.eos_count = static_cast<int32_t>(facts.eosTokenIds.size());
    info.eos_token_ids = facts.eosTokenIds.data();
    return writeInfo(info, out_info);
  });
}

int32_t xfm_model_entry_count(const xfm_model *model) {
  return model ? static_cast<int32_t>(model->impl->manifest().entryPoints.size()) : 0;
}

const char *xfm_model_entry_name(const xfm_model *model, int32_t entry) {
  if (!model || entry < 0 || entry >= xfm_model_entry_count(model))
    return nullptr;
  return model->impl->manifest().entryPoints[static_cast<size_t>(entry)].name.c_str();
}

int32_t xfm_model_input_count(const xfm_model *model, const char *entry) {
  return tensorCount(model, entry, true);
}

int32_t xfm_model_output_count(const xfm_model *model, const char *entry) {
  return tensorCount(model, entry, false);
}

xfm_status xfm_model_input(const xfm_model *model, const char *entry, int32_t index,
                           xfm_tensor_info *out_info) {
  return guarded([&] { return findTensor(model, entry, index, true, out_info); });
}

xfm_status xfm_model_output(const xfm_model *model, const char *entry, int32_t index,
                            xfm_tensor_info *out_info) {
  return guarded([&] { return findTensor(model, entry, index, false, out_info); });
}

xfm_status xfm_session_create(xfm_model *model, const xfm_session_options *options,
                              xfm_session **out_session) {
  return guarded([&]() -> Status {
    if (!model || !out_session)
      return nullArgument(model ? "out_session" : "model");
    xfm_session_options read = {};
    if (Status status = readOptions(options, read); !status.ok())
      return status;
    auto session = std::make_unique<xfm_session>();
    if (Status status = Session::create(*model->impl, read.threads, read.batch, read.context,
                                        read.affinity != 0, session->impl);
        !status.ok())
      return status;
    *out_session = session.release();
    return {};
  });
}

void xfm_session_destroy(xfm_session *session) { delete session; }

void xfm_session_reset(xfm_session *session) {
  if (session)
    session->impl->reset();
}

int64_t xfm_session_length(const xfm_session *session) { return session ? session->impl->length() : 0; }

int64_t xfm_session_context(const xfm_session *session) { return session ? session->impl->context() : 0; }

xfm_status xfm_session_call(xfm_session *session, const char *entry, const xfm_tensor *inputs,
                            int32_t input_count) {
  return guarded([&]() -> Status {
    if (!session || !entry)
      return nullArgument(session ? "entry" : "session");
    return session->impl->call(entry, inputs, input_count);
  });
}

xfm_status xfm_session_output(const xfm_session *session, int32_t index, xfm_tensor *out_tensor) {
  return guarded([&]() -> Status {
    if (!session || !out_tensor)
      return nullArgument(session ? "out_tensor" : "session");
    return session->impl->output(index, *out_tensor);
  });
}

int32_t xfm_model_can_sample(const xfm_model *model) {
  return model && model->impl->device() && model->impl->manifest().sampling ? 1 : 0;
}

xfm_status xfm_sampling_start(xfm_session *session, const xfm_sampling_options *options,
                              const int32_t *history, int64_t history_count) {
  return guarded([&]() -> Status {
    if (!session || !options)
      return nullArgument(session ? "options" : "session");
    xfm_sampling_options read = defaultSampling();
    if (Status status = readOptions(options, read); !status.ok())
      return status;
    return session->impl->startSampling(read, history, history_count);
  });
}

xfm_status xfm_sampling_next(xfm_session *session, int32_t *out_tokens) {
  return guarded([&]() -> Status {
    if (!session || !out_tokens)
      return nullArgument(session ? "out_tokens" : "session");
    return session->impl->nextTokens(out_tokens);
  });
}

xfm_status xfm_sampling_stop(xfm_session *session) {
  return guarded([&]() -> Status {
    if (!session)
      return nullArgument("session");
    return session->impl->stopSampling();
  });
}

int64_t xfm_session_arena_bytes(const xfm_session *session) {
  return session ? session->impl->arenaBytes() : 0;
}

xfm_status xfm_profile_start(xfm_session *session) {
  return profiled(session, [](Profiler &profiler) { return profiler.start(), Status(); });
}

xfm_status xfm_profile_stop(xfm_session *session) {
  return profiled(session, [](Profiler &profiler) { return profiler.stop(), Status(); });
}

xfm_status xfm_profile_reset(xfm_session *session) {
  return profiled(session, [](Profiler &profiler) { return profiler.reset(), Status(); });
}

double xfm_profile_seconds(const xfm_session *session) {
  Profiler *profiler = profilerOf(session);
  return profiler ? secondsOf(profiler->nanoseconds()) : 0;
}

int64_t xfm_profile_record_count(const xfm_session *session) {
  Profiler *profiler = profilerOf(session);
  return profiler ? static_cast<int64_t>(profiler->recordCount()) : 0;
}

xfm_status xfm_profile_get_record(const xfm_session *session, int64_t index, xfm_profile_record *out_record) {
  return profiled(session, [&](Profiler &profiler) -> Status {
    if (!out_record)
      return nullArgument("out_record");
    if (Status status = checkIndex("record", index, profiler.recordCount()); !status.ok())
      return status;
    const Profiler::Record &record = profiler.record(static_cast<size_t>(index));
    xfm_profile_record info = {};
    info.entry = record.entry;
    info.name = record.name;
    info.calls = record.calls;
    info.seconds = secondsOf(record.nanoseconds);
    info.flops = record.hasFlops ? record.flops : -1;
    info.bytes = record.hasBytes ? record.bytes : -1;
    return writeInfo(info, out_record);
  });
}

int64_t xfm_profile_event_count(const xfm_session *session) {
  Profiler *profiler = profilerOf(session);
  return profiler ? static_cast<int64_t>(profiler->eventCount()) : 0;
}

xfm_status xfm_profile_get_event(const xfm_session *session, int64_t index, xfm_profile_event *out_event) {
  return profiled(session, [&](Profiler &profiler) -> Status {
    if (!out_event)
      return nullArgument("out_event");
    if (Status status = checkIndex("event", index, profiler.eventCount()); !status.ok())
      return status;
    const Profiler::Event &event = profiler.event(static_cast<size_t>(index));
    xfm_profile_event info = {};
    info.entry = profiler.recordOf(event).entry;
    info.name = profiler.recordOf(event).name;
    info.begin_ns = event.begin;
    info.duration_ns = event.end - event.begin;
    return writeInfo(info, out_event);
  });
}

} // extern "C"
