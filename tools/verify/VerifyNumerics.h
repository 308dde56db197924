//===- VerifyNumerics.h - what each pass does to results ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_VERIFY_VERIFYNUMERICS_H
#define TOOLS_VERIFY_VERIFYNUMERICS_H

#include "passes/Pipeline.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer {

struct VerifyOptions {
  /// The relative error that a lossless pass may make: of the largest element of a
  /// result, in float64. Lossy passes have budgets of their own (`lossBudget`).
  double tolerance = 1e-6;
  /// The passes to check.
  OptimizationOptions optimization;
  /// Where the weights' files are. Read if they are all there and small; otherwise
  /// the weights are random.
  std::string folder;
  /// Receives one line per pass; may be null.
  llvm::raw_ostream *report = nullptr;
  /// The file that a failing case is written to; empty: one named after the pass.
  std::string reproducer;
};

/// Above this many weights, functions are checked on a copy of two layers.
inline constexpr int64_t kLargestWholeModel = 50'000'000;

/// Runs the optimisations on a copy of `module` and, after each pass, the
/// interpreter on the functions that it changed, before and after. The first pass
/// beyond its tolerance is an error that names it and the reproducer.
llvm::Error verifyNumerics(ModuleOp module, const VerifyOptions &options);

} // namespace mlir::transformer

#endif // TOOLS_VERIFY_VERIFYNUMERICS_H
