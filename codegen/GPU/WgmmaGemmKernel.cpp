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
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/ContractionKernel.h"
#include "codegen/GPU/Warpgroup.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kConsumers = 2;
/// Registers of each thread: one that copies needs few, and together they are what the block has (168 each).
constexpr int64_t kProducerRegisters = 40, kConsumerRegisters = 232;

/// A tile of the result: the first row and column (i32).
struct Tile {
  Value row, column;
};

class WgmmaGemmEmitter {
public:
  WgmmaGemmEmitter(OpBuilder &b, GPUKernelContext &context)
      : context(context), contraction(b, context), loc(contraction.loc), type(contraction.x.element),
        rows(context.config.getTile()[0]), columns(context.config.getTile()[1]),
        depth(context.config.getTile()[2]) {}

  void emit(OpBuilder &b);

private:
  int64_t weights() const { return contraction.weights.size(); }
  int64_t steps() const { return llvm::divideCeilSigned(contraction.depth, depth); }
  void layOut(OpBuilder &b);
  /// Runs `body` for each tile of the block, with where the role stands in the ring; it returns where it
  /// stands then.
  void forTiles(OpBuilder &b, RingPlace start,
                function_ref<RingPlace(OpBuilder &, const Tile &, RingPlace)> body);
  Tile tileOf(OpBuilder &b, Value number);
  RingPlace copyTile(OpBuilder &b, const Tile &tile, RingPlace place);
  RingPlace multiplyTile(OpBuilder &b, const Tile &tile, RingPlace place);
  SmallVector<Value> multiplyStage(OpBuilder &b, Value stage, ValueRange sums);

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
  int64_t rows, columns, depth, stageBytes = 0;
  PanelTile left;
  SmallVector<PanelTile> right; ///< by weight
  MbarrierRing ring;
  SmallVector<Value> maps;   ///< x, then each weight
  Value base, thread, group; ///< i32; the warpgroup's number
  Value tilesDown, tiles;    ///< i32
};
} // namespace

/// A stage holds a tile of x and one of each weight.
void WgmmaGemmEmitter::layOut(OpBuilder &b) {
  auto addOperand = [&](Value memref, int64_t size) {
    auto argument = cast<BlockArgument>(memref);
    int64_t rank = cast<MemRefType>(memref.getType()).getRank();
    SmallVector<int64_t> groups = rank > 1 ? SmallVector<int64_t>{rank - 1, 1} : SmallVector<int64_t>{1};
    maps.push_back(addTensorMap(b, context.kernel, argument.getArgNumber(), groups, {size, kPanelColumns}));
    PanelTile tile{stageBytes, size, depth};
    stageBytes += tile.bytes();
    return tile;
  };
  left = addOperand(context.argument(contraction.projections[0].input->get()), rows);
  for (Projection &projection : contraction.projections)
    right.push_back(addOperand(context.argument(projection.weight->get()), columns));
  int64_t stages = context.config.getStages();
  context.shared.allocate(stages * stageBytes, 1024);
  ring = MbarrierRing(context.shared, stages, kConsumers * kWarpgroup / kWarp);
}

/// Tiles follow each other down groups of eight, so that blocks at work at one time share rows of x and
/// columns of the weights in the L2 cache.
Tile WgmmaGemmEmitter::tileOf(OpBuilder &b, Value number) {
  constexpr int64_t groupRows = 8;
  int64_t across = llvm::divideCeilSigned(contraction.columns, columns);
  Value ofGroup = i32(b, groupRows * across);
  Value first = mul(b, div(b, number, ofGroup), i32(b, groupRows)), within = rem(b, number, ofGroup);
  Value down = arith::MinUIOp::create(b, loc, sub(b, tilesDown, first), i32(b, groupRows));
  Value row = add(b, first, rem(b, within, down));
  return {mul(b, row, i32(b, rows)), mul(b, div(b, within, down), i32(b, columns))};
}

void WgmmaGemmEmitter::forTiles(OpBuilder &b, RingPlace start,
                                function_ref<RingPlace(OpBuilder &, const Tile &, RingPlace)> body) {
  Value block = NVVM::BlockIdXOp::create(b, loc, b.getI32Type());
  Value blocks = NVVM::GridDimXOp::create(b, loc, b.getI32Type());
  scf::ForOp::create(b, loc, block, tiles, blocks, ValueRange{start.stage, start.parity},
                     [&](OpBuilder &b, Location loc, Value number, ValueRange carried) {
                       RingPlace place = body(b, tileOf(b, number), {carried[0], carried[1]});
                       scf::YieldOp::create(b, loc, ValueRange{place.stage, place.parity});
                     });
}

/// What the one thread that copies does for a tile.
RingPlace WgmmaGemmEmitter::copyTile(OpBuilder &b, const Tile &tile, RingPlace place) {
  auto body = [&](OpBuilder &b, Location loc, Value step, ValueRange carried) {
    RingPlace place{carried[0], carried[1]};
    ring.waitUntilEmpty(b, loc, base, place);
    Value barrier = ring.expect(b, loc, base, place, stageBytes);
    Value shift = mul(b, place.stage, i32(b, stageBytes)), k = mul(b, step, i32(b, depth));
    auto copy = [&](const PanelTile &operand, Value map, Value row) {
      for (int64_t panel = 0; panel < depth / kPanelColumns; ++panel) {
        int64_t offset = operand.offset + panel * operand.rows * kPanelRowBytes;
        Value target = sharedAddress(b, loc, base, offset, toIndex(b, shift), 1);
        copyBox(b, loc, target, map, barrier, {row, add(b, k, i32(b, panel * kPanelColumns))});
      }
    };
    copy(left, maps[0], tile.row);
    for (int64_t w = 0; w < weights(); ++w)
      copy(right[w], maps[1 + w], tile.column);
    RingPlace next = ring.next(b, loc, place);
    scf::YieldOp::create(b, loc, ValueRange{next.stage, next.parity});
  };
  auto loop = scf::ForOp::create(b, loc, i32(b, 0), i32(b, steps()), i32(b, 1),
                                 ValueRange{place.stage, place.parity}, body);
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
RingPlace WgmmaGemmEmitter::multiplyTile(OpBuilder &b, const Tile &tile, RingPlace place) {
  Value leader = isLeader(b, loc, thread, kWarp);
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
    ifTrue(b, loc, leader, [&](OpBuilder &b) { ring.release(b, loc, base, before); });
    RingPlace next = ring.next(b, loc, place);
    results.append({next.stage, next.parity, place.stage});
    scf::YieldOp::create(b, loc, results);
  };
  auto loop = scf::ForOp::create(b, loc, i32(b, 1), i32(b, steps()), i32(b, 1), carried, body);
  ValueRange results = loop.getResults();
  SmallVector<Value> sums = waitForProducts(b, loc, 0, results.drop_back(3));
  ifTrue(b, loc, leader, [&](OpBuilder &b) { ring.release(b, loc, base, results.back()); });

  Value within = rem(b, thread, i32(b, kWarpgroup));
  Value lane = rem(b, within, i32(b, kWarp)), warp = div(b, within, i32(b, kWarp));
  Value row = add(b, tile.row, mul(b, sub(b, group, i32(b, 1)), i32(b, kWgmmaRows)));
  row = add(b, row, mul(b, warp, i32(b, 16)));
  contraction.finishFragments(b, lane, toIndex(b, row), toIndex(b, tile.column), 1, columns / 8,
                              [&](int64_t weight, int64_t, int64_t n) {
                                return ValueRange(sums).slice(weight * columns / 2 + n * 4, 4);
                              });
  return {results[results.size() - 3], results[results.size() - 2]};
}

void WgmmaGemmEmitter::emit(OpBuilder &b) {
  contraction.setGrid(rows, columns);
  context.persistent = true;
  layOut(b);
  thread =
      arith::IndexCastUIOp::create(b, loc, b.getI32Type(), threadIndex(b, loc, context.config.getThreads()));
  group = uniform(b, loc, div(b, thread, i32(b, kWarpgroup)));
  base = sharedBase(b, loc);
  Value down = arith::CeilDivUIOp::create(b, loc, contraction.rows, constantIndex(b, loc, rows));
  tilesDown = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), down);
  tiles = mul(b, tilesDown, i32(b, llvm::divideCeilSigned(contraction.columns, columns)));
  Value first = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, thread, i32(b, 0));
  ifTrue(b, loc, first, [&](OpBuilder &b) {
    ring.initialise(b, loc, base);
    fenceBarriers(b, loc);
  });
  barrier(b, loc);
  Value copies = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, group, i32(b, 0));
  scf::IfOp::create(
      b, loc, copies,
      [&](OpBuilder &b, Location loc) {
        giveRegistersBack(b, loc, kProducerRegisters);
        ifTrue(b, loc, isLeader(b, loc, thread, kWarpgroup), [&](OpBuilder &b) {
          forTiles(b, ring.begin(b, loc, /*isProducer=*/true),
                   [&](OpBuilder &b, const Tile &tile, RingPlace place) { return copyTile(b, tile, place); });
        });
        scf::YieldOp::create(b, loc);
      },
      [&](OpBuilder &b, Location loc) {
        takeRegisters(b, loc, kConsumerRegisters);
        forTiles(
            b, ring.begin(b, loc, /*isProducer=*/false),
            [&](OpBuilder &b, const Tile &tile, RingPlace place) { return multiplyTile(b, tile, place); });
        scf::YieldOp::create(b, loc);
      });
}

LogicalResult mlir::transformer::emitWgmmaGemmKernel(OpBuilder &b, GPUKernelContext &context) {
  ArrayRef<int64_t> tile = context.config.getTile();
  bool suits = tile.size() == 3 && tile[0] == kConsumers * kWgmmaRows && tile[1] % 8 == 0 && tile[1] <= 256 &&
               tile[2] % kPanelColumns == 0 && context.config.getThreads() == (kConsumers + 1) * kWarpgroup;
  if (!suits)
    return context.spec.emitOpError("expected 128 rows, up to 256 columns in multiples of 8, a depth in "
                                    "multiples of 64 and 384 threads, but got ")
           << context.config;
  WgmmaGemmEmitter(b, context).emit(b);
  return success();
}
