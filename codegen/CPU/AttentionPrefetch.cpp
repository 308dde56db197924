//===- AttentionPrefetch.cpp - what attention reads next -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Between the rows of one head lie those of the others, so no hardware sees a
// stream, and what a task copies or packs would wait for memory line by line.
// While a tile of keys is multiplied, each register tile of rows asks for its share
// of what comes next: the next tile's keys and values, or the next task's first ones
// and its queries. It is read a tile's time later: of a prompt that is long, of one
// position soon.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/AttentionEmitter.h"

#include "codegen/CPU/Prefetched.h"
#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

/// Asks for `elements` elements of `memref` from `indices` on.
void AttentionEmitter::prefetch(OpBuilder &b, Value memref, SmallVector<Value> indices, int64_t elements,
                                bool isWritten) {
  Value column = indices.back();
  uint32_t locality = localityOf(isDecode() ? Prefetched::Soon : Prefetched::Later);
  for (int64_t d = 0; d < elements; d += elementsOfLine(memref)) {
    indices.back() = addIndex(b, loc, column, d);
    memref::PrefetchOp::create(b, loc, memref, indices, isWritten, locality, /*isDataCache=*/true);
  }
}

/// Asks for elements of key or value `row` of a task's head.
void AttentionEmitter::prefetchKey(OpBuilder &b, Value memref, const Task &of, Value row, Value column,
                                   int64_t elements) {
  prefetch(b, memref, keyIndices(of, row, column), elements);
}

/// Asks for elements of a cache from `offset` elements behind the first of key or value `j` of the tile on,
/// or of the last one of the range. Rows of a cache lie one behind the other.
void AttentionEmitter::prefetchInRange(OpBuilder &b, Value memref, Value j, Value offset, int64_t elements) {
  Value dim = constant(b, headDim);
  Value at = arith::AddIOp::create(b, loc, arith::MulIOp::create(b, loc, j, dim), offset);
  Value last = arith::MulIOp::create(b, loc, addIndex(b, loc, left, -1), dim);
  prefetchKey(b, memref, task, place, arith::MinUIOp::create(b, loc, at, last), elements);
}

/// Asks for the query of a task's row, where it is not computed.
void AttentionEmitter::prefetchQuery(OpBuilder &b, const Task &of, Value row) {
  if (!isa<BlockArgument>(op.getQuery()))
    return;
  auto [s, head] = positionAndHead(b, of, row);
  prefetch(b, context.argument(op.getQuery()), {of.batch, s, head, constant(b, 0)}, headDim);
}

/// Asks for the result of a row that sees no more keys.
void AttentionEmitter::prefetchResult(OpBuilder &b, Value row) {
  auto [s, head] = positionAndHead(b, task, row);
  prefetch(b, context.out(), {task.batch, s, head, constant(b, 0)}, headDim, /*isWritten=*/true);
}

/// What comes behind the tile [begin, end), and which row tiles ask for it: those that the tile's keys are
/// computed for.
void AttentionEmitter::findNext(OpBuilder &b, Value begin, Value end) {
  Value zero = constant(b, 0), most = constant(b, mostKeys);
  Value count = arith::SubIOp::create(b, loc, end, begin);
  Value behind = arith::SubIOp::create(b, loc, left, count);
  next.isTask = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, behind, zero);
  auto choose = [&](Value ofTask, Value ofTile) -> Value {
    return arith::SelectOp::create(b, loc, next.isTask, ofTask, ofTile);
  };
  // The keys that a window shows first are not worth finding out.
  bool isWindow = op.getMask().getKind() == MaskKind::Window;
  Value ofTask = isWindow ? zero : Value(arith::SelectOp::create(b, loc, isFollowed, held, zero));
  next.keys = arith::MinUIOp::create(b, loc, choose(ofTask, behind), most);
  next.place = choose(zero, arith::AddIOp::create(b, loc, place, count));
  next.of.batch = choose(following.batch, task.batch);
  next.of.kvHead = choose(following.kvHead, task.kvHead);
  next.of.firstPosition = following.firstPosition;

  firstComputed = zero;
  if (op.getMask().getKind() != MaskKind::None) {
    // Rows of earlier positions than the tile's first key see none of it.
    Value origin =
        arith::AddIOp::create(b, loc, arith::SubIOp::create(b, loc, held, positions), task.firstPosition);
    Value row =
        arith::MulIOp::create(b, loc, arith::SubIOp::create(b, loc, begin, origin), constant(b, group));
    row = arith::MaxSIOp::create(b, loc, row, zero);
    firstComputed = roundDown(b, row, constant(b, tileRows));
  }
  Value some =
      arith::MaxSIOp::create(b, loc, arith::SubIOp::create(b, loc, rows, firstComputed), constant(b, 1));
  Value tiles = arith::CeilDivUIOp::create(b, loc, some, constant(b, tileRows));
  next.share = arith::CeilDivUIOp::create(b, loc, next.keys, tiles);
}

/// Asks for a row tile's share of what comes next.
void AttentionEmitter::prefetchNext(OpBuilder &b, RowTile tile) {
  Value number = arith::DivUIOp::create(b, loc, arith::SubIOp::create(b, loc, tile.first, firstComputed),
                                        constant(b, tileRows));
  Value first = arith::MulIOp::create(b, loc, number, next.share);
  Value last = arith::MinUIOp::create(b, loc, arith::AddIOp::create(b, loc, first, next.share), next.keys);
  forLoop(b, first, last, 1, [&](OpBuilder &b, Value j) {
    for (Value memref : {key, value})
      if (!isComputed(memref))
        prefetchKey(b, memref, next.of, arith::AddIOp::create(b, loc, next.place, j), constant(b, 0),
                    headDim);
  });
  Value asks = arith::AndIOp::create(b, loc, next.isTask, isFollowed);
  scf::IfOp::create(b, loc, asks, [&](OpBuilder &b, Location loc) {
    forLoop(b, constant(b, 0), constant(b, tileRows), 1, [&](OpBuilder &b, Value i) {
      prefetchQuery(b, next.of, arith::AddIOp::create(b, loc, tile.first, i));
    });
    scf::YieldOp::create(b, loc);
  });
}
