//===- ArithOps.cpp - arith on one element --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/ScalarOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/MathExtras.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Widths
//===----------------------------------------------------------------------===//

/// An operand as a signed integer of the op's width (which matters for i1).
static int64_t asSigned(const ScalarOp &op, Slot slot) { return llvm::SignExtend64(slot.i, op.inWidth); }

/// An operand as an unsigned integer of the op's width.
static uint64_t asUnsigned(const ScalarOp &op, Slot slot) {
  return static_cast<uint64_t>(slot.i) & llvm::maskTrailingOnes<uint64_t>(op.inWidth);
}

/// Stores `bits`, wrapped to the result's width.
static const char *wrap(const ScalarOp &op, Slot &out, uint64_t bits) {
  out.i = op.outWidth == 1 ? static_cast<int64_t>(bits & 1) : llvm::SignExtend64(bits, op.outWidth);
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

/// Signed division rounded towards zero, down or up.
enum class Division { Truncate, Floor, Ceil };

template <Division rounding> static const char *divideSigned(const ScalarOp &op, const Slot *in, Slot &out) {
  int64_t a = asSigned(op, in[0]), b = asSigned(op, in[1]);
  if (b == 0)
    return "divides by zero";
  if (b == -1)
    return a == llvm::minIntN(op.inWidth) ? "overflows in a division" : wrap(op, out, -a);
  int64_t quotient = a / b;
  bool inexact = a % b != 0, negative = (a < 0) != (b < 0);
  if (rounding == Division::Floor && inexact && negative)
    --quotient;
  if (rounding == Division::Ceil && inexact && !negative)
    ++quotient;
  return wrap(op, out, quotient);
}

static const char *remainderSigned(const ScalarOp &op, const Slot *in, Slot &out) {
  int64_t b = asSigned(op, in[1]);
  if (b == 0)
    return "divides by zero";
  return wrap(op, out, b == -1 ? 0 : asSigned(op, in[0]) % b);
}

template <Division rounding>
static const char *divideUnsigned(const ScalarOp &op, const Slot *in, Slot &out) {
  uint64_t a = asUnsigned(op, in[0]), b = asUnsigned(op, in[1]);
  if (b == 0)
    return "divides by zero";
  return wrap(op, out, a / b + (rounding == Division::Ceil && a % b != 0));
}

static const char *remainderUnsigned(const ScalarOp &op, const Slot *in, Slot &out) {
  uint64_t b = asUnsigned(op, in[1]);
  return b == 0 ? "divides by zero" : wrap(op, out, asUnsigned(op, in[0]) % b);
}

enum class Shift { Left, RightSigned, RightUnsigned };

template <Shift kind> static const char *shift(const ScalarOp &op, const Slot *in, Slot &out) {
  uint64_t amount = asUnsigned(op, in[1]);
  if (amount >= op.inWidth)
    return "shifts by the width of its type or more";
  if (kind == Shift::Left)
    return wrap(op, out, asUnsigned(op, in[0]) << amount);
  if (kind == Shift::RightSigned)
    return wrap(op, out, asSigned(op, in[0]) >> amount);
  return wrap(op, out, asUnsigned(op, in[0]) >> amount);
}

static const char *compareInts(const ScalarOp &op, const Slot *in, Slot &out) {
  int64_t a = asSigned(op, in[0]), b = asSigned(op, in[1]);
  uint64_t ua = asUnsigned(op, in[0]), ub = asUnsigned(op, in[1]);
  auto holds = [&] {
    switch (static_cast<arith::CmpIPredicate>(op.predicate)) {
    case arith::CmpIPredicate::eq:
      return a == b;
    case arith::CmpIPredicate::ne:
      return a != b;
    case arith::CmpIPredicate::slt:
      return a < b;
    case arith::CmpIPredicate::sle:
      return a <= b;
    case arith::CmpIPredicate::sgt:
      return a > b;
    case arith::CmpIPredicate::sge:
      return a >= b;
    case arith::CmpIPredicate::ult:
      return ua < ub;
    case arith::CmpIPredicate::ule:
      return ua <= ub;
    case arith::CmpIPredicate::ugt:
      return ua > ub;
    case arith::CmpIPredicate::uge:
      return ua >= ub;
    }
    llvm_unreachable("unknown predicate");
  };
  out.i = holds();
  return nullptr;
}

static void addInts(ScalarTable &table) {
  auto add = [&](StringRef name, ScalarOp::Evaluate evaluate) { table[name].evaluate = evaluate; };
#define INT_OP(OP, EXPRESSION)                                                                               \
  add(arith::OP::getOperationName(), [](const ScalarOp &op, const Slot *in, Slot &out) {                     \
    auto s = [&](int i) { return asSigned(op, in[i]); };                                                     \
    auto u = [&](int i) { return asUnsigned(op, in[i]); };                                                   \
    (void)s, (void)u;                                                                                        \
    return wrap(op, out, EXPRESSION);                                                                        \
  })
  INT_OP(AddIOp, u(0) + u(1));
  INT_OP(SubIOp, u(0) - u(1));
  INT_OP(MulIOp, u(0) * u(1));
  INT_OP(AndIOp, u(0) & u(1));
  INT_OP(OrIOp, u(0) | u(1));
  INT_OP(XOrIOp, u(0) ^ u(1));
  INT_OP(MaxSIOp, std::max(s(0), s(1)));
  INT_OP(MinSIOp, std::min(s(0), s(1)));
  INT_OP(MaxUIOp, std::max(u(0), u(1)));
  INT_OP(MinUIOp, std::min(u(0), u(1)));
  INT_OP(ExtSIOp, s(0));
  INT_OP(ExtUIOp, u(0));
  INT_OP(TruncIOp, u(0));
  INT_OP(IndexCastOp, s(0));
  INT_OP(IndexCastUIOp, u(0));
#undef INT_OP
  add("arith.divsi", divideSigned<Division::Truncate>);
  add("arith.floordivsi", divideSigned<Division::Floor>);
  add("arith.ceildivsi", divideSigned<Division::Ceil>);
  add("arith.divui", divideUnsigned<Division::Floor>);
  add("arith.ceildivui", divideUnsigned<Division::Ceil>);
  add("arith.remsi", remainderSigned);
  add("arith.remui", remainderUnsigned);
  add("arith.shli", shift<Shift::Left>);
  add("arith.shrsi", shift<Shift::RightSigned>);
  add("arith.shrui", shift<Shift::RightUnsigned>);
  add("arith.cmpi", compareInts);
}

//===----------------------------------------------------------------------===//
// Floats
//===----------------------------------------------------------------------===//

static const char *compareFloats(const ScalarOp &op, const Slot *in, Slot &out) {
  double a = in[0].f, b = in[1].f;
  bool unordered = std::isnan(a) || std::isnan(b);
  auto holds = [&] {
    switch (static_cast<arith::CmpFPredicate>(op.predicate)) {
    case arith::CmpFPredicate::AlwaysFalse:
      return false;
    case arith::CmpFPredicate::OEQ:
      return a == b;
    case arith::CmpFPredicate::OGT:
      return a > b;
    case arith::CmpFPredicate::OGE:
      return a >= b;
    case arith::CmpFPredicate::OLT:
      return a < b;
    case arith::CmpFPredicate::OLE:
      return a <= b;
    case arith::CmpFPredicate::ONE:
      return !unordered && a != b;
    case arith::CmpFPredicate::ORD:
      return !unordered;
    case arith::CmpFPredicate::UEQ:
      return unordered || a == b;
    case arith::CmpFPredicate::UGT:
      return unordered || a > b;
    case arith::CmpFPredicate::UGE:
      return unordered || a >= b;
    case arith::CmpFPredicate::ULT:
      return unordered || a < b;
    case arith::CmpFPredicate::ULE:
      return unordered || a <= b;
    case arith::CmpFPredicate::UNE:
      return unordered || a != b;
    case arith::CmpFPredicate::UNO:
      return unordered;
    case arith::CmpFPredicate::AlwaysTrue:
      return true;
    }
    llvm_unreachable("unknown predicate");
  };
  out.i = holds();
  return nullptr;
}

static const char *floatToSigned(const ScalarOp &op, const Slot *in, Slot &out) {
  double value = std::trunc(in[0].f), limit = std::ldexp(1.0, op.outWidth - 1);
  if (!(value >= -limit && value < limit))
    return "converts a float that the integer type cannot hold";
  return wrap(op, out, static_cast<int64_t>(value));
}

static const char *floatToUnsigned(const ScalarOp &op, const Slot *in, Slot &out) {
  double value = std::trunc(in[0].f), limit = std::ldexp(1.0, op.outWidth);
  if (!(value >= 0 && value < limit))
    return "converts a float that the integer type cannot hold";
  return wrap(op, out, static_cast<uint64_t>(value));
}

/// Reinterprets the bits that the operand has in its own type.
static const char *bitcast(const ScalarOp &op, const Slot *in, Slot &out) {
  uint64_t bits;
  if (auto type = dyn_cast<FloatType>(op.inType)) {
    APFloat number(in[0].f);
    bool losesInfo;
    number.convert(type.getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
    bits = number.bitcastToAPInt().getZExtValue();
  } else {
    bits = asUnsigned(op, in[0]);
  }
  auto type = dyn_cast<FloatType>(op.outType);
  if (!type)
    return wrap(op, out, bits);
  APFloat number(type.getFloatSemantics(), APInt(type.getWidth(), bits));
  bool losesInfo;
  number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
  out.f = number.convertToDouble();
  return nullptr;
}

static double maximum(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return std::nan("");
  return a == b ? (std::signbit(a) ? b : a) : std::max(a, b);
}

static double minimum(double a, double b) {
  if (std::isnan(a) || std::isnan(b))
    return std::nan("");
  return a == b ? (std::signbit(a) ? a : b) : std::min(a, b);
}

static void addFloats(ScalarTable &table) {
  auto binary = [&](StringRef name, double (*fn)(double, double)) {
    table[name].evaluate = [](const ScalarOp &op, const Slot *in, Slot &out) -> const char * {
      out.f = op.binary(in[0].f, in[1].f);
      return nullptr;
    };
    table[name].binary = fn;
  };
  binary("arith.addf", [](double a, double b) { return a + b; });
  binary("arith.subf", [](double a, double b) { return a - b; });
  binary("arith.mulf", [](double a, double b) { return a * b; });
  binary("arith.divf", [](double a, double b) { return a / b; });
  binary("arith.remf", [](double a, double b) { return std::fmod(a, b); });
  binary("arith.maximumf", maximum);
  binary("arith.minimumf", minimum);
  binary("arith.maxnumf", [](double a, double b) { return std::fmax(a, b); });
  binary("arith.minnumf", [](double a, double b) { return std::fmin(a, b); });

  auto add = [&](StringRef name, ScalarOp::Evaluate evaluate) { table[name].evaluate = evaluate; };
  auto same = [](const ScalarOp &, const Slot *in, Slot &out) -> const char * {
    out = in[0];
    return nullptr;
  };
  // Elements are float64 until a tensor is made of them.
  add("arith.extf", same);
  add("arith.truncf", same);
  add("arith.negf", [](const ScalarOp &, const Slot *in, Slot &out) -> const char * {
    out.f = -in[0].f;
    return nullptr;
  });
  add("arith.sitofp", [](const ScalarOp &op, const Slot *in, Slot &out) -> const char * {
    out.f = static_cast<double>(asSigned(op, in[0]));
    return nullptr;
  });
  add("arith.uitofp", [](const ScalarOp &op, const Slot *in, Slot &out) -> const char * {
    out.f = static_cast<double>(asUnsigned(op, in[0]));
    return nullptr;
  });
  add("arith.select", [](const ScalarOp &, const Slot *in, Slot &out) -> const char * {
    out = in[0].i ? in[1] : in[2];
    return nullptr;
  });
  add("arith.fptosi", floatToSigned);
  add("arith.fptoui", floatToUnsigned);
  add("arith.bitcast", bitcast);
  add("arith.cmpf", compareFloats);
}

void transformer::addArithScalars(ScalarTable &table) {
  addInts(table);
  addFloats(table);
}
