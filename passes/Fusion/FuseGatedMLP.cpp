//===- FuseGatedMLP.cpp - SwiGLU and GeGLU as one op ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   linear(act(linear(x, Wg)) * linear(x, Wu), Wd) -> gated_mlp act x, Wg, Wu, Wd
//
// Code generation computes gate and up in one kernel that reads x once, and the
// passes that follow see one op instead of six.
//
// Runs after fused gate and up matrices were split, and before norm scales are
// folded, which know this op.
//
//===----------------------------------------------------------------------===//

#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#define DEBUG_TYPE "transformer-fuse-gated-mlp"

namespace mlir::transformer {
#define GEN_PASS_DEF_FUSEGATEDMLPPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Pattern: linear(act(linear(x, Wg)) * linear(x, Wu), Wd) -> gated_mlp act x, Wg, Wu, Wd
struct FuseMLP : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(LinearOp down, PatternRewriter &rewriter) const override {
    Value stored = down.getInput(), wide = stored;
    if (auto round = stored.getDefiningOp<arith::TruncFOp>())
      wide = round.getIn();
    auto product = wide.getDefiningOp<arith::MulFOp>();
    if (!product)
      return rewriter.notifyMatchFailure(down, "its input is no product");
    // Either operand may be the gate.
    auto act = product.getLhs().getDefiningOp<ActivationOp>();
    Value other = product.getRhs();
    if (!act) {
      act = product.getRhs().getDefiningOp<ActivationOp>();
      other = product.getLhs();
    }
    if (!act)
      return rewriter.notifyMatchFailure(down, "the product has no activation");
    auto declined = [&](Operation *op, StringRef operand, const Twine &reason, const Twine &change) {
      return missed(rewriter, op, DEBUG_TYPE, operand, reason, change);
    };
    auto gate = act.getInput().getDefiningOp<LinearOp>(), up = other.getDefiningOp<LinearOp>();
    if (!gate || !up)
      return declined(product, gate ? "up" : "gate", "is not projected by a transformer.linear",
                      "project it from the MLP's input");
    if (gate.getInput() != up.getInput())
      return declined(product, "up", "is projected from another value than the gate",
                      "project both from one value");
    for (LinearOp linear : {gate, up, down})
      if (linear.getBias())
        return declined(linear, "bias", "is something transformer.gated_mlp does not have",
                        "leave the bias out or add it to the result");
    if (gate.getWeight().getType().getShape() != up.getWeight().getType().getShape())
      return declined(product, "up", "has another number of rows than the gate", "give both the same");
    for (Operation *op : {gate.getOperation(), act.getOperation(), up.getOperation(), product.getOperation(),
                          stored.getDefiningOp()})
      if (!op->hasOneUse())
        return declined(op, "result", "is read outside the MLP as well",
                        "compute it a second time for the other reader");
    for (Operation *op : {gate.getOperation(), act.getOperation(), up.getOperation(), product.getOperation()})
      if (!elementTypeOf(op->getResult(0)).isF32())
        return declined(op, "result", "is rounded before the product is", "keep it in f32 up to the product");
    if (elementTypeOf(stored) != elementTypeOf(gate.getInput()))
      return declined(product, "result", "is stored in another type than the MLP's input",
                      "round it to the input's type");
    Location loc = jointLoc({gate.getLoc(), up.getLoc(), down.getLoc()});
    passed(down, DEBUG_TYPE,
           "fused gate, up and down of " + Twine(gate.getType().getShape().back()) + " columns");
    rewriter.replaceOp(down, GatedMLPOp::create(rewriter, loc, down.getType(), act.getKind(), gate.getInput(),
                                                gate.getWeight(), up.getWeight(), down.getWeight()));
    return success();
  }
};

void populateFuseGatedMLPPatterns(RewritePatternSet &patterns) {
  patterns.add<FuseMLP>(patterns.getContext());
}

struct FuseGatedMLP : transformer::impl::FuseGatedMLPPassBase<FuseGatedMLP> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateFuseGatedMLPPatterns(patterns);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
