//===- SimtGemmKernel.cpp - products in f32 -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block makes `tile` = [BM, BN] sums in steps of BK. x and the weights go through
// registers, where they are widened to f32, into shared memory with k outermost; there
// each thread reads TM values of x and TN of a weight for TM * TN multiplications. The
// next step's values are on their way from global memory meanwhile. Threads are 16
// along N; a thread's columns and rows are groups of four, so that a warp reads
// neighbouring banks.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/GPU/ContractionKernel.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kGroup = 4, kThreadsOfN = 16;

/// A tile of an operand: BK x `rows` values of f32 in shared memory, a row of k every `pitch`.
struct SharedTile {
  const GlobalMatrix *matrix;
  int64_t rows, pitch, offset;
  Value first; ///< the tile's first row of the matrix
  Value last;  ///< the matrix's last row: those behind it read this one
};

class SimtGemmEmitter {
public:
  SimtGemmEmitter(OpBuilder &b, GPUKernelContext &context)
      : context(context), contraction(b, context), loc(contraction.loc), threads(context.config.getThreads()),
        rows(context.config.getTile()[0]), columns(context.config.getTile()[1]),
        depth(context.config.getTile()[2]), width(std::min(contraction.vectorOfK(kGroup), depth)),
        threadRows(rows / (threads / kThreadsOfN)), threadColumns(columns / kThreadsOfN) {}

  void emit(OpBuilder &b);

private:
  int64_t loadsOf(const SharedTile &tile) const { return tile.rows * depth / width / threads; }
  SmallVector<Value> loadTiles(OpBuilder &b, Value k);
  Value loadPart(OpBuilder &b, const SharedTile &tile, Value row, Value column);
  void storeTiles(OpBuilder &b, ValueRange values);
  SmallVector<Value> multiply(OpBuilder &b, ValueRange accumulators);
  void finish(OpBuilder &b, ValueRange accumulators);
  /// Where a value that a thread loads stands in its tile: (row, k).
  std::pair<Value, Value> placeOf(OpBuilder &b, int64_t load);
  int64_t numberOf(int64_t weight, int64_t row, int64_t group) const {
    return (weight * threadRows + row) * (threadColumns / kGroup) + group;
  }
  /// The rows (or columns) of a thread's group of four: `first` + its number * 4.
  int64_t spread(int64_t size, int64_t ofThread) const { return size / (ofThread / kGroup); }

  GPUKernelContext &context;
  Contraction contraction;
  Location loc;
  int64_t threads, rows, columns, depth, width, threadRows, threadColumns;
  SmallVector<SharedTile> tiles; ///< x, then each weight
  Value base, thread, threadRow, threadColumn, firstRow, firstColumn;
};
} // namespace

std::pair<Value, Value> SimtGemmEmitter::placeOf(OpBuilder &b, int64_t load) {
  Value number = addIndex(b, loc, thread, load * threads), parts = constantIndex(b, loc, depth / width);
  Value k = arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, number, parts),
                                  constantIndex(b, loc, width));
  return {arith::DivUIOp::create(b, loc, number, parts), k};
}

Value SimtGemmEmitter::loadPart(OpBuilder &b, const SharedTile &tile, Value row, Value column) {
  Type f32 = b.getF32Type();
  auto load = [&](OpBuilder &b) { return convertTo(b, loc, tile.matrix->load(b, row, column, width), f32); };
  if (contraction.depth % depth == 0)
    return load(b);
  Type type = width > 1 ? Type(VectorType::get({width}, f32)) : f32;
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, column,
                                       constantIndex(b, loc, contraction.depth));
  return scf::IfOp::create(
             b, loc, exists, [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, load(b)); },
             [&](OpBuilder &b, Location loc) {
               Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
               scf::YieldOp::create(b, loc, zero);
             })
      .getResult(0);
}

SmallVector<Value> SimtGemmEmitter::loadTiles(OpBuilder &b, Value k) {
  SmallVector<Value> values;
  for (const SharedTile &tile : tiles)
    for (int64_t i = 0; i < loadsOf(tile); ++i) {
      auto [row, inTile] = placeOf(b, i);
      row = arith::MinUIOp::create(b, loc, arith::AddIOp::create(b, loc, tile.first, row), tile.last);
      values.push_back(loadPart(b, tile, row, arith::AddIOp::create(b, loc, k, inTile)));
    }
  return values;
}

void SimtGemmEmitter::storeTiles(OpBuilder &b, ValueRange values) {
  size_t next = 0;
  for (const SharedTile &tile : tiles)
    for (int64_t i = 0; i < loadsOf(tile); ++i) {
      auto [row, k] = placeOf(b, i);
      Value vector = values[next++];
      for (int64_t j = 0; j < width; ++j) {
        Value value = width > 1 ? Value(vector::ExtractOp::create(b, loc, vector, j)) : vector;
        Value place =
            arith::MulIOp::create(b, loc, addIndex(b, loc, k, j), constantIndex(b, loc, tile.pitch));
        place = arith::AddIOp::create(b, loc, place, row);
        storeTo(b, loc, value, sharedAddress(b, loc, base, tile.offset, place, 4));
      }
    }
}

SmallVector<Value> SimtGemmEmitter::multiply(OpBuilder &b, ValueRange accumulators) {
  SmallVector<Value> sums(accumulators);
  auto vector = VectorType::get({kGroup}, b.getF32Type());
  // Groups of four values of row `k` of a tile, from the thread's first one on.
  auto groupsOf = [&](const SharedTile &tile, int64_t k, Value first, int64_t count) {
    SmallVector<Value> groups;
    for (int64_t g = 0; g < count / kGroup; ++g) {
      int64_t place = k * tile.pitch + g * spread(tile.rows, count);
      groups.push_back(
          loadFrom(b, loc, vector, sharedAddress(b, loc, base, tile.offset + 4 * place, first, 4)));
    }
    return groups;
  };
  for (int64_t k = 0; k < depth; ++k) {
    SmallVector<Value> x = groupsOf(tiles[0], k, threadRow, threadRows);
    for (int64_t w = 0, n = contraction.weights.size(); w < n; ++w) {
      SmallVector<Value> factors = groupsOf(tiles[1 + w], k, threadColumn, threadColumns);
      for (int64_t r = 0; r < threadRows; ++r) {
        Value scalar = vector::ExtractOp::create(b, loc, x[r / kGroup], r % kGroup);
        Value splat = vector::BroadcastOp::create(b, loc, vector, scalar);
        for (auto [g, factor] : llvm::enumerate(factors)) {
          Value &sum = sums[numberOf(w, r, g)];
          Value product = arith::MulFOp::create(b, loc, splat, factor, arith::FastMathFlags::contract);
          sum = arith::AddFOp::create(b, loc, product, sum, arith::FastMathFlags::contract);
        }
      }
    }
  }
  return sums;
}

void SimtGemmEmitter::finish(OpBuilder &b, ValueRange accumulators) {
  bool vectors = contraction.canFinish(kGroup);
  Value end = constantIndex(b, loc, contraction.columns);
  for (int64_t r = 0; r < threadRows; ++r) {
    Value row = arith::AddIOp::create(b, loc, firstRow, threadRow);
    row = addIndex(b, loc, row, r / kGroup * spread(rows, threadRows) + r % kGroup);
    ifBelow(b, loc, row, contraction.rows, [&](OpBuilder &b) {
      for (int64_t g = 0; g < threadColumns / kGroup; ++g) {
        Value column = arith::AddIOp::create(b, loc, firstColumn, threadColumn);
        column = addIndex(b, loc, column, g * spread(columns, threadColumns));
        SmallVector<Value> sums;
        for (size_t w = 0; w < contraction.weights.size(); ++w)
          sums.push_back(accumulators[numberOf(w, r, g)]);
        if (vectors) {
          ifBelow(b, loc, column, end,
                  [&](OpBuilder &b) { contraction.finish(b, row, column, sums, kGroup); });
          continue;
        }
        for (int64_t j = 0; j < kGroup; ++j) {
          Value at = addIndex(b, loc, column, j);
          ifBelow(b, loc, at, end, [&](OpBuilder &b) {
            SmallVector<Value> scalars = llvm::map_to_vector(
                sums, [&](Value sum) -> Value { return vector::ExtractOp::create(b, loc, sum, j); });
            contraction.finish(b, row, at, scalars, 1);
          });
        }
      }
    });
  }
}

void SimtGemmEmitter::emit(OpBuilder &b) {
  contraction.setGrid(rows, columns);
  thread = threadIndex(b, loc, threads);
  Value block = blockIndex(b, loc),
        across = constantIndex(b, loc, llvm::divideCeilSigned(contraction.columns, columns));
  firstRow = arith::MulIOp::create(b, loc, arith::DivUIOp::create(b, loc, block, across),
                                   constantIndex(b, loc, rows));
  firstColumn = arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, block, across),
                                      constantIndex(b, loc, columns));
  Value alongN = constantIndex(b, loc, kThreadsOfN), four = constantIndex(b, loc, kGroup);
  threadColumn = arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, thread, alongN), four);
  threadRow = arith::MulIOp::create(b, loc, arith::DivUIOp::create(b, loc, thread, alongN), four);
  base = sharedBase(b, loc);
  auto addTile = [&](const GlobalMatrix &matrix, int64_t size, Value first, Value last) {
    int64_t pitch = size + kGroup; // columns of a warp's stores fall on different banks
    tiles.push_back({&matrix, size, pitch, context.shared.allocate(depth * pitch * 4), first, last});
  };
  addTile(*contraction.x, rows, firstRow,
          arith::SubIOp::create(b, loc, contraction.rows, constantIndex(b, loc, 1)));
  for (const GlobalMatrix &weight : contraction.weights)
    addTile(weight, columns, firstColumn, constantIndex(b, loc, contraction.columns - 1));

  Value zero = constantIndex(b, loc, 0), end = constantIndex(b, loc, contraction.depth),
        step = constantIndex(b, loc, depth);
  auto vector = VectorType::get({kGroup}, b.getF32Type());
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(vector));
  size_t sums = contraction.weights.size() * threadRows * (threadColumns / kGroup);
  SmallVector<Value> carried(sums, none);
  carried.append(loadTiles(b, zero));
  auto body = [&](OpBuilder &b, Location loc, Value k, ValueRange values) {
    ValueRange loaded = values.drop_front(sums);
    storeTiles(b, loaded);
    barrier(b, loc);
    Value next = arith::AddIOp::create(b, loc, k, step);
    Value more = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, next, end);
    auto load = scf::IfOp::create(
        b, loc, more, [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, loadTiles(b, next)); },
        [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, loaded); });
    SmallVector<Value> results = multiply(b, values.take_front(sums));
    barrier(b, loc);
    results.append(load.getResults().begin(), load.getResults().end());
    scf::YieldOp::create(b, loc, results);
  };
  auto loop = scf::ForOp::create(b, loc, zero, end, step, carried, body);
  finish(b, loop.getResults().take_front(sums));
}

LogicalResult mlir::transformer::emitSimtGemmKernel(OpBuilder &b, GPUKernelContext &context) {
  ArrayRef<int64_t> tile = context.config.getTile();
  int64_t threads = context.config.getThreads(), parts = threads * kGroup;
  bool divides = tile.size() == 3 && threads % kThreadsOfN == 0 &&
                 tile[0] * kThreadsOfN % (threads * kGroup) == 0 && tile[1] % (kThreadsOfN * kGroup) == 0 &&
                 tile[2] % kGroup == 0 && tile[0] * tile[2] % parts == 0 && tile[1] * tile[2] % parts == 0;
  if (!divides)
    return context.spec.emitOpError("expected a tile that the threads divide evenly, but got ")
           << context.config;
  if (failed(checkRowsInMemory(context)))
    return failure();
  SimtGemmEmitter(b, context).emit(b);
  return success();
}
