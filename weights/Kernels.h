//===- Kernels.h - the transformations of derived weights -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_KERNELS_H
#define WEIGHTS_KERNELS_H

#include "dialect/Transformer.h"
#include "weights/Derive.h"

namespace mlir::transformer {

/// The bytes of a tensor of `type`, not initialised; an error where there is no memory.
llvm::Expected<HostTensor> allocateTensor(RankedTensorType type);

/// The value of `op` from those of its sources. `type` is that of the op, or one
/// with fewer rows where the sources are the rows that those need.
llvm::Expected<HostTensor> computeDerived(DeriveOp op, ArrayRef<HostTensor> sources, RankedTensorType type);

/// The frequencies f_i of a rope_table, scaling applied, and the factor on the
/// table's entries.
struct RopeFrequencies {
  SmallVector<double> frequencies;
  double attentionFactor = 1.0;
};
RopeFrequencies ropeFrequencies(DeriveOp op);

} // namespace mlir::transformer

#endif // WEIGHTS_KERNELS_H
