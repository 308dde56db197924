//===- RandomWeights.cpp - weights nobody trained -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/RandomWeights.h"
#include "runtime/Hash.h"
#include "runtime/SplitMix.h"

#include <cmath>
#include <cstring>

using namespace xfm;

namespace {
struct Generator : SplitMix {
  /// In [-1, 1).
  float uniform() { return static_cast<float>(static_cast<int32_t>(next() >> 32)) * 0x1p-31f; }
};

uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// To nearest; the values are normal numbers far below the largest.
uint16_t toBF16(float value) {
  uint32_t bits = bitsOf(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// Towards zero, and zero where f16 has no normal number.
uint16_t toF16(float value) {
  uint32_t bits = bitsOf(value), sign = bits >> 16 & 0x8000;
  int32_t exponent = static_cast<int32_t>(bits >> 23 & 0xff) - 127 + 15;
  if (exponent <= 0)
    return static_cast<uint16_t>(sign);
  return static_cast<uint16_t>(sign | static_cast<uint32_t>(exponent) << 10 | (bits >> 13 & 0x3ff));
}
} // namespace

void xfm::fillRandomWeight(const WeightSpec &weight, uint64_t seed, char *data) {
  Generator random{{seed ^ hashBytes(weight.name.data(), weight.name.size())}};
  size_t rank = weight.shape.size();
  float scale = 0.1f, mean = 1;
  if (rank > 1) {
    int64_t depth = weight.shape[rank == 3 ? 1 : rank - 1];
    scale = std::sqrt(3.0f / static_cast<float>(depth > 0 ? depth : 1));
    mean = 0;
  }
  auto fill = [&](size_t bytes, auto convert) {
    for (int64_t i = 0, count = weight.bytes / static_cast<int64_t>(bytes); i < count; ++i) {
      auto value = convert(mean + scale * random.uniform());
      std::memcpy(data + static_cast<size_t>(i) * bytes, &value, bytes);
    }
  };
  if (weight.format == "f32")
    fill(4, [](float x) { return x; });
  else if (weight.format == "bf16")
    fill(2, toBF16);
  else if (weight.format == "f16")
    fill(2, toF16);
  else
    std::memset(data, 0, static_cast<size_t>(weight.bytes));
}
