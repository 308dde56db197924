//===- EmulateInstructions.cpp - f16 and rounding on old CPUs -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// arith.extf %x : f16 to f32  ->  integer operations and a multiplication
// math.floor %x : f32         ->  additions and comparisons
//
// For x86-64 CPUs without F16C and SSE4.1, where the backend would call a library
// that a module does not have. Runs before the conversion to LLVM, behind the passes
// that bring conversions in.
//
//===----------------------------------------------------------------------===//

#include "codegen/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#define DEBUG_TYPE "transformer-emulate-instructions"

namespace mlir::transformer {
#define GEN_PASS_DEF_EMULATEINSTRUCTIONSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Writes arithmetic on values of one shape.
class Writer {
public:
  Writer(OpBuilder &b, Location loc, Type like) : b(b), loc(loc), like(like) {}

  Type shaped(Type element) const {
    auto vector = dyn_cast<VectorType>(like);
    return vector ? Type(vector.clone(element)) : element;
  }
  Type i32() const { return shaped(b.getI32Type()); }
  Type f32() const { return shaped(b.getF32Type()); }
  Value integer(uint32_t value) {
    return splat(i32(), b.getIntegerAttr(b.getI32Type(), static_cast<int32_t>(value)));
  }
  Value real(float value) { return splat(f32(), b.getF32FloatAttr(value)); }
  template <typename Op, typename... Operands> Value make(Operands... operands) {
    return Op::create(b, loc, operands...);
  }
  Value bits(Value x) { return make<arith::BitcastOp>(i32(), x); }
  Value fromBits(Value x) { return make<arith::BitcastOp>(f32(), x); }
  Value less(Value x, Value y) { return make<arith::CmpFOp>(arith::CmpFPredicate::OLT, x, y); }
  Value below(Value x, uint32_t bound) {
    return make<arith::CmpIOp>(arith::CmpIPredicate::ult, x, integer(bound));
  }

private:
  Value splat(Type type, TypedAttr value) {
    auto vector = dyn_cast<VectorType>(type);
    return make<arith::ConstantOp>(vector ? TypedAttr(DenseElementsAttr::get(vector, Attribute(value)))
                                          : value);
  }

  OpBuilder &b;
  Location loc;
  Type like;
};

/// Pattern: extf(x : f16) -> 2^112 (the bits of x, moved to f32's places)
/// The product shifts the exponent's bias and makes subnormal values normal, exactly.
struct ExpandExtF16 : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::ExtFOp op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getIn().getType()).isF16() || !getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not from f16 to f32");
    Writer w(rewriter, op.getLoc(), op.getType());
    Value narrow = w.make<arith::BitcastOp>(w.shaped(rewriter.getI16Type()), op.getIn());
    Value all = w.make<arith::ExtUIOp>(w.i32(), narrow);
    Value sign = w.make<arith::ShLIOp>(w.make<arith::AndIOp>(all, w.integer(0x8000)), w.integer(16));
    Value moved = w.make<arith::ShLIOp>(w.make<arith::AndIOp>(all, w.integer(0x7fff)), w.integer(13));
    Value finite = w.bits(w.make<arith::MulFOp>(w.fromBits(moved), w.real(0x1p112f)));
    // Infinity and NaN keep their exponent of ones.
    Value special = w.make<arith::OrIOp>(moved, w.integer(0x7f800000));
    Value magnitude = w.make<arith::SelectOp>(w.below(moved, 0x7c00u << 13), finite, special);
    rewriter.replaceOp(op, w.fromBits(w.make<arith::OrIOp>(magnitude, sign)));
    return success();
  }
};

/// Pattern: truncf(x : f32 to f16) -> the bits of x, rounded to the nearest even and moved
/// What is subnormal in f16 is rounded by adding 1/2, whose last place is f16's.
struct ExpandTruncF16 : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::TruncFOp op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF16() || !getElementTypeOrSelf(op.getIn().getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not from f32 to f16");
    Writer w(rewriter, op.getLoc(), op.getType());
    Value all = w.bits(op.getIn());
    Value magnitude = w.make<arith::AndIOp>(all, w.integer(0x7fffffff));
    Value sign = w.make<arith::AndIOp>(w.make<arith::ShRUIOp>(all, w.integer(16)), w.integer(0x8000));
    Value odd = w.make<arith::AndIOp>(w.make<arith::ShRUIOp>(magnitude, w.integer(13)), w.integer(1));
    // A carry out of the fraction is the next exponent, up to infinity.
    Value rebased = w.make<arith::AddIOp>(magnitude, w.integer((15u - 127u) << 23 | 0xfff));
    Value normal = w.make<arith::ShRUIOp>(w.make<arith::AddIOp>(rebased, odd), w.integer(13));
    Value half = w.bits(w.make<arith::AddFOp>(w.fromBits(magnitude), w.real(0.5f)));
    Value subnormal = w.make<arith::SubIOp>(half, w.integer(0x3f000000));
    Value isNumber = w.below(magnitude, 0x7f800001);
    Value special = w.make<arith::SelectOp>(isNumber, w.integer(0x7c00), w.integer(0x7e00));
    Value finite = w.make<arith::SelectOp>(w.below(magnitude, (127u - 14u) << 23), subnormal, normal);
    Value rounded = w.make<arith::SelectOp>(w.below(magnitude, (127u + 16u) << 23), finite, special);
    Value narrow =
        w.make<arith::TruncIOp>(w.shaped(rewriter.getI16Type()), w.make<arith::OrIOp>(rounded, sign));
    rewriter.replaceOpWithNewOp<arith::BitcastOp>(op, op.getType(), narrow);
    return success();
  }
};

/// Pattern: roundeven(x), floor(x), ceil(x), trunc(x) -> (|x| + 2^23) - 2^23, put right, with the sign of x
/// From 2^23 on every value is an integer; the sum rounds to one.
template <typename Op> struct ExpandRounding : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    Value x = op.getOperand();
    if (!getElementTypeOrSelf(x.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "not of f32");
    Writer w(rewriter, op.getLoc(), x.getType());
    Value magnitude = w.make<math::AbsFOp>(x), shift = w.real(0x1p23f), one = w.real(1.0f),
          zero = w.real(0.0f);
    Value nearest = w.make<arith::SubFOp>(w.make<arith::AddFOp>(magnitude, shift), shift);
    auto oneIf = [&](Value condition) { return w.make<arith::SelectOp>(condition, one, zero); };
    Value rounded;
    if constexpr (std::is_same_v<Op, math::TruncOp>) {
      rounded = w.make<arith::SubFOp>(nearest, oneIf(w.less(magnitude, nearest)));
    } else {
      rounded = w.make<math::CopySignOp>(nearest, x);
      if constexpr (std::is_same_v<Op, math::FloorOp>)
        rounded = w.make<arith::SubFOp>(rounded, oneIf(w.less(x, rounded)));
      if constexpr (std::is_same_v<Op, math::CeilOp>)
        rounded = w.make<arith::AddFOp>(rounded, oneIf(w.less(rounded, x)));
    }
    rounded = w.make<math::CopySignOp>(rounded, x);
    rewriter.replaceOpWithNewOp<arith::SelectOp>(op, w.less(magnitude, shift), rounded, x);
    return success();
  }
};

struct EmulateInstructions : transformer::impl::EmulateInstructionsPassBase<EmulateInstructions> {
  using EmulateInstructionsPassBase::EmulateInstructionsPassBase;

  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    if (f16)
      patterns.add<ExpandExtF16, ExpandTruncF16>(&getContext());
    if (rounding)
      patterns.add<ExpandRounding<math::RoundEvenOp>, ExpandRounding<math::FloorOp>,
                   ExpandRounding<math::CeilOp>, ExpandRounding<math::TruncOp>>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
