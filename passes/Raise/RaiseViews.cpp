//===- RaiseViews.cpp - transposes and reshapes that undo each other ------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   transpose(collapse(expand(transpose(x))))  -> x, or the fewest ops that do the same
//
// Runs last of the raising: each raised op has the order that it wants, and what
// led from one to the next is often nothing.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Raise/Raising.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-raise-views"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISEVIEWSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

/// Pattern: transpose(expand(collapse(transpose(x)))) -> x
struct ShortenMoves : RewritePattern {
  explicit ShortenMoves(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (op->getNumResults() != 1 || !isa<RankedTensorType>(op->getResult(0).getType()) ||
        isa<tensor::CastOp>(op))
      return rewriter.notifyMatchFailure(op, "is no tensor, or only another type of one");
    Places places;
    Place place = places.everywhere(op->getResult(0));
    Access access{op->getResult(0), place};
    int64_t steps = 0;
    std::optional<Layout> best;
    int64_t saved = 0;
    while (std::optional<Access> next = places.step(access)) {
      access = *next;
      ++steps;
      std::optional<Layout> layout = Layout::of(places, access, place);
      if (layout && steps - layout->cost() > saved) {
        saved = steps - layout->cost();
        best = layout;
      }
    }
    if (!best)
      return rewriter.notifyMatchFailure(op, "cannot be shorter");
    passed(op, DEBUG_TYPE, Twine(saved) + " fewer reshapes and transposes");
    Value value = best->create(rewriter, op->getLoc());
    if (value.getType() != op->getResult(0).getType())
      value = tensor::CastOp::create(rewriter, op->getLoc(), op->getResult(0).getType(), value);
    rewriter.replaceOp(op, value);
    return success();
  }
};

void populateRaiseViewsPatterns(RewritePatternSet &patterns) {
  patterns.add<ShortenMoves>(patterns.getContext());
}

struct RaiseViews : transformer::impl::RaiseViewsPassBase<RaiseViews> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateRaiseViewsPatterns(patterns);
    applyFromLast(getOperation(), std::move(patterns));
  }
};

} // namespace
