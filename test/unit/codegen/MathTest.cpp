//===- MathTest.cpp - functions of the math dialect in units in the last place //
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Holds the bounds that codegen/README.md states against libm in double precision. A bound is the
// largest error measured on any target, rounded up.
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/Differential.h"

#include "codegen/CPU/Exp2.h"
#include "tools/driver/Driver.h"

#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kLeastNormal = 0x1p-126;

/// A function of one value with its stated error.
struct Function {
  const char *name;          ///< of the op, behind "math."
  double (*exact)(double);   ///< in double precision
  double bound;              ///< stated, in units in the last place
  double low, high;          ///< arguments swept densely, besides all magnitudes
  double reach = kInf;       ///< the largest magnitude for which `bound` is stated
  double reachApart = reach; ///< the same where products and sums are not fused
  double least = 0.0;        ///< magnitudes of results below may be zero
};

const Function kFunctions[] = {
    {"exp", std::exp, 1.5, -90.0, 90.0, kInf, kInf, kLeastNormal},
    {"exp2", std::exp2, 1.5, -130.0, 130.0, kInf, kInf, kLeastNormal},
    {"expm1", std::expm1, 2.0, -20.0, 90.0},
    {"log", std::log, 1.5, 0.0, 4.0},
    {"log2", std::log2, 2.0, 0.0, 4.0},
    {"log1p", std::log1p, 3.0, -1.0, 4.0},
    {"tanh", std::tanh, 3.0, -10.0, 10.0},
    {"erf", std::erf, 1.5, -5.0, 5.0},
    {"erfc", std::erfc, 70.0, -5.0, 11.0, kInf, kInf, kLeastNormal},
    {"sinh", std::sinh, 3.5, -90.0, 90.0},
    {"cosh", std::cosh, 3.5, -90.0, 90.0},
    {"asinh", std::asinh, 3.0, -90.0, 90.0},
    {"acosh", std::acosh, 3.5, 1.0, 90.0},
    {"atanh", std::atanh, 3.5, -1.0, 1.0},
    {"sin", std::sin, 2.5, -6433.0, 6433.0, 0x1p17, 6433.0},
    {"cos", std::cos, 2.5, -6433.0, 6433.0, 0x1p17, 6433.0},
    {"tan", std::tan, 4.0, -6433.0, 6433.0, 0x1p17, 6433.0},
    {"asin", std::asin, 2.5, -1.0, 1.0},
    {"acos", std::acos, 1.5, -1.0, 1.0},
    {"atan", std::atan, 2.5, -5.0, 5.0},
    {"cbrt", std::cbrt, 1.0, -5.0, 5.0},
};

/// The error of `value` in units in the last place of f32 of `exact`; what is beyond the
/// largest number counts as the power of two that follows it. Infinite where one is NaN.
double ulpError(double value, double exact) {
  if (std::isnan(value) || std::isnan(exact))
    return std::isnan(value) && std::isnan(exact) ? 0.0 : kInf;
  value = std::clamp(value, -0x1p128, 0x1p128);
  exact = std::clamp(exact, -0x1p128, 0x1p128);
  int exponent = exact == 0.0 ? -126 : std::clamp(std::ilogb(exact), -126, 127);
  return std::abs(value - exact) / std::ldexp(1.0, exponent - 23);
}

/// Numbers of f32 of both signs and every magnitude, from the least to infinity, and as many
/// (`count`) evenly spaced over [low, high].
std::vector<double> argumentsBetween(double low, double high, int64_t count) {
  std::vector<double> values{0.0,           -0.0, 1.0,   -1.0, 0x1p-149, -0x1p-149,      kLeastNormal,
                             -kLeastNormal, kInf, -kInf, kNaN, -kNaN,    0x1.fffffep127, -0x1.fffffep127};
  uint32_t step = static_cast<uint32_t>(0x7f800000 / (count / 2));
  for (uint32_t bits = 1; bits < 0x7f800000; bits += step)
    for (uint32_t sign : {0u, 0x80000000u})
      values.push_back(llvm::bit_cast<float>(bits | sign));
  for (int64_t i = 0; i <= count; ++i)
    values.push_back(
        static_cast<float>(low + (high - low) * static_cast<double>(i) / static_cast<double>(count)));
  return values;
}

class MathTest : public TargetTest {
protected:
  void SetUp() override {
    TargetTest::SetUp();
    DialectRegistry registry;
    registerAll(registry);
    context.appendDialectRegistry(registry);
    StringRef target = GetParam();
    isEmulated = target.starts_with("sm_");
    // The emulator rounds a product before it is added.
    isApart = isEmulated || target == "x86-64-v2";
    count = isEmulated ? 1 << 12 : 1 << 20;
  }

  /// The results of `op` of these arguments, element by element.
  std::vector<double> evaluate(const std::string &op, ArrayRef<std::vector<double>> arguments) {
    std::vector<Signature> signatures;
    std::string operands;
    SmallVector<Tensor> inputs;
    for (const std::vector<double> &values : arguments) {
      std::string name = "x" + std::to_string(signatures.size());
      operands += (operands.empty() ? " %" : ", %") + name;
      signatures.push_back({name, "N, f32"});
      inputs.emplace_back(ArrayRef(static_cast<int64_t>(values.size())), Float32Type::get(&context), values);
    }
    OwningOpRef<ModuleOp> module =
        parseSourceString<ModuleOp>(functionText("f", signatures, {{"y", "N, f32"}},
                                                 "%y = math." + op + operands + " : {x0} return %y : {y}"),
                                    &context);
    EXPECT_TRUE(module) << op;
    if (!module)
      return {};
    llvm::Expected<std::unique_ptr<CompiledModule>> compiled = compileFor(*module, GetParam());
    if (!compiled) {
      ADD_FAILURE() << op << ": " << llvm::toString(compiled.takeError());
      return {};
    }
    if (llvm::Error error = (*compiled)->begin(/*rows=*/1, /*context=*/1, /*threads=*/2)) {
      ADD_FAILURE() << llvm::toString(std::move(error));
      return {};
    }
    llvm::Expected<SmallVector<Tensor>> outputs = (*compiled)->call("f", inputs);
    if (!outputs) {
      ADD_FAILURE() << op << ": " << llvm::toString(outputs.takeError());
      return {};
    }
    return outputs->front().getFloats().vec();
  }

  MLIRContext context{MLIRContext::Threading::DISABLED};
  bool isEmulated = false, isApart = false;
  int64_t count = 0;
};

INSTANTIATE_TEST_SUITE_P(Targets, MathTest, targets(), targetName);

TEST_P(MathTest, UnitsInTheLastPlace) {
  for (const Function &function : kFunctions) {
    std::vector<double> x = argumentsBetween(function.low, function.high, count);
    std::vector<double> y = evaluate(function.name, {x});
    ASSERT_EQ(x.size(), y.size());
    double reach = isApart ? function.reachApart : function.reach, worst = 0.0, where = 0.0;
    for (auto [argument, value] : llvm::zip(x, y)) {
      double exact = function.exact(argument);
      if ((std::isfinite(argument) && std::abs(argument) > reach) ||
          (value == 0.0 && std::abs(exact) < function.least))
        continue;
      double error = ulpError(value, exact);
      if (error > worst) {
        worst = error;
        where = argument;
      }
    }
    std::printf("  %-5s %.2f of %.1f ulp, at %a\n", function.name, worst, function.bound, where);
    EXPECT_LE(worst, function.bound) << function.name << " of " << where;
  }
}

/// Far out, sin and cos know nothing of their argument and still are at most 1.
TEST_P(MathTest, SineOfLargeArguments) {
  std::vector<double> x = argumentsBetween(-0x1p30, 0x1p30, count);
  for (const char *name : {"sin", "cos"})
    for (auto [argument, value] : llvm::zip(x, evaluate(name, {x})))
      if (std::isfinite(argument))
        ASSERT_LE(std::abs(value), 1.0) << name << " of " << argument;
}

/// The ends of functions are exact.
TEST_P(MathTest, SpecialValues) {
  struct Case {
    const char *name;
    double argument, result;
  };
  const Case cases[] = {{"exp", 0.0, 1.0},
                        {"exp", kInf, kInf},
                        {"exp", -kInf, 0.0},
                        {"exp", 89.0, kInf},
                        {"exp", -1e9, 0.0},
                        {"exp2", kInf, kInf},
                        {"exp2", -kInf, 0.0},
                        {"exp2", 10.0, 1024.0},
                        {"exp2", -126.0, 0x1p-126},
                        {"exp2", 128.0, kInf},
                        {"expm1", -kInf, -1.0},
                        {"expm1", kInf, kInf},
                        {"tanh", kInf, 1.0},
                        {"tanh", -kInf, -1.0},
                        {"tanh", 9.1, 1.0},
                        {"tanh", -9.1, -1.0},
                        {"tanh", 0x1p-149, 0x1p-149},
                        {"erf", kInf, 1.0},
                        {"erf", -kInf, -1.0},
                        {"erf", 4.0, 1.0},
                        {"erf", -4.0, -1.0},
                        {"log", 0.0, -kInf},
                        {"log", -0.0, -kInf},
                        {"log", 1.0, 0.0},
                        {"log", kInf, kInf},
                        {"log", -1.0, kNaN},
                        {"log", -0x1p-149, kNaN},
                        {"log", -kInf, kNaN},
                        {"log2", 0.0, -kInf},
                        {"log2", -1.0, kNaN},
                        {"log2", 0x1p-149, -149.0},
                        {"log2", 0x1p100, 100.0},
                        {"log2", kInf, kInf},
                        {"sin", 0.0, 0.0},
                        {"sin", kInf, kNaN},
                        {"cos", 0.0, 1.0},
                        {"cos", -kInf, kNaN},
                        {"sinh", -kInf, -kInf},
                        {"cosh", -kInf, kInf},
                        {"atanh", 1.0, kInf},
                        {"atanh", 2.0, kNaN},
                        {"acosh", 0.5, kNaN},
                        {"acosh", kInf, kInf},
                        {"asinh", -kInf, -kInf},
                        {"asin", 1.5, kNaN},
                        {"acos", -1.5, kNaN},
                        {"cbrt", -kInf, -kInf},
                        {"cbrt", 0.0, 0.0}};
  llvm::StringMap<std::vector<const Case *>> byName;
  for (const Case &each : cases)
    byName[each.name].push_back(&each);
  for (auto &entry : byName) {
    std::vector<double> x;
    for (const Case *each : entry.second)
      x.push_back(each->argument);
    std::vector<double> y = evaluate(entry.first().str(), {x});
    ASSERT_EQ(x.size(), y.size());
    for (auto [each, value] : llvm::zip(entry.second, y))
      EXPECT_TRUE(value == each->result || (std::isnan(value) && std::isnan(each->result)))
          << each->name << " of " << each->argument << ": expected " << each->result << ", but got " << value;
  }
  for (const Function &function : kFunctions)
    for (double value : evaluate(function.name, {std::vector<double>(37, kNaN)}))
      EXPECT_TRUE(std::isnan(value)) << function.name << " of NaN";
}

/// Functions that are even or odd are so bit by bit, zeros included.
TEST_P(MathTest, Symmetry) {
  std::vector<double> x, opposite;
  for (double value : argumentsBetween(0.0, 12.0, count / 4)) {
    x.push_back(value);
    opposite.push_back(-value);
  }
  for (std::string name : {"tanh", "erf", "sinh", "asinh", "atan", "cbrt"})
    for (auto [argument, y, z] : llvm::zip(x, evaluate(name, {x}), evaluate(name, {opposite})))
      ASSERT_TRUE(std::isnan(y) || (y == -z && std::signbit(y) != std::signbit(z)))
          << name << " of " << argument;
}

/// x^y is e^(y log x): the error of the logarithm is multiplied by y.
TEST_P(MathTest, Power) {
  std::vector<double> x, y;
  std::mt19937_64 random(20240607);
  std::uniform_real_distribution<double> magnitude(-20.0, 20.0), exponent(-4.0, 4.0);
  for (int64_t i = 0; i < count; ++i) {
    x.push_back(static_cast<float>(std::exp(magnitude(random))));
    y.push_back(static_cast<float>(exponent(random)));
    if (i % 2 == 0)
      continue;
    x.back() = -x.back();
    y.back() = std::nearbyint(y.back());
  }
  std::vector<double> z = evaluate("powf", {x, y});
  ASSERT_EQ(x.size(), z.size());
  double worst = 0.0;
  for (auto [base, power, value] : llvm::zip(x, y, z))
    worst = std::max(worst, ulpError(value, std::pow(base, power)) / (1 + std::abs(power * std::log(base))));
  std::printf("  powf  %.2f of 2.0 ulp, times 1 + |y ln x|\n", worst);
  EXPECT_LE(worst, 2.0);

  const double cases[][3] = {{0.0, 0.0, 1.0},     {-3.0, 0.0, 1.0},   {0.0, 2.5, 0.0},   {0.0, -1.0, kInf},
                             {-0.0, -1.0, -kInf}, {-0.0, -2.0, kInf}, {-0.0, 0.5, 0.0},  {-1.0, 3.0, -1.0},
                             {-1.0, 0x1p30, 1.0}, {-2.0, 0.5, kNaN},  {kInf, 2.0, kInf}, {-kInf, 3.0, -kInf},
                             {kInf, -1.0, 0.0},   {kNaN, 2.0, kNaN},  {2.0, kNaN, kNaN}, {2.0, kInf, kInf}};
  std::vector<double> bases, powers;
  for (const auto &[base, power, result] : cases) {
    bases.push_back(base);
    powers.push_back(power);
  }
  for (auto [each, value] : llvm::zip(cases, evaluate("powf", {bases, powers})))
    EXPECT_TRUE(value == each[2] || (std::isnan(value) && std::isnan(each[2])))
        << each[0] << " to the " << each[1] << ": expected " << each[2] << ", but got " << value;
}

TEST_P(MathTest, ArcTangentOfTwo) {
  std::vector<double> x, y;
  std::mt19937_64 random(20240607);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> magnitude(-20.0, 20.0);
  for (int64_t i = 0; i < count; ++i)
    for (std::vector<double> *values : {&y, &x})
      values->push_back(static_cast<float>(normal(random) * std::exp(magnitude(random))));
  std::vector<double> z = evaluate("atan2", {y, x});
  ASSERT_EQ(x.size(), z.size());
  double worst = 0.0;
  for (auto [first, second, value] : llvm::zip(y, x, z))
    worst = std::max(worst, ulpError(value, std::atan2(first, second)));
  std::printf("  atan2 %.2f of 2.5 ulp\n", worst);
  EXPECT_LE(worst, 2.5);
}

/// The powers of two of attention on the CPU, whose polynomials stand in codegen/CPU/Exp2.h:
/// the step from there to all x multiplies by a power of two, which is exact.
TEST(SoftmaxTest, Exp2) {
  auto worstOf = [](ArrayRef<double> coefficients, bool isFused, bool relative) {
    double worst = 0.0;
    for (int64_t i = -(1 << 22); i <= 1 << 22; ++i) {
      float f = static_cast<float>(i) * 0x1p-23f, y = static_cast<float>(coefficients.front());
      for (double each : coefficients.drop_front()) {
        float c = static_cast<float>(each), product = y * f;
        y = isFused ? std::fma(y, f, c) : product + c;
      }
      double exact = std::exp2(f);
      worst = std::max(worst, relative ? std::abs(y - exact) / exact : ulpError(y, exact));
    }
    return worst;
  };
  for (bool isFused : {true, false}) {
    double ulp = worstOf(kExp2, isFused, false), relative = worstOf(kExp2Short, isFused, true);
    std::printf("  exp2 of softmax %.3f of 2.1 ulp, short %.3g\n", ulp, relative);
    EXPECT_LE(ulp, 2.1);
    EXPECT_LE(relative, 1.02e-4);
  }
}
} // namespace
