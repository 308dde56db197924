//===- FoldQueryScale.cpp - attention's scale becomes part of Wq ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   attention(rope(heads(linear(x, Wq))), …, scale s)
//     -> attention(rope(heads(linear(x, s Wq))), …, scale 1)
//
// Rotations and reshapes commute with a factor; a norm of the queries does not,
// but its own weight takes the factor as well. Lossless where everything up to the
// attention is stored in f32, and in bf16 where the scale is a power of two.
//
// Runs before projections are merged, while Wq is a matrix of its own.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#include <cmath>

#define DEBUG_TYPE "transformer-fold-query-scale"

namespace mlir::transformer {
#define GEN_PASS_DEF_FOLDQUERYSCALEPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

/// Whether a value of `type` times the scale is exact: in f32 it is rounded by
/// 6e-8 at most, in bf16 only exponents may change. f16 has too few of them.
static bool isExactIn(Type type, bool isPowerOfTwo) {
  return type.isF32() || (isPowerOfTwo && type.isBF16());
}

/// Whether multiplying by `scale` changes exponents alone.
static bool isPowerOfTwo(double scale) {
  int exponent;
  return scale > 0 && std::frexp(scale, &exponent) == 0.5 && std::abs(exponent) < 16;
}

namespace {

/// The op whose weights take the factor, or null, with what is in the way.
struct Carrier {
  Operation *op = nullptr;
  SmallVector<OpOperand *> weights; // of `op`, all linear in its result
};

Carrier carrierOf(Operation *op) {
  Carrier carrier{op, {}};
  auto add = [&](MutableOperandRange range) {
    for (OpOperand &operand : range)
      carrier.weights.push_back(&operand);
  };
  if (auto linear = dyn_cast<LinearOp>(op)) {
    carrier.weights.push_back(&linear.getWeightMutable());
    add(linear.getBiasMutable());
  } else if (auto norm = dyn_cast<RMSNormOp>(op)) {
    carrier.weights.push_back(&norm.getScaleMutable());
  } else if (auto norm = dyn_cast<LayerNormOp>(op)) {
    carrier.weights.push_back(&norm.getScaleMutable());
    add(norm.getBiasMutable());
  }
  return carrier;
}

/// Pattern: attention(rope(heads(linear(x, W))), scale s) -> attention(rope(heads(linear(x, s W))), scale 1)
struct FoldScale : OpRewritePattern<AttentionOp> {
  FoldScale(MLIRContext *context, DerivedWeights &weights) : OpRewritePattern(context), weights(weights) {}

  LogicalResult matchAndRewrite(AttentionOp attention, PatternRewriter &rewriter) const override {
    double scale = attention.getScale().convertToDouble();
    if (scale == 1)
      return rewriter.notifyMatchFailure(attention, "has no scale");
    bool isPower = isPowerOfTwo(scale);
    auto declined = [&](Operation *op, StringRef operand, const Twine &reason, const Twine &change) {
      return missed(rewriter, op, DEBUG_TYPE, operand, reason, change);
    };
    Operation *op = attention.getQuery().getDefiningOp();
    for (; op; op = op->getOperand(0).getDefiningOp()) {
      if (!isa<RopeOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, LinearOp, RMSNormOp, LayerNormOp,
               arith::TruncFOp, arith::ExtFOp, tensor::ExtractSliceOp>(op))
        return rewriter.notifyMatchFailure(attention, "its queries come from no projection");
      if (isa<tensor::ExtractSliceOp>(op))
        return declined(attention, "query", "is a part of a merged projection",
                        "project queries by themselves");
      if (!op->hasOneUse())
        return declined(op, "result", "has another reader, which needs it as it is",
                        "read it through the attention alone");
      if (!isExactIn(elementTypeOf(op->getResult(0)), isPower))
        return declined(op, "result", "is not stored in f32, so that scaling before would round otherwise",
                        "store it in f32, or in bf16 with a scale that is a power of two");
      if (isa<LinearOp, RMSNormOp, LayerNormOp>(op))
        break;
    }
    if (!op)
      return rewriter.notifyMatchFailure(attention, "its queries come from no projection");
    Carrier carrier = carrierOf(op);
    for (OpOperand *weight : carrier.weights) {
      FlatSymbolRefAttr symbol = weightOf(weight->get());
      if (!symbol)
        return declined(op, "weight", "is a value computed at run time", "make it a transformer.weight");
      if (!isExactIn(elementTypeOf(weight->get()), isPower))
        return declined(op, "weight",
                        "is not stored in f32, so that its product with the scale would be rounded",
                        "store it in f32");
      SmallVector<Operation *> readers = weights.readersOf(symbol, op->getParentOfType<func::FuncOp>());
      if (!llvm::all_of(readers, [&](Operation *reader) { return reader == op; }))
        return declined(op, "weight", "has another reader, which needs it as it is",
                        "give each reader a copy");
    }
    passed(attention, DEBUG_TYPE, "folded its scale into " + placeOf(op->getLoc()));
    rewriter.setInsertionPoint(op);
    for (OpOperand *weight : carrier.weights) {
      FlatSymbolRefAttr symbol = weightOf(weight->get());
      NamedAttribute value(rewriter.getStringAttr("value"), rewriter.getF64FloatAttr(scale));
      Value scaled =
          weights.get(rewriter, op->getLoc(), DeriveKind::Scale, symbol, weights.typeOf(symbol), value);
      rewriter.modifyOpInPlace(op, [&] { weight->set(scaled); });
    }
    rewriter.modifyOpInPlace(attention, [&] { attention.setScaleAttr(rewriter.getF64FloatAttr(1)); });
    return success();
  }

private:
  DerivedWeights &weights;
};

void populateFoldQueryScalePatterns(RewritePatternSet &patterns, DerivedWeights &weights) {
  patterns.add<FoldScale>(patterns.getContext(), weights);
}

struct FoldQueryScale : transformer::impl::FoldQueryScalePassBase<FoldQueryScale> {
  void runOnOperation() override {
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateFoldQueryScalePatterns(patterns, weights);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
