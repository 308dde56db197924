//===- Driver.h - tfopt's two lives ---------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_DRIVER_DRIVER_H
#define TOOLS_DRIVER_DRIVER_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace mlir {
class DialectRegistry;
}

namespace mlir::transformer {

/// Every dialect, extension and pass; the tools share it.
void registerAll(DialectRegistry &registry);

/// Whether the command line compiles a model; otherwise it is the opt driver's.
bool isCompilation(int argc, char **argv);

/// `tfopt MODEL -o OUT.tfa`, `--emit` and `--stop-at`. Returns the exit status.
int compileMain(int argc, char **argv);

/// A Hugging Face folder or a .mlir file as a module, and the folder its weights
/// are in.
struct LoadedModel {
  OwningOpRef<ModuleOp> module;
  std::string folder;
};

struct LoadOptions {
  std::string precision = "auto"; ///< auto, f32 or bf16
  int64_t maxPositions = 0;       ///< 0: the model's own
  llvm::raw_ostream *notes = nullptr;
};

llvm::Expected<LoadedModel> loadModel(MLIRContext &context, llvm::StringRef path, const LoadOptions &options);

} // namespace mlir::transformer

#endif // TOOLS_DRIVER_DRIVER_H
