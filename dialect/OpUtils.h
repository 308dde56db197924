//===- OpUtils.h - shared by the op families ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef DIALECT_OPUTILS_H
#define DIALECT_OPUTILS_H

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"

namespace mlir::transformer {

/// Whether two dimensions may be equal: equal, or one of them dynamic.
inline bool dimsMatch(int64_t a, int64_t b) {
  return a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b);
}

/// Whether two shapes may be equal.
inline bool shapesMatch(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  if (a.size() != b.size())
    return false;
  for (auto [x, y] : llvm::zip(a, b))
    if (!dimsMatch(x, y))
      return false;
  return true;
}

inline ArrayRef<int64_t> shapeOf(Value value) { return cast<ShapedType>(value.getType()).getShape(); }

/// A dimension of a value.
struct DimOf {
  Value value;
  int64_t dim;
};

/// The shape of `result` whose leading dimensions are those of `source`, and the
/// last one too unless `last` says otherwise.
inline SmallVector<OpFoldResult> leadingDimsOf(OpBuilder &b, Location loc, Value source, Value result,
                                               std::optional<DimOf> last = std::nullopt) {
  auto type = cast<RankedTensorType>(result.getType());
  SmallVector<OpFoldResult> dims;
  for (int64_t i = 0, e = type.getRank(); i < e; ++i) {
    DimOf from = last && i + 1 == e ? *last : DimOf{source, i};
    dims.push_back(type.isDynamicDim(i) ? tensor::getMixedSize(b, loc, from.value, from.dim)
                                        : OpFoldResult(b.getIndexAttr(type.getDimSize(i))));
  }
  return dims;
}

} // namespace mlir::transformer

#endif // DIALECT_OPUTILS_H
