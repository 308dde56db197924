//===- CancelReshapes.cpp - transposes and reshapes that undo each other --===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   transpose(f(transpose(x))) -> f(x), f elementwise or nothing
//   collapse(f(expand(x))) -> f(x), and the other way round
//   transpose(transpose(x)) -> transpose(x)
//   transpose(use @w) -> use @w.transpose
//
// Runs before everything that looks for forms, which then meets fewer.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"

#define DEBUG_TYPE "transformer-cancel-reshapes"

namespace mlir::transformer {
#define GEN_PASS_DEF_CANCELRESHAPESPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

/// Whether `outer` after `inner` gives back inner's operand.
static bool undoes(Operation *outer, Operation *inner) {
  auto typeOf = [](Value value) { return cast<RankedTensorType>(value.getType()); };
  if (auto second = dyn_cast<linalg::TransposeOp>(outer)) {
    auto first = dyn_cast<linalg::TransposeOp>(inner);
    return first && isIdentityPermutation(applyPermutation(first.getPermutation(), second.getPermutation()));
  }
  if (typeOf(inner->getOperand(0)).getShape() != typeOf(outer->getResult(0)).getShape())
    return false;
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(outer)) {
    auto expand = dyn_cast<tensor::ExpandShapeOp>(inner);
    return expand && expand.getReassociationIndices() == collapse.getReassociationIndices();
  }
  auto expand = dyn_cast<tensor::ExpandShapeOp>(outer);
  auto collapse = dyn_cast<tensor::CollapseShapeOp>(inner);
  if (!expand || !collapse || expand.getReassociationIndices() != collapse.getReassociationIndices())
    return false;
  // Of two dynamic sizes the product alone is known to agree.
  return llvm::all_of(expand.getReassociationIndices(), [&](const ReassociationIndices &group) {
    return llvm::count_if(group, [&](int64_t i) { return expand.getResultType().isDynamicDim(i); }) <= 1;
  });
}

static bool isReshape(Operation *op) {
  return isa_and_nonnull<linalg::TransposeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(op);
}

namespace {

/// The value that `outer(value)` would be, made of what inner reshapes read.
class Canceller {
public:
  Canceller(Operation *outer, RewriterBase &rewriter) : outer(outer), rewriter(rewriter) {}

  /// Whether every path from `value` back ends in a reshape that `outer` undoes.
  bool cancels(Value value) {
    Operation *def = value.getDefiningOp();
    if (!def)
      return fail(outer, "operand", "is computed without a reshape that this undoes",
                  "reshape it the other way first");
    if (isSplat(value))
      return true;
    if (isReshape(def)) {
      if (!undoes(outer, def))
        return fail(def, "result", "is not what the reshape behind undoes", "reshape by the inverse");
      hasPair = true;
      return true;
    }
    if (!isElementwise(def) || def->getNumResults() != 1)
      return fail(outer, "operand", "is computed by an op that is not elementwise", "reshape before it");
    if (!def->hasOneUse())
      return fail(def, "result", "has another reader", "compute it twice");
    return llvm::all_of(def->getOperands(), [&](Value operand) { return cancels(operand); });
  }

  Value rebuild(Value value) {
    Operation *def = value.getDefiningOp();
    if (isReshape(def))
      return def->getOperand(0);
    auto shape = [&](Type type) {
      return cast<RankedTensorType>(outer->getResult(0).getType()).clone(getElementTypeOrSelf(type));
    };
    if (isSplat(value)) {
      auto splat = cast<DenseElementsAttr>(cast<arith::ConstantOp>(def).getValue());
      return arith::ConstantOp::create(rewriter, value.getLoc(), splat.resizeSplat(shape(value.getType())));
    }
    SmallVector<Value> operands =
        llvm::map_to_vector(def->getOperands(), [&](Value v) { return rebuild(v); });
    OperationState state(def->getLoc(), def->getName(), operands, shape(value.getType()), def->getAttrs());
    state.propertiesAttr = def->getPropertiesAsAttribute();
    return rewriter.create(state)->getResult(0);
  }

  /// Whether there was at least one pair, or there is nothing to gain.
  bool foundPair() const { return hasPair; }
  void report() {
    if (reason.op)
      (void)missed(rewriter, reason.op, DEBUG_TYPE, reason.operand, reason.text, reason.change);
  }

private:
  static bool isSplat(Value value) {
    auto constant = value.getDefiningOp<arith::ConstantOp>();
    auto dense = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : DenseElementsAttr();
    return dense && dense.isSplat() && cast<ShapedType>(value.getType()).hasStaticShape();
  }

  bool fail(Operation *op, StringRef operand, StringRef text, StringRef change) {
    reason = {op, operand, text, change};
    return false;
  }

  struct Reason {
    Operation *op = nullptr;
    StringRef operand, text, change;
  };

  Operation *outer;
  RewriterBase &rewriter;
  bool hasPair = false;
  Reason reason;
};

/// Pattern: transpose(f(transpose(x), …)) -> f(x, …), f elementwise
/// Pattern: collapse_shape(f(expand_shape(x), …)) -> f(x, …)
/// Pattern: expand_shape(f(collapse_shape(x), …)) -> f(x, …)
template <typename ReshapeOp> struct CancelPair : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern<ReshapeOp>::OpRewritePattern;

  LogicalResult matchAndRewrite(ReshapeOp outer, PatternRewriter &rewriter) const override {
    Canceller canceller(outer, rewriter);
    if (canceller.cancels(outer->getOperand(0)) && canceller.foundPair()) {
      passed(outer, DEBUG_TYPE, "cancelled with what it undoes");
      rewriter.replaceOp(outer, canceller.rebuild(outer->getOperand(0)));
      return success();
    }
    // One operand cancels, another does not: that is near.
    if (canceller.foundPair())
      canceller.report();
    return rewriter.notifyMatchFailure(outer, "undoes nothing before it");
  }
};

/// Pattern: transpose(transpose(x, p), q) -> transpose(x, p after q)
struct ComposeTransposes : OpRewritePattern<linalg::TransposeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(linalg::TransposeOp outer, PatternRewriter &rewriter) const override {
    auto inner = outer.getInput().getDefiningOp<linalg::TransposeOp>();
    if (!inner)
      return rewriter.notifyMatchFailure(outer, "does not follow a transpose");
    passed(outer, DEBUG_TYPE, "composed with the transpose before it");
    SmallVector<int64_t> permutation = applyPermutation(inner.getPermutation(), outer.getPermutation());
    rewriter.replaceOpWithNewOp<linalg::TransposeOp>(outer, inner.getInput(), outer.getInit(), permutation);
    return success();
  }
};

/// Pattern: transpose(use @w) -> use @w.transpose
struct TransposeWeight : OpRewritePattern<linalg::TransposeOp> {
  TransposeWeight(MLIRContext *context, DerivedWeights &weights)
      : OpRewritePattern(context), weights(weights) {}

  LogicalResult matchAndRewrite(linalg::TransposeOp op, PatternRewriter &rewriter) const override {
    FlatSymbolRefAttr weight = weightOf(op.getInput());
    if (!weight || op.getPermutation() != ArrayRef<int64_t>{1, 0})
      return rewriter.notifyMatchFailure(op, "is no transpose of a matrix that is a weight");
    passed(op, DEBUG_TYPE, "transposes " + weight.getValue() + " once, ahead of time");
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    rewriter.replaceOp(op, weights.get(rewriter, op.getLoc(), DeriveKind::Transpose, weight, type));
    return success();
  }

private:
  DerivedWeights &weights;
};

void populateCancelReshapesPatterns(RewritePatternSet &patterns, DerivedWeights &weights) {
  patterns.add<CancelPair<linalg::TransposeOp>, CancelPair<tensor::CollapseShapeOp>,
               CancelPair<tensor::ExpandShapeOp>>(patterns.getContext(), /*benefit=*/2);
  patterns.add<ComposeTransposes>(patterns.getContext());
  patterns.add<TransposeWeight>(patterns.getContext(), weights);
}

struct CancelReshapes : transformer::impl::CancelReshapesPassBase<CancelReshapes> {
  void runOnOperation() override {
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateCancelReshapesPatterns(patterns, weights);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
