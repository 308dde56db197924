//===- ComputeOps.cpp - embeddings, projections, norms, activations -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/OpUtils.h"
#include "dialect/Transformer.h"

using namespace mlir;
using namespace mlir::transformer;

/// Reports that `result` is not `expected` (a shape).
static LogicalResult expectShape(Operation *op, Value result, ArrayRef<int64_t> expected) {
  if (shapesMatch(shapeOf(result), expected))
    return success();
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::interleave(
      expected, stream, [&](int64_t d) { ShapedType::isDynamic(d) ? stream << '?' : stream << d; }, "x");
  return op->emitOpError("expected a result of shape ") << text << ", but got " << result.getType();
}

/// Reports that the one-dimensional `vector` is not as long as `length`.
static LogicalResult expectLength(Operation *op, StringRef what, Value vector, int64_t length) {
  if (!vector || dimsMatch(shapeOf(vector)[0], length))
    return success();
  return op->emitOpError("expected ")
         << what << " of length " << length << ", but got " << shapeOf(vector)[0];
}

//===----------------------------------------------------------------------===//
// embedding
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  // C1
  SmallVector<int64_t> expected(shapeOf(getIds()));
  expected.push_back(shapeOf(getTable())[1]);
  return expectShape(*this, getResult(), expected);
}

LogicalResult EmbeddingOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getIds(), getResult(), DimOf{getTable(), 1}));
  return success();
}

//===----------------------------------------------------------------------===//
// linear
//===----------------------------------------------------------------------===//

LogicalResult LinearOp::verify() {
  ArrayRef<int64_t> input = shapeOf(getInput()), weight = shapeOf(getWeight());
  if (input.empty())
    return emitOpError("expected an input of rank 1 or more");
  // C1
  if (!dimsMatch(input.back(), weight[1]))
    return emitOpError("expected weight columns to equal the input's last dimension ")
           << input.back() << ", but got " << weight[1];
  // C2
  if (failed(expectLength(*this, "a bias", getBias(), weight[0])))
    return failure();
  // C3
  SmallVector<int64_t> expected(input);
  expected.back() = weight[0];
  return expectShape(*this, getResult(), expected);
}

LogicalResult LinearOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getInput(), getResult(), DimOf{getWeight(), 0}));
  return success();
}

//===----------------------------------------------------------------------===//
// norms
//===----------------------------------------------------------------------===//

static LogicalResult verifyNorm(Operation *op, Value input, Value scale, Value bias, const APFloat &epsilon,
                                Value result) {
  ArrayRef<int64_t> shape = shapeOf(input);
  if (shape.empty())
    return op->emitOpError("expected an input of rank 1 or more");
  // C1
  if (failed(expectLength(op, "a scale", scale, shape.back())) ||
      failed(expectLength(op, "a bias", bias, shape.back())))
    return failure();
  // C3
  if (epsilon.isNegative() || !epsilon.isFinite())
    return op->emitOpError("expected epsilon to be 0 or more, but got ") << epsilon.convertToDouble();
  // C2
  return expectShape(op, result, shape);
}

LogicalResult LayerNormOp::verify() {
  return verifyNorm(*this, getInput(), getScale(), getBias(), getEpsilon(), getResult());
}

LogicalResult LayerNormOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getInput(), getResult()));
  return success();
}

LogicalResult RMSNormOp::verify() {
  return verifyNorm(*this, getInput(), getScale(), Value(), getEpsilon(), getResult());
}

LogicalResult RMSNormOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getInput(), getResult()));
  return success();
}

//===----------------------------------------------------------------------===//
// activation
//===----------------------------------------------------------------------===//

LogicalResult ActivationOp::verify() {
  // C1
  return expectShape(*this, getResult(), shapeOf(getInput()));
}

LogicalResult ActivationOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getInput(), getResult()));
  return success();
}

/// relu(relu(x)) -> relu(x)
OpFoldResult ActivationOp::fold(FoldAdaptor) {
  auto producer = getInput().getDefiningOp<ActivationOp>();
  if (getKind() == ActivationKind::Relu && producer && producer.getKind() == ActivationKind::Relu &&
      producer.getType() == getType())
    return producer.getResult();
  return {};
}

//===----------------------------------------------------------------------===//
// gated_mlp
//===----------------------------------------------------------------------===//

LogicalResult GatedMLPOp::verify() {
  ArrayRef<int64_t> input = shapeOf(getInput()), gate = shapeOf(getGate()), up = shapeOf(getUp()),
                    down = shapeOf(getDown());
  if (input.empty())
    return emitOpError("expected an input of rank 1 or more");
  // C1
  if (!shapesMatch(gate, up))
    return emitOpError("expected gate and up of the same shape, but got ")
           << getGate().getType() << " and " << getUp().getType();
  if (!dimsMatch(gate[1], input.back()))
    return emitOpError("expected gate columns to equal the input's last dimension ")
           << input.back() << ", but got " << gate[1];
  // C2
  if (!dimsMatch(down[1], gate[0]))
    return emitOpError("expected down columns to equal gate rows ") << gate[0] << ", but got " << down[1];
  // C3
  SmallVector<int64_t> expected(input);
  expected.back() = down[0];
  return expectShape(*this, getResult(), expected);
}

LogicalResult GatedMLPOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getInput(), getResult(), DimOf{getDown(), 0}));
  return success();
}
