//===- Layout.cpp - tensors in the order that an op asks for --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Raise/Layout.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

/// The digits of an index over [0, their product), or nothing where it skips some or repeats.
static std::optional<SmallVector<Var *, 2>> digitsOf(const Index &resolved) {
  SmallVector<Var *, 2> digits;
  Size covered;
  for (const Term &term : llvm::reverse(resolved.terms)) {
    if (term.scale != covered)
      return std::nullopt;
    covered = covered * term.var->size;
    digits.insert(digits.begin(), term.var);
  }
  return digits;
}

static Size productOf(ArrayRef<Var *> digits) {
  Size product;
  for (Var *digit : digits)
    product = product * digit->size;
  return product;
}

std::optional<Layout> Layout::of(Places &places, const Access &access, const Place &target) {
  Layout layout;
  layout.source = access.tensor;
  for (auto [i, index] : llvm::enumerate(places.resolved(access.at))) {
    std::optional<Group> digits = digitsOf(index);
    if (!digits)
      return std::nullopt;
    layout.offsets.push_back(index.offset);
    Size size = sizeOf(access.tensor, i);
    bool isWhole = productOf(*digits) == size || (digits->size() == 1 && digits->front()->hasSize(size));
    layout.isSliced |= index.offset != 0 || !isWhole;
    layout.from.push_back(*digits);
  }
  SmallVector<Var *> wanted;
  for (const Index &index : places.resolved(target)) {
    std::optional<Group> digits = digitsOf(index);
    if (!digits || index.offset != 0)
      return std::nullopt;
    layout.to.push_back(*digits);
    llvm::append_range(wanted, *digits);
  }
  SmallVector<Var *> given;
  for (const Group &group : layout.from)
    llvm::append_range(given, group);
  if (given.size() != wanted.size())
    return std::nullopt;
  for (Var *var : wanted)
    if (llvm::count(given, var) != 1 || llvm::count(wanted, var) != 1)
      return std::nullopt;
  // Digits that follow each other in both orders may be one dimension of the transpose, or,
  // where that spares a reshape, keep the dimensions they have.
  layout.setBlocks(given, wanted, /*keepDimensions=*/true);
  Layout merged = layout;
  merged.setBlocks(given, wanted, /*keepDimensions=*/false);
  return merged.cost() < layout.cost() ? merged : layout;
}

void Layout::setBlocks(ArrayRef<Var *> given, ArrayRef<Var *> wanted, bool keepDimensions) {
  blocks.clear();
  permuted.clear();
  permutation.clear();
  llvm::SmallPtrSet<Var *, 8> begins;
  if (keepDimensions)
    for (ArrayRef<Group> groups : {ArrayRef<Group>(from), ArrayRef<Group>(to)})
      for (const Group &group : groups)
        if (!group.empty())
          begins.insert(group.front());
  for (auto [i, var] : llvm::enumerate(wanted)) {
    const auto *before = i == 0 ? given.end() : llvm::find(given, wanted[i - 1]);
    if (i != 0 && before + 1 != given.end() && *(before + 1) == var && !begins.contains(var))
      permuted.back().push_back(var);
    else
      permuted.push_back({var});
  }
  for (Var *var : given)
    for (const Group &group : permuted)
      if (group.front() == var)
        blocks.push_back(group);
  for (const Group &group : permuted)
    permutation.push_back(llvm::find(blocks, group) - blocks.begin());
}

/// Groups without those of one element.
static SmallVector<SmallVector<Var *, 2>> solid(ArrayRef<SmallVector<Var *, 2>> groups) {
  SmallVector<SmallVector<Var *, 2>> result;
  llvm::copy_if(groups, std::back_inserter(result), [](const auto &group) { return !group.empty(); });
  return result;
}

/// The groups in which the dimensions of `fine` make those of `coarse`, or nothing where they do not.
/// A dimension of one element is one of `coarse`'s, or belongs to the dimension behind it, or to the last.
static std::optional<SmallVector<ReassociationIndices>> groupsOf(ArrayRef<SmallVector<Var *, 2>> coarse,
                                                                 ArrayRef<SmallVector<Var *, 2>> fine) {
  SmallVector<ReassociationIndices> groups;
  auto isUnit = [](const auto &group) { return group.empty(); };
  size_t j = 0;
  for (size_t i = 0; i < coarse.size(); ++i) {
    ReassociationIndices group;
    if (coarse[i].empty()) {
      if (j == fine.size() || !fine[j].empty())
        return std::nullopt;
      group.push_back(j++);
    }
    for (size_t covered = 0; covered < coarse[i].size(); ++j) {
      if (j == fine.size() || covered + fine[j].size() > coarse[i].size() ||
          !llvm::equal(fine[j], ArrayRef(coarse[i]).slice(covered, fine[j].size())))
        return std::nullopt;
      covered += fine[j].size();
      group.push_back(j);
    }
    // Behind the last dimension with elements, those that `coarse` does not have.
    bool isLast = llvm::all_of(coarse.drop_front(i + 1), isUnit) && llvm::all_of(fine.drop_front(j), isUnit);
    while (isLast && fine.size() - j > coarse.size() - i - 1)
      group.push_back(j++);
    groups.push_back(group);
  }
  bool isRankZero = coarse.empty() && llvm::all_of(fine, isUnit);
  return j == fine.size() || isRankZero ? std::optional(groups) : std::nullopt;
}

/// The shapes on the way from `from` to `to`, which have the same digits in the
/// same order; each is the one before with dimensions joined, or taken apart.
SmallVector<SmallVector<Layout::Group>> Layout::reshapes(ArrayRef<Group> from, ArrayRef<Group> to) {
  SmallVector<SmallVector<Group>> steps;
  auto add = [&](ArrayRef<Group> next) {
    if (next != (steps.empty() ? from : ArrayRef<Group>(steps.back())))
      steps.emplace_back(next);
  };
  if (from == to)
    return steps;
  if (from.size() != to.size() && (groupsOf(from, to) || groupsOf(to, from))) {
    add(to);
    return steps;
  }
  SmallVector<Group> first = solid(from), last = solid(to), fine;
  // Apart wherever one of them is.
  llvm::SmallPtrSet<Var *, 8> begins;
  for (ArrayRef<Group> groups : {ArrayRef<Group>(first), ArrayRef<Group>(last)})
    for (const Group &group : groups)
      begins.insert(group.front());
  for (const Group &group : first)
    for (Var *var : group)
      if (begins.contains(var))
        fine.push_back({var});
      else
        fine.back().push_back(var);
  if (fine == first) {
    add(last);
  } else {
    add(first);
    if (fine != last) {
      add(fine);
      add(last);
    }
  }
  add(to);
  return steps;
}

int64_t Layout::cost() const {
  if (!isPermuted())
    return isSliced + reshapes(from, to).size();
  return isSliced + reshapes(from, blocks).size() + 1 + reshapes(permuted, to).size();
}

Value Layout::slice(OpBuilder &builder, Location loc) const {
  if (!isSliced)
    return source;
  SmallVector<OpFoldResult> begin, sizes, strides(from.size(), builder.getIndexAttr(1));
  for (auto [offset, group] : llvm::zip(offsets, from)) {
    begin.push_back(builder.getIndexAttr(offset));
    sizes.push_back(valueOf(builder, loc, productOf(group)));
  }
  return tensor::ExtractSliceOp::create(builder, loc, source, begin, sizes, strides);
}

Value Layout::reshape(OpBuilder &builder, Location loc, Value value, ArrayRef<Group> from,
                      ArrayRef<Group> to) {
  SmallVector<Group> before(from);
  for (const SmallVector<Group> &next : reshapes(from, to)) {
    SmallVector<int64_t> shape;
    SmallVector<OpFoldResult> sizes;
    for (const Group &group : next) {
      Size size = productOf(group);
      shape.push_back(size.isStatic() ? size.factor : ShapedType::kDynamic);
      sizes.push_back(size.isStatic() || next.size() < before.size() ? builder.getIndexAttr(size.factor)
                                                                     : valueOf(builder, loc, size));
    }
    auto type = RankedTensorType::get(shape, cast<RankedTensorType>(value.getType()).getElementType());
    if (next.size() < before.size())
      value = tensor::CollapseShapeOp::create(builder, loc, type, value, *groupsOf(next, before));
    else
      value = tensor::ExpandShapeOp::create(builder, loc, type, value, *groupsOf(before, next), sizes);
    before = next;
  }
  return value;
}

Value Layout::create(OpBuilder &builder, Location loc) const {
  Value value = slice(builder, loc);
  if (!isPermuted())
    return reshape(builder, loc, value, from, to);
  value = reshape(builder, loc, value, from, blocks);
  SmallVector<OpFoldResult> sizes;
  for (const Group &group : permuted)
    sizes.push_back(valueOf(builder, loc, productOf(group)));
  Value init =
      tensor::EmptyOp::create(builder, loc, sizes, cast<RankedTensorType>(value.getType()).getElementType());
  value = linalg::TransposeOp::create(builder, loc, value, init, permutation).getResults().front();
  return reshape(builder, loc, value, permuted, to);
}

LogicalResult raise::replaceWith(RewriterBase &rewriter, Operation *op, Places &places, const Access &access,
                                 const Place &place) {
  std::optional<Layout> layout = Layout::of(places, access, place);
  if (!layout)
    return failure();
  Value value = layout->create(rewriter, op->getLoc());
  Type type = op->getResult(0).getType();
  if (value.getType() != type)
    value = tensor::CastOp::create(rewriter, op->getLoc(), type, value);
  rewriter.replaceOp(op, value);
  return success();
}
