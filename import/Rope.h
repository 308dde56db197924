//===- Rope.h - rotary positions of a config ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef IMPORT_ROPE_H
#define IMPORT_ROPE_H

#include "import/Config.h"

namespace mlir::transformer {

/// Rotary positions as `transformer.derive rope_table` states them.
struct RopeSettings {
  double theta = 10000.0;
  int64_t rotaryDim = 0;
  std::string scaling = "none"; // none, linear, llama3, longrope or yarn
  double factor = 1.0;
  double lowFreqFactor = 1.0, highFreqFactor = 1.0; // llama3
  double betaFast = 32.0, betaSlow = 1.0;           // yarn
  double attentionFactor = 1.0;                     // yarn, longrope
  int64_t originalMaxPositions = 0;                 // llama3, yarn
  SmallVector<double> extFactors;                   // longrope
};

/// Reads `rope_theta`, `rope_scaling` and the newer `rope_parameters`, which may
/// hold one object per `layerType`. `maxPositions` is the length of the tables
/// that will be made.
RopeSettings readRope(Config &config, int64_t headDim, int64_t maxPositions,
                      StringRef layerType = "full_attention");

} // namespace mlir::transformer

#endif // IMPORT_ROPE_H
