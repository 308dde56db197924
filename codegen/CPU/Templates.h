//===- Templates.h - kernel templates of the CPU --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_TEMPLATES_H
#define CODEGEN_CPU_TEMPLATES_H

#include "codegen/Common/DispatchBody.h"
#include "codegen/Common/Evaluator.h"

namespace mlir::transformer {

/// Elementwise results, with row reductions computed before the inner loop. One
/// task per row (all dimensions but the last).
LogicalResult emitRows(OpBuilder &b, KernelContext &context, LoweringConfigAttr config);

/// Reductions in register tiles: `tile` rows x columns of dot products with the
/// reduction in vectors, then the elementwise rest of the dispatch. One task per
/// column tile, over all rows.
LogicalResult emitTiles(OpBuilder &b, KernelContext &context, LoweringConfigAttr config);

/// Products with packed weights, in register tiles whose accumulators the loop over
/// k carries, then the elementwise rest of the dispatch. One task per block of rows
/// and panel of columns.
LogicalResult emitContraction(OpBuilder &b, KernelContext &context, LoweringConfigAttr config);

/// Attention with an online softmax over blocks of keys (arXiv:1805.02867). One
/// task per batch row, key/value head and block of queries, or split of the keys.
LogicalResult emitAttention(OpBuilder &b, KernelContext &context, LoweringConfigAttr config);

/// One result from the splits of an attention. One task per batch row and head.
LogicalResult emitAttentionMerge(OpBuilder &b, KernelContext &context, LoweringConfigAttr config);

/// Writes keys and values behind those in the cache. One task per batch row,
/// position and head.
LogicalResult emitCacheAppend(OpBuilder &b, KernelContext &context, LoweringConfigAttr config);

/// Runs `body(builder, task)` for each task of the kernel.
void forEachTask(OpBuilder &b, KernelContext &context, function_ref<void(OpBuilder &, Value)> body);

} // namespace mlir::transformer

#endif // CODEGEN_CPU_TEMPLATES_H
