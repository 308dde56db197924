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
// a new group, which takes producers, through reshapes, as long as nobody else
// reads them and the kernel template can inline them. What was computed before a
// kernel's own loops, and what nearly was, is told in remarks.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/KernelTemplates.h"
#include "codegen/Common/Outline.h"
#include "codegen/Common/Projection.h"
#include "codegen/Passes.h"
#include "passes/Remarks.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#define DEBUG_TYPE "transformer-form-dispatches"

namespace mlir::transformer {
#define GEN_PASS_DEF_FORMDISPATCHESPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

bool isView(Operation *op) {
  return isa_and_present<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op);
}

/// Grows a group by producers, from its output on.
class Grower {
public:
  Grower(DispatchGroup &group, const llvm::DenseSet<Operation *> &taken, const KernelTemplates &templates)
      : group(group), taken(taken), templates(templates) {
    if (auto generic = dyn_cast<linalg::GenericOp>(group.output))
      if (generic.getNumReductionLoops() != 0 && Projection::match(generic))
        group.roots.push_back(generic);
  }

  /// Takes producers until none can be inlined.
  void grow() {
    while (group.level > 0 && growOnce())
      ;
  }

private:
  struct Candidate {
    linalg::GenericOp producer;
    SmallVector<Operation *> views;
  };

  bool growOnce();
  std::optional<Candidate> producerOf(Value value) const;
  void take(Candidate &candidate, Inlined how);

  DispatchGroup &group;
  const llvm::DenseSet<Operation *> &taken;
  const KernelTemplates &templates;
  llvm::DenseSet<Operation *> told;
};

/// The generic that makes `value`, through reshapes.
std::optional<Grower::Candidate> Grower::producerOf(Value value) const {
  Candidate candidate;
  Operation *def = value.getDefiningOp();
  for (; isView(def); def = def->getOperand(0).getDefiningOp())
    if (!group.ops.contains(def))
      candidate.views.push_back(def);
  candidate.producer = dyn_cast_or_null<linalg::GenericOp>(def);
  if (!candidate.producer || group.ops.contains(candidate.producer) || taken.contains(candidate.producer))
    return std::nullopt;
  return candidate;
}

bool Grower::growOnce() {
  SmallVector<Candidate> candidates;
  auto add = [&](Value value) {
    std::optional<Candidate> candidate = producerOf(value);
    if (candidate && llvm::none_of(candidates, [&](auto &c) { return c.producer == candidate->producer; }))
      candidates.push_back(*candidate);
  };
  for (Operation *op : group.ops) {
    for (Value operand : op->getOperands())
      add(operand);
    if (auto generic = dyn_cast<linalg::GenericOp>(op))
      generic.getBody()->walk([&](tensor::ExtractOp extract) { add(extract.getTensor()); });
  }
  // Of several candidates the last in program order comes first.
  llvm::sort(candidates, [](auto &a, auto &b) { return b.producer->isBeforeInBlock(a.producer); });
  for (Candidate &candidate : candidates) {
    InlineAnswer answer = templates.canInline(group, candidate.producer, candidate.views);
    if (answer.how != Inlined::No) {
      take(candidate, answer.how);
      return true;
    }
    if (answer.nearMiss && told.insert(candidate.producer).second) {
      IRRewriter rewriter(candidate.producer.getContext());
      (void)missed(rewriter, candidate.producer, DEBUG_TYPE, "result", answer.reason,
                   "one reader would let that reader's kernel compute it");
    }
  }
  return false;
}

void Grower::take(Candidate &candidate, Inlined how) {
  group.ops.insert(candidate.views.begin(), candidate.views.end());
  group.ops.insert(candidate.producer);
  if (how == Inlined::Root)
    group.roots.push_back(candidate.producer);
  if (how == Inlined::Prologue) {
    group.prologue.insert(candidate.views.begin(), candidate.views.end());
    group.prologue.insert(candidate.producer);
    passed(candidate.producer, DEBUG_TYPE, "computed inside the kernel that reads it");
  }
}

struct FormDispatches : transformer::impl::FormDispatchesPassBase<FormDispatches> {
  using FormDispatchesPassBase::FormDispatchesPassBase;

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
      auto generic = dyn_cast<linalg::GenericOp>(op);
      if (generic && generic.getNumResults() != 1)
        return generic.emitOpError("expected one result: a dispatch computes one tensor");
      DispatchGroup group;
      group.output = &op;
      group.level = fusion;
      group.sequences = sequences;
      group.ops.insert(&op);
      if (!isa<linalg::FillOp>(op))
        Grower(group, taken, gpu ? gpuTemplates() : cpuTemplates()).grow();
      taken.insert(group.ops.begin(), group.ops.end());
      groups.push_back(std::move(group));
    }
    for (DispatchGroup &group : llvm::reverse(groups))
      outliner.outline(group, entry.getSymName());
    return eraseFused(entry);
  }

  /// What is fused is gone; sizes taken from it are those of what it was made from.
  LogicalResult eraseFused(func::FuncOp entry) {
    RewritePatternSet patterns(&getContext());
    tensor::DimOp::getCanonicalizationPatterns(patterns, &getContext());
    memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
    SmallVector<Operation *> sizes;
    entry.walk([&](tensor::DimOp dim) { sizes.push_back(dim); });
    GreedyRewriteConfig config;
    config.setStrictness(GreedyRewriteStrictness::ExistingAndNewOps);
    if (failed(applyOpPatternsGreedily(sizes, std::move(patterns), config)))
      return failure();
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(entry.getBody().front())))
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
