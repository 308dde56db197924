//===- Dtype.cpp - element types of stored tensors ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Dtype.h"

#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/bit.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

using namespace llvm;

namespace mlir::transformer {

static_assert(endianness::native == endianness::little, "safetensors data is mapped as it is: little-endian");

namespace {
struct DtypeInfo {
  StringLiteral name;
  uint64_t size;
};
} // namespace

static constexpr DtypeInfo infos[] = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
                                      {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};

StringRef dtypeName(Dtype dtype) { return infos[static_cast<size_t>(dtype)].name; }
uint64_t dtypeSize(Dtype dtype) { return infos[static_cast<size_t>(dtype)].size; }
StringRef knownDtypes() { return "F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL"; }

std::optional<Dtype> dtypeFromName(StringRef name) {
  for (size_t i = 0; i < std::size(infos); ++i)
    if (name == infos[i].name)
      return static_cast<Dtype>(i);
  return std::nullopt;
}

Type dtypeToType(Dtype dtype, MLIRContext *context) {
  switch (dtype) {
  case Dtype::F64:
    return Float64Type::get(context);
  case Dtype::F32:
    return Float32Type::get(context);
  case Dtype::F16:
    return Float16Type::get(context);
  case Dtype::BF16:
    return BFloat16Type::get(context);
  case Dtype::I64:
    return IntegerType::get(context, 64);
  case Dtype::I32:
    return IntegerType::get(context, 32);
  case Dtype::I16:
    return IntegerType::get(context, 16);
  case Dtype::I8:
    return IntegerType::get(context, 8);
  case Dtype::U8:
    return IntegerType::get(context, 8, IntegerType::Unsigned);
  case Dtype::BOOL:
    return IntegerType::get(context, 1);
  }
  llvm_unreachable("unknown dtype");
}

std::optional<Dtype> dtypeFromType(Type type) {
  if (type.isF64())
    return Dtype::F64;
  if (type.isF32())
    return Dtype::F32;
  if (type.isF16())
    return Dtype::F16;
  if (type.isBF16())
    return Dtype::BF16;
  if (type.isUnsignedInteger(8))
    return Dtype::U8;
  if (!type.isSignlessInteger())
    return std::nullopt;
  switch (type.getIntOrFloatBitWidth()) {
  case 64:
    return Dtype::I64;
  case 32:
    return Dtype::I32;
  case 16:
    return Dtype::I16;
  case 8:
  case 4: // a byte for each value
    return Dtype::I8;
  case 1:
    return Dtype::BOOL;
  default:
    return std::nullopt;
  }
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

static double fromBF16(uint16_t bits) { return bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

static double fromF16(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  uint32_t magnitude = bits & 0x7fff;
  if (magnitude >= 0x7c00) // infinity, NaN
    return bit_cast<float>(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);
  // The bits as a float are the value times 2^-112, subnormal or not: exact in both steps.
  float scaled = bit_cast<float>(magnitude << 13) * 0x1p112f;
  return bit_cast<float>(sign | bit_cast<uint32_t>(scaled));
}

/// Rounds to odd: the inexact bit survives in the last place, so that a second
/// rounding to at most 22 bits gives what one rounding would have given.
static uint32_t floatBitsToOdd(double value) {
  float nearest = static_cast<float>(value);
  uint32_t bits = bit_cast<uint32_t>(nearest);
  if (std::isnan(value) || static_cast<double>(nearest) == value)
    return bits;
  // Truncate: step back if rounding went away from zero.
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value))
    --bits;
  return bits | 1;
}

static uint16_t toBF16(double value) {
  uint32_t bits = floatBitsToOdd(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>(bits >> 16 | 0x40); // quiet NaN
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static uint16_t toF16(double value) {
  uint32_t bits = floatBitsToOdd(value);
  uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits > 0x7f800000)
    return sign | 0x7e00;
  if (bits >= 0x477ff000) // 65520 and more round to infinity
    return sign | 0x7c00;
  if (bits >= 0x38800000) { // normal: rebias the exponent by 112, drop 13 bits
    bits += 0xc8000fff + (bits >> 13 & 1);
    return sign | static_cast<uint16_t>(bits >> 13);
  }
  // Subnormal: units of 2^-24. nearbyint rounds the exact product once.
  return sign | static_cast<uint16_t>(std::nearbyint(std::fabs(value) * 0x1p24));
}

template <typename T, typename F>
static void readAs(const char *source, size_t count, double *result, F convert) {
  for (size_t i = 0; i < count; ++i) {
    T value; // tensors in a file need not be aligned
    std::memcpy(&value, source + i * sizeof(T), sizeof(T));
    result[i] = convert(value);
  }
}

template <typename T, typename F>
static void writeAs(const double *source, size_t count, char *result, F convert) {
  for (size_t i = 0; i < count; ++i) {
    T value = convert(source[i]);
    std::memcpy(result + i * sizeof(T), &value, sizeof(T));
  }
}

void toDoubles(Dtype dtype, const char *source, size_t count, double *result) {
  auto widen = [](auto value) { return static_cast<double>(value); };
  switch (dtype) {
  case Dtype::F64:
    return readAs<double>(source, count, result, widen);
  case Dtype::F32:
    return readAs<float>(source, count, result, widen);
  case Dtype::F16:
    return readAs<uint16_t>(source, count, result, fromF16);
  case Dtype::BF16:
    return readAs<uint16_t>(source, count, result, fromBF16);
  case Dtype::I64:
    return readAs<int64_t>(source, count, result, widen);
  case Dtype::I32:
    return readAs<int32_t>(source, count, result, widen);
  case Dtype::I16:
    return readAs<int16_t>(source, count, result, widen);
  case Dtype::I8:
    return readAs<int8_t>(source, count, result, widen);
  case Dtype::U8:
  case Dtype::BOOL:
    return readAs<uint8_t>(source, count, result, widen);
  }
}

void fromDoubles(Dtype dtype, const double *source, size_t count, char *result) {
  switch (dtype) {
  case Dtype::F64:
    return writeAs<double>(source, count, result, [](double value) { return value; });
  case Dtype::F32:
    return writeAs<float>(source, count, result, [](double value) { return static_cast<float>(value); });
  case Dtype::F16:
    return writeAs<uint16_t>(source, count, result, toF16);
  case Dtype::BF16:
    return writeAs<uint16_t>(source, count, result, toBF16);
  default:
    llvm_unreachable("a float type");
  }
}

void convertElements(Dtype from, const char *source, size_t count, Dtype to, char *result) {
  if (from == to) {
    std::memcpy(result, source, count * dtypeSize(to));
    return;
  }
  assert(isFloat(to));
  constexpr size_t block = 1024;
  double values[block];
  for (size_t i = 0; i < count; i += block) {
    size_t n = std::min(block, count - i);
    toDoubles(from, source + i * dtypeSize(from), n, values);
    fromDoubles(to, values, n, result + i * dtypeSize(to));
  }
}

} // namespace mlir::transformer
