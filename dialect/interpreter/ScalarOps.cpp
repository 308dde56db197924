//===- ScalarOps.cpp - arith and math on scalars and tensors --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/ScalarOps.h"
#include "dialect/interpreter/Execution.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/IR/TypeUtilities.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

const ScalarTable &transformer::scalarTable() {
  static const ScalarTable table = [] {
    ScalarTable t;
    addArithScalars(t);
    addMathScalars(t);
    return t;
  }();
  return table;
}

/// The width of an integer or index type, or nothing for one that is not supported.
static std::optional<unsigned> widthOf(Type type) {
  if (isa<FloatType, IndexType>(type))
    return 64;
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer || integer.getWidth() > 64 || integer.getWidth() == 0)
    return std::nullopt;
  return integer.getWidth();
}

std::optional<ScalarOp> transformer::resolveScalarOp(Operation *op) {
  auto found = scalarTable().find(op->getName().getStringRef());
  if (found == scalarTable().end() || op->getNumResults() != 1)
    return std::nullopt;
  ScalarOp scalar = found->second;
  scalar.inType = getElementTypeOrSelf(op->getOperand(0).getType());
  scalar.outType = getElementTypeOrSelf(op->getResult(0).getType());
  std::optional<unsigned> in = widthOf(scalar.inType), out = widthOf(scalar.outType);
  if (!in || !out)
    return std::nullopt;
  scalar.inWidth = *in;
  scalar.outWidth = *out;
  if (auto compare = dyn_cast<arith::CmpIOp>(op))
    scalar.predicate = static_cast<int64_t>(compare.getPredicate());
  if (auto compare = dyn_cast<arith::CmpFOp>(op))
    scalar.predicate = static_cast<int64_t>(compare.getPredicate());
  return scalar;
}

std::optional<Slot> transformer::scalarConstant(Attribute value) {
  Slot slot;
  if (auto number = dyn_cast<FloatAttr>(value)) {
    APFloat wide = number.getValue();
    bool losesInfo;
    wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
    slot.f = wide.convertToDouble();
    return slot;
  }
  auto integer = dyn_cast<IntegerAttr>(value);
  if (!integer || integer.getValue().getBitWidth() > 64)
    return std::nullopt;
  slot.i = wrapTo(integer.getType(), integer.getValue().getZExtValue());
  return slot;
}

//===----------------------------------------------------------------------===//
// Handlers
//===----------------------------------------------------------------------===//

/// An arith or math op on tensors, element by element; a scalar operand (the
/// condition of a select) is the same for all.
static LogicalResult runOnTensors(Operation *op, const ScalarOp &scalar, Execution &execution) {
  SmallVector<std::optional<Tensor>> tensors;
  SmallVector<Slot> operands(op->getNumOperands());
  std::optional<SmallVector<int64_t>> shape;
  for (auto [i, operand] : llvm::enumerate(op->getOperands())) {
    if (!isa<RankedTensorType>(operand.getType())) {
      operands[i] = execution.getSlot(operand);
      tensors.emplace_back();
      continue;
    }
    tensors.push_back(execution.getTensor(operand));
    ArrayRef<int64_t> found = tensors.back()->getShape();
    if (!shape)
      shape.emplace(found.begin(), found.end());
    else if (ArrayRef(*shape) != found)
      return op->emitOpError("expected operands of one shape, but got [")
             << *shape << "] and [" << found << ']';
  }
  FailureOr<Tensor> result = execution.makeTensor(op, *shape, scalar.outType);
  if (failed(result))
    return failure();
  for (int64_t at = 0, end = result->size(); at < end; ++at) {
    for (auto [slot, tensor] : llvm::zip_equal(operands, tensors))
      if (tensor)
        slot = tensor->load(at);
    Slot out;
    if (const char *error = scalar.evaluate(scalar, operands.data(), out))
      return op->emitOpError(error);
    result->store(at, out);
  }
  return execution.define(op->getResult(0), std::move(*result));
}

static LogicalResult runScalar(Operation *op, Execution &execution) {
  std::optional<ScalarOp> scalar = resolveScalarOp(op);
  if (!scalar)
    return op->emitOpError("has a type that is not supported by the interpreter");
  Type type = op->getResult(0).getType();
  if (isa<RankedTensorType>(type))
    return runOnTensors(op, *scalar, execution);
  if (isa<ShapedType>(type))
    return op->emitOpError("has a result of type ") << type << ", which is not supported";
  SmallVector<Slot, 4> operands;
  for (Value operand : op->getOperands())
    operands.push_back(execution.getSlot(operand));
  Slot out;
  if (const char *error = scalar->evaluate(*scalar, operands.data(), out))
    return op->emitOpError(error);
  return execution.defineScalar(op->getResult(0), out);
}

static LogicalResult runConstant(arith::ConstantOp op, Execution &execution) {
  if (std::optional<Slot> slot = scalarConstant(op.getValue()))
    return execution.defineScalar(op->getResult(0), *slot);
  auto type = dyn_cast<RankedTensorType>(op.getType());
  auto elements = dyn_cast<DenseElementsAttr>(op.getValue());
  if (!type || !elements)
    return op.emitOpError("has a value that is not supported by the interpreter");
  FailureOr<Tensor> tensor = execution.makeTensor(op, type.getShape(), type.getElementType());
  if (failed(tensor))
    return failure();
  int64_t at = 0;
  for (Attribute element : elements.getValues<Attribute>()) {
    std::optional<Slot> slot = scalarConstant(element);
    if (!slot)
      return op.emitOpError("has a value that is not supported by the interpreter");
    tensor->store(at++, *slot);
  }
  return execution.define(op->getResult(0), std::move(*tensor));
}

/// NaN (0 for integers): a result that depends on poison shows it.
static LogicalResult runPoison(ub::PoisonOp op, Execution &execution) {
  Slot slot;
  Type element = getElementTypeOrSelf(op.getType());
  if (isa<FloatType>(element))
    slot.f = std::nan("");
  else
    slot.i = 0;
  auto type = dyn_cast<RankedTensorType>(op.getType());
  if (!type)
    return execution.defineScalar(op->getResult(0), slot);
  if (!type.hasStaticShape())
    return op.emitOpError("of a dynamic shape is not supported by the interpreter");
  FailureOr<Tensor> tensor = execution.makeTensor(op, type.getShape(), element);
  if (failed(tensor))
    return failure();
  tensor->fill(slot);
  return execution.define(op->getResult(0), std::move(*tensor));
}

void transformer::addScalarOps(HandlerTable &table) {
  for (const auto &entry : scalarTable())
    table.add(entry.getKey(), runScalar);
  table.add<arith::ConstantOp, runConstant>();
  table.add<ub::PoisonOp, runPoison>();
}
