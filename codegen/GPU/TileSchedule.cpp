//===- TileSchedule.cpp - which block makes which tile of a product ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/TileSchedule.h"

#include "codegen/GPU/Cluster.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
/// Arithmetic of i32.
struct Arithmetic {
  OpBuilder &b;
  Location loc;
  Value i32(int64_t value) const { return constantI32(b, loc, value); }
  Value add(Value x, Value y) const { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(Value x, Value y) const { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(Value x, Value y) const { return arith::MulIOp::create(b, loc, x, y); }
  Value div(Value x, Value y) const { return arith::DivUIOp::create(b, loc, x, y); }
  Value rem(Value x, Value y) const { return arith::RemUIOp::create(b, loc, x, y); }
  Value select(Value condition, Value x, Value y) const {
    return arith::SelectOp::create(b, loc, condition, x, y);
  }
  /// The clusters of the grid.
  Value clusters(int64_t blocks) const {
    Value count = NVVM::GridDimXOp::create(b, loc, b.getI32Type());
    return blocks > 1 ? div(count, i32(blocks)) : count;
  }
};
} // namespace

TileSchedule::TileSchedule(OpBuilder &b, Location loc, const Shape &shape, Value rows) : shape(shape) {
  Arithmetic a{b, loc};
  Value count = arith::CeilDivUIOp::create(b, loc, rows, constantIndex(b, loc, shape.tileRows));
  down = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), count);
  all = a.mul(down, a.i32(shape.across));
  if (shape.blocks == 1)
    return;
  rank = clusterRank(b, loc);
  Value areFew = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, all, a.clusters(shape.blocks));
  sharedDown = a.select(areFew, a.i32(0), a.div(down, a.i32(shape.blocks)));
  shared = a.mul(sharedDown, a.i32(shape.across));
  all = a.sub(all, a.mul(shared, a.i32(shape.blocks - 1)));
}

/// Tiles follow each other down groups of eight, so that blocks at work at one time share rows of x and
/// columns of the weights in the L2 cache.
Tile TileSchedule::tileOf(OpBuilder &b, Location loc, Value number) const {
  constexpr int64_t groupRows = 8;
  Arithmetic a{b, loc};
  int64_t unitsDown = groupRows / shape.blocks;
  Value rows = down, behind, isSplit;
  if (shape.blocks > 1) {
    behind = a.mul(sharedDown, a.i32(shape.blocks));
    isSplit = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, number, shared);
    number = a.select(isSplit, a.sub(number, shared), number);
    rows = a.select(isSplit, a.sub(down, behind), sharedDown);
  }
  Value ofGroup = a.i32(unitsDown * shape.across);
  Value first = a.mul(a.div(number, ofGroup), a.i32(unitsDown)), within = a.rem(number, ofGroup);
  Value height = arith::MinUIOp::create(b, loc, a.sub(rows, first), a.i32(unitsDown));
  Value row = a.add(first, a.rem(within, height)), column = a.div(within, height);
  Value firstStep = a.i32(0), steps = a.i32(shape.steps);
  if (shape.blocks > 1) {
    Value below = a.mul(row, a.i32(shape.blocks));
    row = a.select(isSplit, a.add(behind, row), a.add(below, rank));
    // Steps behind the end of K see zeros.
    Value share = a.i32(llvm::divideCeilSigned(shape.steps, shape.blocks));
    firstStep = a.select(isSplit, a.mul(rank, share), firstStep);
    steps = a.select(isSplit, share, steps);
  }
  return {a.mul(row, a.i32(shape.tileRows)), a.mul(column, a.i32(shape.tileColumns)), firstStep, steps,
          isSplit};
}

void TileSchedule::forTiles(
    OpBuilder &b, Location loc, ValueRange start,
    function_ref<SmallVector<Value>(OpBuilder &, const Tile &, ValueRange)> body) const {
  Arithmetic a{b, loc};
  Value cluster = NVVM::BlockIdXOp::create(b, loc, b.getI32Type());
  if (shape.blocks > 1)
    cluster = a.div(cluster, a.i32(shape.blocks));
  scf::ForOp::create(b, loc, cluster, all, a.clusters(shape.blocks), start,
                     [&](OpBuilder &b, Location loc, Value number, ValueRange carried) {
                       scf::YieldOp::create(b, loc, body(b, tileOf(b, loc, number), carried));
                     });
}
