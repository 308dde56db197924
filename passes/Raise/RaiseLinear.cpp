//===- RaiseLinear.cpp - linear from contractions with weights ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   sum_k x[.., k] W[n, k]      -> linear x, W
//   sum_k x[.., k] W[k, n]      -> linear x, transpose(W)
//   linear(x, W) + b[n]         -> linear x, W bias b
//
// Runs after attention was raised: what splits and merges heads lies between its
// ops and the projections, and is followed from here.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Passes.h"
#include "passes/Raise/Raising.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-raise-linear"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISELINEARPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

/// The digits of an index, from the outermost.
SmallVector<Var *> digitsOf(Places &places, const Index &index) {
  return llvm::map_to_vector(places.resolved(index).terms, [](const Term &term) { return term.var; });
}

/// A contraction with a matrix that is a weight.
struct Contraction {
  Places *places;
  Place place; // of the result
  Access x, weight;
  bool isTransposed;       // stored [in, out]
  SmallVector<Var *> n, k; // digits of the rows and columns of [out, in]
  Poly init;
};

/// The weight that an access reads, through a widening of its elements.
Access throughWidening(Places &places, Access access) {
  while (auto widen = access.tensor.getDefiningOp<arith::ExtFOp>())
    access = places.follow({widen.getIn(), access.at});
  return access;
}

/// Pattern: sum_k x[.., k] W[n, k] or x[.., k] W[k, n] -> linear(x, W) or linear(x, transpose(W))
struct RaiseContraction : OpInterfaceRewritePattern<linalg::LinalgOp> {
  RaiseContraction(MLIRContext *context, DerivedWeights &weights)
      : OpInterfaceRewritePattern(context), weights(weights) {}

  LogicalResult matchAndRewrite(linalg::LinalgOp op, PatternRewriter &rewriter) const override {
    if (op.getNumReductionLoops() == 0 || op->getNumResults() != 1 || !op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "is no reduction of tensors");
    Algebra algebra;
    Contraction contraction;
    if (failed(match(op, algebra, contraction, rewriter)))
      return failure();
    return replace(op, algebra, contraction, rewriter);
  }

private:
  LogicalResult match(linalg::LinalgOp op, Algebra &algebra, Contraction &c,
                      PatternRewriter &rewriter) const {
    Places &places = algebra.places;
    c.places = &places;
    c.place = places.everywhere(op->getResult(0));
    Reader reader(algebra);
    reader.depth = Reader::Moves;
    std::optional<Reduction> reduction = reader.reduction({op->getResult(0), c.place});
    if (!reduction || reduction->isMax || reduction->body.terms.size() != 1)
      return rewriter.notifyMatchFailure(op, "is no sum of products");
    const Monomial &product = reduction->body.terms.front();
    if (product.factors.size() != 2 || llvm::any_of(product.factors, [](const Factor &factor) {
          return factor.power != 1 || factor.atom->kind != Atom::Element;
        }))
      return rewriter.notifyMatchFailure(op, "is no sum of products of two tensors");
    c.init = reduction->init;
    for (unsigned i : {0, 1}) {
      c.x = product.factors[1 - i].atom->access;
      c.weight = throughWidening(places, product.factors[i].atom->access);
      if (!weightOf(c.weight.tensor))
        continue;
      if (weightOf(throughWidening(places, c.x).tensor))
        return rewriter.notifyMatchFailure(op, "is a product of weights");
      if (c.weight.at.size() != 2)
        return missed(rewriter, op, DEBUG_TYPE, "weight", "has rank " + Twine(c.weight.at.size()),
                      "store it as a matrix");
      if (!isClose(product.scale, 1))
        return missed(rewriter, op, DEBUG_TYPE, "product", "is scaled inside of the sum",
                      "scale the result or the weight");
      return checkPlaces(op, *reduction, c, rewriter);
    }
    return rewriter.notifyMatchFailure(op, "neither operand is a weight");
  }

  /// One dimension of the matrix is summed over, the other one is the result's alone.
  LogicalResult checkPlaces(Operation *op, const Reduction &reduction, Contraction &c,
                            PatternRewriter &rewriter) const {
    Places &places = *c.places;
    SmallVector<Var *> summed;
    for (Var *var : reduction.vars)
      for (Var *digit : digitsOf(places, Index{{{var, Size{}}}, 0}))
        summed.push_back(digit);
    SmallVector<Var *> inX = places.varsOf(c.x.at);
    auto isSummed = [&](Var *var) { return llvm::is_contained(summed, var); };
    for (unsigned row : {0, 1}) {
      c.n = digitsOf(places, c.weight.at[row]);
      c.k = digitsOf(places, c.weight.at[1 - row]);
      c.isTransposed = row == 1;
      bool fits = c.k.size() == summed.size() && llvm::all_of(c.k, isSummed) && !c.k.empty() &&
                  llvm::none_of(c.n, isSummed) &&
                  llvm::none_of(c.n, [&](Var *var) { return llvm::is_contained(inX, var); });
      if (fits && places.equal(Places::begin(c.weight.at[row]), Places::composed(c.n)) &&
          places.equal(Places::begin(c.weight.at[1 - row]), Places::composed(c.k)))
        return success();
    }
    return rewriter.notifyMatchFailure(op, "the sum is not over one dimension of the weight");
  }

  LogicalResult replace(linalg::LinalgOp op, Algebra &algebra, Contraction &c,
                        PatternRewriter &rewriter) const {
    Places &places = algebra.places;
    Location loc = op.getLoc();
    Index n = Places::composed(c.n), k = Places::composed(c.k);
    // A dimension for each variable that x has beside the sum's: rows that were flattened are apart again.
    Place leading;
    for (const Index &index : places.resolved(c.x.at)) {
      for (const Term &term : index.terms)
        if (!llvm::is_contained(c.k, term.var))
          leading.push_back(Places::composed({term.var}));
      if (index.terms.empty())
        leading.push_back({});
    }
    Place input(leading), result(leading);
    input.push_back(k);
    result.push_back(n);
    std::optional<Layout> layout = Layout::of(places, c.x, input);
    // What `replaceWith` will ask, before anything is made.
    if (!layout)
      return rewriter.notifyMatchFailure(op, "x is repeated or lies apart");
    Value x = layout->create(rewriter, loc);
    Value weight = matrix(c, loc, rewriter);
    SmallVector<int64_t> shape(cast<RankedTensorType>(x.getType()).getShape());
    shape.back() = cast<RankedTensorType>(weight.getType()).getDimSize(0);
    auto resultType = cast<RankedTensorType>(op->getResult(0).getType());
    Value bias = biasOf(c, algebra);
    Value linear = LinearOp::create(rewriter, loc, RankedTensorType::get(shape, resultType.getElementType()),
                                    x, weight, bias);
    passed(op, DEBUG_TYPE,
           "raised to linear of " + Twine(shape.back()) + " columns" +
               (c.isTransposed ? " with the weight transposed" : ""));
    if (bias || c.init.constant() == 0.0)
      return replaceWith(rewriter, op, places, {linear, result}, c.place);
    Value moved = materialize(rewriter, loc, places, {linear, result}, c.place);
    rewriter.replaceOpWithNewOp<arith::AddFOp>(op, moved, op.getDpsInits().front());
    return success();
  }

  /// A vector along the rows of the matrix that the sum starts with.
  static Value biasOf(Contraction &c, Algebra &algebra) {
    const Atom *atom = c.init.atom();
    if (!atom || atom->kind != Atom::Element || atom->access.at.size() != 1 ||
        !algebra.places.equal(atom->access.at.front(), Places::composed(c.n)) ||
        cast<RankedTensorType>(atom->access.tensor.getType()).getDimSize(0) != rowsOf(c))
      return {};
    return atom->access.tensor;
  }

  static int64_t rowsOf(const Contraction &c) {
    int64_t rows = 1;
    for (Var *var : c.n)
      rows *= var->size.factor;
    return rows;
  }

  /// The weight as [out, in]: the part that is read, transposed where it is stored the other way.
  Value matrix(Contraction &c, Location loc, PatternRewriter &rewriter) const {
    FlatSymbolRefAttr symbol = weightOf(c.weight.tensor);
    RankedTensorType type = weights.typeOf(symbol);
    for (int64_t axis : {0, 1}) {
      int64_t begin = c.weight.at[axis].offset, size = 1;
      for (Var *var : (axis == 0) != c.isTransposed ? c.n : c.k)
        size *= var->size.factor;
      if (begin == 0 && size == type.getDimSize(axis))
        continue;
      SmallVector<int64_t> shape(type.getShape());
      shape[axis] = size;
      type = RankedTensorType::get(shape, type.getElementType());
      auto number = [&](StringRef name, int64_t value) {
        return NamedAttribute(rewriter.getStringAttr(name), rewriter.getI64IntegerAttr(value));
      };
      symbol = weights.symbol(loc, DeriveKind::Slice, symbol, type,
                              {number("axis", axis), number("begin", begin), number("end", begin + size)});
    }
    if (c.isTransposed) {
      type = RankedTensorType::get({type.getDimSize(1), type.getDimSize(0)}, type.getElementType());
      symbol = weights.symbol(loc, DeriveKind::Transpose, symbol, type);
    }
    return UseOp::create(rewriter, loc, type, symbol);
  }

  DerivedWeights &weights;
};

/// Pattern: linear(x, W) + b + … -> linear(x, W, b) + …
struct RaiseBias : RewritePattern {
  explicit RaiseBias(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!computesElements(op))
      return rewriter.notifyMatchFailure(op, "is not elementwise");
    Algebra algebra;
    Places &places = algebra.places;
    Reader reader(algebra);
    reader.depth = Reader::Sums;
    reader.root = op->getResult(0);
    Place place = places.everywhere(op->getResult(0));
    Poly sum = reader.read({op->getResult(0), place});
    if (algebra.overflow || sum.terms.size() < 2)
      return rewriter.notifyMatchFailure(op, "is no sum");
    SmallVector<Access, 4> leaves;
    for (const Monomial &term : sum.terms) {
      const Atom *atom = Poly{{term}}.atom();
      if (!atom || atom->kind != Atom::Element)
        return rewriter.notifyMatchFailure(op, "is a sum of other things than tensors");
      leaves.push_back(atom->access);
    }
    for (auto [i, projected] : llvm::enumerate(leaves))
      for (auto [j, bias] : llvm::enumerate(leaves))
        if (i != j && isBias(places, projected, bias))
          return replace(op, places, place, leaves, i, j, rewriter);
    return rewriter.notifyMatchFailure(op, "no linear meets a bias");
  }

private:
  static bool isBias(Places &places, const Access &projected, const Access &bias) {
    auto linear = projected.tensor.getDefiningOp<LinearOp>();
    return linear && !linear.getBias() && linear->hasOneUse() && bias.at.size() == 1 &&
           bias.at.front().offset == 0 && places.equal(projected.at.back(), bias.at.front()) &&
           cast<RankedTensorType>(bias.tensor.getType()).getDimSize(0) == linear.getType().getShape().back();
  }

  static LogicalResult replace(Operation *op, Places &places, const Place &place, ArrayRef<Access> leaves,
                               size_t projected, size_t bias, PatternRewriter &rewriter) {
    Location loc = op->getLoc();
    auto linear = leaves[projected].tensor.getDefiningOp<LinearOp>();
    // The others first: once something is made it has to be used.
    SmallVector<Value> others;
    for (auto [i, leaf] : llvm::enumerate(leaves)) {
      if (i == projected || i == bias)
        continue;
      Value value = materializeBroadcast(rewriter, loc, places, leaf, place);
      if (!value)
        return rewriter.notifyMatchFailure(op, "another part of the sum is read in parts");
      others.push_back(value);
    }
    Value biased = LinearOp::create(rewriter, linear.getLoc(), linear.getType(), linear.getInput(),
                                    linear.getWeight(), leaves[bias].tensor);
    Value value = materialize(rewriter, loc, places, {biased, leaves[projected].at}, place);
    if (!value)
      return rewriter.notifyMatchFailure(op, "the projection is read in parts");
    passed(op, DEBUG_TYPE, "added the bias to linear");
    Type type = op->getResult(0).getType();
    auto cast = [&](Value v) -> Value {
      return v.getType() == type ? v : tensor::CastOp::create(rewriter, loc, type, v).getResult();
    };
    value = cast(value);
    for (Value other : others)
      value = arith::AddFOp::create(rewriter, loc, value, cast(other));
    rewriter.replaceOp(op, value);
    return success();
  }
};

void populateRaiseLinearPatterns(RewritePatternSet &patterns, DerivedWeights &weights) {
  patterns.add<RaiseContraction>(patterns.getContext(), weights);
}

void populateRaiseBiasPatterns(RewritePatternSet &patterns) {
  patterns.add<RaiseBias>(patterns.getContext());
}

struct RaiseLinear : transformer::impl::RaiseLinearPassBase<RaiseLinear> {
  void runOnOperation() override {
    DerivedWeights weights(getOperation());
    RewritePatternSet contractions(&getContext()), biases(&getContext());
    populateRaiseLinearPatterns(contractions, weights);
    applyFromLast(getOperation(), std::move(contractions));
    // Sums are read before what they add; so biases wait until all contractions are raised.
    populateRaiseBiasPatterns(biases);
    applyFromLast(getOperation(), std::move(biases));
  }
};

} // namespace
