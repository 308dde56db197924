//===- RaiseActivations.cpp - activations from their formulas -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   x / (1 + exp(-x))                                     -> activation silu
//   x / (1 + exp(-1.702 x))                               -> activation quick_gelu
//   x/2 (1 + erf(x / sqrt 2))                             -> activation gelu_erf
//   x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))         -> activation gelu_tanh
//   max(x, 0)                                             -> activation relu
//   any of these but the last, times y                    -> mulf(activation x, y)
//
// The formula of an element is compared, however its ops are spelled.
//
// Runs before linears are raised: what reads or makes the activation may still be
// in any form.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Raise/Raising.h"
#include "passes/Remarks.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

#define DEBUG_TYPE "transformer-raise-activations"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISEACTIVATIONSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

/// A formula that is an activation of `x`, or nearly: then `reason` and `change` say why not.
struct Match {
  std::optional<ActivationKind> kind;
  std::string reason, change;

  static Match is(ActivationKind kind) { return {kind, "", ""}; }
};

constexpr double kInverseRoot2 = 0.70710678118654752440, kRoot2OverPi = 0.79788456080286535588;

/// y x / (1 + exp(-a x)), and what a is.
std::optional<double> sigmoidFactor(Algebra &algebra, const Poly &poly, const Poly &x, const Poly &y) {
  if (poly.terms.size() != 1)
    return std::nullopt;
  for (const Factor &factor : poly.terms.front().factors) {
    if (!factor.atom->is("sum") || factor.power != -1)
      continue;
    // 1 + exp(-a x)
    for (const Monomial &term : factor.atom->operands.front().terms) {
      if (term.factors.size() != 1 || !term.factors.front().atom->is("exp"))
        continue;
      const Poly &exponent = term.factors.front().atom->operands.front();
      if (exponent.terms.size() != 1)
        continue;
      double a = -exponent.terms.front().scale;
      Poly exp = algebra.function("exp", algebra.scale(x, -a));
      Poly expected = algebra.multiply(x, algebra.power(algebra.add(algebra.number(1), exp), -1));
      if (algebra.equal(poly, algebra.multiply(expected, y)))
        return a;
    }
  }
  return std::nullopt;
}

/// y x/2 (1 + f(argument)), and the argument.
std::optional<Poly> geluArgument(Algebra &algebra, const Poly &poly, const Poly &x, const Poly &y,
                                 StringRef function) {
  for (const Monomial &term : poly.terms)
    for (const Factor &factor : term.factors) {
      if (!factor.atom->is(function))
        continue;
      const Poly &argument = factor.atom->operands.front();
      Poly sum = algebra.add(algebra.number(1), algebra.function(function, argument));
      if (algebra.equal(poly, algebra.multiply(algebra.multiply(algebra.scale(x, 0.5), y), sum)))
        return argument;
    }
  return std::nullopt;
}

bool isRelu(Algebra &algebra, const Poly &poly, const Poly &x) {
  const Atom *atom = poly.atom();
  if (!atom)
    return false;
  Poly zero = algebra.number(0);
  if (atom->is("max"))
    return (algebra.equal(atom->operands[0], x) && algebra.equal(atom->operands[1], zero)) ||
           (algebra.equal(atom->operands[1], x) && algebra.equal(atom->operands[0], zero));
  if (!atom->is("select"))
    return false;
  // select(x > 0, x, 0), select(x < 0, 0, x), and with the comparison turned round.
  const Atom *condition = atom->operands[0].atom();
  bool isPositive = condition && (condition->is("gt") || condition->is("ge"));
  if (!isPositive && !(condition && (condition->is("lt") || condition->is("le"))))
    return false;
  bool isTurned = algebra.equal(condition->operands[0], algebra.scale(x, -1));
  if (!isTurned && !algebra.equal(condition->operands[0], x))
    return false;
  unsigned kept = isPositive != isTurned ? 1 : 2;
  return algebra.equal(atom->operands[kept], x) && algebra.equal(atom->operands[3 - kept], zero);
}

/// An activation of x, times y.
Match matchActivation(Algebra &algebra, const Poly &poly, const Poly &x, const Poly &y) {
  if (y.constant() && isRelu(algebra, poly, x))
    return Match::is(ActivationKind::Relu);
  if (std::optional<double> a = sigmoidFactor(algebra, poly, x, y)) {
    if (isClose(*a, 1))
      return Match::is(ActivationKind::Silu);
    if (isClose(*a, 1.702))
      return Match::is(ActivationKind::QuickGelu);
    return {std::nullopt, "is " + std::to_string(*a) + " times x", "make it x, or 1.702 x for quick_gelu"};
  }
  if (std::optional<Poly> argument = geluArgument(algebra, poly, x, y, "erf")) {
    if (algebra.equal(*argument, algebra.scale(x, kInverseRoot2)))
      return Match::is(ActivationKind::GeluErf);
    return {std::nullopt, "is not x / sqrt 2", "multiply x by 0.70710678"};
  }
  if (std::optional<Poly> argument = geluArgument(algebra, poly, x, y, "tanh")) {
    Poly cubic = algebra.scale(algebra.power(x, 3), 0.044715);
    if (algebra.equal(*argument, algebra.scale(algebra.add(x, cubic), kRoot2OverPi)))
      return Match::is(ActivationKind::GeluTanh);
    return {std::nullopt, "is not sqrt(2/pi) (x + 0.044715 x^3)",
            "use 0.79788456 and 0.044715, which is what gelu_tanh means"};
  }
  return {};
}

/// Pattern: x / (1 + exp(-x)), x/2 (1 + erf(x / sqrt 2)), max(x, 0), … -> activation(x)
struct RaiseActivation : RewritePattern {
  explicit RaiseActivation(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!computesElements(op) || isa<ActivationOp>(op))
      return rewriter.notifyMatchFailure(op, "is not elementwise");
    Cone cone = coneOf(op->getResult(0));
    Operation *function = cone.find<math::ExpOp, math::ErfOp, math::TanhOp, arith::MaximumFOp,
                                    arith::MaxNumFOp, arith::SelectOp>();
    if (!function)
      return rewriter.notifyMatchFailure(op, "no function that an activation has is near");
    for (Value source : cone.sources) {
      Algebra algebra;
      Reader reader(algebra);
      reader.opaque = {source};
      Place place = algebra.places.everywhere(op->getResult(0));
      Poly poly = reader.read({op->getResult(0), place});
      std::optional<std::pair<Access, Poly>> inputs = inputsOf(algebra, poly, source);
      if (!inputs)
        continue;
      auto &[x, y] = *inputs;
      Match match = matchActivation(algebra, poly, algebra.element(x.tensor, x.at), y);
      if (match.kind)
        return replace(op, *match.kind, x, y, place, algebra.places, rewriter);
      if (!match.reason.empty())
        return missed(rewriter, op, DEBUG_TYPE, "argument", match.reason, match.change);
    }
    return rewriter.notifyMatchFailure(op, "is no activation of a value near by");
  }

private:
  /// The only element of `source` that is read, and the only other element, which may be a factor, or 1.
  static std::optional<std::pair<Access, Poly>> inputsOf(Algebra &algebra, const Poly &poly, Value source) {
    SmallVector<const Atom *> elements;
    algebra.collect(poly, elements);
    const Atom *x = nullptr, *y = nullptr;
    for (const Atom *atom : elements) {
      const Atom *&slot = atom->access.tensor == source ? x : y;
      if (slot && !algebra.equal(*slot, *atom))
        return std::nullopt;
      slot = atom;
    }
    if (algebra.overflow || !x || poly.atom() == x)
      return std::nullopt;
    return std::pair(x->access, y ? algebra.element(y->access.tensor, y->access.at) : algebra.number(1));
  }

  static LogicalResult replace(Operation *op, ActivationKind kind, const Access &x, const Poly &y,
                               const Place &place, Places &places, PatternRewriter &rewriter) {
    std::optional<Layout> layout = Layout::of(places, x, place);
    if (!layout)
      return rewriter.notifyMatchFailure(op, "the value is repeated");
    passed(op, DEBUG_TYPE, "raised to " + stringifyActivationKind(kind));
    // In the order that x has, so that what moves elements is left to the readers; flattened
    // dimensions are apart, where x or the result has them apart.
    bool asResult = !layout->isWhole() || (!layout->isPermuted() && place.size() > x.at.size());
    Value input = asResult ? layout->create(rewriter, op->getLoc()) : x.tensor;
    auto type = RankedTensorType::get(cast<RankedTensorType>(input.getType()).getShape(),
                                      cast<RankedTensorType>(op->getResult(0).getType()).getElementType());
    Value value = ActivationOp::create(rewriter, op->getLoc(), type, kind, input);
    Access result{value, asResult ? place : x.at};
    if (y.constant())
      return replaceWith(rewriter, op, places, result, place);
    Value factor = materializeBroadcast(rewriter, op->getLoc(), places, y.atom()->access, place);
    Value moved = materialize(rewriter, op->getLoc(), places, result, place);
    if (!factor || !moved || factor.getType() != moved.getType() ||
        moved.getType() != op->getResult(0).getType())
      return rewriter.notifyMatchFailure(op, "the other factor is read in parts");
    rewriter.replaceOpWithNewOp<arith::MulFOp>(op, moved, factor);
    return success();
  }
};

void populateRaiseActivationsPatterns(RewritePatternSet &patterns) {
  patterns.add<RaiseActivation>(patterns.getContext());
}

struct RaiseActivations : transformer::impl::RaiseActivationsPassBase<RaiseActivations> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateRaiseActivationsPatterns(patterns);
    applyFromLast(getOperation(), std::move(patterns));
  }
};

} // namespace
