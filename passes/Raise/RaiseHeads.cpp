//===- RaiseHeads.cpp - one attention from one for each head --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   concat(attention(q[0:D], k[0:D], v[0:D]), attention(q[D:2D], …), …)
//     -> attention of all heads on q, k and v
//
// Heads that share keys and values read the same slice of them.
//
// Runs after each head's attention was raised.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Raise/Raising.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-raise-heads"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISEHEADSPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

/// One operand of all heads: where head 0 reads, and how far apart the next is read, `shared` heads
/// reading the same.
struct Operand {
  Access first;
  size_t dimension = 0;
  int64_t step = 0, shared = 1;
};

/// Whether heads read one tensor in regular steps.
std::optional<Operand> stepsOf(Places &places, ArrayRef<Access> heads) {
  Operand operand{heads.front()};
  SmallVector<int64_t> offsets;
  bool found = false;
  for (const Access &head : heads) {
    if (head.tensor != operand.first.tensor)
      return std::nullopt;
    int64_t offset = 0;
    for (auto [i, index] : llvm::enumerate(head.at)) {
      int64_t apart = index.offset - operand.first.at[i].offset;
      if (!places.equal(Places::shifted(operand.first.at[i], apart), index))
        return std::nullopt;
      if (apart == 0)
        continue;
      if (found && operand.dimension != i)
        return std::nullopt;
      found = true;
      operand.dimension = i;
      offset = apart;
    }
    offsets.push_back(offset);
  }
  if (!found)
    operand.shared = heads.size();
  for (int64_t offset : offsets)
    if (operand.step == 0 && offset != 0)
      operand.step = offset;
  if (found)
    operand.shared = llvm::find(offsets, operand.step) - offsets.begin();
  if (operand.step < 0 || heads.size() % operand.shared != 0)
    return std::nullopt;
  for (auto [i, offset] : llvm::enumerate(offsets))
    if (offset != static_cast<int64_t>(i) / operand.shared * operand.step)
      return std::nullopt;
  return operand;
}

/// Tensors of one type, one after the other along a dimension.
struct Parts {
  SmallVector<Value> values;
  int64_t dimension = 0;
};

/// What a concatenation joins, or insertions one behind the other fill a tensor with.
std::optional<Parts> partsOf(Operation *op) {
  Parts parts;
  if (auto concat = dyn_cast<tensor::ConcatOp>(op)) {
    llvm::append_range(parts.values, concat.getInputs());
    parts.dimension = concat.getDim();
    return parts;
  }
  SmallVector<tensor::InsertSliceOp> inserts;
  for (auto insert = dyn_cast<tensor::InsertSliceOp>(op); insert;
       insert = insert.getDest().getDefiningOp<tensor::InsertSliceOp>())
    inserts.insert(inserts.begin(), insert);
  if (inserts.size() < 2)
    return std::nullopt;
  RankedTensorType part = inserts.front().getSourceType(), all = inserts.front().getDestType();
  if (part.getRank() != all.getRank())
    return std::nullopt;
  // The one dimension in which the parts are not all of the tensor.
  SmallVector<int64_t> differs;
  for (int64_t i = 0; i < all.getRank(); ++i)
    if (sizeOf(inserts.front().getSource(), i) != sizeOf(inserts.front().getDest(), i))
      differs.push_back(i);
  if (differs.size() != 1)
    return std::nullopt;
  parts.dimension = differs.front();
  int64_t size = part.getDimSize(parts.dimension), end = 0;
  for (tensor::InsertSliceOp insert : inserts) {
    for (int64_t i = 0; i < all.getRank(); ++i)
      if (insert.isDynamicOffset(i) || insert.getStaticOffset(i) != (i == parts.dimension ? end : 0))
        return std::nullopt;
    if (!insert.hasUnitStride() || insert.getSourceType() != part || ShapedType::isDynamic(size))
      return std::nullopt;
    end += size;
    parts.values.push_back(insert.getSource());
  }
  return end == all.getDimSize(parts.dimension) ? std::optional(parts) : std::nullopt;
}

/// Pattern: concat(attention(slices of q, k, v), …) -> attention(q, k, v)
struct MergeHeads : RewritePattern {
  explicit MergeHeads(MLIRContext *context) : RewritePattern(MatchAnyOpTypeTag(), 1, context) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    std::optional<Parts> parts = partsOf(op);
    if (!parts || parts->values.size() < 2)
      return rewriter.notifyMatchFailure(op, "does not join several parts");
    Places places;
    auto part = cast<RankedTensorType>(parts->values.front().getType());
    if (part.isDynamicDim(parts->dimension))
      return rewriter.notifyMatchFailure(op, "the parts have no known size");
    // Each part at the same variables.
    Place place = places.everywhere(parts->values.front());
    SmallVector<AttentionOp> heads;
    std::optional<Access> result;
    for (Value input : parts->values) {
      Access access = places.follow({input, place});
      auto attention = access.tensor.getDefiningOp<AttentionOp>();
      if (!attention || input.getType() != part || (result && !places.equal(result->at, access.at)) ||
          cast<RankedTensorType>(attention.getType()).getDimSize(2) != 1)
        return rewriter.notifyMatchFailure(op, "a part is no attention of one head");
      result = access;
      heads.push_back(attention);
    }
    AttentionOp first = heads.front();
    for (AttentionOp head : heads)
      if (head.getCache() || head.getBias() || head.getScale() != first.getScale() ||
          head.getMask() != first.getMask() || head.getSoftcapAttr() != first.getSoftcapAttr() ||
          head.getKey().getType() != first.getKey().getType())
        return missed(rewriter, head, DEBUG_TYPE, "attention",
                      "differs from the first head's in scale, mask, cap, bias or keys",
                      "give all heads the same");
    return merge(op, parts->dimension, places, place, *result, heads, rewriter);
  }

private:
  static LogicalResult merge(Operation *op, int64_t dimension, Places &places, const Place &part,
                             const Access &result, ArrayRef<AttentionOp> heads, PatternRewriter &rewriter) {
    // Operands at the places of the result, with a variable of their own for keys' positions.
    Place query = result.at, key = result.at;
    AttentionOp first = heads.front();
    key[1] = places.over(sizeOf(first.getKey(), 1));
    SmallVector<Access, 2> accesses[3];
    for (AttentionOp head : heads) {
      accesses[0].push_back(places.follow({head.getQuery(), query}));
      accesses[1].push_back(places.follow({head.getKey(), key}));
      accesses[2].push_back(places.follow({head.getValue(), key}));
    }
    std::optional<Operand> operands[3];
    for (auto [i, name] : llvm::enumerate(std::array<StringRef, 3>{"query", "key", "value"}))
      if (!(operands[i] = stepsOf(places, accesses[i])))
        return missed(rewriter, first, DEBUG_TYPE, name, "is not a slice of what the other heads read",
                      "slice the heads of one tensor in order");
    if (operands[0]->shared != 1 || operands[1]->shared != operands[2]->shared)
      return missed(rewriter, first, DEBUG_TYPE, "key", "is shared by other heads than the value",
                    "share both in groups of the same size");
    auto count = static_cast<int64_t>(heads.size()), shared = operands[1]->shared;
    Index group = places.over(Size{count / shared, {}}), member = places.over(Size{shared, {}});
    Index head = Places::sum(Places::scaled(group, Size{shared, {}}), member);
    Location loc = op->getLoc();
    auto whole = [&](const Operand &operand, const Index &head, Place target) -> Value {
      Access access = operand.first;
      if (operand.step != 0)
        access.at[operand.dimension] =
            Places::sum(access.at[operand.dimension], Places::scaled(head, Size{operand.step, {}}));
      target[2] = head;
      return materialize(rewriter, loc, places, access, target);
    };
    // All heads at once are the shared ones' groups, in order.
    Value q = whole(*operands[0], head, query), k = whole(*operands[1], group, key),
          v = whole(*operands[2], group, key);
    if (!q || !k || !v)
      return rewriter.notifyMatchFailure(op, "queries, keys or values lie apart");
    passed(op, DEBUG_TYPE, "merged " + Twine(count) + " heads");
    auto type = RankedTensorType::get(cast<RankedTensorType>(q.getType()).getShape(),
                                      cast<RankedTensorType>(op->getResult(0).getType()).getElementType());
    Value merged = AttentionOp::create(rewriter, loc, type, q, k, v, /*cache=*/Value(), /*bias=*/Value(),
                                       first.getScaleAttr(), first.getMask(), first.getSoftcapAttr());
    Place at = result.at, place = part;
    at[2] = head;
    Size size;
    for (const Term &term : part[dimension].terms)
      size = size * term.var->size;
    place[dimension] = Places::sum(part[dimension], Places::scaled(head, size));
    return replaceWith(rewriter, op, places, {merged, at}, place);
  }
};

void populateRaiseHeadsPatterns(RewritePatternSet &patterns) {
  patterns.add<MergeHeads>(patterns.getContext());
}

struct RaiseHeads : transformer::impl::RaiseHeadsPassBase<RaiseHeads> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateRaiseHeadsPatterns(patterns);
    applyFromLast(getOperation(), std::move(patterns));
  }
};

} // namespace
