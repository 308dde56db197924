//===- Values.h - what the interpreter computes with ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef DIALECT_INTERPRETER_VALUES_H
#define DIALECT_INTERPRETER_VALUES_H

#include "dialect/Transformer.h"

#include <memory>
#include <optional>
#include <variant>
#include <vector>

namespace mlir::transformer {

/// One element: a float as float64, an integer or index as int64. Integers
/// narrower than 64 bits are kept sign-extended, i1 as 0 or 1.
union Slot {
  double f;
  int64_t i;
};

/// A dense tensor in row-major order. Elements are float64 or int64 whatever the
/// element type is; the type says how they are stored in a compiled program.
/// Copies share their elements until one of them is written.
class Tensor {
public:
  Tensor() = default;
  /// A tensor of zeros. The number of elements must fit `elementCount`.
  Tensor(ArrayRef<int64_t> shape, Type elementType);
  Tensor(ArrayRef<int64_t> shape, Type elementType, std::vector<double> values);
  Tensor(ArrayRef<int64_t> shape, Type elementType, std::vector<int64_t> values);

  ArrayRef<int64_t> getShape() const { return shape; }
  int64_t getRank() const { return shape.size(); }
  int64_t getDim(int64_t i) const { return shape[i]; }
  int64_t size() const { return isFloat() ? elements->floats.size() : elements->ints.size(); }
  Type getElementType() const { return elementType; }
  bool isFloat() const { return isa<FloatType>(elementType); }

  ArrayRef<double> getFloats() const { return elements->floats; }
  ArrayRef<int64_t> getInts() const { return elements->ints; }
  MutableArrayRef<double> getMutableFloats() { return unshared().floats; }
  MutableArrayRef<int64_t> getMutableInts() { return unshared().ints; }

  Slot load(int64_t i) const;
  void store(int64_t i, Slot value);

  /// Sets every element.
  void fill(Slot value);
  /// The same elements in the same order under another shape of as many elements.
  Tensor reshaped(ArrayRef<int64_t> newShape) const;
  /// The same elements under another element type of the same kind.
  Tensor retyped(Type newElementType) const;
  /// Rounds every element to the element type.
  void round();

private:
  struct Elements {
    std::vector<double> floats;
    std::vector<int64_t> ints;
  };
  Elements &unshared();

  SmallVector<int64_t> shape;
  Type elementType;
  std::shared_ptr<Elements> elements = std::make_shared<Elements>();
};

/// The keys and values of one attention layer. A full cache holds positions
/// 0, 1, ... of a row at the same place, a ring position p at place p mod places.
struct KVCache {
  /// An empty cache of `rows` rows.
  static KVCache empty(KVCacheType type, int64_t rows);

  KVCacheType type;
  Tensor keys, values;         // [B, KV, places, D]
  SmallVector<int64_t> length; // [B], all positions appended so far
};

using RuntimeValue = std::variant<double, int64_t, Tensor, KVCache>;

/// The number of elements of `shape`, or nothing where a dimension is negative
/// or there are more than the interpreter is willing to hold.
std::optional<int64_t> elementCount(ArrayRef<int64_t> shape);

/// Row-major strides of `shape`, in elements.
SmallVector<int64_t> stridesOf(ArrayRef<int64_t> shape);

/// `value` rounded to nearest even in `type`, a float type.
double roundTo(Type type, double value);

/// `value` wrapped to `type`, an integer or index type, in the form of `Slot`.
int64_t wrapTo(Type type, int64_t value);

/// Whether a runtime value can stand where the IR says `type`.
bool hasType(const RuntimeValue &value, Type type);

/// The type of a runtime value for messages, such as `'tensor<2x17xf32>'`.
std::string describe(const RuntimeValue &value);

/// Copies a box of `extents` elements from `from` (element `fromOffset`, step
/// `fromStrides`) to `to`. Every element touched must exist in both.
void copyBox(const Tensor &from, int64_t fromOffset, ArrayRef<int64_t> fromStrides, Tensor &to,
             int64_t toOffset, ArrayRef<int64_t> toStrides, ArrayRef<int64_t> extents);

/// How far two tensors are apart: max |a - b| / max |b|, infinite where shapes
/// differ or anything is NaN. Integers must be equal.
double relativeError(const Tensor &actual, const Tensor &expected);

} // namespace mlir::transformer

#endif // DIALECT_INTERPRETER_VALUES_H
