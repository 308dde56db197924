//===- RegisterTile.h - the sums that stay in registers -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_REGISTERTILE_H
#define CODEGEN_CPU_REGISTERTILE_H

#include "codegen/Common/Projection.h"

namespace mlir::transformer {

/// Rows and vectors of a register tile.
struct RegisterTile {
  int64_t rows, vectors;
};

/// The tile of a contraction with packed weights, for `registers` vectors of `lanes` sums, and
/// `int8Depth` products of integers summed in one instruction. The number of vectors is one that
/// wastes little of the last panel, and does not depend on the number of rows.
RegisterTile registerTile(const Projection &root, int64_t lanes, int64_t registers, int64_t int8Depth);

} // namespace mlir::transformer

#endif // CODEGEN_CPU_REGISTERTILE_H
