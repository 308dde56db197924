//===- Executor.h - who runs the functions of the numeric tests -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_NUMERIC_EXECUTOR_H
#define TEST_NUMERIC_EXECUTOR_H

#include "dialect/interpreter/Interpreter.h"

namespace mlir::transformer::numeric {

/// Runs public functions of one module. Caches never leave the executor: they
/// start empty in `begin` and go from each call to the next.
class Executor {
public:
  virtual ~Executor() = default;

  /// One word for test names.
  virtual StringRef getName() const = 0;
  /// Prepares a module; the functions called next are its. It outlives the calls.
  virtual LogicalResult load(ModuleOp module) = 0;
  /// Starts a sequence of calls of `function` from empty caches of `rows` rows.
  virtual LogicalResult begin(StringRef function, int64_t rows) = 0;
  /// Calls the function on its tensor arguments; returns its tensor results.
  virtual FailureOr<SmallVector<Tensor>> call(ArrayRef<Tensor> inputs) = 0;
  /// The largest error allowed, relative to the largest expected value. `isNarrow`
  /// says that the result is bf16 or f16, or computed from values rounded to them.
  virtual double getTolerance(bool isNarrow) const = 0;
  /// Whether results must be representable in their element type.
  virtual bool rounds() const = 0;
  /// A part of the error with which `begin` or the first call refuses a function this
  /// executor is not meant to run; empty for the others.
  virtual StringRef getRefusal(StringRef function) const { return ""; }
  /// Why the last `begin` or `call` failed, where that was no diagnostic.
  virtual StringRef getLastError() const { return ""; }
};

/// The reference interpreter.
class InterpreterExecutor : public Executor {
public:
  explicit InterpreterExecutor(Rounding rounding) { options.rounding = rounding; }

  StringRef getName() const override { return rounds() ? "InterpreterIR" : "InterpreterIdeal"; }
  LogicalResult load(ModuleOp module) override;
  LogicalResult begin(StringRef function, int64_t rows) override;
  FailureOr<SmallVector<Tensor>> call(ArrayRef<Tensor> inputs) override;
  double getTolerance(bool isNarrow) const override { return rounds() ? (isNarrow ? 8e-3 : 1e-6) : 1e-12; }
  bool rounds() const override { return options.rounding == Rounding::IR; }

private:
  InterpreterOptions options;
  ModuleOp module;
  std::string function;
  SmallVector<KVCache> caches;
};

} // namespace mlir::transformer::numeric

#endif // TEST_NUMERIC_EXECUTOR_H
