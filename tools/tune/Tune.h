//===- Tune.h - tfopt MODEL --tune ----------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_TUNE_TUNE_H
#define TOOLS_TUNE_TUNE_H

#include "codegen/Compile.h"
#include "codegen/Tuning.h"

namespace mlir::transformer {

struct TuneOptions {
  /// How the model will be compiled.
  CompileOptions compile;
  /// The time it may take, in seconds. One compilation is not cut short.
  double seconds = 180;
  /// Receives one line per dispatch; may be null.
  llvm::raw_ostream *report = nullptr;
};

/// Times configs of the dispatches of `module` (transformer dialect; consumed) on
/// this machine, in modules of their own on random data, and returns the fastest.
llvm::Expected<Tuning> tuneModel(ModuleOp module, const TuneOptions &options);

} // namespace mlir::transformer

#endif // TOOLS_TUNE_TUNE_H
