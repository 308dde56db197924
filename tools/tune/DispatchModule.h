//===- DispatchModule.h - a dispatch as a module of its own ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_TUNE_DISPATCHMODULE_H
#define TOOLS_TUNE_DISPATCHMODULE_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer {

/// The entry point of a DispatchModule, and the file its weights are in.
constexpr llvm::StringLiteral kTuneEntry = "run";
constexpr llvm::StringLiteral kTuneWeights = "tuning.safetensors";

/// A module in the form of the phase `dispatch` that launches one dispatch. What it
/// reads are arguments, except for weights, which are read from a file, and caches,
/// to which the entry point appends as the model does.
struct DispatchModule {
  OwningOpRef<ModuleOp> module;
  std::string name; ///< of the dispatch
  /// Its weights, w0, w1, ….
  SmallVector<RankedTensorType> weights;
  bool hasCache = false;
  /// Whether an argument has a dimension besides that of the batch.
  bool hasPositions = false;

  func::FuncOp dispatch() const;
};

/// Makes the module of `launch`'s dispatch; an error says what stands in the way.
llvm::Expected<DispatchModule> makeDispatchModule(LaunchOp launch);

} // namespace mlir::transformer

#endif // TOOLS_TUNE_DISPATCHMODULE_H
