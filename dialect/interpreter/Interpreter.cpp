//===- Interpreter.cpp - the dialect's executable semantics ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Interpreter.h"
#include "dialect/interpreter/Execution.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace mlir::transformer;

/// Deeper calls are a recursion without end, or would overflow the host's stack.
static constexpr int maxCallDepth = 100;

static const HandlerTable &handlerTable() {
  static const HandlerTable table = [] {
    HandlerTable t;
    addTransformerOps(t);
    addAttentionOps(t);
    addLinalgOps(t);
    addTensorOps(t);
    addSliceOps(t);
    addScalarOps(t);
    addControlFlowOps(t);
    return t;
  }();
  return table;
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

Slot Execution::getSlot(Value value) const {
  const RuntimeValue &found = values.find(value)->second;
  Slot slot;
  if (auto *number = std::get_if<double>(&found))
    slot.f = *number;
  else
    slot.i = std::get<int64_t>(found);
  return slot;
}

RuntimeValue Execution::take(OpOperand &operand) {
  auto found = values.find(operand.get());
  // A value that is defined anew whenever its only reader's block runs is dead after that reader.
  Value value = operand.get();
  if (value.hasOneUse() && value.getParentBlock() == operand.getOwner()->getBlock()) {
    RuntimeValue taken = std::move(found->second);
    values.erase(found);
    return taken;
  }
  return found->second;
}

SmallVector<RuntimeValue> Execution::take(MutableArrayRef<OpOperand> operands) {
  SmallVector<RuntimeValue> taken;
  for (OpOperand &operand : operands)
    taken.push_back(take(operand));
  return taken;
}

SmallVector<int64_t> Execution::getInts(ArrayRef<OpFoldResult> mixed) const {
  return llvm::map_to_vector(mixed, [&](OpFoldResult entry) {
    if (auto attr = dyn_cast<Attribute>(entry))
      return cast<IntegerAttr>(attr).getInt();
    return getInt(cast<Value>(entry));
  });
}

LogicalResult Execution::bind(Value value, RuntimeValue runtimeValue) {
  if (!hasType(runtimeValue, value.getType()))
    return emitError(value.getLoc()) << "expected a value of type " << value.getType() << ", but got "
                                     << describe(runtimeValue);
  values[value] = std::move(runtimeValue);
  return success();
}

LogicalResult Execution::define(OpResult result, Tensor tensor) {
  auto type = dyn_cast<RankedTensorType>(result.getType());
  if (!type)
    return result.getOwner()->emitOpError("has a result of type ")
           << result.getType() << ", which is not supported";
  tensor = tensor.retyped(type.getElementType());
  if (roundsToIR())
    tensor.round();
  return bind(result, std::move(tensor));
}

LogicalResult Execution::defineScalar(OpResult result, Slot slot) {
  if (isa<FloatType>(result.getType()))
    return bind(result, slot.f);
  return bind(result, slot.i);
}

FailureOr<Tensor> Execution::makeTensor(Operation *op, ArrayRef<int64_t> shape, Type elementType) const {
  if (!isa<FloatType, IntegerType, IndexType>(elementType))
    return op->emitOpError("has elements of type ") << elementType << ", which is not supported";
  if (!elementCount(shape))
    return op->emitOpError("makes a tensor of an impossible shape [") << shape << ']';
  return Tensor(shape, elementType);
}

//===----------------------------------------------------------------------===//
// Execution
//===----------------------------------------------------------------------===//

/// An op without a handler of its own may still be a structured one.
static Handler findHandler(Operation *op) {
  if (Handler handler = handlerTable().lookup(op->getName().getStringRef()))
    return handler;
  if (isa<linalg::LinalgOp>(op))
    return runStructuredOp;
  return nullptr;
}

LogicalResult Execution::execute(Operation *op) {
  Handler handler = findHandler(op);
  if (!handler)
    return op->emitOpError("is not supported by the interpreter");
  return handler(op, *this);
}

LogicalResult Execution::runBody(Block &block) {
  for (Operation &op : block.without_terminator())
    if (failed(execute(&op)))
      return failure();
  return success();
}

LogicalResult Execution::run(Block &block, SmallVectorImpl<RuntimeValue> &results) {
  if (failed(runBody(block)))
    return failure();
  Operation *terminator = block.getTerminator();
  if (terminator->getNumSuccessors() != 0)
    return terminator->emitOpError("is not supported by the interpreter: only structured control flow is");
  results.assign(take(terminator->getOpOperands()));
  return success();
}

FailureOr<SmallVector<RuntimeValue>> transformer::callFunction(Interpretation &shared, Operation *op,
                                                               SmallVector<RuntimeValue> args) {
  auto function = dyn_cast<func::FuncOp>(op);
  if (!function || function.isExternal())
    return op->emitOpError("has no body to interpret");
  if (!function.getBody().hasOneBlock())
    return op->emitOpError("expected a body of one block: only structured control flow is interpreted");
  if (args.size() != function.getNumArguments())
    return op->emitOpError("expected ")
           << function.getNumArguments() << " arguments, but got " << args.size();
  if (shared.callDepth >= maxCallDepth)
    return op->emitOpError("is called more than ") << maxCallDepth << " calls deep";
  ++shared.callDepth;
  Execution execution(shared);
  SmallVector<RuntimeValue> results;
  bool ok = true;
  for (auto [argument, value] : llvm::zip_equal(function.getArguments(), args))
    ok = ok && succeeded(execution.bind(argument, std::move(value)));
  ok = ok && succeeded(execution.run(function.getBody().front(), results));
  --shared.callDepth;
  if (!ok)
    return failure();
  return results;
}

FailureOr<SmallVector<RuntimeValue>> Execution::call(Operation *caller, SymbolRefAttr callee,
                                                     SmallVector<RuntimeValue> args) {
  Operation *function = shared.symbols.lookupNearestSymbolFrom(caller, callee);
  if (!function)
    return caller->emitOpError("calls ") << callee << ", which is not in the module";
  return callFunction(shared, function, std::move(args));
}

FailureOr<SmallVector<RuntimeValue>> transformer::interpret(ModuleOp module, StringRef function,
                                                            ArrayRef<RuntimeValue> args,
                                                            const InterpreterOptions &options) {
  Interpretation shared{module, options, {}};
  Operation *op = shared.symbols.lookupSymbolIn(module, StringAttr::get(module.getContext(), function));
  if (!op)
    return module.emitError("expected a function named '") << function << '\'';
  return callFunction(shared, op, SmallVector<RuntimeValue>(args));
}
