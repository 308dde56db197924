//===- Attention.cpp - the parts of a written-out attention ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Raise/Attention.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

/// What a softmax of f32 cannot tell from minus infinity: exp underflows whatever
/// the visible scores are, as long as they stay below thousands.
static constexpr double kHidden = -1e4;

static Index indexOf(Var *var) { return Index{{{var, Size{}}}, 0}; }

/// The only variable that the index is, over all of the dimension.
static Var *wholeDimension(Places &places, const Index &index, Value tensor, int64_t dimension) {
  Index resolved = places.resolved(index);
  bool isWhole = resolved.terms.size() == 1 && resolved.offset == 0 && resolved.terms.front().scale.isOne() &&
                 resolved.terms.front().var->size == sizeOf(tensor, dimension);
  return isWhole ? resolved.terms.front().var : nullptr;
}

//===----------------------------------------------------------------------===//
// softmax
//===----------------------------------------------------------------------===//

/// The formula without the maximum that is subtracted from it over `key`, if there is one.
static Poly withoutMaximum(Algebra &algebra, const Poly &exponent, Var *key) {
  for (const Monomial &term : exponent.terms) {
    if (term.scale != -1 || term.factors.size() != 1 || term.factors.front().power != 1 ||
        term.factors.front().atom->kind != Atom::Element)
      continue;
    Reader reader(algebra);
    reader.fuel = 256;
    std::optional<Reduction> maximum = reader.reduction(term.factors.front().atom->access);
    if (!maximum || !maximum->isMax || maximum->vars.size() != 1)
      continue;
    Poly logits = algebra.add(exponent, algebra.scale(Poly{{term}}, -1));
    if (algebra.equal(maximum->body, algebra.substitute(logits, key, indexOf(maximum->vars.front()))))
      return logits;
  }
  return exponent;
}

std::optional<Softmax> raise::matchSoftmax(Algebra &algebra, const Access &probabilities, NearMiss &miss) {
  Reader reader(algebra);
  reader.fuel = 256;
  if (auto softmax = probabilities.tensor.getDefiningOp<linalg::SoftmaxOp>()) {
    auto dimension = static_cast<int64_t>(softmax.getDimension());
    Var *key = wholeDimension(algebra.places, probabilities.at[dimension], softmax.getInput(), dimension);
    if (!key)
      return std::nullopt;
    return Softmax{reader.read({softmax.getInput(), probabilities.at}), key};
  }
  // exp(z) / sum(exp(z))
  Poly poly = reader.read(probabilities);
  if (poly.terms.size() != 1 || poly.terms.front().scale != 1 || poly.terms.front().factors.size() != 2)
    return std::nullopt;
  const Factor *exp = nullptr, *sum = nullptr;
  for (const Factor &factor : poly.terms.front().factors) {
    if (factor.atom->is("exp") && factor.power == 1)
      exp = &factor;
    if (factor.atom->kind == Atom::Element && factor.power == -1)
      sum = &factor;
  }
  if (!exp || !sum)
    return std::nullopt;
  std::optional<Reduction> total = reader.reduction(sum->atom->access);
  if (!total || total->isMax || total->vars.size() != 1 || total->init.constant() != 0.0)
    return std::nullopt;
  // Which of the variables becomes that of the sum.
  Poly exponent = exp->atom->operands.front();
  SmallVector<Var *> candidates = algebra.places.varsOf(probabilities.at);
  for (Var *key : candidates)
    if (key->size == total->vars.front()->size &&
        algebra.equal(total->body, algebra.function("exp", algebra.substitute(exponent, key,
                                                                              indexOf(total->vars.front())))))
      return Softmax{withoutMaximum(algebra, exponent, key), key};
  miss = {"softmax", "divides by a sum of other elements than its own exponentials",
          "sum the exponentials that are divided"};
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Masks
//===----------------------------------------------------------------------===//

/// A term of constants that a condition selects: what it adds where the condition holds, and where not.
struct Selected {
  const Atom *condition;
  double whenTrue, whenFalse;
};

static std::optional<Selected> selectedBy(const Monomial &term) {
  if (term.factors.size() != 1 || term.factors.front().power != 1 || !term.factors.front().atom->is("select"))
    return std::nullopt;
  const Atom &select = *term.factors.front().atom;
  std::optional<double> a = select.operands[1].constant(), b = select.operands[2].constant();
  const Atom *condition = select.operands[0].atom();
  if (!a || !b || !condition)
    return std::nullopt;
  auto scaled = [&](double value) { return value == 0 ? 0 : value * term.scale; };
  return Selected{condition, scaled(*a), scaled(*b)};
}

/// Strips select(condition, logits, hidden).
static bool stripSelect(Poly &poly, Visibility &visible, NearMiss &miss) {
  const Atom *select = poly.atom();
  if (!select || !select->is("select") || visible.condition)
    return false;
  std::optional<double> a = select->operands[1].constant(), b = select->operands[2].constant();
  if (a.has_value() == b.has_value())
    return false;
  if ((a ? *a : *b) > kHidden) {
    miss = {"mask", "leaves " + std::to_string(a ? *a : *b) + " in place of hidden scores",
            "use minus infinity, or a number below -1e4"};
    return false;
  }
  visible = {select->operands[0].atom(), a.has_value()};
  if (!visible.condition)
    return false;
  poly = Poly(select->operands[a ? 2 : 1]);
  return true;
}

/// Removes the terms that add a mask.
static bool stripAddedMask(Algebra &algebra, Poly &poly, Visibility &visible, NearMiss &miss) {
  Poly rest;
  double whenTrue = 0, whenFalse = 0;
  const Atom *condition = nullptr;
  for (const Monomial &term : poly.terms) {
    std::optional<Selected> selected = selectedBy(term);
    if (term.factors.empty()) {
      whenTrue += term.scale;
      whenFalse += term.scale;
    } else if (selected && (!condition || algebra.equal(*condition, *selected->condition))) {
      condition = selected->condition;
      whenTrue += selected->whenTrue;
      whenFalse += selected->whenFalse;
    } else {
      rest.terms.push_back(term);
    }
  }
  if (!condition)
    return true;
  double shown = std::max(whenTrue, whenFalse), hidden = std::min(whenTrue, whenFalse);
  if (std::abs(shown) > 1e-6 || hidden > kHidden) {
    miss = {"mask", "adds " + std::to_string(shown) + " or " + std::to_string(hidden),
            "add 0 to what is seen, and minus infinity or a number below -1e4 to what is hidden"};
    return false;
  }
  if (visible.condition) {
    miss = {"mask", "is applied twice", "apply one mask"};
    return false;
  }
  visible = {condition, whenFalse > whenTrue};
  poly = rest;
  return true;
}

/// A condition k - q <= bound, or its opposite.
struct Bound {
  int64_t bound;
  bool isUpper;
  Var *query, *key;
};

static std::optional<Bound> boundOf(const Atom &condition, Var *key) {
  if (condition.kind != Atom::Function || condition.operands.size() != 1)
    return std::nullopt;
  double offset = 0, sign = 0;
  Var *query = nullptr;
  for (const Monomial &term : condition.operands.front().terms) {
    if (term.factors.empty()) {
      offset = term.scale;
      continue;
    }
    const Atom *atom = term.factors.front().atom;
    if (term.factors.size() != 1 || atom->kind != Atom::Variable || std::abs(term.scale) != 1)
      return std::nullopt;
    if (atom->var == key)
      sign = term.scale;
    else if (!query)
      query = atom->var;
    else
      return std::nullopt;
  }
  if (sign == 0 || !query || condition.operands.front().terms.size() > 3)
    return std::nullopt;
  for (const Monomial &term : condition.operands.front().terms)
    if (!term.factors.empty() && term.factors.front().atom->var == query && term.scale != -sign)
      return std::nullopt;
  // sign (k - q) + offset, compared with 0, as k - q compared with -sign * offset.
  auto at = static_cast<int64_t>(-sign * offset);
  bool less = condition.is("lt"), lessEqual = condition.is("le"), greater = condition.is("gt"),
       greaterEqual = condition.is("ge");
  if (!less && !lessEqual && !greater && !greaterEqual)
    return std::nullopt;
  if (sign < 0) {
    std::swap(less, greater);
    std::swap(lessEqual, greaterEqual);
  }
  if (less || lessEqual)
    return Bound{less ? at - 1 : at, true, query, key};
  return Bound{greater ? at : at - 1, false, query, key};
}

/// The conditions that all have to hold; `isNegated` is pushed inwards as far as it goes.
static bool conjuncts(const Atom &condition, bool isNegated,
                      SmallVectorImpl<std::pair<const Atom *, bool>> &to) {
  if (condition.is("not")) {
    const Atom *inner = condition.operands[0].atom();
    return inner && conjuncts(*inner, !isNegated, to);
  }
  if (condition.is("and") && !isNegated)
    return llvm::all_of(condition.operands, [&](const Poly &operand) {
      return operand.atom() && conjuncts(*operand.atom(), false, to);
    });
  to.push_back({&condition, isNegated});
  return true;
}

Var *raise::queryOf(const Visibility &visible, Var *key) {
  SmallVector<std::pair<const Atom *, bool>> parts;
  if (!visible.condition || !conjuncts(*visible.condition, visible.isNegated, parts))
    return nullptr;
  for (auto [part, isNegated] : parts)
    if (std::optional<Bound> bound = boundOf(*part, key))
      return bound->query;
  return nullptr;
}

MaskAttr raise::maskOf(MLIRContext *context, const Visibility &visible, Var *query, Var *key,
                       NearMiss &miss) {
  if (!visible.condition)
    return MaskAttr::get(context, MaskKind::None, 0);
  NearMiss unknown{"mask", "is no condition on the distance of key and query",
                   "compare their positions, or add the mask as a bias"};
  SmallVector<std::pair<const Atom *, bool>> parts;
  std::optional<int64_t> last, before;
  if (!conjuncts(*visible.condition, visible.isNegated, parts)) {
    miss = unknown;
    return {};
  }
  for (auto [part, isNegated] : parts) {
    std::optional<Bound> bound = boundOf(*part, key);
    std::optional<int64_t> &side = bound && bound->isUpper != isNegated ? last : before;
    if (!bound || bound->query != query || side) {
      miss = unknown;
      return {};
    }
    side = bound->bound;
  }
  if (last != 0) {
    miss = {"mask",
            last ? "lets a query see keys up to position " + std::to_string(*last) + " from its own"
                 : "lets a query see keys behind its own position",
            "let it see keys up to its own position"};
    return {};
  }
  if (!before)
    return MaskAttr::get(context, MaskKind::Causal, 0);
  if (*before >= 0) {
    miss = {"mask", "hides a query's own position", "let the window begin before it"};
    return {};
  }
  return MaskAttr::get(context, MaskKind::Window, -*before);
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

std::optional<Logits> raise::matchLogits(Algebra &algebra, const Poly &poly, NearMiss &miss) {
  Logits logits;
  Poly rest = poly;
  while (stripSelect(rest, logits.visible, miss))
    ;
  if (miss.isSet() || !stripAddedMask(algebra, rest, logits.visible, miss))
    return std::nullopt;
  Reader reader(algebra);
  reader.depth = Reader::Moves;
  // scale * scores, or cap * tanh(scale / cap * scores)
  auto isScores = [&](const Poly &formula) {
    if (formula.terms.size() != 1 || formula.terms.front().factors.size() != 1)
      return false;
    const Factor &factor = formula.terms.front().factors.front();
    if (factor.power != 1 || factor.atom->kind != Atom::Element)
      return false;
    std::optional<Reduction> product = reader.reduction(factor.atom->access);
    return product && !product->isMax && product->body.terms.size() == 1;
  };
  Poly scores;
  SmallVector<Monomial> others;
  for (const Monomial &term : rest.terms) {
    Poly formula{{term}};
    const Atom *cap = term.factors.size() == 1 ? term.factors.front().atom : nullptr;
    bool isCapped = cap && cap->is("tanh") && isScores(cap->operands.front());
    if (!scores.terms.empty() || (!isCapped && !isScores(formula))) {
      others.push_back(term);
      continue;
    }
    if (isCapped)
      logits.softcap = term.scale;
    scores = isCapped ? algebra.scale(cap->operands.front(), term.scale) : formula;
  }
  if (scores.terms.empty())
    return std::nullopt;
  logits.scale = scores.terms.front().scale;
  logits.scores = scores.terms.front().factors.front().atom->access;
  if (others.empty())
    return logits;
  const Atom *bias = others.size() == 1 ? Poly{{others.front()}}.atom() : nullptr;
  if (!bias || bias->kind != Atom::Element) {
    miss = {"bias", "is more than one tensor", "add it up before it is added to the scores"};
    return std::nullopt;
  }
  logits.bias = bias->access;
  return logits;
}

std::pair<Access, double> raise::withoutScale(Algebra &algebra, Access access) {
  double scale = 1;
  access = algebra.places.follow(access);
  for (bool again = true; again;) {
    again = false;
    for (Value source : coneOf(access.tensor, 4).sources) {
      Reader reader(algebra);
      reader.opaque = {source};
      Poly poly = reader.read(access);
      if (poly.terms.size() != 1 || poly.terms.front().factors.size() != 1 ||
          poly.terms.front().factors.front().power != 1)
        continue;
      const Atom *atom = poly.terms.front().factors.front().atom;
      if (atom->kind != Atom::Element || atom->access.tensor != source)
        continue;
      scale *= poly.terms.front().scale;
      access = algebra.places.follow(atom->access);
      again = true;
      break;
    }
  }
  return {access, scale};
}
