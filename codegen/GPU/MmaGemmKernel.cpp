//===- MmaGemmKernel.cpp - products on tensor cores ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A block makes `tile` = [BM, BN] sums in steps of BK, its warps two rows of tiles high. Tiles of x and of
// each weight come through `stages` buffers of shared memory by cp.async, some steps ahead; warps read them
// with ldmatrix as the fragments of mma.m16n8k16, or m16n8k8 for f32, which is rounded to tf32: a row of a
// fragment has 32 bytes of either. Rows behind the last one read the last one, columns of k
// behind the last one are zeros; neither is stored. A row of k must begin at a multiple of 16 bytes.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/ContractionKernel.h"
#include "codegen/GPU/MmaFragments.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
/// An operand's tiles: one in each stage.
struct Operand {
  const GlobalMatrix *matrix;
  SwizzledTile tile; ///< of the first stage
  Value first, last; ///< rows of the matrix (index): the tile's first, the matrix's last
};

class MmaGemmEmitter {
public:
  MmaGemmEmitter(OpBuilder &b, GPUKernelContext &context)
      : context(context), contraction(b, context), loc(contraction.loc), type(contraction.element),
        threads(context.config.getThreads()), rows(context.config.getTile()[0]),
        columns(context.config.getTile()[1]), depth(context.config.getTile()[2]),
        chunk(elementsOfChunk(type)), stages(context.config.getStages()),
        warpsOfM(rows >= 2 * kMmaRows ? 2 : 1), warpRows(rows / warpsOfM),
        warpColumns(columns / (threads / kWarp / warpsOfM)) {}

  void emit(OpBuilder &b);

private:
  int64_t fragmentsOfM() const { return warpRows / kMmaRows; }
  int64_t fragmentsOfN() const { return warpColumns / kMmaColumns; }
  int64_t numberOf(int64_t weight, int64_t m, int64_t n) const {
    return ((weight * fragmentsOfM() + m) * fragmentsOfN() + n) * 4;
  }
  void issueCopies(OpBuilder &b, Value step, Value stage);
  SmallVector<Value> multiply(OpBuilder &b, Value stage, ValueRange sums);
  void finish(OpBuilder &b, ValueRange sums);
  Value i32(OpBuilder &b, int64_t value) { return constantI32(b, loc, value); }
  Value add(OpBuilder &b, Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value mul(OpBuilder &b, Value x, int64_t y) { return arith::MulIOp::create(b, loc, x, i32(b, y)); }
  Value div(OpBuilder &b, Value x, int64_t y) { return arith::DivUIOp::create(b, loc, x, i32(b, y)); }
  Value rem(OpBuilder &b, Value x, int64_t y) { return arith::RemUIOp::create(b, loc, x, i32(b, y)); }

  GPUKernelContext &context;
  Contraction contraction;
  Location loc;
  Type type;
  int64_t threads, rows, columns, depth, chunk, stages, warpsOfM, warpRows, warpColumns, stageBytes = 0;
  SmallVector<Operand> operands;          ///< x, then each weight
  Value base, thread, lane, warpM, warpN; ///< i32
  Value firstRow, firstColumn;            ///< of the block (index)
};
} // namespace

void MmaGemmEmitter::issueCopies(OpBuilder &b, Value step, Value stage) {
  int64_t chunks = depth / chunk, rowsAtOnce = threads / chunks;
  Value shift = mul(b, stage, stageBytes);
  Value ownRow = div(b, thread, chunks), ownChunk = rem(b, thread, chunks);
  Value k = add(b, mul(b, step, depth), mul(b, ownChunk, chunk));
  Value valid;
  if (contraction.depth % depth != 0) {
    // A chunk behind the end has nothing of the matrix; K is a multiple of a chunk.
    Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, k, i32(b, contraction.depth));
    valid = arith::SelectOp::create(b, loc, exists, i32(b, 16), i32(b, 0));
    k = arith::SelectOp::create(b, loc, exists, k, i32(b, 0));
  }
  Value column = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), k);
  for (const Operand &operand : operands)
    for (int64_t row = 0; row < operand.tile.rows; row += rowsAtOnce) {
      Value inTile = add(b, ownRow, i32(b, row));
      Value source = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), inTile);
      source = arith::AddIOp::create(b, loc, operand.first, source);
      source = arith::MinUIOp::create(b, loc, source, operand.last);
      auto copy = [&](OpBuilder &b) {
        copyChunkAsync(b, loc, operand.tile.addressOf(b, loc, base, shift, inTile, ownChunk),
                       operand.matrix->addressOf(b, source, column), valid);
      };
      if (row + rowsAtOnce <= operand.tile.rows) {
        copy(b);
        continue;
      }
      Value exists =
          arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, inTile, i32(b, operand.tile.rows));
      scf::IfOp::create(b, loc, exists, [&](OpBuilder &b, Location loc) {
        copy(b);
        scf::YieldOp::create(b, loc);
      });
    }
}

SmallVector<Value> MmaGemmEmitter::multiply(OpBuilder &b, Value stage, ValueRange carried) {
  SmallVector<Value> sums(carried);
  Value shift = mul(b, stage, stageBytes);
  // Lanes name the rows of the matrices of a fragment: of A the upper and lower eight rows, then the same of
  // the right half of k; of two fragments of B eight columns, the halves of k first.
  Value rowOfA = add(b, mul(b, warpM, warpRows), rem(b, lane, 16)), halfOfA = div(b, lane, 16);
  Value rowOfB = add(b, mul(b, warpN, warpColumns), add(b, rem(b, lane, 8), mul(b, div(b, lane, 16), 8)));
  Value halfOfB = rem(b, div(b, lane, 8), 2);
  auto load = [&](const Operand &operand, Value row, Value half, int64_t k, int64_t below) {
    Value address = operand.tile.addressOf(b, loc, base, shift, row, add(b, half, i32(b, 2 * k)), below);
    SmallVector<Value> registers = loadMatrices(b, loc, address, /*transposed=*/false);
    return type.isF32() ? roundToTF32(b, loc, registers) : registers;
  };
  for (int64_t k = 0; k < depth / (2 * chunk); ++k) {
    SmallVector<SmallVector<Value>> a;
    for (int64_t m = 0; m < fragmentsOfM(); ++m)
      a.push_back(load(operands[0], rowOfA, halfOfA, k, m * kMmaRows));
    for (int64_t w = 0, weights = contraction.weights.size(); w < weights; ++w)
      for (int64_t n = 0; n < fragmentsOfN(); n += 2) {
        SmallVector<Value> factors = load(operands[1 + w], rowOfB, halfOfB, k, n * kMmaColumns);
        for (int64_t m = 0; m < fragmentsOfM(); ++m)
          for (int64_t half = 0; half < 2; ++half) {
            MutableArrayRef<Value> place = MutableArrayRef(sums).slice(numberOf(w, m, n + half), 4);
            llvm::copy(multiplyFragments(b, loc, type, a[m], ValueRange(factors).slice(2 * half, 2), place),
                       place.begin());
          }
      }
  }
  return sums;
}

void MmaGemmEmitter::finish(OpBuilder &b, ValueRange sums) {
  auto toIndex = [&](Value x) -> Value { return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), x); };
  Value row = arith::AddIOp::create(b, loc, firstRow, toIndex(mul(b, warpM, warpRows)));
  Value column = arith::AddIOp::create(b, loc, firstColumn, toIndex(mul(b, warpN, warpColumns)));
  contraction.finishFragments(
      b, lane, row, column, fragmentsOfM(), fragmentsOfN(),
      [&](int64_t weight, int64_t m, int64_t n) { return sums.slice(numberOf(weight, m, n), 4); });
}

void MmaGemmEmitter::emit(OpBuilder &b) {
  contraction.setGrid(rows, columns);
  Value block = blockIndex(b, loc),
        across = constantIndex(b, loc, llvm::divideCeilSigned(contraction.columns, columns));
  firstRow = arith::MulIOp::create(b, loc, arith::DivUIOp::create(b, loc, block, across),
                                   constantIndex(b, loc, rows));
  firstColumn = arith::MulIOp::create(b, loc, arith::RemUIOp::create(b, loc, block, across),
                                      constantIndex(b, loc, columns));
  thread = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), threadIndex(b, loc, threads));
  lane = rem(b, thread, kWarp);
  Value warp = div(b, thread, kWarp);
  warpM = rem(b, warp, warpsOfM);
  warpN = div(b, warp, warpsOfM);
  base = sharedBase(b, loc);
  auto addOperand = [&](const GlobalMatrix &matrix, int64_t size, Value first, Value last) {
    SwizzledTile tile{stageBytes, size, depth / chunk};
    operands.push_back({&matrix, tile, first, last});
    stageBytes += tile.bytes();
  };
  addOperand(*contraction.x, rows, firstRow,
             arith::SubIOp::create(b, loc, contraction.rows, constantIndex(b, loc, 1)));
  for (const GlobalMatrix &weight : contraction.weights)
    addOperand(weight, columns, firstColumn, constantIndex(b, loc, contraction.columns - 1));
  context.shared.allocate(stages * stageBytes, 128);

  int64_t steps = llvm::divideCeilSigned(contraction.depth, depth);
  // Each step commits, also where nothing is left to copy: waits count commits.
  for (int64_t step = 0; step < stages - 1; ++step) {
    if (step < steps)
      issueCopies(b, i32(b, step), i32(b, step));
    commitCopies(b, loc);
  }
  Value zero = arith::ConstantOp::create(b, loc, b.getF32FloatAttr(0.0));
  SmallVector<Value> carried(numberOf(contraction.weights.size(), 0, 0), zero);
  carried.push_back(i32(b, 0)); // the stage
  auto body = [&](OpBuilder &b, Location loc, Value step, ValueRange values) {
    Value stage = values.back();
    // This step's tiles have come, for all threads; and all have left the stage before this one.
    waitForCopies(b, loc, stages - 2);
    barrier(b, loc);
    Value next = add(b, step, i32(b, stages - 1));
    Value more = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, next, i32(b, steps));
    Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, stage, i32(b, 0));
    Value before = arith::SelectOp::create(b, loc, isFirst, i32(b, stages - 1), add(b, stage, i32(b, -1)));
    scf::IfOp::create(b, loc, more, [&](OpBuilder &b, Location loc) {
      issueCopies(b, next, before);
      scf::YieldOp::create(b, loc);
    });
    commitCopies(b, loc);
    SmallVector<Value> results = multiply(b, stage, values.drop_back());
    Value following = add(b, stage, i32(b, 1));
    Value wraps = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, following, i32(b, stages));
    results.push_back(arith::SelectOp::create(b, loc, wraps, i32(b, 0), following));
    scf::YieldOp::create(b, loc, results);
  };
  auto loop = scf::ForOp::create(b, loc, i32(b, 0), i32(b, steps), i32(b, 1), carried, body);
  finish(b, loop.getResults().drop_back());
}

LogicalResult mlir::transformer::emitMmaGemmKernel(OpBuilder &b, GPUKernelContext &context) {
  ArrayRef<int64_t> tile = context.config.getTile();
  int64_t warps = context.config.getThreads() / kWarp;
  int64_t chunk =
      elementsOfChunk(getElementTypeOrSelf(projectionsOf(context.spec)[0].input->get().getType()));
  bool divides = tile.size() == 3 && context.config.getStages() >= 2 && context.config.getVector() == chunk &&
                 tile[2] % (4 * chunk) == 0 && llvm::isPowerOf2_64(tile[2]) && tile[0] % kMmaRows == 0;
  if (divides) {
    int64_t warpsOfM = tile[0] >= 2 * kMmaRows ? 2 : 1;
    divides = warps % warpsOfM == 0 && tile[0] / warpsOfM % kMmaRows == 0 &&
              tile[1] % (warps / warpsOfM * 2 * kMmaColumns) == 0;
  }
  if (!divides)
    return context.spec.emitOpError("expected a tile that the warps divide evenly, but got ")
           << context.config;
  if (failed(checkRowsInMemory(context)))
    return failure();
  MmaGemmEmitter(b, context).emit(b);
  return success();
}
