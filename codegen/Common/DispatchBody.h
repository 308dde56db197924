//===- DispatchBody.h - reading a dispatch, writing its loops -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_DISPATCHBODY_H
#define CODEGEN_COMMON_DISPATCHBODY_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace mlir::transformer {

/// The op that makes the dispatch's result, and the contraction under it if its
/// accumulators are the elements of the result.
Operation *outputOf(func::FuncOp dispatch);
linalg::GenericOp contractionOf(func::FuncOp dispatch);

/// Reports what no template relies on: a limit to be told, not a crash.
LogicalResult checkDispatchBody(func::FuncOp dispatch);

/// The inputs that the kernel of a dispatch reads, element by element, no later than it
/// writes the same element of the result, so that the result may take their place.
SmallVector<int64_t> inPlaceArguments(func::FuncOp dispatch);

/// The indices of task `task` in a grid of the given sizes, the last fastest.
SmallVector<Value> delinearize(OpBuilder &b, Location loc, Value task, ArrayRef<OpFoldResult> sizes);

/// for (i = from; i < to; i += step) body(builder, i)
void forLoop(OpBuilder &b, Location loc, Value from, Value to, int64_t step,
             function_ref<void(OpBuilder &, Value)> body);

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_DISPATCHBODY_H
