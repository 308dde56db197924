//===- RaiseAttention.cpp - attention from its formula --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   sum_j softmax_j(scale sum_d q[i, d] k[j, d], masked) v[j, e]  -> attention q, k, v
//
// Matched by the variables that meet in the sums: which one of them is the key, which
// the query, which run over batch, heads and groups. Reshapes, transposes and
// repeated heads only say at which places these variables stand.
//
// Runs after rotary embeddings were raised and before linears: queries, keys and
// values may come from any op.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Raise/Attention.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-raise-attention"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISEATTENTIONPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

using Vars = SmallVector<Var *>;

/// An attention while it is matched.
struct Match {
  Algebra algebra;
  Place place; // of the result
  Access query, key, value;
  Logits logits;
  double scale;
  Var *keys = nullptr, *queries = nullptr;
  Vars columns, valueColumns; // digits of the head dimension
  Vars batch, heads, groups;  // heads of keys and values; query heads of each
  MaskAttr mask;
};

Vars without(Vars vars, ArrayRef<Var *> others) {
  llvm::erase_if(vars, [&](Var *var) { return llvm::is_contained(others, var); });
  return vars;
}

Vars common(const Vars &a, const Vars &b) {
  Vars result;
  llvm::copy_if(a, std::back_inserter(result), [&](Var *var) { return llvm::is_contained(b, var); });
  return result;
}

/// The two elements that a sum of products multiplies, if nothing else is in it.
std::optional<std::pair<Access, Access>> factorsOf(const Reduction &reduction) {
  if (reduction.isMax || reduction.body.terms.size() != 1 || reduction.init.constant() != 0.0)
    return std::nullopt;
  ArrayRef<Factor> factors = reduction.body.terms.front().factors;
  if (factors.size() != 2 || llvm::any_of(factors, [](const Factor &factor) {
        return factor.power != 1 || factor.atom->kind != Atom::Element;
      }))
    return std::nullopt;
  return std::pair(factors[0].atom->access, factors[1].atom->access);
}

/// Pattern: sum_j softmax_j(scale sum_d q[i, d] k[j, d], masked) v[j, e] -> attention(q, k, v)
struct RaiseSoftmaxProduct : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;

  LogicalResult matchAndRewrite(linalg::LinalgOp op, PatternRewriter &rewriter) const override {
    if (op.getNumReductionLoops() == 0 || op->getNumResults() != 1 || !op.hasPureTensorSemantics())
      return rewriter.notifyMatchFailure(op, "is no reduction of tensors");
    Match m;
    NearMiss miss;
    if (failed(match(op, m, miss))) {
      if (miss.isSet())
        return missed(rewriter, op, DEBUG_TYPE, miss.operand, miss.reason, miss.change);
      return rewriter.notifyMatchFailure(op, "is no attention");
    }
    return replace(op, m, rewriter);
  }

private:
  static LogicalResult match(linalg::LinalgOp op, Match &m, NearMiss &miss) {
    Places &places = m.algebra.places;
    m.place = places.everywhere(op->getResult(0));
    Reader reader(m.algebra);
    reader.depth = Reader::Moves;
    std::optional<Reduction> sum = reader.reduction({op->getResult(0), m.place});
    std::optional<std::pair<Access, Access>> factors = sum ? factorsOf(*sum) : std::nullopt;
    if (!factors || !isClose(sum->body.terms.front().scale, 1))
      return failure();
    std::optional<Softmax> softmax = matchSoftmax(m.algebra, factors->first, miss);
    m.value = factors->second;
    if (!softmax) {
      softmax = matchSoftmax(m.algebra, factors->second, miss);
      m.value = factors->first;
    }
    if (!softmax || m.algebra.overflow)
      return failure();
    m.keys = softmax->key;
    if (sum->vars.size() != 1 || sum->vars.front() != m.keys) {
      miss = {"softmax", "is not over the keys that the values are summed over",
              "take it over the last dimension of the scores"};
      return failure();
    }
    std::optional<Logits> logits = matchLogits(m.algebra, softmax->logits, miss);
    if (!logits || m.algebra.overflow)
      return failure();
    m.logits = *logits;
    std::optional<Reduction> product = reader.reduction(logits->scores);
    std::optional<std::pair<Access, Access>> sides = product ? factorsOf(*product) : std::nullopt;
    if (!sides)
      return failure();
    std::tie(m.query, m.key) = *sides;
    auto reads = [&](const Access &access) { return llvm::is_contained(places.varsOf(access.at), m.keys); };
    if (reads(m.query))
      std::swap(m.query, m.key);
    if (reads(m.query) || !reads(m.key) || !reads(m.value))
      return failure();
    double q, k;
    std::tie(m.query, q) = withoutScale(m.algebra, m.query);
    std::tie(m.key, k) = withoutScale(m.algebra, m.key);
    m.scale = logits->scale * product->body.terms.front().scale * q * k;
    return assignVars(op->getContext(), *product, m, miss);
  }

  /// Says what each variable runs over.
  static LogicalResult assignVars(MLIRContext *context, const Reduction &product, Match &m, NearMiss &miss) {
    Places &places = m.algebra.places;
    Vars inQuery = places.varsOf(m.query.at), inKey = places.varsOf(m.key.at),
         inValue = places.varsOf(m.value.at), summed;
    for (Var *var : product.vars)
      llvm::append_range(summed, places.varsOf({Index{{{var, Size{}}}, 0}}));
    m.columns = common(inQuery, summed);
    if (m.columns != common(inKey, summed) || m.columns.size() != summed.size())
      return failure();
    Vars shared = without(common(inQuery, inKey), m.columns), own = without(inQuery, inKey);
    m.valueColumns = without(without(inValue, shared), {m.keys});
    // The values' columns are the result's alone; its other variables are those of queries.
    Vars inResult = places.varsOf(m.place), outer = without(inQuery, m.columns);
    if (common(inResult, m.valueColumns).size() != m.valueColumns.size() ||
        !common(m.valueColumns, inQuery).empty() || without(inKey, m.columns).size() != shared.size() + 1 ||
        common(inValue, shared).size() != shared.size() || common(inResult, outer).size() != outer.size() ||
        inResult.size() != outer.size() + m.valueColumns.size())
      return failure();
    if (sizeOfAll(m.columns) != sizeOfAll(m.valueColumns)) {
      miss = {"value", "has another head dimension than queries and keys", "give all the same"};
      return failure();
    }
    m.queries = queryOf(m.logits.visible, m.keys);
    if (!m.queries && !(m.queries = chooseQuery(m, own)))
      return failure();
    if (!llvm::is_contained(own, m.queries))
      return failure();
    m.groups = without(own, {m.queries});
    splitShared(m, shared);
    m.mask = maskOf(context, m.logits.visible, m.queries, m.keys, miss);
    if (!m.mask)
      return failure();
    if (m.mask.getKind() != MaskKind::None && m.queries->size != m.keys->size) {
      miss = {"mask", "compares positions where there are more keys than queries",
              "append keys and values to a cache"};
      return failure();
    }
    return success();
  }

  static Size sizeOfAll(ArrayRef<Var *> vars) {
    Size size;
    for (Var *var : vars)
      size = size * var->size;
    return size;
  }

  /// The dimension of the query's tensor in which the variable is a digit.
  static std::optional<size_t> dimensionOf(Match &m, Var *var) {
    for (auto [i, index] : llvm::enumerate(m.query.at))
      if (llvm::is_contained(m.algebra.places.varsOf({index}), var))
        return i;
    return std::nullopt;
  }

  /// Of the variables that only queries have, the one that is not a group of heads: it is alone in its
  /// dimension, as groups are where heads were split.
  static Var *chooseQuery(Match &m, const Vars &own) {
    if (own.size() == 1)
      return own.front();
    Var *query = nullptr;
    for (Var *var : own) {
      std::optional<size_t> dimension = dimensionOf(m, var);
      if (!dimension || m.algebra.places.varsOf({m.query.at[*dimension]}).size() != 1)
        continue;
      if (query)
        return nullptr;
      query = var;
    }
    return query;
  }

  /// Variables of queries and keys alike: the first of several is the batch, and a
  /// single one is if it stands before positions; the others are heads.
  static void splitShared(Match &m, Vars shared) {
    bool isBefore = shared.size() == 1 && dimensionOf(m, shared.front()) < dimensionOf(m, m.queries);
    if (shared.size() > 1 || isBefore) {
      m.batch.push_back(shared.front());
      shared.erase(shared.begin());
    }
    m.heads = shared;
  }

  static LogicalResult replace(linalg::LinalgOp op, Match &m, PatternRewriter &rewriter) {
    Places &places = m.algebra.places;
    Location loc = op.getLoc();
    Vars queryHeads = m.heads;
    llvm::append_range(queryHeads, m.groups);
    Index batch = Places::composed(m.batch), query = Places::composed({m.queries}),
          key = Places::composed({m.keys}), heads = Places::composed(m.heads),
          all = Places::composed(queryHeads);
    Place result{batch, query, all, Places::composed(m.valueColumns)};
    Value q = materialize(rewriter, loc, places, m.query, {batch, query, all, Places::composed(m.columns)});
    Value k = materialize(rewriter, loc, places, m.key, {batch, key, heads, Places::composed(m.columns)});
    Value v =
        materialize(rewriter, loc, places, m.value, {batch, key, heads, Places::composed(m.valueColumns)});
    if (!q || !k || !v || !Layout::of(places, {q, result}, m.place))
      return rewriter.notifyMatchFailure(op, "queries, keys or values are read in parts");
    Value bias;
    if (m.logits.bias) {
      Place biasPlace{inBias(m, batch), inBias(m, all), query, key};
      bias = materializeBroadcast(rewriter, loc, places, *m.logits.bias, biasPlace);
      if (!bias)
        return missed(rewriter, op, DEBUG_TYPE, "bias", "is not of batch, heads, queries and keys",
                      "make it a tensor of them");
    }
    passed(op, DEBUG_TYPE,
           "raised to attention with mask " + stringifyMaskKind(m.mask.getKind()) + ", " +
               Twine(cast<RankedTensorType>(q.getType()).getDimSize(2)) + " heads on " +
               Twine(cast<RankedTensorType>(k.getType()).getDimSize(2)));
    FloatAttr softcap = m.logits.softcap ? rewriter.getF64FloatAttr(*m.logits.softcap) : FloatAttr();
    auto type = RankedTensorType::get(cast<RankedTensorType>(q.getType()).getShape(),
                                      cast<RankedTensorType>(op->getResult(0).getType()).getElementType());
    Value value = AttentionOp::create(rewriter, loc, type, q, k, v, /*cache=*/Value(), bias,
                                      rewriter.getF64FloatAttr(m.scale), m.mask, softcap);
    return replaceWith(rewriter, op, places, {value, result}, m.place);
  }

  /// The index where the bias has it, or one element.
  static Index inBias(Match &m, const Index &index) {
    Vars known = m.algebra.places.varsOf(m.logits.bias->at);
    return common(m.algebra.places.varsOf({index}), known).empty() ? Index{} : index;
  }
};

void populateRaiseAttentionPatterns(RewritePatternSet &patterns) {
  patterns.add<RaiseSoftmaxProduct>(patterns.getContext());
}

struct RaiseAttention : transformer::impl::RaiseAttentionPassBase<RaiseAttention> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateRaiseAttentionPatterns(patterns);
    applyFromLast(getOperation(), std::move(patterns));
  }
};

} // namespace
