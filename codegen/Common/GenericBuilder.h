//===- GenericBuilder.h - short ways to write linalg.generic --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_GENERICBUILDER_H
#define CODEGEN_COMMON_GENERICBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::transformer {

/// A tensor and how the loops index it.
struct MappedOperand {
  Value value;
  AffineMap map;
};

using RegionBuilder = function_ref<Value(OpBuilder &, Location, ValueRange)>;

inline Value constantF32(OpBuilder &b, Location loc, double value) {
  return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(static_cast<float>(value)));
}

/// A scalar or vector in f32, widened if it is narrower.
inline Value widen(OpBuilder &b, Location loc, Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  if (!isa<FloatType>(element) || element.getIntOrFloatBitWidth() >= 32)
    return value;
  Type wide = b.getF32Type();
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    wide = vector.clone(wide);
  return arith::ExtFOp::create(b, loc, wide, value);
}

/// A float (or vector of floats) as `element`: widened to f32, rounded to what is narrower.
inline Value convertTo(OpBuilder &b, Location loc, Value value, Type element) {
  if (getElementTypeOrSelf(value.getType()) == element)
    return value;
  value = widen(b, loc, value);
  Type type = element;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    type = vector.clone(element);
  return value.getType() == type ? value : Value(arith::TruncFOp::create(b, loc, type, value));
}

inline AffineMap identityMap(Value tensor) {
  return AffineMap::getMultiDimIdentityMap(cast<ShapedType>(tensor.getType()).getRank(), tensor.getContext());
}

/// An empty tensor of the shape and element type of `like`.
inline Value emptyLike(OpBuilder &b, Location loc, Value like) {
  auto type = cast<RankedTensorType>(like.getType());
  if (type.hasStaticShape())
    return tensor::EmptyOp::create(b, loc, type.getShape(), type.getElementType());
  // The shape of an op about to be replaced is that of its operands.
  ReifiedRankedShapedTypeDims dims;
  if (Operation *op = like.getDefiningOp();
      op && !isa<tensor::EmptyOp>(op) && succeeded(reifyResultShapes(b, op, dims)))
    return tensor::EmptyOp::create(b, loc, dims[cast<OpResult>(like).getResultNumber()],
                                   type.getElementType());
  return tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, like), type.getElementType());
}

/// An elementwise generic over the shape of `like`; `region` returns the value in
/// f32 (or the result's own type), which is rounded to the result's type.
inline Value buildMap(OpBuilder &b, Location loc, Value like, ArrayRef<MappedOperand> operands,
                      RegionBuilder region) {
  Value init = emptyLike(b, loc, like);
  auto type = cast<RankedTensorType>(init.getType());
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  for (const MappedOperand &operand : operands) {
    inputs.push_back(operand.value);
    maps.push_back(operand.map);
  }
  maps.push_back(identityMap(init));
  SmallVector<utils::IteratorType> loops(type.getRank(), utils::IteratorType::parallel);
  auto generic = linalg::GenericOp::create(
      b, loc, type, inputs, init, maps, loops, [&](OpBuilder &b, Location loc, ValueRange args) {
        Value value = region(b, loc, args.drop_back());
        if (value.getType() != type.getElementType())
          value = arith::TruncFOp::create(b, loc, type.getElementType(), value);
        linalg::YieldOp::create(b, loc, value);
      });
  return generic.getResult(0);
}

/// A reduction in f32 over the last `numReductions` loops into the shape of
/// `like`, starting from `neutral`; the region's last argument is the accumulator.
inline Value buildReduction(OpBuilder &b, Location loc, Value like, ArrayRef<MappedOperand> operands,
                            AffineMap result, unsigned numReductions, double neutral, RegionBuilder region) {
  Value empty = emptyLike(b, loc, like);
  if (!cast<RankedTensorType>(empty.getType()).getElementType().isF32())
    empty = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, empty), b.getF32Type());
  Value init = linalg::FillOp::create(b, loc, constantF32(b, loc, neutral), empty).getResult(0);
  SmallVector<Value> inputs;
  SmallVector<AffineMap> maps;
  for (const MappedOperand &operand : operands) {
    inputs.push_back(operand.value);
    maps.push_back(operand.map);
  }
  maps.push_back(result);
  SmallVector<utils::IteratorType> loops(result.getNumDims() - numReductions, utils::IteratorType::parallel);
  loops.append(numReductions, utils::IteratorType::reduction);
  auto generic = linalg::GenericOp::create(b, loc, init.getType(), inputs, init, maps, loops,
                                           [&](OpBuilder &b, Location loc, ValueRange args) {
                                             linalg::YieldOp::create(b, loc, region(b, loc, args));
                                           });
  return generic.getResult(0);
}

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_GENERICBUILDER_H
