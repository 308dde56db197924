//===- AttentionDecode.cpp - one position against a tile of keys ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Decoding reads each key once for the few query heads that share it, so nothing is
// transposed. A vector holds `width` words of each of `rows` heads, head by head:
//
//   q[step]      = q_0 words step * width .. , q_1 words .., …     prepared once
//   key_j[step]  = its words step * width .., repeated for each head, as it is loaded
//   sum_j       += q[step] * key_j[step]                           several keys at a time
//
// A key that was loaded meets all heads in one product. The `width` lanes of a head
// are added up by a tree over `width` keys, which leaves a vector of scores [heads,
// width keys], on which the softmax works lane by lane: in decoding all heads see the
// same keys. One head alone has width = lanes, the dot product of vectors; as many
// heads as lanes have width 1 and no tree.
//
// Values are multiplied as in the micro-kernel, a register tile of heads times
// vectors of the head; with dot products of bf16 in pairs of neighbouring keys.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/AttentionEmitter.h"

#include "codegen/CPU/Exp2.h"
#include "codegen/CPU/MicroKernel.h"
#include "codegen/CPU/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Heads in lanes
//===----------------------------------------------------------------------===//

/// Tiles of as many heads as a vector has lanes (half, for pairs), then one of the rest.
void AttentionEmitter::forLaneTiles(OpBuilder &b, function_ref<void(OpBuilder &, LaneTile)> body) {
  int64_t most = lanes / depth, whole = group / most, rest = group % most;
  auto tileOf = [&](OpBuilder &b, Value number, int64_t count) -> LaneTile {
    int64_t rows = llvm::PowerOf2Ceil(count);
    return {number, arith::MulIOp::create(b, loc, number, constant(b, most)), count, lanes / rows};
  };
  if (whole == 1)
    body(b, tileOf(b, constant(b, 0), most));
  else if (whole > 1)
    forLoop(b, constant(b, 0), constant(b, whole), 1,
            [&](OpBuilder &b, Value number) { body(b, tileOf(b, number, most)); });
  if (rest > 0)
    body(b, tileOf(b, constant(b, whole), rest));
}

void AttentionEmitter::allocateDecode(function_ref<Value(ArrayRef<int64_t>, Type)> scratch) {
  Type f32 = Float32Type::get(op.getContext());
  int64_t tiles = llvm::divideCeilSigned(group, lanes / depth), most = 0, groups = 0;
  // The narrowest rows have the most groups, the widest the most steps.
  int64_t least = group >= lanes / depth ? depth : lanes / static_cast<int64_t>(llvm::PowerOf2Ceil(group));
  for (int64_t width = least; width <= lanes; width *= 2)
    most = std::max(most, keysTogether({{}, {}, 1, width}));
  // The tail of a tile is a whole block.
  groups = (blockKeys + most) / least + 1;
  q = scratch({tiles, llvm::divideCeilSigned(words, least), lanes * depth}, operand);
  qRows = scratch({group, queryDim}, operand);
  keyBlock = scratch({most, queryDim}, operand);
  scores = scratch({groups, lanes}, f32);
  weights = depth > 1 ? scratch({groups, lanes}, operand) : scores;
  laneMaxima = scratch({tiles, lanes}, f32);
  laneSums = scratch({tiles, lanes}, f32);
  corrections = scratch({lanes}, f32);
}

/// The queries of the task in the order of lanes, from their rows.
void AttentionEmitter::arrangeQueries(OpBuilder &b) {
  forLaneTiles(b, [&](OpBuilder &b, LaneTile tile) {
    VectorType type = vectorOf(tile.width * depth, operand);
    Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
    forLoop(b, constant(b, 0), constant(b, stepsOf(tile)), 1, [&](OpBuilder &b, Value step) {
      Value column = arith::MulIOp::create(b, loc, step, constant(b, tile.width * depth));
      for (int64_t r = 0; r < lanes / tile.width; ++r) {
        Value x = none;
        if (r < tile.count)
          x = vector::LoadOp::create(b, loc, type, qRows,
                                     ValueRange{addIndex(b, loc, tile.first, r), column});
        vector::StoreOp::create(b, loc, x, q,
                                ValueRange{tile.number, step, constant(b, r * tile.width * depth)});
      }
    });
    vector::StoreOp::create(b, loc, splat(b, kNothing), laneMaxima, ValueRange{tile.number, constant(b, 0)});
    vector::StoreOp::create(b, loc, splat(b, 0.0), laneSums, ValueRange{tile.number, constant(b, 0)});
  });
}

/// Maximum and sum of each head from those of its lanes.
void AttentionEmitter::settleLanes(OpBuilder &b) {
  forLaneTiles(b, [&](OpBuilder &b, LaneTile tile) {
    for (int64_t r = 0; r < tile.count; ++r) {
      Value row = addIndex(b, loc, tile.first, r);
      auto at = [&](int64_t k) {
        return SmallVector<Value>{tile.number, constant(b, r * tile.width + k)};
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
  forLaneTiles(b, [&](OpBuilder &b, LaneTile tile) {
    Value most = scoreLanes(b, tile, begin, columns);
    weighLanes(b, tile, most, columns);
    addValues(b, tile, columns);
  });
}

//===----------------------------------------------------------------------===//
// Scores
//===----------------------------------------------------------------------===//

/// Keys whose sums are in registers: a multiple of the width.
int64_t AttentionEmitter::keysTogether(LaneTile tile) const {
  bool manyRegisters = tileColumns / lanes >= 4;
  return manyRegisters ? 16 : tile.width <= 4 ? 12 : 8;
}

/// Whether keys are multiplied from a copy of the operand's type and whole steps:
/// narrow ones that are repeated for several heads would be widened for each step.
bool AttentionEmitter::copiesKeys(LaneTile tile) {
  Type stored = cast<MemRefType>(key.getType()).getElementType();
  return words % tile.width != 0 || (stored != operand && tile.width < lanes);
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

/// Words of row `i` of `rows` from `column` on, once for each head of the tile.
Value AttentionEmitter::repeatWords(OpBuilder &b, LaneTile tile, Value rows, int64_t i, Value column) {
  int64_t size = tile.width * depth;
  if (size == 1)
    return splat(b, Value(memref::LoadOp::create(b, loc, rows, ValueRange{constant(b, i), column})));
  Value x = vector::LoadOp::create(b, loc, vectorOf(size, cast<MemRefType>(rows.getType()).getElementType()),
                                   rows, ValueRange{constant(b, i), column});
  if (tile.width == lanes)
    return getElementTypeOrSelf(x.getType()) == operand ? x : widen(b, loc, x);
  int64_t bits = size * operand.getIntOrFloatBitWidth();
  if (bits <= 64) {
    // A broadcast of one word, which every target has.
    Type word = b.getIntegerType(bits);
    Value one = vector::ExtractOp::create(b, loc, vector::BitCastOp::create(b, loc, vectorOf(1, word), x), 0);
    Value all = vector::BroadcastOp::create(b, loc, vectorOf(lanes / tile.width, word), one);
    return vector::BitCastOp::create(b, loc, vectorOf(lanes * depth, operand), all);
  }
  SmallVector<int64_t> order;
  for (int64_t lane = 0; lane < lanes * depth; ++lane)
    order.push_back(lane % size);
  return vector::ShuffleOp::create(b, loc, x, x, order);
}

/// The sums of `count` keys that stand in `rows` from row 0 on, with the lanes of each
/// head added up: a vector for every `width` keys.
SmallVector<Value> AttentionEmitter::multiplyKeys(OpBuilder &b, LaneTile tile, Value rows, int64_t count) {
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(f32Vector(b)));
  auto step = [&](OpBuilder &b, Value at, ValueRange carried) {
    Value column = arith::MulIOp::create(b, loc, at, constant(b, tile.width * depth));
    Value x = vector::LoadOp::create(b, loc, vectorOf(lanes * depth, operand), q,
                                     ValueRange{tile.number, at, constant(b, 0)});
    SmallVector<Value> next;
    for (int64_t i = 0; i < count; ++i)
      next.push_back(
          MicroKernel::multiplyAdd(b, loc, depth, x, repeatWords(b, tile, rows, i, column), carried[i]));
    return next;
  };
  auto loop = scf::ForOp::create(b, loc, constant(b, 0), constant(b, stepsOf(tile)), constant(b, 1),
                                 SmallVector<Value>(count, none),
                                 [&](OpBuilder &b, Location loc, Value at, ValueRange carried) {
                                   scf::YieldOp::create(b, loc, step(b, at, carried));
                                 });
  SmallVector<Value> sums(loop.getResults());
  for (int64_t span = 1; span < tile.width; span *= 2) {
    SmallVector<int64_t> low, high;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      bool first = (lane & span) == 0;
      low.push_back(first ? lane : lanes + lane - span);
      high.push_back(first ? lane + span : lanes + lane);
    }
    // Keys i and i + span meet in one vector.
    for (int64_t i = 0; i < count; ++i)
      if ((i & (2 * span - 1)) == 0)
        sums[i] =
            arith::AddFOp::create(b, loc, vector::ShuffleOp::create(b, loc, sums[i], sums[i + span], low),
                                  vector::ShuffleOp::create(b, loc, sums[i], sums[i + span], high));
  }
  SmallVector<Value> groups;
  for (int64_t i = 0; i < count; i += tile.width)
    groups.push_back(sums[i]);
  return groups;
}

/// Scores of the keys from `key` on, with scale, cap and bias.
Value AttentionEmitter::finishLanes(OpBuilder &b, LaneTile tile, Value score, Value key) {
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
  for (int64_t r = 0; r < tile.count; ++r) {
    Value head = positionAndHead(b, addIndex(b, loc, tile.first, r)).second;
    SmallVector<Value> at{type.getDimSize(0) == 1 ? zero : batch, type.getDimSize(1) == 1 ? zero : head, zero,
                          key};
    Value part = widen(b, loc, vector::MaskedLoadOp::create(b, loc, stored, memref, at, exists, none));
    bias = vector::InsertStridedSliceOp::create(b, loc, part, bias, ArrayRef<int64_t>{r * tile.width},
                                                ArrayRef<int64_t>{1});
  }
  // A bias may be -inf; what it hides counts nothing.
  return maximum(b, arith::AddFOp::create(b, loc, score, bias), splat(b, kHidden));
}

/// scores[g] = scores of keys g * width .. of all heads; the largest of each lane.
Value AttentionEmitter::scoreLanes(OpBuilder &b, LaneTile tile, Value begin, Value columns) {
  int64_t together = keysTogether(tile);
  auto block = [&](OpBuilder &b, Value j, Value rows, Value most, Value exist) {
    SmallVector<Value> groups = multiplyKeys(b, tile, rows, together);
    Value number = arith::DivUIOp::create(b, loc, j, constant(b, tile.width));
    for (auto [g, score] : llvm::enumerate(groups)) {
      int64_t offset = static_cast<int64_t>(g) * tile.width;
      if (isGeneral())
        score =
            finishLanes(b, tile, score, arith::AddIOp::create(b, loc, begin, addIndex(b, loc, j, offset)));
      if (exist) {
        SmallVector<int32_t> keys;
        for (int64_t lane = 0; lane < lanes; ++lane)
          keys.push_back(static_cast<int32_t>(offset + lane % tile.width));
        Value places = arith::ConstantOp::create(b, loc, b.getI32VectorAttr(keys));
        Value visible = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, places, splat(b, exist));
        score = arith::SelectOp::create(b, loc, visible, score, splat(b, kHidden));
      }
      most = maximum(b, most, score);
      vector::StoreOp::create(b, loc, score, scores, ValueRange{addIndex(b, loc, number, g), constant(b, 0)});
    }
    return most;
  };
  Value size = constant(b, together);
  Value rest = arith::RemUIOp::create(b, loc, columns, size);
  Value whole = arith::SubIOp::create(b, loc, columns, rest);
  auto blocks = scf::ForOp::create(b, loc, constant(b, 0), whole, size, ValueRange{splat(b, kHidden)},
                                   [&](OpBuilder &b, Location loc, Value j, ValueRange carried) {
                                     Value rows = keyBlock;
                                     if (copiesKeys(tile))
                                       copyKeys(b, j, size);
                                     else
                                       rows = rowsOf(b, key, j, size);
                                     scf::YieldOp::create(b, loc, block(b, j, rows, carried[0], Value()));
                                   });
  Value most = blocks.getResult(0);
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, rest, constant(b, 0));
  auto tail = scf::IfOp::create(
      b, loc, any,
      [&](OpBuilder &b, Location loc) {
        copyKeys(b, whole, rest);
        Value exist = arith::IndexCastOp::create(b, loc, b.getI32Type(), rest);
        scf::YieldOp::create(b, loc, block(b, whole, keyBlock, most, exist));
      },
      [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, most); });
  return tail.getResult(0);
}

//===----------------------------------------------------------------------===//
// Weights and values
//===----------------------------------------------------------------------===//

/// The weights of a tile from its scores, and new maxima, sums and corrections.
void AttentionEmitter::weighLanes(OpBuilder &b, LaneTile tile, Value most, Value columns) {
  Value zero = constant(b, 0);
  for (int64_t span = 1; span < tile.width; span *= 2) {
    SmallVector<int64_t> other;
    for (int64_t lane = 0; lane < lanes; ++lane)
      other.push_back(lane ^ span);
    most = maximum(b, most, vector::ShuffleOp::create(b, loc, most, most, other));
  }
  SmallVector<Value> at{tile.number, zero};
  Value before = vector::LoadOp::create(b, loc, f32Vector(b), laneMaxima, at);
  most = maximum(b, before, most);
  vector::StoreOp::create(b, loc, most, laneMaxima, at);
  Value scale = splat(b, factor());
  Value correction = emitExp2(
      b, loc, arith::MulFOp::create(b, loc, arith::SubFOp::create(b, loc, before, most), scale), kExp2);
  vector::StoreOp::create(b, loc, correction, corrections, zero);
  Value shift = arith::MulFOp::create(b, loc, most, scale);
  auto contract = arith::FastMathFlags::contract;
  Value groups = arith::CeilDivUIOp::create(b, loc, columns, constant(b, tile.width));
  auto summed = scf::ForOp::create(
      b, loc, zero, groups, constant(b, 1), ValueRange{splat(b, 0.0)},
      [&](OpBuilder &b, Location loc, Value g, ValueRange carried) {
        Value s = vector::LoadOp::create(b, loc, f32Vector(b), scores, ValueRange{g, zero});
        Value x =
            arith::SubFOp::create(b, loc, arith::MulFOp::create(b, loc, s, scale, contract), shift, contract);
        Value p = emitExp2(b, loc, x, depth > 1 ? ArrayRef(kExp2Short) : ArrayRef(kExp2));
        Value stored = depth > 1 ? Value(arith::TruncFOp::create(b, loc, vectorOf(lanes, operand), p)) : p;
        vector::StoreOp::create(b, loc, stored, weights, ValueRange{g, zero});
        scf::YieldOp::create(b, loc, Value(arith::AddFOp::create(b, loc, carried[0], p)));
      });
  Value sum = vector::LoadOp::create(b, loc, f32Vector(b), laneSums, at);
  sum = arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, sum, correction), summed.getResult(0));
  vector::StoreOp::create(b, loc, sum, laneSums, at);
}

/// Vectors of the values of keys j .. j + depth - 1 of `rows` at column `d`, in pairs of
/// keys for dot products.
SmallVector<Value> AttentionEmitter::loadValues(OpBuilder &b, Value rows, ValueRange keys, Value d,
                                                int64_t vectors) {
  Type stored = cast<MemRefType>(rows.getType()).getElementType();
  SmallVector<Value> loaded;
  for (int64_t v = 0; v < vectors; ++v) {
    SmallVector<Value> parts;
    for (Value j : keys)
      parts.push_back(vector::LoadOp::create(b, loc, vectorOf(lanes, stored), rows,
                                             ValueRange{j, addIndex(b, loc, d, v * lanes)}));
    if (depth > 1)
      loaded.push_back(vector::InterleaveOp::create(b, loc, parts[0], parts[1]));
    else
      loaded.push_back(widen(b, loc, parts[0]));
  }
  return loaded;
}

/// output = correction * output + weights * values, for some heads and vectors.
void AttentionEmitter::addValueTile(OpBuilder &b, LaneTile tile, int64_t firstRow, int64_t rows, Value d,
                                    int64_t vectors, Value columns) {
  Value zero = constant(b, 0);
  Value values = copiesValues ? vp : rowsOf(b, value, zero, columns);
  SmallVector<Value> held;
  auto outputAt = [&](int64_t i, int64_t v) {
    return SmallVector<Value>{addIndex(b, loc, tile.first, firstRow + i), addIndex(b, loc, d, v * lanes)};
  };
  for (int64_t i = 0; i < rows; ++i) {
    Value lane = constant(b, (firstRow + i) * tile.width);
    Value correction = splat(b, memref::LoadOp::create(b, loc, corrections, lane));
    for (int64_t v = 0; v < vectors; ++v) {
      Value o = vector::LoadOp::create(b, loc, f32Vector(b), output, outputAt(i, v));
      held.push_back(arith::MulFOp::create(b, loc, o, correction));
    }
  }
  // The weight of head i for the key, or pair of keys, at `place` of its lanes.
  auto weightOf = [&](OpBuilder &b, Value g, int64_t i, Value place) -> Value {
    Value at = addIndex(b, loc, place, (firstRow + i) * tile.width);
    if (depth == 1)
      return splat(b, Value(memref::LoadOp::create(b, loc, weights, ValueRange{g, at})));
    Type word = b.getIntegerType(depth * operand.getIntOrFloatBitWidth());
    Value pair = vector::LoadOp::create(b, loc, vectorOf(depth, operand), weights, ValueRange{g, at});
    Value one =
        vector::ExtractOp::create(b, loc, vector::BitCastOp::create(b, loc, vectorOf(1, word), pair), 0);
    return vector::BitCastOp::create(b, loc, vectorOf(lanes * depth, operand),
                                     vector::BroadcastOp::create(b, loc, vectorOf(lanes, word), one));
  };
  auto addKeys = [&](OpBuilder &b, Value g, Value place, ValueRange keys, ValueRange carried) {
    SmallVector<Value> loaded = loadValues(b, values, keys, d, vectors), next;
    for (int64_t i = 0; i < rows; ++i) {
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
  for (auto [n, sum] : llvm::enumerate(rest.getResults()))
    vector::StoreOp::create(b, loc, sum, output, outputAt(n / vectors, n % vectors));
}

void AttentionEmitter::addValues(OpBuilder &b, LaneTile tile, Value columns) {
  // Accumulators take half of the registers, in as many rows as share what is loaded.
  int64_t most = std::max<int64_t>(tileColumns / lanes * 4, 1);
  int64_t tiles = llvm::divideCeilSigned(tile.count, most / 2),
          rows = llvm::divideCeilSigned(tile.count, tiles);
  for (int64_t r = 0; r < tile.count; r += rows) {
    int64_t count = std::min(rows, tile.count - r);
    int64_t vectors = std::min(std::max<int64_t>(most / count, 1), paddedDim / lanes);
    int64_t whole = paddedDim / (vectors * lanes) * vectors * lanes;
    forLoop(b, constant(b, 0), constant(b, whole), vectors * lanes,
            [&](OpBuilder &b, Value d) { addValueTile(b, tile, r, count, d, vectors, columns); });
    if (whole < paddedDim)
      addValueTile(b, tile, r, count, constant(b, whole), (paddedDim - whole) / lanes, columns);
  }
}
