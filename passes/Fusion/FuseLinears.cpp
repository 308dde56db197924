//===- FuseLinears.cpp - two projections with nothing between are one -----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   linear(linear(x, A, a), B, b) -> linear(x, B A, B a + b)
//
// Where the product has fewer bytes than its factors: a projection's time is that
// of reading its weights. A factorised matrix, small in the middle, stays as it is.
//
// Runs first: what is one matrix meets the other patterns as one.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#define DEBUG_TYPE "transformer-fuse-linears"

namespace mlir::transformer {
#define GEN_PASS_DEF_FUSELINEARSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Pattern: linear(linear(x, A), B) -> linear(x, matmul(B, A))
struct FusePair : OpRewritePattern<LinearOp> {
  FusePair(MLIRContext *context, DerivedWeights &weights) : OpRewritePattern(context), weights(weights) {}

  LogicalResult matchAndRewrite(LinearOp second, PatternRewriter &rewriter) const override {
    auto first = second.getInput().getDefiningOp<LinearOp>();
    if (!first)
      return rewriter.notifyMatchFailure(second, "does not follow another projection");
    auto declined = [&](LinearOp op, StringRef operand, const Twine &reason, const Twine &change) {
      return missed(rewriter, op, DEBUG_TYPE, operand, reason, change);
    };
    if (!first->hasOneUse())
      return declined(first, "result", "has another reader", "let the second projection be its only reader");
    if (!elementTypeOf(first).isF32())
      return declined(first, "result", "is rounded between the projections", "keep it in f32");
    for (LinearOp op : {first, second})
      for (Value weight : {Value(op.getWeight()), Value(op.getBias())}) {
        if (weight && !weightOf(weight))
          return declined(op, weight == op.getBias() ? "bias" : "weight", "is a value computed at run time",
                          "make it a transformer.weight");
        if (weight && !elementTypeOf(weight).isF32())
          return declined(op, weight == op.getBias() ? "bias" : "weight",
                          "is not stored in f32, so that the product would be rounded", "store it in f32");
      }
    auto a = cast<RankedTensorType>(first.getWeight().getType());  // [m, k]
    auto b = cast<RankedTensorType>(second.getWeight().getType()); // [n, m]
    auto type = RankedTensorType::get({b.getDimSize(0), a.getDimSize(1)}, rewriter.getF32Type());
    int64_t before = a.getNumElements() + b.getNumElements(), after = type.getNumElements();
    if (after > before)
      return declined(second, "weight",
                      "times that before it has " + Twine(after) + " elements, both " + Twine(before),
                      "keep both: two small projections are faster");
    passed(second, DEBUG_TYPE,
           "fused with " + placeOf(first.getLoc()) + ": " + Twine(after) + " weights instead of " +
               Twine(before));
    Location loc = second.getLoc();
    Value product = weights.get(rewriter, loc, DeriveKind::Matmul,
                                {weightOf(second.getWeight()), weightOf(first.getWeight())}, type);
    Value bias = fusedBias(rewriter, first, second);
    rewriter.replaceOpWithNewOp<LinearOp>(second, second.getType(), first.getInput(), product, bias);
    return success();
  }

private:
  /// B a + b
  Value fusedBias(OpBuilder &builder, LinearOp first, LinearOp second) const {
    if (!first.getBias())
      return second.getBias();
    Location loc = second.getLoc();
    auto type = RankedTensorType::get({second.getType().getShape().back()}, builder.getF32Type());
    FlatSymbolRefAttr sources[] = {weightOf(second.getWeight()), weightOf(first.getBias())};
    if (!second.getBias())
      return weights.get(builder, loc, DeriveKind::Matmul, sources, type);
    FlatSymbolRefAttr through = weights.symbol(loc, DeriveKind::Matmul, sources, type);
    return weights.get(builder, loc, DeriveKind::Add, {weightOf(second.getBias()), through}, type);
  }

  DerivedWeights &weights;
};

void populateFuseLinearsPatterns(RewritePatternSet &patterns, DerivedWeights &weights) {
  patterns.add<FusePair>(patterns.getContext(), weights);
}

struct FuseLinears : transformer::impl::FuseLinearsPassBase<FuseLinears> {
  void runOnOperation() override {
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateFuseLinearsPatterns(patterns, weights);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
