//===- RandomWeights.h - weights nobody trained -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_RANDOMWEIGHTS_H
#define XFM_RUNTIME_RANDOMWEIGHTS_H

#include "runtime/Manifest.h"

namespace xfm {

/// Fills `data` with the random values of weight `weight` for `seed`, the same on every machine. One
/// dimension (norms, biases): uniform in [0.9, 1.1). More: uniform with a mean of 0 and a variance of 1 / K,
/// so that products of them keep the size of what they multiply; K is the last of two dimensions and the
/// middle one of three (packed panels). Types that are no floats are zeros.
void fillRandomWeight(const WeightSpec &weight, uint64_t seed, char *data);

} // namespace xfm

#endif // XFM_RUNTIME_RANDOMWEIGHTS_H
