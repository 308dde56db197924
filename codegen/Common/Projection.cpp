//===- Projection.cpp - contractions with a matrix of weights -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/Projection.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::transformer;

/// The block argument under conversions to the type of the sums, or null.
static BlockArgument widenedArgument(Value value) {
  if (auto ext = value.getDefiningOp<arith::ExtFOp>())
    value = ext.getIn();
  else if (auto ext = value.getDefiningOp<arith::ExtSIOp>())
    value = ext.getIn();
  return dyn_cast<BlockArgument>(value);
}

/// Whether the region yields accumulator + widen(a) * widen(b).
template <typename Add, typename Mul> static bool sumsProducts(linalg::GenericOp op) {
  Block *body = op.getBody();
  if (body->getNumArguments() != 3)
    return false;
  auto sum = body->getTerminator()->getOperand(0).getDefiningOp<Add>();
  if (!sum || sum.getType().getIntOrFloatBitWidth() != 32)
    return false;
  Value accumulator = body->getArgument(2);
  Value other = sum.getLhs() == accumulator ? sum.getRhs() : sum.getLhs();
  if (sum.getLhs() != accumulator && sum.getRhs() != accumulator)
    return false;
  auto product = other.getDefiningOp<Mul>();
  if (!product)
    return false;
  BlockArgument a = widenedArgument(product.getLhs()), b = widenedArgument(product.getRhs());
  return a && b && a != b && a != accumulator && b != accumulator;
}

/// Whether the operands are those that kernels of integers multiply.
static bool multipliesBytes(const Projection &found) {
  Type weight = found.weightType().getElementType();
  return getElementTypeOrSelf(found.input->get().getType()).isSignlessInteger(8) &&
         (weight.isSignlessInteger(8) || weight.isSignlessInteger(4));
}

std::optional<Projection> Projection::match(linalg::GenericOp op) {
  unsigned loops = op.getNumLoops();
  if (op.getNumReductionLoops() != 1 || op.getNumResults() != 1 || loops < 3 || op.getNumDpsInputs() != 2)
    return std::nullopt;
  bool isFloat = sumsProducts<arith::AddFOp, arith::MulFOp>(op);
  if (op.getIteratorTypesArray().back() != utils::IteratorType::reduction ||
      (!isFloat && !sumsProducts<arith::AddIOp, arith::MulIOp>(op)))
    return std::nullopt;
  MLIRContext *context = op.getContext();
  AffineMap identity = AffineMap::getMultiDimIdentityMap(loops, context);
  if (op.getIndexingMapsArray().back() != identity.dropResult(loops - 1))
    return std::nullopt;
  AffineMap rows = identity.dropResult(loops - 2);
  AffineMap matrix = identity.getMinorSubMap(2);
  Projection found;
  found.op = op;
  for (OpOperand *operand : op.getDpsInputOperands()) {
    AffineMap map = op.getMatchingIndexingMap(operand);
    if (map == rows && !found.input)
      found.input = operand;
    else if (map == matrix)
      found.weight = operand;
  }
  if (!found.input || !found.weight)
    return std::nullopt;
  auto weight = dyn_cast<RankedTensorType>(found.weight->get().getType());
  if (!weight || !weight.hasStaticShape() || weight.getNumElements() == 0)
    return std::nullopt;
  if (!isFloat && !multipliesBytes(found))
    return std::nullopt;
  auto fill = op.getDpsInits()[0].getDefiningOp<linalg::FillOp>();
  if (!fill ||
      !(matchPattern(fill.getInputs()[0], m_AnyZeroFloat()) || matchPattern(fill.getInputs()[0], m_Zero())))
    return std::nullopt;
  return found;
}

SmallVector<Projection> mlir::transformer::projectionsOf(func::FuncOp dispatch) {
  SmallVector<Projection> found;
  Value result = dispatch.getBody().front().getTerminator()->getOperand(0);
  dispatch.walk([&](linalg::GenericOp op) {
    std::optional<Projection> projection = Projection::match(op);
    if (!projection)
      return;
    bool elementwise = llvm::all_of(op.getResult(0).getUses(), [](OpOperand &use) {
      auto consumer = dyn_cast<linalg::GenericOp>(use.getOwner());
      return isa<func::ReturnOp>(use.getOwner()) || (consumer && consumer.getNumReductionLoops() == 0 &&
                                                     consumer.getMatchingIndexingMap(&use).isIdentity());
    });
    if (elementwise && cast<RankedTensorType>(result.getType()).getShape() ==
                           cast<RankedTensorType>(op.getResult(0).getType()).getShape())
      found.push_back(*projection);
  });
  return found;
}
