//===- SkinnyGemmKernel.cpp - products of a few rows on tensor cores ----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// y^T = w x^T: weights are the 16 rows of mma.m16n8k16, rows of x its 8 columns. A block has `tile` =
// [columns] of the result and reads each of their weights once for up to 16 rows; its warps take pieces of k
// in turn and add up their sums through shared memory. Weights are used once, so they go from memory straight
// into registers, 16 bytes a lane: a sum over k has no order, so k is numbered as a lane finds it. One row is
// what `gemv` makes of it.
//
// Of rows that the dispatch computes the block first makes the reductions, 8 or 16 rows at a time; an element
// is computed by the lane that multiplies it, the only one of the block. One row is staged, as for `gemv`.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/GPU/GemvKernel.h"
#include "codegen/GPU/MmaFragments.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kVector = 8, kGroupLanes = 4, kPiece = kVector * kGroupLanes; ///< of k

class SkinnyGemmEmitter {
public:
  SkinnyGemmEmitter(OpBuilder &b, GPUKernelContext &context)
      : context(context), contraction(b, context), loc(contraction.loc), type(contraction.element),
        threads(context.config.getThreads()), warps(threads / kWarp), columns(context.config.getTile()[0]),
        tiles(columns / kMmaRows), pitch(columns + 4) {}

  void emit(OpBuilder &b);

private:
  void beginBlock(OpBuilder &b);
  /// Chooses by the number of rows, where it is not known before.
  void emitRows(OpBuilder &b);
  /// Rows [first, first + 8 parts) that exist below M.
  void emitPart(OpBuilder &b, Value first, int64_t parts);
  /// Adds the products of `turns` pieces of k of the warp, from `k` (i32) on; `checked` where some may lie
  /// behind the end.
  SmallVector<Value> multiply(OpBuilder &b, Value first, int64_t parts, Value k, int64_t turns, bool checked,
                              ValueRange sums);
  using Loader = function_ref<Value(OpBuilder &, Value column)>;
  SmallVector<Value> load(OpBuilder &b, Value k, bool checked, Loader vectorAt);
  void storeSums(OpBuilder &b, ValueRange sums, int64_t parts);
  void finish(OpBuilder &b, Value first, int64_t parts);

  Value i32(OpBuilder &b, int64_t value) { return constantI32(b, loc, value); }
  Value index(OpBuilder &b, int64_t value) { return constantIndex(b, loc, value); }
  Value toIndex(OpBuilder &b, Value x) { return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), x); }
  Value add(OpBuilder &b, Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value mul(OpBuilder &b, Value x, int64_t y) { return arith::MulIOp::create(b, loc, x, i32(b, y)); }
  Value below(OpBuilder &b, Value x, Value bound) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x, bound);
  }
  int64_t weights() const { return static_cast<int64_t>(contraction.weights.size()); }
  int64_t numberOf(int64_t weight, int64_t tile, int64_t part, int64_t parts) const {
    return ((weight * tiles + tile) * parts + part) * 4;
  }
  /// Where the warps' sums of a weight begin in shared memory.
  int64_t offsetOf(int64_t weight) const { return weight * warps * 2 * kMmaColumns * pitch * 4; }

  GPUKernelContext &context;
  Contraction contraction;
  Location loc;
  Type type;
  int64_t threads, warps, columns, tiles, pitch;
  Value base, thread, lane, warp, group, member; ///< i32; lane / 4 and lane % 4
  Value firstColumn;                             ///< of the block (index)
  SmallVector<RowPrologue::Row> reduced;         ///< the lane's row of each part, where rows are computed
};
} // namespace

void SkinnyGemmEmitter::beginBlock(OpBuilder &b) {
  int64_t out = context.numberOf(context.spec.getArguments().back());
  int64_t rank = cast<MemRefType>(context.out().getType()).getRank();
  setGrid(context.kernel, {{out, rank - 1, columns}});
  // One row that is staged stands where more rows have the sums of warps.
  int64_t bytes = contraction.prologue ? contraction.prologue->stageBytes(1) : 0;
  int64_t begin = context.shared.allocate(std::max(offsetOf(weights()), bytes), 128);
  if (contraction.prologue) {
    contraction.prologue->placeStage(begin);
    contraction.prologue->reserveReductions(2 * kMmaColumns);
  }
  base = sharedBase(b, loc);
  thread = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), threadIndex(b, loc, threads));
  lane = arith::RemUIOp::create(b, loc, thread, i32(b, kWarp));
  warp = arith::DivUIOp::create(b, loc, thread, i32(b, kWarp));
  group = arith::DivUIOp::create(b, loc, lane, i32(b, kGroupLanes));
  member = arith::RemUIOp::create(b, loc, lane, i32(b, kGroupLanes));
  firstColumn = arith::MulIOp::create(b, loc, blockIndex(b, loc), index(b, columns));
}

void SkinnyGemmEmitter::emitRows(OpBuilder &b) {
  constexpr int64_t most = 2 * kMmaColumns;
  auto many = [&](OpBuilder &b) {
    forLoop(b, loc, index(b, 0), contraction.rows, most, [&](OpBuilder &b, Value first) {
      emitPart(b, first, 2);
      // The next rows' sums take the place of these; where rows are reduced before, all meet there.
      if (!contraction.prologue || !contraction.prologue->hasReductions())
        barrier(b, loc);
    });
  };
  auto few = [&](OpBuilder &b) { emitPart(b, index(b, 0), 1); };
  auto one = [&](OpBuilder &b) {
    if (contraction.prologue)
      contraction.prologue->stage(b, index(b, 0), 1);
    int64_t own = columns / warps;
    Value column = arith::MulIOp::create(b, loc, toIndex(b, warp), index(b, own));
    GemvEmitter(b, contraction, own, context.config.getVector(), add(b, firstColumn, column),
                toIndex(b, lane))
        .emitRows(b, index(b, 0), 1);
  };
  Value isOne = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, contraction.rows, index(b, 1));
  ifTrue(b, loc, isOne, one, [&](OpBuilder &b) {
    ifTrue(b, loc, below(b, contraction.rows, index(b, kMmaColumns + 1)), few, many);
  });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// The lane's vector of k of a row as four registers; zeros behind the end.
SmallVector<Value> SkinnyGemmEmitter::load(OpBuilder &b, Value k, bool checked, Loader vectorAt) {
  Value column = add(b, k, mul(b, member, kVector)), exists;
  if (checked) {
    exists = below(b, column, i32(b, contraction.depth));
    column = arith::SelectOp::create(b, loc, exists, column, i32(b, 0));
  }
  Value x = vectorAt(b, toIndex(b, column));
  x = LLVM::BitcastOp::create(b, loc, VectorType::get({kGroupLanes}, b.getI32Type()), x);
  SmallVector<Value> registers;
  for (int64_t i = 0; i < kGroupLanes; ++i) {
    Value part = vector::ExtractOp::create(b, loc, x, i);
    registers.push_back(checked ? Value(arith::SelectOp::create(b, loc, exists, part, i32(b, 0))) : part);
  }
  return registers;
}

SmallVector<Value> SkinnyGemmEmitter::multiply(OpBuilder &b, Value first, int64_t parts, Value k,
                                               int64_t turns, bool checked, ValueRange carried) {
  SmallVector<Value> sums(carried);
  Value lastRow = arith::SubIOp::create(b, loc, contraction.rows, index(b, 1)),
        lastColumn = index(b, contraction.columns - 1), inTile = toIndex(b, group);
  struct Turn {
    SmallVector<SmallVector<Value>> x, w; ///< by part; by weight and 8 columns
  };
  SmallVector<Turn> all(turns);
  for (auto [number, turn] : llvm::enumerate(all)) {
    Value from = add(b, k, i32(b, static_cast<int64_t>(number) * warps * kPiece));
    for (const GlobalMatrix &weight : contraction.weights)
      for (int64_t row = 0; row < columns; row += kMmaColumns) {
        Value own = addIndex(b, loc, add(b, firstColumn, inTile), row);
        own = arith::MinUIOp::create(b, loc, own, lastColumn);
        turn.w.push_back(load(b, from, checked, [&](OpBuilder &b, Value column) {
          return weight.load(b, own, column, kVector);
        }));
      }
    for (int64_t part = 0; part < parts; ++part) {
      Value own = addIndex(b, loc, add(b, first, inTile), part * kMmaColumns);
      own = arith::MinUIOp::create(b, loc, own, lastRow);
      turn.x.push_back(load(b, from, checked, [&](OpBuilder &b, Value column) {
        return contraction.x ? contraction.x->load(b, own, column, kVector)
                             : contraction.prologue->load(b, reduced[part], column, kVector);
      }));
    }
  }
  for (const Turn &turn : all)
    for (int64_t half : {0, 2}) // a lane's share of 16 steps of k is two registers of each row
      for (int64_t w = 0; w < weights(); ++w)
        for (int64_t tile = 0; tile < tiles; ++tile) {
          const SmallVector<Value> &upper = turn.w[(w * tiles + tile) * 2],
                                   &lower = turn.w[(w * tiles + tile) * 2 + 1];
          SmallVector<Value> left{upper[half], lower[half], upper[half + 1], lower[half + 1]};
          for (int64_t part = 0; part < parts; ++part) {
            MutableArrayRef<Value> place = MutableArrayRef(sums).slice(numberOf(w, tile, part, parts), 4);
            ValueRange right = ValueRange(turn.x[part]).slice(half, 2);
            llvm::copy(multiplyFragments(b, loc, type, left, right, place), place.begin());
          }
        }
  return sums;
}

void SkinnyGemmEmitter::emitPart(OpBuilder &b, Value first, int64_t parts) {
  // Rows that are computed as they are loaded take registers: of many there is one turn under way.
  int64_t turns = contraction.prologue && parts > 1 ? 1 : context.config.getStages(), round = warps * kPiece,
          step = turns * round;
  int64_t whole = contraction.depth / step * step;
  SmallVector<Value> sums(numberOf(weights(), 0, 0, parts), constantF32(b, loc, 0.0));
  reduced.clear();
  if (contraction.prologue) {
    contraction.prologue->reduce(b, first, parts * kMmaColumns);
    for (int64_t part = 0; part < parts; ++part)
      reduced.push_back(
          contraction.prologue->rowAt(b, first, addIndex(b, loc, toIndex(b, group), part * kMmaColumns)));
  }
  Value own = mul(b, warp, kPiece);
  auto body = [&](OpBuilder &b, Location loc, Value k, ValueRange carried) {
    scf::YieldOp::create(b, loc,
                         multiply(b, first, parts, add(b, k, own), turns, /*checked=*/false, carried));
  };
  auto loop = scf::ForOp::create(b, loc, i32(b, 0), i32(b, whole), i32(b, step), sums, body);
  sums.assign(loop.getResults().begin(), loop.getResults().end());
  if (int64_t rest = contraction.depth - whole)
    sums = multiply(b, first, parts, add(b, own, i32(b, whole)), llvm::divideCeilSigned(rest, round),
                    rest % round != 0, sums);
  storeSums(b, sums, parts);
  barrier(b, loc);
  finish(b, first, parts);
}

//===----------------------------------------------------------------------===//
// Warps become one
//===----------------------------------------------------------------------===//

/// Lane i has columns i / 4 and i / 4 + 8 of rows 2 (i % 4) and the next of each fragment.
void SkinnyGemmEmitter::storeSums(OpBuilder &b, ValueRange sums, int64_t parts) {
  Value row = add(b, mul(b, warp, 2 * kMmaColumns), mul(b, member, 2));
  Value place = add(b, mul(b, row, pitch), group);
  for (int64_t w = 0; w < weights(); ++w)
    for (int64_t tile = 0; tile < tiles; ++tile)
      for (int64_t part = 0; part < parts; ++part)
        for (int64_t i = 0; i < 4; ++i) {
          int64_t shift = (part * kMmaColumns + i % 2) * pitch + tile * kMmaRows + i / 2 * 8;
          storeTo(b, loc, sums[numberOf(w, tile, part, parts) + i],
                  sharedAddress(b, loc, base, offsetOf(w), toIndex(b, add(b, place, i32(b, shift))), 4));
        }
}

void SkinnyGemmEmitter::finish(OpBuilder &b, Value first, int64_t parts) {
  int64_t width = contraction.canFinish(2) ? 2 : 1, across = columns / width;
  Type sumType = width > 1 ? Type(VectorType::get({width}, b.getF32Type())) : b.getF32Type();
  auto body = [&](OpBuilder &b, Location loc, Value element, ValueRange) {
    Value row = arith::DivUIOp::create(b, loc, element, i32(b, across)),
          column = mul(b, arith::RemUIOp::create(b, loc, element, i32(b, across)), width);
    Value ownRow = add(b, first, toIndex(b, row)), ownColumn = add(b, firstColumn, toIndex(b, column));
    Value exists = arith::AndIOp::create(b, loc, below(b, ownRow, contraction.rows),
                                         below(b, ownColumn, index(b, contraction.columns)));
    auto finishOne = [&](OpBuilder &b) {
      SmallVector<Value> totals;
      for (int64_t w = 0; w < weights(); ++w)
        for (int64_t i = 0; i < warps; ++i) {
          Value place = add(b, mul(b, add(b, row, i32(b, i * 2 * kMmaColumns)), pitch), column);
          Value sum =
              loadFrom(b, loc, sumType, sharedAddress(b, loc, base, offsetOf(w), toIndex(b, place), 4));
          if (i == 0)
            totals.push_back(sum);
          else
            totals.back() = arith::AddFOp::create(b, loc, totals.back(), sum);
        }
      contraction.finish(b, ownRow, ownColumn, totals, width);
    };
    scf::IfOp::create(b, loc, exists, [&](OpBuilder &b, Location loc) {
      finishOne(b);
      scf::YieldOp::create(b, loc);
    });
    scf::YieldOp::create(b, loc);
  };
  scf::ForOp::create(b, loc, thread, i32(b, parts * kMmaColumns * across), i32(b, threads), ValueRange(),
                     body);
}

void SkinnyGemmEmitter::emit(OpBuilder &b) {
  beginBlock(b);
  emitRows(b);
}

LogicalResult mlir::transformer::emitSkinnyGemmKernel(OpBuilder &b, GPUKernelContext &context) {
  ArrayRef<int64_t> tile = context.config.getTile();
  int64_t warps = context.config.getThreads() / kWarp;
  if (tile.size() != 1 || tile[0] % kMmaRows != 0 || tile[0] % warps != 0 || tile[0] / warps > kWarp)
    return context.spec.emitOpError("expected columns in multiples of 16 and of the warps, but got ")
           << context.config;
  SkinnyGemmEmitter(b, context).emit(b);
  return success();
}
