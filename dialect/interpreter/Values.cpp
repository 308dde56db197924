//===- Values.cpp - what the interpreter computes with --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Values.h"

#include "llvm/Support/MathExtras.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::transformer;

/// More elements than this are a mistake of the program, not a model.
static constexpr int64_t maxElements = int64_t(1) << 34;

std::optional<int64_t> transformer::elementCount(ArrayRef<int64_t> shape) {
  int64_t count = 1;
  for (int64_t dim : shape) {
    if (dim < 0 || llvm::MulOverflow(count, dim, count) || count > maxElements)
      return std::nullopt;
  }
  return count;
}

SmallVector<int64_t> transformer::stridesOf(ArrayRef<int64_t> shape) {
  SmallVector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

//===----------------------------------------------------------------------===//
// Rounding
//===----------------------------------------------------------------------===//

/// Rounds to `fraction` stored bits of significand and exponents from `minExponent`.
static double roundToFormat(double value, int fraction, int minExponent, double largest) {
  if (!std::isfinite(value) || value == 0)
    return value;
  int exponent = std::max(std::ilogb(value), minExponent);
  // Scaling by powers of two is exact; nearbyint rounds half to even.
  double scaled = std::nearbyint(std::ldexp(value, fraction - exponent));
  double rounded = std::ldexp(scaled, exponent - fraction);
  if (std::abs(rounded) > largest)
    return std::copysign(std::numeric_limits<double>::infinity(), value);
  return rounded;
}

double transformer::roundTo(Type type, double value) {
  if (type.isF32())
    return static_cast<float>(value);
  if (type.isF64())
    return value;
  if (type.isBF16())
    return roundToFormat(value, 7, -126, 0x1.FEp127);
  if (type.isF16())
    return roundToFormat(value, 10, -14, 65504.0);
  APFloat number(value);
  bool losesInfo;
  number.convert(cast<FloatType>(type).getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
  number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
  return number.convertToDouble();
}

int64_t transformer::wrapTo(Type type, int64_t value) {
  auto integer = dyn_cast<IntegerType>(type);
  if (!integer || integer.getWidth() >= 64)
    return value;
  if (integer.getWidth() == 1)
    return value & 1;
  return llvm::SignExtend64(value, integer.getWidth());
}

//===----------------------------------------------------------------------===//
// Tensor
//===----------------------------------------------------------------------===//

Tensor::Tensor(ArrayRef<int64_t> shape, Type elementType) : shape(shape), elementType(elementType) {
  int64_t count = *elementCount(shape);
  if (isFloat())
    elements->floats.resize(count);
  else
    elements->ints.resize(count);
}

Tensor::Tensor(ArrayRef<int64_t> shape, Type elementType, std::vector<double> values)
    : shape(shape), elementType(elementType) {
  assert(isFloat() && elementCount(shape) == int64_t(values.size()));
  elements->floats = std::move(values);
}

Tensor::Tensor(ArrayRef<int64_t> shape, Type elementType, std::vector<int64_t> values)
    : shape(shape), elementType(elementType) {
  assert(!isFloat() && elementCount(shape) == int64_t(values.size()));
  elements->ints = std::move(values);
}

Tensor::Elements &Tensor::unshared() {
  if (elements.use_count() > 1)
    elements = std::make_shared<Elements>(*elements);
  return *elements;
}

Slot Tensor::load(int64_t i) const {
  Slot slot;
  if (isFloat())
    slot.f = elements->floats[i];
  else
    slot.i = elements->ints[i];
  return slot;
}

void Tensor::store(int64_t i, Slot value) {
  if (isFloat())
    getMutableFloats()[i] = value.f;
  else
    getMutableInts()[i] = value.i;
}

void Tensor::fill(Slot value) {
  if (isFloat())
    llvm::fill(getMutableFloats(), value.f);
  else
    llvm::fill(getMutableInts(), value.i);
}

Tensor Tensor::reshaped(ArrayRef<int64_t> newShape) const {
  assert(elementCount(newShape) == size());
  Tensor result = *this;
  result.shape.assign(newShape.begin(), newShape.end());
  return result;
}

Tensor Tensor::retyped(Type newElementType) const {
  assert(isa<FloatType>(newElementType) == isFloat());
  Tensor result = *this;
  result.elementType = newElementType;
  return result;
}

void Tensor::round() {
  if (!isFloat() || elementType.isF64())
    return;
  // Elements that are representable already stay shared.
  if (llvm::all_of(getFloats(), [&](double v) { return roundTo(elementType, v) == v; }))
    return;
  for (double &value : getMutableFloats())
    value = roundTo(elementType, value);
}

KVCache KVCache::empty(KVCacheType type, int64_t rows) {
  int64_t places = type.getPolicy() == CachePolicy::Ring ? type.getWindow() : 0;
  Tensor none({rows, type.getHeads(), places, type.getHeadDim()}, type.getElement());
  return {type, none, none, SmallVector<int64_t>(rows, 0)};
}

//===----------------------------------------------------------------------===//
// Runtime values
//===----------------------------------------------------------------------===//

/// Whether a cache, which may come from outside, is what its type and lengths say.
static bool isWellFormed(const KVCache &cache) {
  if (cache.keys.getRank() != 4 || cache.keys.getShape() != cache.values.getShape())
    return false;
  KVCacheType type = cache.type;
  int64_t places = cache.keys.getDim(2);
  bool ring = type.getPolicy() == CachePolicy::Ring;
  return cache.keys.getDim(0) == static_cast<int64_t>(cache.length.size()) &&
         cache.keys.getDim(1) == type.getHeads() && cache.keys.getDim(3) == type.getHeadDim() &&
         (!ring || places >= type.getWindow()) &&
         llvm::all_of(cache.length, [&](int64_t n) { return n >= 0 && (ring || n <= places); });
}

bool transformer::hasType(const RuntimeValue &value, Type type) {
  if (std::holds_alternative<double>(value))
    return isa<FloatType>(type);
  if (std::holds_alternative<int64_t>(value))
    return isa<IntegerType, IndexType>(type);
  if (auto *cache = std::get_if<KVCache>(&value))
    return cache->type == type && isWellFormed(*cache);
  const Tensor &tensor = std::get<Tensor>(value);
  auto tensorType = dyn_cast<RankedTensorType>(type);
  if (!tensorType || tensorType.getElementType() != tensor.getElementType() ||
      tensorType.getRank() != tensor.getRank())
    return false;
  for (auto [expected, dim] : llvm::zip_equal(tensorType.getShape(), tensor.getShape()))
    if (!ShapedType::isDynamic(expected) && expected != dim)
      return false;
  return true;
}

std::string transformer::describe(const RuntimeValue &value) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (std::holds_alternative<double>(value)) {
    stream << "a float";
  } else if (std::holds_alternative<int64_t>(value)) {
    stream << "an integer";
  } else if (auto *cache = std::get_if<KVCache>(&value)) {
    stream << '\'' << cache->type << '\'';
  } else {
    const Tensor &tensor = std::get<Tensor>(value);
    stream << '\'' << RankedTensorType::get(tensor.getShape(), tensor.getElementType()) << '\'';
  }
  return text;
}

//===----------------------------------------------------------------------===//
// Boxes
//===----------------------------------------------------------------------===//

template <typename T>
static void copyBox(const T *from, ArrayRef<int64_t> fromStrides, T *to, ArrayRef<int64_t> toStrides,
                    ArrayRef<int64_t> extents) {
  if (extents.empty()) {
    *to = *from;
    return;
  }
  int64_t extent = extents[0], fromStride = fromStrides[0], toStride = toStrides[0];
  if (extents.size() == 1) {
    for (int64_t i = 0; i < extent; ++i)
      to[i * toStride] = from[i * fromStride];
    return;
  }
  for (int64_t i = 0; i < extent; ++i)
    copyBox(from + i * fromStride, fromStrides.drop_front(), to + i * toStride, toStrides.drop_front(),
            extents.drop_front());
}

void transformer::copyBox(const Tensor &from, int64_t fromOffset, ArrayRef<int64_t> fromStrides, Tensor &to,
                          int64_t toOffset, ArrayRef<int64_t> toStrides, ArrayRef<int64_t> extents) {
  if (llvm::is_contained(extents, 0))
    return;
  if (from.isFloat())
    ::copyBox(from.getFloats().data() + fromOffset, fromStrides, to.getMutableFloats().data() + toOffset,
              toStrides, extents);
  else
    ::copyBox(from.getInts().data() + fromOffset, fromStrides, to.getMutableInts().data() + toOffset,
              toStrides, extents);
}

double mlir::transformer::relativeError(const Tensor &actual, const Tensor &expected) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (actual.getShape() != expected.getShape() || actual.isFloat() != expected.isFloat())
    return infinity;
  if (!expected.isFloat())
    return actual.getInts() == expected.getInts() ? 0 : infinity;
  double largestError = 0, largest = 0;
  for (auto [a, b] : llvm::zip_equal(actual.getFloats(), expected.getFloats())) {
    if (!std::isfinite(a) || !std::isfinite(b))
      return infinity;
    largestError = std::max(largestError, std::abs(a - b));
    largest = std::max(largest, std::abs(b));
  }
  return largestError == 0 ? 0 : largestError / largest;
}
