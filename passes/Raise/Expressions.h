//===- Expressions.h - what an element of a tensor is ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// An element as a sum of products of powers of atoms. Commuted and re-associated
// sums and products, divisions, square roots written as rsqrt or as a power, and
// named, generic and elementwise ops are equal in this form, so that patterns
// compare formulas and not graphs.
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_RAISE_EXPRESSIONS_H
#define PASSES_RAISE_EXPRESSIONS_H

#include "passes/Raise/Places.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlir::transformer::raise {

struct Atom;

struct Factor {
  const Atom *atom;
  double power = 1;
};

struct Monomial {
  double scale = 1;
  SmallVector<Factor, 2> factors;
};

/// The sum of its terms.
struct Poly {
  SmallVector<Monomial, 2> terms;

  /// The value where there is nothing but a number.
  std::optional<double> constant() const;
  /// The atom where the formula is that atom alone.
  const Atom *atom() const;
};

/// What a formula does not look into: an element of a tensor, a variable, or a function of formulas.
struct Atom {
  enum Kind { Element, Variable, Function } kind = Element;
  Access access;                 // Element; of a "gather" the table
  Var *var = nullptr;            // Variable
  StringRef name;                // Function: "exp", "sum" (a sum to a power), "select", "sle", …
  SmallVector<Poly, 2> operands; // Function

  bool is(StringRef function) const { return kind == Function && name == function; }
};

/// Whether two constants are the same number as far as f32 tells.
bool isClose(double a, double b);

/// Makes formulas.
class Algebra {
public:
  Places places;

  static Poly number(double value);
  Poly element(Value tensor, const Place &at);
  Poly position(const Index &index);
  Poly function(StringRef name, ArrayRef<Poly> operands, Value table = {});

  Poly add(const Poly &a, const Poly &b);
  Poly subtract(const Poly &a, const Poly &b) { return add(a, scale(b, -1)); }
  Poly scale(const Poly &a, double by);
  Poly multiply(const Poly &a, const Poly &b);
  Poly power(const Poly &a, double exponent);

  bool equal(const Poly &a, const Poly &b);
  bool equal(const Atom &a, const Atom &b);

  /// `poly` with `to` in place of the variable `from`.
  Poly substitute(const Poly &poly, Var *from, const Index &to);

  /// All elements that the formula reads, also inside of functions.
  void collect(const Poly &poly, SmallVectorImpl<const Atom *> &elements);

  /// Whether an operation went beyond what formulas of patterns need; results are wrong then.
  bool overflow = false;

private:
  const Atom *make(Atom atom);
  void addTerm(Monomial term, Poly &to);

  std::deque<Atom> atoms;
};

/// A reduction over `vars` of `body`, to which `init` is added.
struct Reduction {
  bool isMax = false; // otherwise a sum
  SmallVector<Var *> vars;
  Poly body;
  Poly init;
};

/// Reads formulas off the IR.
class Reader {
public:
  explicit Reader(Algebra &algebra) : algebra(algebra) {}

  /// Tensors that are not looked into. What moves their elements is.
  SmallVector<Value, 4> opaque;
  /// What is looked into: ops that move elements; also sums that nobody else reads; also all arithmetic.
  enum Depth { Moves, Sums, Arithmetic } depth = Arithmetic;
  /// With `Sums`: the value that is looked into although others read it too.
  Value root;
  /// How many ops a formula may be made of.
  int fuel = 64;

  Poly read(const Access &access);
  /// The element of a reduction's result, or nothing where `access` is none.
  std::optional<Reduction> reduction(const Access &access);

private:
  struct Body {
    linalg::LinalgOp op;
    Place loops;
  };

  Poly readOp(Operation *op, const Access &access);
  Poly scalar(Value value, Body *body);
  std::optional<Poly> apply(Operation *op, llvm::function_ref<Poly(Value)> operand);
  Poly operandOf(Body &body, OpOperand &operand);
  std::optional<Index> indexOf(const Poly &poly);

  Algebra &algebra;
};

/// The constant that every element of `value`, or `value` itself, is.
std::optional<double> constantOf(Value value);

} // namespace mlir::transformer::raise

#endif // PASSES_RAISE_EXPRESSIONS_H
