//===- Interpreter.h - the dialect's executable semantics -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs a function of a module on tensors of the host with plain loops over
// float64. It is the oracle of the tests: nothing in it is shared with code
// generation.
//
//===----------------------------------------------------------------------===//

#ifndef DIALECT_INTERPRETER_INTERPRETER_H
#define DIALECT_INTERPRETER_INTERPRETER_H

#include "dialect/interpreter/Values.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>

namespace mlir::transformer {

enum class Rounding {
  /// float64 throughout: what the program means. For lossless checks.
  Ideal,
  /// Rounds every tensor to its element type where an op makes it; inside an op
  /// all is float64, but for the product of `gated_mlp` and the weights of `attention`. What a compiled
  /// program computes, up to its order of sums.
  IR
};

struct InterpreterOptions {
  Rounding rounding = Rounding::Ideal;
  /// The value of a weight or derived weight. May be empty for programs without
  /// `transformer.use`.
  std::function<FailureOr<Tensor>(StringRef symbol)> weight;
};

/// Runs `function` of `module`, which must be verified, on `args` and returns its
/// results. What goes wrong (an op that is not supported, shapes that do not fit,
/// an index out of range) is a diagnostic at the op's location.
FailureOr<SmallVector<RuntimeValue>> interpret(ModuleOp module, StringRef function,
                                               ArrayRef<RuntimeValue> args,
                                               const InterpreterOptions &options);

} // namespace mlir::transformer

#endif // DIALECT_INTERPRETER_INTERPRETER_H
