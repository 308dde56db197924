//===- RaiseEmbedding.cpp - embedding from gathers of rows ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   table[ids[.., s], d]  -> embedding ids, table
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Raise/Raising.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-raise-embedding"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISEEMBEDDINGPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

/// Pattern: table[ids[..], d] -> embedding(ids, table)
struct RaiseGather : RewritePattern {
  explicit RaiseGather(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!computesElements(op) || !isa<linalg::LinalgOp>(op))
      return rewriter.notifyMatchFailure(op, "computes no element");
    Algebra algebra;
    Places &places = algebra.places;
    Place place = places.everywhere(op->getResult(0));
    Poly poly = Reader(algebra).read({op->getResult(0), place});
    const Atom *gather = poly.atom();
    if (!gather || !gather->is("gather") || gather->operands.size() != 2)
      return rewriter.notifyMatchFailure(op, "is no gather of a table's rows");
    Value table = gather->access.tensor;
    auto declined = [&](StringRef operand, const Twine &reason, const Twine &change) {
      return missed(rewriter, op, DEBUG_TYPE, operand, reason, change);
    };
    const Atom *ids = gather->operands[0].atom(), *column = gather->operands[1].atom();
    if (ids && ids->kind == Atom::Variable && column && column->kind == Atom::Element)
      return declined("ids", "choose columns", "transpose the table");
    if (!ids || ids->kind != Atom::Element)
      return declined("ids", "are computed", "gather the rows that a tensor of ids names");
    if (!cast<RankedTensorType>(ids->access.tensor.getType()).getElementType().isInteger(32))
      return declined("ids", "are not i32", "narrow them before");
    // The column is the result's, all of it.
    int64_t width = cast<RankedTensorType>(table.getType()).getDimSize(1);
    if (!column || column->kind != Atom::Variable || column->var->size != Size{width, {}})
      return declined("column", "is not the result's", "gather whole rows");
    Place at = ids->access.at;
    at.push_back(Index{{{column->var, Size{}}}, 0});
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    std::optional<Layout> layout = Layout::of(places, {ids->access.tensor, ids->access.at}, ids->access.at);
    if (!layout || !layout->isWhole())
      return declined("ids", "are read in part", "slice them before");
    SmallVector<int64_t> shape(cast<RankedTensorType>(ids->access.tensor.getType()).getShape());
    shape.push_back(width);
    Value rows =
        EmbeddingOp::create(rewriter, op->getLoc(), RankedTensorType::get(shape, type.getElementType()),
                            ids->access.tensor, table);
    passed(op, DEBUG_TYPE, "raised to embedding");
    if (succeeded(replaceWith(rewriter, op, places, {rows, at}, place)))
      return success();
    return rewriter.notifyMatchFailure(op, "rows are repeated");
  }
};

void populateRaiseEmbeddingPatterns(RewritePatternSet &patterns) {
  patterns.add<RaiseGather>(patterns.getContext());
}

struct RaiseEmbedding : transformer::impl::RaiseEmbeddingPassBase<RaiseEmbedding> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateRaiseEmbeddingPatterns(patterns);
    applyFromLast(getOperation(), std::move(patterns));
  }
};

} // namespace
