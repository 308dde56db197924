//===- SliceOps.cpp - parts of tensors ------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Execution.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// A box of a tensor, with steps.
struct Slice {
  SmallVector<int64_t> sizes;
  SmallVector<int64_t> steps; // elements of the tensor per step of each dimension
  int64_t offset = 0;
};

} // namespace

/// The slice that `op` takes of a tensor of `shape`.
static FailureOr<Slice> readSlice(OffsetSizeAndStrideOpInterface op, ArrayRef<int64_t> shape,
                                  const Execution &execution) {
  SmallVector<int64_t> offsets = execution.getInts(op.getMixedOffsets());
  SmallVector<int64_t> strides = execution.getInts(op.getMixedStrides());
  Slice slice{execution.getInts(op.getMixedSizes()), stridesOf(shape), 0};
  for (auto [i, dim] : llvm::enumerate(shape)) {
    int64_t size = slice.sizes[i], offset = offsets[i], stride = strides[i];
    // An empty slice may begin at the end.
    int64_t last;
    if (size < 0 || offset < 0 || offset > dim ||
        llvm::MulOverflow(std::max<int64_t>(size - 1, 0), stride, last) ||
        llvm::AddOverflow(last, offset, last) || (size > 0 && (last < 0 || last >= dim)))
      return op->emitOpError("takes ") << size << " elements from " << offset << " with step " << stride
                                       << " of a dimension of " << dim;
    slice.offset += offset * slice.steps[i];
    slice.steps[i] *= size > 1 ? stride : 0;
  }
  return slice;
}

/// Removes the unit dimensions of `slice` that a rank-reduced tensor type lacks.
static void dropDims(Slice &slice, const llvm::SmallBitVector &dropped) {
  for (int64_t i = slice.sizes.size(); i-- > 0;)
    if (dropped.test(i)) {
      slice.sizes.erase(slice.sizes.begin() + i);
      slice.steps.erase(slice.steps.begin() + i);
    }
}

static LogicalResult runExtractSlice(tensor::ExtractSliceOp op, Execution &execution) {
  Tensor source = execution.getTensor(op.getSource());
  FailureOr<Slice> slice = readSlice(op, source.getShape(), execution);
  if (failed(slice))
    return failure();
  dropDims(*slice, op.getDroppedDims());
  FailureOr<Tensor> result = execution.makeTensor(op, slice->sizes, source.getElementType());
  if (failed(result))
    return failure();
  copyBox(source, slice->offset, slice->steps, *result, 0, stridesOf(slice->sizes), slice->sizes);
  return execution.define(op->getResult(0), std::move(*result));
}

/// Writes `source` into the slice of `dest` that `op` names.
static LogicalResult insert(OffsetSizeAndStrideOpInterface op, const Tensor &source, Tensor &dest,
                            const llvm::SmallBitVector &dropped, const Execution &execution) {
  FailureOr<Slice> slice = readSlice(op, dest.getShape(), execution);
  if (failed(slice))
    return failure();
  dropDims(*slice, dropped);
  if (ArrayRef(slice->sizes) != source.getShape())
    return op->emitOpError("writes a tensor of shape [")
           << source.getShape() << "] to a slice of [" << slice->sizes << ']';
  copyBox(source, 0, stridesOf(source.getShape()), dest, slice->offset, slice->steps, slice->sizes);
  return success();
}

static LogicalResult runInsertSlice(tensor::InsertSliceOp op, Execution &execution) {
  Tensor source = execution.getTensor(op.getSource()), dest = execution.takeTensor(op.getDestMutable());
  if (failed(insert(op, source, dest, op.getDroppedDims(), execution)))
    return failure();
  return execution.bind(op->getResult(0), std::move(dest));
}

LogicalResult transformer::insertParallelSlice(tensor::ParallelInsertSliceOp op, Tensor &dest,
                                               Execution &execution) {
  return insert(op, execution.getTensor(op.getSource()), dest, op.getDroppedDims(), execution);
}

static LogicalResult runConcat(tensor::ConcatOp op, Execution &execution) {
  int64_t axis = op.getDim();
  SmallVector<Tensor> sources;
  for (Value input : op.getInputs())
    sources.push_back(execution.getTensor(input));
  SmallVector<int64_t> shape(sources[0].getShape());
  for (const Tensor &source : ArrayRef(sources).drop_front()) {
    for (auto [i, dim] : llvm::enumerate(source.getShape()))
      if (int64_t(i) != axis && dim != shape[i])
        return op.emitOpError("joins tensors of shapes [")
               << sources[0].getShape() << "] and [" << source.getShape() << "] along dimension " << axis;
    shape[axis] += source.getDim(axis);
  }
  FailureOr<Tensor> result = execution.makeTensor(op, shape, sources[0].getElementType());
  if (failed(result))
    return failure();
  SmallVector<int64_t> strides = stridesOf(shape);
  int64_t offset = 0;
  for (const Tensor &source : sources) {
    copyBox(source, 0, stridesOf(source.getShape()), *result, offset, strides, source.getShape());
    offset += source.getDim(axis) * strides[axis];
  }
  return execution.define(op->getResult(0), std::move(*result));
}

void transformer::addSliceOps(HandlerTable &table) {
  table.add<tensor::ExtractSliceOp, runExtractSlice>();
  table.add<tensor::InsertSliceOp, runInsertSlice>();
  table.add<tensor::ConcatOp, runConcat>();
}
