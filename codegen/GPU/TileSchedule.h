//===- TileSchedule.h - which block makes which tile of a product ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_TILESCHEDULE_H
#define CODEGEN_GPU_TILESCHEDULE_H

#include "codegen/GPU/KernelBuilder.h"

namespace mlir::transformer {

/// What a block does for a tile of the result: its first row and column, the first step along K and how many
/// there are (i32), and whether the other blocks of the cluster do the other steps (i1; null without
/// clusters).
struct Tile {
  Value row, column, firstStep, steps, isSplit;
};

/// The tiles of a product in the order in which blocks that stay for several of them take them. A cluster
/// takes tiles below each other, one for each block, which share the columns (they are shared); or one tile,
/// of which each block makes a share of the steps along K (it is split).
class TileSchedule {
public:
  /// Columns of tiles, steps along K, the rows and columns of a tile, and the blocks of a cluster.
  struct Shape {
    int64_t across, steps, tileRows, tileColumns, blocks;
  };
  TileSchedule() = default;
  /// `rows` (index) of the result. All tiles are split where each can have a cluster of its own at once;
  /// otherwise those of the last rows that do not make up a cluster.
  TileSchedule(OpBuilder &b, Location loc, const Shape &shape, Value rows);

  /// Runs `body` for each tile of the block with values that it carries on.
  void forTiles(OpBuilder &b, Location loc, ValueRange start,
                function_ref<SmallVector<Value>(OpBuilder &, const Tile &, ValueRange)> body) const;

  Value rank; ///< of the block in its cluster (i32; null without clusters)

private:
  Tile tileOf(OpBuilder &b, Location loc, Value number) const;

  Shape shape = {};
  /// Rows of tiles; those of them that are shared, in clusters; what a cluster takes at a time: of shared
  /// tiles, and of all (i32).
  Value down, sharedDown, shared, all;
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_TILESCHEDULE_H
