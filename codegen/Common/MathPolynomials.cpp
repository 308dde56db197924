//===- MathPolynomials.cpp - functions of f32 with a stated error ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// math.exp %x : vector<16xf32>  ->  2^k * p(r), in arith ops
//
// Each function is reduced to a short interval and approximated there by the polynomial
// of least largest error (Remez), weighted so that the error is relative to the result.
// The bounds above the patterns are in units in the last place of f32; test/unit/codegen/
// MathTest.cpp measures them. NaN stays NaN, because comparisons are chosen to keep it.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/MathPolynomials.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/TypeUtilities.h"

#include <limits>

using namespace mlir;
using namespace mlir::transformer;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kHalfPi = 1.5707963267948966, kLn2 = 0.69314718055994531;
constexpr double kLog2e = 1.4426950408889634;
/// ln 2 in two parts; the first has so few bits that products with exponents are exact.
constexpr double kLn2High = 0.693359375, kLn2Low = -2.1219444005469058e-4;
/// pi/2 in five parts of 12 bits (the last of 24), for the same reason.
constexpr double kHalfPiParts[] = {1.5703125, 4.837512969970703125e-4, 7.5495336204767227e-8,
                                   2.5632829192545614e-12, 6.1232342629258393e-17};
/// Added to a number below 2^22 it leaves the nearest integer in the low bits.
constexpr double kRounder = 0x1.8p23;
constexpr int64_t kRounderBits = 0x4b400000;

// Polynomials, from the highest coefficient on.
/// (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2.
constexpr double kExp[] = {1.3814261033573935e-3, 8.3688987227646775e-3, 4.1668405100340691e-2,
                           1.6666519130277124e-1, 4.9999993348327838e-1};
/// 2^r for |r| <= 1/2.
constexpr double kExp2[] = {1.5353146171141724e-4,
                            1.3399132291291884e-3,
                            9.6184398627198076e-3,
                            5.5503318551706241e-2,
                            2.4022647880193421e-1,
                            6.9314720311453891e-1,
                            1.0};
/// (log(1 + f) - f) / f^2 for 1 + f between sqrt(1/2) and sqrt(2).
constexpr double kLog[] = {-7.6344565292992836e-2, 1.2761544690978184e-1,  -1.3160184022960418e-1,
                           1.4201763482584763e-1,  -1.6623357655251546e-1, 2.0001226593457048e-1,
                           -2.5000821023285708e-1, 3.3333331712259677e-1,  -0.5};
/// (sin(r) - r) / r^3 and (cos(r) - 1) / r^2 of r^2 for |r| <= pi/4.
constexpr double kSin[] = {-1.9516396278923289e-4, 8.3321716819834637e-3, -1.6666654844965702e-1};
constexpr double kCos[] = {2.4437439294033935e-5, -1.3887359003923911e-3, 4.1666646699911620e-2, -0.5};
/// erf(x) / x - 1 of x^2 for |x| <= 0.9, and -log(erfc(x)) for 0.9 <= x <= 3.95.
constexpr double kErf[] = {8.5388363088e-5,  -8.1819268214e-4,  5.20443601139e-3, -2.68607528212e-2,
                           1.12837197237e-1, -3.76126353105e-1, 1.28379166802e-1};
constexpr double kErfTail[] = {-1.97181355666e-4, 3.055604687e-3, -2.22770778375e-2, 1.04037343854e-1,
                               6.37059768129e-1,  1.12774955496,  1.77496199651e-4};
/// (atan(x) - x) / x^3 of x^2 for |x| <= 1.
constexpr double kAtan[] = {-1.82719562007e-3, 1.10643682289e-2, -3.14555784146e-2,
                            5.82344438206e-2,  -8.4194543533e-2, 1.09575752993e-1,
                            -1.42652454223e-1, 1.99986386537e-1, -3.33333018692e-1};

/// (asin(x) - x) / x^3 of x^2 for |x| <= 1/2.
constexpr double kAsin[] = {4.22184963188e-2, 2.41476467985e-2, 4.547708811e-2, 7.49524188091e-2,
                            1.66667539236e-1};

/// Arithmetic on values of one type: f32 or a vector of it, and integers of that shape.
class Math {
public:
  Math(OpBuilder &builder, Location loc, Type type) : b(loc, builder), type(type) {
    intType = b.getI32Type();
    if (auto shaped = dyn_cast<ShapedType>(type))
      intType = shaped.clone(intType);
  }

  Value constant(double value) { return constantOf(type, b.getF32FloatAttr(static_cast<float>(value))); }
  Value constantInt(int64_t value) {
    return constantOf(intType, b.getI32IntegerAttr(static_cast<int32_t>(value)));
  }

  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value add(Value x, double y) { return add(x, constant(y)); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value mul(Value x, double y) { return mul(x, constant(y)); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) { return math::FmaOp::create(b, x, y, z); }
  Value fma(Value x, double y, Value z) { return fma(x, constant(y), z); }
  Value abs(Value x) { return math::AbsFOp::create(b, x); }
  Value neg(Value x) { return arith::NegFOp::create(b, x); }
  Value sqrt(Value x) { return math::SqrtOp::create(b, x); }
  Value floor(Value x) { return math::FloorOp::create(b, x); }
  Value copySign(Value x, Value sign) { return math::CopySignOp::create(b, x, sign); }

  Value addInt(Value x, int64_t y) { return arith::AddIOp::create(b, x, constantInt(y)); }
  Value subInt(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value divideInt(Value x, int64_t y) { return arith::DivUIOp::create(b, x, constantInt(y)); }
  Value andInt(Value x, int64_t y) { return arith::AndIOp::create(b, x, constantInt(y)); }
  Value shiftLeft(Value x, int64_t count) { return arith::ShLIOp::create(b, x, constantInt(count)); }
  Value shiftRight(Value x, int64_t count) { return arith::ShRSIOp::create(b, x, constantInt(count)); }
  Value xorInt(Value x, Value y) { return arith::XOrIOp::create(b, x, y); }
  Value isNonZero(Value x) { return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, x, constantInt(0)); }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
  Value toInt(Value x) { return arith::BitcastOp::create(b, intType, x); }
  Value toFloat(Value x) { return arith::BitcastOp::create(b, type, x); }
  Value convertInt(Value x) { return arith::SIToFPOp::create(b, type, x); }

  Value compare(arith::CmpFPredicate predicate, Value x, double y) {
    return arith::CmpFOp::create(b, predicate, x, constant(y));
  }
  Value select(Value condition, Value x, Value y) { return arith::SelectOp::create(b, condition, x, y); }
  Value select(Value condition, double x, Value y) { return select(condition, constant(x), y); }
  /// The lesser and the greater one; NaN where `x` is.
  Value atMost(Value x, double y) { return select(compare(arith::CmpFPredicate::ULE, x, y), x, constant(y)); }
  Value atLeast(Value x, double y) {
    return select(compare(arith::CmpFPredicate::UGE, x, y), x, constant(y));
  }

  Value polynomial(Value x, ArrayRef<double> coefficients) {
    Value y = constant(coefficients.front());
    for (double c : coefficients.drop_front())
      y = fma(y, x, constant(c));
    return y;
  }

  /// An integer close to `x * scale` as a float and, in its low bits, as an integer.
  std::pair<Value, Value> nearest(Value x, double scale) {
    Value shifted = scale == 1.0 ? add(x, kRounder) : fma(x, scale, constant(kRounder));
    return {sub(shifted, constant(kRounder)), toInt(shifted)};
  }
  /// 2^k for a number k between -126 and 127, as in `nearest`.
  Value powerOfTwo(Value low) { return toFloat(shiftLeft(addInt(low, 127 - kRounderBits), 23)); }

  /// e^x = 2^k (1 + p), with p at most sqrt(2) - 1; k is an integer as in `nearest`.
  std::pair<Value, Value> reducedExp(Value x) {
    auto [whole, k] = nearest(x, kLog2e);
    Value r = fma(whole, -kLn2Low, fma(whole, -kLn2High, x));
    return {fma(polynomial(r, kExp), mul(r, r), r), k};
  }

  /// y * 2^k for a number k between -126 and 128, as in `nearest`. The power that does not
  /// fit an exponent is infinite only where the product is.
  Value scale(Value y, Value k) {
    Value exponent = addInt(k, -kRounderBits), half = shiftRight(exponent, 1);
    auto power = [&](Value e) { return toFloat(shiftLeft(addInt(e, 127), 23)); };
    return mul(mul(y, power(half)), power(subInt(exponent, half)));
  }

  Value exp(Value x) { return math::ExpOp::create(b, x); }
  Value log(Value x) { return math::LogOp::create(b, x); }
  Value log1p(Value x) { return math::Log1pOp::create(b, x); }
  Value expM1(Value x) { return math::ExpM1Op::create(b, x); }

private:
  Value constantOf(Type ofType, TypedAttr value) {
    if (auto shaped = dyn_cast<ShapedType>(ofType))
      return arith::ConstantOp::create(b, DenseElementsAttr::get(shaped, value));
    return arith::ConstantOp::create(b, value);
  }

  ImplicitLocOpBuilder b;
  Type type, intType;
};

//===----------------------------------------------------------------------===//
// Exponentials
//===----------------------------------------------------------------------===//

constexpr auto kLess = arith::CmpFPredicate::OLT, kGreater = arith::CmpFPredicate::OGT,
               kEqual = arith::CmpFPredicate::OEQ, kNotAtLeast = arith::CmpFPredicate::ULT;

/// Pattern: exp(x) -> 2^k (1 + p(r)), x = k ln 2 + r
/// What is below 2^-126 becomes zero: numbers with fewer bits are slow on many CPUs.
/// At most 1.5 ulp.
Value emitExp(Math &m, Value x) {
  constexpr double kLeast = -87.3365447506, kMost = 88.73;
  auto [p, k] = m.reducedExp(m.atMost(m.atLeast(x, kLeast), kMost));
  return m.select(m.compare(kLess, x, kLeast), 0.0, m.scale(m.add(p, 1.0), k));
}

/// Pattern: exp2(x) -> 2^k p(x - k)
/// At most 1.5 ulp, and exact for integers; below 2^-126 as exp.
Value emitExp2(Math &m, Value x) {
  Value bounded = m.atMost(m.atLeast(x, -126.0), 128.0);
  auto [whole, k] = m.nearest(bounded, 1.0);
  Value y = m.scale(m.polynomial(m.sub(bounded, whole), kExp2), k);
  return m.select(m.compare(kLess, x, -126.0), 0.0, y);
}

/// Pattern: expm1(x) -> 2^k p + (2^k - 1), halved so that 2^k may be 2^128
/// At most 2 ulp.
Value emitExpM1(Math &m, Value x) {
  auto [p, k] = m.reducedExp(m.atMost(m.atLeast(x, -18.0), 88.73));
  Value half = m.powerOfTwo(m.addInt(k, -1));
  Value y = m.fma(half, p, m.add(half, -0.5));
  return m.add(y, y);
}

/// Pattern: tanh(x) -> t / (t + 2), t = e^2x - 1
/// From 9.02 on the result is 1.
/// At most 3 ulp.
Value emitTanh(Math &m, Value x) {
  Value a = m.atMost(m.abs(x), 9.02);
  auto [p, k] = m.reducedExp(m.add(a, a));
  Value power = m.powerOfTwo(k);
  Value t = m.fma(power, p, m.add(power, -1.0));
  return m.copySign(m.div(t, m.add(t, 2.0)), x);
}

/// Pattern: erf(x) -> x + x p(x^2), or 1 - e^-q(|x|) from 0.9 on
/// From 3.95 on the result is 1.
/// At most 1.5 ulp.
Value emitErf(Math &m, Value x) {
  Value a = m.atMost(m.abs(x), 3.95);
  Value near = m.fma(m.polynomial(m.mul(a, a), kErf), a, a);
  auto [p, k] = m.reducedExp(m.neg(m.polynomial(a, kErfTail)));
  Value power = m.neg(m.powerOfTwo(k));
  Value far = m.fma(power, p, m.add(power, 1.0));
  return m.copySign(m.select(m.compare(kLess, a, 0.9), near, far), x);
}

/// Pattern: sinh(x) -> (t + t / (t + 1)) / 2, t = e^|x| - 1, or e^(|x|/2) squared from 9 on
/// At most 3.5 ulp.
Value emitSinh(Math &m, Value x) {
  Value a = m.abs(x);
  Value root = m.exp(m.mul(a, 0.5));
  Value t = m.expM1(m.atMost(a, 9.0));
  Value near = m.mul(m.add(t, m.div(t, m.add(t, 1.0))), 0.5);
  return m.copySign(m.select(m.compare(kGreater, a, 9.0), m.mul(m.mul(root, 0.5), root), near), x);
}

/// Pattern: cosh(x) -> (e^|x| + e^-|x|) / 2, by e^(|x|/2) that does not overflow
/// At most 3.5 ulp.
Value emitCosh(Math &m, Value x) {
  Value root = m.exp(m.mul(m.abs(x), 0.5));
  return m.fma(m.mul(root, 0.5), root, m.div(m.constant(0.5), m.mul(root, root)));
}

//===----------------------------------------------------------------------===//
// Logarithms
//===----------------------------------------------------------------------===//

/// x = 2^k (1 + f), with 1 + f between sqrt(1/2) and sqrt(2): f, log(1 + f) - f, and k.
struct ReducedLog {
  Value f, rest, k;
};

ReducedLog reduceLog(Math &m, Value x) {
  constexpr int64_t kRootHalf = 0x3f3504f3;
  // Numbers with fewer bits are multiplied by 2^23 first.
  Value isSmall = m.compare(kLess, x, 0x1p-126);
  Value bits = m.toInt(m.select(isSmall, m.mul(x, 0x1p23), x));
  Value exponent = m.shiftRight(m.addInt(bits, -kRootHalf), 23);
  Value f = m.add(m.toFloat(m.subInt(bits, m.shiftLeft(exponent, 23))), -1.0);
  Value k = m.add(m.convertInt(exponent), m.select(isSmall, -23.0, m.constant(0.0)));
  return {f, m.mul(m.mul(f, f), m.polynomial(f, kLog)), k};
}

/// `y` for positive numbers, and what logarithms of others are.
Value withLimits(Math &m, Value x, Value y) {
  y = m.select(m.compare(kEqual, x, kInf), kInf, y);
  y = m.select(m.compare(kNotAtLeast, x, 0.0), kNaN, y);
  return m.select(m.compare(kEqual, x, 0.0), -kInf, y);
}

/// Pattern: log(x) -> k ln 2 + log(1 + f), x = 2^k (1 + f)
/// At most 1.5 ulp.
Value emitLog(Math &m, Value x) {
  auto [f, rest, k] = reduceLog(m, x);
  return withLimits(m, x, m.fma(k, kLn2High, m.add(f, m.fma(k, kLn2Low, rest))));
}

/// Pattern: log2(x) -> k + log(1 + f) log2(e)
/// At most 2 ulp, and exact for powers of two.
Value emitLog2(Math &m, Value x) {
  auto [f, rest, k] = reduceLog(m, x);
  return withLimits(m, x, m.fma(m.add(f, rest), kLog2e, k));
}

/// Pattern: asinh(x) -> log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))), or log(|x|) + ln 2 from 2^12 on
/// At most 3 ulp.
Value emitAsinh(Math &m, Value x) {
  Value a = m.abs(x), c = m.atMost(a, 4096.0), square = m.mul(c, c);
  Value near = m.log1p(m.add(c, m.div(square, m.add(m.sqrt(m.add(square, 1.0)), 1.0))));
  Value y = m.select(m.compare(kGreater, a, 4096.0), m.add(m.log(a), kLn2), near);
  return m.copySign(y, x);
}

/// Pattern: acosh(x) -> log1p(u + sqrt(u (x + 1))), u = x - 1, or log(x) + ln 2 from 2^12 on
/// At most 3.5 ulp.
Value emitAcosh(Math &m, Value x) {
  Value c = m.atMost(x, 4096.0), u = m.add(c, -1.0);
  Value near = m.log1p(m.add(u, m.sqrt(m.mul(u, m.add(c, 1.0)))));
  return m.select(m.compare(kGreater, x, 4096.0), m.add(m.log(x), kLn2),
                  m.select(m.compare(kLess, x, 1.0), kNaN, near));
}

/// Pattern: atanh(x) -> log1p(2 |x| / (1 - |x|)) / 2
/// At most 3.5 ulp.
Value emitAtanh(Math &m, Value x) {
  Value a = m.abs(x);
  Value quotient = m.div(m.add(a, a), m.sub(m.constant(1.0), a));
  return m.copySign(m.mul(m.log1p(quotient), 0.5), x);
}

//===----------------------------------------------------------------------===//
// Trigonometry
//===----------------------------------------------------------------------===//

/// sin(x + quadrant pi/2). Products of whole numbers and parts of pi/2 are exact up to 2^12 of
/// them, and any number where they are fused; further out 2/pi itself is not precise enough to
/// keep r within the interval.
Value emitSinOf(Math &m, Value x, int64_t quadrant) {
  auto [whole, low] = m.nearest(x, 0.63661977236758134);
  Value r = x;
  for (double part : kHalfPiParts)
    r = m.fma(whole, -part, r);
  // Far out, where r is of no use, the result still is at most 1.
  r = m.atMost(m.atLeast(r, -0.8), 0.8);
  Value square = m.mul(r, r);
  Value sine = m.fma(r, m.mul(square, m.polynomial(square, kSin)), r);
  Value cosine = m.fma(square, m.polynomial(square, kCos), m.constant(1.0));
  Value turns = quadrant ? m.addInt(low, quadrant) : low;
  Value isOdd = m.isNonZero(m.andInt(turns, 1));
  Value sign = m.shiftLeft(m.andInt(turns, 2), 30);
  return m.toFloat(m.xorInt(m.toInt(m.select(isOdd, cosine, sine)), sign));
}

/// Pattern: sin(x) -> +-sin(r) or +-cos(r), x = k pi/2 + r
/// At most 2.5 ulp for |x| <= 2^17, without FMA for |x| <= 6433.
Value emitSin(Math &m, Value x) { return emitSinOf(m, x, 0); }

/// Pattern: cos(x) -> sin(x + pi/2)
/// As sin.
Value emitCos(Math &m, Value x) { return emitSinOf(m, x, 1); }

/// Pattern: atan(x) -> x + x^3 p(x^2), of 1 / |x| where that is less
/// At most 2.5 ulp.
Value emitAtan(Math &m, Value x) {
  Value a = m.abs(x), isFar = m.compare(kGreater, a, 1.0);
  Value t = m.select(isFar, m.div(m.constant(1.0), a), a), square = m.mul(t, t);
  Value y = m.fma(m.mul(square, m.polynomial(square, kAtan)), t, t);
  return m.copySign(m.select(isFar, m.sub(m.constant(kHalfPi), y), y), x);
}

/// Pattern: asin(x) -> x + x^3 p(x^2), or pi/2 - 2 asin(sqrt((1 - |x|) / 2)) from 1/2 on
/// At most 2.5 ulp.
Value emitAsin(Math &m, Value x) {
  Value a = m.abs(x), isFar = m.compare(kGreater, a, 0.5);
  Value square = m.select(isFar, m.mul(m.sub(m.constant(1.0), a), 0.5), m.mul(a, a));
  Value t = m.select(isFar, m.sqrt(square), a);
  Value y = m.fma(m.mul(square, m.polynomial(square, kAsin)), t, t);
  return m.copySign(m.select(isFar, m.fma(y, -2.0, m.constant(kHalfPi)), y), x);
}

/// Pattern: cbrt(x) -> three of Newton's steps from a third of the exponent
/// At most 1 ulp.
Value emitCbrt(Math &m, Value x) {
  Value a = m.abs(x), isSmall = m.compare(kLess, a, 0x1p-126);
  Value scaled = m.select(isSmall, m.mul(a, 0x1p24), a);
  Value y = m.toFloat(m.addInt(m.divideInt(m.toInt(scaled), 3), 0x2a5137a0));
  for (int step = 0; step < 3; ++step)
    y = m.fma(m.sub(m.div(scaled, m.mul(y, y)), y), 1.0 / 3, y);
  y = m.select(isSmall, m.mul(y, 0x1p-8), y);
  y = m.select(m.compare(kEqual, a, kInf), kInf, m.select(m.compare(kEqual, a, 0.0), 0.0, y));
  return m.copySign(y, x);
}

//===----------------------------------------------------------------------===//
// Patterns
//===----------------------------------------------------------------------===//

/// Pattern: powf(x, y) -> +-e^(y log |x|), negative where x is and y is odd
/// At most 2 (1 + |y ln x|) ulp.
struct ExpandPow : OpRewritePattern<math::PowFOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::PowFOp op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "polynomials are for f32");
    Math m(rewriter, op.getLoc(), op.getType());
    Value x = op.getLhs(), y = op.getRhs();
    Value power = m.exp(m.mul(y, m.log(m.abs(x))));
    // Half of an odd number is 1/2 off a whole one. Large numbers are whole and even.
    Value half = m.mul(y, 0.5);
    Value isOdd = m.compare(kEqual, m.sub(half, m.floor(half)), 0.5);
    Value isFraction = m.compare(kGreater, m.sub(y, m.floor(y)), 0.0);
    power = m.select(isOdd, m.copySign(power, x), power);
    power = m.select(m.both(m.compare(kLess, x, 0.0), isFraction), kNaN, power);
    rewriter.replaceOp(op, m.select(m.compare(kEqual, y, 0.0), 1.0, power));
    return success();
  }
};

template <typename Op, Value (*emit)(Math &, Value)> struct Expand : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32())
      return rewriter.notifyMatchFailure(op, "polynomials are for f32");
    Math m(rewriter, op.getLoc(), op.getType());
    rewriter.replaceOp(op, emit(m, op.getOperand()));
    return success();
  }
};
} // namespace

void mlir::transformer::populateMathPolynomialPatterns(RewritePatternSet &patterns) {
  patterns
      .add<ExpandPow, Expand<math::ExpOp, emitExp>, Expand<math::Exp2Op, emitExp2>,
           Expand<math::ExpM1Op, emitExpM1>, Expand<math::TanhOp, emitTanh>, Expand<math::ErfOp, emitErf>,
           Expand<math::SinhOp, emitSinh>, Expand<math::CoshOp, emitCosh>, Expand<math::LogOp, emitLog>,
           Expand<math::Log2Op, emitLog2>, Expand<math::AsinhOp, emitAsinh>, Expand<math::AcoshOp, emitAcosh>,
           Expand<math::AtanhOp, emitAtanh>, Expand<math::SinOp, emitSin>, Expand<math::CosOp, emitCos>,
           Expand<math::AtanOp, emitAtan>, Expand<math::AsinOp, emitAsin>, Expand<math::CbrtOp, emitCbrt>>(
          patterns.getContext(), /*benefit=*/2);
}
