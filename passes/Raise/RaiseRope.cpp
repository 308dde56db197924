//===- RaiseRope.cpp - rotary embeddings from their formulas --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   y[i]       = x[i] cos[s, i] - x[i + D/2] sin[s, i]
//   y[i + D/2] = x[i + D/2] cos[s, i] + x[i] sin[s, i]     -> rope half_split x, cos, sin
//   y[2i]      = x[2i] cos[s, i] - x[2i + 1] sin[s, i]
//   y[2i + 1]  = x[2i + 1] cos[s, i] + x[2i] sin[s, i]     -> rope interleaved x, cos, sin
//
//   concat(rope(x[:r]), x[r:])  -> rope x, which leaves columns from r on as they are
//
// The two halves of a pair are read as two formulas, so that it does not matter
// whether a graph rotates halves and concatenates, or concatenates rotated halves.
//
// Runs before attention is raised, which then finds rotated queries and keys in its
// own order.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "passes/Raise/Raising.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-raise-rope"

namespace mlir::transformer {
#define GEN_PASS_DEF_RAISEROPEPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::raise;

namespace {

/// A rotation of pairs of `x`, read at both elements of a pair.
struct Rotation {
  Algebra algebra;
  RopeStyle style;
  Place place;      // of the first element of a pair
  Index pair, half; // which pair; which element of it
  Index column;     // in the result: of `pair` and `half`
  Access first, second, cos, sin;
};

/// Zeros as offsets of rows: positions begin at 0. One tensor serves a function.
class Offsets {
public:
  Value zeros(RewriterBase &rewriter, Location loc, Value input) {
    Size batch = sizeOf(input, 0);
    Block *entry = rewriter.getBlock();
    bool isEarly = llvm::all_of(batch.symbols, [](auto &symbol) { return isa<BlockArgument>(symbol.first); });
    for (auto &[block, size, value] : known)
      if (isEarly && block == entry && size == batch)
        return value;
    OpBuilder::InsertionGuard guard(rewriter);
    if (isEarly)
      rewriter.setInsertionPointToStart(entry);
    Value zero = arith::ConstantOp::create(rewriter, loc, rewriter.getI32IntegerAttr(0));
    auto type =
        RankedTensorType::get({cast<RankedTensorType>(input.getType()).getDimSize(0)}, rewriter.getI32Type());
    SmallVector<Value> sizes;
    if (auto value = dyn_cast<Value>(valueOf(rewriter, loc, batch)))
      sizes.push_back(value);
    Value splat = tensor::SplatOp::create(rewriter, loc, type, zero, sizes);
    if (isEarly)
      known.emplace_back(entry, batch, splat);
    return splat;
  }

private:
  SmallVector<std::tuple<Block *, Size, Value>, 2> known;
};

/// The two elements of x in a term scale * x * table, and the table.
std::optional<std::pair<Access, Access>> productOf(const Poly &poly, double scale, Value x) {
  for (const Monomial &term : poly.terms) {
    if (term.scale != scale || term.factors.size() != 2 || llvm::any_of(term.factors, [](const Factor &f) {
          return f.power != 1 || f.atom->kind != Atom::Element;
        }))
      continue;
    for (unsigned i : {0, 1})
      if (term.factors[i].atom->access.tensor == x)
        return std::pair(term.factors[i].atom->access, term.factors[1 - i].atom->access);
  }
  return std::nullopt;
}

/// Pattern: x cos + rotate_half(x) sin, with halves or neighbours as pairs -> rope(x, cos, sin)
struct RaiseRotation : RewritePattern {
  RaiseRotation(MLIRContext *context, Offsets &offsets)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context), offsets(offsets) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    // What ends in a sum, in two concatenated halves, or in pairs that are joined.
    if (!computesElements(op) && !isa<tensor::ConcatOp, tensor::InsertSliceOp, tensor::CollapseShapeOp>(op))
      return rewriter.notifyMatchFailure(op, "is not elementwise");
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    if (!isa<FloatType>(type.getElementType()) || type.getRank() < 2 ||
        type.isDynamicDim(type.getRank() - 1) || type.getShape().back() % 2 != 0)
      return rewriter.notifyMatchFailure(op, "has no pairs along its last dimension");
    Cone cone = coneOf(op->getResult(0), 48);
    if (!cone.find<tensor::ExtractSliceOp, tensor::ExtractOp>() || !cone.find<arith::MulFOp>())
      return rewriter.notifyMatchFailure(op, "reads no parts of a tensor");
    for (RopeStyle style : {RopeStyle::HalfSplit, RopeStyle::Interleaved})
      for (Value source : cone.sources) {
        Rotation rotation;
        rotation.style = style;
        if (succeeded(match(op, source, rotation, rewriter)))
          return replace(op, rotation, rewriter);
      }
    return rewriter.notifyMatchFailure(op, "is no rotation of a value near by");
  }

private:
  LogicalResult match(Operation *op, Value source, Rotation &r, PatternRewriter &rewriter) const {
    Algebra &algebra = r.algebra;
    Reader reader(algebra);
    reader.opaque = {source};
    Value root = op->getResult(0);
    r.place = algebra.places.everywhere(root);
    int64_t width = cast<RankedTensorType>(root.getType()).getShape().back();
    bool isSplit = r.style == RopeStyle::HalfSplit;
    int64_t apart = isSplit ? width / 2 : 1;
    r.pair = algebra.places.over(Size{width / 2, {}});
    r.half = algebra.places.over(Size{2, {}});
    Index begin = isSplit ? r.pair : Places::scaled(r.pair, Size{2, {}});
    r.column = Places::sum(begin, Places::scaled(r.half, Size{apart, {}}));
    Place at = r.place;
    at.back() = begin;
    Poly first = reader.read({root, at});
    if (algebra.overflow || first.terms.size() != 2)
      return failure();
    at.back() = Places::shifted(begin, apart);
    Poly second = reader.read({root, at});
    auto x0 = productOf(first, 1, source), x1 = productOf(first, -1, source);
    if (!x0 || !x1)
      return failure();
    std::tie(r.first, r.cos) = *x0;
    std::tie(r.second, r.sin) = *x1;
    auto product = [&](const Access &a, const Access &b) {
      return algebra.multiply(algebra.element(a.tensor, a.at), algebra.element(b.tensor, b.at));
    };
    auto isSecond = [&](const Access &cos, const Access &sin) {
      return algebra.equal(second, algebra.add(product(r.second, cos), product(r.first, sin)));
    };
    if (isSecond(r.cos, r.sin))
      return success();
    auto beside = [&](Access table) {
      table.at.back() = Places::shifted(table.at.back(), apart);
      return table;
    };
    if (!r.cos.at.empty() && !r.sin.at.empty() && isSecond(beside(r.cos), beside(r.sin)))
      return missed(rewriter, op, DEBUG_TYPE, "cos",
                    "is a table of all columns, whose halves need not be equal",
                    "store half of the columns and concatenate them with themselves");
    return failure();
  }

  LogicalResult replace(Operation *op, Rotation &r, PatternRewriter &rewriter) const {
    Places &places = r.algebra.places;
    Location loc = op->getLoc();
    Var *pair = r.pair.terms.empty() ? nullptr : r.pair.terms.front().var;
    // Tables are of a position and a pair.
    SmallVector<Var *> others = places.varsOf(r.cos.at);
    llvm::erase(others, pair);
    if (others.size() != 1 || places.varsOf(r.sin.at).size() != (pair ? 2 : 1))
      return missed(rewriter, op, DEBUG_TYPE, "cos",
                    others.empty() ? Twine("does not depend on a position")
                                   : Twine("depends on more than the position"),
                    "make it a table of positions and pairs");
    Var *position = others.front();
    // x as [batch, position, heads, column]
    std::optional<Index> column = wholePair(places, r);
    if (!column)
      return rewriter.notifyMatchFailure(op, "the elements of a pair are not those of one row");
    SmallVector<Var *> batch, heads;
    for (Var *var : places.varsOf(r.first.at))
      if (var != position && var != pair)
        heads.push_back(var);
    // The first of several is the batch, and a single one is if it stands before positions.
    SmallVector<Var *> order = places.varsOf(r.first.at);
    bool isBefore = heads.size() == 1 && llvm::find(order, heads.front()) < llvm::find(order, position);
    if (heads.size() > 1 || isBefore) {
      batch.push_back(heads.front());
      heads.erase(heads.begin());
    }
    Index row{{{position, Size{}}}, 0};
    Place place = r.place;
    place.back() = r.column;
    Access x = r.first;
    for (auto [index, other] : llvm::zip(x.at, r.second.at))
      if (!places.equal(index, other))
        index = *column;
    Place target{Places::composed(batch), row, Places::composed(heads), r.column};
    Value input = materialize(rewriter, loc, places, x, target);
    Value cos = table(rewriter, loc, places, r.cos, {row, r.pair});
    Value sin = table(rewriter, loc, places, r.sin, {row, r.pair});
    // Tables of the same number of positions.
    if (cos && sin &&
        cast<RankedTensorType>(cos.getType()).getShape() !=
            cast<RankedTensorType>(sin.getType()).getShape()) {
      cos = materialize(rewriter, loc, places, r.cos, {row, r.pair});
      sin = materialize(rewriter, loc, places, r.sin, {row, r.pair});
    }
    if (!input || !cos || !sin || !Layout::of(places, {input, target}, place))
      return rewriter.notifyMatchFailure(op, "something is read in parts");
    passed(op, DEBUG_TYPE, "raised to rope " + stringifyRopeStyle(r.style));
    auto type = RankedTensorType::get(cast<RankedTensorType>(input.getType()).getShape(),
                                      cast<RankedTensorType>(op->getResult(0).getType()).getElementType());
    Value value =
        RopeOp::create(rewriter, loc, type, r.style, input, cos, sin, offsets.zeros(rewriter, loc, input));
    return replaceWith(rewriter, op, places, {value, target}, place);
  }

  /// The index of both elements of a pair in the one dimension of x where they differ.
  static std::optional<Index> wholePair(Places &places, const Rotation &r) {
    std::optional<Index> result;
    for (auto [first, second] : llvm::zip(r.first.at, r.second.at)) {
      if (places.equal(first, second))
        continue;
      int64_t apart = second.offset - first.offset;
      if (result || apart <= 0 || !places.equal(Places::shifted(first, apart), second))
        return std::nullopt;
      result = Places::sum(first, Places::scaled(r.half, Size{apart, {}}));
    }
    return result;
  }

  /// A table [positions, pairs]; more positions than are read do no harm.
  static Value table(RewriterBase &rewriter, Location loc, Places &places, const Access &access,
                     const Place &place) {
    bool isWide = places.equal(access.at, place) && !place.back().terms.empty() &&
                  sizeOf(access.tensor, 1) == place.back().terms.front().var->size;
    if (isWide)
      return access.tensor;
    return materialize(rewriter, loc, places, access, place);
  }

  Offsets &offsets;
};

/// Pattern: concat(rope(x[:r]), x[r:]) -> rope(x)
struct RaisePartialRotation : OpRewritePattern<tensor::ConcatOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(tensor::ConcatOp op, PatternRewriter &rewriter) const override {
    RankedTensorType type = op.getType();
    if (op.getInputs().size() != 2 || static_cast<int64_t>(op.getDim()) + 1 != type.getRank() ||
        type.isDynamicDim(op.getDim()))
      return rewriter.notifyMatchFailure(op, "does not concatenate two parts of rows");
    Places places;
    auto widthOf = [](Value value) { return cast<RankedTensorType>(value.getType()).getShape().back(); };
    Value rotated = op.getInputs()[0], rest = op.getInputs()[1];
    if (ShapedType::isDynamic(widthOf(rotated)) || widthOf(rotated) < 2)
      return rewriter.notifyMatchFailure(op, "the parts have no known width");
    Place place = places.everywhere(op), begin = place, end = place;
    begin.back() = places.over(Size{widthOf(rotated), {}});
    end.back() = places.over(Size{widthOf(rest), {}});
    Access result = places.follow({rotated, begin});
    auto rope = result.tensor.getDefiningOp<RopeOp>();
    if (!rope || !places.equal(result.at.back(), begin.back()) ||
        2 * cast<RankedTensorType>(rope.getCos().getType()).getDimSize(1) != widthOf(rotated))
      return rewriter.notifyMatchFailure(op, "the first part is no rotation");
    Access x = places.follow({rope.getInput(), result.at}), other = places.follow({rest, end});
    Var *column = begin.back().terms.front().var;
    if (x.tensor != other.tensor ||
        !places.equal(places.substitute(x.at, column, Places::shifted(end.back(), widthOf(rotated))),
                      other.at))
      return missed(rewriter, op, DEBUG_TYPE, "rest", "is not what follows the rotated part in its row",
                    "concatenate the parts of one row");
    Place target = result.at;
    target.back() = place.back();
    Value input = materialize(rewriter, op.getLoc(), places,
                              {x.tensor, places.substitute(x.at, column, place.back())}, target);
    if (!input)
      return rewriter.notifyMatchFailure(op, "the row is read in parts");
    passed(op, DEBUG_TYPE,
           "rotates " + Twine(widthOf(rotated)) + " of " + Twine(type.getShape().back()) + " columns");
    auto all =
        RankedTensorType::get(cast<RankedTensorType>(input.getType()).getShape(), type.getElementType());
    Value value = RopeOp::create(rewriter, op.getLoc(), all, rope.getStyle(), input, rope.getCos(),
                                 rope.getSin(), rope.getOffsets());
    return replaceWith(rewriter, op, places, {value, target}, place);
  }
};

void populateRaisePartialRotationPatterns(RewritePatternSet &patterns) {
  patterns.add<RaisePartialRotation>(patterns.getContext());
}

void populateRaiseRopePatterns(RewritePatternSet &patterns, Offsets &offsets) {
  patterns.add<RaiseRotation>(patterns.getContext(), offsets);
}

struct RaiseRope : transformer::impl::RaiseRopePassBase<RaiseRope> {
  void runOnOperation() override {
    Offsets offsets;
    RewritePatternSet whole(&getContext()), partial(&getContext());
    populateRaiseRopePatterns(whole, offsets);
    applyFromLast(getOperation(), std::move(whole));
    // What a rotated part is concatenated with stands behind it.
    populateRaisePartialRotationPatterns(partial);
    applyFromLast(getOperation(), std::move(partial));
  }
};

} // namespace
