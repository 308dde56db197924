//===- Layout.h - tensors in the order that an op asks for ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_RAISE_LAYOUT_H
#define PASSES_RAISE_LAYOUT_H

#include "passes/Raise/Places.h"

#include "mlir/IR/PatternMatch.h"

namespace mlir::transformer::raise {

/// How elements of a tensor become a tensor whose element at `target` is `access`,
/// by a slice, a reshape, a transpose and a reshape, each where needed.
class Layout {
public:
  /// Nothing where they cannot: elements repeat, or lie apart.
  static std::optional<Layout> of(Places &places, const Access &access, const Place &target);

  /// Whether all elements of the source are wanted.
  bool isWhole() const { return !isSliced; }
  bool isPermuted() const { return !llvm::is_sorted(permutation); }
  /// How many ops `create` makes.
  int64_t cost() const;
  Value create(OpBuilder &builder, Location loc) const;

private:
  using Group = SmallVector<Var *, 2>; // digits of one dimension, from the outermost

  /// Sets the dimensions of the transpose, from the digits in the order of the source and of the target.
  void setBlocks(ArrayRef<Var *> given, ArrayRef<Var *> wanted, bool keepDimensions);
  Value slice(OpBuilder &builder, Location loc) const;
  static SmallVector<SmallVector<Group>> reshapes(ArrayRef<Group> from, ArrayRef<Group> to);
  /// `value` of dimensions `from` as dimensions `to` of the same digits in the same order.
  static Value reshape(OpBuilder &builder, Location loc, Value value, ArrayRef<Group> from,
                       ArrayRef<Group> to);

  Value source;
  SmallVector<Group> from, to;
  /// The offset along each dimension; the sizes are those of `from`.
  SmallVector<int64_t> offsets;
  bool isSliced = false;
  /// Groups that stay together, in the source's order and in the target's.
  SmallVector<Group> blocks, permuted;
  SmallVector<int64_t> permutation;
};

/// Replaces `op`, whose only result's element at `place` is `access`'s; false where it cannot.
LogicalResult replaceWith(RewriterBase &rewriter, Operation *op, Places &places, const Access &access,
                          const Place &place);

} // namespace mlir::transformer::raise

#endif // PASSES_RAISE_LAYOUT_H
