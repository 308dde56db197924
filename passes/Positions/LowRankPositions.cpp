//===- LowRankPositions.cpp - learned positions as two small tables --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   embedding(positions, P) -> linear(embedding(positions, L), R^T), P ~ L R of rank r
//
// Learned tables of positions are smooth, hence of low rank. Lossy, so in no
// level's pipeline: asked for with a rank and with a bound on the error, which is
// checked when the factors are computed.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#define DEBUG_TYPE "transformer-low-rank-positions"

namespace mlir::transformer {
#define GEN_PASS_DEF_LOWRANKPOSITIONSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Pattern: embedding(positions, P) -> linear(embedding(positions, left(P)), transpose(right(P)))
struct Factorize : OpRewritePattern<EmbeddingOp> {
  Factorize(MLIRContext *context, DerivedWeights &weights, int64_t rank, double maxError)
      : OpRewritePattern(context), weights(weights), rank(rank), maxError(maxError) {}

  LogicalResult matchAndRewrite(EmbeddingOp op, PatternRewriter &rewriter) const override {
    if (!arePositions(op.getIds()))
      return rewriter.notifyMatchFailure(op, "its ids are no positions");
    FlatSymbolRefAttr table = weightOf(op.getTable());
    if (!table)
      return missed(rewriter, op, DEBUG_TYPE, "table", "is a value computed at run time",
                    "make it a transformer.weight");
    RankedTensorType type = weights.typeOf(table);
    int64_t rows = type.getDimSize(0), width = type.getDimSize(1);
    int64_t factors = rank * (rows + width), whole = rows * width;
    if (rank > std::min(rows, width) || factors >= whole)
      return missed(rewriter, op, DEBUG_TYPE, "table",
                    "has " + Twine(whole) + " elements, its factors of rank " + Twine(rank) + " " +
                        Twine(factors),
                    "ask for a rank below " + Twine((whole + rows + width - 1) / (rows + width)));
    Type f32 = rewriter.getF32Type();
    Location loc = op.getLoc();
    Value left = weights.get(rewriter, loc, DeriveKind::Factorize, table,
                             RankedTensorType::get({rows, rank}, f32), parametersOf(rewriter, "left"));
    FlatSymbolRefAttr right =
        weights.symbol(loc, DeriveKind::Factorize, table, RankedTensorType::get({rank, width}, f32),
                       parametersOf(rewriter, "right"));
    Value matrix =
        weights.get(rewriter, loc, DeriveKind::Transpose, right, RankedTensorType::get({width, rank}, f32));
    SmallVector<int64_t> shape(op.getType().getShape());
    shape.back() = rank;
    Value part = EmbeddingOp::create(rewriter, loc, RankedTensorType::get(shape, f32), op.getIds(), left);
    passed(op, DEBUG_TYPE,
           "factors of rank " + Twine(rank) + ": " + Twine(factors) + " weights instead of " + Twine(whole));
    rewriter.replaceOpWithNewOp<LinearOp>(op, op.getType(), part, matrix, Value());
    return success();
  }

private:
  SmallVector<NamedAttribute> parametersOf(Builder &builder, StringRef part) const {
    return {{builder.getStringAttr("rank"), builder.getI64IntegerAttr(rank)},
            {builder.getStringAttr("part"), builder.getStringAttr(part)},
            {builder.getStringAttr("max_error"), builder.getF64FloatAttr(maxError)}};
  }

  DerivedWeights &weights;
  int64_t rank;
  double maxError;
};

void populateLowRankPositionsPatterns(RewritePatternSet &patterns, DerivedWeights &weights, int64_t rank,
                                      double maxError) {
  patterns.add<Factorize>(patterns.getContext(), weights, rank, maxError);
}

struct LowRankPositions : transformer::impl::LowRankPositionsPassBase<LowRankPositions> {
  using LowRankPositionsPassBase::LowRankPositionsPassBase;

  void runOnOperation() override {
    if (rank < 1 || !(maxError >= 0)) {
      getOperation().emitError("expected a rank of 1 or more and a max-error of 0 or more, but got ")
          << rank.getValue() << " and " << maxError.getValue();
      return signalPassFailure();
    }
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateLowRankPositionsPatterns(patterns, weights, rank, maxError);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
