//===- Pipeline.h - from the dialect to LLVM ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_PIPELINE_H
#define CODEGEN_PIPELINE_H

#include "mlir/Pass/PassManager.h"

namespace mlir::transformer {

struct LoweringPipelineOptions {
  int64_t vectorBytes = 32;
  int64_t vectorRegisters = 16;
  bool nativeBF16 = false;    ///< the target multiplies pairs of bf16, and rounds to it, in one instruction
  int64_t int8Depth = 1;      ///< products of integers that the target sums in one instruction
  int64_t fmaPipes = 2;       ///< vectors that a core multiplies and adds in one cycle
  int64_t fmaLatency = 4;     ///< cycles until such a sum can be added to
  int64_t l1Bytes = 32 << 10; ///< of a core's first-level data cache
  int64_t l2Bytes = 1 << 20;  ///< of a core's second-level cache
  int64_t cores = 8;          ///< that one model has
  bool nativeF16 = true;      ///< the target converts f16 in one instruction
  bool nativeRounding = true; ///< and rounds to integers
  int64_t chunk = 512;        ///< positions one call computes at most
  bool deterministic = false; ///< no result depends on how work was cut
  std::string strategyFile;   ///< lowering configs that replace the chosen ones, or empty
  std::string tuningFile;     ///< lowering configs that were measured, or empty
  std::string startAt;        ///< the name of the first phase, or empty for all of them
  std::string stopAt;         ///< the name of a phase, or empty for all of them
  int64_t fusion = 2;         ///< how much dispatches fuse (see FormDispatches)
  /// Architectures of a GPU (sm_80, sm_90a); the code of entry functions is the CPU's
  /// then, and kernels are for them. Empty: everything is for the CPU.
  std::vector<std::string> gpuArchs;
  /// Kernels that an architecture alone has are chosen, whether or not a GPU has shown them to be right.
  bool newestGPUKernels = false;
  bool tf32 = false;        ///< a GPU multiplies f32 on tensor cores, rounded to tf32
  int64_t gpuSequences = 1; ///< sequences that a decoding step is taken to have
};

/// The phases, in order. `outline` is of GPUs alone: after it, kernels are in modules of
/// their own, which must be taken out (`takeKernels`) before the rest is run.
ArrayRef<StringRef> loweringPhases(bool gpu = false);

/// Appends the phases from `options.startAt` to `options.stopAt`, which must be one
/// of them or empty.
void buildLoweringPipeline(OpPassManager &pm, const LoweringPipelineOptions &options);

/// Appends what brings the kernels of one architecture from their module to LLVM.
void buildKernelPipeline(OpPassManager &pm);

/// `--transformer-cpu-pipeline`, `--transformer-gpu-pipeline` and
/// `--transformer-gpu-kernel-pipeline` for the opt driver.
void registerLoweringPipelines();

} // namespace mlir::transformer

#endif // CODEGEN_PIPELINE_H
