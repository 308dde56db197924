//===- MathOps.cpp - math on one element ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/ScalarOps.h"

#include "llvm/ADT/bit.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

static const char *evaluateUnary(const ScalarOp &op, const Slot *in, Slot &out) {
  out.f = op.unary(in[0].f);
  return nullptr;
}

static const char *evaluateBinary(const ScalarOp &op, const Slot *in, Slot &out) {
  out.f = op.binary(in[0].f, in[1].f);
  return nullptr;
}

/// The result is an i1.
template <typename Predicate> static const char *test(const Slot *in, Slot &out, Predicate predicate) {
  out.i = predicate(in[0].f) ? 1 : 0;
  return nullptr;
}

static const char *powerOfInts(const ScalarOp &op, const Slot *in, Slot &out) {
  uint64_t result = 1, base = in[0].i;
  if (in[1].i < 0)
    return "raises an integer to a negative power";
  for (uint64_t n = in[1].i; n != 0; n >>= 1, base *= base)
    if (n & 1)
      result *= base;
  out.i = wrapTo(op.outType, result);
  return nullptr;
}

static void addUnary(ScalarTable &table) {
  auto unary = [&](StringRef name, double (*fn)(double)) {
    table[name].evaluate = evaluateUnary;
    table[name].unary = fn;
  };
  unary("math.absf", std::fabs);
  unary("math.acos", std::acos);
  unary("math.acosh", std::acosh);
  unary("math.asin", std::asin);
  unary("math.asinh", std::asinh);
  unary("math.atan", std::atan);
  unary("math.atanh", std::atanh);
  unary("math.cbrt", std::cbrt);
  unary("math.ceil", std::ceil);
  unary("math.cos", std::cos);
  unary("math.cosh", std::cosh);
  unary("math.erf", std::erf);
  unary("math.erfc", std::erfc);
  unary("math.exp", std::exp);
  unary("math.exp2", std::exp2);
  unary("math.expm1", std::expm1);
  unary("math.floor", std::floor);
  unary("math.log", std::log);
  unary("math.log10", std::log10);
  unary("math.log1p", std::log1p);
  unary("math.log2", std::log2);
  unary("math.round", std::round);
  unary("math.roundeven", std::nearbyint);
  unary("math.rsqrt", [](double a) { return 1.0 / std::sqrt(a); });
  unary("math.sin", std::sin);
  unary("math.sinh", std::sinh);
  unary("math.sqrt", std::sqrt);
  unary("math.tan", std::tan);
  unary("math.tanh", std::tanh);
  unary("math.trunc", std::trunc);
}

void transformer::addMathScalars(ScalarTable &table) {
  addUnary(table);
  auto binary = [&](StringRef name, double (*fn)(double, double)) {
    table[name].evaluate = evaluateBinary;
    table[name].binary = fn;
  };
  binary("math.atan2", std::atan2);
  binary("math.copysign", std::copysign);
  binary("math.powf", std::pow);

  auto add = [&](StringRef name, ScalarOp::Evaluate evaluate) { table[name].evaluate = evaluate; };
  add("math.fma", [](const ScalarOp &, const Slot *in, Slot &out) -> const char * {
    out.f = std::fma(in[0].f, in[1].f, in[2].f);
    return nullptr;
  });
  add("math.clampf", [](const ScalarOp &, const Slot *in, Slot &out) -> const char * {
    out.f = std::fmin(std::fmax(in[0].f, in[1].f), in[2].f);
    return nullptr;
  });
  add("math.fpowi", [](const ScalarOp &, const Slot *in, Slot &out) -> const char * {
    out.f = std::pow(in[0].f, static_cast<double>(in[1].i));
    return nullptr;
  });
  add("math.ipowi", powerOfInts);
  add("math.absi", [](const ScalarOp &op, const Slot *in, Slot &out) -> const char * {
    // The least integer has no absolute value of its type and stays as it is.
    out.i = in[0].i < 0 ? wrapTo(op.outType, static_cast<int64_t>(-static_cast<uint64_t>(in[0].i))) : in[0].i;
    return nullptr;
  });
  add("math.isnan", [](const ScalarOp &, const Slot *in, Slot &out) {
    return test(in, out, [](double a) { return std::isnan(a); });
  });
  add("math.isinf", [](const ScalarOp &, const Slot *in, Slot &out) {
    return test(in, out, [](double a) { return std::isinf(a); });
  });
  add("math.isfinite", [](const ScalarOp &, const Slot *in, Slot &out) {
    return test(in, out, [](double a) { return std::isfinite(a); });
  });
}
