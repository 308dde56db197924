//===- WgmmaGemmKernel.cpp - products by warpgroups that are fed by TMA ------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// A block has a warpgroup that copies and two that multiply 64 rows each. It stays for several tiles (it is
// persistent), so that the copies of a tile run while the one before is finished. After CUTLASS's
// warp-specialised kernels for sm_90 and Dao-AILab's description of them (arXiv:2407.08608, section 3.1).
//
// In clusters, the blocks of one take tiles below each other and each copies its share of the weights to all
// of them; or, where tiles are too few for that, all take one tile, each a share of K, and add their sums up.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/Cluster.h"
#include "codegen/GPU/ContractionKernel.h"
#include "codegen/GPU/MmaFragments.h"
#include "codegen/GPU/TileSchedule.h"
#include "codegen/GPU/Warpgroup.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kConsumers = 2;
/// Registers of each thread: one that copies needs few, and together they are what the block has (168 each).
constexpr int64_t kProducerRegisters = 40, kConsumerRegisters = 232;

/// Where a role stands: in the ring, and the parity of the next exchange of sums (i32).
struct Progress {
  RingPlace place;
  Value exchange;

  SmallVector<Value> values() const { return {place.stage, place.parity, exchange}; }
  static Progress from(ValueRange values) { return {{values[0], values[1]}, values[2]}; }
};

class WgmmaGemmEmitter {
public:
  WgmmaGemmEmitter(OpBuilder &b, GPUKernelContext &context)
      : context(context), contraction(b, context), loc(contraction.loc), type(contraction.element),
        rows(context.config.getTile()[0]), columns(context.config.getTile()[1]),
        depth(context.config.getTile()[2]), blocks(context.config.getTile()[3]) {}

  void emit(OpBuilder &b);

private:
  int64_t weights() const { return contraction.weights.size(); }
  int64_t steps() const { return llvm::divideCeilSigned(contraction.depth, depth); }
  int64_t across() const { return llvm::divideCeilSigned(contraction.columns, columns); }
  /// Stages that an exchange of sums takes.
  int64_t exchangeStages() const { return llvm::divideCeilSigned(exchange.bytes(), stageBytes); }
  void layOut(OpBuilder &b);
  /// Runs `body` for each tile of the block, with where the role stands; it returns where it stands then.
  void forTiles(OpBuilder &b, bool isProducer,
                function_ref<Progress(OpBuilder &, const Tile &, Progress)> body);
  RingPlace copyTile(OpBuilder &b, const Tile &tile, RingPlace place);
  void copyStage(OpBuilder &b, const Tile &tile, Value stage, Value k, Value barrier);
  Progress multiplyTile(OpBuilder &b, const Tile &tile, Progress progress);
  SmallVector<Value> multiplyStage(OpBuilder &b, Value stage, ValueRange sums);
  /// Finishes `count` fragments of the block's rows from `column` on; `sumsOf`(weight, n) are those of one.
  void finishFragments(OpBuilder &b, const Tile &tile, Value column, int64_t count,
                       function_ref<ValueRange(int64_t, int64_t)> sumsOf);
  void finishTile(OpBuilder &b, const Tile &tile, ValueRange sums);
  Progress finishSplitTile(OpBuilder &b, const Tile &tile, ValueRange sums, Progress progress);

  Value i32(OpBuilder &b, int64_t value) { return constantI32(b, loc, value); }
  Value add(OpBuilder &b, Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(OpBuilder &b, Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value mul(OpBuilder &b, Value x, Value y) { return arith::MulIOp::create(b, loc, x, y); }
  Value div(OpBuilder &b, Value x, Value y) { return arith::DivUIOp::create(b, loc, x, y); }
  Value rem(OpBuilder &b, Value x, Value y) { return arith::RemUIOp::create(b, loc, x, y); }
  Value toIndex(OpBuilder &b, Value x) { return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), x); }

  GPUKernelContext &context;
  Contraction contraction;
  Location loc;
  Type type;
  int64_t rows, columns, depth, blocks, stageBytes = 0;
  PanelTile left;
  SmallVector<PanelTile> right; ///< by weight
  TileSchedule schedule;
  MbarrierRing ring;
  ClusterSums exchange;
  SmallVector<Value> maps;   ///< x, then each weight
  Value base, thread, group; ///< i32; the warpgroup's number
};
} // namespace

/// A stage holds a tile of x and one of each weight. Of the weights each block copies its share of rows.
void WgmmaGemmEmitter::layOut(OpBuilder &b) {
  auto addOperand = [&](Value memref, int64_t size, int64_t box) {
    auto argument = cast<BlockArgument>(memref);
    int64_t rank = cast<MemRefType>(memref.getType()).getRank();
    SmallVector<int64_t> groups = rank > 1 ? SmallVector<int64_t>{rank - 1, 1} : SmallVector<int64_t>{1};
    maps.push_back(addTensorMap(b, context.kernel, argument.getArgNumber(), groups, {box, kPanelColumns}));
    PanelTile tile{stageBytes, size, depth};
    stageBytes += tile.bytes();
    return tile;
  };
  left = addOperand(context.argument(contraction.projections[0].input->get()), rows, rows);
  for (Projection &projection : contraction.projections)
    right.push_back(addOperand(context.argument(projection.weight->get()), columns, columns / blocks));
  int64_t stages = context.config.getStages();
  context.shared.allocate(stages * stageBytes, 1024);
  ring = MbarrierRing(context.shared, stages, kConsumers * kWarpgroup / kWarp, blocks);
  if (blocks > 1)
    exchange = ClusterSums(context.shared, blocks, kConsumers * kWarpgroup, weights() * columns / kMmaColumns,
                           stages * stageBytes);
}

void WgmmaGemmEmitter::forTiles(OpBuilder &b, bool isProducer,
                                function_ref<Progress(OpBuilder &, const Tile &, Progress)> body) {
  Progress start = {ring.begin(b, loc, isProducer), i32(b, 0)};
  schedule.forTiles(b, loc, start.values(), [&](OpBuilder &b, const Tile &tile, ValueRange carried) {
    return body(b, tile, Progress::from(carried)).values();
  });
}

/// The copies of a stage: the block's own rows of x, and of the weights either all rows or, for all blocks of
/// the cluster, its share.
void WgmmaGemmEmitter::copyStage(OpBuilder &b, const Tile &tile, Value stage, Value k, Value barrier) {
  Value shift = mul(b, stage, i32(b, stageBytes));
  auto copy = [&](OpBuilder &b, const PanelTile &operand, Value map, Value tileRow, Value part,
                  int64_t partRows, int64_t receivers) {
    Value row = mul(b, part, i32(b, partRows));
    Value place = add(b, shift, mul(b, row, i32(b, kPanelRowBytes)));
    for (int64_t panel = 0; panel < depth / kPanelColumns; ++panel) {
      int64_t offset = operand.offset + panel * operand.rows * kPanelRowBytes;
      Value target = sharedAddress(b, loc, base, offset, toIndex(b, place), 1);
      copyBox(b, loc, target, map, barrier, {add(b, tileRow, row), add(b, k, i32(b, panel * kPanelColumns))},
              receivers);
    }
  };
  auto copyWeights = [&](OpBuilder &b, Value part, int64_t receivers) {
    for (int64_t w = 0; w < weights(); ++w)
      copy(b, right[w], maps[1 + w], tile.column, part, columns / blocks, receivers);
  };
  copy(b, left, maps[0], tile.row, i32(b, 0), rows, 1);
  if (blocks == 1)
    return copyWeights(b, i32(b, 0), 1);
  ifTrue(
      b, loc, tile.isSplit,
      [&](OpBuilder &b) {
        for (int64_t part = 0; part < blocks; ++part)
          copyWeights(b, i32(b, part), 1);
      },
      [&](OpBuilder &b) { copyWeights(b, schedule.rank, blocks); });
}

/// What the one thread that copies does for a tile.
RingPlace WgmmaGemmEmitter::copyTile(OpBuilder &b, const Tile &tile, RingPlace place) {
  auto body = [&](OpBuilder &b, Location loc, Value step, ValueRange carried) {
    RingPlace place{carried[0], carried[1]};
    ring.waitUntilEmpty(b, loc, base, place);
    Value barrier = ring.expect(b, loc, base, place, stageBytes);
    copyStage(b, tile, place.stage, mul(b, add(b, tile.firstStep, step), i32(b, depth)), barrier);
    RingPlace next = ring.next(b, loc, place);
    scf::YieldOp::create(b, loc, ValueRange{next.stage, next.parity});
  };
  auto loop = scf::ForOp::create(b, loc, i32(b, 0), tile.steps, i32(b, 1),
                                 ValueRange{place.stage, place.parity}, body);
  place = {loop.getResult(0), loop.getResult(1)};
  if (blocks == 1)
    return place;
  // Stages that the consumers pass sums through.
  Value count = arith::SelectOp::create(b, loc, tile.isSplit, i32(b, exchangeStages()), i32(b, 0));
  auto grant = [&](OpBuilder &b, Location loc, Value, ValueRange carried) {
    RingPlace place{carried[0], carried[1]};
    ring.waitUntilEmpty(b, loc, base, place);
    ring.grant(b, loc, base, place);
    RingPlace next = ring.next(b, loc, place);
    scf::YieldOp::create(b, loc, ValueRange{next.stage, next.parity});
  };
  loop =
      scf::ForOp::create(b, loc, i32(b, 0), count, i32(b, 1), ValueRange{place.stage, place.parity}, grant);
  return {loop.getResult(0), loop.getResult(1)};
}

/// The products of a stage, committed together; without sums they begin at zero.
SmallVector<Value> WgmmaGemmEmitter::multiplyStage(OpBuilder &b, Value stage, ValueRange sums) {
  SmallVector<Value> results;
  int64_t each = columns / 2;
  Value shift = mul(b, stage, i32(b, stageBytes));
  Value half = add(b, shift, mul(b, sub(b, group, i32(b, 1)), i32(b, kWgmmaRows * kPanelRowBytes)));
  beginProducts(b, loc);
  for (int64_t w = 0; w < weights(); ++w) {
    SmallVector<Value> own;
    if (!sums.empty())
      own.assign(sums.begin() + w * each, sums.begin() + (w + 1) * each);
    for (int64_t k = 0; k < depth; k += kWgmmaDepth)
      own = multiplyWarpgroup(b, loc, type, left.rowsAt(b, loc, base, half, 0, k),
                              right[w].rowsAt(b, loc, base, shift, 0, k), own, columns);
    llvm::append_range(results, own);
  }
  commitProducts(b, loc);
  return results;
}

/// What a warpgroup that multiplies does for a tile: each step's products are issued before those of the last
/// one are over, so that the tensor cores always have some; then the last one's stage is free.
Progress WgmmaGemmEmitter::multiplyTile(OpBuilder &b, const Tile &tile, Progress progress) {
  Value lane = rem(b, thread, i32(b, kWarp));
  RingPlace place = progress.place;
  ring.waitUntilFull(b, loc, base, place);
  SmallVector<Value> carried = multiplyStage(b, place.stage, {});
  RingPlace second = ring.next(b, loc, place);
  carried.append({second.stage, second.parity, place.stage});
  auto body = [&](OpBuilder &b, Location loc, Value, ValueRange values) {
    RingPlace place{values[values.size() - 3], values[values.size() - 2]};
    Value before = values.back();
    ring.waitUntilFull(b, loc, base, place);
    SmallVector<Value> results = multiplyStage(b, place.stage, values.drop_back(3));
    waitForProducts(b, loc, 1, {});
    ring.release(b, loc, base, before, lane);
    RingPlace next = ring.next(b, loc, place);
    results.append({next.stage, next.parity, place.stage});
    scf::YieldOp::create(b, loc, results);
  };
  auto loop = scf::ForOp::create(b, loc, i32(b, 1), tile.steps, i32(b, 1), carried, body);
  ValueRange results = loop.getResults();
  SmallVector<Value> sums = waitForProducts(b, loc, 0, results.drop_back(3));
  ring.release(b, loc, base, results.back(), lane);
  progress.place = {results[results.size() - 3], results[results.size() - 2]};
  if (blocks == 1) {
    finishTile(b, tile, sums);
    return progress;
  }
  auto branch = scf::IfOp::create(
      b, loc, tile.isSplit,
      [&](OpBuilder &b, Location loc) {
        scf::YieldOp::create(b, loc, finishSplitTile(b, tile, sums, progress).values());
      },
      [&](OpBuilder &b, Location loc) {
        finishTile(b, tile, sums);
        scf::YieldOp::create(b, loc, progress.values());
      });
  return Progress::from(branch.getResults());
}

void WgmmaGemmEmitter::finishFragments(OpBuilder &b, const Tile &tile, Value column, int64_t count,
                                       function_ref<ValueRange(int64_t, int64_t)> sumsOf) {
  Value within = rem(b, thread, i32(b, kWarpgroup));
  Value lane = rem(b, within, i32(b, kWarp)), warp = div(b, within, i32(b, kWarp));
  Value row = add(b, tile.row, mul(b, sub(b, group, i32(b, 1)), i32(b, kWgmmaRows)));
  row = add(b, row, mul(b, warp, i32(b, kMmaRows)));
  contraction.finishFragments(b, lane, toIndex(b, row), toIndex(b, column), 1, count,
                              [&](int64_t weight, int64_t, int64_t n) { return sumsOf(weight, n); });
}

void WgmmaGemmEmitter::finishTile(OpBuilder &b, const Tile &tile, ValueRange sums) {
  finishFragments(b, tile, tile.column, columns / kMmaColumns,
                  [&](int64_t weight, int64_t n) { return sums.slice(weight * columns / 2 + n * 4, 4); });
}

/// The blocks add their sums up, and each finishes its share of the columns.
Progress WgmmaGemmEmitter::finishSplitTile(OpBuilder &b, const Tile &tile, ValueRange sums,
                                           Progress progress) {
  Value lane = rem(b, thread, i32(b, kWarp));
  SmallVector<Value> stages;
  RingPlace next = progress.place;
  for (int64_t i = 0; i < exchangeStages(); ++i) {
    // They are granted one after the other: a wait for the last is one for all.
    if (i + 1 == exchangeStages())
      ring.waitUntilFull(b, loc, base, next);
    stages.push_back(next.stage);
    next = ring.next(b, loc, next);
  }
  ClusterSums::Place place{base, sub(b, thread, i32(b, kWarpgroup)), schedule.rank,
                           mul(b, stages[0], i32(b, stageBytes)), progress.exchange};
  exchange.leave(b, loc, place, sums);
  int64_t fragments = columns / kMmaColumns, share = fragments / blocks;
  SmallVector<Value> own;
  for (int64_t w = 0; w < weights(); ++w)
    for (int64_t n = 0; n < share; ++n)
      llvm::append_range(own, exchange.take(b, loc, place, w * fragments + n, share));
  fenceClusterAccesses(b, loc);
  meetWarp(b, loc);
  for (Value stage : stages)
    ring.release(b, loc, base, stage, lane);
  Value column = add(b, tile.column, mul(b, schedule.rank, i32(b, columns / blocks)));
  finishFragments(b, tile, column, share, [&](int64_t weight, int64_t n) {
    return ValueRange(own).slice((weight * share + n) * 4, 4);
  });
  return {next, arith::XOrIOp::create(b, loc, progress.exchange, i32(b, 1))};
}

void WgmmaGemmEmitter::emit(OpBuilder &b) {
  // The grid has a cluster for each tile, should they be split.
  contraction.setGrid(rows, columns / blocks);
  context.persistent = true;
  context.cluster = blocks;
  layOut(b);
  thread =
      arith::IndexCastUIOp::create(b, loc, b.getI32Type(), threadIndex(b, loc, context.config.getThreads()));
  group = uniform(b, loc, div(b, thread, i32(b, kWarpgroup)));
  base = sharedBase(b, loc);
  schedule = TileSchedule(b, loc, {across(), steps(), rows, columns, blocks}, contraction.rows);
  Value first = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, thread, i32(b, 0));
  ifTrue(b, loc, first, [&](OpBuilder &b) {
    ring.initialise(b, loc, base);
    if (blocks > 1)
      exchange.initialise(b, loc, base);
    fenceBarriers(b, loc);
  });
  blocks > 1 ? meetCluster(b, loc, /*aligned=*/true) : barrier(b, loc);
  Value copies = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, group, i32(b, 0));
  scf::IfOp::create(
      b, loc, copies,
      [&](OpBuilder &b, Location loc) {
        giveRegistersBack(b, loc, kProducerRegisters);
        ifTrue(b, loc, isLeader(b, loc, thread, kWarpgroup), [&](OpBuilder &b) {
          forTiles(b, /*isProducer=*/true, [&](OpBuilder &b, const Tile &tile, Progress progress) {
            return Progress{copyTile(b, tile, progress.place), progress.exchange};
          });
        });
        scf::YieldOp::create(b, loc);
      },
      [&](OpBuilder &b, Location loc) {
        takeRegisters(b, loc, kConsumerRegisters);
        forTiles(b, /*isProducer=*/false, [&](OpBuilder &b, const Tile &tile, Progress progress) {
          return multiplyTile(b, tile, progress);
        });
        scf::YieldOp::create(b, loc);
      });
  // Until then others copy to this block, arrive at its mbarriers and read its sums.
  if (blocks > 1)
    meetCluster(b, loc, /*aligned=*/false);
}

LogicalResult mlir::transformer::emitWgmmaGemmKernel(OpBuilder &b, GPUKernelContext &context) {
  ArrayRef<int64_t> tile = context.config.getTile();
  bool suits = tile.size() == 4 && tile[0] == kConsumers * kWgmmaRows && tile[1] % 8 == 0 && tile[1] <= 256 &&
               tile[2] % kPanelColumns == 0 && context.config.getThreads() == (kConsumers + 1) * kWarpgroup;
  if (!suits)
    return context.spec.emitOpError("expected 128 rows, up to 256 columns in multiples of 8, a depth in "
                                    "multiples of 64, a cluster and 384 threads, but got ")
           << context.config;
  int64_t blocks = tile[3];
  if (blocks != 1 && blocks != 2 && blocks != 4)
    return context.spec.emitOpError("expected a cluster of 1, 2 or 4 blocks, but got ") << blocks;
  if (tile[1] % (32 * blocks) != 0 && blocks > 1)
    return context.spec.emitOpError(
               "expected columns in multiples of 32 for each block of a cluster, but got ")
           << tile[1] << " for " << blocks;
  if (failed(checkRowsInMemory(context)))
    return failure();
  WgmmaGemmEmitter(b, context).emit(b);
  return success();
}
