//===- Pipeline.h - from the dialect to LLVM ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_PIPELINE_H
#define CODEGEN_CPU_PIPELINE_H

#include "mlir/Pass/PassManager.h"

namespace mlir::transformer {

struct CPUPipelineOptions {
  int64_t vectorBytes = 32;
  int64_t vectorRegisters = 16;
  bool nativeBF16 = false;    ///< the target multiplies pairs of bf16, and rounds to it, in one instruction
  bool nativeF16 = true;      ///< the target converts f16 in one instruction
  bool nativeRounding = true; ///< and rounds to integers
  int64_t chunk = 512;        ///< positions one call computes at most
  bool deterministic = false; ///< no result depends on how work was cut
  std::string strategyFile;   ///< lowering configs that replace the chosen ones, or empty
  std::string tuningFile;     ///< lowering configs that were measured, or empty
  std::string startAt;        ///< the name of the first phase, or empty for all of them
  std::string stopAt;         ///< the name of a phase, or empty for all of them
  int64_t fusion = 2;         ///< how much dispatches fuse (see FormDispatches)
};

/// The phases of the CPU pipeline, in order.
ArrayRef<StringRef> cpuPhases();

/// Appends the phases from `options.startAt` to `options.stopAt`, which must be one
/// of them or empty.
void buildCPUPipeline(OpPassManager &pm, const CPUPipelineOptions &options);

/// `--transformer-cpu-pipeline` for the opt driver.
void registerCPUPipeline();

} // namespace mlir::transformer

#endif // CODEGEN_CPU_PIPELINE_H
