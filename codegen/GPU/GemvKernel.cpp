//===- GemvKernel.cpp - products with few rows --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A warp makes `tile` = [columns, rows] sums: its lanes take vectors of k in turn, so that
// every weight is read once, coalesced, and used for all rows; then the lanes add up
// theirs. One row has code of its own, more go a few at a time: the weights come from
// the cache again then. Rows that the dispatch computes are computed by the block, into
// shared memory, before they are multiplied.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/GemvKernel.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

GemvEmitter::GemvEmitter(OpBuilder &b, Contraction &contraction, int64_t columns, int64_t mostWidth,
                         Value firstColumn, Value lane)
    : contraction(contraction), loc(contraction.loc), columns(columns),
      width(contraction.vectorOfK(mostWidth)), lane(lane), firstColumn(firstColumn) {
  for (int64_t i = 0; i < columns; ++i)
    columnAt.push_back(arith::MinUIOp::create(b, loc, addIndex(b, loc, firstColumn, i),
                                              constantIndex(b, loc, contraction.columns - 1)));
}

SmallVector<Value> GemvEmitter::sumsOf(OpBuilder &b, ArrayRef<Value> rows) {
  int64_t count = rows.size(), weights = contraction.weights.size();
  Type f32 = b.getF32Type();
  SmallVector<Value> start(weights * count * columns, constantF32(b, loc, 0.0));
  Value from = arith::MulIOp::create(b, loc, lane, constantIndex(b, loc, width));
  auto body = [&](OpBuilder &b, Location loc, Value k, ValueRange carried) {
    SmallVector<Value> next(carried), x;
    for (auto [i, row] : llvm::enumerate(rows)) {
      Value part = contraction.x ? contraction.x->load(b, row, k, width)
                                 : contraction.prologue->loadStaged(b, static_cast<int64_t>(i), k, width);
      x.push_back(convertTo(b, loc, part, f32));
    }
    for (auto [w, weight] : llvm::enumerate(contraction.weights))
      for (int64_t c = 0; c < columns; ++c) {
        Value factor = convertTo(b, loc, weight.load(b, columnAt[c], k, width), f32);
        for (int64_t r = 0; r < count; ++r)
          next[numberOf(w, r, c, count)] = addProducts(b, x[r], factor, next[numberOf(w, r, c, count)]);
      }
    scf::YieldOp::create(b, loc, next);
  };
  SmallVector<Value> sums(scf::ForOp::create(b, loc, from, constantIndex(b, loc, contraction.depth),
                                             constantIndex(b, loc, kWarp * width), start, body)
                              .getResults());
  for (Value &sum : sums)
    sum = reduceLanes(b, loc, vector::CombiningKind::ADD, sum, kWarp);
  return sums;
}

/// One accumulator however wide the vectors are: there are enough of them to hide its latency.
Value GemvEmitter::addProducts(OpBuilder &b, Value x, Value factor, Value sum) {
  for (int64_t i = 0; i < width; ++i) {
    auto part = [&](Value v) -> Value {
      return width > 1 ? Value(vector::ExtractOp::create(b, loc, v, i)) : v;
    };
    Value product = arith::MulFOp::create(b, loc, part(x), part(factor), arith::FastMathFlags::contract);
    sum = arith::AddFOp::create(b, loc, product, sum, arith::FastMathFlags::contract);
  }
  return sum;
}

void GemvEmitter::emitRows(OpBuilder &b, Value first, int64_t count) {
  SmallVector<Value> rows;
  Value last = arith::SubIOp::create(b, loc, contraction.rows, constantIndex(b, loc, 1));
  for (int64_t i = 0; i < count; ++i)
    rows.push_back(i == 0 ? first : arith::MinUIOp::create(b, loc, addIndex(b, loc, first, i), last));
  SmallVector<Value> sums = sumsOf(b, rows);
  // Lane r * columns + c finishes row r and column c: it has them all.
  Value row = arith::DivUIOp::create(b, loc, lane, constantIndex(b, loc, columns));
  Value inTile = arith::RemUIOp::create(b, loc, lane, constantIndex(b, loc, columns));
  Value column = arith::AddIOp::create(b, loc, firstColumn, inTile);
  Value ownRow = arith::AddIOp::create(b, loc, first, row);
  auto below = [&](Value a, Value bound) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, a, bound);
  };
  Value exists = arith::AndIOp::create(b, loc, below(lane, constantIndex(b, loc, count * columns)),
                                       below(column, constantIndex(b, loc, contraction.columns)));
  exists = arith::AndIOp::create(b, loc, exists, below(ownRow, contraction.rows));
  SmallVector<Value> own;
  for (size_t w = 0; w < contraction.weights.size(); ++w) {
    Value chosen = sums[numberOf(w, 0, 0, count)];
    for (int64_t i = 1; i < count * columns; ++i) {
      Value mine = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, lane, constantIndex(b, loc, i));
      chosen =
          arith::SelectOp::create(b, loc, mine, sums[numberOf(w, i / columns, i % columns, count)], chosen);
    }
    own.push_back(chosen);
  }
  scf::IfOp::create(b, loc, exists, [&](OpBuilder &b, Location loc) {
    contraction.finish(b, ownRow, column, own, 1);
    scf::YieldOp::create(b, loc);
  });
}

LogicalResult mlir::transformer::emitGemvKernel(OpBuilder &b, GPUKernelContext &context) {
  int64_t columns = context.config.getTile()[0], most = context.config.getTile()[1];
  if (columns * most > kWarp)
    return context.spec.emitOpError("expected at most ")
           << kWarp << " sums of a warp, but got " << context.config;
  Contraction contraction(b, context);
  Location loc = contraction.loc;
  int64_t warps = context.config.getThreads() / kWarp;
  auto outType = cast<MemRefType>(context.out().getType());
  setGrid(context.kernel,
          {{context.numberOf(context.spec.getArguments().back()), outType.getRank() - 1, columns * warps}});
  Value thread = threadIndex(b, loc, context.config.getThreads());
  Value lane = arith::RemUIOp::create(b, loc, thread, constantIndex(b, loc, kWarp));
  Value warp = arith::AddIOp::create(
      b, loc, arith::MulIOp::create(b, loc, blockIndex(b, loc), constantIndex(b, loc, warps)),
      arith::DivUIOp::create(b, loc, thread, constantIndex(b, loc, kWarp)));
  Value firstColumn = arith::MulIOp::create(b, loc, warp, constantIndex(b, loc, columns));
  GemvEmitter emitter(b, contraction, columns, context.config.getVector(), firstColumn, lane);
  if (contraction.prologue) {
    most = contraction.prologue->mostStaged(most);
    contraction.prologue->placeStage(context.shared.allocate(contraction.prologue->stageBytes(most)));
  }
  Value one = constantIndex(b, loc, 1), zero = constantIndex(b, loc, 0);
  Value isOne = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, contraction.rows, one);
  scf::IfOp::create(
      b, loc, isOne,
      [&](OpBuilder &b, Location loc) {
        if (contraction.prologue)
          contraction.prologue->stage(b, zero, 1);
        emitter.emitRows(b, zero, 1);
        scf::YieldOp::create(b, loc);
      },
      [&](OpBuilder &b, Location loc) {
        forLoop(b, loc, zero, contraction.rows, most, [&](OpBuilder &b, Value first) {
          if (contraction.prologue)
            contraction.prologue->stage(b, first, most);
          emitter.emitRows(b, first, most);
          if (contraction.prologue)
            barrier(b, loc); // the next rows take the place of these
        });
        scf::YieldOp::create(b, loc);
      });
  return success();
}
