//===- RegisterTile.cpp - the sums that stay in registers -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/RegisterTile.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::transformer;

/// Vectors of a register tile's row: those that waste the least of the last panel.
static int64_t vectorsFor(int64_t columns, int64_t lanes, int64_t most) {
  int64_t best = most, least = std::numeric_limits<int64_t>::max();
  for (int64_t vectors = most; vectors >= 1; --vectors) {
    int64_t padded = llvm::alignTo(columns, vectors * lanes);
    // Narrow tiles load more per multiplication; a little waste is cheaper.
    if (padded + padded / 16 < least) {
      best = vectors;
      least = padded;
    }
  }
  return best;
}

/// Three quarters of the registers hold sums, where eight rows are enough to read weights seldom unless the
/// pipes need more sums to be always busy. Of 16 registers, those of more than six rows would be spilled.
static RegisterTile floatTile(const Projection &root, const Multiplier &core) {
  if (core.registers < 32)
    return {6, vectorsFor(root.columns(), core.lanes, 2)};
  int64_t vectors = vectorsFor(root.columns(), core.lanes, 4);
  int64_t busy = llvm::divideCeilSigned(core.pipes * core.latency, vectors);
  return {std::min(std::max<int64_t>(busy, 8), core.registers * 3 / 4 / vectors), vectors};
}

/// Unpacked i4, and products before they are added up, take registers of their own; without
/// a third operand copies do too. Wide and low tiles would read weights faster than the
/// second-level cache gives bytes to AVX-512.
static RegisterTile integerTile(const Projection &root, const Multiplier &core) {
  bool isNarrow = root.weightType().getElementType().isInteger(4);
  RegisterTile most{6, 2};
  if (core.registers < 32) {
    if (isNarrow || core.int8Depth == 2)
      most.rows = core.lanes == 4 ? 3 : 4;
  } else if (core.lanes == 16) {
    most.rows = 12;
  } else if (isNarrow) {
    most.rows = 8;
  } else {
    most.vectors = 4;
  }
  return {most.rows, vectorsFor(root.columns(), core.lanes, most.vectors)};
}

/// Panels that one row is multiplied with together. Memory gives more to several streams than to one, where
/// prefetchers begin anew on each page, and one row's few sums would wait for each other; half of the
/// registers hold sums. Of 32 registers a row's tile is wide, and i4 is bound by its instructions.
static int64_t panelsOfRow(const Projection &root, const Multiplier &core, int64_t vectors) {
  bool isNarrow = root.weightType().getElementType().isInteger(4);
  if (!root.mayBeOneRow() || core.registers >= 32 || isNarrow)
    return 1;
  int64_t panels = llvm::divideCeilSigned(root.columns(), vectors * core.lanes);
  return std::clamp<int64_t>(core.registers / 2 / vectors, 1, panels);
}

RegisterTile mlir::transformer::registerTile(const Projection &root, const Multiplier &core) {
  RegisterTile tile = root.isInteger() ? integerTile(root, core) : floatTile(root, core);
  tile.rowPanels = panelsOfRow(root, core, tile.vectors);
  if (int64_t rows = root.rows(); rows > 0)
    tile.rows = llvm::divideCeilSigned(rows, llvm::divideCeilSigned(rows, tile.rows));
  return tile;
}
