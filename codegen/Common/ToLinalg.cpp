//===- ToLinalg.cpp - transformer ops to linalg on tensors ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// linear(x, W)  -> generic [.., n, k]: acc + widen(x) * widen(W)
// rms_norm(x)   -> generic sum(x^2) ; generic x * rsqrt(sum/n + eps) * scale
// rope(x)       -> generic x[i] * cos +- x[partner(i)] * sin
//
// Runs after all optimisation, before dispatches are formed. Inside an op all is
// f32: operands are widened where they are read, results rounded where stored.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/GenericBuilder.h"
#include "codegen/Passes.h"

#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"

#define DEBUG_TYPE "transformer-to-linalg"

namespace mlir::transformer {
#define GEN_PASS_DEF_TOLINALGPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

//===----------------------------------------------------------------------===//
// Activations as scalar code
//===----------------------------------------------------------------------===//

/// x / (1 + exp(-scale * x)) on f32 scalars.
Value emitSigmoidProduct(OpBuilder &b, Location loc, Value x, double scale) {
  Value scaled = scale == 1.0 ? x : Value(arith::MulFOp::create(b, loc, x, constantF32(b, loc, scale)));
  Value e = math::ExpOp::create(b, loc, arith::NegFOp::create(b, loc, scaled));
  return arith::DivFOp::create(b, loc, x, arith::AddFOp::create(b, loc, constantF32(b, loc, 1.0), e));
}

/// x/2 * (1 + t) on f32 scalars.
Value emitGelu(OpBuilder &b, Location loc, Value x, Value t) {
  Value half = arith::MulFOp::create(b, loc, x, constantF32(b, loc, 0.5));
  return arith::MulFOp::create(b, loc, half, arith::AddFOp::create(b, loc, constantF32(b, loc, 1.0), t));
}

Value emitActivation(OpBuilder &b, Location loc, ActivationKind kind, Value x) {
  switch (kind) {
  case ActivationKind::Silu:
    return emitSigmoidProduct(b, loc, x, 1.0);
  case ActivationKind::QuickGelu:
    return emitSigmoidProduct(b, loc, x, 1.702);
  case ActivationKind::Relu:
    return arith::MaximumFOp::create(b, loc, x, constantF32(b, loc, 0.0));
  case ActivationKind::GeluErf: {
    Value u = arith::MulFOp::create(b, loc, x, constantF32(b, loc, 0.70710678118654752440));
    return emitGelu(b, loc, x, math::ErfOp::create(b, loc, u));
  }
  case ActivationKind::GeluTanh: {
    // sqrt(2/pi) * (x + 0.044715 x^3)
    Value square = arith::MulFOp::create(b, loc, x, x);
    Value inner = arith::AddFOp::create(b, loc, constantF32(b, loc, 1.0),
                                        arith::MulFOp::create(b, loc, square, constantF32(b, loc, 0.044715)));
    Value u = arith::MulFOp::create(b, loc, arith::MulFOp::create(b, loc, x, inner),
                                    constantF32(b, loc, 0.79788456080286535588));
    return emitGelu(b, loc, x, math::TanhOp::create(b, loc, u));
  }
  }
  llvm_unreachable("unknown activation");
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

/// Pattern: embedding(ids, table) -> generic: table[ids, d]
struct LowerEmbedding : OpRewritePattern<EmbeddingOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(EmbeddingOp op, PatternRewriter &rewriter) const override {
    int64_t rank = cast<RankedTensorType>(op.getType()).getRank();
    AffineMap ids = AffineMap::getMultiDimIdentityMap(rank, op.getContext()).dropResult(rank - 1);
    Value result = buildMap(
        rewriter, op.getLoc(), op.getResult(), {{op.getIds(), ids}},
        [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
          Value row = arith::IndexCastOp::create(b, loc, b.getIndexType(), args[0]);
          Value column = linalg::IndexOp::create(b, loc, rank - 1);
          return widen(b, loc, tensor::ExtractOp::create(b, loc, op.getTable(), ValueRange{row, column}));
        });
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// The contraction x W^T of f32 accumulation; the result type is `type`.
Value buildProjection(OpBuilder &b, Location loc, Value like, Value x, Value weight, Value bias) {
  auto type = cast<RankedTensorType>(like.getType());
  int64_t rank = type.getRank();
  MLIRContext *context = b.getContext();
  // Loops: the result's dimensions, then k.
  SmallVector<AffineExpr> row, column, result;
  for (int64_t i = 0; i < rank; ++i)
    result.push_back(getAffineDimExpr(i, context));
  row.assign(result.begin(), result.end() - 1);
  row.push_back(getAffineDimExpr(rank, context));
  column = {getAffineDimExpr(rank - 1, context), getAffineDimExpr(rank, context)};
  auto map = [&](ArrayRef<AffineExpr> exprs) { return AffineMap::get(rank + 1, 0, exprs, context); };
  Value sum =
      buildReduction(b, loc, like, {{x, map(row)}, {weight, map(column)}}, map(result), /*numReductions=*/1,
                     0.0, [](OpBuilder &b, Location loc, ValueRange args) -> Value {
                       Value product =
                           arith::MulFOp::create(b, loc, widen(b, loc, args[0]), widen(b, loc, args[1]));
                       return arith::AddFOp::create(b, loc, product, args[2]);
                     });
  if (!bias && type.getElementType().isF32())
    return sum;
  AffineMap identity = AffineMap::getMultiDimIdentityMap(rank, context);
  SmallVector<MappedOperand> operands{{sum, identity}};
  if (bias)
    operands.push_back({bias, identity.getMinorSubMap(1)});
  return buildMap(b, loc, like, operands, [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
    return bias ? Value(arith::AddFOp::create(b, loc, args[0], widen(b, loc, args[1]))) : args[0];
  });
}

/// Pattern: linear(x, W, b) -> generic: sum_k x * W ; generic: + b
struct LowerLinear : OpRewritePattern<LinearOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &rewriter) const override {
    rewriter.replaceOp(op, buildProjection(rewriter, op.getLoc(), op.getResult(), op.getInput(),
                                           op.getWeight(), op.getBias()));
    return success();
  }
};

/// Pattern: gated_mlp(x, Wg, Wu, Wd) -> linear(act(linear(x, Wg)) * linear(x, Wu), Wd)
struct LowerGatedMLP : OpRewritePattern<GatedMLPOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(GatedMLPOp op, PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto input = cast<RankedTensorType>(op.getInput().getType());
    SmallVector<int64_t> shape(input.getShape());
    shape.back() = cast<RankedTensorType>(op.getGate().getType()).getDimSize(0);
    auto wide = RankedTensorType::get(shape, rewriter.getF32Type());
    // The parts keep names that read well in a profile.
    auto part = [&](StringRef suffix) -> Location {
      auto name = dyn_cast<NameLoc>(loc);
      return name ? NameLoc::get(rewriter.getStringAttr(name.getName().getValue() + suffix)) : loc;
    };
    Value gate = LinearOp::create(rewriter, part("_gate"), wide, op.getInput(), op.getGate(), Value());
    Value up = LinearOp::create(rewriter, part("_gate_up"), wide, op.getInput(), op.getUp(), Value());
    Value act = ActivationOp::create(rewriter, loc, wide, op.getKind(), gate);
    Value product = arith::MulFOp::create(rewriter, loc, act, up);
    if (!input.getElementType().isF32())
      product = arith::TruncFOp::create(rewriter, loc, wide.clone(input.getElementType()), product);
    rewriter.replaceOp(
        op, LinearOp::create(rewriter, part("_down"), op.getType(), product, op.getDown(), Value()));
    return success();
  }
};

/// Pattern: activation(x) -> generic: act(x)
struct LowerActivation : OpRewritePattern<ActivationOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ActivationOp op, PatternRewriter &rewriter) const override {
    AffineMap identity = identityMap(op.getResult());
    Value result = buildMap(rewriter, op.getLoc(), op.getResult(), {{op.getInput(), identity}},
                            [&](OpBuilder &b, Location loc, ValueRange args) {
                              return emitActivation(b, loc, op.getKind(), widen(b, loc, args[0]));
                            });
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// Sum over the last dimension of f(x) (and of `extra`, one value per row).
Value buildRowSum(OpBuilder &b, Location loc, Value x, Value extra,
                  function_ref<Value(OpBuilder &, Location, ValueRange)> f) {
  AffineMap identity = identityMap(x);
  AffineMap rows = identity.dropResult(identity.getNumResults() - 1);
  SmallVector<MappedOperand> operands{{x, identity}};
  if (extra)
    operands.push_back({extra, rows});
  SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, loc, x);
  sizes.pop_back();
  Value like = tensor::EmptyOp::create(b, loc, sizes, b.getF32Type());
  return buildReduction(b, loc, like, operands, rows, /*numReductions=*/1, 0.0,
                        [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
                          return arith::AddFOp::create(b, loc, f(b, loc, args.drop_back()), args.back());
                        });
}

/// 1 / (length of the last dimension) as an f32 scalar.
Value inverseLength(OpBuilder &b, Location loc, Value x) {
  auto type = cast<RankedTensorType>(x.getType());
  int64_t last = type.getRank() - 1;
  if (!type.isDynamicDim(last))
    return constantF32(b, loc, 1.0 / static_cast<double>(type.getDimSize(last)));
  Value n = arith::IndexCastOp::create(b, loc, b.getI32Type(), tensor::DimOp::create(b, loc, x, last));
  return arith::DivFOp::create(b, loc, constantF32(b, loc, 1.0),
                               arith::SIToFPOp::create(b, loc, b.getF32Type(), n));
}

/// Pattern: rms_norm(x, w) -> generic: sum x^2 ; generic: x * rsqrt(sum/n + eps) * w
struct LowerRMSNorm : OpRewritePattern<RMSNormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(RMSNormOp op, PatternRewriter &rewriter) const override {
    Value squares = buildRowSum(rewriter, op.getLoc(), op.getInput(), Value(),
                                [](OpBuilder &b, Location loc, ValueRange args) -> Value {
                                  Value x = widen(b, loc, args[0]);
                                  return arith::MulFOp::create(b, loc, x, x);
                                });
    AffineMap identity = identityMap(op.getInput());
    int64_t last = identity.getNumResults() - 1;
    double epsilon = op.getEpsilon().convertToDouble();
    Value result =
        buildMap(rewriter, op.getLoc(), op.getResult(),
                 {{op.getInput(), identity},
                  {squares, identity.dropResult(last)},
                  {op.getScale(), identity.getMinorSubMap(1)}},
                 [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
                   Value mean = arith::MulFOp::create(b, loc, args[1], inverseLength(b, loc, op.getInput()));
                   Value r = math::RsqrtOp::create(
                       b, loc, arith::AddFOp::create(b, loc, mean, constantF32(b, loc, epsilon)));
                   Value x = arith::MulFOp::create(b, loc, widen(b, loc, args[0]), r);
                   return arith::MulFOp::create(b, loc, x, widen(b, loc, args[2]));
                 });
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// Pattern: layer_norm(x, w, b) -> generic: sum x ; generic: sum (x - mean)^2 ; generic: (x - mean) * rsqrt *
/// w + b
struct LowerLayerNorm : OpRewritePattern<LayerNormOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(LayerNormOp op, PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto deviation = [&](OpBuilder &b, Location loc, Value x, Value sum) -> Value {
      Value mean = arith::MulFOp::create(b, loc, sum, inverseLength(b, loc, op.getInput()));
      return arith::SubFOp::create(b, loc, widen(b, loc, x), mean);
    };
    Value sum =
        buildRowSum(rewriter, loc, op.getInput(), Value(),
                    [](OpBuilder &b, Location loc, ValueRange args) { return widen(b, loc, args[0]); });
    Value squares = buildRowSum(rewriter, loc, op.getInput(), sum,
                                [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
                                  Value d = deviation(b, loc, args[0], args[1]);
                                  return arith::MulFOp::create(b, loc, d, d);
                                });
    AffineMap identity = identityMap(op.getInput());
    AffineMap rows = identity.dropResult(identity.getNumResults() - 1), last = identity.getMinorSubMap(1);
    SmallVector<MappedOperand> operands{
        {op.getInput(), identity}, {sum, rows}, {squares, rows}, {op.getScale(), last}};
    if (op.getBias())
      operands.push_back({op.getBias(), last});
    double epsilon = op.getEpsilon().convertToDouble();
    Value result =
        buildMap(rewriter, loc, op.getResult(), operands, [&](OpBuilder &b, Location loc, ValueRange args) {
          Value variance = arith::MulFOp::create(b, loc, args[2], inverseLength(b, loc, op.getInput()));
          Value r = math::RsqrtOp::create(
              b, loc, arith::AddFOp::create(b, loc, variance, constantF32(b, loc, epsilon)));
          Value x = arith::MulFOp::create(b, loc, deviation(b, loc, args[0], args[1]), r);
          Value y = arith::MulFOp::create(b, loc, x, widen(b, loc, args[3]));
          return op.getBias() ? Value(arith::AddFOp::create(b, loc, y, widen(b, loc, args[4]))) : y;
        });
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// Pattern: rope(x, cos, sin, at) -> generic: x[i] * cos[p, j] +- x[partner] * sin[p, j]
struct LowerRope : OpRewritePattern<RopeOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(RopeOp op, PatternRewriter &rewriter) const override {
    int64_t rotary = 2 * cast<RankedTensorType>(op.getCos().getType()).getDimSize(1);
    int64_t headDim = cast<RankedTensorType>(op.getInput().getType()).getDimSize(3);
    bool halves = op.getStyle() == RopeStyle::HalfSplit && rotary == headDim;
    rewriter.replaceOp(op, halves ? lowerHalves(op, rewriter) : lowerAny(op, rewriter, rotary));
    return success();
  }

  /// a * cos + sign * b * sin, where sign is -1 for the first of a pair.
  static Value rotate(OpBuilder &b, Location loc, Value a, Value partner, Value cos, Value sin,
                      Value isFirst) {
    Value signedSin = arith::SelectOp::create(b, loc, isFirst, arith::NegFOp::create(b, loc, sin), sin);
    return arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, a, cos),
                                 arith::MulFOp::create(b, loc, partner, signedSin));
  }

  /// The whole head in two halves: [B, S, H, 2, D/2], contiguous along the last dimension.
  static Value lowerHalves(RopeOp op, PatternRewriter &rewriter) {
    Location loc = op.getLoc();
    auto type = cast<RankedTensorType>(op.getInput().getType());
    SmallVector<int64_t> shape(type.getShape());
    int64_t half = shape.pop_back_val() / 2;
    shape.append({2, half});
    SmallVector<ReassociationIndices> split{{0}, {1}, {2}, {3, 4}};
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(rewriter, loc, op.getInput());
    sizes.back() = rewriter.getIndexAttr(2);
    sizes.push_back(rewriter.getIndexAttr(half));
    Value x = tensor::ExpandShapeOp::create(
        rewriter, loc, RankedTensorType::get(shape, type.getElementType()), op.getInput(), split, sizes);
    Type element = cast<RankedTensorType>(op.getType()).getElementType();
    Value like = tensor::EmptyOp::create(rewriter, loc, sizes, element);
    AffineMap identity = identityMap(x);
    AffineMap rows = AffineMap::get(5, 0, rewriter.getAffineDimExpr(0));
    Value y = buildMap(
        rewriter, loc, like, {{x, identity}, {op.getOffsets(), rows}},
        [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
          SmallVector<Value> at;
          for (int64_t i = 0; i < 5; ++i)
            at.push_back(linalg::IndexOp::create(b, loc, i));
          Value position = positionOf(b, loc, args[1], at[1]);
          auto table = [&](Value values) {
            return widen(b, loc, tensor::ExtractOp::create(b, loc, values, ValueRange{position, at[4]}));
          };
          Value one = arith::ConstantIndexOp::create(b, loc, 1);
          SmallVector<Value> other(at);
          other[3] = arith::SubIOp::create(b, loc, one, at[3]);
          Value partner = widen(b, loc, tensor::ExtractOp::create(b, loc, x, other));
          Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, at[3], one);
          return rotate(b, loc, widen(b, loc, args[0]), partner, table(op.getCos()), table(op.getSin()),
                        isFirst);
        });
    return tensor::CollapseShapeOp::create(rewriter, loc, op.getType(), y, split);
  }

  /// Interleaved pairs and heads that rotate in part.
  static Value lowerAny(RopeOp op, PatternRewriter &rewriter, int64_t rotary) {
    bool halfSplit = op.getStyle() == RopeStyle::HalfSplit;
    AffineMap identity = identityMap(op.getInput());
    AffineMap rows = AffineMap::get(4, 0, rewriter.getAffineDimExpr(0));
    return buildMap(
        rewriter, op.getLoc(), op.getResult(), {{op.getInput(), identity}, {op.getOffsets(), rows}},
        [&](OpBuilder &b, Location loc, ValueRange args) -> Value {
          auto constant = [&](int64_t v) -> Value { return arith::ConstantIndexOp::create(b, loc, v); };
          SmallVector<Value> at;
          for (int64_t i = 0; i < 4; ++i)
            at.push_back(linalg::IndexOp::create(b, loc, i));
          Value d = at[3], position = positionOf(b, loc, args[1], at[1]);
          Value rotated = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, d, constant(rotary));
          Value isFirst, pair, partner;
          if (halfSplit) {
            Value half = constant(rotary / 2);
            isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, d, half);
            pair = arith::SelectOp::create(b, loc, isFirst, d, arith::SubIOp::create(b, loc, d, half));
            partner = arith::SelectOp::create(b, loc, isFirst, arith::AddIOp::create(b, loc, d, half), pair);
          } else {
            Value odd = arith::AndIOp::create(b, loc, d, constant(1));
            isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, odd, constant(0));
            pair = arith::ShRUIOp::create(b, loc, d, constant(1));
            partner = arith::XOrIOp::create(b, loc, d, constant(1));
          }
          // Elements that do not rotate read pair 0 and drop it.
          pair = arith::SelectOp::create(b, loc, rotated, pair, constant(0));
          at[3] = arith::SelectOp::create(b, loc, rotated, partner, constant(0));
          auto table = [&](Value values) {
            return widen(b, loc, tensor::ExtractOp::create(b, loc, values, ValueRange{position, pair}));
          };
          Value x = widen(b, loc, args[0]);
          Value other = widen(b, loc, tensor::ExtractOp::create(b, loc, op.getInput(), at));
          Value y = rotate(b, loc, x, other, table(op.getCos()), table(op.getSin()), isFirst);
          return arith::SelectOp::create(b, loc, rotated, y, x);
        });
  }

  static Value positionOf(OpBuilder &b, Location loc, Value offset, Value s) {
    return arith::AddIOp::create(b, loc, arith::IndexCastOp::create(b, loc, b.getIndexType(), offset), s);
  }
};

/// Pattern: extract_slice(x) of unit strides -> generic: x[offset + i]
struct LowerExtractSlice : OpRewritePattern<tensor::ExtractSliceOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::ExtractSliceOp op, PatternRewriter &rewriter) const override {
    if (!llvm::all_of(op.getMixedStrides(), [](OpFoldResult s) { return isConstantIntValue(s, 1); }))
      return rewriter.notifyMatchFailure(op, "strides other than one");
    if (op.getType().getRank() != op.getSourceType().getRank())
      return rewriter.notifyMatchFailure(op, "rank-reducing slice");
    Location loc = op.getLoc();
    Value like = tensor::EmptyOp::create(rewriter, loc, op.getMixedSizes(), op.getType().getElementType());
    // Offsets enter the dispatch as arguments.
    Value result = buildMap(rewriter, loc, like, {}, [&](OpBuilder &b, Location loc, ValueRange) -> Value {
      SmallVector<Value> at;
      for (auto [i, offset] : llvm::enumerate(op.getMixedOffsets())) {
        Value index = linalg::IndexOp::create(b, loc, i);
        if (!isConstantIntValue(offset, 0))
          index = arith::AddIOp::create(b, loc, index, getValueOrCreateConstantIndexOp(b, loc, offset));
        at.push_back(index);
      }
      return tensor::ExtractOp::create(b, loc, op.getSource(), at);
    });
    if (result.getType() != op.getType())
      result = tensor::CastOp::create(rewriter, loc, op.getType(), result);
    rewriter.replaceOp(op, result);
    return success();
  }
};

/// Pattern: softmax(x) -> its max, exp and sum generics
struct LowerSoftmax : OpRewritePattern<linalg::SoftmaxOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::SoftmaxOp op, PatternRewriter &rewriter) const override {
    FailureOr<SmallVector<Value>> parts = op.decomposeOperation(rewriter);
    if (failed(parts))
      return rewriter.notifyMatchFailure(op, "softmax does not decompose");
    rewriter.replaceOp(op, *parts);
    return success();
  }
};

/// Pattern: splat(s) -> fill(s)
struct LowerSplat : OpRewritePattern<tensor::SplatOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(tensor::SplatOp op, PatternRewriter &rewriter) const override {
    Value empty = tensor::EmptyOp::create(rewriter, op.getLoc(), op.getType(), op.getDynamicSizes());
    rewriter.replaceOpWithNewOp<linalg::FillOp>(op, op.getInput(), empty);
    return success();
  }
};

/// Pattern: a named linalg op -> linalg.generic (a fill stays: it starts reductions)
struct Generalize : OpInterfaceRewritePattern<linalg::LinalgOp> {
  using OpInterfaceRewritePattern::OpInterfaceRewritePattern;
  LogicalResult matchAndRewrite(linalg::LinalgOp op, PatternRewriter &rewriter) const override {
    if (isa<linalg::GenericOp, linalg::FillOp>(op.getOperation()))
      return rewriter.notifyMatchFailure(op, "already general");
    return linalg::generalizeNamedOp(rewriter, op);
  }
};

/// Pattern: generic of parallel loops that does not read its init -> the same into an empty tensor
struct DropUnreadInit : OpRewritePattern<linalg::GenericOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(linalg::GenericOp op, PatternRewriter &rewriter) const override {
    if (op.getNumResults() != 1 || op.getNumReductionLoops() != 0)
      return rewriter.notifyMatchFailure(op, "not one elementwise result");
    OpOperand *init = op.getDpsInitOperand(0);
    if (!op.getMatchingBlockArgument(init).use_empty() || init->get().getDefiningOp<tensor::EmptyOp>())
      return rewriter.notifyMatchFailure(op, "the init is read, or empty already");
    // A reader's init is no reason to compute a value.
    Value empty = emptyLike(rewriter, op.getLoc(), init->get());
    rewriter.modifyOpInPlace(op, [&] { init->set(empty); });
    return success();
  }
};

struct ToLinalg : transformer::impl::ToLinalgPassBase<ToLinalg> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<LowerEmbedding, LowerLinear, LowerGatedMLP, LowerActivation, LowerRMSNorm, LowerLayerNorm,
                 LowerRope, LowerExtractSlice, LowerSoftmax, LowerSplat, Generalize, DropUnreadInit>(
        &getContext());
    linalg::populateElementwiseToLinalgConversionPatterns(patterns);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
