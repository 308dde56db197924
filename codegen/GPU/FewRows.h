//===- FewRows.h - which products have few rows -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_FEWROWS_H
#define CODEGEN_GPU_FEWROWS_H

#include "codegen/Common/Projection.h"

namespace mlir::transformer {

/// The rows of what a product multiplies, where they are known.
std::optional<int64_t> rowsOf(RankedTensorType input);

/// The template that makes a product with few rows, `gemv` or `skinny_gemm`; empty where there may be many.
/// Types and shapes decide, not the architecture: fusion asks too, and it is the same for all. `[B, K]` may
/// be many rows, unless they are known to be one for each sequence.
StringRef fewRowsTemplateOf(const Projection &projection, bool isRowOfEach = false);

/// Whether the first size of `tensor` is that of a tensor with one position of each sequence, [B, 1, ..].
bool hasRowOfEachSequence(Value tensor);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_FEWROWS_H
