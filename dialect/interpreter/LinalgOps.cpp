//===- LinalgOps.cpp - structured ops by their region, and softmax --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Execution.h"
#include "dialect/interpreter/RegionProgram.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// How the points of a structured op's loops touch one operand.
struct Access {
  Tensor tensor;
  std::optional<Slot> scalar; // of an operand that is no tensor
  AffineMap map;
  /// Where the map only picks loops: elements per step of each loop.
  bool strided = false;
  SmallVector<int64_t> strides;
  int64_t offset = 0;

  /// Goes one step along loop `dim`, or back to its beginning from step `from`.
  void step(unsigned dim) { offset += strided ? strides[dim] : 0; }
  void rewind(unsigned dim, int64_t from) { offset -= strided ? strides[dim] * from : 0; }
};

/// Runs one structured op.
class StructuredRun {
public:
  StructuredRun(linalg::LinalgOp op, Execution &execution) : op(op), execution(execution) {}
  LogicalResult run();

private:
  LogicalResult readOperands();
  LogicalResult findExtents();
  void findStrides(Access &access);
  LogicalResult locate(Access &access);
  LogicalResult runPoint(RegionProgram &program);

  linalg::LinalgOp op;
  Execution &execution;
  /// The operands with a block argument, then (where the body does not see them) the inits.
  SmallVector<Access> inputs, outputs;
  SmallVector<int64_t> extents, point;
  SmallVector<int> argumentSource; // index into inputs, or ~index into outputs
};

} // namespace

LogicalResult StructuredRun::readOperands() {
  llvm::DenseMap<OpOperand *, int> sources;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    Access access;
    access.map = op.getMatchingIndexingMap(operand);
    if (isa<RankedTensorType>(operand->get().getType()))
      access.tensor = execution.getTensor(operand->get());
    else
      access.scalar = execution.getSlot(operand->get());
    sources[operand] = inputs.size();
    inputs.push_back(std::move(access));
  }
  for (OpOperand &operand : op.getDpsInitsMutable()) {
    Access access;
    access.map = op.getMatchingIndexingMap(&operand);
    access.tensor = execution.takeTensor(operand);
    sources[&operand] = ~int(outputs.size());
    outputs.push_back(std::move(access));
  }
  for (OpOperand *operand : op.getOpOperandsMatchingBBargs())
    argumentSource.push_back(sources.lookup(operand));
  return success();
}

/// A loop runs over the dimension that some operand indexes with it alone.
LogicalResult StructuredRun::findExtents() {
  extents.assign(op.getNumLoops(), -1);
  for (const Access &access : llvm::concat<Access>(inputs, outputs)) {
    if (access.scalar)
      continue;
    for (auto [expr, dim] : llvm::zip_equal(access.map.getResults(), access.tensor.getShape())) {
      auto loop = dyn_cast<AffineDimExpr>(expr);
      if (!loop)
        continue;
      int64_t &extent = extents[loop.getPosition()];
      if (extent != -1 && extent != dim)
        return op.emitOpError("runs loop ")
               << loop.getPosition() << " over dimensions of " << extent << " and " << dim;
      extent = dim;
    }
  }
  if (llvm::is_contained(extents, -1))
    return op.emitOpError("has a loop whose extent no operand gives");
  point.assign(extents.size(), 0);
  return success();
}

void StructuredRun::findStrides(Access &access) {
  access.strides.assign(extents.size(), 0);
  access.strided = true;
  if (access.scalar)
    return;
  SmallVector<int64_t> strides = stridesOf(access.tensor.getShape());
  for (auto [expr, stride] : llvm::zip_equal(access.map.getResults(), strides)) {
    if (auto loop = dyn_cast<AffineDimExpr>(expr))
      access.strides[loop.getPosition()] += stride;
    else
      access.strided = false;
  }
}

/// Finds the element of the current point where the map is more than a choice of loops.
LogicalResult StructuredRun::locate(Access &access) {
  access.offset = 0;
  for (auto [expr, dim] : llvm::zip_equal(access.map.getResults(), access.tensor.getShape())) {
    std::optional<int64_t> index = evaluateAffine(expr, access.map.getNumDims(), point);
    if (!index || *index < 0 || *index >= dim)
      return op.emitOpError("indexes outside a dimension of ") << dim << " at the point [" << point << ']';
    access.offset = access.offset * dim + *index;
  }
  return success();
}

LogicalResult StructuredRun::runPoint(RegionProgram &program) {
  for (Access &access : llvm::concat<Access>(inputs, outputs))
    if (!access.strided && failed(locate(access)))
      return failure();
  MutableArrayRef<Slot> arguments = program.arguments();
  for (auto [argument, source] : llvm::zip_equal(arguments, argumentSource)) {
    const Access &access = source >= 0 ? inputs[source] : outputs[~source];
    argument = access.scalar ? *access.scalar : access.tensor.load(access.offset);
  }
  if (failed(program.evaluate(point)))
    return failure();
  for (auto [i, access] : llvm::enumerate(outputs))
    access.tensor.store(access.offset, program.result(i));
  return success();
}

LogicalResult StructuredRun::run() {
  if (!op.hasPureTensorSemantics())
    return op.emitOpError("on memrefs is not supported by the interpreter");
  if (failed(readOperands()) || failed(findExtents()))
    return failure();
  for (Access &access : llvm::concat<Access>(inputs, outputs))
    findStrides(access);
  RegionProgram program(*op.getBlock(), execution);
  bool isEmpty = llvm::is_contained(extents, 0);
  while (!isEmpty) {
    if (failed(runPoint(program)))
      return failure();
    int64_t dim = extents.size();
    while (--dim >= 0) {
      if (++point[dim] < extents[dim]) {
        for (Access &access : llvm::concat<Access>(inputs, outputs))
          access.step(dim);
        break;
      }
      point[dim] = 0;
      for (Access &access : llvm::concat<Access>(inputs, outputs))
        access.rewind(dim, extents[dim] - 1);
    }
    if (dim < 0)
      break;
  }
  for (auto [result, access] : llvm::zip_equal(op->getResults(), outputs))
    if (failed(execution.define(result, std::move(access.tensor))))
      return failure();
  return success();
}

LogicalResult transformer::runStructuredOp(Operation *op, Execution &execution) {
  return StructuredRun(cast<linalg::LinalgOp>(op), execution).run();
}

static LogicalResult runIndex(linalg::IndexOp op, Execution &execution) {
  Slot slot;
  slot.i = execution.pointStack.back()[op.getDim()];
  return execution.defineScalar(op->getResult(0), slot);
}

static LogicalResult runSoftmax(linalg::SoftmaxOp op, Execution &execution) {
  if (!op.hasPureTensorSemantics())
    return op.emitOpError("on memrefs is not supported by the interpreter");
  Tensor input = execution.getTensor(op.getInput()), result = execution.getTensor(op.getOutput());
  if (input.getShape() != result.getShape())
    return op.emitOpError("expected a destination of shape [")
           << input.getShape() << "], but got [" << result.getShape() << ']';
  int64_t dim = op.getDimension(), extent = input.getDim(dim), stride = stridesOf(input.getShape())[dim];
  ArrayRef<double> from = input.getFloats();
  MutableArrayRef<double> to = result.getMutableFloats();
  for (int64_t start = 0; start < input.size(); ++start) {
    if (start / stride % extent != 0)
      continue;
    double largest = -INFINITY, sum = 0;
    for (int64_t i = 0; i < extent; ++i)
      largest = std::max(largest, from[start + i * stride]);
    for (int64_t i = 0; i < extent; ++i)
      sum += to[start + i * stride] = std::exp(from[start + i * stride] - largest);
    for (int64_t i = 0; i < extent; ++i)
      to[start + i * stride] /= sum;
  }
  return execution.define(op->getResult(0), std::move(result));
}

void transformer::addLinalgOps(HandlerTable &table) {
  table.add<linalg::IndexOp, runIndex>();
  table.add<linalg::SoftmaxOp, runSoftmax>();
}
