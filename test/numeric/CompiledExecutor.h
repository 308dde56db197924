//===- CompiledExecutor.h - compiled code in the numeric tests ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_NUMERIC_COMPILEDEXECUTOR_H
#define TEST_NUMERIC_COMPILEDEXECUTOR_H

#include "test/numeric/Executor.h"
#include "tools/emulate/CompiledModule.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer::numeric {

/// Compiles for `mcpu`: a CPU, kEmulatedAVX512, or an architecture of a GPU, whose kernels are emulated; with
/// "+tf32" behind it, products of f32 are in tf32.
/// Calls of functions with caches run in pieces of `chunk` positions. Files of weights are in `folder`.
llvm::Expected<std::unique_ptr<CompiledModule>> compileFor(ModuleOp module, StringRef mcpu,
                                                           ArrayRef<StringRef> keep = {}, int64_t chunk = 512,
                                                           const emulator::EmulatorOptions &emulation = {},
                                                           StringRef folder = "");

/// Whether this machine runs code for `mcpu`.
bool canRun(StringRef mcpu);

/// Code generation and the runtime.
class CompiledExecutor : public Executor {
public:
  CompiledExecutor(StringRef name, StringRef mcpu, int64_t chunk = 512)
      : name(name), mcpu(mcpu), chunk(chunk) {}

  StringRef getName() const override { return name; }
  LogicalResult load(ModuleOp module) override;
  LogicalResult begin(StringRef function, int64_t rows) override;
  FailureOr<SmallVector<Tensor>> call(ArrayRef<Tensor> inputs) override;
  /// f32: kernels sum in f32, in an order of their own. With n terms of magnitude a
  /// the error of a sum is at most about n * 2^-24 * a and typically sqrt(n) of that;
  /// the goldens' longest sums have about a hundred terms, and exp adds a few ulps.
  /// bf16: a result has 8 significant bits, so rounding to nearest moves it by at
  /// most 2^-8 of itself; an f32 error beside a tie, or values in between that are
  /// rounded too, can double that: 2^-7 is 7.8e-3.
  double getTolerance(bool isNarrow) const override { return isNarrow ? 8e-3 : 1e-5; }
  bool rounds() const override { return true; }
  StringRef getRefusal(StringRef function) const override;
  StringRef getLastError() const override { return lastError; }

private:
  /// The module `function` is compiled in.
  llvm::Expected<CompiledModule *> moduleOf(StringRef function);
  LogicalResult fail(llvm::Error error) {
    lastError = llvm::toString(std::move(error));
    return failure();
  }

  std::string name, mcpu, function, lastError;
  int64_t chunk;
  ModuleOp module;
  std::unique_ptr<CompiledModule> shared;                    // of functions without caches
  llvm::StringMap<std::unique_ptr<CompiledModule>> separate; // of the others, by function
  CompiledModule *current = nullptr;
};

} // namespace mlir::transformer::numeric

#endif // TEST_NUMERIC_COMPILEDEXECUTOR_H
