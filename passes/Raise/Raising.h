//===- Raising.h - what all raising passes share --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_RAISE_RAISING_H
#define PASSES_RAISE_RAISING_H

#include "passes/Raise/Expressions.h"
#include "passes/Raise/Layout.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::transformer::raise {

/// Offers every op to the patterns once, the last first: what is found is as large
/// as it can be, and what was inside it is dead before it is looked at.
void applyFromLast(ModuleOp module, RewritePatternSet &&patterns);

/// The ops that make an element from others of their operands' tensors.
struct Cone {
  SmallVector<Operation *> ops;
  /// What they read, the nearest first; those that only move elements left out.
  SmallVector<Value> sources;

  /// Whether an op of the kinds is among them, or inside of one.
  template <typename... Ops> Operation *find() const {
    for (Operation *op : ops) {
      Operation *found = nullptr;
      op->walk([&](Operation *inner) {
        if (!isa<Ops...>(inner))
          return WalkResult::advance();
        found = inner;
        return WalkResult::interrupt();
      });
      if (found)
        return found;
    }
    return nullptr;
  }
};
Cone coneOf(Value root, size_t limit = 24);

/// Whether an op computes elements of one tensor of floats, without a reduction.
bool computesElements(Operation *op);
/// Whether an op only moves elements.
bool movesElements(Operation *op);

/// `access` in the order of `place`, or nothing where that needs more than moving elements.
Value materialize(RewriterBase &rewriter, Location loc, Places &places, const Access &access,
                  const Place &place);

/// The same, repeated along the dimensions of `place` that the access does not have.
Value materializeBroadcast(RewriterBase &rewriter, Location loc, Places &places, const Access &access,
                           const Place &place);

} // namespace mlir::transformer::raise

#endif // PASSES_RAISE_RAISING_H
