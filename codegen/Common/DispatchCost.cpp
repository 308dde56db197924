//===- DispatchCost.cpp - extents and work of a dispatch ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchCost.h"
#include "codegen/Common/DispatchUtils.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Extents
//===----------------------------------------------------------------------===//

/// A dynamic dimension of a reshape's result is one of its source: dispatches hold
/// no others (see InlineRules).
static Extent extentOfReshape(Value source, ArrayRef<ReassociationIndices> groups, unsigned dim,
                              bool expands) {
  auto type = cast<RankedTensorType>(source.getType());
  if (expands) {
    for (auto [i, group] : llvm::enumerate(groups))
      if (llvm::is_contained(group, dim))
        return extentOf(source, i);
  } else {
    for (int64_t i : groups[dim])
      if (type.isDynamicDim(i))
        return extentOf(source, i);
  }
  llvm_unreachable("a reshape whose dynamic size is none of its source");
}

Extent mlir::transformer::extentOf(Value tensor, unsigned dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return {type.getDimSize(dim), {}, 0};
  if (auto argument = dyn_cast<BlockArgument>(tensor))
    return {ShapedType::kDynamic, argument, dim};
  if (auto fill = tensor.getDefiningOp<linalg::FillOp>())
    return extentOf(fill.getDpsInits()[0], dim);
  if (auto cast = tensor.getDefiningOp<tensor::CastOp>())
    return extentOf(cast.getSource(), dim);
  if (auto expand = tensor.getDefiningOp<tensor::ExpandShapeOp>())
    return extentOfReshape(expand.getSrc(), expand.getReassociationIndices(), dim, /*expands=*/true);
  if (auto collapse = tensor.getDefiningOp<tensor::CollapseShapeOp>())
    return extentOfReshape(collapse.getSrc(), collapse.getReassociationIndices(), dim, /*expands=*/false);
  if (auto empty = tensor.getDefiningOp<tensor::EmptyOp>()) {
    if (auto size = dyn_cast<BlockArgument>(empty.getDynamicSize(dim)))
      return {ShapedType::kDynamic, size, 0};
    auto source = empty.getDynamicSize(dim).getDefiningOp<tensor::DimOp>();
    return extentOf(source.getSource(), *source.getConstantIndex());
  }
  if (auto attention = tensor.getDefiningOp<AttentionOp>())
    return extentOf(attention.getQuery(), dim);
  if (auto merge = tensor.getDefiningOp<AttentionMergeOp>())
    return extentOf(merge.getInput(), dim);
  auto op = tensor.getDefiningOp<linalg::GenericOp>();
  return loopExtent(op, cast<AffineDimExpr>(op.getIndexingMapsArray().back().getResult(dim)).getPosition());
}

Extent mlir::transformer::loopExtent(linalg::GenericOp op, unsigned loop) {
  // A static size wherever one operand knows it.
  OpOperand *found = nullptr;
  unsigned foundDim = 0;
  for (OpOperand &operand : op->getOpOperands()) {
    auto type = dyn_cast<RankedTensorType>(operand.get().getType());
    if (!type)
      continue;
    std::optional<unsigned> dim =
        op.getMatchingIndexingMap(&operand).getResultPosition(getAffineDimExpr(loop, op.getContext()));
    if (!dim)
      continue;
    if (!type.isDynamicDim(*dim))
      return {type.getDimSize(*dim), {}, 0};
    // Inputs before inits: the init of an intermediate is only a shape.
    if (!found) {
      found = &operand;
      foundDim = *dim;
    }
  }
  assert(found && "a loop that no operand bounds");
  return extentOf(found->get(), foundDim);
}

//===----------------------------------------------------------------------===//
// Cost
//===----------------------------------------------------------------------===//

static void multiply(CostTerm &term, const Extent &extent) {
  if (extent.isStatic())
    term.coefficient *= extent.size;
  else
    term.extents.push_back(extent);
}

/// Bytes of a tensor, each element once.
static CostTerm sizeOf(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  CostTerm term;
  term.coefficient = static_cast<int64_t>(llvm::divideCeil(type.getElementTypeBitWidth(), 8));
  for (int64_t i = 0; i < type.getRank(); ++i)
    multiply(term, extentOf(tensor, i));
  return term;
}

/// Floating-point operations of one iteration of the region.
static int64_t operationsOf(linalg::GenericOp op) {
  int64_t count = 0;
  for (Operation &inner : op.getBody()->without_terminator())
    if (inner.getNumResults() == 1 && isa<FloatType>(inner.getResult(0).getType()) &&
        !isa<arith::ExtFOp, arith::TruncFOp, arith::ConstantOp, tensor::ExtractOp, arith::SelectOp>(inner))
      ++count;
  return count;
}

/// Keys and values of all rows and visible positions.
static CostTerm keysOf(AttentionOp op) {
  KVCacheType type = op.getCache().getType();
  CostTerm term;
  term.coefficient =
      2 * type.getHeads() * type.getHeadDim() * (type.getElement().getIntOrFloatBitWidth() / 8);
  term.perKey = true;
  multiply(term, extentOf(op.getQuery(), 0));
  return term;
}

DispatchCost mlir::transformer::costOf(func::FuncOp dispatch) {
  DispatchCost cost;
  dispatch.walk([&](linalg::GenericOp op) {
    CostTerm term;
    term.coefficient = operationsOf(op);
    for (unsigned loop = 0; loop < op.getNumLoops(); ++loop)
      multiply(term, loopExtent(op, loop));
    if (term.coefficient != 0)
      cost.flops.push_back(term);
  });
  dispatch.walk([&](AttentionOp op) {
    // Two products of D per key and query.
    CostTerm term;
    term.coefficient = 4;
    for (unsigned i = 0; i < 4; ++i)
      multiply(term, extentOf(op.getQuery(), i));
    if (op.getCache()) {
      term.perKey = true;
      cost.bytes.push_back(keysOf(op));
    } else {
      multiply(term, extentOf(op.getKey(), 1));
    }
    cost.flops.push_back(term);
  });
  dispatch.walk([&](AttentionMergeOp op) {
    // A product and a sum per element.
    CostTerm term;
    term.coefficient = 2;
    for (unsigned i = 0; i < 4; ++i)
      multiply(term, extentOf(op.getInput(), i));
    cost.flops.push_back(term);
  });
  for (BlockArgument argument : dispatch.getArguments()) {
    if (!isa<RankedTensorType>(argument.getType()))
      continue;
    // Of a table that is only gathered from, as many elements as the result has.
    bool gathered = !argument.use_empty() && llvm::all_of(argument.getUsers(), [](Operation *user) {
      return isa<tensor::ExtractOp>(user);
    });
    if (!gathered) {
      cost.bytes.push_back(sizeOf(argument));
      continue;
    }
    Value made = dispatch.getBody().front().getTerminator()->getOperand(0);
    if (auto append = made.getDefiningOp<CacheAppendOp>())
      made = append.getKey();
    CostTerm term = sizeOf(made);
    int64_t bytes = cast<RankedTensorType>(made.getType()).getElementTypeBitWidth() / 8;
    term.coefficient = term.coefficient / std::max<int64_t>(bytes, 1) *
                       (cast<RankedTensorType>(argument.getType()).getElementTypeBitWidth() / 8);
    cost.bytes.push_back(term);
  }
  dispatch.walk([&](CacheAppendOp op) {
    // What is read is written once more, in the cache's type.
    for (Value source : {op.getKey(), op.getValue()})
      cost.bytes.push_back(sizeOf(source));
  });
  return cost;
}

void mlir::transformer::setCost(func::FuncOp dispatch, const DispatchCost &cost) {
  Builder b(dispatch.getContext());
  auto set = [&](StringRef name, ArrayRef<CostTerm> terms) {
    SmallVector<Attribute> list;
    for (const CostTerm &term : terms) {
      SmallVector<int64_t> flat{term.coefficient, term.perKey};
      for (const Extent &extent : term.extents)
        flat.append({extent.argument.getArgNumber(), extent.dim});
      list.push_back(b.getDenseI64ArrayAttr(flat));
    }
    dispatch->setAttr(name, b.getArrayAttr(list));
  };
  set(kFlopsAttr, cost.flops);
  set(kBytesAttr, cost.bytes);
}
