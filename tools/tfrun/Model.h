//===- Model.h - The runtime's handles as C++ objects -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_MODEL_H
#define XFM_TOOLS_TFRUN_MODEL_H

#include "runtime/text/Sampler.h"
#include "runtime/xfm.h"

#include <memory>
#include <string>
#include <vector>

namespace xfm::tfrun {

/// Throws std::runtime_error with the runtime's last error unless `status` is XFM_OK.
void check(xfm_status status);

/// An open artifact.
class Model {
public:
  /// How to open it.
  struct Choices {
    bool verify = true, profile = false, hugePages = false;
    bool affinity = false;   ///< of its sessions' threads
    std::string device;      ///< empty: what the artifact is for
    uint64_t randomSeed = 0; ///< of random weights; 0: the artifact's
    bool inspect = false;    ///< not to run it
    bool graphs = true;      ///< of a GPU's steps
    bool progress = false;   ///< shown on stderr where that is a terminal
  };
  Model(const std::string &path, const Choices &choices);

  xfm_model *get() const { return handle.get(); }
  bool affinity() const { return keepsToCores; }
  /// Whether it was compiled for a GPU.
  bool isForGPU() const { return forGPU; }
  /// Whether tokens are drawn where the logits are.
  bool canSample() const { return xfm_model_can_sample(get()) == 1; }
  const xfm_model_info &info() const { return facts; }
  std::string manifest() const { return xfm_model_manifest(get()); }
  /// The path of a file in the artifact.
  std::string file(const char *name) const { return std::string(xfm_model_path(get())) + "/" + name; }

  /// Throws std::runtime_error, listing the entry points there are, if there is none of this name.
  void needEntry(const std::string &name) const;
  std::vector<xfm_tensor_info> inputs(const std::string &entry) const;
  std::vector<xfm_tensor_info> outputs(const std::string &entry) const;

private:
  std::unique_ptr<xfm_model, void (*)(xfm_model *)> handle;
  bool keepsToCores, forGPU = false;
  xfm_model_info facts{};
};

/// Logits of one position; they live until the next call.
struct Logits {
  const float *data;
  size_t count;
};

/// A session for generating with one row: entry points `prefill` and `decode`.
class Generator {
public:
  /// `context` 0: the runtime's default.
  Generator(const Model &model, int32_t threads, int64_t context);

  xfm_session *get() const { return session.get(); }
  int64_t context() const { return xfm_session_context(session.get()); }
  int64_t length() const { return xfm_session_length(session.get()); }
  void reset() { xfm_session_reset(session.get()); }

  Logits prefill(const int32_t *ids, size_t count) { return call("prefill", ids, count, prefillOutput); }
  Logits decode(int32_t id) { return call("decode", &id, 1, decodeOutput); }

  /// Draws up to `count` tokens on the device, behind a prefill; `history` holds the ids so far.
  void startSampling(const text::SamplingOptions &options, const std::vector<int32_t> &history,
                     int64_t count);
  /// The next of them.
  int32_t nextToken();
  void stopSampling() { check(xfm_sampling_stop(session.get())); }

private:
  Logits call(const char *entry, const int32_t *ids, size_t count, int32_t output);
  std::unique_ptr<xfm_session, void (*)(xfm_session *)> session;
  int32_t prefillOutput, decodeOutput;
};

/// A session; see xfm_session_options.
std::unique_ptr<xfm_session, void (*)(xfm_session *)> createSession(const Model &model, int32_t threads,
                                                                    int64_t batch, int64_t context);

/// Cores this process may use.
int32_t availableCores();

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_MODEL_H
