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

/// Pattern: concat(attention(slices of q, k, v), …) -> attention(q, k, v)
struct MergeHeads : OpRewritePattern<tensor::ConcatOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::ConcatOp op, PatternRewriter &rewriter) const override {
    Places places;
    auto count = static_cast<int64_t>(op.getInputs().size());
    auto part = cast<RankedTensorType>(op.getInputs().front().getType());
    auto dimension = static_cast<int64_t>(op.getDim());
    if (count < 2 || part.isDynamicDim(dimension))
      return rewriter.notifyMatchFailure(op, "is not of several parts of known size");
    // Each part at the same variables.
    Place place = places.everywhere(op.getInputs().front());
    SmallVector<AttentionOp> heads;
    std::optional<Access> result;
    for (Value input : op.getInputs()) {
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
          head.getMask() != first.getMask() || head.getSoftcapAttr() != first.getSoftcapAttr())
        return missed(rewriter, head, DEBUG_TYPE, "attention",
                      "differs from the first head's in scale, mask, cap or bias", "give all heads the same");
    return merge(op, places, place, *result, heads, rewriter);
  }

private:
  static LogicalResult merge(tensor::ConcatOp op, Places &places, const Place &part, const Access &result,
                             ArrayRef<AttentionOp> heads, PatternRewriter &rewriter) {
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
    Location loc = op.getLoc();
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
                                      cast<RankedTensorType>(op.getType()).getElementType());
    Value merged = AttentionOp::create(rewriter, loc, type, q, k, v, /*cache=*/Value(), /*bias=*/Value(),
                                       first.getScaleAttr(), first.getMask(), first.getSoftcapAttr());
    Place at = result.at, place = part;
    at[2] = head;
    auto dimension = static_cast<int64_t>(op.getDim());
    int64_t size = cast<RankedTensorType>(op.getInputs().front().getType()).getDimSize(dimension);
    place[dimension] = Places::sum(part[dimension], Places::scaled(head, Size{size, {}}));
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
