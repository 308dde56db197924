//===- Execution.h - one running function of the interpreter --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef DIALECT_INTERPRETER_EXECUTION_H
#define DIALECT_INTERPRETER_EXECUTION_H

#include "dialect/interpreter/Interpreter.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::transformer {

class Execution;

/// Executes one operation: reads its operands from and defines its results in the
/// execution.
using Handler = LogicalResult (*)(Operation *, Execution &);

/// The handler of each operation, by name. Each family of ops adds its own.
class HandlerTable {
public:
  template <typename OpT, LogicalResult (*Fn)(OpT, Execution &)> void add() {
    handlers[OpT::getOperationName()] = [](Operation *op, Execution &execution) {
      return Fn(cast<OpT>(op), execution);
    };
  }
  void add(StringRef name, Handler handler) { handlers[name] = handler; }
  Handler lookup(StringRef name) const { return handlers.lookup(name); }

private:
  llvm::StringMap<Handler> handlers;
};

void addTransformerOps(HandlerTable &table);
void addAttentionOps(HandlerTable &table);
void addLinalgOps(HandlerTable &table);
void addTensorOps(HandlerTable &table);
void addSliceOps(HandlerTable &table);
void addScalarOps(HandlerTable &table);
void addControlFlowOps(HandlerTable &table);

/// Runs any structured op by its region and indexing maps, which named ops have too.
LogicalResult runStructuredOp(Operation *op, Execution &execution);

/// Writes the slice of a `scf.forall`'s thread into `dest`.
LogicalResult insertParallelSlice(tensor::ParallelInsertSliceOp op, Tensor &dest, Execution &execution);

/// What all functions of one interpretation share.
struct Interpretation {
  ModuleOp module;
  const InterpreterOptions &options;
  SymbolTableCollection symbols;
  int callDepth = 0;
};

/// The values of one running function. Operand types are those the verifier
/// guarantees, so reading an operand cannot fail.
class Execution {
public:
  explicit Execution(Interpretation &shared) : shared(shared) {}

  bool roundsToIR() const { return shared.options.rounding == Rounding::IR; }
  const InterpreterOptions &getOptions() const { return shared.options; }

  /// \name Reading
  /// @{
  RuntimeValue get(Value value) const { return values.find(value)->second; }
  Tensor getTensor(Value value) const { return std::get<Tensor>(values.find(value)->second); }
  KVCache getCache(Value value) const { return std::get<KVCache>(values.find(value)->second); }
  int64_t getInt(Value value) const { return std::get<int64_t>(values.find(value)->second); }
  Slot getSlot(Value value) const;
  /// The operand; forgotten here if nothing else can read it, so that it can be
  /// written in place.
  RuntimeValue take(OpOperand &operand);
  Tensor takeTensor(OpOperand &operand) { return std::get<Tensor>(take(operand)); }
  SmallVector<RuntimeValue> take(MutableArrayRef<OpOperand> operands);
  /// The integers of a mixed static and dynamic list.
  SmallVector<int64_t> getInts(ArrayRef<OpFoldResult> mixed) const;
  /// @}

  /// \name Defining
  /// @{
  /// Sets a value as it is. A failure says that the value does not fit its type.
  LogicalResult bind(Value value, RuntimeValue runtimeValue);
  /// Sets the result of an op that makes a tensor: rounded if rounding says so,
  /// checked against the static type.
  LogicalResult define(OpResult result, Tensor tensor);
  LogicalResult define(OpResult result, KVCache cache) { return bind(result, std::move(cache)); }
  LogicalResult defineScalar(OpResult result, Slot slot);
  /// @}

  /// A tensor of `shape` (zeros), or a diagnostic where it cannot exist.
  FailureOr<Tensor> makeTensor(Operation *op, ArrayRef<int64_t> shape, Type elementType) const;

  LogicalResult execute(Operation *op);
  /// Executes a block up to its terminator, whose operands become `results`.
  LogicalResult run(Block &block, SmallVectorImpl<RuntimeValue> &results);
  /// Executes a block up to its terminator and leaves the terminator to the caller.
  LogicalResult runBody(Block &block);
  /// Calls a function of the module.
  FailureOr<SmallVector<RuntimeValue>> call(Operation *caller, SymbolRefAttr callee,
                                            SmallVector<RuntimeValue> args);

  /// The loop indices that `linalg.index` reads, innermost op last.
  SmallVector<ArrayRef<int64_t>> pointStack;

private:
  Interpretation &shared;
  llvm::DenseMap<Value, RuntimeValue> values;
};

/// The value of an affine expression over dimensions, then symbols; nothing where
/// it divides by zero or less.
std::optional<int64_t> evaluateAffine(AffineExpr expr, unsigned numDims, ArrayRef<int64_t> operands);

/// Calls `function` on `args`.
FailureOr<SmallVector<RuntimeValue>> callFunction(Interpretation &shared, Operation *function,
                                                  SmallVector<RuntimeValue> args);

} // namespace mlir::transformer

#endif // DIALECT_INTERPRETER_EXECUTION_H
