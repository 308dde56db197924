//===- Trial.h - a config, compiled and timed -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_TUNE_TRIAL_H
#define TOOLS_TUNE_TRIAL_H

#include "codegen/Compile.h"
#include "runtime/xfm.h"
#include "tools/tune/DispatchModule.h"

#include <chrono>

namespace mlir::transformer {

using Clock = std::chrono::steady_clock;

/// Values of -0.5 to 0.5 of a type, as bytes.
std::vector<char> randomBytes(size_t count, xfm_dtype type, unsigned seed);

/// Writes random weights where a DispatchModule reads them.
llvm::Error writeRandomWeights(llvm::StringRef folder, llvm::ArrayRef<RankedTensorType> weights);

/// The inputs of a DispatchModule for a number of positions, filled at random.
struct TrialInputs {
  int64_t positions = 1;
  std::vector<std::vector<char>> data;
  std::vector<xfm_tensor> tensors;
};

/// A dispatch with one config, compiled and open.
class Trial {
public:
  /// Compiles `source` with `config` into `folder`, from which the artifact is gone
  /// again afterwards. With several copies, each has weights of its own in memory.
  static llvm::Expected<std::unique_ptr<Trial>> make(const DispatchModule &source, LoweringConfigAttr config,
                                                     llvm::StringRef folder, const CompileOptions &options,
                                                     int64_t context, int64_t copies, int threads);
  ~Trial();

  /// Starts sessions with another number of threads; 0: one per core.
  llvm::Error setThreads(int count);
  TrialInputs inputsFor(int64_t positions) const;
  /// Seconds of `calls` calls, each of the next copy: of one thread by its own clock,
  /// which stands still while others have the core; of several by the wall's. Caches hold `cached` positions
  /// or a few more before.
  llvm::Expected<double> time(const TrialInputs &inputs, int64_t cached, int64_t calls);
  void reset();
  /// The result of the last call, in f32.
  std::vector<float> output() const;
  bool isNarrow() const;

  LoweringConfigAttr config;

private:
  Trial() = default;
  llvm::Error call(const TrialInputs &inputs);
  xfm_session *last() const { return sessions[(next + sessions.size() - 1) % sessions.size()]; }

  std::vector<xfm_model *> models;
  std::vector<xfm_session *> sessions; ///< one of each model
  size_t next = 0;
  bool hasCache = false;
  int64_t context = 0;
  int threads = 1;
};

} // namespace mlir::transformer

#endif // TOOLS_TUNE_TRIAL_H
