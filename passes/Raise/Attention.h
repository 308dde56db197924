//===- Attention.h - the parts of a written-out attention -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_RAISE_ATTENTION_H
#define PASSES_RAISE_ATTENTION_H

#include "passes/Raise/Raising.h"

namespace mlir::transformer::raise {

/// Why something is nearly an attention.
struct NearMiss {
  std::string operand, reason, change;
  bool isSet() const { return !operand.empty(); }
};

/// A condition on (query, key): which keys are seen.
struct Visibility {
  const Atom *condition = nullptr; // null: all
  bool isNegated = false;          // the condition says which are hidden
};

/// What is given to a softmax, term by term.
struct Logits {
  Visibility visible;
  Access scores; // the element that sums products of queries and keys
  double scale = 1;
  std::optional<double> softcap;
  std::optional<Access> bias;
};

/// softmax over `key` of `logits`, or nothing where `probabilities` is none.
struct Softmax {
  Poly logits;
  Var *key;
};
std::optional<Softmax> matchSoftmax(Algebra &algebra, const Access &probabilities, NearMiss &miss);

/// Takes logits apart: mask, scale, cap, bias.
std::optional<Logits> matchLogits(Algebra &algebra, const Poly &poly, NearMiss &miss);

/// The mask that a condition on the variables of queries and keys is.
MaskAttr maskOf(MLIRContext *context, const Visibility &visible, Var *query, Var *key, NearMiss &miss);

/// The variable other than `key` that the condition compares it with, or null.
Var *queryOf(const Visibility &visible, Var *key);

/// A tensor that the element is a multiple of, and the factor: scales before the product.
std::pair<Access, double> withoutScale(Algebra &algebra, Access access);

} // namespace mlir::transformer::raise

#endif // PASSES_RAISE_ATTENTION_H
