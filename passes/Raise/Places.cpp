//===- Places.cpp - where an element of a tensor comes from ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Raise/Places.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

//===----------------------------------------------------------------------===//
// Variables and sums of them
//===----------------------------------------------------------------------===//

Index Places::over(const Size &size) {
  if (size.isOne())
    return {};
  auto number = static_cast<unsigned>(vars.size());
  Var &var = vars.emplace_back();
  var.size = size;
  var.number = number;
  return {{{&vars.back(), Size{}}}, 0};
}

Place Places::everywhere(Value tensor) {
  Place place;
  for (int64_t i = 0, rank = cast<RankedTensorType>(tensor.getType()).getRank(); i < rank; ++i)
    place.push_back(over(sizeOf(tensor, i)));
  return place;
}

void Places::append(const Term &term, Index &to) {
  if (Var *var = term.var; var->outer || var->inner) {
    if (var->outer)
      append({var->outer, term.scale * var->inner->size}, to);
    append({var->inner, term.scale}, to);
    return;
  }
  for (Term &known : to.terms)
    if (known.var == term.var && known.scale.symbols == term.scale.symbols) {
      known.scale.factor += term.scale.factor;
      return;
    }
  to.terms.push_back(term);
}

Index Places::resolved(const Index &index) {
  Index result{{}, index.offset};
  for (const Term &term : index.terms)
    append(term, result);
  llvm::erase_if(result.terms, [](const Term &term) { return term.scale.factor == 0; });
  // More unknown sizes mean further out.
  llvm::sort(result.terms, [](const Term &a, const Term &b) {
    return std::make_tuple(a.scale.symbols.size(), a.scale.factor, b.var->number) >
           std::make_tuple(b.scale.symbols.size(), b.scale.factor, a.var->number);
  });
  return result;
}

Place Places::resolved(const Place &place) {
  return llvm::map_to_vector<4>(place, [&](const Index &index) { return resolved(index); });
}

SmallVector<Var *> Places::varsOf(const Place &place) {
  SmallVector<Var *> result;
  for (const Index &index : resolved(place))
    for (const Term &term : index.terms)
      if (!llvm::is_contained(result, term.var))
        result.push_back(term.var);
  return result;
}

bool Places::equal(const Index &a, const Index &b) {
  Index x = resolved(a), y = resolved(b);
  return x.offset == y.offset && x.terms.size() == y.terms.size() &&
         llvm::all_of(llvm::zip(x.terms, y.terms), [](auto pair) {
           auto [s, t] = pair;
           return s.var == t.var && s.scale == t.scale;
         });
}

bool Places::equal(const Place &a, const Place &b) {
  return a.size() == b.size() && llvm::all_of(llvm::zip(a, b), [&](auto pair) {
           return equal(std::get<0>(pair), std::get<1>(pair));
         });
}

Index Places::composed(ArrayRef<Var *> digits) {
  Index index;
  Size covered;
  for (Var *digit : llvm::reverse(digits)) {
    index.terms.push_back({digit, covered});
    covered = covered * digit->size;
  }
  return index;
}

Index Places::sum(const Index &a, const Index &b) {
  Index result = a;
  result.offset += b.offset;
  llvm::append_range(result.terms, b.terms);
  return result;
}

Index Places::scaled(const Index &index, const Size &by) {
  Index result = index;
  result.offset *= by.factor; // callers scale offsets by constants only
  for (Term &term : result.terms)
    term.scale = term.scale * by;
  return result;
}

Index Places::shifted(Index index, int64_t by) {
  index.offset += by;
  return index;
}

Index Places::substitute(const Index &index, Var *from, const Index &to) {
  Index source = resolved(index), result{{}, source.offset};
  for (const Term &term : source.terms)
    result = sum(result, term.var == from ? scaled(to, term.scale) : Index{{term}, 0});
  return result;
}

Place Places::substitute(const Place &place, Var *from, const Index &to) {
  return llvm::map_to_vector<4>(place, [&](const Index &index) { return substitute(index, from, to); });
}

std::optional<std::pair<int64_t, int64_t>> Places::rangeOf(const Index &index) {
  int64_t low = index.offset, high = index.offset;
  for (const Term &term : resolved(index).terms) {
    if (!term.scale.isStatic() || !term.var->size.isStatic())
      return std::nullopt;
    int64_t reach = term.scale.factor * (term.var->size.factor - 1);
    (reach < 0 ? low : high) += reach;
  }
  return std::pair(low, high);
}

void Places::readsAll(Value tensor, const Place &at) {
  for (auto [i, index] : llvm::enumerate(at)) {
    bool isVar = index.terms.size() == 1 && index.offset == 0 && index.terms.front().scale.isOne();
    Size size = sizeOf(tensor, i);
    if (isVar && !size.isStatic() && !index.terms.front().var->hasSize(size))
      index.terms.front().var->others.push_back(size);
  }
}

bool Places::takeApart(Var *var, const Size &inner) {
  std::optional<Size> outer = var->size.over(inner);
  if (!outer || outer->isOne() || inner.isOne())
    return false;
  var->outer = over(*outer).terms.front().var;
  var->inner = over(inner).terms.front().var;
  return true;
}

std::optional<std::pair<Index, Index>> Places::divide(const Index &whole, const Size &size) {
  if (size.isOne())
    return std::pair(whole, Index{});
  // Each round takes one variable apart at most.
  for (int round = 0; round < 4; ++round) {
    Index index = resolved(whole), quotient, rest;
    Size covered; // the rest runs over [0, covered) once
    bool isCovered = true, again = false;
    for (const Term &term : llvm::reverse(index.terms)) {
      if (std::optional<Size> scale = term.scale.over(size)) {
        quotient.terms.push_back({term.var, *scale});
        continue;
      }
      std::optional<Size> room = size.over(term.scale);
      if (room && !room->isOne() && term.var->size != *room && term.var->size.over(*room)) {
        again = takeApart(term.var, *room);
        break;
      }
      isCovered &= term.scale == covered;
      covered = term.scale * term.var->size;
      rest.terms.push_back(term);
    }
    if (again)
      continue;
    if (!size.isStatic() && index.offset != 0)
      return std::nullopt;
    quotient.offset = size.isStatic() ? index.offset / size.factor : 0;
    rest.offset = size.isStatic() ? index.offset % size.factor : 0;
    std::optional<std::pair<int64_t, int64_t>> range = rangeOf(rest);
    bool fits = range && size.isStatic() ? range->first >= 0 && range->second < size.factor
                                         : isCovered && rest.offset == 0 && size.over(covered);
    if (!fits)
      return std::nullopt;
    return std::pair(quotient, rest);
  }
  return std::nullopt;
}

//===----------------------------------------------------------------------===//
// Ops that move elements only
//===----------------------------------------------------------------------===//

/// A result's place to its source's: the dimensions of a group are digits of one index.
std::optional<Place> Places::expandStep(tensor::ExpandShapeOp op, const Place &at) {
  Place result;
  for (const ReassociationIndices &group : op.getReassociationIndices()) {
    Index index;
    for (int64_t i : group) {
      Size size = sizeOf(op.getResult(), i);
      if (index.offset != 0 && !size.isStatic())
        return std::nullopt;
      index = sum(scaled(index, size), at[i]);
    }
    result.push_back(index);
  }
  return result;
}

std::optional<Place> Places::collapseStep(tensor::CollapseShapeOp op, const Place &at) {
  Place result(op.getSrcType().getRank());
  for (auto [index, group] : llvm::zip(at, op.getReassociationIndices())) {
    Index left = index;
    for (int64_t i : llvm::reverse(ArrayRef(group).drop_front())) {
      std::optional<std::pair<Index, Index>> parts = divide(left, sizeOf(op.getSrc(), i));
      if (!parts)
        return std::nullopt;
      left = parts->first;
      result[i] = parts->second;
    }
    result[group.front()] = left;
  }
  return result;
}

std::optional<Access> Places::concatStep(tensor::ConcatOp op, const Place &at) {
  std::optional<std::pair<int64_t, int64_t>> range = rangeOf(at[op.getDim()]);
  int64_t begin = 0;
  for (Value input : op.getInputs()) {
    int64_t size = cast<RankedTensorType>(input.getType()).getDimSize(op.getDim());
    if (!range || ShapedType::isDynamic(size))
      return std::nullopt;
    if (range->first >= begin && range->second < begin + size) {
      Place place = at;
      place[op.getDim()].offset -= begin;
      return Access{input, place};
    }
    begin += size;
  }
  return std::nullopt;
}

/// Inside of what is inserted, or beside it.
std::optional<Access> Places::insertStep(tensor::InsertSliceOp op, const Place &at) {
  if (!op.hasUnitStride() || op.getSourceType().getRank() != op.getDestType().getRank())
    return std::nullopt;
  Place inside = at;
  bool isInside = true;
  for (int64_t i = 0, rank = op.getDestType().getRank(); i < rank; ++i) {
    if (op.isDynamicOffset(i))
      return std::nullopt;
    int64_t begin = op.getStaticOffset(i);
    Size size = sizeOf(op.getSource(), i);
    if (begin == 0 && size == sizeOf(op.getDest(), i))
      continue;
    std::optional<std::pair<int64_t, int64_t>> range = rangeOf(at[i]);
    if (!range || !size.isStatic())
      return std::nullopt;
    if (range->second < begin || range->first >= begin + size.factor)
      return Access{op.getDest(), at};
    isInside &= range->first >= begin && range->second < begin + size.factor;
    inside[i].offset -= begin;
  }
  return isInside ? std::optional(Access{op.getSource(), inside}) : std::nullopt;
}

/// An op of linalg that yields an element of an input as it is: a transpose, a broadcast, a copy.
static OpOperand *copiedOperand(linalg::LinalgOp op) {
  if (op.getNumReductionLoops() != 0 || op->getNumResults() != 1 || !llvm::hasSingleElement(*op.getBlock()))
    return nullptr;
  auto argument = dyn_cast<BlockArgument>(op.getBlock()->getTerminator()->getOperand(0));
  if (!argument || argument.getOwner() != op.getBlock())
    return nullptr;
  OpOperand *operand = op.getMatchingOpOperand(argument);
  return op.isDpsInput(operand) && isa<RankedTensorType>(operand->get().getType()) ? operand : nullptr;
}

std::optional<Access> Places::step(const Access &access) {
  Operation *def = access.tensor.getDefiningOp();
  if (!def)
    return std::nullopt;
  auto from = [](Value source, std::optional<Place> place) {
    return place ? std::optional(Access{source, *place}) : std::nullopt;
  };
  if (auto op = dyn_cast<tensor::ExpandShapeOp>(def))
    return from(op.getSrc(), expandStep(op, access.at));
  if (auto op = dyn_cast<tensor::CollapseShapeOp>(def))
    return from(op.getSrc(), collapseStep(op, access.at));
  if (auto op = dyn_cast<tensor::ConcatOp>(def))
    return concatStep(op, access.at);
  if (auto op = dyn_cast<tensor::InsertSliceOp>(def))
    return insertStep(op, access.at);
  if (auto op = dyn_cast<tensor::CastOp>(def))
    return isa<RankedTensorType>(op.getSource().getType()) ? std::optional(Access{op.getSource(), access.at})
                                                           : std::nullopt;
  if (auto op = dyn_cast<tensor::ExtractSliceOp>(def)) {
    if (!op.hasUnitStride() || llvm::any_of(op.getStaticOffsets(), ShapedType::isDynamic))
      return std::nullopt;
    Place place;
    llvm::SmallBitVector dropped = op.getDroppedDims();
    for (int64_t i = 0, j = 0, rank = op.getSourceType().getRank(); i < rank; ++i)
      place.push_back(shifted(dropped[i] ? Index{} : access.at[j++], op.getStaticOffset(i)));
    return Access{op.getSource(), place};
  }
  auto op = dyn_cast<linalg::LinalgOp>(def);
  OpOperand *operand = op ? copiedOperand(op) : nullptr;
  AffineMap result = op ? op.getMatchingIndexingMap(op.getDpsInitOperand(0)) : AffineMap();
  if (!operand || !result.isPermutation() || !op.getMatchingIndexingMap(operand).isProjectedPermutation())
    return std::nullopt;
  Place loops(op.getNumLoops()), place;
  for (auto [i, expr] : llvm::enumerate(result.getResults()))
    loops[cast<AffineDimExpr>(expr).getPosition()] = access.at[i];
  for (AffineExpr expr : op.getMatchingIndexingMap(operand).getResults())
    place.push_back(loops[cast<AffineDimExpr>(expr).getPosition()]);
  return Access{operand->get(), place};
}

Access Places::follow(Access access) {
  while (std::optional<Access> next = step(access))
    access = *next;
  return access;
}
