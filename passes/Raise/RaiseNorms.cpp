//===- RaiseNorms.cpp - rms_norm and layer_norm from their formulas -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   x (sum(x^2)/n + eps)^-1/2 w                 -> rms_norm x, w
//   (x - m) (v + eps)^-1/2 w + b                -> layer_norm x, w bias b
//     with m = sum(x)/n and v = sum((x - m)^2)/n or sum(x^2)/n - m^2
//
// The second form of the variance cancels where the mean is large beside it; the
// raised op, which subtracts first, is the more exact of the two.
//
// Runs first: nothing that it matches is made by another raising.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Passes.h"
#include "passes/Raise/Raising.h"
#include "passes/Remarks.h"

#include "mlir/Dialect/Math/IR/Math.h"

#define DEBUG_TYPE "transformer-raise-norms"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISENORMSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

/// What is known of a norm while it is matched.
struct Norm {
  Algebra algebra;
  Place place;
  Poly root;
  Access x;
  Var *column = nullptr; // the last dimension of x
  double epsilon = 0;
  Poly mean;    // 0 for rms_norm
  Poly inverse; // (variance + epsilon)^-1/2
  Value scale;  // null: 1
  bool plusOne = false;
  Value bias; // null: 0
};

/// All sums to a power in the formula.
SmallVector<Factor> sumsIn(const Poly &poly) {
  SmallVector<Factor> sums;
  for (const Monomial &term : poly.terms)
    for (const Factor &factor : term.factors)
      if (factor.atom->is("sum"))
        sums.push_back(factor);
  return sums;
}

/// sum over the last dimension of x of a formula of x, as the reductions that `variance` reads.
struct RowSum {
  const Atom *atom;
  Reduction reduction;
};

SmallVector<RowSum, 2> rowSumsIn(Norm &norm, Reader &reader, const Poly &poly) {
  SmallVector<const Atom *> elements;
  norm.algebra.collect(poly, elements);
  SmallVector<RowSum, 2> sums;
  for (const Atom *atom : elements)
    if (std::optional<Reduction> reduction = reader.reduction(atom->access))
      if (!reduction->isMax && reduction->vars.size() == 1 && reduction->init.constant() == 0.0)
        sums.push_back({atom, *reduction});
  return sums;
}

/// The formula of x with the variable of a row sum in place of the column.
Poly inRow(Norm &norm, const Poly &poly, Var *var) {
  return norm.algebra.substitute(poly, norm.column, Index{{{var, Size{}}}, 0});
}

/// Whether `variance` is sum(x^2)/n, sum((x - m)^2)/n or sum(x^2)/n - m^2; sets the mean.
bool matchVariance(Norm &norm, Reader &reader, const Poly &variance, double n) {
  Algebra &algebra = norm.algebra;
  Poly x = algebra.element(norm.x.tensor, norm.x.at);
  SmallVector<RowSum, 2> sums = rowSumsIn(norm, reader, variance);
  auto mean = [&](const RowSum &sum) {
    Poly expected = inRow(norm, x, sum.reduction.vars.front());
    return algebra.equal(sum.reduction.body, expected)
               ? std::optional(
                     algebra.scale(algebra.element(sum.atom->access.tensor, sum.atom->access.at), 1 / n))
               : std::nullopt;
  };
  for (const RowSum &squares : sums) {
    Poly average =
        algebra.scale(algebra.element(squares.atom->access.tensor, squares.atom->access.at), 1 / n);
    Poly row = inRow(norm, x, squares.reduction.vars.front());
    if (algebra.equal(squares.reduction.body, algebra.power(row, 2))) {
      if (algebra.equal(variance, average))
        return true;
      for (const RowSum &other : sums)
        if (std::optional<Poly> m = mean(other))
          if (algebra.equal(variance, algebra.subtract(average, algebra.power(*m, 2)))) {
            norm.mean = *m;
            return true;
          }
    }
    if (!algebra.equal(variance, average))
      continue;
    // The mean is read inside of the sum, where no variable but the column's changes its place.
    for (const RowSum &other : rowSumsIn(norm, reader, squares.reduction.body))
      if (std::optional<Poly> m = mean(other))
        if (algebra.equal(squares.reduction.body, algebra.power(algebra.subtract(row, *m), 2))) {
          norm.mean = *m;
          return true;
        }
  }
  return false;
}

/// A vector along the column, by itself.
Value columnVector(Norm &norm, const Atom &atom) {
  Index column{{{norm.column, Size{}}}, 0};
  if (atom.kind != Atom::Element || atom.access.at.size() != 1 ||
      !norm.algebra.places.equal(atom.access.at.front(), column) ||
      sizeOf(atom.access.tensor, 0) != norm.column->size)
    return {};
  return atom.access.tensor;
}

/// Whether the root is (x - mean) * inverse * scale + bias for some scale and bias.
bool matchRoot(Norm &norm) {
  Algebra &algebra = norm.algebra;
  Poly x = algebra.element(norm.x.tensor, norm.x.at);
  Poly normed = algebra.multiply(algebra.subtract(x, norm.mean), norm.inverse);
  SmallVector<const Atom *> elements, vectors{nullptr};
  algebra.collect(norm.root, elements);
  for (const Atom *atom : elements)
    if (columnVector(norm, *atom) &&
        llvm::none_of(vectors, [&](const Atom *known) { return known && algebra.equal(*known, *atom); }))
      vectors.push_back(atom);
  auto formula = [&](const Atom *atom) { return algebra.element(atom->access.tensor, atom->access.at); };
  for (const Atom *scale : vectors)
    for (bool plusOne : {false, true})
      for (const Atom *bias : vectors) {
        if (plusOne && (!scale || !scale->access.tensor.getDefiningOp<UseOp>()))
          continue;
        Poly factor = scale ? formula(scale) : algebra.number(1);
        Poly expected = algebra.multiply(normed, plusOne ? algebra.add(factor, algebra.number(1)) : factor);
        if (bias)
          expected = algebra.add(expected, formula(bias));
        if (!algebra.equal(norm.root, expected))
          continue;
        norm.scale = scale ? columnVector(norm, *scale) : Value();
        norm.bias = bias ? columnVector(norm, *bias) : Value();
        norm.plusOne = plusOne;
        return true;
      }
  return false;
}

/// Pattern: x (sum(x^2)/n + eps)^-1/2 w -> rms_norm(x, w)
/// Pattern: (x - m) (v + eps)^-1/2 w + b, with mean m and variance v -> layer_norm(x, w, b)
struct RaiseNorm : RewritePattern {
  RaiseNorm(MLIRContext *context, DerivedWeights &weights)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context), weights(weights) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!computesElements(op))
      return rewriter.notifyMatchFailure(op, "is not elementwise");
    Cone cone = coneOf(op->getResult(0));
    if (!cone.find<math::RsqrtOp, math::SqrtOp, math::PowFOp>())
      return rewriter.notifyMatchFailure(op, "no root is near");
    // A layer_norm of x is an rms_norm of x less its mean: the one that has a mean says more.
    std::optional<Norm> plain;
    for (Value source : cone.sources) {
      Norm norm;
      if (cast<RankedTensorType>(source.getType()).getRank() == 0 ||
          failed(match(op, source, norm, rewriter)))
        continue;
      if (!norm.mean.terms.empty())
        return replace(op, norm, rewriter);
      if (!plain)
        plain = std::move(norm);
    }
    if (plain)
      return replace(op, *plain, rewriter);
    return rewriter.notifyMatchFailure(op, "is no norm of a value near by");
  }

private:
  LogicalResult match(Operation *op, Value source, Norm &norm, PatternRewriter &rewriter) const {
    Algebra &algebra = norm.algebra;
    Reader reader(algebra);
    reader.opaque = {source};
    norm.place = algebra.places.everywhere(op->getResult(0));
    norm.root = reader.read({op->getResult(0), norm.place});
    SmallVector<const Atom *> elements;
    algebra.collect(norm.root, elements);
    auto found = llvm::find_if(elements, [&](const Atom *atom) { return atom->access.tensor == source; });
    if (algebra.overflow || found == elements.end())
      return failure();
    norm.x = (*found)->access;
    norm.x.at = algebra.places.resolved(norm.x.at);
    // The last dimension of x is one variable that runs over all of it.
    const Index &last = norm.x.at.back();
    if (last.terms.size() != 1 || last.offset != 0 || !last.terms.front().scale.isOne() ||
        last.terms.front().var->size != sizeOf(source, norm.x.at.size() - 1) ||
        !last.terms.front().var->size.isStatic())
      return failure();
    norm.column = last.terms.front().var;
    double n = static_cast<double>(norm.column->size.factor);
    for (const Factor &sum : sumsIn(norm.root)) {
      if (!isClose(sum.power, -0.5)) {
        if (isClose(sum.power, -1) && isRootPlusEpsilon(norm, reader, sum, n))
          return missed(rewriter, op, DEBUG_TYPE, "epsilon", "is added to the root",
                        "add it to the mean of squares, inside of the root");
        continue;
      }
      Poly inside = sum.atom->operands.front(), variance;
      for (const Monomial &term : inside.terms) {
        if (term.factors.empty())
          norm.epsilon = term.scale;
        else
          variance.terms.push_back(term);
      }
      norm.mean = {};
      if (norm.epsilon < 0 || !matchVariance(norm, reader, variance, n)) {
        if (std::optional<double> other = otherCount(norm, reader, variance, n))
          return missed(rewriter, op, DEBUG_TYPE, "mean",
                        "divides by " + Twine(static_cast<int64_t>(*other)) + " where the sum is of " +
                            Twine(norm.column->size.factor) + " elements",
                        "divide by their number");
        continue;
      }
      if (matchRootOf(norm, variance))
        return success();
    }
    return failure();
  }

  /// What the variance divides by, where that is all that is wrong with it.
  static std::optional<double> otherCount(Norm &norm, Reader &reader, const Poly &variance, double n) {
    if (variance.terms.size() != 1)
      return std::nullopt;
    Poly mean = norm.algebra.scale(variance, 1 / (n * variance.terms.front().scale));
    double other = 1 / variance.terms.front().scale;
    return matchVariance(norm, reader, mean, n) && matchRootOf(norm, variance) ? std::optional(other)
                                                                               : std::nullopt;
  }

  /// Whether the rest is a norm with that variance.
  static bool matchRootOf(Norm &norm, const Poly &variance) {
    norm.inverse = norm.algebra.power(norm.algebra.add(variance, norm.algebra.number(norm.epsilon)), -0.5);
    return matchRoot(norm);
  }

  /// (root(mean of squares) + epsilon)^-1 times x.
  static bool isRootPlusEpsilon(Norm &norm, Reader &reader, const Factor &sum, double n) {
    for (const Monomial &term : sum.atom->operands.front().terms) {
      if (term.factors.size() != 1 || term.factors.front().power != 0.5)
        continue;
      Monomial square = term;
      square.scale *= square.scale;
      square.factors.front().power = 1;
      if (matchVariance(norm, reader, Poly{{square}}, n))
        return true;
    }
    return false;
  }

  LogicalResult replace(Operation *op, Norm &norm, PatternRewriter &rewriter) const {
    Places &places = norm.algebra.places;
    if (norm.mean.terms.empty() && norm.bias)
      return missed(rewriter, op, DEBUG_TYPE, "bias", "is something transformer.rms_norm does not have",
                    "add it to the norm's result");
    std::optional<Layout> layout = Layout::of(places, norm.x, norm.place);
    if (!layout)
      return rewriter.notifyMatchFailure(op, "the value is repeated");
    Location loc = op->getLoc();
    auto rootType = cast<RankedTensorType>(op->getResult(0).getType());
    Value x = norm.x.tensor;
    Place at = norm.x.at;
    if (!layout->isWhole()) {
      // A slice, with the column last.
      at.clear();
      for (const Index &index : places.resolved(norm.x.at))
        at.push_back({index.terms, 0});
      x = materialize(rewriter, loc, places, norm.x, at);
    }
    auto type =
        RankedTensorType::get(cast<RankedTensorType>(x.getType()).getShape(), rootType.getElementType());
    FloatAttr epsilon = rewriter.getF64FloatAttr(norm.epsilon);
    Value scale = scaleOf(norm, loc, rewriter), value;
    if (norm.mean.terms.empty()) {
      passed(op, DEBUG_TYPE, "raised to rms_norm");
      value = RMSNormOp::create(rewriter, loc, type, x, scale, epsilon);
    } else {
      passed(op, DEBUG_TYPE, "raised to layer_norm");
      value = LayerNormOp::create(rewriter, loc, type, x, scale, norm.bias, epsilon);
    }
    return replaceWith(rewriter, op, places, {value, at}, norm.place);
  }

  Value scaleOf(Norm &norm, Location loc, PatternRewriter &rewriter) const {
    int64_t n = norm.column->size.factor;
    auto type = RankedTensorType::get({n}, rewriter.getF32Type());
    NamedAttribute one(rewriter.getStringAttr("value"), rewriter.getF64FloatAttr(1));
    if (!norm.scale)
      return weights.get(rewriter, loc, DeriveKind::Fill, {}, type, one);
    if (norm.plusOne)
      return weights.get(rewriter, loc, DeriveKind::AddScalar, weightOf(norm.scale), type, one);
    return norm.scale;
  }

  DerivedWeights &weights;
};

void populateRaiseNormsPatterns(RewritePatternSet &patterns, DerivedWeights &weights) {
  patterns.add<RaiseNorm>(patterns.getContext(), weights);
}

struct RaiseNorms : transformer::impl::RaiseNormsPassBase<RaiseNorms> {
  void runOnOperation() override {
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateRaiseNormsPatterns(patterns, weights);
    applyFromLast(getOperation(), std::move(patterns));
  }
};

} // namespace
