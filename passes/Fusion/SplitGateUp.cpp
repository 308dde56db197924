//===- SplitGateUp.cpp - gate and up as two projections again -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   h = linear(x, W); act(h[..., :n]) * h[..., n:]
//     -> act(linear(x, W[:n])) * linear(x, W[n:])
//
// Some checkpoints store both halves as one matrix. A kernel that computes gate
// and up together needs row i of one beside row i of the other, which two weights
// give and one matrix of all gates before all ups does not.
//
// Runs before gated MLPs are formed, which then meet one form.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#define DEBUG_TYPE "transformer-split-gate-up"

namespace mlir::transformer {
#define GEN_PASS_DEF_SPLITGATEUPPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

/// The product that reads the slice, directly or through elementwise ops of one reader each.
static Operation *productOf(Operation *slice) {
  Operation *op = slice;
  while (op->hasOneUse()) {
    op = *op->getUsers().begin();
    if (isa<arith::MulFOp>(op))
      return op;
    if (!isElementwise(op) || op->getNumOperands() != 1)
      return nullptr;
  }
  return nullptr;
}

namespace {

/// Pattern: act(linear(x, W)[:n]) * linear(x, W)[n:] -> act(linear(x, slice(W))) * linear(x, slice(W))
struct SplitHalves : OpRewritePattern<LinearOp> {
  SplitHalves(MLIRContext *context, DerivedWeights &weights) : OpRewritePattern(context), weights(weights) {}

  LogicalResult matchAndRewrite(LinearOp linear, PatternRewriter &rewriter) const override {
    SmallVector<LastSlice> slices;
    bool others = false;
    for (Operation *user : linear->getUsers()) {
      std::optional<LastSlice> slice = lastSliceOf(user);
      slice ? slices.push_back(*slice) : void(others = true);
    }
    llvm::sort(slices, [](const LastSlice &a, const LastSlice &b) { return a.begin < b.begin; });
    Operation *product = slices.size() == 2 ? productOf(slices[0].op) : nullptr;
    if (!product || product != productOf(slices[1].op))
      return rewriter.notifyMatchFailure(linear, "is not read by two slices that meet in a product");
    if (others)
      return missed(rewriter, linear, DEBUG_TYPE, "result", "has readers beside the two slices",
                    "let the slices be its only readers");
    if (slices[1].begin < slices[0].begin + slices[0].size)
      return missed(rewriter, linear, DEBUG_TYPE, "result", "is read by slices that overlap",
                    "slice two separate halves");
    FlatSymbolRefAttr weight = weightOf(linear.getWeight()), bias = weightOf(linear.getBias());
    if (!weight || (linear.getBias() && !bias))
      return missed(rewriter, linear, DEBUG_TYPE, weight ? "bias" : "weight",
                    "is a value computed at run time", "make it a transformer.weight");
    passed(linear, DEBUG_TYPE,
           "split into projections of " + Twine(slices[0].size) + " and " + Twine(slices[1].size) + " rows");
    rewriter.setInsertionPoint(linear);
    for (LastSlice slice : slices) {
      Location loc = slice.op.getLoc();
      Value rows = rowsOf(rewriter, loc, weight, slice);
      Value addend = bias ? rowsOf(rewriter, loc, bias, slice) : Value();
      rewriter.replaceAllUsesWith(slice.op.getResult(), LinearOp::create(rewriter, loc, slice.op.getType(),
                                                                         linear.getInput(), rows, addend));
    }
    return success();
  }

private:
  Value rowsOf(OpBuilder &builder, Location loc, FlatSymbolRefAttr symbol, LastSlice slice) const {
    RankedTensorType type = weights.typeOf(symbol);
    SmallVector<int64_t> shape(type.getShape());
    shape[0] = slice.size;
    NamedAttribute parameters[] = {
        {builder.getStringAttr("axis"), builder.getI64IntegerAttr(0)},
        {builder.getStringAttr("begin"), builder.getI64IntegerAttr(slice.begin)},
        {builder.getStringAttr("end"), builder.getI64IntegerAttr(slice.begin + slice.size)}};
    return weights.get(builder, loc, DeriveKind::Slice, symbol,
                       RankedTensorType::get(shape, type.getElementType()), parameters);
  }

  DerivedWeights &weights;
};

void populateSplitGateUpPatterns(RewritePatternSet &patterns, DerivedWeights &weights) {
  patterns.add<SplitHalves>(patterns.getContext(), weights);
}

struct SplitGateUp : transformer::impl::SplitGateUpPassBase<SplitGateUp> {
  void runOnOperation() override {
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateSplitGateUpPatterns(patterns, weights);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
