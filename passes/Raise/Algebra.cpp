//===- Algebra.cpp - sums of products of powers ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Raise/Expressions.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

/// Products of longer sums are no pattern's.
static constexpr size_t kMaxTerms = 32;

bool raise::isClose(double a, double b) {
  return a == b || std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b));
}

std::optional<double> Poly::constant() const {
  if (terms.empty())
    return 0.0;
  if (terms.size() == 1 && terms.front().factors.empty())
    return terms.front().scale;
  return std::nullopt;
}

const Atom *Poly::atom() const {
  if (terms.size() != 1 || terms.front().scale != 1 || terms.front().factors.size() != 1 ||
      terms.front().factors.front().power != 1)
    return nullptr;
  return terms.front().factors.front().atom;
}

const Atom *Algebra::make(Atom atom) {
  atoms.push_back(std::move(atom));
  return &atoms.back();
}

Poly Algebra::number(double value) {
  Poly poly;
  if (value != 0)
    poly.terms.push_back({value, {}});
  return poly;
}

Poly Algebra::element(Value tensor, const Place &at) {
  Atom atom;
  atom.access = {tensor, at};
  return {{{1, {{make(std::move(atom))}}}}};
}

Poly Algebra::position(const Index &index) {
  Poly result = number(static_cast<double>(index.offset));
  for (const Term &term : places.resolved(index).terms) {
    Atom atom;
    atom.kind = Atom::Variable;
    atom.var = term.var;
    overflow |= !term.scale.isStatic();
    addTerm({static_cast<double>(term.scale.factor), {{make(std::move(atom))}}}, result);
  }
  return result;
}

Poly Algebra::function(StringRef name, ArrayRef<Poly> operands, Value table) {
  Atom atom;
  atom.kind = Atom::Function;
  atom.access.tensor = table;
  atom.name = name;
  atom.operands.assign(operands.begin(), operands.end());
  return {{{1, {{make(std::move(atom))}}}}};
}

bool Algebra::equal(const Atom &a, const Atom &b) {
  if (&a == &b)
    return true;
  if (a.kind != b.kind)
    return false;
  switch (a.kind) {
  case Atom::Element:
    return places.equal(a.access, b.access);
  case Atom::Variable:
    return a.var == b.var;
  case Atom::Function:
    return a.name == b.name && a.access.tensor == b.access.tensor && a.operands.size() == b.operands.size() &&
           llvm::all_of(llvm::zip(a.operands, b.operands),
                        [&](auto pair) { return equal(std::get<0>(pair), std::get<1>(pair)); });
  }
  return false;
}

/// Whether `a` and `b` have the same elements in some order.
template <typename List, typename Equal>
static bool isPermutation(const List &a, const List &b, Equal equal) {
  if (a.size() != b.size())
    return false;
  SmallVector<bool> used(b.size());
  return llvm::all_of(a, [&](const auto &x) {
    for (auto [i, y] : llvm::enumerate(b))
      if (!used[i] && equal(x, y))
        return used[i] = true;
    return false;
  });
}

static bool sameFactors(Algebra &algebra, const Monomial &a, const Monomial &b) {
  return isPermutation(a.factors, b.factors, [&](const Factor &x, const Factor &y) {
    return x.power == y.power && algebra.equal(*x.atom, *y.atom);
  });
}

bool Algebra::equal(const Poly &a, const Poly &b) {
  return isPermutation(a.terms, b.terms, [&](const Monomial &x, const Monomial &y) {
    return isClose(x.scale, y.scale) && sameFactors(*this, x, y);
  });
}

void Algebra::addTerm(Monomial term, Poly &to) {
  for (Monomial &known : to.terms)
    if (sameFactors(*this, known, term)) {
      double sum = known.scale + term.scale;
      bool cancels = std::abs(sum) <= 1e-9 * std::abs(term.scale);
      known.scale = sum;
      if (cancels)
        to.terms.erase(&known);
      return;
    }
  overflow |= to.terms.size() >= kMaxTerms;
  if (!overflow)
    to.terms.push_back(std::move(term));
}

Poly Algebra::add(const Poly &a, const Poly &b) {
  Poly sum = a;
  for (const Monomial &term : b.terms)
    addTerm(term, sum);
  return sum;
}

Poly Algebra::scale(const Poly &a, double by) {
  if (by == 0)
    return {};
  Poly result = a;
  for (Monomial &term : result.terms)
    term.scale *= by;
  return result;
}

Poly Algebra::multiply(const Poly &a, const Poly &b) {
  Poly result;
  for (const Monomial &x : a.terms)
    for (const Monomial &y : b.terms) {
      Monomial product = x;
      product.scale *= y.scale;
      for (const Factor &factor : y.factors) {
        auto known = llvm::find_if(product.factors,
                                   [&](const Factor &other) { return equal(*other.atom, *factor.atom); });
        if (known == product.factors.end())
          product.factors.push_back(factor);
        else if ((known->power += factor.power) == 0)
          product.factors.erase(known);
      }
      addTerm(std::move(product), result);
    }
  return result;
}

Poly Algebra::power(const Poly &a, double exponent) {
  if (std::optional<double> value = a.constant())
    return number(std::pow(*value, exponent));
  bool isWhole = exponent == std::floor(exponent);
  if (a.terms.size() == 1) {
    const Monomial &term = a.terms.front();
    // (x^2)^(1/2) is not x, and a product of two negative factors has a root that they have not.
    bool isRoot = term.scale > 0 && term.factors.size() == 1 &&
                  (term.factors.front().power == 1 || term.factors.front().power == -1);
    if (isWhole || isRoot) {
      Monomial result = term;
      result.scale = std::pow(term.scale, exponent);
      for (Factor &factor : result.factors)
        factor.power *= exponent;
      return {{result}};
    }
  }
  if (isWhole && exponent > 0 && exponent <= 4) {
    Poly result = a;
    for (int i = 1; i < exponent; ++i)
      result = multiply(result, a);
    return result;
  }
  Poly sum = function("sum", a);
  sum.terms.front().factors.front().power = exponent;
  return sum;
}

Poly Algebra::substitute(const Poly &poly, Var *from, const Index &to) {
  Poly result;
  for (const Monomial &term : poly.terms) {
    Poly product = number(term.scale);
    for (const Factor &factor : term.factors) {
      const Atom &atom = *factor.atom;
      Poly changed;
      if (atom.kind == Atom::Element) {
        changed = element(atom.access.tensor, places.substitute(atom.access.at, from, to));
      } else if (atom.kind == Atom::Variable) {
        Index index{{{atom.var, Size{}}}, 0};
        changed = position(places.substitute(index, from, to));
      } else {
        SmallVector<Poly> operands = llvm::map_to_vector(
            atom.operands, [&](const Poly &operand) { return substitute(operand, from, to); });
        changed = function(atom.name, operands, atom.access.tensor);
      }
      if (factor.power != 1) {
        if (changed.terms.size() == 1 && changed.terms.front().factors.size() == 1)
          changed.terms.front().factors.front().power *= factor.power;
        else
          changed = power(changed, factor.power);
      }
      product = multiply(product, changed);
    }
    result = add(result, product);
  }
  return result;
}

void Algebra::collect(const Poly &poly, SmallVectorImpl<const Atom *> &elements) {
  for (const Monomial &term : poly.terms)
    for (const Factor &factor : term.factors) {
      if (factor.atom->kind == Atom::Element)
        elements.push_back(factor.atom);
      for (const Poly &operand : factor.atom->operands)
        collect(operand, elements);
    }
}
