//===- Sizes.cpp - sizes of dimensions as products ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Raise/Places.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

Size Size::operator*(const Size &other) const {
  Size product = *this;
  product.factor *= other.factor;
  llvm::append_range(product.symbols, other.symbols);
  // Any order that does not change while the function does not.
  llvm::sort(product.symbols, [](const auto &a, const auto &b) {
    return std::make_pair(a.first.getAsOpaquePointer(), a.second) <
           std::make_pair(b.first.getAsOpaquePointer(), b.second);
  });
  return product;
}

std::optional<Size> Size::over(const Size &other) const {
  if (other.factor == 0 || factor % other.factor != 0)
    return std::nullopt;
  Size quotient = *this;
  quotient.factor /= other.factor;
  for (const auto &symbol : other.symbols) {
    auto found = llvm::find(quotient.symbols, symbol);
    if (found == quotient.symbols.end())
      return std::nullopt;
    quotient.symbols.erase(found);
  }
  return quotient;
}

/// The operand that has the same dimension `i`, for ops that keep it.
static Value sameDimension(Operation *op, int64_t i, int64_t rank) {
  if (OpTrait::hasElementwiseMappableTraits(op) ||
      isa<ActivationOp, RMSNormOp, LayerNormOp, RopeOp, AttentionOp, tensor::CastOp>(op))
    return op->getOperand(0);
  if (isa<LinearOp, GatedMLPOp, EmbeddingOp>(op) && i + 1 < rank)
    return op->getOperand(0);
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
    return destination.getDpsInitOperand(0)->get();
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
    return insert.getDest();
  return {};
}

Size raise::sizeOf(Value tensor, int64_t i) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(i))
    return {type.getDimSize(i), {}};
  Operation *def = tensor.getDefiningOp();
  if (!def)
    return {1, {{tensor, i}}};
  if (Value same = sameDimension(def, i, type.getRank()); same && isa<RankedTensorType>(same.getType()))
    return sizeOf(same, i);
  if (auto empty = dyn_cast<tensor::EmptyOp>(def))
    return sizeOf(empty.getMixedSizes()[i]);
  if (auto splat = dyn_cast<tensor::SplatOp>(def))
    return sizeOf(splat.getDynamicSizes()[type.getDynamicDimIndex(i)]);
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(def))
    if (type.getRank() == slice.getSourceType().getRank())
      return sizeOf(slice.getMixedSizes()[i]);
  if (auto concat = dyn_cast<tensor::ConcatOp>(def))
    if (static_cast<int64_t>(concat.getDim()) != i)
      return sizeOf(concat.getInputs().front(), i);
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(def))
    return sizeOf(expand.getMixedOutputShape()[i]);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(def)) {
    Size product;
    for (int64_t j : collapse.getReassociationIndices()[i])
      product = product * sizeOf(collapse.getSrc(), j);
    return product;
  }
  return {1, {{tensor, i}}};
}

Size raise::sizeOf(OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return {*constant, {}};
  auto value = cast<Value>(size);
  if (auto dim = value.getDefiningOp<tensor::DimOp>())
    if (std::optional<int64_t> index = dim.getConstantIndex();
        index && isa<RankedTensorType>(dim.getSource().getType()))
      return sizeOf(dim.getSource(), *index);
  if (auto product = value.getDefiningOp<arith::MulIOp>())
    return sizeOf(OpFoldResult(product.getLhs())) * sizeOf(OpFoldResult(product.getRhs()));
  return {1, {{value, -1}}};
}

OpFoldResult raise::valueOf(OpBuilder &builder, Location loc, const Size &size) {
  if (size.isStatic())
    return builder.getIndexAttr(size.factor);
  Value product;
  auto multiply = [&](Value value) {
    product = product ? arith::MulIOp::create(builder, loc, product, value).getResult() : value;
  };
  for (auto [value, dimension] : size.symbols)
    multiply(dimension < 0 ? value : tensor::DimOp::create(builder, loc, value, dimension).getResult());
  if (size.factor != 1)
    multiply(arith::ConstantIndexOp::create(builder, loc, size.factor));
  return product;
}
