//===- AttentionDecode.cpp - one position against a tile of keys ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Decoding reads each key once for the few query heads that share it, so nothing is
// transposed. A vector holds `width` words (elements, or pairs for dot products) of
// each of `lanes / width` heads:
//
//   q[step]      = words step * width .. of head 0, of head 1, …    arranged once
//   key_j[step]  = words step * width .. of the key, for each head  as it is loaded
//   sum_j       += q[step] * key_j[step]
//
// for several keys and several vectors of heads at a time, in registers. The width is
// what 16 bytes hold: a load that every target repeats along a vector, while words
// loaded one by one meet in the same bank of the cache. One head alone takes whole
// vectors, and heads that read by rows (`byRows`) too: each key is then multiplied from
// its first word to its last before the next. The lanes of a head are added up by a tree
// over `width` keys, which leaves scores [heads, width keys], on which the softmax works
// lane by lane: all heads see the same keys. Values are multiplied as in the micro-kernel,
// some heads times some vectors, with dot products of pairs of neighbouring keys.
//
// What bounds it, for g heads of D elements of n bytes per key: 2 g D multiplications
// in registers beside 2 D n bytes of memory. AVX2 multiplies 16 elements a cycle, so 8
// heads need D cycles per key: as long as reading 8 n bytes a cycle, which no memory
// keeps up in f32, but in bf16 (4 of those) widened to f32 is more than 13 GB/s at
// 3.5 GHz. Dot products of pairs halve the cycles on vectors of twice the lanes.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/AttentionEmitter.h"

#include "codegen/CPU/Exp2.h"
#include "codegen/CPU/MicroKernel.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Heads in lanes
//===----------------------------------------------------------------------===//

/// Accumulators of a product: half of the registers.
int64_t AttentionEmitter::accumulators() const { return std::max<int64_t>(tileColumns / lanes * 4, 4); }

/// How the lanes of a vector are shared by `heads` of them.
AttentionEmitter::HeadTile AttentionEmitter::tileOfHeads(Value number, Value first, int64_t heads) const {
  if (byRows)
    return {number, first, heads, lanes, heads};
  // Words of 16 bytes, or more where there are fewer heads than that leaves room for.
  int64_t room = lanes / static_cast<int64_t>(llvm::PowerOf2Ceil(heads));
  int64_t width = std::min(lanes, std::max<int64_t>(room, 4));
  return {number, first, heads, width, llvm::divideCeilSigned(heads, lanes / width)};
}

/// Tiles of as many heads as accumulators are for `width` keys each, then one of the rest.
void AttentionEmitter::forHeadTiles(OpBuilder &b, function_ref<void(OpBuilder &, HeadTile)> body) {
  int64_t most = mostHeads(), whole = group / most, rest = group % most;
  auto full = [&](OpBuilder &b, Value number) {
    body(b, tileOfHeads(number, arith::MulIOp::create(b, loc, number, constant(b, most)), most));
  };
  if (whole == 1)
    full(b, constant(b, 0));
  else if (whole > 1)
    forLoop(b, constant(b, 0), constant(b, whole), 1, full);
  if (rest > 0)
    body(b, tileOfHeads(constant(b, whole), constant(b, whole * most), rest));
}

void AttentionEmitter::allocateDecode(function_ref<Value(ArrayRef<int64_t>, Type)> scratch) {
  Type f32 = Float32Type::get(op.getContext());
  // Of every tile of heads; the last of them may be shaped otherwise.
  int64_t tiles = llvm::divideCeilSigned(group, mostHeads()), steps = 0, vectors = 0, groups = 0, keys = 0;
  for (int64_t heads : {std::min(group, mostHeads()), group % mostHeads()}) {
    if (heads == 0)
      continue;
    HeadTile tile = tileOfHeads({}, {}, heads);
    steps = std::max(steps, stepsOf(tile));
    vectors = std::max(vectors, tile.vectors);
    keys = std::max(keys, keysTogether(tile));
    // The tail of a tile of keys is a whole block.
    groups = std::max(groups, (blockKeys + keysTogether(tile)) / tile.width + 1);
  }
  q = scratch({tiles, steps, vectors, lanes * depth}, operand);
  qRows = scratch({group, queryDim}, operand);
  keyBlock = scratch({keys, queryDim}, operand);
  if (byRows)
    rowSums = scratch({keys, vectors, lanes}, f32);
  scores = scratch({tiles, vectors, groups, lanes}, f32);
  weights = depth > 1 ? scratch({tiles, vectors, groups, lanes}, operand) : scores;
  tileMaxima = scratch({tiles, vectors, lanes}, f32);
  laneMaxima = scratch({tiles, vectors, lanes}, f32);
  laneSums = scratch({tiles, vectors, lanes}, f32);
}

/// The queries of the task in the order of lanes, from their rows.
void AttentionEmitter::arrangeQueries(OpBuilder &b) {
  forHeadTiles(b, [&](OpBuilder &b, HeadTile tile) {
    int64_t size = tile.width * depth, rows = lanes / tile.width;
    VectorType type = vectorOf(size, operand);
    Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(type)), zero = constant(b, 0);
    forLoop(b, zero, constant(b, stepsOf(tile)), 1, [&](OpBuilder &b, Value step) {
      Value column = arith::MulIOp::create(b, loc, step, constant(b, size));
      for (int64_t r = 0; r < tile.vectors * rows; ++r) {
        Value x = none;
        if (r < tile.heads)
          x = vector::LoadOp::create(b, loc, type, qRows,
                                     ValueRange{addIndex(b, loc, tile.first, r), column});
        vector::StoreOp::create(
            b, loc, x, q, ValueRange{tile.number, step, constant(b, r / rows), constant(b, r % rows * size)});
      }
    });
    for (int64_t v = 0; v < tile.vectors; ++v) {
      SmallVector<Value> at{tile.number, constant(b, v), zero};
      vector::StoreOp::create(b, loc, splat(b, kNothing), laneMaxima, at);
      vector::StoreOp::create(b, loc, splat(b, 0.0), laneSums, at);
    }
  });
}

/// Maximum and sum of each head from those of its lanes.
void AttentionEmitter::settleLanes(OpBuilder &b) {
  forHeadTiles(b, [&](OpBuilder &b, HeadTile tile) {
    int64_t rows = lanes / tile.width;
    for (int64_t r = 0; r < tile.heads; ++r) {
      Value row = addIndex(b, loc, tile.first, r);
      auto at = [&](int64_t k) {
        return SmallVector<Value>{tile.number, constant(b, r / rows), constant(b, r % rows * tile.width + k)};
      };
      Value sum = memref::LoadOp::create(b, loc, laneSums, at(0));
      for (int64_t k = 1; k < tile.width; ++k)
        sum = arith::AddFOp::create(b, loc, sum, memref::LoadOp::create(b, loc, laneSums, at(k)));
      memref::StoreOp::create(b, loc, sum, sums, row);
      memref::StoreOp::create(b, loc, memref::LoadOp::create(b, loc, laneMaxima, at(0)), maxima, row);
    }
  });
}

void AttentionEmitter::decodeTile(OpBuilder &b, Value begin, Value columns) {
  scoreTile(b, begin, columns);
  forHeadTiles(b, [&](OpBuilder &b, HeadTile tile) {
    for (int64_t v = 0; v < tile.vectors; ++v)
      weighLanes(b, tile, v, columns);
    addValues(b, tile, columns);
  });
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// Whether keys are multiplied from a copy of the operand's type and whole steps:
/// narrow ones that are repeated for several heads would be widened for each step.
bool AttentionEmitter::copiesKeys(HeadTile tile) {
  Type stored = cast<MemRefType>(key.getType()).getElementType();
  return words % tile.width != 0 || (stored != operand && tile.width < lanes);
}

/// Whether all tiles of heads multiply the same blocks of copied keys: then each is copied once.
bool AttentionEmitter::sharesCopies() {
  return group > mostHeads() && group % mostHeads() == 0 && copiesKeys(tileOfHeads({}, {}, mostHeads()));
}

/// keyBlock[i] = key j + i of the tile, for `count` keys.
void AttentionEmitter::copyKeys(OpBuilder &b, Value j, Value count) {
  forLoop(b, constant(b, 0), count, 1, [&](OpBuilder &b, Value i) {
    Value at = arith::AddIOp::create(b, loc, j, i);
    for (int64_t d = 0; d < queryDim; d += lanes) {
      Value x = d < headDim ? loadRow(b, key, at, constant(b, d), lanes, headDim - d, operand)
                            : arith::ConstantOp::create(b, loc, b.getZeroAttr(vectorOf(lanes, operand)));
      vector::StoreOp::create(b, loc, x, keyBlock, ValueRange{i, constant(b, d)});
    }
  });
}

/// Words of row `i` of `rows` from `column` on, once for each head of a vector.
Value AttentionEmitter::repeatWords(OpBuilder &b, HeadTile tile, Value rows, int64_t i, Value column) {
  int64_t size = tile.width * depth;
  Value x = vector::LoadOp::create(b, loc, vectorOf(size, cast<MemRefType>(rows.getType()).getElementType()),
                                   rows, ValueRange{constant(b, i), column});
  if (tile.width == lanes)
    return getElementTypeOrSelf(x.getType()) == operand ? x : widen(b, loc, x);
  SmallVector<int64_t> order;
  for (int64_t lane = 0; lane < lanes * depth; ++lane)
    order.push_back(lane % size);
  return vector::ShuffleOp::create(b, loc, x, x, order);
}

/// The sums of `count` keys that stand in `rows` from row 0 on, with the lanes of each
/// head added up: for each vector of heads one for every `width` keys.
SmallVector<Value> AttentionEmitter::multiplyKeys(OpBuilder &b, HeadTile tile, Value rows, int64_t count,
                                                  Value ahead) {
  if (byRows)
    return multiplyRows(b, tile, rows, count, ahead);
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(f32Vector(b)));
  // Each step asks for its part of what comes next: more lines in one go than a processor has places for
  // would make products wait. A turn of the loop is as many steps as have a line to ask for.
  int64_t steps = stepsOf(tile), turn = 1;
  // Of copied keys, whose rows are read one after the other, tiles of heads ask for values alone, each for
  // its share. Else the first tile asks for all: it waits for the keys.
  bool isCopied = rows == keyBlock;
  int64_t tiles = isCopied ? tilesThatAsk() : 1, share = llvm::divideCeilSigned(count * headDim, tiles);
  int64_t part = llvm::divideCeilSigned(share, steps);
  while (ahead && part * turn < elementsOfLine(value) && turn < 4 && steps % (2 * turn) == 0)
    turn *= 2;
  auto ask = [&](OpBuilder &b, Value at) {
    Value offset = arith::MulIOp::create(b, loc, at, constant(b, part));
    if (tiles > 1)
      offset = arith::AddIOp::create(b, loc, offset,
                                     arith::MulIOp::create(b, loc, tile.number, constant(b, share)));
    prefetchInRange(b, value, ahead, offset, part * turn);
    // A range's first tile had nobody to ask for its keys.
    if (!isCopied)
      prefetchInRange(b, key, addIndex(b, loc, ahead, 2 * count), offset, part * turn);
  };
  auto step = [&](OpBuilder &b, Value at, ValueRange carried) {
    Value column = arith::MulIOp::create(b, loc, at, constant(b, tile.width * depth));
    SmallVector<Value> queries, next;
    for (int64_t v = 0; v < tile.vectors; ++v)
      queries.push_back(vector::LoadOp::create(b, loc, vectorOf(lanes * depth, operand), q,
                                               ValueRange{tile.number, at, constant(b, v), constant(b, 0)}));
    for (int64_t i = 0; i < count; ++i) {
      Value words = repeatWords(b, tile, rows, i, column);
      for (int64_t v = 0; v < tile.vectors; ++v)
        next.push_back(
            MicroKernel::multiplyAdd(b, loc, depth, queries[v], words, carried[i * tile.vectors + v]));
    }
    return next;
  };
  auto loop = scf::ForOp::create(b, loc, constant(b, 0), constant(b, steps), constant(b, turn),
                                 SmallVector<Value>(count * tile.vectors, none),
                                 [&](OpBuilder &b, Location loc, Value at, ValueRange carried) {
                                   if (ahead)
                                     ask(b, at);
                                   SmallVector<Value> next(carried);
                                   for (int64_t i = 0; i < turn; ++i)
                                     next = step(b, addIndex(b, loc, at, i), next);
                                   scf::YieldOp::create(b, loc, next);
                                 });
  SmallVector<Value> groups;
  for (int64_t v = 0; v < tile.vectors; ++v) {
    SmallVector<Value> sums;
    for (int64_t i = 0; i < count; ++i)
      sums.push_back(loop.getResult(i * tile.vectors + v));
    llvm::append_range(groups, addLanes(b, sums, tile.width));
  }
  return groups;
}

/// The same, a whole key after the other: each vector of a key is loaded once for all heads of the tile.
SmallVector<Value> AttentionEmitter::multiplyRows(OpBuilder &b, HeadTile tile, Value rows, int64_t count,
                                                  Value ahead) {
  Type stored = cast<MemRefType>(rows.getType()).getElementType();
  int64_t size = lanes * depth, steps = stepsOf(tile);
  // The sums of one head would wait for each other.
  int64_t chains = std::min<int64_t>(accumulators() / tile.heads, 4);
  while (steps % chains != 0)
    --chains;
  Value zero = constant(b, 0);
  bool holdsQueries = steps * tile.heads <= accumulators();
  forLoop(b, zero, constant(b, count), 1, [&](OpBuilder &b, Value i) {
    if (ahead)
      prefetchInRange(b, value, arith::AddIOp::create(b, loc, ahead, i), zero, headDim);
    // Queries that have no registers would be loaded before the loop, and spilled.
    Value first = holdsQueries ? zero : MicroKernel::opaqueIndex(b, loc, zero, /*staysInLoop=*/true);
    auto step = [&](OpBuilder &b, Value at, ValueRange carried) {
      SmallVector<Value> next;
      for (int64_t c = 0; c < chains; ++c) {
        Value place = addIndex(b, loc, at, c);
        Value column = arith::MulIOp::create(b, loc, place, constant(b, size));
        Value x = vector::LoadOp::create(b, loc, vectorOf(size, stored), rows, ValueRange{i, column});
        if (stored != operand)
          x = widen(b, loc, x);
        place = arith::AddIOp::create(b, loc, first, place);
        for (int64_t h = 0; h < tile.heads; ++h) {
          Value y = vector::LoadOp::create(b, loc, vectorOf(size, operand), q,
                                           ValueRange{tile.number, place, constant(b, h), zero});
          next.push_back(MicroKernel::multiplyAdd(b, loc, depth, y, x, carried[c * tile.heads + h]));
        }
      }
      return next;
    };
    SmallVector<Value> sums(tile.heads * chains, splat(b, 0.0));
    if (holdsQueries)
      for (int64_t at = 0; at < steps; at += chains)
        sums = step(b, constant(b, at), sums);
    else
      sums = scf::ForOp::create(b, loc, zero, constant(b, steps), constant(b, chains), sums,
                                [&](OpBuilder &b, Location loc, Value at, ValueRange carried) {
                                  scf::YieldOp::create(b, loc, step(b, at, carried));
                                })
                 .getResults();
    for (int64_t h = 0; h < tile.heads; ++h) {
      Value sum = sums[h];
      for (int64_t c = 1; c < chains; ++c)
        sum = arith::AddFOp::create(b, loc, sum, sums[c * tile.heads + h]);
      vector::StoreOp::create(b, loc, sum, rowSums, ValueRange{i, constant(b, h), zero});
    }
  });
  SmallVector<Value> groups;
  for (int64_t h = 0; h < tile.heads; ++h) {
    SmallVector<Value> sums;
    for (int64_t i = 0; i < count; ++i)
      sums.push_back(vector::LoadOp::create(b, loc, f32Vector(b), rowSums,
                                            ValueRange{constant(b, i), constant(b, h), zero}));
    llvm::append_range(groups, addLanes(b, sums, lanes));
  }
  return groups;
}

/// Adds up `width` neighbouring lanes of each vector: one vector of every `width`, whose
/// lane k of each is from the k-th. Neighbours within 16 bytes meet as the even and the odd lanes
/// of two vectors, which x86 has in one shuffle each.
SmallVector<Value> AttentionEmitter::addLanes(OpBuilder &b, SmallVector<Value> sums, int64_t width) {
  for (int64_t span = 1; span < width; span *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      if (width >= 4 && span < 4) {
        int64_t pair = (lane & ~3) + (lane & 1) * 2 + (lane & 2 ? lanes : 0);
        low.push_back(pair);
        high.push_back(pair + 1);
        continue;
      }
      bool first = (lane & span) == 0;
      low.push_back(first ? lane : lanes + lane - span);
      high.push_back(first ? lane + span : lanes + lane);
    }
    for (size_t i = 0; i < sums.size(); i += 2 * span)
      sums[i] = arith::AddFOp::create(b, loc, vector::ShuffleOp::create(b, loc, sums[i], sums[i + span], low),
                                      vector::ShuffleOp::create(b, loc, sums[i], sums[i + span], high));
  }
  SmallVector<Value> groups;
  for (size_t i = 0; i < sums.size(); i += width)
    groups.push_back(sums[i]);
  return groups;
}

/// Scores of vector `v` of heads and the keys from `key` on, with scale, cap and bias.
Value AttentionEmitter::finishLanes(OpBuilder &b, HeadTile tile, int64_t v, Value score, Value key) {
  score = capScore(b, score);
  if (!op.getBias())
    return score;
  auto type = cast<RankedTensorType>(op.getBias().getType());
  Value zero = constant(b, 0), memref = context.argument(op.getBias());
  VectorType stored = vectorOf(tile.width, type.getElementType());
  Value left = arith::SubIOp::create(b, loc, memref::DimOp::create(b, loc, memref, 3), key);
  Value exists = vector::CreateMaskOp::create(b, loc, vectorOf(tile.width, b.getI1Type()), left);
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(stored));
  Value bias = splat(b, 0.0);
  int64_t rows = lanes / tile.width;
  for (int64_t r = 0; r < rows && v * rows + r < tile.heads; ++r) {
    Value head = positionAndHead(b, task, addIndex(b, loc, tile.first, v * rows + r)).second;
    SmallVector<Value> at{type.getDimSize(0) == 1 ? zero : task.batch, type.getDimSize(1) == 1 ? zero : head,
                          zero, key};
    Value part = widen(b, loc, vector::MaskedLoadOp::create(b, loc, stored, memref, at, exists, none));
    bias = vector::InsertStridedSliceOp::create(b, loc, part, bias, ArrayRef<int64_t>{r * tile.width},
                                                ArrayRef<int64_t>{1});
  }
  // A bias may be -inf; what it hides counts nothing.
  return maximum(b, arith::AddFOp::create(b, loc, score, bias), splat(b, kHidden));
}

/// Scores of a block of keys, that stand in `rows` and of which `exist` exist if given,
/// and what they make of the maxima of the tile.
void AttentionEmitter::scoreBlock(OpBuilder &b, HeadTile tile, Value begin, Value j, Value rows,
                                  Value exist) {
  // Rows of a cache lie one behind the other.
  Value ahead = op.getCache() ? j : Value(), zero = constant(b, 0);
  SmallVector<Value> all = multiplyKeys(b, tile, rows, keysTogether(tile), ahead);
  Value number = arith::DivUIOp::create(b, loc, j, constant(b, tile.width));
  int64_t groups = keysTogether(tile) / tile.width;
  for (int64_t v = 0; v < tile.vectors; ++v) {
    SmallVector<Value> at{tile.number, constant(b, v), zero};
    Value most = vector::LoadOp::create(b, loc, f32Vector(b), tileMaxima, at);
    for (int64_t g = 0; g < groups; ++g) {
      Value score = all[v * groups + g];
      if (isGeneral())
        score = finishLanes(b, tile, v, score,
                            arith::AddIOp::create(b, loc, begin, addIndex(b, loc, j, g * tile.width)));
      if (exist) {
        SmallVector<int32_t> keys;
        for (int64_t lane = 0; lane < lanes; ++lane)
          keys.push_back(static_cast<int32_t>(g * tile.width + lane % tile.width));
        Value places = arith::ConstantOp::create(b, loc, b.getI32VectorAttr(keys));
        Value visible = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, places, splat(b, exist));
        score = arith::SelectOp::create(b, loc, visible, score, splat(b, kHidden));
      }
      most = maximum(b, most, score);
      vector::StoreOp::create(b, loc, score, scores,
                              ValueRange{at[0], at[1], addIndex(b, loc, number, g), zero});
    }
    vector::StoreOp::create(b, loc, most, tileMaxima, at);
  }
}

/// `body` for blocks of `size` keys from `j` on, and with a `rest` for the fewer that are left.
void AttentionEmitter::forKeyBlocks(OpBuilder &b, Value columns, int64_t size,
                                    function_ref<void(OpBuilder &, Value j, Value rest)> body) {
  Value rest = arith::RemUIOp::create(b, loc, columns, constant(b, size));
  Value whole = arith::SubIOp::create(b, loc, columns, rest);
  forLoop(b, constant(b, 0), whole, size, [&](OpBuilder &b, Value j) { body(b, j, Value()); });
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, rest, constant(b, 0));
  scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
    body(b, whole, rest);
    scf::YieldOp::create(b, loc);
  });
}

/// scores[tile, v, g] = scores of keys g * width .. of the heads of vector v.
void AttentionEmitter::scoreTile(OpBuilder &b, Value begin, Value columns) {
  forHeadTiles(b, [&](OpBuilder &b, HeadTile tile) {
    for (int64_t v = 0; v < tile.vectors; ++v)
      vector::StoreOp::create(b, loc, splat(b, kHidden), tileMaxima,
                              ValueRange{tile.number, constant(b, v), constant(b, 0)});
  });
  auto copy = [&](OpBuilder &b, Value j, Value rest, int64_t size) {
    copyKeys(b, j, rest ? rest : constant(b, size));
  };
  auto score = [&](OpBuilder &b, HeadTile tile, Value j, Value rest, Value rows) {
    Value exist = rest ? arith::IndexCastOp::create(b, loc, b.getI32Type(), rest) : Value();
    scoreBlock(b, tile, begin, j, rows, exist);
  };
  if (sharesCopies()) {
    int64_t size = keysTogether(tileOfHeads({}, {}, mostHeads()));
    forKeyBlocks(b, columns, size, [&](OpBuilder &b, Value j, Value rest) {
      copy(b, j, rest, size);
      forHeadTiles(b, [&](OpBuilder &b, HeadTile tile) { score(b, tile, j, rest, keyBlock); });
    });
    return;
  }
  forHeadTiles(b, [&](OpBuilder &b, HeadTile tile) {
    int64_t size = keysTogether(tile);
    forKeyBlocks(b, columns, size, [&](OpBuilder &b, Value j, Value rest) {
      bool isCopied = rest || copiesKeys(tile);
      if (isCopied)
        copy(b, j, rest, size);
      score(b, tile, j, rest, isCopied ? keyBlock : rowsOf(b, key, j, constant(b, size)));
    });
  });
}

//===----------------------------------------------------------------------===//
// Weights and values
//===----------------------------------------------------------------------===//

/// The weights of vector `v` of heads from its scores, and new maxima and sums. What was summed before is
/// corrected only where a maximum is new: after the first few tiles that is rare.
void AttentionEmitter::weighLanes(OpBuilder &b, HeadTile tile, int64_t v, Value columns) {
  Value zero = constant(b, 0);
  SmallVector<Value> at{tile.number, constant(b, v), zero};
  Value most = vector::LoadOp::create(b, loc, f32Vector(b), tileMaxima, at);
  for (int64_t span = 1; span < tile.width; span *= 2) {
    SmallVector<int64_t> other;
    for (int64_t lane = 0; lane < lanes; ++lane)
      other.push_back(lane ^ span);
    most = maximum(b, most, vector::ShuffleOp::create(b, loc, most, most, other));
  }
  Value before = vector::LoadOp::create(b, loc, f32Vector(b), laneMaxima, at);
  most = maximum(b, before, most);
  Value scale = splat(b, factor());
  Value larger = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, most, before);
  Value isNew = vector::ReductionOp::create(b, loc, vector::CombiningKind::OR, larger);
  scf::IfOp::create(b, loc, isNew, [&](OpBuilder &b, Location loc) {
    Value correction = emitExp2(
        b, loc, arith::MulFOp::create(b, loc, arith::SubFOp::create(b, loc, before, most), scale), kExp2);
    vector::StoreOp::create(b, loc, most, laneMaxima, at);
    Value sum = vector::LoadOp::create(b, loc, f32Vector(b), laneSums, at);
    vector::StoreOp::create(b, loc, arith::MulFOp::create(b, loc, sum, correction), laneSums, at);
    correctOutputs(b, tile, v, correction);
    scf::YieldOp::create(b, loc);
  });
  Value shift = arith::MulFOp::create(b, loc, most, scale);
  auto contract = arith::FastMathFlags::contract;
  Value groups = arith::CeilDivUIOp::create(b, loc, columns, constant(b, tile.width));
  Value sum = vector::LoadOp::create(b, loc, f32Vector(b), laneSums, at);
  auto summed = scf::ForOp::create(
      b, loc, zero, groups, constant(b, 1), ValueRange{sum},
      [&](OpBuilder &b, Location loc, Value g, ValueRange carried) {
        Value s = vector::LoadOp::create(b, loc, f32Vector(b), scores, ValueRange{at[0], at[1], g, zero});
        Value x =
            arith::SubFOp::create(b, loc, arith::MulFOp::create(b, loc, s, scale, contract), shift, contract);
        Value p = emitExp2(b, loc, x, depth > 1 ? ArrayRef(kExp2Short) : ArrayRef(kExp2));
        Value stored = depth > 1 ? Value(arith::TruncFOp::create(b, loc, vectorOf(lanes, operand), p)) : p;
        vector::StoreOp::create(b, loc, stored, weights, ValueRange{at[0], at[1], g, zero});
        scf::YieldOp::create(b, loc, Value(arith::AddFOp::create(b, loc, carried[0], p)));
      });
  vector::StoreOp::create(b, loc, summed.getResult(0), laneSums, at);
}

/// Multiplies what the heads of vector `v` have summed by the correction in their lanes.
void AttentionEmitter::correctOutputs(OpBuilder &b, HeadTile tile, int64_t v, Value correction) {
  int64_t rows = lanes / tile.width;
  for (int64_t r = 0; r < rows && v * rows + r < tile.heads; ++r) {
    Value factor = splat(b, vector::ExtractOp::create(b, loc, correction, r * tile.width));
    Value row = addIndex(b, loc, tile.first, v * rows + r);
    forLoop(b, constant(b, 0), constant(b, paddedDim), lanes, [&](OpBuilder &b, Value d) {
      Value o = vector::LoadOp::create(b, loc, f32Vector(b), output, ValueRange{row, d});
      vector::StoreOp::create(b, loc, arith::MulFOp::create(b, loc, o, factor), output, ValueRange{row, d});
    });
  }
}

/// Whether `loadValues` makes two vectors of one load of each key: of pairs of keys for dot products, as 16
/// bytes are interleaved with 16 bytes in one instruction, and of bf16 that becomes f32, as words of which
/// each element is one half (vectors of 16 bytes have instructions that widen a half of one).
bool AttentionEmitter::loadsTwoVectors() {
  bool isBF16 = cast<MemRefType>(value.getType()).getElementType().isBF16();
  return depth > 1 || (isBF16 && !copiesValues && lanes > 4);
}

/// Which of two vectors of columns are in the first, or the second, of those: of each 8 the first 4 or the
/// last 4 where they are of pairs of keys, else the even or the odd ones.
SmallVector<int64_t> AttentionEmitter::columnsOfHalf(bool second) const {
  SmallVector<int64_t> columns;
  for (int64_t lane = 0; lane < lanes; ++lane)
    columns.push_back(depth > 1 ? lane / 4 * 8 + lane % 4 + (second ? 4 : 0) : 2 * lane + second);
  return columns;
}

/// Vectors of the values of keys j .. j + depth - 1 of `rows` at column `d`, two by two as `columnsOfHalf`
/// says where they are loaded so. An odd last vector has its own columns.
SmallVector<Value> AttentionEmitter::loadValues(OpBuilder &b, Value rows, ValueRange keys, Value d,
                                                int64_t vectors) {
  Type stored = cast<MemRefType>(rows.getType()).getElementType();
  auto load = [&](Value j, int64_t v, int64_t count) -> Value {
    return vector::LoadOp::create(b, loc, vectorOf(count * lanes, stored), rows,
                                  ValueRange{j, addIndex(b, loc, d, v * lanes)});
  };
  auto bits = [&](int32_t value) { return splat(b, Value(arith::ConstantIntOp::create(b, loc, value, 32))); };
  SmallVector<Value> loaded;
  for (int64_t v = 0; v + 1 < vectors && loadsTwoVectors(); v += 2) {
    if (depth > 1) {
      Value first = load(keys[0], v, 2), second = load(keys[1], v, 2);
      for (bool half : {false, true}) {
        SmallVector<int64_t> order;
        for (int64_t column : columnsOfHalf(half))
          order.append({column, 2 * lanes + column});
        loaded.push_back(vector::ShuffleOp::create(b, loc, first, second, order));
      }
      continue;
    }
    Value word = vector::BitCastOp::create(b, loc, vectorOf(lanes, b.getI32Type()), load(keys[0], v, 2));
    for (Value half : {Value(arith::ShLIOp::create(b, loc, word, bits(16))),
                       Value(arith::AndIOp::create(b, loc, word, bits(~0xffff)))})
      loaded.push_back(vector::BitCastOp::create(b, loc, f32Vector(b), half));
  }
  for (int64_t v = loaded.size(); v < vectors; ++v)
    loaded.push_back(
        depth > 1 ? Value(vector::InterleaveOp::create(b, loc, load(keys[0], v, 1), load(keys[1], v, 1)))
                  : widen(b, loc, load(keys[0], v, 1)));
  return loaded;
}

/// Sums in the order of columns, in the order of `loadValues`, or back.
void AttentionEmitter::arrangeSums(OpBuilder &b, MutableArrayRef<Value> sums, int64_t vectors, bool back) {
  if (!loadsTwoVectors())
    return;
  SmallVector<int64_t> orders[2];
  for (bool half : {false, true})
    orders[half].resize(lanes);
  for (bool half : {false, true})
    for (auto [lane, column] : llvm::enumerate(columnsOfHalf(half))) {
      int64_t place = half * lanes + static_cast<int64_t>(lane);
      if (back)
        orders[column / lanes][column % lanes] = place;
      else
        orders[half][lane] = column;
    }
  for (size_t i = 0; i < sums.size(); i += vectors)
    for (int64_t v = 0; v + 1 < vectors; v += 2) {
      Value first = sums[i + v], second = sums[i + v + 1];
      for (bool half : {false, true})
        sums[i + v + half] = vector::ShuffleOp::create(b, loc, first, second, orders[half]);
    }
}

/// Asks for the part of the next tile's keys that belongs to step `step` of group `g` of this tile's values,
/// of which `columns` are multiplied from column `d` on. Memory would rest otherwise until keys are
/// multiplied again.
void AttentionEmitter::prefetchNextKeys(OpBuilder &b, HeadTile tile, Value g, Value d, int64_t vectors,
                                        Value columns, int64_t step) {
  int64_t tiles = tilesThatAsk(), steps = tile.width / depth, line = elementsOfLine(key);
  int64_t part = llvm::divideCeilSigned(tile.width * vectors * lanes, tiles);
  Value first = d;
  if (tiles > 1)
    first =
        arith::AddIOp::create(b, loc, d, arith::MulIOp::create(b, loc, tile.number, constant(b, headDim)));
  first = arith::DivUIOp::create(b, loc, arith::MulIOp::create(b, loc, first, columns), constant(b, tiles));
  Value offset = arith::AddIOp::create(b, loc, first, arith::MulIOp::create(b, loc, g, constant(b, part)));
  // The lines that begin in this step's piece of the part.
  int64_t from = llvm::alignTo(part * step / steps, line), to = part * (step + 1) / steps;
  if (from < to)
    prefetchInRange(b, key, columns, addIndex(b, loc, offset, from), to - from);
}

/// output += weights * values, for some vectors of columns.
void AttentionEmitter::addValueTile(OpBuilder &b, HeadTile tile, Value d, int64_t vectors, Value columns) {
  Value zero = constant(b, 0);
  Value values = copiesValues ? vp : rowsOf(b, value, zero, columns);
  SmallVector<Value> held;
  auto outputAt = [&](int64_t i, int64_t v) {
    return SmallVector<Value>{addIndex(b, loc, tile.first, i), addIndex(b, loc, d, v * lanes)};
  };
  // The vector of head `i`, and its first lane there.
  auto laneOf = [&](int64_t i) -> std::pair<int64_t, int64_t> {
    int64_t heads = lanes / tile.width;
    return {i / heads, i % heads * tile.width};
  };
  for (int64_t i = 0; i < tile.heads; ++i)
    for (int64_t v = 0; v < vectors; ++v)
      held.push_back(vector::LoadOp::create(b, loc, f32Vector(b), output, outputAt(i, v)));
  arrangeSums(b, held, vectors, /*back=*/false);
  // The weight of head i for the key, or pair of keys, at `place` of its lanes.
  auto weightOf = [&](OpBuilder &b, Value g, int64_t i, Value place) -> Value {
    auto [vector, lane] = laneOf(i);
    SmallVector<Value> at{tile.number, constant(b, vector), g, addIndex(b, loc, place, lane)};
    if (depth == 1)
      return splat(b, Value(memref::LoadOp::create(b, loc, weights, at)));
    Type word = b.getIntegerType(static_cast<unsigned>(depth) * operand.getIntOrFloatBitWidth());
    Value pair = vector::LoadOp::create(b, loc, vectorOf(depth, operand), weights, at);
    Value one =
        vector::ExtractOp::create(b, loc, vector::BitCastOp::create(b, loc, vectorOf(1, word), pair), 0);
    return vector::BitCastOp::create(b, loc, vectorOf(lanes * depth, operand),
                                     vector::BroadcastOp::create(b, loc, vectorOf(lanes, word), one));
  };
  auto addKeys = [&](OpBuilder &b, Value g, Value place, ValueRange keys, ValueRange carried) {
    SmallVector<Value> loaded = loadValues(b, values, keys, d, vectors), next;
    for (int64_t i = 0; i < tile.heads; ++i) {
      Value weight = weightOf(b, g, i, place);
      for (int64_t v = 0; v < vectors; ++v)
        next.push_back(MicroKernel::multiplyAdd(b, loc, depth, weight, loaded[v], carried[i * vectors + v]));
    }
    return next;
  };
  Value width = constant(b, tile.width);
  Value whole = arith::DivUIOp::create(b, loc, columns, width);
  auto groups = scf::ForOp::create(b, loc, zero, whole, constant(b, 1), held,
                                   [&](OpBuilder &b, Location loc, Value g, ValueRange carried) {
                                     Value j = arith::MulIOp::create(b, loc, g, width);
                                     SmallVector<Value> next(carried);
                                     for (int64_t k = 0; k < tile.width; k += depth) {
                                       if (op.getCache() && !byRows)
                                         prefetchNextKeys(b, tile, g, d, vectors, columns, k / depth);
                                       SmallVector<Value> keys;
                                       for (int64_t i = 0; i < depth; ++i)
                                         keys.push_back(addIndex(b, loc, j, k + i));
                                       next = addKeys(b, g, constant(b, k), keys, next);
                                     }
                                     scf::YieldOp::create(b, loc, next);
                                   });
  // The rest of a group, key by key; the weight of a key that is none is zero.
  Value first = arith::MulIOp::create(b, loc, whole, width), last = addIndex(b, loc, columns, -1);
  auto rest =
      scf::ForOp::create(b, loc, first, columns, constant(b, depth), groups.getResults(),
                         [&](OpBuilder &b, Location loc, Value j, ValueRange carried) {
                           SmallVector<Value> keys{j};
                           for (int64_t i = 1; i < depth; ++i)
                             keys.push_back(arith::MinUIOp::create(b, loc, addIndex(b, loc, j, i), last));
                           Value place = arith::SubIOp::create(b, loc, j, first);
                           scf::YieldOp::create(b, loc, addKeys(b, whole, place, keys, carried));
                         });
  SmallVector<Value> sums(rest.getResults());
  arrangeSums(b, sums, vectors, /*back=*/true);
  for (auto [n, sum] : llvm::enumerate(sums))
    vector::StoreOp::create(b, loc, sum, output, outputAt(n / vectors, n % vectors));
}

void AttentionEmitter::addValues(OpBuilder &b, HeadTile tile, Value columns) {
  int64_t vectors = std::min(std::max<int64_t>(accumulators() / tile.heads, 1), paddedDim / lanes);
  int64_t whole = paddedDim / (vectors * lanes) * vectors * lanes;
  forLoop(b, constant(b, 0), constant(b, whole), vectors * lanes,
          [&](OpBuilder &b, Value d) { addValueTile(b, tile, d, vectors, columns); });
  if (whole < paddedDim)
    addValueTile(b, tile, constant(b, whole), (paddedDim - whole) / lanes, columns);
}
