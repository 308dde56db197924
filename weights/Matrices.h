//===- Matrices.h - derived weights that need linear algebra --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_MATRICES_H
#define WEIGHTS_MATRICES_H

#include "weights/Derive.h"

namespace mlir::transformer {

/// left [n, m] times right [m, k] or [m], in float64, rounded to `type` once.
llvm::Expected<HostTensor> multiplyMatrices(const HostTensor &left, const HostTensor &right,
                                            RankedTensorType type);

/// One factor of source [n, m] = left [n, rank] right [rank, m] with the least sum
/// of squared errors: U sqrt(S) or sqrt(S) V^T of the singular value
/// decomposition. `type` says the rank. An error where the product differs from
/// the source by more than `maxError`, in the root of the sum of squares relative
/// to the source's.
llvm::Expected<HostTensor> factorize(const HostTensor &source, bool isLeft, RankedTensorType type,
                                     std::optional<double> maxError);

} // namespace mlir::transformer

#endif // WEIGHTS_MATRICES_H
