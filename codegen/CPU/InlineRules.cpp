//===- InlineRules.cpp - what the CPU's templates can inline --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/KernelTemplates.h"

using namespace mlir;
using namespace mlir::transformer;

static bool isReduction(linalg::GenericOp op) { return op.getNumReductionLoops() != 0; }

/// Where `consumer` reads `value`, as maps from the consumer's loops; fails where
/// it reads it inside the region, which cannot be inlined.
static FailureOr<SmallVector<AffineMap>> readsOf(linalg::GenericOp consumer, Value value) {
  SmallVector<AffineMap> maps;
  unsigned uses = 0;
  for (OpOperand &use : value.getUses())
    uses += consumer->isAncestor(use.getOwner());
  for (OpOperand *operand : consumer.getDpsInputOperands())
    if (operand->get() == value)
      maps.push_back(consumer.getMatchingIndexingMap(operand));
  if (maps.size() != uses)
    return failure();
  return maps;
}

/// Whether the loops of `consumer` visit each element of the operand once.
static bool visitsOnce(linalg::GenericOp consumer, AffineMap map) {
  return map.isProjectedPermutation() && map.getNumResults() == consumer.getNumLoops();
}

namespace {
class CPUTemplates : public KernelTemplates {
public:
  bool canInline(const DispatchGroup &group, linalg::GenericOp producer) const override {
    auto output = dyn_cast<linalg::GenericOp>(group.output);
    if (!output || producer.getNumResults() != 1)
      return false;
    Value value = producer.getResult(0);
    SmallVector<std::pair<linalg::GenericOp, AffineMap>> reads;
    for (Operation *user : value.getUsers()) {
      // A read inside a region belongs to the generic around it.
      while (user && user->getBlock() != producer->getBlock())
        user = user->getParentOp();
      auto consumer = dyn_cast_or_null<linalg::GenericOp>(user);
      if (!consumer || !group.ops.contains(user))
        return false;
      FailureOr<SmallVector<AffineMap>> maps = readsOf(consumer, value);
      if (failed(maps))
        return false;
      for (AffineMap map : *maps)
        reads.push_back({consumer, map});
    }
    if (!isReduction(producer))
      // Elementwise producers are computed again at each read, so each read must
      // visit an element once; contractions read theirs many times.
      return producer.getIndexingMapsArray().back().isIdentity() &&
             llvm::all_of(reads, [](auto &read) { return visitsOnce(read.first, read.second); });

    // A row reduction is computed once per row before the inner loop; nothing of
    // it may depend on the inner loop.
    auto isRow = [](auto &read) {
      linalg::GenericOp consumer = read.first;
      return read.second.isProjectedPermutation() && consumer.getNumLoops() > 0 &&
             !read.second.isFunctionOfDim(consumer.getNumLoops() - 1);
    };
    if (llvm::all_of(reads, isRow))
      return !isReduction(output) && !group.root && producer.getNumReductionLoops() == 1;

    // The accumulators of a contraction feed elementwise ops of the same shape.
    bool single = llvm::all_of(group.ops, [](Operation *op) {
      auto generic = dyn_cast<linalg::GenericOp>(op);
      return generic && !isReduction(generic);
    });
    return !group.root && single && llvm::all_of(reads, [&](auto &read) { return read.second.isIdentity(); });
  }
};
} // namespace

const KernelTemplates &mlir::transformer::cpuTemplates() {
  static const CPUTemplates templates;
  return templates;
}
