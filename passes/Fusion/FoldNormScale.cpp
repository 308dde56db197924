//===- FoldNormScale.cpp - a norm's weight becomes part of the next matrix -===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   linear(rms_norm(x, w), W) -> linear(rms_norm(x, 1), W diag(w))
//   linear(layer_norm(x, w, b), W, c) -> linear(layer_norm(x, 1), W diag(w), c + W b)
//
// One vector fewer to read in the norm, and a norm without weights is the same in
// every layer. Only where the product of the weights is stored as exactly as they
// are: in bf16 it would be rounded a second time.
//
// Runs after projections were merged and gated MLPs formed: a norm then has one
// reader with few weights.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#define DEBUG_TYPE "transformer-fold-norm-scale"

namespace mlir::transformer {
#define GEN_PASS_DEF_FOLDNORMSCALEPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// The operands of `reader` that are matrices applied to `normed`, or nothing
/// where it reads it in another way.
SmallVector<OpOperand *> matricesOf(Operation *reader, Value normed) {
  if (auto linear = dyn_cast<LinearOp>(reader); linear && linear.getInput() == normed)
    return {&linear.getWeightMutable()};
  if (auto mlp = dyn_cast<GatedMLPOp>(reader); mlp && mlp.getInput() == normed)
    return {&mlp.getGateMutable(), &mlp.getUpMutable()};
  return {};
}

struct Folding {
  DerivedWeights &weights;
  PatternRewriter &rewriter;

  /// Whether the weight is read in this function by `reader` alone.
  bool isReadOnlyBy(Value weight, Operation *reader) {
    SmallVector<Operation *> readers =
        weights.readersOf(weightOf(weight), reader->getParentOfType<func::FuncOp>());
    return llvm::all_of(readers, [&](Operation *op) { return op == reader; });
  }

  LogicalResult checkReader(Operation *norm, Operation *reader, bool hasBias) {
    auto declined = [&](StringRef operand, const Twine &reason, const Twine &change) {
      return missed(rewriter, reader, DEBUG_TYPE, operand, reason, change);
    };
    SmallVector<OpOperand *> matrices = matricesOf(reader, norm->getResult(0));
    if (matrices.empty())
      return missed(rewriter, norm, DEBUG_TYPE, "result", "is read by something that applies no matrix to it",
                    "give that reader a norm of its own");
    auto linear = dyn_cast<LinearOp>(reader);
    if (hasBias && !linear)
      return declined("bias", "the norm's bias would need one in transformer.gated_mlp",
                      "leave the norm's bias out");
    if (linear && linear.getBias() && hasBias &&
        (!weightOf(linear.getBias()) || !elementTypeOf(linear.getBias()).isF32()))
      return declined("bias", "is no weight stored in f32, so that the sum would be rounded",
                      "store it in f32");
    for (OpOperand *matrix : matrices) {
      if (!weightOf(matrix->get()))
        return declined("weight", "is a value computed at run time", "make it a transformer.weight");
      if (!elementTypeOf(matrix->get()).isF32())
        return declined("weight",
                        "is not stored in f32, so that its product with the norm's would be rounded",
                        "store it in f32");
      if (!isReadOnlyBy(matrix->get(), reader))
        return declined("weight", "has another reader, which needs it as it is", "give each reader a copy");
    }
    return success();
  }

  void fold(Operation *reader, Value normed, FlatSymbolRefAttr scale, FlatSymbolRefAttr bias) {
    rewriter.setInsertionPoint(reader);
    auto linear = dyn_cast<LinearOp>(reader);
    Location loc = reader->getLoc();
    Value addend = linear && bias ? biasThrough(linear, bias) : Value();
    for (OpOperand *matrix : matricesOf(reader, normed)) {
      FlatSymbolRefAttr symbol = weightOf(matrix->get());
      Value scaled =
          weights.get(rewriter, loc, DeriveKind::ScaleColumns, {symbol, scale}, weights.typeOf(symbol));
      rewriter.modifyOpInPlace(reader, [&] { matrix->set(scaled); });
    }
    if (addend)
      rewriter.modifyOpInPlace(reader, [&] { linear.getBiasMutable().assign(addend); });
  }

  /// c + W b
  Value biasThrough(LinearOp linear, FlatSymbolRefAttr bias) {
    auto type = RankedTensorType::get({linear.getType().getShape().back()}, rewriter.getF32Type());
    FlatSymbolRefAttr matrix = weightOf(linear.getWeight()), own = weightOf(linear.getBias());
    if (!own)
      return weights.get(rewriter, linear.getLoc(), DeriveKind::Matmul, {matrix, bias}, type);
    FlatSymbolRefAttr passed = weights.symbol(linear.getLoc(), DeriveKind::Matmul, {matrix, bias}, type);
    return weights.get(rewriter, linear.getLoc(), DeriveKind::Add, {own, passed}, type);
  }
};

Value biasOf(RMSNormOp) { return {}; }
Value biasOf(LayerNormOp norm) { return norm.getBias(); }

void setUnitScale(RMSNormOp norm, Value one) { norm.getScaleMutable().assign(one); }
void setUnitScale(LayerNormOp norm, Value one) {
  norm.getScaleMutable().assign(one);
  norm.getBiasMutable().clear();
}

/// Pattern: linear(rms_norm(x, w), W) -> linear(rms_norm(x, 1), scale_columns(W, w))
/// Pattern: linear(layer_norm(x, w, b), W, c) -> linear(layer_norm(x, 1), scale_columns(W, w), c + W b)
template <typename NormOp> struct FoldScale : OpRewritePattern<NormOp> {
  FoldScale(MLIRContext *context, DerivedWeights &weights)
      : OpRewritePattern<NormOp>(context), weights(weights) {}

  LogicalResult matchAndRewrite(NormOp norm, PatternRewriter &rewriter) const override {
    // Norms of heads are for attention; they have no matrix behind them.
    bool hasMatrix = llvm::any_of(
        norm->getUsers(), [&](Operation *reader) { return !matricesOf(reader, norm.getResult()).empty(); });
    FlatSymbolRefAttr scale = weightOf(norm.getScale()), bias = weightOf(biasOf(norm));
    if (!hasMatrix || !scale)
      return rewriter.notifyMatchFailure(norm, "is no norm with a weight before a projection");
    Folding folding{weights, rewriter};
    auto declined = [&](StringRef operand, const Twine &reason, const Twine &change) {
      return missed(rewriter, norm, DEBUG_TYPE, operand, reason, change);
    };
    if (!elementTypeOf(norm.getResult()).isF32())
      return declined("result", "is rounded before the projection, by which the scale would move",
                      "keep it in f32");
    if (biasOf(norm) && !bias)
      return declined("bias", "is a value computed at run time", "make it a transformer.weight");
    if (!folding.isReadOnlyBy(norm.getScale(), norm))
      return declined("scale", "has another reader, which needs it as it is", "give each reader a copy");
    llvm::SmallSetVector<Operation *, 4> readers(norm->user_begin(), norm->user_end());
    for (Operation *reader : readers)
      if (failed(folding.checkReader(norm, reader, bool(bias))))
        return failure();
    passed(norm, DEBUG_TYPE,
           "folded its weight into " + Twine(readers.size()) +
               (readers.size() == 1 ? " reader" : " readers"));
    for (Operation *reader : readers)
      folding.fold(reader, norm.getResult(), scale, bias);
    rewriter.setInsertionPoint(norm);
    auto type = cast<RankedTensorType>(norm.getScale().getType()).clone(rewriter.getF32Type());
    Value one = arith::ConstantOp::create(rewriter, norm.getLoc(), DenseElementsAttr::get(type, 1.0f));
    rewriter.modifyOpInPlace(norm, [&] { setUnitScale(norm, one); });
    return success();
  }

private:
  DerivedWeights &weights;
};

void populateFoldNormScalePatterns(RewritePatternSet &patterns, DerivedWeights &weights) {
  patterns.add<FoldScale<RMSNormOp>, FoldScale<LayerNormOp>>(patterns.getContext(), weights);
}

struct FoldNormScale : transformer::impl::FoldNormScalePassBase<FoldNormScale> {
  void runOnOperation() override {
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateFoldNormScalePatterns(patterns, weights);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
