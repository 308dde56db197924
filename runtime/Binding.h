//===- Binding.h - the inputs of a call against an entry point ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_BINDING_H
#define XFM_RUNTIME_BINDING_H

#include "runtime/Manifest.h"

#include <vector>

namespace xfm {

/// The fixed sizes of a session.
struct SessionSizes {
  int64_t batch = 1;
  int64_t context = 0;
};

/// The values of an entry point's `sizes` that follow from the inputs' shapes;
/// the same symbol must have the same value everywhere. Also checks count, rank,
/// type and data of the inputs.
Status bindSizes(const EntryPoint &entry, const xfm_tensor *inputs, int32_t count,
                 const SessionSizes &session, std::vector<int64_t> &out);

/// Checks every integer input against its `range` and, where i64 is given for
/// i32, against what an i32 holds.
Status checkValues(const EntryPoint &entry, const xfm_tensor *inputs);

/// The index of "S" in `sizes`, -1 if it is not there.
int32_t positionsSize(const EntryPoint &entry);

/// A tensor seen as [outer, S, inner bytes]; S is 1 where no dimension has the
/// symbol "S".
struct SlicedShape {
  int64_t outer = 1;
  int64_t innerBytes = 1;
  bool hasPositions = false;
};

/// The dimensions of `tensor` under `sizes`, with S taken apart; false where
/// its bytes do not fit in 63 bits.
bool resolveShape(const TensorSpec &tensor, const std::vector<int64_t> &sizes, std::vector<int64_t> &dims,
                  SlicedShape &sliced, int64_t &bytes);

} // namespace xfm

#endif // XFM_RUNTIME_BINDING_H
