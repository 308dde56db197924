//===- Backend.h - kernels to PTX and cubins ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_BACKEND_H
#define CODEGEN_GPU_BACKEND_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir::transformer {

/// The architectures that kernels can be made for, oldest first.
ArrayRef<StringRef> knownGPUArchs();
/// A list such as `sm_80,sm_90a`, in the order of knownGPUArchs without repetitions.
llvm::Expected<std::vector<std::string>> parseGPUArchs(StringRef text);

/// Translates the kernels of `module`, in the LLVM dialect, to PTX. PTX needs no library and no
/// CUDA installation.
llvm::Expected<std::string> translateToPTX(ModuleOp module, StringRef arch);

/// What ptxas says of a kernel.
struct KernelResources {
  std::string kernel;
  int64_t registers = 0, spillBytes = 0;
};

/// The assembler of a CUDA installation: $CUDA_HOME/bin, $CUDA_PATH/bin, the PATH,
/// /usr/local/cuda/bin. Empty where there is none.
std::string findPtxas();

/// Assembles PTX into the file `cubin`. Warnings of ptxas are errors: the ones that speak
/// of serialised wgmma mean that a kernel is wrong.
llvm::Expected<std::vector<KernelResources>> assemble(StringRef ptxas, StringRef ptx, StringRef arch,
                                                      StringRef cubin);

/// The rows of the manifest's table of kernels (codegen/GPU/README.md), from the module of
/// one architecture before it is lowered. More parameters than a launch takes are an error.
llvm::Expected<llvm::json::Array> kernelTable(ModuleOp module);

/// The manifest's `sampling`, from the same module; nothing where no kernel draws tokens.
std::optional<llvm::json::Object> samplingOf(ModuleOp module);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_BACKEND_H
