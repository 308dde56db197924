//===- ScalarOps.cpp - arithmetic, lane by lane -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Program.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace mlir;
using namespace mlir::emulator;

namespace {

/// Applies `f` to the words of the operands. Lanes that are off compute too: nothing reads them.
template <typename F> Step elementwise(Translator &t, Operation *op, F f) {
  unsigned words = Translator::wordsOf(op->getResult(0).getType());
  unsigned result = t.slotOf(op->getResult(0)), count = op->getNumOperands();
  unsigned a = t.slotOf(op->getOperand(0)), b = count > 1 ? t.slotOf(op->getOperand(1)) : a,
           c = count > 2 ? t.slotOf(op->getOperand(2)) : a;
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    const uint64_t *x = warp.at(a), *y = warp.at(b), *z = warp.at(c);
    uint64_t *out = warp.at(result);
    for (unsigned i = 0, n = words * kLanes; i < n; ++i)
      out[i] = f(x[i], y[i], z[i]);
  };
}

template <typename F> Handler integerOp(F f) {
  return [f](Translator &t, Operation *op) -> std::optional<Step> {
    unsigned bits = Translator::scalarOf(op->getResult(0).getType()).bits;
    return elementwise(
        t, op, [f, bits](uint64_t a, uint64_t b, uint64_t) { return truncateTo(f(a, b, bits), bits); });
  };
}

/// In the precision of the type: f32 in f32, what is narrower in f32 and rounded.
template <typename F> Handler floatOp(F f) {
  return [f](Translator &t, Operation *op) -> std::optional<Step> {
    ScalarType type = Translator::scalarOf(op->getResult(0).getType());
    if (type.kind == Kind::F32)
      return elementwise(t, op, [f](uint64_t a, uint64_t b, uint64_t c) {
        return fromFloat(f(toFloat(a), toFloat(b), toFloat(c)));
      });
    return elementwise(t, op, [f, type](uint64_t a, uint64_t b, uint64_t c) {
      return fromDouble(f(toDouble(a, type), toDouble(b, type), toDouble(c, type)), type);
    });
  };
}

std::optional<Step> constant(Translator &t, Operation *op) {
  auto value = op->getAttr("value");
  unsigned slot = t.slotOf(op->getResult(0)), words = Translator::wordsOf(op->getResult(0).getType());
  auto bitsOf = [](Attribute attr) -> uint64_t {
    if (auto number = dyn_cast<FloatAttr>(attr))
      return number.getValue().bitcastToAPInt().getZExtValue();
    return cast<IntegerAttr>(attr).getValue().getZExtValue();
  };
  if (auto dense = dyn_cast<DenseElementsAttr>(value)) {
    for (auto [i, element] : llvm::enumerate(dense.getValues<Attribute>()))
      t.setConstant(slot + i, bitsOf(element));
    return Step();
  }
  if (words != 1 || !isa<FloatAttr, IntegerAttr>(value)) {
    op->emitOpError("has a constant that is unknown to the GPU emulator");
    return std::nullopt;
  }
  t.setConstant(slot, bitsOf(value));
  return Step();
}

std::optional<Step> compareInts(Translator &t, Operation *op) {
  using P = arith::CmpIPredicate;
  P predicate = cast<arith::CmpIOp>(op).getPredicate();
  unsigned bits = Translator::scalarOf(op->getOperand(0).getType()).bits;
  return elementwise(t, op, [=](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
    int64_t x = signExtend(a, bits), y = signExtend(b, bits);
    switch (predicate) {
    case P::eq:
      return a == b;
    case P::ne:
      return a != b;
    case P::slt:
      return x < y;
    case P::sle:
      return x <= y;
    case P::sgt:
      return x > y;
    case P::sge:
      return x >= y;
    case P::ult:
      return a < b;
    case P::ule:
      return a <= b;
    case P::ugt:
      return a > b;
    case P::uge:
      return a >= b;
    }
    return 0;
  });
}

std::optional<Step> compareFloats(Translator &t, Operation *op) {
  using P = arith::CmpFPredicate;
  P predicate = cast<arith::CmpFOp>(op).getPredicate();
  ScalarType type = Translator::scalarOf(op->getOperand(0).getType());
  return elementwise(t, op, [=](uint64_t a, uint64_t b, uint64_t) -> uint64_t {
    double x = toDouble(a, type), y = toDouble(b, type);
    bool unordered = std::isnan(x) || std::isnan(y);
    switch (predicate) {
    case P::AlwaysFalse:
      return 0;
    case P::AlwaysTrue:
      return 1;
    case P::ORD:
      return !unordered;
    case P::UNO:
      return unordered;
    case P::OEQ:
      return !unordered && x == y;
    case P::OGT:
      return !unordered && x > y;
    case P::OGE:
      return !unordered && x >= y;
    case P::OLT:
      return !unordered && x < y;
    case P::OLE:
      return !unordered && x <= y;
    case P::ONE:
      return !unordered && x != y;
    case P::UEQ:
      return unordered || x == y;
    case P::UGT:
      return unordered || x > y;
    case P::UGE:
      return unordered || x >= y;
    case P::ULT:
      return unordered || x < y;
    case P::ULE:
      return unordered || x <= y;
    case P::UNE:
      return unordered || x != y;
    }
    return 0;
  });
}

/// One condition may choose whole vectors.
std::optional<Step> selectValues(Translator &t, Operation *op) {
  unsigned words = Translator::wordsOf(op->getResult(0).getType());
  bool each = Translator::wordsOf(op->getOperand(0).getType()) == words;
  unsigned result = t.slotOf(op->getResult(0)), condition = t.slotOf(op->getOperand(0)),
           yes = t.slotOf(op->getOperand(1)), no = t.slotOf(op->getOperand(2));
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    for (unsigned w = 0; w < words; ++w)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        warp.at(result + w)[lane] = warp.at(each ? condition + w : condition)[lane] & 1
                                        ? warp.at(yes + w)[lane]
                                        : warp.at(no + w)[lane];
  };
}

/// Conversions: of the operand's type to the result's.
template <typename F> Handler conversion(F f) {
  return [f](Translator &t, Operation *op) -> std::optional<Step> {
    ScalarType from = Translator::scalarOf(op->getOperand(0).getType()),
               to = Translator::scalarOf(op->getResult(0).getType());
    return elementwise(t, op, [f, from, to](uint64_t a, uint64_t, uint64_t) { return f(a, from, to); });
  };
}

/// Of 24 bits of mantissa 11 stay, the nearest, halves away from zero.
std::optional<Step> roundToTF32(Translator &t, Operation *op) {
  if (cast<NVVM::ConvertFloatToTF32Op>(op).getRnd() != NVVM::FPRoundingMode::RNA)
    return unsupported(op);
  return elementwise(t, op, [](uint64_t a, uint64_t, uint64_t) -> uint64_t {
    uint32_t bits = static_cast<uint32_t>(a);
    bool isFinite = (bits & 0x7f800000) != 0x7f800000;
    return isFinite ? (bits + 0x1000) & ~0x1fffu : bits;
  });
}

/// Copies words unchanged.
std::optional<Step> move(Translator &t, Operation *op) {
  return elementwise(t, op, [](uint64_t a, uint64_t, uint64_t) { return a; });
}

template <typename F> Handler unary(F f) {
  return floatOp([f](auto x, auto, auto) -> decltype(x) { return f(x); });
}

void addIntegers(Handlers &h) {
  h["arith.addi"] = h["llvm.add"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return a + b; });
  h["arith.subi"] = h["llvm.sub"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return a - b; });
  h["arith.muli"] = h["llvm.mul"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return a * b; });
  h["arith.andi"] = h["llvm.and"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return a & b; });
  h["arith.ori"] = h["llvm.or"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return a | b; });
  h["arith.xori"] = h["llvm.xor"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return a ^ b; });
  h["arith.shli"] = integerOp([](uint64_t a, uint64_t b, unsigned n) { return b < n ? a << b : 0; });
  h["arith.shrui"] = integerOp([](uint64_t a, uint64_t b, unsigned n) { return b < n ? a >> b : 0; });
  h["arith.shrsi"] = integerOp([](uint64_t a, uint64_t b, unsigned n) -> uint64_t {
    return signExtend(a, n) >> std::min<uint64_t>(b, n - 1);
  });
  // Division by zero is undefined on a GPU, too; lanes that are off must not end the emulator.
  h["arith.divui"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return b ? a / b : 0; });
  h["arith.remui"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return b ? a % b : a; });
  h["arith.ceildivui"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return b ? (a + b - 1) / b : 0; });
  auto isDivisible = [](int64_t x, int64_t y) { return y != 0 && !(x == INT64_MIN && y == -1); };
  h["arith.divsi"] = integerOp([=](uint64_t a, uint64_t b, unsigned n) -> uint64_t {
    int64_t x = signExtend(a, n), y = signExtend(b, n);
    return isDivisible(x, y) ? x / y : 0;
  });
  h["arith.remsi"] = integerOp([=](uint64_t a, uint64_t b, unsigned n) -> uint64_t {
    int64_t x = signExtend(a, n), y = signExtend(b, n);
    return isDivisible(x, y) ? x % y : 0;
  });
  h["arith.floordivsi"] = integerOp([=](uint64_t a, uint64_t b, unsigned n) -> uint64_t {
    int64_t x = signExtend(a, n), y = signExtend(b, n);
    return isDivisible(x, y) ? x / y - (x % y != 0 && (x < 0) != (y < 0)) : 0;
  });
  h["arith.minui"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return std::min(a, b); });
  h["arith.maxui"] = integerOp([](uint64_t a, uint64_t b, unsigned) { return std::max(a, b); });
  h["arith.minsi"] = integerOp(
      [](uint64_t a, uint64_t b, unsigned n) { return signExtend(a, n) < signExtend(b, n) ? a : b; });
  h["arith.maxsi"] = integerOp(
      [](uint64_t a, uint64_t b, unsigned n) { return signExtend(a, n) > signExtend(b, n) ? a : b; });
  h["math.absi"] = integerOp([](uint64_t a, uint64_t, unsigned n) { return signExtend(a, n) < 0 ? -a : a; });
}

void addFloats(Handlers &h) {
  auto maximum = [](auto a, auto b, auto) -> decltype(a) {
    return std::isnan(a) || std::isnan(b) ? a + b : std::max(a, b);
  };
  auto minimum = [](auto a, auto b, auto) -> decltype(a) {
    return std::isnan(a) || std::isnan(b) ? a + b : std::min(a, b);
  };
  h["arith.addf"] = floatOp([](auto a, auto b, auto) -> decltype(a) { return a + b; });
  h["arith.subf"] = floatOp([](auto a, auto b, auto) -> decltype(a) { return a - b; });
  h["arith.mulf"] = floatOp([](auto a, auto b, auto) -> decltype(a) { return a * b; });
  h["arith.divf"] = floatOp([](auto a, auto b, auto) -> decltype(a) { return a / b; });
  h["arith.negf"] = floatOp([](auto a, auto, auto) -> decltype(a) { return -a; });
  h["arith.maximumf"] = floatOp(maximum);
  h["arith.minimumf"] = floatOp(minimum);
  h["arith.maxnumf"] = floatOp([](auto a, auto b, auto) -> decltype(a) { return std::fmax(a, b); });
  h["arith.minnumf"] = floatOp([](auto a, auto b, auto) -> decltype(a) { return std::fmin(a, b); });
  h["math.fma"] = floatOp([](auto a, auto b, auto c) -> decltype(a) { return std::fma(a, b, c); });
  h["math.powf"] = floatOp([](auto a, auto b, auto) -> decltype(a) { return std::pow(a, b); });
  h["math.copysign"] = floatOp([](auto a, auto b, auto) -> decltype(a) { return std::copysign(a, b); });
  h["math.exp"] = unary([](auto x) { return std::exp(x); });
  h["math.exp2"] = unary([](auto x) { return std::exp2(x); });
  h["math.tanh"] = unary([](auto x) { return std::tanh(x); });
  h["math.erf"] = unary([](auto x) { return std::erf(x); });
  h["math.log"] = unary([](auto x) { return std::log(x); });
  h["math.log2"] = unary([](auto x) { return std::log2(x); });
  h["math.sin"] = unary([](auto x) { return std::sin(x); });
  h["math.cos"] = unary([](auto x) { return std::cos(x); });
  h["math.sqrt"] = unary([](auto x) { return std::sqrt(x); });
  h["math.rsqrt"] = unary([](auto x) { return 1 / std::sqrt(x); });
  h["math.absf"] = unary([](auto x) { return std::fabs(x); });
  h["math.floor"] = unary([](auto x) { return std::floor(x); });
  h["math.ceil"] = unary([](auto x) { return std::ceil(x); });
  h["math.trunc"] = unary([](auto x) { return std::trunc(x); });
  h["nvvm.convert.float.to.tf32"] = roundToTF32;
  h["math.roundeven"] = unary([](auto x) { return std::nearbyint(x); });
}

void addConversions(Handlers &h) {
  h["arith.extf"] = h["arith.truncf"] = conversion(
      [](uint64_t a, ScalarType from, ScalarType to) { return fromDouble(toDouble(a, from), to); });
  h["arith.sitofp"] = conversion(
      [](uint64_t a, ScalarType from, ScalarType to) { return fromDouble(signExtend(a, from.bits), to); });
  h["arith.uitofp"] = conversion(
      [](uint64_t a, ScalarType, ScalarType to) { return fromDouble(static_cast<double>(a), to); });
  h["arith.fptosi"] = conversion([](uint64_t a, ScalarType from, ScalarType to) {
    double x = toDouble(a, from);
    return truncateTo(
        static_cast<uint64_t>(std::isfinite(x) && std::fabs(x) < 9e18 ? static_cast<int64_t>(x) : 0),
        to.bits);
  });
  h["arith.fptoui"] = conversion([](uint64_t a, ScalarType from, ScalarType to) {
    double x = toDouble(a, from);
    return truncateTo(std::isfinite(x) && x > 0 && x < 1.8e19 ? static_cast<uint64_t>(x) : 0, to.bits);
  });
  auto zeroExtend = conversion([](uint64_t a, ScalarType, ScalarType to) { return truncateTo(a, to.bits); });
  auto extendSign = conversion([](uint64_t a, ScalarType from, ScalarType to) {
    return truncateTo(static_cast<uint64_t>(signExtend(a, from.bits)), to.bits);
  });
  for (const char *name : {"arith.extui", "arith.trunci", "arith.index_castui", "llvm.zext", "llvm.trunc"})
    h[name] = zeroExtend;
  for (const char *name : {"arith.extsi", "arith.index_cast", "llvm.sext"})
    h[name] = extendSign;
}
} // namespace

void mlir::emulator::addScalarOps(Handlers &h) {
  h["arith.constant"] = h["llvm.mlir.constant"] = constant;
  h["arith.cmpi"] = compareInts;
  h["arith.cmpf"] = compareFloats;
  h["arith.select"] = selectValues;
  h["llvm.ptrtoint"] = h["llvm.inttoptr"] = h["llvm.addrspacecast"] = h["memref.cast"] = move;
  addIntegers(h);
  addFloats(h);
  addConversions(h);
}
