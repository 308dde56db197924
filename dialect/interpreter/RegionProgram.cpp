//===- RegionProgram.cpp - a block of scalar ops, ready to run many times -===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/RegionProgram.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::transformer;

RegionProgram::RegionProgram(Block &block, Execution &execution) : block(block), execution(execution) {
  for (Value argument : block.getArguments())
    assigned[argument] = newRegister();
  for (Operation &op : block.without_terminator())
    if (!compile(&op)) {
      compiled = false;
      break;
    }
  Operation *terminator = block.getTerminator();
  for (Value value : terminator->getOperands())
    results.push_back(compiled ? registerOf(value) : newRegister());
}

unsigned RegionProgram::newRegister() {
  registers.emplace_back();
  return registers.size() - 1;
}

/// A value of the block has a register already; a captured one gets its own.
unsigned RegionProgram::registerOf(Value value) {
  auto [found, isNew] = assigned.try_emplace(value, 0);
  if (isNew) {
    unsigned number = newRegister();
    assigned[value] = number;
    registers[number] = execution.getSlot(value);
    return number;
  }
  return found->second;
}

bool RegionProgram::compile(Operation *op) {
  auto isScalar = [](Type type) { return isa<FloatType, IntegerType, IndexType>(type); };
  auto isCaptured = [&](Value value) { return value.getParentBlock() != &block; };
  if (op->getNumResults() != 1 || op->getNumRegions() != 0 || !isScalar(op->getResult(0).getType()))
    return false;

  Attribute constant;
  if (matchPattern(op, m_Constant(&constant))) {
    std::optional<Slot> slot = scalarConstant(constant);
    if (!slot)
      return false;
    unsigned number = assigned[op->getResult(0)] = newRegister();
    registers[number] = *slot;
    return true;
  }

  Instruction instruction;
  instruction.op = op;
  ValueRange operands = op->getOperands();
  if (auto index = dyn_cast<linalg::IndexOp>(op)) {
    instruction.kind = Instruction::Index;
    instruction.dim = index.getDim();
  } else if (auto extract = dyn_cast<tensor::ExtractOp>(op)) {
    if (!isCaptured(extract.getTensor()))
      return false;
    instruction.kind = Instruction::Extract;
    instruction.tensor = execution.getTensor(extract.getTensor());
    operands = extract.getIndices();
  } else if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    std::optional<int64_t> number = getConstantIntValue(dim.getIndex());
    if (!isCaptured(dim.getSource()) || !number)
      return false;
    Tensor source = execution.getTensor(dim.getSource());
    if (*number < 0 || *number >= source.getRank())
      return false;
    unsigned destination = assigned[op->getResult(0)] = newRegister();
    registers[destination].i = source.getDim(*number);
    return true;
  } else if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    instruction.kind = Instruction::Apply;
    instruction.map = apply.getAffineMap();
  } else if (std::optional<ScalarOp> scalar = resolveScalarOp(op)) {
    instruction.kind = Instruction::Scalar;
    instruction.scalar = *scalar;
  } else {
    return false;
  }
  for (Value operand : operands) {
    if (!isScalar(operand.getType()))
      return false;
    instruction.operands.push_back(registerOf(operand));
  }
  instruction.destination = assigned[op->getResult(0)] = newRegister();
  instructions.push_back(std::move(instruction));
  return true;
}

LogicalResult RegionProgram::evaluate(const Instruction &instruction, ArrayRef<int64_t> point) {
  Slot &out = registers[instruction.destination];
  SmallVector<Slot, 4> in;
  for (unsigned operand : instruction.operands)
    in.push_back(registers[operand]);
  switch (instruction.kind) {
  case Instruction::Scalar:
    if (const char *error = instruction.scalar.evaluate(instruction.scalar, in.data(), out))
      return instruction.op->emitOpError(error);
    return success();
  case Instruction::Index:
    out.i = point[instruction.dim];
    return success();
  case Instruction::Extract: {
    int64_t at = 0;
    for (auto [index, dim] : llvm::zip_equal(in, instruction.tensor.getShape())) {
      if (index.i < 0 || index.i >= dim)
        return instruction.op->emitOpError("reads index ") << index.i << " of a dimension of " << dim;
      at = at * dim + index.i;
    }
    out = instruction.tensor.load(at);
    return success();
  }
  case Instruction::Apply: {
    auto values = llvm::map_to_vector(in, [](Slot slot) { return slot.i; });
    std::optional<int64_t> value =
        evaluateAffine(instruction.map.getResult(0), instruction.map.getNumDims(), values);
    if (!value)
      return instruction.op->emitOpError("divides by zero");
    out.i = *value;
    return success();
  }
  }
  llvm_unreachable("unknown instruction");
}

LogicalResult RegionProgram::evaluate(ArrayRef<int64_t> point) {
  if (!compiled)
    return interpretBlock(point);
  for (const Instruction &instruction : instructions)
    if (failed(evaluate(instruction, point)))
      return failure();
  return success();
}

LogicalResult RegionProgram::interpretBlock(ArrayRef<int64_t> point) {
  for (auto [argument, slot] : llvm::zip_equal(block.getArguments(), arguments())) {
    RuntimeValue value = isa<FloatType>(argument.getType()) ? RuntimeValue(slot.f) : RuntimeValue(slot.i);
    if (failed(execution.bind(argument, std::move(value))))
      return failure();
  }
  execution.pointStack.push_back(point);
  SmallVector<RuntimeValue> yielded;
  LogicalResult status = execution.run(block, yielded);
  execution.pointStack.pop_back();
  if (failed(status))
    return failure();
  for (auto [number, value] : llvm::zip_equal(results, yielded)) {
    if (auto *f = std::get_if<double>(&value))
      registers[number].f = *f;
    else
      registers[number].i = std::get<int64_t>(value);
  }
  return success();
}

std::optional<int64_t> transformer::evaluateAffine(AffineExpr expr, unsigned numDims,
                                                   ArrayRef<int64_t> operands) {
  switch (expr.getKind()) {
  case AffineExprKind::Constant:
    return cast<AffineConstantExpr>(expr).getValue();
  case AffineExprKind::DimId:
    return operands[cast<AffineDimExpr>(expr).getPosition()];
  case AffineExprKind::SymbolId:
    return operands[numDims + cast<AffineSymbolExpr>(expr).getPosition()];
  default:
    break;
  }
  auto binary = cast<AffineBinaryOpExpr>(expr);
  std::optional<int64_t> lhs = evaluateAffine(binary.getLHS(), numDims, operands);
  std::optional<int64_t> rhs = evaluateAffine(binary.getRHS(), numDims, operands);
  if (!lhs || !rhs)
    return std::nullopt;
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return static_cast<int64_t>(static_cast<uint64_t>(*lhs) + static_cast<uint64_t>(*rhs));
  case AffineExprKind::Mul:
    return static_cast<int64_t>(static_cast<uint64_t>(*lhs) * static_cast<uint64_t>(*rhs));
  default:
    break;
  }
  // The divisor of these is positive by definition.
  if (*rhs <= 0)
    return std::nullopt;
  switch (expr.getKind()) {
  case AffineExprKind::Mod:
    return llvm::mod(*lhs, *rhs);
  case AffineExprKind::FloorDiv:
    return llvm::divideFloorSigned(*lhs, *rhs);
  case AffineExprKind::CeilDiv:
    return llvm::divideCeilSigned(*lhs, *rhs);
  default:
    llvm_unreachable("unknown affine expression");
  }
}
