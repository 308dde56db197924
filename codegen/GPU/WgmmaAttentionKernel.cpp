//===- WgmmaAttentionKernel.cpp - attention by warpgroups fed by TMA ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// FlashAttention-3 (arXiv:2407.08608): a warpgroup copies queries, keys and values; two others have 64 rows
// of queries each. While the tensor cores multiply a tile's queries and keys, and the last tile's weights and
// values, the softmax of one warpgroup runs beside the products of the other: they take turns at two
// barriers. Weights stay in registers, as the left operand of their product.
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/AttentionRows.h"
#include "codegen/GPU/MmaFragments.h"
#include "codegen/GPU/Warpgroup.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kConsumers = 2;
constexpr int64_t kProducerRegisters = 24, kConsumerRegisters = 240;
/// Barriers: where values behind the last key become zeros, and from here on the turn of each consumer.
constexpr int64_t kZeroBarrier = 1, kTurnBarrier = 2;

/// What a consumer carries over the tiles of keys.
struct Carried {
  SmallVector<Value> sums, weights; ///< the weights packed in pairs
  RowState state;
  RingPlace keys, values;

  SmallVector<Value> flatten() const {
    SmallVector<Value> all(sums);
    llvm::append_range(all, weights);
    all.append({state.maximum[0], state.maximum[1], state.total[0], state.total[1], keys.stage, keys.parity,
                values.stage, values.parity});
    return all;
  }
  /// The same of other values: as many sums and weights as here.
  Carried with(ValueRange all) const {
    Carried other;
    other.sums.assign(all.begin(), all.begin() + sums.size());
    other.weights.assign(all.begin() + sums.size(), all.begin() + sums.size() + weights.size());
    ValueRange rest = all.take_back(8);
    other.state = {{rest[0], rest[1]}, {rest[2], rest[3]}};
    other.keys = {rest[4], rest[5]};
    other.values = {rest[6], rest[7]};
    return other;
  }
};

class WgmmaAttentionEmitter : AttentionRows {
public:
  WgmmaAttentionEmitter(GPUKernelContext &context, AttentionOp op) : AttentionRows(context, op) {}
  void emit(OpBuilder &b);

private:
  void layOut(OpBuilder &b);
  void produce(OpBuilder &b, Value begin, Value end);
  void copyKeys(OpBuilder &b, const MbarrierRing &ring, RingPlace place, const PanelTile &tile, Value map,
                Value firstKey);
  void consume(OpBuilder &b, Value begin, Value end);
  SmallVector<Value> multiplyKeys(OpBuilder &b, Value stage);
  SmallVector<Value> multiplyValues(OpBuilder &b, Value stage, ValueRange weights, ValueRange sums);
  /// Scores become packed weights; returns the corrections of what was summed before.
  SmallVector<Value> weighTile(OpBuilder &b, SmallVector<Value> scores, Value firstKey, RowState &state,
                               Value (&corrections)[2]);
  Carried beginTile(OpBuilder &b, Value firstKey, RingPlace keys, RingPlace values);
  Carried continueTile(OpBuilder &b, Value firstKey, Value end, Carried carried);
  void clearValues(OpBuilder &b, Value firstKey, Value stage);
  void takeTurn(OpBuilder &b);
  void passTurn(OpBuilder &b, Value toFirst);

  int64_t panels() { return llvm::divideCeilSigned(headDim, kPanelColumns); }
  Value isFirst(OpBuilder &b) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, warpgroup, i32(b, 1));
  }
  void release(OpBuilder &b, const MbarrierRing &ring, Value stage) {
    ring.release(b, loc, base, stage, arith::RemUIOp::create(b, loc, thread, i32(b, kWarp)));
  }

  Value warpgroup; ///< the warpgroup's number (i32): 0 copies
  PanelTile queryTile, keyTile, valueTile;
  MbarrierRing queries, keyRing, valueRing;
  Value queryMap, keyMap, valueMap;
};
} // namespace

void WgmmaAttentionEmitter::layOut(OpBuilder &b) {
  int64_t stages = context.config.getStages(), columns = panels() * kPanelColumns;
  auto place = [&](int64_t count, int64_t size) {
    PanelTile tile{0, size, columns};
    tile.offset = context.shared.allocate(count * tile.bytes(), 1024);
    return tile;
  };
  queryTile = place(1, rows);
  keyTile = place(stages, keys);
  valueTile = place(stages, keys);
  queries = MbarrierRing(context.shared, /*stages=*/1, /*consumers=*/0);
  keyRing = MbarrierRing(context.shared, stages, kConsumers * kWarpgroup / kWarp);
  valueRing = MbarrierRing(context.shared, stages, kConsumers * kWarpgroup / kWarp);
  auto map = [&](Value memref, ArrayRef<int64_t> box) {
    return addTensorMap(b, context.kernel, cast<BlockArgument>(memref).getArgNumber(), {1, 1, 1, 1}, box);
  };
  // Queries are [B, S, heads, D]; keys are too, and [B, heads, T, D] in a cache.
  queryMap = map(query, {1, positionsOfBlock, shape.group, kPanelColumns});
  SmallVector<int64_t> box = op.getCache() ? SmallVector<int64_t>{1, 1, keys, kPanelColumns}
                                           : SmallVector<int64_t>{1, keys, 1, kPanelColumns};
  keyMap = map(key, box);
  valueMap = map(value, box);
}

//===----------------------------------------------------------------------===//
// The warpgroup that copies
//===----------------------------------------------------------------------===//

void WgmmaAttentionEmitter::copyKeys(OpBuilder &b, const MbarrierRing &ring, RingPlace place,
                                     const PanelTile &tile, Value map, Value firstKey) {
  ring.waitUntilEmpty(b, loc, base, place);
  Value barrier = ring.expect(b, loc, base, place, tile.bytes());
  Value shift = toIndex(b, mul(b, place.stage, tile.bytes()));
  for (int64_t panel = 0; panel < panels(); ++panel) {
    int64_t offset = tile.offset + panel * tile.rows * kPanelRowBytes;
    Value column = i32(b, panel * kPanelColumns), head = toI32(b, kvHead), sequence = toI32(b, batch);
    SmallVector<Value> at{sequence, firstKey, head, column};
    if (op.getCache())
      std::swap(at[1], at[2]);
    copyBox(b, loc, sharedAddress(b, loc, base, offset, shift, 1), map, barrier, at);
  }
}

void WgmmaAttentionEmitter::produce(OpBuilder &b, Value begin, Value end) {
  RingPlace start = keyRing.begin(b, loc, /*isProducer=*/true);
  Value barrier = queries.expect(b, loc, base, queries.begin(b, loc, false), queryTile.bytes());
  Value firstHead = mul(b, toI32(b, kvHead), shape.group);
  for (int64_t panel = 0; panel < panels(); ++panel) {
    int64_t offset = queryTile.offset + panel * rows * kPanelRowBytes;
    copyBox(b, loc, sharedAddress(b, loc, base, offset, index(b, 0), 1), queryMap, barrier,
            {toI32(b, batch), toI32(b, firstPosition), firstHead, i32(b, panel * kPanelColumns)});
  }
  scf::ForOp::create(b, loc, begin, end, i32(b, keys), ValueRange{start.stage, start.parity},
                     [&](OpBuilder &b, Location loc, Value firstKey, ValueRange carried) {
                       RingPlace place{carried[0], carried[1]};
                       copyKeys(b, keyRing, place, keyTile, keyMap, firstKey);
                       copyKeys(b, valueRing, place, valueTile, valueMap, firstKey);
                       RingPlace next = keyRing.next(b, loc, place);
                       scf::YieldOp::create(b, loc, ValueRange{next.stage, next.parity});
                     });
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Scores of the warpgroup's rows against the tile's keys, issued and committed.
SmallVector<Value> WgmmaAttentionEmitter::multiplyKeys(OpBuilder &b, Value stage) {
  Value shift = mul(b, stage, keyTile.bytes());
  Value half = mul(b, arith::SubIOp::create(b, loc, warpgroup, i32(b, 1)), kWgmmaRows * kPanelRowBytes);
  SmallVector<Value> scores;
  beginProducts(b, loc);
  for (int64_t d = 0; d < headDim; d += kWgmmaDepth)
    scores = multiplyWarpgroup(b, loc, type, queryTile.rowsAt(b, loc, base, half, 0, d),
                               keyTile.rowsAt(b, loc, base, shift, 0, d), scores, keys);
  commitProducts(b, loc);
  return scores;
}

/// The weights times the values, added to the sums; empty ones begin at zero.
SmallVector<Value> WgmmaAttentionEmitter::multiplyValues(OpBuilder &b, Value stage, ValueRange weights,
                                                         ValueRange sums) {
  Value shift = mul(b, stage, valueTile.bytes());
  SmallVector<Value> results(sums);
  beginProducts(b, loc);
  for (int64_t k = 0; k < keys / kWgmmaDepth; ++k)
    results =
        multiplyWarpgroup(b, loc, type, weights.slice(4 * k, 4),
                          valueTile.transposedAt(b, loc, base, shift, k * kWgmmaDepth), results, headDim,
                          /*transposed=*/true);
  commitProducts(b, loc);
  return results;
}

SmallVector<Value> WgmmaAttentionEmitter::weighTile(OpBuilder &b, SmallVector<Value> scores, Value firstKey,
                                                    RowState &state, Value (&corrections)[2]) {
  scores = maskScores(b, finishScores(b, scores, firstKey), firstKey);
  weigh(b, scores, state, corrections);
  SmallVector<Value> packed;
  for (int64_t k = 0; k < keys / kWgmmaDepth; ++k)
    llvm::append_range(packed, packWeights(b, scores, k));
  return packed;
}

/// In a cache something else, or nothing, may stand behind the last key, and even with a weight of zero it
/// must be a number.
void WgmmaAttentionEmitter::clearValues(OpBuilder &b, Value firstKey, Value stage) {
  if (!op.getCache())
    return;
  Value last = add(b, firstKey, i32(b, keys)), length = toI32(b, held);
  Value isBehind = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, last, length);
  ifTrue(b, loc, isBehind, [&](OpBuilder &b) {
    Value consumer = arith::SubIOp::create(b, loc, thread, i32(b, kWarpgroup));
    Value own = arith::SubIOp::create(b, loc, length, firstKey);
    auto chunk = VectorType::get({8}, type);
    Value zeros = arith::ConstantOp::create(b, loc, DenseElementsAttr::get(chunk, b.getZeroAttr(type)));
    Value shift = mul(b, stage, valueTile.bytes());
    int64_t chunks = keys * panels() * kPanelRowBytes / 16, step = kConsumers * kWarpgroup;
    for (int64_t i = 0; i < chunks; i += step) {
      Value number = add(b, consumer, i32(b, i));
      Value row = rem(b, div(b, number, kPanelRowBytes / 16), keys);
      Value clears = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, row, own);
      ifTrue(b, loc, clears, [&](OpBuilder &b) {
        Value place = toIndex(b, add(b, shift, mul(b, number, 16)));
        storeTo(b, loc, zeros, sharedAddress(b, loc, base, valueTile.offset, place, 1));
      });
    }
    fenceStores(b, loc);
    meetAt(b, loc, kZeroBarrier, kConsumers * kWarpgroup);
  });
}

//===----------------------------------------------------------------------===//
// The warpgroups that multiply
//===----------------------------------------------------------------------===//

void WgmmaAttentionEmitter::takeTurn(OpBuilder &b) {
  auto meet = [&](int64_t number) {
    return [=](OpBuilder &b) { meetAt(b, loc, number, kConsumers * kWarpgroup); };
  };
  ifTrue(b, loc, isFirst(b), meet(kTurnBarrier), meet(kTurnBarrier + 1));
}

/// The second one passes its turn on where the first has one more.
void WgmmaAttentionEmitter::passTurn(OpBuilder &b, Value toFirst) {
  scf::IfOp::create(
      b, loc, isFirst(b),
      [&](OpBuilder &b, Location loc) {
        arriveAt(b, loc, kTurnBarrier + 1, kConsumers * kWarpgroup);
        scf::YieldOp::create(b, loc);
      },
      [&](OpBuilder &b, Location loc) {
        ifTrue(b, loc, toFirst,
               [&](OpBuilder &b) { arriveAt(b, loc, kTurnBarrier, kConsumers * kWarpgroup); });
        scf::YieldOp::create(b, loc);
      });
}

/// The first tile: its scores and weights. Its values are multiplied with the next tile's keys.
Carried WgmmaAttentionEmitter::beginTile(OpBuilder &b, Value firstKey, RingPlace place, RingPlace values) {
  Carried carried;
  carried.state = emptyState(b);
  keyRing.waitUntilFull(b, loc, base, place);
  SmallVector<Value> scores = waitForProducts(b, loc, 0, multiplyKeys(b, place.stage));
  release(b, keyRing, place.stage);
  Value corrections[2]; // of nothing
  carried.weights = weighTile(b, scores, firstKey, carried.state, corrections);
  carried.sums.assign(headDim / 2, f32(b, 0.0));
  carried.keys = keyRing.next(b, loc, place);
  carried.values = values;
  return carried;
}

Carried WgmmaAttentionEmitter::continueTile(OpBuilder &b, Value firstKey, Value end, Carried carried) {
  keyRing.waitUntilFull(b, loc, base, carried.keys);
  takeTurn(b);
  SmallVector<Value> scores = multiplyKeys(b, carried.keys.stage);
  valueRing.waitUntilFull(b, loc, base, carried.values);
  SmallVector<Value> sums = multiplyValues(b, carried.values.stage, carried.weights, carried.sums);
  Value next = add(b, firstKey, i32(b, keys));
  passTurn(b, arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, next, end));
  scores = waitForProducts(b, loc, 1, scores);
  release(b, keyRing, carried.keys.stage);
  Value corrections[2];
  RowState state = carried.state;
  SmallVector<Value> weights = weighTile(b, scores, firstKey, state, corrections);
  sums = waitForProducts(b, loc, 0, sums);
  release(b, valueRing, carried.values.stage);
  correct(b, sums, corrections);
  return {sums, weights, state, keyRing.next(b, loc, carried.keys), valueRing.next(b, loc, carried.values)};
}

void WgmmaAttentionEmitter::consume(OpBuilder &b, Value begin, Value end) {
  // The consumers' warps follow those of the warpgroup that copies.
  Value number = arith::SubIOp::create(b, loc, warp, i32(b, kWarpgroup / kWarp));
  beginRows(b, toIndex(b, mul(b, number, kMmaRows)));
  SmallVector<Type> types(headDim / 2 + 2, b.getF32Type());
  // The results: sums and totals; nothing where no key is seen.
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, begin, end);
  auto seen = scf::IfOp::create(
      b, loc, any,
      [&](OpBuilder &b, Location loc) {
        queries.waitUntilFull(b, loc, base, queries.begin(b, loc, false));
        Carried first = beginTile(b, begin, keyRing.begin(b, loc, false), valueRing.begin(b, loc, false));
        Value second = add(b, begin, i32(b, keys));
        // The first warpgroup has the first turn.
        Value more = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, second, end);
        Value isOther = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, warpgroup, i32(b, 1));
        ifTrue(b, loc, arith::AndIOp::create(b, loc, more, isOther),
               [&](OpBuilder &b) { arriveAt(b, loc, kTurnBarrier, kConsumers * kWarpgroup); });
        auto loop = scf::ForOp::create(b, loc, second, end, i32(b, keys), first.flatten(),
                                       [&](OpBuilder &b, Location loc, Value firstKey, ValueRange values) {
                                         Carried carried = continueTile(b, firstKey, end, first.with(values));
                                         scf::YieldOp::create(b, loc, carried.flatten());
                                       });
        Carried last = first.with(loop.getResults());
        valueRing.waitUntilFull(b, loc, base, last.values);
        Value tiles =
            arith::CeilDivUIOp::create(b, loc, arith::SubIOp::create(b, loc, end, begin), i32(b, keys));
        Value lastKey = add(b, begin, mul(b, add(b, tiles, i32(b, -1)), keys));
        clearValues(b, lastKey, last.values.stage);
        SmallVector<Value> sums =
            waitForProducts(b, loc, 0, multiplyValues(b, last.values.stage, last.weights, last.sums));
        sums.append({last.state.total[0], last.state.total[1]});
        scf::YieldOp::create(b, loc, sums);
      },
      [&](OpBuilder &b, Location loc) {
        scf::YieldOp::create(b, loc, SmallVector<Value>(types.size(), f32(b, 0.0)));
      });
  RowState state = emptyState(b);
  ValueRange results = seen.getResults();
  state.total[0] = results[results.size() - 2], state.total[1] = results.back();
  storeRows(b, SmallVector<Value>(results.drop_back(2)), state);
}

void WgmmaAttentionEmitter::emit(OpBuilder &b) {
  layOut(b);
  beginBlock(b);
  warpgroup = uniform(b, loc, div(b, thread, kWarpgroup));
  auto [begin, end] = rangeOfBlock(b);
  Value first = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, thread, i32(b, 0));
  ifTrue(b, loc, first, [&](OpBuilder &b) {
    for (const MbarrierRing *ring : {&queries, &keyRing, &valueRing})
      ring->initialise(b, loc, base);
    fenceBarriers(b, loc);
  });
  barrier(b, loc);
  Value copies = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, warpgroup, i32(b, 0));
  Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, begin, end);
  scf::IfOp::create(
      b, loc, copies,
      [&, begin = begin, end = end](OpBuilder &b, Location loc) {
        giveRegistersBack(b, loc, kProducerRegisters);
        Value leads = arith::AndIOp::create(b, loc, isLeader(b, loc, thread, kWarpgroup), any);
        ifTrue(b, loc, leads, [&](OpBuilder &b) { produce(b, begin, end); });
        scf::YieldOp::create(b, loc);
      },
      [&, begin = begin, end = end](OpBuilder &b, Location loc) {
        takeRegisters(b, loc, kConsumerRegisters);
        consume(b, begin, end);
        scf::YieldOp::create(b, loc);
      });
}

LogicalResult mlir::transformer::emitWgmmaAttentionKernel(OpBuilder &b, GPUKernelContext &context) {
  auto op = cast<AttentionOp>(outputOf(context.spec));
  ArrayRef<int64_t> tile = context.config.getTile();
  bool suits = tile.size() == 2 && tile[0] == kConsumers * kWgmmaRows && tile[1] % kWgmmaDepth == 0 &&
               tile[1] <= 256 && context.config.getThreads() == (kConsumers + 1) * kWarpgroup &&
               tile[0] % AttentionShape(op).group == 0;
  if (!suits)
    return op.emitOpError("expected 128 rows, of whole positions, up to 256 keys in multiples of 16 and 384 "
                          "threads, but got ")
           << context.config;
  WgmmaAttentionEmitter(context, op).emit(b);
  return success();
}
