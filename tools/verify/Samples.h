//===- Samples.h - inputs and weights to try a program on -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_VERIFY_SAMPLES_H
#define TOOLS_VERIFY_SAMPLES_H

#include "dialect/interpreter/Interpreter.h"
#include "weights/Derive.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::transformer {

/// What dynamic dimensions are in a sample, by their names B and S (or their
/// places), and the positions that caches hold already.
struct SampleSizes {
  int64_t rows = 2, positions = 4, cached = 3;
};

/// Arguments for `function`, the same in every run: floats in [-1, 1), integers in
/// the range that the argument states, caches with random contents. Fails, with a
/// diagnostic, on types that have no sample.
FailureOr<SmallVector<RuntimeValue>> sampleArguments(func::FuncOp function, const SampleSizes &sizes);

/// Weights nobody has: each element a function of the weight's name, matrices as
/// wide as keeps activations near 1, vectors around 1. Derived weights are
/// evaluated from them. For several modules with the same weights.
class SampleWeights {
public:
  /// What the interpreter asks; `module` must outlive it.
  std::function<FailureOr<Tensor>(StringRef)> of(ModuleOp module);

private:
  llvm::Expected<HostTensor> evaluate(SymbolTable &table, StringRef symbol, unsigned depth);
  llvm::Expected<HostTensor> sample(WeightOp weight);

  llvm::StringMap<HostTensor> samples; // of `weight` ops, by name
};

} // namespace mlir::transformer

#endif // TOOLS_VERIFY_SAMPLES_H
