//===- DtypeTest.cpp - conversion of elements --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Dtype.h"
#include "Fixtures.h"

#include "mlir/IR/MLIRContext.h"

#include <cmath>
#include <limits>

using namespace mlir::transformer;

static double widen(Dtype dtype, uint16_t bits) {
  double value;
  toDoubles(dtype, reinterpret_cast<const char *>(&bits), 1, &value);
  return value;
}

static uint16_t narrow(Dtype dtype, double value) {
  uint16_t bits;
  fromDoubles(dtype, &value, 1, reinterpret_cast<char *>(&bits));
  return bits;
}

/// The largest finite value's bits: all exponent bits but the last, all mantissa bits.
static uint16_t largest(Dtype dtype) { return dtype == Dtype::F16 ? 0x7bff : 0x7f7f; }

class NarrowFloat : public testing::TestWithParam<Dtype> {};
INSTANTIATE_TEST_SUITE_P(Dtype, NarrowFloat, testing::Values(Dtype::F16, Dtype::BF16),
                         [](const auto &info) { return dtypeName(info.param).str(); });

// Values fixed by the formats' definitions.
TEST(Dtype, KnownValues) {
  EXPECT_EQ(widen(Dtype::F16, 0x3c00), 1.0);
  EXPECT_EQ(widen(Dtype::F16, 0xc000), -2.0);
  EXPECT_EQ(widen(Dtype::F16, 0x0001), std::ldexp(1.0, -24));
  EXPECT_EQ(widen(Dtype::F16, 0x03ff), std::ldexp(1023.0, -24));
  EXPECT_EQ(widen(Dtype::F16, 0x0400), std::ldexp(1.0, -14));
  EXPECT_EQ(widen(Dtype::F16, 0x7bff), 65504.0);
  EXPECT_EQ(widen(Dtype::BF16, 0x3f80), 1.0);
  EXPECT_EQ(widen(Dtype::BF16, 0x4049), 3.140625);
  EXPECT_EQ(widen(Dtype::BF16, 0x0001), std::ldexp(1.0, -133));
}

// Every value survives a round trip, and halfway between neighbours the even one is taken.
TEST_P(NarrowFloat, RoundsToNearestEven) {
  Dtype dtype = GetParam();
  for (uint16_t sign : {0, 0x8000}) {
    for (uint16_t bits = 0; bits < largest(dtype); ++bits) {
      uint16_t low = sign | bits, high = sign | (bits + 1);
      double a = widen(dtype, low), b = widen(dtype, high);
      ASSERT_EQ(narrow(dtype, a), low);
      double middle = a + (b - a) / 2; // exact in double
      ASSERT_EQ(narrow(dtype, middle), bits % 2 == 0 ? low : high) << middle;
      // The smallest step off the middle decides: a detour over f32 would lose it.
      ASSERT_EQ(narrow(dtype, std::nextafter(middle, a)), low) << middle;
      ASSERT_EQ(narrow(dtype, std::nextafter(middle, b)), high) << middle;
    }
  }
}

TEST_P(NarrowFloat, Overflow) {
  Dtype dtype = GetParam();
  uint16_t infinity = largest(dtype) + 1;
  double top = widen(dtype, largest(dtype));
  double half = (top - widen(dtype, largest(dtype) - 1)) / 2;
  EXPECT_EQ(narrow(dtype, top + half), infinity);
  EXPECT_EQ(narrow(dtype, std::nextafter(top + half, 0.0)), largest(dtype));
  EXPECT_EQ(narrow(dtype, 1e300), infinity);
  EXPECT_EQ(narrow(dtype, -1e300), infinity | 0x8000);
  EXPECT_EQ(narrow(dtype, std::numeric_limits<double>::infinity()), infinity);
  EXPECT_EQ(narrow(dtype, 1e-300), 0);
  EXPECT_EQ(narrow(dtype, -1e-300), 0x8000);
  EXPECT_TRUE(std::isnan(widen(dtype, narrow(dtype, std::nan("")))));
}

TEST(Dtype, NamesAndTypesAgree) {
  mlir::MLIRContext context;
  for (const char *name : {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"}) {
    std::optional<Dtype> dtype = dtypeFromName(name);
    ASSERT_TRUE(dtype) << name;
    EXPECT_EQ(dtypeName(*dtype), name);
    EXPECT_EQ(dtypeFromType(dtypeToType(*dtype, &context)), dtype) << name;
  }
  EXPECT_FALSE(dtypeFromName("F8_E4M3"));
  EXPECT_FALSE(dtypeFromName("f32"));
}

TEST(Dtype, UnalignedSources) {
  char bytes[1 + 2 * sizeof(float)] = {};
  float values[] = {1.5f, -3.0f};
  std::memcpy(bytes + 1, values, sizeof(values));
  double result[2];
  toDoubles(Dtype::F32, bytes + 1, 2, result);
  EXPECT_EQ(result[0], 1.5);
  EXPECT_EQ(result[1], -3.0);
}
