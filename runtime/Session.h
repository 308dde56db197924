//===- Session.h - caches, buffers and calls ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_SESSION_H
#define XFM_RUNTIME_SESSION_H

#include "runtime/Binding.h"
#include "runtime/Memory.h"
#include "runtime/Model.h"
#include "runtime/Profiler.h"
#include "runtime/Sampling.h"
#include "runtime/ThreadPool.h"

#include <memory>
#include <vector>

namespace xfm {

/// Belongs to one thread at a time.
class Session {
public:
  /// Zeros stand for the defaults of xfm_session_options.
  static Status create(const Model &model, int32_t threads, int64_t batch, int64_t context, bool affinity,
                       std::unique_ptr<Session> &out);

  Status call(const char *entry, const xfm_tensor *inputs, int32_t count);
  Status output(int32_t index, xfm_tensor &out) const;
  void reset();

  /// Tokens drawn on the device; see xfm_sampling_start, xfm_sampling_next and xfm_sampling_stop.
  Status startSampling(const xfm_sampling_options &options, const int32_t *history, int64_t count);
  Status nextTokens(int32_t *out_tokens);
  Status stopSampling();

  int64_t batch() const { return sizes.batch; }
  int64_t length() const;
  int64_t context() const { return sizes.context; }
  int64_t arenaBytes() const { return usedArena; }
  /// Null unless the model was opened for profiling.
  Profiler *profiler() const { return profile.get(); }

private:
  struct Cache {
    std::vector<void *> buffers;
    int32_t *deviceLengths = nullptr; // [B], kept by generated code
    std::vector<int64_t> lengths;     // [B], the host's count of the same
  };

  /// One input or output of a call, cut along S where the call is.
  struct Slot {
    SlicedShape sliced;
    std::vector<int64_t> dims; ///< of the whole tensor
    int64_t bytes = 0;         ///< of the whole tensor
    xfm_dtype dtype = XFM_F32;
    const char *source = nullptr; ///< an input's data, in the entry point's type
    AlignedBuffer whole;
    AlignedBuffer piece;
    DeviceBuffer onDevice; ///< the piece or, uncut, the whole; where the model has a device
  };

  /// What one call is made of.
  struct Plan {
    const EntryPoint *entry = nullptr;
    std::vector<int64_t> sizes; ///< of the piece being run
    int32_t positionsIndex = -1;
    int64_t positions = 1; ///< of the whole call
    int64_t chunk = 1;     ///< positions of a piece, but for the last
    bool inPieces() const { return chunk < positions; }
  };

  explicit Session(const Model &model) : model(model), device(model.device()) {}
  Status allocateCaches();
  Status run(const char *entry, const xfm_tensor *inputs, int32_t count);
  Status checkRoom(const Plan &plan) const;
  Status prepareInput(const Plan &plan, const TensorSpec &spec, const xfm_tensor &given, Slot &slot);
  Status prepareOutput(const Plan &plan, const TensorSpec &spec, Slot &slot);
  Status prepareArena(Plan &plan);
  Status runPieces(Plan &plan);
  Status runPiece(const Plan &plan, int64_t begin, int64_t count);
  Status runOnDevice(const Plan &plan, xfm_call &call, int64_t begin, int64_t count);
  Status advance(const EntryPoint &entry, int64_t positions);
  Status checkLengths(const EntryPoint &entry, size_t cache);
  void restoreLengths(const EntryPoint &entry, int64_t advanced);
  void writeLengths(const Cache &cache);
  Status noteFailure(const Status &status);
  Status reserveOnDevice(const Plan &plan, const TensorSpec &spec, Slot &slot);
  Status findLogits(const SamplingSpec &spec, const void *&out) const;
  Status prepareStep(const SamplingSpec &spec);
  Status beginStep();
  Status abandonSampling(const Status &status);
  int64_t stepsAhead() const;
  bool hasRoomForStep() const;
  static bool isCut(const Plan &plan, const Slot &slot) {
    return plan.inPieces() && slot.sliced.hasPositions;
  }

  const Model &model;
  Device *device; ///< null for the CPU
  SessionSizes sizes;
  LazyPages cacheMemory;
  DeviceBuffer cachesOnDevice;
  std::vector<Cache> caches;

  // Reused from call to call, so that a decoding step allocates nothing.
  Plan scratch;
  std::vector<Slot> inputs;
  std::vector<Slot> outputs;
  std::vector<void *> buffers;
  AlignedBuffer arena;
  DeviceBuffer arenaOnDevice;
  Status broken; ///< the device's error that ended the session
  int64_t usedArena = 0;
  size_t outputCount = 0; ///< outputs that are valid now

  std::unique_ptr<DeviceSampler> sampler; ///< null until tokens are drawn on the device
  Plan step;                              ///< of the steps that are sampled
  bool isSampling = false;

  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Profiler> profile;
};

} // namespace xfm

#endif // XFM_RUNTIME_SESSION_H
