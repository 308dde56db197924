//===- Raising.cpp - what all raising passes share ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Raise/Raising.h"

#include "passes/Rewriting.h"

#include "mlir/IR/Iterators.h"
#include "mlir/Rewrite/FrozenRewritePatternSet.h"
#include "mlir/Rewrite/PatternApplicator.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

void raise::applyFromLast(ModuleOp module, RewritePatternSet &&patterns) {
  FrozenRewritePatternSet frozen(std::move(patterns));
  PatternApplicator applicator(frozen);
  applicator.applyDefaultCostModel();
  PatternRewriter rewriter(module.getContext());
  for (auto function : module.getOps<func::FuncOp>()) {
    SmallVector<Operation *> ops;
    // Ops of regions belong to the op that holds them.
    for (Block &block : function.getBody())
      for (Operation &op : block)
        ops.push_back(&op);
    for (Operation *op : llvm::reverse(ops)) {
      if (isOpTriviallyDead(op)) {
        rewriter.eraseOp(op);
        continue;
      }
      rewriter.setInsertionPoint(op);
      (void)applicator.matchAndRewrite(op, rewriter);
    }
  }
  eraseUnused(module);
}

static bool isParallel(Operation *op) {
  auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
  return linalgOp && linalgOp.getNumReductionLoops() == 0 && op->getNumResults() == 1;
}

bool raise::movesElements(Operation *op) {
  return isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::ExtractSliceOp, tensor::ConcatOp,
             tensor::InsertSliceOp, tensor::CastOp, linalg::TransposeOp, linalg::BroadcastOp>(op);
}

bool raise::computesElements(Operation *op) {
  if (op->getNumResults() != 1 || isa<linalg::FillOp>(op) || movesElements(op))
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  return type && isa<FloatType>(type.getElementType()) &&
         (OpTrait::hasElementwiseMappableTraits(op) || isParallel(op));
}

Cone raise::coneOf(Value root, size_t limit) {
  Cone cone;
  SmallVector<Value> work{root};
  llvm::SmallPtrSet<Value, 32> seen{root};
  for (size_t i = 0; i < work.size(); ++i) {
    Operation *def = work[i].getDefiningOp();
    bool isInside = def && cone.ops.size() < limit &&
                    (OpTrait::hasElementwiseMappableTraits(def) || isParallel(def) || movesElements(def));
    if (i != 0 && (!isInside || !movesElements(def)) && !constantOf(work[i]))
      cone.sources.push_back(work[i]);
    if (!isInside)
      continue;
    cone.ops.push_back(def);
    auto add = [&](Value value) {
      if (isa<RankedTensorType>(value.getType()) && seen.insert(value).second)
        work.push_back(value);
    };
    if (auto linalgOp = dyn_cast<linalg::LinalgOp>(def)) {
      for (OpOperand *input : linalgOp.getDpsInputOperands())
        add(input->get());
      linalgOp.getBlock()->walk([&](tensor::ExtractOp extract) { add(extract.getTensor()); });
    } else {
      llvm::for_each(def->getOperands(), add);
    }
  }
  return cone;
}

Value raise::materialize(RewriterBase &rewriter, Location loc, Places &places, const Access &access,
                         const Place &place) {
  std::optional<Layout> layout = Layout::of(places, access, place);
  return layout ? layout->create(rewriter, loc) : Value();
}

Value raise::materializeBroadcast(RewriterBase &rewriter, Location loc, Places &places, const Access &access,
                                  const Place &place) {
  SmallVector<Var *> known = places.varsOf(access.at);
  Place kept;
  SmallVector<int64_t> added;
  SmallVector<OpFoldResult> sizes;
  for (auto [i, index] : llvm::enumerate(places.resolved(place))) {
    Size size;
    bool isKnown = !index.terms.empty();
    for (const Term &term : index.terms) {
      size = size * term.var->size;
      isKnown &= llvm::is_contained(known, term.var);
    }
    sizes.push_back(valueOf(rewriter, loc, size));
    if (isKnown)
      kept.push_back(index);
    else
      added.push_back(i);
  }
  Value value = materialize(rewriter, loc, places, access, kept);
  if (!value || added.empty())
    return value;
  Value init =
      tensor::EmptyOp::create(rewriter, loc, sizes, cast<RankedTensorType>(value.getType()).getElementType());
  return linalg::BroadcastOp::create(rewriter, loc, value, init, added).getResults().front();
}
