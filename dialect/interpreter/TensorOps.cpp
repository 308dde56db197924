//===- TensorOps.cpp - making, reading and reshaping tensors --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Execution.h"
#include "dialect/interpreter/RegionProgram.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

/// The shape of `type` with its dynamic dimensions read from `dynamic`.
static SmallVector<int64_t> shapeWith(RankedTensorType type, ValueRange dynamic, Execution &execution) {
  SmallVector<int64_t> shape(type.getShape());
  size_t used = 0;
  for (int64_t &dim : shape)
    if (ShapedType::isDynamic(dim))
      dim = execution.getInt(dynamic[used++]);
  return shape;
}

/// The elements of an empty tensor are NaN, so that reading one shows.
static LogicalResult runEmpty(tensor::EmptyOp op, Execution &execution) {
  SmallVector<int64_t> shape = shapeWith(op.getType(), op.getDynamicSizes(), execution);
  FailureOr<Tensor> tensor = execution.makeTensor(op, shape, op.getType().getElementType());
  if (failed(tensor))
    return failure();
  if (tensor->isFloat())
    llvm::fill(tensor->getMutableFloats(), std::nan(""));
  return execution.define(op->getResult(0), std::move(*tensor));
}

static LogicalResult runDim(tensor::DimOp op, Execution &execution) {
  Tensor source = execution.getTensor(op.getSource());
  int64_t dim = execution.getInt(op.getIndex());
  if (dim < 0 || dim >= source.getRank())
    return op.emitOpError("reads dimension ") << dim << " of a tensor of rank " << source.getRank();
  Slot slot;
  slot.i = source.getDim(dim);
  return execution.defineScalar(op->getResult(0), slot);
}

static LogicalResult runRank(tensor::RankOp op, Execution &execution) {
  Slot slot;
  slot.i = execution.getTensor(op.getTensor()).getRank();
  return execution.defineScalar(op->getResult(0), slot);
}

/// The element that `indices` name.
static FailureOr<int64_t> locate(Operation *op, const Tensor &tensor, ValueRange indices,
                                 Execution &execution) {
  int64_t at = 0;
  for (auto [value, dim] : llvm::zip_equal(indices, tensor.getShape())) {
    int64_t index = execution.getInt(value);
    if (index < 0 || index >= dim)
      return op->emitOpError("uses index ") << index << " of a dimension of " << dim;
    at = at * dim + index;
  }
  return at;
}

static LogicalResult runExtract(tensor::ExtractOp op, Execution &execution) {
  Tensor tensor = execution.getTensor(op.getTensor());
  FailureOr<int64_t> at = locate(op, tensor, op.getIndices(), execution);
  return failed(at) ? failure() : execution.defineScalar(op->getResult(0), tensor.load(*at));
}

static LogicalResult runInsert(tensor::InsertOp op, Execution &execution) {
  Slot slot = execution.getSlot(op.getScalar());
  Tensor tensor = execution.takeTensor(op.getDestMutable());
  FailureOr<int64_t> at = locate(op, tensor, op.getIndices(), execution);
  if (failed(at))
    return failure();
  // Only this element is new; rounding the others again would cost a pass over all of them.
  if (execution.roundsToIR() && tensor.isFloat())
    slot.f = roundTo(tensor.getElementType(), slot.f);
  tensor.store(*at, slot);
  return execution.bind(op->getResult(0), std::move(tensor));
}

static LogicalResult runSplat(tensor::SplatOp op, Execution &execution) {
  SmallVector<int64_t> shape = shapeWith(op.getType(), op.getDynamicSizes(), execution);
  FailureOr<Tensor> tensor = execution.makeTensor(op, shape, op.getType().getElementType());
  if (failed(tensor))
    return failure();
  tensor->fill(execution.getSlot(op.getInput()));
  return execution.define(op->getResult(0), std::move(*tensor));
}

static LogicalResult runFromElements(tensor::FromElementsOp op, Execution &execution) {
  FailureOr<Tensor> tensor = execution.makeTensor(op, op.getType().getShape(), op.getType().getElementType());
  if (failed(tensor))
    return failure();
  for (auto [i, element] : llvm::enumerate(op.getElements()))
    tensor->store(i, execution.getSlot(element));
  return execution.define(op->getResult(0), std::move(*tensor));
}

/// Dynamic dimensions become static or the other way round; `define` checks that
/// they are what the type says.
static LogicalResult runCast(tensor::CastOp op, Execution &execution) {
  return execution.define(op->getResult(0), execution.takeTensor(op.getSourceMutable()));
}

//===----------------------------------------------------------------------===//
// Reshapes
//===----------------------------------------------------------------------===//

static LogicalResult runReshape(Operation *op, OpOperand &source, ArrayRef<int64_t> shape,
                                Execution &execution) {
  Tensor tensor = execution.takeTensor(source);
  if (elementCount(shape) != tensor.size())
    return op->emitOpError("reshapes [") << tensor.getShape() << "] to [" << shape << ']';
  return execution.define(op->getResult(0), tensor.reshaped(shape));
}

static LogicalResult runExpandShape(tensor::ExpandShapeOp op, Execution &execution) {
  Tensor source = execution.getTensor(op.getSrc());
  SmallVector<int64_t> shape = execution.getInts(op.getMixedOutputShape());
  for (auto [i, group] : llvm::enumerate(op.getReassociationIndices())) {
    auto dims = llvm::map_to_vector(group, [&](int64_t dim) { return shape[dim]; });
    if (elementCount(dims) != source.getDim(i))
      return op.emitOpError("expands dimension ")
             << i << " of " << source.getDim(i) << " to [" << dims << ']';
  }
  source = Tensor();
  return runReshape(op, op.getSrcMutable(), shape, execution);
}

static LogicalResult runCollapseShape(tensor::CollapseShapeOp op, Execution &execution) {
  SmallVector<int64_t> shape;
  {
    Tensor source = execution.getTensor(op.getSrc());
    for (ArrayRef<int64_t> group : op.getReassociationIndices()) {
      shape.push_back(1);
      for (int64_t dim : group)
        shape.back() *= source.getDim(dim);
    }
  }
  return runReshape(op, op.getSrcMutable(), shape, execution);
}

static LogicalResult runDynamicReshape(tensor::ReshapeOp op, Execution &execution) {
  Tensor shape = execution.getTensor(op.getShape());
  return runReshape(op, op.getSourceMutable(), shape.getInts(), execution);
}

//===----------------------------------------------------------------------===//
// Tensors made by a region
//===----------------------------------------------------------------------===//

static LogicalResult runGenerate(tensor::GenerateOp op, Execution &execution) {
  SmallVector<int64_t> shape = shapeWith(op.getType(), op.getDynamicExtents(), execution);
  FailureOr<Tensor> tensor = execution.makeTensor(op, shape, op.getType().getElementType());
  if (failed(tensor))
    return failure();
  RegionProgram program(op.getBody().front(), execution);
  SmallVector<int64_t> strides = stridesOf(shape);
  for (int64_t at = 0, end = tensor->size(); at < end; ++at) {
    for (auto [d, argument] : llvm::enumerate(program.arguments()))
      argument.i = at / strides[d] % shape[d];
    if (failed(program.evaluate({})))
      return failure();
    tensor->store(at, program.result(0));
  }
  return execution.define(op->getResult(0), std::move(*tensor));
}

static LogicalResult runPad(tensor::PadOp op, Execution &execution) {
  Tensor source = execution.getTensor(op.getSource());
  SmallVector<int64_t> low = execution.getInts(op.getMixedLowPad()),
                       high = execution.getInts(op.getMixedHighPad());
  SmallVector<int64_t> shape(source.getShape());
  for (auto [dim, before, after] : llvm::zip_equal(shape, low, high)) {
    if (!elementCount(before) || !elementCount(after))
      return op.emitOpError("pads by an impossible amount, ")
             << before << " before and " << after << " after";
    dim += before + after;
  }
  FailureOr<Tensor> tensor = execution.makeTensor(op, shape, source.getElementType());
  if (failed(tensor))
    return failure();
  RegionProgram program(op.getRegion().front(), execution);
  SmallVector<int64_t> strides = stridesOf(shape);
  for (int64_t at = 0, end = tensor->size(); at < end; ++at) {
    bool isPadding = false;
    for (auto [d, argument] : llvm::enumerate(program.arguments())) {
      argument.i = at / strides[d] % shape[d];
      isPadding |= argument.i < low[d] || argument.i >= low[d] + source.getDim(d);
    }
    if (!isPadding)
      continue;
    if (failed(program.evaluate({})))
      return failure();
    tensor->store(at, program.result(0));
  }
  int64_t offset = 0;
  for (auto [before, stride] : llvm::zip_equal(low, strides))
    offset += before * stride;
  copyBox(source, 0, stridesOf(source.getShape()), *tensor, offset, strides, source.getShape());
  return execution.define(op->getResult(0), std::move(*tensor));
}

void transformer::addTensorOps(HandlerTable &table) {
  table.add<tensor::EmptyOp, runEmpty>();
  table.add<tensor::DimOp, runDim>();
  table.add<tensor::RankOp, runRank>();
  table.add<tensor::ExtractOp, runExtract>();
  table.add<tensor::InsertOp, runInsert>();
  table.add<tensor::SplatOp, runSplat>();
  table.add<tensor::FromElementsOp, runFromElements>();
  table.add<tensor::CastOp, runCast>();
  table.add<tensor::ExpandShapeOp, runExpandShape>();
  table.add<tensor::CollapseShapeOp, runCollapseShape>();
  table.add<tensor::ReshapeOp, runDynamicReshape>();
  table.add<tensor::GenerateOp, runGenerate>();
  table.add<tensor::PadOp, runPad>();
}
