//===- MergeQKV.cpp - queries, keys and values from one projection --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   q = heads(linear(x, Wq)), k = heads(linear(x, Wk)), v = heads(linear(x, Wv))
//     -> h = heads(linear(x, concat(Wq, Wk, Wv))); q, k, v = slices of h's heads
//
// One pass over x instead of three. The parts are slices of heads, never of the
// projected row: a kernel reads a slice of whole heads in place.
//
// Runs after the attention scale was folded into Wq, which it could not take apart
// again, and before norm scales are folded, so that they meet one weight.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Matching.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"
#include "passes/Rewriting.h"

#define DEBUG_TYPE "transformer-merge-qkv"

namespace mlir::transformer {
#define GEN_PASS_DEF_MERGEQKVPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// heads(linear(x, W))
struct Projection {
  LinearOp linear;
  HeadSplit split;
};

/// Heads [begin, begin + count) of `all` [..., heads, headDim].
Value sliceHeads(RewriterBase &rewriter, Location loc, Value all, ArrayRef<OpFoldResult> leading,
                 int64_t begin, HeadSplit split) {
  RankedTensorType type = split.op.getResultType();
  SmallVector<OpFoldResult> offsets(type.getRank(), rewriter.getIndexAttr(0)),
      strides(type.getRank(), rewriter.getIndexAttr(1)), sizes(leading);
  offsets[type.getRank() - 2] = rewriter.getIndexAttr(begin);
  sizes.push_back(rewriter.getIndexAttr(split.heads));
  sizes.push_back(rewriter.getIndexAttr(split.headDim));
  return tensor::ExtractSliceOp::create(rewriter, loc, type, all, offsets, sizes, strides);
}

/// [..., heads * headDim] -> [..., heads, headDim]
Value splitHeads(RewriterBase &rewriter, Location loc, Value projected, ArrayRef<OpFoldResult> leading,
                 int64_t headDim) {
  auto type = cast<RankedTensorType>(projected.getType());
  int64_t rank = type.getRank(), heads = type.getShape().back() / headDim;
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = heads;
  shape.push_back(headDim);
  SmallVector<OpFoldResult> sizes(leading);
  sizes.push_back(rewriter.getIndexAttr(heads));
  sizes.push_back(rewriter.getIndexAttr(headDim));
  SmallVector<ReassociationIndices> groups;
  for (int64_t i = 0; i < rank; ++i)
    groups.push_back(i + 1 < rank ? ReassociationIndices{i} : ReassociationIndices{i, i + 1});
  return tensor::ExpandShapeOp::create(rewriter, loc, RankedTensorType::get(shape, type.getElementType()),
                                       projected, groups, sizes);
}

/// Pattern: heads(linear(x, Wq)), heads(linear(x, Wk)), … -> slices of heads(linear(x, concat(Wq, Wk, …)))
struct MergeProjections : OpRewritePattern<LinearOp> {
  MergeProjections(MLIRContext *context, DerivedWeights &weights)
      : OpRewritePattern(context), weights(weights) {}

  LogicalResult matchAndRewrite(LinearOp last, PatternRewriter &rewriter) const override {
    SmallVector<LinearOp> siblings;
    for (Operation *user : last.getInput().getUsers())
      if (auto linear = dyn_cast<LinearOp>(user); linear && linear.getInput() == last.getInput())
        if (linear->getBlock() == last->getBlock() && !linear->use_empty())
          siblings.push_back(linear);
    llvm::sort(siblings, [](LinearOp a, LinearOp b) { return a->isBeforeInBlock(b); });
    // Once per group: at its last member, where all are in their final form.
    if (siblings.size() < 2 || siblings.back() != last)
      return rewriter.notifyMatchFailure(last, "is not the last of several projections of its input");
    SmallVector<Projection> group;
    for (LinearOp linear : siblings)
      if (std::optional<Projection> projection = headsOf(linear))
        if (succeeded(checkMember(*projection, group, rewriter)))
          group.push_back(*projection);
    if (group.size() < 2)
      return rewriter.notifyMatchFailure(last, "fewer than two projections to heads can be merged");
    merge(group, rewriter);
    return success();
  }

private:
  /// A linear that is split into heads for an attention, whatever else is amiss.
  static std::optional<Projection> headsOf(LinearOp linear) {
    for (Operation *user : linear->getUsers())
      if (std::optional<HeadSplit> split = headSplitOf(user))
        if (feedsAttention(split->op.getResult()))
          return Projection{linear, *split};
    return std::nullopt;
  }

  static LogicalResult checkMember(Projection next, ArrayRef<Projection> group, RewriterBase &rewriter) {
    LinearOp linear = next.linear;
    auto declined = [&](StringRef operand, const Twine &reason, const Twine &change) {
      return missed(rewriter, linear, DEBUG_TYPE, operand, reason, change);
    };
    if (!linear->hasOneUse())
      return declined("result", "is read " + Twine(llvm::range_size(linear->getUses())) + " times",
                      "read it through the split into heads alone");
    if (!weightOf(linear.getWeight()))
      return declined("weight", "is a value computed at run time", "make it a transformer.weight");
    if (linear.getBias() && !weightOf(linear.getBias()))
      return declined("bias", "is a value computed at run time", "make it a transformer.weight");
    if (group.empty())
      return success();
    Projection first = group.front();
    if (next.split.headDim != first.split.headDim)
      return declined("result",
                      "has heads of " + Twine(next.split.headDim) + " elements, others of " +
                          Twine(first.split.headDim),
                      "split it into heads of the same size");
    if (elementTypeOf(linear.getWeight()) != elementTypeOf(first.linear.getWeight()))
      return declined("weight", "is stored in another type than that of " + placeOf(first.linear.getLoc()),
                      "convert one of them");
    if (elementTypeOf(linear) != elementTypeOf(first.linear))
      return declined("result", "is stored in another type than that of " + placeOf(first.linear.getLoc()),
                      "round behind the split");
    return success();
  }

  void merge(ArrayRef<Projection> group, PatternRewriter &rewriter) const {
    LinearOp first = group.front().linear;
    rewriter.setInsertionPoint(first);
    Location loc = jointLoc(llvm::map_to_vector(group, [](Projection p) { return p.linear.getLoc(); }));
    Value weight =
        concat(rewriter, loc,
               llvm::map_to_vector(group, [](Projection p) { return weightOf(p.linear.getWeight()); }));
    Value bias = mergedBias(rewriter, loc, group);
    auto weightType = cast<RankedTensorType>(weight.getType());
    RankedTensorType type = withLast(first.getType(), weightType.getDimSize(0));
    Value projected = LinearOp::create(rewriter, loc, type, first.getInput(), weight, bias);
    SmallVector<OpFoldResult> leading = leadingSizes(rewriter, loc, first.getInput(), group.front().split.op);
    Value heads = splitHeads(rewriter, loc, projected, leading, group.front().split.headDim);
    passed(first, DEBUG_TYPE,
           "merged " + Twine(group.size()) + " projections into one of " + Twine(weightType.getDimSize(0)) +
               " rows");
    int64_t begin = 0;
    for (auto [linear, split] : group) {
      rewriter.replaceAllUsesWith(split.op.getResult(),
                                  sliceHeads(rewriter, split.op.getLoc(), heads, leading, begin, split));
      begin += split.heads;
    }
  }

  Value concat(OpBuilder &builder, Location loc, ArrayRef<FlatSymbolRefAttr> parts) const {
    SmallVector<int64_t> shape(weights.typeOf(parts.front()).getShape());
    shape[0] = 0;
    for (FlatSymbolRefAttr part : parts)
      shape[0] += weights.typeOf(part).getDimSize(0);
    auto type = RankedTensorType::get(shape, weights.typeOf(parts.front()).getElementType());
    NamedAttribute axis(builder.getStringAttr("axis"), builder.getI64IntegerAttr(0));
    return weights.get(builder, loc, DeriveKind::Concat, parts, type, axis);
  }

  /// The biases one after the other; zeros where a projection has none.
  Value mergedBias(OpBuilder &builder, Location loc, ArrayRef<Projection> group) const {
    auto biased = llvm::find_if(group, [](Projection p) { return bool(p.linear.getBias()); });
    if (biased == group.end())
      return {};
    LinearOp model = biased->linear;
    Type element = elementTypeOf(model.getBias());
    SmallVector<FlatSymbolRefAttr> parts;
    for (Projection projection : group) {
      LinearOp linear = projection.linear;
      if (linear.getBias()) {
        parts.push_back(weightOf(linear.getBias()));
        continue;
      }
      auto type = RankedTensorType::get({linear.getType().getShape().back()}, element);
      NamedAttribute zero(builder.getStringAttr("value"), builder.getF64FloatAttr(0));
      parts.push_back(weights.symbol(loc, DeriveKind::Fill, {}, type, zero));
    }
    return concat(builder, loc, parts);
  }

  DerivedWeights &weights;
};

/// Pattern: heads(slice(linear(x, W))), … -> slices of heads(linear(x, W))
struct SliceHeads : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(LinearOp linear, PatternRewriter &rewriter) const override {
    SmallVector<std::pair<LastSlice, HeadSplit>> parts;
    for (Operation *user : linear->getUsers()) {
      std::optional<LastSlice> slice = lastSliceOf(user);
      if (!slice)
        return rewriter.notifyMatchFailure(linear, "is not read by slices of its rows alone");
      std::optional<HeadSplit> split =
          slice->op->hasOneUse() ? headSplitOf(*slice->op->getUsers().begin()) : std::nullopt;
      if (!split)
        return rewriter.notifyMatchFailure(linear, "a slice is not split into heads");
      parts.push_back({*slice, *split});
    }
    if (parts.empty())
      return rewriter.notifyMatchFailure(linear, "is not read");
    int64_t headDim = parts.front().second.headDim;
    for (auto &[slice, split] : parts) {
      if (split.headDim != headDim)
        return missed(rewriter, slice.op, DEBUG_TYPE, "result",
                      "has heads of " + Twine(split.headDim) + " elements, others of " + Twine(headDim),
                      "split it into heads of the same size");
      if (slice.begin % headDim != 0 || linear.getType().getShape().back() % headDim != 0)
        return missed(rewriter, slice.op, DEBUG_TYPE, "offset", Twine(slice.begin) + " is inside a head",
                      "slice at a multiple of " + Twine(headDim));
    }
    rewriter.setInsertionPointAfter(linear);
    SmallVector<OpFoldResult> leading =
        leadingSizes(rewriter, linear.getLoc(), linear.getInput(), parts.front().second.op);
    Value heads = splitHeads(rewriter, linear.getLoc(), linear, leading, headDim);
    passed(linear, DEBUG_TYPE, "its " + Twine(parts.size()) + " parts are slices of heads");
    for (auto &[slice, split] : parts)
      rewriter.replaceAllUsesWith(split.op.getResult(), sliceHeads(rewriter, slice.op.getLoc(), heads,
                                                                   leading, slice.begin / headDim, split));
    return success();
  }
};

void populateMergeQKVPatterns(RewritePatternSet &patterns, DerivedWeights &weights) {
  patterns.add<MergeProjections>(patterns.getContext(), weights);
  patterns.add<SliceHeads>(patterns.getContext());
}

struct MergeQKV : transformer::impl::MergeQKVPassBase<MergeQKV> {
  void runOnOperation() override {
    DerivedWeights weights(getOperation());
    RewritePatternSet patterns(&getContext());
    populateMergeQKVPatterns(patterns, weights);
    applyOnce(getOperation(), std::move(patterns));
  }
};

} // namespace
