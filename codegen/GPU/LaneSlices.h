//===- LaneSlices.h - rows that lanes read together ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_LANESLICES_H
#define CODEGEN_GPU_LANESLICES_H

#include "mlir/IR/Value.h"
#include "llvm/ADT/STLExtras.h"

#include <functional>

namespace mlir::transformer {

/// Dimensions that lanes take together, a vector of `width` each.
struct Slice {
  int64_t first, width;
};

/// All dimensions in slices of `lanes` vectors, as wide as there are enough of them for.
inline SmallVector<Slice> slicesOf(int64_t headDim, int64_t lanes, int64_t least) {
  SmallVector<Slice> slices;
  for (int64_t first = 0, width = 8; first < headDim; first += lanes * width) {
    while (width > least && headDim - first < lanes * width)
      width /= 2;
    slices.push_back({first, width});
  }
  return slices;
}

/// The vectors of some rows by slices, loaded before they are used or then.
class Slices {
public:
  using Load = std::function<SmallVector<Value>(size_t slice)>;
  Slices(size_t count, Load load) : vectors(count), load(std::move(load)) {}
  void loadAll() {
    for (auto [i, own] : llvm::enumerate(vectors))
      own = load(i);
  }
  SmallVector<Value> operator[](size_t i) { return vectors[i].empty() ? load(i) : vectors[i]; }

private:
  SmallVector<SmallVector<Value>> vectors;
  Load load;
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_LANESLICES_H
