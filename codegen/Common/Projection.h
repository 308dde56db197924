//===- Projection.h - contractions with a matrix of weights ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_PROJECTION_H
#define CODEGEN_COMMON_PROJECTION_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlir::transformer {

/// A generic that computes x W^T: sum over its last loop k of x[.., k] * w[n, k],
/// starting from zero, where n is the last dimension of the result [.., n]: of floats
/// in f32, or of i8 (w also i4) in i32.
struct Projection {
  linalg::GenericOp op;
  OpOperand *input = nullptr;  ///< x, [.., K]
  OpOperand *weight = nullptr; ///< w, [N, K], of static shape

  RankedTensorType weightType() const { return cast<RankedTensorType>(weight->get().getType()); }
  int64_t columns() const { return weightType().getDimSize(0); }
  int64_t depth() const { return weightType().getDimSize(1); }
  bool isInteger() const { return weightType().getElementType().isInteger(); }
  /// M, or ShapedType::kDynamic.
  int64_t rows() const {
    auto outer = cast<RankedTensorType>(op->getResult(0).getType()).getShape().drop_back();
    return llvm::any_of(outer, ShapedType::isDynamic) ? ShapedType::kDynamic
                                                      : ShapedType::getNumElements(outer);
  }
  /// Whether M may be 1 while a model decodes: it is 1, or only the number of sequences is unknown.
  bool mayBeOneRow() const {
    if (rows() != ShapedType::kDynamic)
      return rows() == 1;
    auto shape = cast<RankedTensorType>(op->getResult(0).getType()).getShape();
    return llvm::all_of(shape.drop_front().drop_back(), [](int64_t size) { return size == 1; });
  }

  static std::optional<Projection> match(linalg::GenericOp op);
};

/// The projections of a dispatch whose sums its other ops read element by element,
/// or that are its result; all have one input. In program order.
SmallVector<Projection> projectionsOf(func::FuncOp dispatch);

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_PROJECTION_H
