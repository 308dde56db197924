//===- RowEmitter.cpp - rows of a tensor expression -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Where reductions are read
//===----------------------------------------------------------------------===//

namespace {
/// Follows how the elements of a row are made, with the place of each read as
/// expressions of the row's dimensions; null where it is not one.
class ReductionFinder {
public:
  ReductionFinder(int64_t rank, RowReductions &found) : rank(rank), found(found) {}

  void visit(Value value, ArrayRef<AffineExpr> at);

private:
  void visitGeneric(linalg::GenericOp op, ArrayRef<AffineExpr> at);
  static AffineExpr indexOf(Value index, ArrayRef<AffineExpr> loops);

  int64_t rank;
  RowReductions &found;
};
} // namespace

/// An index of a read inside a region, from the loops around it.
AffineExpr ReductionFinder::indexOf(Value index, ArrayRef<AffineExpr> loops) {
  if (auto loop = index.getDefiningOp<linalg::IndexOp>())
    return loops[loop.getDim()];
  if (std::optional<int64_t> constant = getConstantIntValue(index))
    return getAffineConstantExpr(*constant, index.getContext());
  auto add = index.getDefiningOp<arith::AddIOp>();
  if (!add)
    return {};
  AffineExpr a = indexOf(add.getLhs(), loops), b = indexOf(add.getRhs(), loops);
  return a && b ? a + b : AffineExpr();
}

void ReductionFinder::visitGeneric(linalg::GenericOp op, ArrayRef<AffineExpr> at) {
  SmallVector<AffineExpr> loops(op.getNumLoops());
  for (auto [i, expr] : llvm::enumerate(op.getIndexingMapsArray().back().getResults()))
    loops[cast<AffineDimExpr>(expr).getPosition()] = at[i];
  for (OpOperand *operand : op.getDpsInputOperands()) {
    SmallVector<AffineExpr> read;
    for (AffineExpr expr : op.getMatchingIndexingMap(operand).getResults()) {
      auto dim = dyn_cast<AffineDimExpr>(expr);
      read.push_back(dim ? loops[dim.getPosition()] : AffineExpr());
    }
    visit(operand->get(), read);
  }
  op.getBody()->walk([&](tensor::ExtractOp extract) {
    SmallVector<AffineExpr> read;
    for (Value index : extract.getIndices())
      read.push_back(indexOf(index, loops));
    visit(extract.getTensor(), read);
  });
  bool fixed = llvm::all_of(
      at, [&](AffineExpr e) { return isa_and_present<AffineDimExpr>(e) && !e.isFunctionOfDim(rank - 1); });
  if (op.getNumReductionLoops() != 0 && fixed)
    found.insert({op, SmallVector<AffineExpr>(at)});
}

void ReductionFinder::visit(Value value, ArrayRef<AffineExpr> at) {
  Operation *def = value.getDefiningOp();
  if (auto op = dyn_cast_or_null<linalg::GenericOp>(def))
    return visitGeneric(op, at);
  if (auto cast = dyn_cast_or_null<tensor::CastOp>(def))
    return visit(cast.getSource(), at);
  SmallVector<AffineExpr> read;
  if (auto expand = dyn_cast_or_null<tensor::ExpandShapeOp>(def)) {
    for (const ReassociationIndices &group : expand.getReassociationIndices()) {
      AffineExpr index = at[group.front()];
      for (int64_t dim : ArrayRef(group).drop_front()) {
        int64_t size = expand.getType().getDimSize(dim);
        index = index && at[dim] && !ShapedType::isDynamic(size) ? index * size + at[dim] : AffineExpr();
      }
      read.push_back(index);
    }
    return visit(expand.getSrc(), read);
  }
  if (auto collapse = dyn_cast_or_null<tensor::CollapseShapeOp>(def)) {
    for (auto [i, group] : llvm::enumerate(collapse.getReassociationIndices())) {
      SmallVector<AffineExpr> parts(group.size());
      AffineExpr rest = at[i];
      for (size_t j = group.size(); j-- > 1;) {
        int64_t size = collapse.getSrcType().getDimSize(group[j]);
        bool known = rest && !ShapedType::isDynamic(size);
        parts[j] = known ? rest % size : AffineExpr();
        rest = known ? rest.floorDiv(size) : AffineExpr();
      }
      parts[0] = rest;
      read.append(parts);
    }
    return visit(collapse.getSrc(), read);
  }
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

RowReductions mlir::transformer::rowReductionsOf(Value tensor) {
  RowReductions found;
  int64_t rank = cast<RankedTensorType>(tensor.getType()).getRank();
  SmallVector<AffineExpr> at;
  for (int64_t i = 0; i < rank; ++i)
    at.push_back(getAffineDimExpr(i, tensor.getContext()));
  ReductionFinder(rank, found).visit(tensor, at);
  return found;
}

RowEmitter::RowEmitter(KernelContext &context, Value tensor, int64_t width)
    : evaluator(context, width), tensor(tensor), reductions(rowReductionsOf(tensor)) {}

void RowEmitter::emit(OpBuilder &b, ArrayRef<Value> leading, Sink sink) {
  Location loc = tensor.getLoc();
  for (auto &[op, exprs] : reductions) {
    SmallVector<LaneIndex> row;
    for (AffineExpr expr : exprs)
      row.push_back({leading[cast<AffineDimExpr>(expr).getPosition()]});
    evaluator.setKnown(op->getResult(0), evaluator.evaluateReduction(b, cast<linalg::GenericOp>(op), row));
  }
  SmallVector<LaneIndex> at = llvm::map_to_vector(leading, [](Value v) { return LaneIndex{v}; });
  int64_t rank = leading.size() + 1;
  SmallVector<bool> lanes(rank, false);
  lanes.back() = true;
  // Narrower vectors where wide ones would reach across halves of a head.
  int64_t widest = evaluator.getWidth(), width = widest;
  for (; width > 1; width /= 2) {
    evaluator.setWidth(width);
    if (evaluator.canVectorize(tensor, lanes))
      break;
  }
  evaluator.setWidth(width);
  bool vectors = width > 1;
  auto element = [&](OpBuilder &b, Value column, Value mask) {
    evaluator.setMask(mask);
    at.push_back({column, vectors});
    Value value = evaluator.evaluate(b, tensor, at);
    sink(b, vectors ? evaluator.broadcast(b, loc, value) : value, at.back(), mask);
    at.pop_back();
    evaluator.setMask(Value());
  };
  OpFoldResult folded = evaluator.dimSize(b, tensor, rank - 1);
  Value size = indexValue(b, loc, folded);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0),
        step = arith::ConstantIndexOp::create(b, loc, width);
  Value rest = arith::RemUIOp::create(b, loc, size, step), whole = arith::SubIOp::create(b, loc, size, rest);
  scf::ForOp::create(b, loc, zero, whole, step, ValueRange(),
                     [&](OpBuilder &b, Location loc, Value i, ValueRange) {
                       element(b, i, Value());
                       scf::YieldOp::create(b, loc);
                     });
  std::optional<int64_t> known = getConstantIntValue(folded);
  if (vectors && !(known && *known % width == 0)) {
    Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, rest, zero);
    scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
      element(b, whole, vector::CreateMaskOp::create(b, loc, VectorType::get({width}, b.getI1Type()), rest));
      scf::YieldOp::create(b, loc);
    });
  }
  evaluator.setWidth(widest);
  for (auto &[op, exprs] : reductions)
    evaluator.forget(op->getResult(0));
}

void mlir::transformer::storeElements(OpBuilder &b, Location loc, Value value, Value memref,
                                      ArrayRef<Value> at, Value mask) {
  if (!isa<VectorType>(value.getType()))
    memref::StoreOp::create(b, loc, value, memref, at);
  else if (mask)
    vector::MaskedStoreOp::create(b, loc, memref, at, mask, value);
  else
    vector::StoreOp::create(b, loc, value, memref, at);
}
