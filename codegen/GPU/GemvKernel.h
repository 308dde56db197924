//===- GemvKernel.h - products with few rows ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_GEMVKERNEL_H
#define CODEGEN_GPU_GEMVKERNEL_H

#include "codegen/GPU/ContractionKernel.h"

namespace mlir::transformer {

/// Sums of `columns` neighbouring columns by one warp, its lanes taking vectors of k in turn. Rows that the
/// dispatch computes are staged by then.
class GemvEmitter {
public:
  /// `firstColumn` (index) is the warp's; `lane` is an index.
  GemvEmitter(OpBuilder &b, Contraction &contraction, int64_t columns, int64_t mostWidth, Value firstColumn,
              Value lane);

  /// Rows [first, first + count) that exist below M, `count` being static.
  void emitRows(OpBuilder &b, Value first, int64_t count);

private:
  /// The sums of `count` rows and the warp's columns, by weight, row and column, in all lanes.
  SmallVector<Value> sumsOf(OpBuilder &b, ArrayRef<Value> rows);
  Value addProducts(OpBuilder &b, Value x, Value factor, Value sum);
  int64_t numberOf(int64_t weight, int64_t row, int64_t column, int64_t rows) const {
    return (weight * rows + row) * columns + column;
  }

  Contraction &contraction;
  Location loc;
  int64_t columns, width;
  Value lane, firstColumn;
  SmallVector<Value> columnAt; ///< clamped to the last one
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_GEMVKERNEL_H
