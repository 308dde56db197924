//===- InlineRules.cpp - what templates can inline ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/KernelTemplates.h"
#include "codegen/Common/Projection.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace mlir::transformer;

static bool isReduction(linalg::GenericOp op) { return op.getNumReductionLoops() != 0; }

//===----------------------------------------------------------------------===//
// Reads
//===----------------------------------------------------------------------===//

namespace {
/// One place where a value, or a view of it, is read.
struct Read {
  Operation *consumer;
  /// From the consumer's loops; null for what is no operand of a generic.
  AffineMap map;
  bool inRegion = false; ///< by tensor.extract
  bool inOrder = false;  ///< and at the indices of all loops, which may be clamped
};
} // namespace

/// Whether a read inside a region visits elements that the loops alone tell.
static bool hasLoopIndices(tensor::ExtractOp extract) {
  std::function<bool(Value)> known = [&](Value index) {
    Operation *def = index.getDefiningOp();
    if (!def)
      return index.getType().isIndex(); // an offset
    if (isa<linalg::IndexOp, arith::ConstantOp>(def))
      return true;
    return isa<arith::AddIOp, arith::SubIOp, arith::MinUIOp>(def) && llvm::all_of(def->getOperands(), known);
  };
  return llvm::all_of(extract.getIndices(), known);
}

/// Whether the loops of `consumer` visit the elements one after the other, the last perhaps several times.
static bool readsInOrder(tensor::ExtractOp extract, linalg::GenericOp consumer) {
  if (extract.getIndices().size() != consumer.getNumLoops())
    return false;
  for (auto [loop, index] : llvm::enumerate(extract.getIndices())) {
    if (auto clamp = index.getDefiningOp<arith::MinUIOp>(); clamp && getConstantIntValue(clamp.getRhs()))
      index = clamp.getLhs();
    auto own = index.getDefiningOp<linalg::IndexOp>();
    if (!own || own.getDim() != loop)
      return false;
  }
  return true;
}

/// Appends the reads of `value`; false where one is none that can be inlined.
static bool collectReads(Value value, const DispatchGroup &group, ArrayRef<Operation *> views,
                         SmallVectorImpl<Read> &reads) {
  for (OpOperand &use : value.getUses()) {
    Operation *user = use.getOwner();
    if (llvm::is_contained(views, user) ||
        (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(user) &&
         group.ops.contains(user))) {
      if (!collectReads(user->getResult(0), group, views, reads))
        return false;
      continue;
    }
    if (auto extract = dyn_cast<tensor::ExtractOp>(user)) {
      auto consumer = extract->getParentOfType<linalg::GenericOp>();
      if (!consumer || !group.ops.contains(consumer) || !hasLoopIndices(extract))
        return false;
      reads.push_back({consumer, AffineMap(), true, readsInOrder(extract, consumer)});
      continue;
    }
    if (!group.ops.contains(user))
      return false;
    if (auto generic = dyn_cast<linalg::GenericOp>(user)) {
      if (!generic.isDpsInput(&use))
        return false;
      reads.push_back({user, generic.getMatchingIndexingMap(&use)});
    } else {
      // A query, and keys and values of an append, are read once; those of an attention once
      // for each block of queries, where they are packed anyway. A bias is read in place.
      auto attention = dyn_cast<AttentionOp>(user);
      bool byRow = attention ? use.getOperandNumber() < 3 && use.get() != attention.getBias() &&
                                   use.get() != attention.getCache()
                             : isa<CacheAppendOp>(user);
      if (!byRow)
        return false;
      reads.push_back({user, AffineMap()});
    }
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

/// Whether the loops of `consumer` visit each element of the operand once.
static bool visitsOnce(linalg::GenericOp consumer, AffineMap map) {
  return map.isProjectedPermutation() && map.getNumResults() == consumer.getNumLoops();
}

static bool isRoot(const DispatchGroup &group, Operation *op) {
  auto generic = dyn_cast<linalg::GenericOp>(op);
  return generic && llvm::is_contained(group.roots, generic);
}

/// Whether what `value` is computed from, element by element, is a contraction that
/// nothing else reads: its own kernel computes this on the accumulators.
static bool continuesContraction(linalg::GenericOp op) {
  for (OpOperand *operand : op.getDpsInputOperands()) {
    auto producer = operand->get().getDefiningOp<linalg::GenericOp>();
    if (!producer || !op.getMatchingIndexingMap(operand).isIdentity() || !producer->hasOneUse())
      continue;
    if (isReduction(producer) ? Projection::match(producer).has_value() : continuesContraction(producer))
      return true;
  }
  return false;
}

/// Elementwise ops are computed again at each read.
static InlineAnswer inlineElementwise(const KernelTemplates &templates, const DispatchGroup &group,
                                      linalg::GenericOp producer, ArrayRef<Read> reads) {
  if (!producer.getIndexingMapsArray().back().isIdentity())
    return {Inlined::No, "its result is permuted"};
  Inlined how = Inlined::Elementwise;
  for (const Read &read : reads) {
    auto consumer = dyn_cast<linalg::GenericOp>(read.consumer);
    if (!consumer || group.prologue.contains(consumer)) {
      how = Inlined::Prologue;
      if (consumer && !read.inRegion && !visitsOnce(consumer, read.map))
        return {Inlined::No, "it is broadcast"};
      if (continuesContraction(producer))
        return {Inlined::No, "it is fused with the contraction that it reads"};
      continue;
    }
    if (isRoot(group, consumer) ||
        (consumer == group.output && isReduction(consumer) && Projection::match(consumer))) {
      // Each column of the contraction reads it: it is computed once, before.
      std::optional<Projection> projection = Projection::match(consumer);
      if (group.level < 2 || !projection || projection->input->get() != producer.getResult(0) ||
          !templates.canShareRows(*projection))
        return {Inlined::No, "each column of the contraction would compute it again"};
      if (continuesContraction(producer))
        return {Inlined::No, "it is fused with the contraction that it reads"};
      how = Inlined::Prologue;
      continue;
    }
    if (read.inOrder) {
      if (continuesContraction(producer))
        return {Inlined::No, "it is fused with the contraction that it reads"};
      continue;
    }
    // A few operations on integers, positions say, are cheaper again than stored.
    bool isInteger = getElementTypeOrSelf(producer.getResult(0).getType()).isIntOrIndex();
    bool repeats = isInteger && group.level >= 2 && read.map && read.map.isProjectedPermutation();
    if (read.inRegion || (!repeats && !visitsOnce(consumer, read.map)))
      return {Inlined::No, "it is broadcast, or read where its reader chooses"};
  }
  return {how};
}

/// A row reduction is computed once per row, before the row's elements.
static InlineAnswer inlineRowReduction(const DispatchGroup &group, linalg::GenericOp producer,
                                       ArrayRef<Read> reads) {
  if (producer.getNumReductionLoops() != 1)
    return {Inlined::No, "it reduces several dimensions"};
  bool inPrologue =
      llvm::all_of(reads, [&](const Read &read) { return group.prologue.contains(read.consumer); });
  if (inPrologue)
    return {Inlined::Prologue};
  auto output = dyn_cast<linalg::GenericOp>(group.output);
  if (!group.roots.empty() || !output || isReduction(output))
    return {Inlined::No, "no kernel reduces the rows of a contraction's result"};
  return {Inlined::Elementwise};
}

/// The accumulators of a contraction feed elementwise ops of the same shape.
static InlineAnswer inlineRoot(const KernelTemplates &templates, const DispatchGroup &group,
                               linalg::GenericOp producer, ArrayRef<Read> reads) {
  for (const Read &read : reads)
    if (!read.map || !read.map.isIdentity() || group.prologue.contains(read.consumer))
      return {Inlined::No, "it is not read element by element"};
  if (group.roots.empty()) {
    bool single = llvm::all_of(group.ops, [](Operation *op) {
      auto generic = dyn_cast<linalg::GenericOp>(op);
      return generic && !isReduction(generic);
    });
    return single ? InlineAnswer{Inlined::Root}
                  : InlineAnswer{Inlined::No, "no kernel reduces the rows of a contraction's result"};
  }
  std::optional<Projection> first = Projection::match(group.roots.front()),
                            other = Projection::match(producer);
  if (group.level < 2 || !first || !other || !templates.canShareRows(*first) ||
      !templates.canShareRows(*other))
    return {Inlined::No, "a kernel has one contraction"};
  if (first->input->get() != other->input->get() || first->weightType() != other->weightType())
    return {Inlined::No, "the contractions differ in what they multiply or in shape"};
  return {Inlined::Root};
}

InlineAnswer KernelTemplates::canInline(const DispatchGroup &group, linalg::GenericOp producer,
                                        ArrayRef<Operation *> views) const {
  if (producer.getNumResults() != 1)
    return {Inlined::No, "it has several results"};
  if (group.level < 2 && (!views.empty() || !isa<linalg::GenericOp>(group.output)))
    return {Inlined::No, "only elementwise neighbours are fused at this level"};
  SmallVector<Read> reads;
  if (!collectReads(producer.getResult(0), group, views, reads) || reads.empty())
    return {Inlined::No, "something outside the dispatch reads it too, or reads it more than once",
            llvm::any_of(producer->getUsers(), [&](Operation *user) { return isRoot(group, user); })};
  if (!isReduction(producer))
    return inlineElementwise(*this, group, producer, reads);
  bool rows = llvm::all_of(reads, [](const Read &read) {
    auto consumer = dyn_cast<linalg::GenericOp>(read.consumer);
    return consumer && read.map && read.map.isProjectedPermutation() && consumer.getNumLoops() > 0 &&
           !read.map.isFunctionOfDim(consumer.getNumLoops() - 1);
  });
  return rows ? inlineRowReduction(group, producer, reads) : inlineRoot(*this, group, producer, reads);
}
