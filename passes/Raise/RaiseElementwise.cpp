//===- RaiseElementwise.cpp - sums and products of whole tensors ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   linalg.add(x, y), generic: x + y  -> arith.addf x, y
//
// Residual sums and gated products have one form for the passes that look for them.
//
// Runs after everything else was raised, so that nothing larger is taken apart.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Raise/Raising.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-raise-elementwise"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISEELEMENTWISEPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

/// Pattern: linalg.add(x, y) -> addf(x, y), and so for sub, mul and div
struct RaiseBinary : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;

  LogicalResult matchAndRewrite(linalg::LinalgOp op, PatternRewriter &rewriter) const override {
    if (op.getNumReductionLoops() != 0 || op->getNumResults() != 1 || !op.hasPureTensorSemantics() ||
        !llvm::hasNItems(*op.getBlock(), 2))
      return rewriter.notifyMatchFailure(op, "is not one op on elements");
    Operation *inner = &op.getBlock()->front();
    if (!isa<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp>(inner) ||
        op.getBlock()->getTerminator()->getOperand(0) != inner->getResult(0))
      return rewriter.notifyMatchFailure(op, "is not a sum, difference, product or quotient");
    AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
    Type type = op->getResult(0).getType();
    SmallVector<Value> operands;
    for (Value value : inner->getOperands()) {
      auto argument = dyn_cast<BlockArgument>(value);
      OpOperand *operand = argument ? op.getMatchingOpOperand(argument) : nullptr;
      if (!operand || operand->get().getType() != type || op.getMatchingIndexingMap(operand) != map ||
          !op.isDpsInput(operand))
        return rewriter.notifyMatchFailure(op, "an operand is not read element by element");
      operands.push_back(operand->get());
    }
    passed(op, DEBUG_TYPE, "raised to " + inner->getName().getStringRef());
    OperationState state(op.getLoc(), inner->getName(), operands, type, inner->getAttrs());
    rewriter.replaceOp(op, rewriter.create(state));
    return success();
  }
};

void populateRaiseElementwisePatterns(RewritePatternSet &patterns) {
  patterns.add<RaiseBinary>(patterns.getContext());
}

struct RaiseElementwise : transformer::impl::RaiseElementwisePassBase<RaiseElementwise> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateRaiseElementwisePatterns(patterns);
    applyFromLast(getOperation(), std::move(patterns));
  }
};

} // namespace
