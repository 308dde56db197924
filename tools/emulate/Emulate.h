//===- Emulate.h - tfopt MODEL --emulate-gpu ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_EMULATE_EMULATE_H
#define TOOLS_EMULATE_EMULATE_H

#include "codegen/Compile.h"

namespace mlir::transformer {

struct EmulateOptions {
  CompileOptions compile; ///< with `gpuArchs`, of which the first is emulated
  std::string folder;     ///< of the model's weights
  bool isNarrow = false;  ///< activations are bf16
  /// Asynchronous effects as late as possible, or at once.
  bool late = true;
  uint64_t seed = 0;
  llvm::raw_ostream *report = nullptr;
};

/// Compiles `module` for a GPU, runs its entry points on small random inputs in the emulator and in the
/// reference interpreter, and compares their results: relative to the largest value within 1e-5 in f32,
/// 3e-3 where f32 is multiplied in tf32, and 1e-2 of what rounds like the IR where activations are bf16. The
/// last line reported is how many kernels ran and the largest error. Fails where an entry point differs or
/// the emulator finds a fault.
llvm::Error emulateModel(ModuleOp module, const EmulateOptions &options);

} // namespace mlir::transformer

#endif // TOOLS_EMULATE_EMULATE_H
