//===- RowEmitter.h - rows of a tensor expression -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_ROWEMITTER_H
#define CODEGEN_COMMON_ROWEMITTER_H

#include "codegen/Common/Evaluator.h"

#include "llvm/ADT/MapVector.h"

namespace mlir::transformer {

/// Each reduction that the rows of a tensor read, with the indices, of the row's
/// dimensions, that it is read at, in an order in which each comes after those it reads.
using RowReductions = llvm::MapVector<Operation *, SmallVector<AffineExpr>>;
RowReductions rowReductionsOf(Value tensor);

/// Writes the code of whole rows (the last dimension) of a tensor of a dispatch:
/// first the reductions that a row reads, once, then its elements in vectors.
class RowEmitter {
public:
  /// `width` is the widest vector to use.
  RowEmitter(KernelContext &context, Value tensor, int64_t width);

  /// Receives the element, or the vector of neighbours, at `column`; `mask` says
  /// which of them exist, or is null for all.
  using Sink = function_ref<void(OpBuilder &, Value value, LaneIndex column, Value mask)>;
  /// The row at the indices `leading` of all dimensions but the last.
  void emit(OpBuilder &b, ArrayRef<Value> leading, Sink sink);

private:
  Evaluator evaluator;
  Value tensor;
  RowReductions reductions;
};

/// Stores a scalar or vector (masked where `mask` is given).
void storeElements(OpBuilder &b, Location loc, Value value, Value memref, ArrayRef<Value> at, Value mask);

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_ROWEMITTER_H
