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

/// Rows and vectors of a register tile; of one row, how many tiles are multiplied together.
struct RegisterTile {
  int64_t rows, vectors, rowPanels = 1;
};

/// What a core multiplies with.
struct Multiplier {
  int64_t registers, lanes; ///< vectors, and sums of one
  int64_t int8Depth;        ///< products of integers that are summed in one instruction
  int64_t pipes, latency;   ///< vectors multiplied in a cycle, and cycles until their sums can be added to
};

/// The tile of a contraction with packed weights. The number of vectors is one that wastes
/// little of the last panel, and does not depend on the number of rows. Rows, where it is
/// known how many, are cut in equal parts.
RegisterTile registerTile(const Projection &root, const Multiplier &core);

} // namespace mlir::transformer

#endif // CODEGEN_CPU_REGISTERTILE_H
