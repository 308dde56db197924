//===- Places.h - where an element of a tensor comes from -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The element of a tensor at the place (b, s, d) is an element of another tensor
// at a place made of the same variables, through transposes, broadcasts, reshapes,
// slices and concatenations. Raising compares places, so that it does not matter
// how a graph arranged them.
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_RAISE_PLACES_H
#define PASSES_RAISE_PLACES_H

#include "dialect/Transformer.h"

#include <deque>

namespace mlir::transformer::raise {

/// A size: a constant times dimensions that are known at run time only.
struct Size {
  int64_t factor = 1;
  /// (value, dimension), or (index value, -1); sorted.
  SmallVector<std::pair<Value, int64_t>, 1> symbols;

  bool operator==(const Size &other) const { return factor == other.factor && symbols == other.symbols; }
  bool operator!=(const Size &other) const { return !(*this == other); }
  bool isStatic() const { return symbols.empty(); }
  bool isOne() const { return isStatic() && factor == 1; }
  Size operator*(const Size &other) const;
  /// This over `other`, where that is whole for certain.
  std::optional<Size> over(const Size &other) const;
};

Size sizeOf(Value tensor, int64_t dimension);
Size sizeOf(OpFoldResult size);
/// The size as a value or constant at the builder's place.
OpFoldResult valueOf(OpBuilder &builder, Location loc, const Size &size);

/// Runs over [0, size). Where a reshape needs it, it is taken apart:
/// outer * inner.size + inner.
struct Var {
  Size size;
  unsigned number;
  Var *outer = nullptr, *inner = nullptr;
  /// Other sizes that an op which reads operands element by element requires to be the same.
  SmallVector<Size, 0> others;

  bool hasSize(const Size &other) const { return size == other || llvm::is_contained(others, other); }
};

struct Term {
  Var *var;
  Size scale;
};

/// offset + the sum of var * scale.
struct Index {
  SmallVector<Term, 2> terms;
  int64_t offset = 0;
};

using Place = SmallVector<Index, 4>;

/// An element of a tensor.
struct Access {
  Value tensor;
  Place at;
};

/// Makes variables and follows elements to where they come from.
class Places {
public:
  /// A variable over [0, size); the constant 0 where the size is 1.
  Index over(const Size &size);
  /// A variable for each dimension.
  Place everywhere(Value tensor);

  /// With variables as far apart as they were taken since, sorted from the largest scale to the smallest.
  Index resolved(const Index &index);
  Place resolved(const Place &place);
  SmallVector<Var *> varsOf(const Place &place);

  bool equal(const Index &a, const Index &b);
  bool equal(const Place &a, const Place &b);
  bool equal(const Access &a, const Access &b) { return a.tensor == b.tensor && equal(a.at, b.at); }

  /// The index whose digits are the variables, from the outermost.
  static Index composed(ArrayRef<Var *> digits);
  /// The index without its offset.
  static Index begin(const Index &index) { return {index.terms, 0}; }
  static Index sum(const Index &a, const Index &b);
  static Index scaled(const Index &index, const Size &by);
  static Index shifted(Index index, int64_t by);

  /// (index / size, index % size), taking variables apart where necessary.
  std::optional<std::pair<Index, Index>> divide(const Index &index, const Size &size);

  /// Notes that an op reads all of the tensor's dimensions at `at`.
  void readsAll(Value tensor, const Place &at);

  /// `index` with `to` in place of the variable `from`.
  Index substitute(const Index &index, Var *from, const Index &to);
  Place substitute(const Place &place, Var *from, const Index &to);

  /// One step towards where the element comes from, through an op that moves elements only.
  std::optional<Access> step(const Access &access);
  /// All steps.
  Access follow(Access access);

  /// The range of values, where it is known.
  std::optional<std::pair<int64_t, int64_t>> rangeOf(const Index &index);

private:
  std::optional<Place> expandStep(tensor::ExpandShapeOp op, const Place &at);
  std::optional<Place> collapseStep(tensor::CollapseShapeOp op, const Place &at);
  std::optional<Access> concatStep(tensor::ConcatOp op, const Place &at);
  std::optional<Access> insertStep(tensor::InsertSliceOp op, const Place &at);
  bool takeApart(Var *var, const Size &inner);
  void append(const Term &term, Index &to);

  std::deque<Var> vars;
};

} // namespace mlir::transformer::raise

#endif // PASSES_RAISE_PLACES_H
