//===- SampledRows.h - the kernel that draws tokens, in the emulator ----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_UNIT_CODEGEN_SAMPLEDROWS_H
#define TEST_UNIT_CODEGEN_SAMPLEDROWS_H

#include "codegen/GPU/IR/XGPU.h"
#include "codegen/GPU/SampleKernel.h"
#include "emulator/Emulator.h"
#include "runtime/text/Sampler.h"
#include "runtime/xfm_abi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <cmath>
#include <cstring>
#include <vector>

namespace mlir::transformer::numeric {

/// A module with the kernel `sample` for rows of `vocabulary` logits.
inline OwningOpRef<ModuleOp> sampleModule(MLIRContext &context, int64_t vocabulary,
                                          const SampleSizes &sizes = {}) {
  context.loadDialect<arith::ArithDialect, func::FuncDialect, LLVM::LLVMDialect, math::MathDialect,
                      memref::MemRefDialect, NVVM::NVVMDialect, scf::SCFDialect, vector::VectorDialect,
                      xgpu::XGPUDialect>();
  OpBuilder b(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(b, b.getUnknownLoc());
  b.setInsertionPointToStart(module->getBody());
  emitSampleKernel(b, b.getUnknownLoc(), kSampleTemplate, vocabulary, sizes);
  return module;
}

/// What a launch reads and writes: rows of logits, and the state of each.
struct SampledRows {
  SampledRows(int64_t rows, int64_t vocabulary)
      : rows(rows), vocabulary(vocabulary), logits(static_cast<size_t>(rows * vocabulary)),
        seen(logits.size()), random(static_cast<size_t>(rows) * 4), tokens(static_cast<size_t>(rows), -1),
        status(static_cast<size_t>(rows), -1) {}

  /// The options of the host's sampler; each row's generator is seeded with `seed` and its number.
  void setOptions(const xfm::text::SamplingOptions &from) {
    options.top_k = from.topK ? static_cast<double>(std::min(from.topK, vocabulary)) : double(vocabulary);
    options.top_p = from.topP;
    options.min_logit = std::log(from.minP);
    options.scale = from.temperature == 0 ? 0 : 1.4426950408889634 / from.temperature;
    options.penalty = from.repetitionPenalty;
    for (int64_t row = 0; row < rows; ++row) {
      xfm::text::Random generator(from.seed + static_cast<uint64_t>(row));
      std::memcpy(&random[static_cast<size_t>(row) * 4], &generator, 32);
    }
  }

  /// Launches the kernel; the error, or nothing.
  std::string launch(const emulator::EmulatedKernel &kernel,
                     const emulator::EmulatorOptions &emulation = {}) {
    emulator::DeviceMemory memory;
    std::vector<uint64_t> words;
    auto add = [&](auto &values, const char *what, bool isDynamic) {
      void *data = values.data();
      memory.add(data, values.size() * sizeof(values[0]), what);
      words.push_back(reinterpret_cast<uint64_t>(data));
      if (isDynamic)
        words.push_back(static_cast<uint64_t>(rows));
    };
    std::vector<xfm_sampling> one{options};
    add(logits, "logits", true);
    add(one, "options", false);
    add(seen, "seen", true);
    add(random, "random", true);
    add(tokens, "tokens", true);
    add(status, "status", true);
    emulator::LaunchConfig config;
    config.blocks = static_cast<uint64_t>(rows);
    config.words = words;
    llvm::Expected<emulator::LaunchReport> report = kernel.launch(config, memory, emulation);
    return report ? "" : llvm::toString(report.takeError());
  }

  int64_t rows, vocabulary;
  xfm_sampling options = {};
  std::vector<float> logits;
  std::vector<int8_t> seen;
  std::vector<uint64_t> random;
  std::vector<int32_t> tokens, status;
};

} // namespace mlir::transformer::numeric

#endif // TEST_UNIT_CODEGEN_SAMPLEDROWS_H
