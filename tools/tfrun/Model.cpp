//===- Model.cpp - The runtime's handles as C++ objects -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Model.h"
#include "tools/tfrun/Output.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>
#include <thread>

#include <sched.h>
#include <unistd.h>

namespace xfm::tfrun {

void check(xfm_status status) {
  if (status == XFM_OK)
    return;
  std::string reason = xfm_last_error();
  throw std::runtime_error(reason.empty() ? xfm_status_name(status) : reason);
}

Model::Model(const std::string &path, const Choices &choices)
    : handle(nullptr, xfm_model_close), keepsToCores(choices.affinity) {
  xfm_open_options options{};
  options.size = sizeof options;
  options.skip_weight_hash = !choices.verify;
  options.profile = choices.profile;
  options.huge_pages = choices.hugePages;
  options.device = choices.device.empty() ? nullptr : choices.device.c_str();
  options.random_seed = choices.randomSeed;
  options.inspect = choices.inspect;
  options.no_graphs = !choices.graphs;
  if (choices.progress && isatty(STDERR_FILENO))
    options.progress = [](void *, const char *what, int64_t done, int64_t total) {
      showProgress(what, done, total);
    };
  xfm_model *opened = nullptr;
  check(xfm_model_open(path.c_str(), &options, &opened));
  handle.reset(opened);
  facts.size = sizeof facts;
  check(xfm_model_get_info(opened, &facts));
  forGPU = nlohmann::json::parse(manifest()).at("target").at("device") == "cuda"; // the runtime verified it
  if (!choices.graphs && !forGPU)
    throw std::runtime_error("--no-cuda-graph is for a GPU, and '" + path + "' is for the CPU");
}

void Model::needEntry(const std::string &name) const {
  std::string known;
  for (int32_t i = 0; i < xfm_model_entry_count(get()); ++i) {
    const char *entry = xfm_model_entry_name(get(), i);
    if (entry == name)
      return;
    known += (known.empty() ? "" : ", ") + std::string(entry);
  }
  throw std::runtime_error("'" + std::string(xfm_model_path(get())) + "' has no entry point '" + name +
                           "', but " + (known.empty() ? "none" : known));
}

std::vector<xfm_tensor_info> Model::inputs(const std::string &entry) const {
  std::vector<xfm_tensor_info> infos(std::max(0, xfm_model_input_count(get(), entry.c_str())));
  for (size_t i = 0; i < infos.size(); ++i)
    check(xfm_model_input(get(), entry.c_str(), int32_t(i), &infos[i]));
  return infos;
}

std::vector<xfm_tensor_info> Model::outputs(const std::string &entry) const {
  std::vector<xfm_tensor_info> infos(std::max(0, xfm_model_output_count(get(), entry.c_str())));
  for (size_t i = 0; i < infos.size(); ++i)
    check(xfm_model_output(get(), entry.c_str(), int32_t(i), &infos[i]));
  return infos;
}

std::unique_ptr<xfm_session, void (*)(xfm_session *)> createSession(const Model &model, int32_t threads,
                                                                    int64_t batch, int64_t context) {
  xfm_session_options options{};
  options.size = sizeof options;
  options.threads = threads;
  options.batch = batch;
  options.context = context;
  options.affinity = model.affinity();
  xfm_session *created = nullptr;
  check(xfm_session_create(model.get(), &options, &created));
  return {created, xfm_session_destroy};
}

/// The index of the output `logits` of an entry point that takes tokens.
static int32_t findLogits(const Model &model, const char *entry) {
  model.needEntry(entry);
  std::vector<xfm_tensor_info> inputs = model.inputs(entry), outputs = model.outputs(entry);
  if (inputs.size() != 1 || std::string(inputs[0].name) != "tokens")
    throw std::runtime_error(std::string("expected entry point '") + entry + "' to take 'tokens' alone");
  for (size_t i = 0; i < outputs.size(); ++i)
    if (std::string(outputs[i].name) == "logits")
      return int32_t(i);
  throw std::runtime_error(std::string("entry point '") + entry + "' has no output 'logits'");
}

Generator::Generator(const Model &model, int32_t threads, int64_t context)
    : session(nullptr, xfm_session_destroy), prefillOutput(findLogits(model, "prefill")),
      decodeOutput(findLogits(model, "decode")) {
  session = createSession(model, threads, 1, context);
}

Logits Generator::call(const char *entry, const int32_t *ids, size_t count, int32_t output) {
  xfm_tensor tokens{}; // [1, count]
  tokens.data = ids;
  tokens.dtype = XFM_I32;
  tokens.rank = 2;
  tokens.dims[0] = 1;
  tokens.dims[1] = int64_t(count);
  check(xfm_session_call(session.get(), entry, &tokens, 1));
  xfm_tensor logits{}; // [1, vocabulary]
  check(xfm_session_output(session.get(), output, &logits));
  if (logits.dtype != XFM_F32 || logits.rank != 2 || logits.dims[0] != 1)
    throw std::runtime_error(std::string("expected the logits of '") + entry + "' to be f32 [1, vocabulary]");
  return {static_cast<const float *>(logits.data), size_t(logits.dims[1])};
}

void Generator::startSampling(const text::SamplingOptions &options, const std::vector<int32_t> &history,
                              int64_t count) {
  xfm_sampling_options sampling{};
  sampling.size = sizeof sampling;
  sampling.temperature = options.temperature;
  sampling.top_k = options.topK;
  sampling.top_p = options.topP;
  sampling.min_p = options.minP;
  sampling.repetition_penalty = options.repetitionPenalty;
  sampling.seed = options.seed;
  sampling.count = count;
  check(xfm_sampling_start(session.get(), &sampling, history.data(), int64_t(history.size())));
}

int32_t Generator::nextToken() {
  int32_t token = 0;
  check(xfm_sampling_next(session.get(), &token));
  return token;
}

int32_t availableCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return std::max(1, CPU_COUNT(&set));
  return std::max(1, int32_t(std::thread::hardware_concurrency()));
}

} // namespace xfm::tfrun
