//===- WideTile.cpp - tiles of f32 in shared memory ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/WideTile.h"

#include "codegen/Common/GenericBuilder.h"
#include "codegen/GPU/ContractionKernel.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
/// Neighbouring elements of a row, and where the first of them goes (i32).
struct Piece {
  SmallVector<Value> elements;
  Value place;
};

class TileFiller {
public:
  TileFiller(OpBuilder &b, Location loc, const WideTile &tile, WideTile::RowOf rowOf)
      : loc(loc), tile(tile), rowOf(rowOf), matrix(b, loc, tile.memref) {}

  Piece load(OpBuilder &b, Value number) const;
  void store(OpBuilder &b, Value base, const Piece &piece) const;

private:
  Value i32(OpBuilder &b, int64_t v) const { return constantI32(b, loc, v); }
  Value add(OpBuilder &b, Value x, Value y) const { return arith::AddIOp::create(b, loc, x, y); }
  Value mul(OpBuilder &b, Value x, int64_t y) const { return arith::MulIOp::create(b, loc, x, i32(b, y)); }
  Value div(OpBuilder &b, Value x, int64_t y) const { return arith::DivUIOp::create(b, loc, x, i32(b, y)); }
  Value rem(OpBuilder &b, Value x, int64_t y) const { return arith::RemUIOp::create(b, loc, x, i32(b, y)); }
  Value toIndex(OpBuilder &b, Value x) const {
    return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), x);
  }

  Location loc;
  const WideTile &tile;
  WideTile::RowOf rowOf;
  GlobalMatrix matrix;
};
} // namespace

Piece TileFiller::load(OpBuilder &b, Value number) const {
  int64_t across = tile.columns / tile.width;
  // Neighbouring threads write neighbouring banks.
  Value row = tile.transposed ? rem(b, number, tile.rows) : div(b, number, across),
        column = tile.transposed ? div(b, number, tile.rows) : rem(b, number, across);
  column = mul(b, column, tile.width);
  Piece piece;
  piece.place =
      tile.transposed ? add(b, mul(b, column, tile.pitch), row) : add(b, mul(b, row, tile.pitch), column);
  Value exists;
  if (tile.columns > tile.existing) {
    exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, column, i32(b, tile.existing));
    column = arith::MinUIOp::create(b, loc, column, i32(b, tile.existing - tile.width));
  }
  Value x = convertTo(b, loc, matrix.load(b, rowOf(b, row), toIndex(b, column), tile.width), b.getF32Type());
  for (int64_t i = 0; i < tile.width; ++i) {
    Value element = tile.width > 1 ? Value(vector::ExtractOp::create(b, loc, x, i)) : x;
    if (exists)
      element = arith::SelectOp::create(b, loc, exists, element, constantF32(b, loc, 0.0));
    piece.elements.push_back(element);
  }
  return piece;
}

void TileFiller::store(OpBuilder &b, Value base, const Piece &piece) const {
  if (!tile.transposed && tile.width > 1) {
    auto type = VectorType::get({tile.width}, b.getF32Type());
    Value x = vector::FromElementsOp::create(b, loc, type, piece.elements);
    return storeTo(b, loc, x, sharedAddress(b, loc, base, tile.offset, toIndex(b, piece.place), 4));
  }
  for (auto [i, element] : llvm::enumerate(piece.elements)) {
    int64_t shift = static_cast<int64_t>(i) * (tile.transposed ? tile.pitch : 1);
    Value place = toIndex(b, add(b, piece.place, i32(b, shift)));
    storeTo(b, loc, element, sharedAddress(b, loc, base, tile.offset, place, 4));
  }
}

void WideTile::fill(OpBuilder &b, Location loc, Value base, Value thread, int64_t threads,
                    RowOf rowOf) const {
  constexpr int64_t together = 8; // loads under way
  TileFiller filler(b, loc, *this, rowOf);
  int64_t count = rows * columns / width, turns = llvm::divideCeilSigned(count, threads);
  for (int64_t first = 0; first < turns; first += together) {
    SmallVector<Piece> pieces;
    int64_t end = std::min(first + together, turns);
    for (int64_t turn = first; turn < end; ++turn) {
      Value number = arith::AddIOp::create(b, loc, thread, constantI32(b, loc, turn * threads));
      if ((turn + 1) * threads > count)
        number = arith::MinUIOp::create(b, loc, number, constantI32(b, loc, count - 1));
      pieces.push_back(filler.load(b, number));
    }
    for (int64_t turn = first; turn < end; ++turn) {
      if ((turn + 1) * threads <= count) {
        filler.store(b, base, pieces[turn - first]);
        continue;
      }
      Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, thread,
                                           constantI32(b, loc, count - turn * threads));
      scf::IfOp::create(b, loc, exists, [&](OpBuilder &b, Location loc) {
        filler.store(b, base, pieces[turn - first]);
        scf::YieldOp::create(b, loc);
      });
    }
  }
}
