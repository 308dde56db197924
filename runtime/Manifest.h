//===- Manifest.h - what an artifact says about itself --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_MANIFEST_H
#define XFM_RUNTIME_MANIFEST_H

#include "runtime/Cost.h"
#include "runtime/Kernels.h"
#include "runtime/Status.h"
#include "runtime/Tensor.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace xfm {

/// The versions this runtime reads.
constexpr int64_t formatVersion = 1;

struct Target {
  std::string device;
  std::string triple;
  std::vector<std::string> features; ///< of the CPU that runs entry points
  std::vector<std::string> archs;    ///< of the GPU, where the device is "cuda"
  bool isGPU() const { return device == "cuda"; }
};

/// The manifest's `model`; -1 where a member is absent.
struct ModelFacts {
  int64_t vocabSize = -1;
  int64_t maxPositions = -1;
  int64_t chunk = -1;
  int64_t bosTokenId = -1;
  std::vector<int64_t> eosTokenIds;
};

/// One cache: its buffers in the order an entry point takes them.
struct CacheSpec {
  std::string name;
  int64_t window = 0;              ///< positions that a ring keeps; 0 where all are kept
  std::vector<TensorSpec> buffers; ///< `name` is the part; symbols are "B" and "C"
  size_t lengthBuffer = 0;         ///< index of the part "length": i32 [B]
};

struct Dispatch {
  std::string name;
  int64_t count = 0;
  /// Of all `count` launches of one call together; nothing where not stated.
  std::optional<std::vector<Term>> flops, bytes;
};

struct EntryPoint {
  std::string name;
  std::string symbol;
  std::string arenaSymbol;
  std::vector<std::string> sizes;
  std::vector<TensorSpec> inputs;
  std::vector<size_t> caches; ///< indices into Manifest::caches
  std::vector<TensorSpec> outputs;
  std::vector<Dispatch> dispatches;
  std::vector<Term> arena; ///< bytes of the activations; empty where not stated
  size_t bufferCount = 0;  ///< of xfm_call::buffers
};

struct WeightSpec {
  std::string name;
  std::string format;
  std::vector<int64_t> shape;
  int64_t bytes = 0;
};

struct FileSpec {
  std::string name;
  int64_t bytes = 0;
  uint64_t hash = 0;
};

/// The kernel that draws tokens from the logits of a decoding step.
struct SamplingSpec {
  int64_t kernel = 0; ///< its row in the table
  std::string entry;  ///< the step, whose one input is a token for each row
  std::string logits; ///< its output [B, vocabulary] of f32
  int64_t vocabulary = 0;
};

struct Manifest {
  std::string text; ///< the whole file
  Target target;
  ModelFacts model;
  std::vector<EntryPoint> entryPoints;
  std::vector<CacheSpec> caches;
  std::vector<WeightSpec> weights;
  bool weightsStored = true;            ///< false: the artifact is code and shapes alone
  std::vector<KernelSet> kernels;       ///< of a GPU, by architecture
  std::optional<SamplingSpec> sampling; ///< of a GPU, where it draws tokens itself
  std::vector<FileSpec> files;

  const EntryPoint *findEntryPoint(std::string_view name) const;
  const FileSpec *findFile(std::string_view name) const;
};

/// Reads and validates the text of a manifest. Checks, in this order: checksum,
/// JSON, versions, target against this machine, structure. A newer format may be
/// structured otherwise, so its version is looked at first. `path` is for messages.
Status parseManifest(std::string_view text, const std::string &path, Manifest &out);

} // namespace xfm

#endif // XFM_RUNTIME_MANIFEST_H
