//===- NarrowToUsed.cpp - compute only the positions that are read --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   slice(f(x, …)) -> f(slice(x), …), f working row by row
//
// A prompt's logits are asked for at its last position: the head, the last norm
// and the whole MLP of the last layer are then computed for one position instead of
// all. Stops at what mixes positions (attention) or is read whole by others.
//
// Runs after fusion, where it has fewer ops to go through, and before weights are
// shared.
//
//===----------------------------------------------------------------------===//

#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Iterators.h"

#define DEBUG_TYPE "transformer-narrow-to-used"

namespace mlir::transformer {
#define GEN_PASS_DEF_NARROWTOUSEDPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

/// The number of leading operands that have a row per row of the result; 0 where
/// rows are not independent.
static unsigned rowOperands(Operation *op) {
  if (isElementwise(op))
    return op->getNumOperands();
  return isa<LinearOp, GatedMLPOp, RMSNormOp, LayerNormOp>(op) ? 1 : 0;
}

/// Whether the slice keeps rows whole: the last dimension has all its elements.
static bool keepsRows(tensor::ExtractSliceOp slice) {
  int64_t last = slice.getSourceType().getRank() - 1;
  return slice.hasUnitStride() && slice.getType().getRank() == last + 1 && last > 0 &&
         !ShapedType::isDynamic(slice.getSourceType().getDimSize(last)) &&
         slice.getType().getDimSize(last) == slice.getSourceType().getDimSize(last);
}

static bool sameSlice(tensor::ExtractSliceOp a, tensor::ExtractSliceOp b) {
  return a.getType() == b.getType() && a.getMixedOffsets() == b.getMixedOffsets() &&
         a.getMixedSizes() == b.getMixedSizes() && a.getMixedStrides() == b.getMixedStrides();
}

/// The readers of `value` but for slices like `slice`.
static unsigned otherReaders(Value value, tensor::ExtractSliceOp slice) {
  return llvm::count_if(value.getUsers(), [&](Operation *user) {
    auto other = dyn_cast<tensor::ExtractSliceOp>(user);
    return !other || !sameSlice(slice, other);
  });
}

/// The positions of `operand` that `slice` keeps of its source. A splat is one of another size.
static Value partOf(Value operand, tensor::ExtractSliceOp slice, IRRewriter &rewriter,
                    DenseSet<Operation *> &made) {
  auto type = cast<RankedTensorType>(operand.getType());
  SmallVector<int64_t> shape(slice.getType().getShape());
  shape.back() = type.getShape().back();
  if (auto splat = operand.getDefiningOp<tensor::SplatOp>())
    return tensor::SplatOp::create(rewriter, splat.getLoc(), type.clone(shape), splat.getInput(),
                                   slice.getSizes());
  SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
  sizes.back() = rewriter.getIndexAttr(shape.back());
  auto part = tensor::ExtractSliceOp::create(rewriter, slice.getLoc(), type.clone(shape), operand,
                                             slice.getMixedOffsets(), sizes, slice.getMixedStrides());
  made.insert(part);
  return part;
}

/// Pattern: slice(f(x, …)) -> f(slice(x), …), f a projection, norm or elementwise op
static void moveUp(tensor::ExtractSliceOp slice, IRRewriter &rewriter, DenseSet<Operation *> &made) {
  Operation *op = slice.getSource().getDefiningOp();
  // The first of equal slices has the place where all of them can be served.
  llvm::SmallSetVector<Operation *, 4> readers(op->user_begin(), op->user_end());
  slice = cast<tensor::ExtractSliceOp>(
      *llvm::min_element(readers, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); }));
  passed(op, DEBUG_TYPE, "computes only the positions that are read");
  rewriter.setInsertionPoint(slice);
  IRMapping narrow;
  for (Value operand : op->getOperands().take_front(rowOperands(op)))
    if (!narrow.contains(operand))
      narrow.map(operand, partOf(operand, slice, rewriter, made));
  Operation *narrowed = rewriter.clone(*op, narrow);
  narrowed->getResult(0).setType(
      cast<RankedTensorType>(op->getResult(0).getType()).clone(slice.getType().getShape()));
  for (Operation *reader : readers) {
    made.erase(reader);
    rewriter.replaceOp(reader, narrowed->getResults());
  }
  rewriter.eraseOp(op);
}

/// Whether `slice` can move above the op that it reads.
static bool canMoveUp(tensor::ExtractSliceOp slice) {
  Operation *op = slice.getSource().getDefiningOp();
  if (!op || op->getNumResults() != 1 || rowOperands(op) == 0 || !keepsRows(slice) ||
      !llvm::all_of(op->getUsers(), [&](Operation *user) { return user->getBlock() == op->getBlock(); }) ||
      !isa<RankedTensorType>(op->getResult(0).getType()))
    return false;
  auto isRanked = [](Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && !ShapedType::isDynamic(type.getShape().back());
  };
  return llvm::all_of(op->getOperands().take_front(rowOperands(op)), isRanked);
}

static void narrow(func::FuncOp function, IRRewriter &rewriter) {
  DenseSet<Operation *> made;
  // What one op reads may be narrow enough only when others have moved: until nothing moves.
  for (bool changed = true; changed;) {
    changed = false;
    function.walk<WalkOrder::PostOrder, ReverseIterator>([&](tensor::ExtractSliceOp slice) {
      if (!canMoveUp(slice) || otherReaders(slice.getSource(), slice) != 0)
        return WalkResult::advance();
      moveUp(slice, rewriter, made);
      changed = true;
      return WalkResult::interrupt(); // the walk may stand on what is gone
    });
  }
  function.walk([&](tensor::ExtractSliceOp slice) {
    // Where a slice was moved to, the whole value is needed: that is no near miss.
    if (made.contains(slice) || !canMoveUp(slice))
      return;
    unsigned others = otherReaders(slice.getSource(), slice);
    (void)missed(rewriter, slice.getSource().getDefiningOp(), DEBUG_TYPE, "result",
                 "is read whole by " + Twine(others) + (others == 1 ? " other op" : " other ops"),
                 "let the other readers read the same positions");
  });
}

namespace {
struct NarrowToUsed : transformer::impl::NarrowToUsedPassBase<NarrowToUsed> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    for (auto function : getOperation().getOps<func::FuncOp>())
      narrow(function, rewriter);
    eraseUnused(getOperation());
  }
};
} // namespace
