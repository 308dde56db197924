//===- FormDispatches.cpp - groups of ops to shared functions -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// %s = generic sum_k x * W ; %y = generic %s + h  ->  %y = launch @dispatch ins(x, W, h)
//
// Runs on entry functions whose ops are linalg.generic, attention and cache
// appends. Walks backwards: each op that no group has taken yet is the output of
// a new group, which takes producers as long as nobody else reads them and the
// kernel template can inline them.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/KernelTemplates.h"
#include "codegen/Common/Outline.h"
#include "codegen/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

#define DEBUG_TYPE "transformer-form-dispatches"

namespace mlir::transformer {
#define GEN_PASS_DEF_FORMDISPATCHESPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Takes producers into the group until none can be inlined.
void grow(DispatchGroup &group, const llvm::DenseSet<Operation *> &taken, const KernelTemplates &templates) {
  bool changed = true;
  while (changed) {
    changed = false;
    // Of several candidates the last in program order comes first.
    SmallVector<linalg::GenericOp> candidates;
    for (Operation *op : group.ops)
      for (Value operand : op->getOperands())
        if (auto producer = operand.getDefiningOp<linalg::GenericOp>())
          if (!group.ops.contains(producer) && !taken.contains(producer) &&
              !llvm::is_contained(candidates, producer))
            candidates.push_back(producer);
    llvm::sort(candidates, [](linalg::GenericOp a, linalg::GenericOp b) { return b->isBeforeInBlock(a); });
    for (linalg::GenericOp producer : candidates) {
      if (!templates.canInline(group, producer))
        continue;
      auto rows = [&](OpOperand &use) {
        auto consumer = cast<linalg::GenericOp>(use.getOwner());
        return !consumer.getMatchingIndexingMap(&use).isIdentity();
      };
      if (producer.getNumReductionLoops() != 0 && !llvm::all_of(producer.getResult(0).getUses(), rows))
        group.root = producer;
      group.ops.insert(producer);
      changed = true;
      break;
    }
  }
}

struct FormDispatches : transformer::impl::FormDispatchesPassBase<FormDispatches> {
  void runOnOperation() override {
    Outliner outliner(getOperation());
    for (func::FuncOp entry : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (isEntry(entry) && failed(formIn(entry, outliner)))
        return signalPassFailure();
  }

  LogicalResult formIn(func::FuncOp entry, Outliner &outliner) {
    // The check before this pass lists everything; alone, it must not go wrong.
    if (!entry.getBody().hasOneBlock())
      return entry.emitOpError("expected one block: entry functions are straight-line code");
    Block &block = entry.getBody().front();
    copyUncomputedResults(block);
    llvm::DenseSet<Operation *> taken;
    std::vector<DispatchGroup> groups;
    for (Operation &op : llvm::reverse(block)) {
      if (taken.contains(&op) || !startsGroup(op))
        continue;
      DispatchGroup group{&op, {}, nullptr};
      group.ops.insert(&op);
      if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
        if (generic.getNumResults() != 1)
          return generic.emitOpError("expected one result: a dispatch computes one tensor");
        grow(group, taken, cpuTemplates());
      }
      taken.insert(group.ops.begin(), group.ops.end());
      groups.push_back(std::move(group));
    }
    for (DispatchGroup &group : llvm::reverse(groups))
      outliner.outline(group, entry.getSymName());
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isOpTriviallyDead(&op))
        op.erase();
    return success();
  }

  /// A result of the function that no dispatch would make (an argument, a weight, a
  /// length, a result returned before) is made by a copy.
  static void copyUncomputedResults(Block &block) {
    llvm::DenseSet<Value> returned;
    for (OpOperand &operand : block.getTerminator()->getOpOperands()) {
      Value value = operand.get(), source = value;
      if (!isa<RankedTensorType>(value.getType()))
        continue;
      while (Operation *def = source.getDefiningOp()) {
        if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(def))
          break;
        source = def->getOperand(0);
      }
      Operation *def = source.getDefiningOp();
      if (def && startsGroup(*def) && returned.insert(source).second)
        continue;
      // A length must be read before the cache grows, so the copy stands beside what it copies.
      OpBuilder b(block.getTerminator());
      b.setInsertionPointAfterValue(value);
      // Elements are read in the region: a generic that yields its operand folds away.
      operand.set(
          buildMap(b, value.getLoc(), value, {}, [&](OpBuilder &b, Location loc, ValueRange) -> Value {
            SmallVector<Value> at;
            for (int64_t i = 0, rank = cast<RankedTensorType>(value.getType()).getRank(); i < rank; ++i)
              at.push_back(linalg::IndexOp::create(b, loc, i));
            return tensor::ExtractOp::create(b, loc, value, at);
          }));
    }
  }

  /// A fill is a dispatch of its own only where it is not the start of a reduction.
  static bool startsGroup(Operation &op) {
    if (auto fill = dyn_cast<linalg::FillOp>(op))
      return llvm::any_of(fill->getUses(), [](OpOperand &use) {
        auto consumer = dyn_cast<linalg::GenericOp>(use.getOwner());
        return !consumer || !consumer.isDpsInit(&use);
      });
    return isa<linalg::GenericOp, AttentionOp, CacheAppendOp>(op);
  }
};

} // namespace
