//===- ControlFlow.cpp - calls, loops, branches and affine maps -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Execution.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::transformer;

static LogicalResult bindAll(ValueRange names, SmallVector<RuntimeValue> values, Execution &execution) {
  for (auto [name, value] : llvm::zip_equal(names, values))
    if (failed(execution.bind(name, std::move(value))))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// func
//===----------------------------------------------------------------------===//

static LogicalResult runCall(func::CallOp op, Execution &execution) {
  FailureOr<SmallVector<RuntimeValue>> results =
      execution.call(op, op.getCalleeAttr(), execution.take(op->getOpOperands()));
  return failed(results) ? failure() : bindAll(op.getResults(), std::move(*results), execution);
}

//===----------------------------------------------------------------------===//
// scf
//===----------------------------------------------------------------------===//

static LogicalResult runFor(scf::ForOp op, Execution &execution) {
  int64_t at = execution.getInt(op.getLowerBound()), end = execution.getInt(op.getUpperBound()),
          step = execution.getInt(op.getStep());
  if (step <= 0)
    return op.emitOpError("expected a positive step, but got ") << step;
  SmallVector<RuntimeValue> carried = execution.take(op.getInitArgsMutable());
  while (at < end) {
    if (failed(execution.bind(op.getInductionVar(), at)) ||
        failed(bindAll(op.getRegionIterArgs(), std::move(carried), execution)))
      return failure();
    carried.clear();
    if (failed(execution.run(*op.getBody(), carried)))
      return failure();
    if (llvm::AddOverflow(at, step, at))
      break;
  }
  return bindAll(op.getResults(), std::move(carried), execution);
}

static LogicalResult runIf(scf::IfOp op, Execution &execution) {
  Region &branch = execution.getInt(op.getCondition()) ? op.getThenRegion() : op.getElseRegion();
  SmallVector<RuntimeValue> results;
  if (!branch.empty() && failed(execution.run(branch.front(), results)))
    return failure();
  return bindAll(op.getResults(), std::move(results), execution);
}

static LogicalResult runWhile(scf::WhileOp op, Execution &execution) {
  SmallVector<RuntimeValue> carried = execution.take(op.getInitsMutable());
  while (true) {
    if (failed(bindAll(op.getBeforeArguments(), std::move(carried), execution)) ||
        failed(execution.runBody(*op.getBeforeBody())))
      return failure();
    scf::ConditionOp condition = op.getConditionOp();
    bool goesOn = execution.getInt(condition.getCondition()) != 0;
    carried = execution.take(condition.getArgsMutable());
    if (!goesOn)
      return bindAll(op.getResults(), std::move(carried), execution);
    if (failed(bindAll(op.getAfterArguments(), std::move(carried), execution)))
      return failure();
    carried.clear();
    if (failed(execution.run(*op.getAfterBody(), carried)))
      return failure();
  }
}

/// Threads one after the other. Each sees the shared tensors as they were before
/// the loop; their slices go into the results.
static LogicalResult runForall(scf::ForallOp op, Execution &execution) {
  SmallVector<int64_t> low = execution.getInts(op.getMixedLowerBound()),
                       high = execution.getInts(op.getMixedUpperBound()),
                       step = execution.getInts(op.getMixedStep());
  if (llvm::any_of(step, [](int64_t s) { return s <= 0; }))
    return op.emitOpError("expected positive steps, but got [") << step << ']';
  SmallVector<RuntimeValue> shared;
  for (Value output : op.getOutputs())
    shared.push_back(execution.get(output));
  SmallVector<Tensor> results;
  for (const RuntimeValue &value : shared)
    results.push_back(std::get<Tensor>(value));
  SmallVector<int64_t> at = low;
  bool isEmpty = llvm::any_of(llvm::zip_equal(low, high),
                              [](auto bounds) { return std::get<0>(bounds) >= std::get<1>(bounds); });
  while (!isEmpty) {
    for (auto [name, index] : llvm::zip_equal(op.getInductionVars(), at))
      if (failed(execution.bind(name, index)))
        return failure();
    if (failed(bindAll(op.getRegionOutArgs(), shared, execution)) || failed(execution.runBody(*op.getBody())))
      return failure();
    for (Operation &write : op.getTerminator().getYieldingOps()) {
      auto insert = dyn_cast<tensor::ParallelInsertSliceOp>(write);
      if (!insert)
        return write.emitOpError("is not supported by the interpreter");
      unsigned number = cast<BlockArgument>(insert.getDest()).getArgNumber() - op.getRank();
      if (failed(insertParallelSlice(insert, results[number], execution)))
        return failure();
    }
    int64_t dim = at.size();
    while (--dim >= 0 && (at[dim] += step[dim]) >= high[dim])
      at[dim] = low[dim];
    isEmpty = dim < 0;
  }
  SmallVector<RuntimeValue> values(results.begin(), results.end());
  return bindAll(op.getResults(), std::move(values), execution);
}

//===----------------------------------------------------------------------===//
// affine
//===----------------------------------------------------------------------===//

/// The values of a map's results on an op's operands.
static FailureOr<SmallVector<int64_t>> evaluateMap(Operation *op, AffineMap map, Execution &execution) {
  SmallVector<int64_t> operands, results;
  for (Value operand : op->getOperands())
    operands.push_back(execution.getInt(operand));
  for (AffineExpr expr : map.getResults()) {
    std::optional<int64_t> value = evaluateAffine(expr, map.getNumDims(), operands);
    if (!value)
      return op->emitOpError("divides by zero or less");
    results.push_back(*value);
  }
  return results;
}

template <typename OpT> static LogicalResult runAffine(OpT op, Execution &execution) {
  FailureOr<SmallVector<int64_t>> values = evaluateMap(op, op.getAffineMap(), execution);
  if (failed(values))
    return failure();
  Slot slot;
  slot.i = (*values)[0];
  if (isa<affine::AffineMinOp>(op))
    slot.i = *llvm::min_element(*values);
  if (isa<affine::AffineMaxOp>(op))
    slot.i = *llvm::max_element(*values);
  return execution.defineScalar(op->getResult(0), slot);
}

void transformer::addControlFlowOps(HandlerTable &table) {
  table.add<func::CallOp, runCall>();
  table.add<scf::ForOp, runFor>();
  table.add<scf::IfOp, runIf>();
  table.add<scf::WhileOp, runWhile>();
  table.add<scf::ForallOp, runForall>();
  table.add<affine::AffineApplyOp, runAffine<affine::AffineApplyOp>>();
  table.add<affine::AffineMinOp, runAffine<affine::AffineMinOp>>();
  table.add<affine::AffineMaxOp, runAffine<affine::AffineMaxOp>>();
}
