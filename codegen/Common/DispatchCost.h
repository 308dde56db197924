//===- DispatchCost.h - extents and work of a dispatch --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_DISPATCHCOST_H
#define CODEGEN_COMMON_DISPATCHCOST_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlir::transformer {

/// An extent inside a dispatch: static, or a dimension of an argument.
struct Extent {
  int64_t size = ShapedType::kDynamic;
  BlockArgument argument;
  unsigned dim = 0;

  bool isStatic() const { return !ShapedType::isDynamic(size); }
};

/// The extent of dimension `dim` of a tensor of a dispatch's body.
Extent extentOf(Value tensor, unsigned dim);
/// The extent of a loop of a generic op of a dispatch's body.
Extent loopExtent(linalg::GenericOp op, unsigned loop);

/// coefficient * product of extents (* keys a query sees, on average).
struct CostTerm {
  int64_t coefficient = 1;
  SmallVector<Extent> extents;
  bool perKey = false;
};

/// What one launch of a dispatch computes and moves. Operations are those of
/// floating point, a fused multiplication and addition counting as two; bytes are
/// each argument read once and the result written once, whatever the caches do.
struct DispatchCost {
  SmallVector<CostTerm> flops;
  SmallVector<CostTerm> bytes;
};

DispatchCost costOf(func::FuncOp dispatch);

/// As attributes of the dispatch (`transformer.flops`, `transformer.bytes`): per
/// term [coefficient, perKey, argument, dim, argument, dim, …].
void setCost(func::FuncOp dispatch, const DispatchCost &cost);

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_DISPATCHCOST_H
