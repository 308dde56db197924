//===- DispatchBody.cpp - reading a dispatch, writing its loops -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchBody.h"

#include "codegen/Common/Evaluator.h"
#include "codegen/Common/Projection.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

Operation *mlir::transformer::outputOf(func::FuncOp dispatch) {
  return dispatch.getBody().front().getTerminator()->getOperand(0).getDefiningOp();
}

linalg::GenericOp mlir::transformer::contractionOf(func::FuncOp dispatch) {
  auto output = dyn_cast<linalg::GenericOp>(outputOf(dispatch));
  if (!output || output.getNumReductionLoops() != 0)
    return output;
  // A reduction read at every index of the result is the contraction.
  linalg::GenericOp found;
  dispatch.walk([&](linalg::GenericOp op) {
    if (op.getNumReductionLoops() == 0)
      return;
    bool whole = llvm::any_of(op.getResult(0).getUses(), [&](OpOperand &use) {
      auto consumer = dyn_cast<linalg::GenericOp>(use.getOwner());
      return consumer && consumer.getNumReductionLoops() == 0 &&
             consumer.getMatchingIndexingMap(&use).isIdentity() &&
             consumer.getNumLoops() == output.getNumLoops();
    });
    if (whole)
      found = op;
  });
  return found;
}

SmallVector<Value> mlir::transformer::delinearize(OpBuilder &b, Location loc, Value task,
                                                  ArrayRef<OpFoldResult> sizes) {
  SmallVector<Value> indices(sizes.size());
  for (size_t i = sizes.size(); i-- > 1;) {
    Value size = indexValue(b, loc, sizes[i]);
    indices[i] = arith::RemUIOp::create(b, loc, task, size);
    task = arith::DivUIOp::create(b, loc, task, size);
  }
  if (!indices.empty())
    indices[0] = task;
  return indices;
}

void mlir::transformer::forLoop(OpBuilder &b, Location loc, Value from, Value to, int64_t step,
                                function_ref<void(OpBuilder &, Value)> body) {
  scf::ForOp::create(b, loc, from, to, arith::ConstantIndexOp::create(b, loc, step), ValueRange(),
                     [&](OpBuilder &b, Location loc, Value i, ValueRange) {
                       body(b, i);
                       scf::YieldOp::create(b, loc);
                     });
}

LogicalResult mlir::transformer::checkDispatchBody(func::FuncOp dispatch) {
  for (Operation &op : dispatch.getBody().front()) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic)
      continue;
    AffineMap map = generic.getIndexingMapsArray().back();
    bool identity = map.isProjectedPermutation() &&
                    map.getNumResults() + generic.getNumReductionLoops() == generic.getNumLoops();
    if (!identity)
      return generic.emitOpError("expected a result map that is a permutation of the parallel loops");
    if (&op == outputOf(dispatch) && !map.isIdentity() && generic.getNumReductionLoops() == 0)
      return generic.emitOpError("expected an identity result map; transpose the inputs instead");
    auto inner = generic.getBody()->walk([&](Operation *scalar) -> WalkResult {
      if (auto extract = dyn_cast<tensor::ExtractOp>(scalar);
          extract && extract.getTensor().getDefiningOp() &&
          !isa<linalg::GenericOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
              extract.getTensor().getDefiningOp()))
        return scalar->emitOpError("expected to read a tensor that a generic or a reshape makes");
      return WalkResult::advance();
    });
    if (inner.wasInterrupted())
      return failure();
  }
  return success();
}

SmallVector<int64_t> mlir::transformer::inPlaceArguments(func::FuncOp spec) {
  SmallVector<int64_t> found;
  if (!isa<linalg::GenericOp>(outputOf(spec)))
    return found;
  // A contraction reads whole rows of what it multiplies for each element.
  llvm::SetVector<Operation *> multiplied;
  if (linalg::GenericOp root = contractionOf(spec)) {
    BackwardSliceOptions options;
    options.inclusive = true;
    options.omitBlockArguments = true;
    LogicalResult sliced = getBackwardSlice(root.getOperation(), &multiplied, options);
    (void)sliced;
    // Other projections read the same rows.
    for (Projection &projection : projectionsOf(spec))
      multiplied.insert(projection.op);
  }
  Type type = spec.getArguments().back().getType();
  for (BlockArgument argument : spec.getArguments().drop_back()) {
    auto readsOnlyItsElement = [&](OpOperand &use) {
      auto op = dyn_cast<linalg::GenericOp>(use.getOwner());
      // Rows are reduced before any of their elements is written.
      return op && op.isDpsInput(&use) && op.getMatchingIndexingMap(&use).isIdentity() &&
             !multiplied.contains(op);
    };
    if (argument.getType() == type && llvm::all_of(argument.getUses(), readsOnlyItsElement))
      found.push_back(argument.getArgNumber());
  }
  return found;
}
