//===- CompiledModule.h - an artifact that is run in this process -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_EMULATE_COMPILEDMODULE_H
#define TOOLS_EMULATE_COMPILEDMODULE_H

#include "codegen/Compile.h"
#include "dialect/interpreter/Values.h"
#include "emulator/EmulatedDevice.h"
#include "runtime/xfm.h"

#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer {

/// An artifact compiled into a temporary folder and opened by the runtime. The
/// folder is gone once it is open.
class CompiledModule {
public:
  /// Compiles a copy of `module`, with all its public functions or those alone that `keep`
  /// names; weights are read from `folder`. With architectures of a GPU in `options`, kernels are those of
  /// the first one and run in the emulator.
  static llvm::Expected<std::unique_ptr<CompiledModule>>
  compile(ModuleOp module, const CompileOptions &options, StringRef folder = "",
          ArrayRef<StringRef> keep = {}, const emulator::EmulatorOptions &emulation = {});
  ~CompiledModule();

  /// Starts over with empty caches of `rows` rows and `context` positions.
  llvm::Error begin(int64_t rows, int64_t context, int32_t threads);
  /// Calls a function on its tensor arguments; returns its tensor results.
  llvm::Expected<SmallVector<Tensor>> call(StringRef function, ArrayRef<Tensor> inputs);

  /// The device that kernels are emulated on, or null.
  const emulator::EmulatedDevice *device() const { return emulated; }

private:
  explicit CompiledModule(MLIRContext *context) : context(context) {}
  llvm::Error openOnCPU(StringRef path);
  llvm::Error openOnEmulator(StringRef path, ModuleOp kernels, const emulator::EmulatorOptions &options);

  MLIRContext *context;
  xfm_model *model = nullptr;
  xfm_session *session = nullptr;
  emulator::EmulatedDevice *emulated = nullptr; // the model's
};

} // namespace mlir::transformer

#endif // TOOLS_EMULATE_COMPILEDMODULE_H
