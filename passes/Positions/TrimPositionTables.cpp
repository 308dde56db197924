//===- TrimPositionTables.cpp - tables no longer than positions ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   rope(x, cos[:131072], sin[:131072]), max_positions = 4096
//     -> rope(x, cos[:4096], sin[:4096])
//   embedding(positions, P[:1024]), max_positions = 256 -> embedding(positions, P[:256])
//
// A module says how many positions it is compiled for; rows beyond are never
// read. Tables that are computed are computed shorter, stored ones are cut, which
// is a view of the file.
//
// Runs early: what a table weighs may decide what becomes of it.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#define DEBUG_TYPE "transformer-trim-position-tables"

namespace mlir::transformer {
#define GEN_PASS_DEF_TRIMPOSITIONTABLESPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

/// The positions that the module says it is compiled for, or nothing.
static std::optional<int64_t> maxPositions(ModuleOp module) {
  auto model = module->getAttrOfType<DictionaryAttr>("transformer.model");
  auto positions = model ? model.getAs<IntegerAttr>("max_positions") : IntegerAttr();
  return positions ? std::optional(positions.getInt()) : std::nullopt;
}

namespace {

class Trimmer {
public:
  Trimmer(DerivedWeights &weights, int64_t positions) : weights(weights), positions(positions) {}

  /// Whether the table has too many rows and can be cut.
  LogicalResult check(Operation *op, OpOperand &table, PatternRewriter &rewriter) const {
    auto type = cast<RankedTensorType>(table.get().getType());
    if (type.isDynamicDim(0) || type.getDimSize(0) <= positions)
      return rewriter.notifyMatchFailure(op, "its table is no longer than positions");
    if (!weightOf(table.get()))
      return missed(rewriter, op, DEBUG_TYPE, "table", "is a value computed at run time",
                    "make it a transformer.weight");
    return success();
  }

  /// Replaces a table of too many rows in `op`.
  void trim(Operation *op, OpOperand &table, PatternRewriter &rewriter) const {
    auto type = cast<RankedTensorType>(table.get().getType());
    FlatSymbolRefAttr symbol = weightOf(table.get());
    RankedTensorType shorter = type.clone({positions, type.getDimSize(1)});
    rewriter.setInsertionPoint(op);
    Value rows = rowsOf(rewriter, op->getLoc(), symbol, shorter);
    passed(op, DEBUG_TYPE,
           Twine(positions) + " rows of " + symbol.getValue() + " instead of " + Twine(type.getDimSize(0)));
    rewriter.modifyOpInPlace(op, [&] { table.set(rows); });
  }

private:
  Value rowsOf(OpBuilder &builder, Location loc, FlatSymbolRefAttr symbol, RankedTensorType type) const {
    DeriveOp derive = weights.derivationOf(symbol);
    if (derive && derive.getSources().empty()) {
      // Computed row by row from their numbers: the first rows are those of a shorter table.
      SmallVector<NamedAttribute> parameters(derive->getDiscardableAttrs());
      return weights.get(builder, loc, derive.getKind(), {}, type, parameters, symbol.getValue());
    }
    NamedAttribute parameters[] = {{builder.getStringAttr("axis"), builder.getI64IntegerAttr(0)},
                                   {builder.getStringAttr("begin"), builder.getI64IntegerAttr(0)},
                                   {builder.getStringAttr("end"), builder.getI64IntegerAttr(positions)}};
    return weights.get(builder, loc, DeriveKind::Slice, symbol, type, parameters);
  }

  DerivedWeights &weights;
  int64_t positions;
};

/// Pattern: rope(x, cos, sin) -> rope(x, cos[:max_positions], sin[:max_positions])
struct TrimRope : OpRewritePattern<RopeOp> {
  TrimRope(MLIRContext *context, const Trimmer &trimmer) : OpRewritePattern(context), trimmer(trimmer) {}

  LogicalResult matchAndRewrite(RopeOp op, PatternRewriter &rewriter) const override {
    // Both or none: they have one shape.
    if (failed(trimmer.check(op, op.getCosMutable(), rewriter)) ||
        failed(trimmer.check(op, op.getSinMutable(), rewriter)))
      return failure();
    trimmer.trim(op, op.getCosMutable(), rewriter);
    trimmer.trim(op, op.getSinMutable(), rewriter);
    return success();
  }

  Trimmer trimmer;
};

/// Pattern: embedding(positions, P) -> embedding(positions, P[:max_positions])
struct TrimEmbedding : OpRewritePattern<EmbeddingOp> {
  TrimEmbedding(MLIRContext *context, const Trimmer &trimmer) : OpRewritePattern(context), trimmer(trimmer) {}

  LogicalResult matchAndRewrite(EmbeddingOp op, PatternRewriter &rewriter) const override {
    if (!arePositions(op.getIds()))
      return rewriter.notifyMatchFailure(op, "its ids are no positions");
    if (failed(trimmer.check(op, op.getTableMutable(), rewriter)))
      return failure();
    trimmer.trim(op, op.getTableMutable(), rewriter);
    return success();
  }

  Trimmer trimmer;
};

void populateTrimPositionTablesPatterns(RewritePatternSet &patterns, DerivedWeights &weights,
                                        int64_t positions) {
  patterns.add<TrimRope, TrimEmbedding>(patterns.getContext(), Trimmer(weights, positions));
}

struct TrimPositionTables : transformer::impl::TrimPositionTablesPassBase<TrimPositionTables> {
  void runOnOperation() override {
    std::optional<int64_t> positions = maxPositions(getOperation());
    if (!positions)
      return;
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateTrimPositionTablesPatterns(patterns, weights, *positions);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
