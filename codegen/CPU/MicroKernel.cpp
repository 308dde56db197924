//===- MicroKernel.cpp - register tiles of products -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/MicroKernel.h"

#include "codegen/CPU/Prefetched.h"
#include "codegen/Common/Evaluator.h"
#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

/// How far ahead of one row's products weights are asked for: a page.
static constexpr int64_t kAheadBytes = 4096;

SmallVector<Value> MicroKernel::zeros(OpBuilder &b, int64_t rows) const {
  Value none = arith::ConstantOp::create(b, loc, b.getZeroAttr(sumType(b)));
  return SmallVector<Value>(rows * vectors, none);
}

Value MicroKernel::multiplyAdd(OpBuilder &b, Location loc, int64_t depth, Value x, Value y, Value sum) {
  if (depth == 1)
    return vector::FMAOp::create(b, loc, x, y, sum);
  // Pairs are multiplied in vectors of one width on each architecture, so the width says which.
  bool isX86 = cast<VectorType>(sum.getType()).getNumElements() == 16;
  StringRef name = isX86 ? "llvm.x86.avx512bf16.dpbf16ps.512" : "llvm.aarch64.neon.bfdot.v4f32.v8bf16";
  return LLVM::CallIntrinsicOp::create(b, loc, sum.getType(), b.getStringAttr(name), ValueRange{sum, x, y})
      .getResult(0);
}

Value MicroKernel::opaqueIndex(OpBuilder &b, Location loc, Value index, bool staysInLoop) {
  Type word = b.getI64Type();
  Value in = arith::IndexCastOp::create(b, loc, word, index);
  auto out =
      LLVM::InlineAsmOp::create(b, loc, word, in, /*asm_string=*/"", /*constraints=*/"=r,0",
                                /*has_side_effects=*/staysInLoop, /*is_align_stack=*/false,
                                LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
  return arith::IndexCastOp::create(b, loc, b.getIndexType(), out.getRes());
}

SmallVector<Value> MicroKernel::run(OpBuilder &b, const Rows &rows, ArrayRef<Columns> panels, Value first,
                                    Value last, bool isWhole, ValueRange sums, const Ahead *ahead) const {
  Value one = arith::ConstantIndexOp::create(b, loc, 1);
  // Several panels are streams enough for the processor's own prefetching.
  bool asksAhead = rows.leading.size() == 1 && panels.size() == 1;
  size_t share = sums.size() / panels.size();
  auto steps = [&](OpBuilder &b, Value at, ValueRange carried, int64_t count) {
    SmallVector<Value> all;
    // Panel by panel, which leaves registers for the sums of all of them.
    for (auto [i, columns] : llvm::enumerate(panels)) {
      SmallVector<Value> next(carried.slice(i * share, share));
      for (int64_t n = 0; n < count; ++n) {
        // In front of the steps it would keep loads of AArch64 in pairs that spill.
        if (ahead && count > 1 && n == count / 2)
          prefetchAhead(b, *ahead, arith::SubIOp::create(b, loc, at, first));
        next = step(b, rows, columns, addIndex(b, loc, at, n), next, {n, asksAhead});
      }
      all.append(next);
    }
    return all;
  };
  auto loop = [&](Value from, Value to, Value by, int64_t count, ValueRange carried) {
    return scf::ForOp::create(b, loc, from, to, by, carried,
                              [&](OpBuilder &b, Location loc, Value at, ValueRange carried) {
                                scf::YieldOp::create(b, loc, steps(b, at, carried, count));
                              })
        .getResults();
  };
  // A step of i4 is two already.
  bool isNarrow = integers && integers->parts() > 1;
  assert(!(isNarrow && ahead) && "nothing is asked for in steps of i4");
  if (isNarrow)
    return loop(first, last, one, 1, sums);
  Value turn = arith::ConstantIndexOp::create(b, loc, unroll), end = last;
  if (!isWhole) {
    Value rest = arith::RemUIOp::create(b, loc, arith::SubIOp::create(b, loc, last, first), turn);
    end = arith::SubIOp::create(b, loc, last, rest);
  }
  ValueRange turns = loop(first, end, turn, unroll, sums);
  return isWhole ? turns : loop(end, last, one, 1, turns);
}

/// The element a[row, at], or the `count` neighbours of a dot product, in every lane.
Value MicroKernel::broadcastRow(OpBuilder &b, const Rows &rows, size_t row, Value at, int64_t count) const {
  Type element = cast<MemRefType>(rows.memref.getType()).getElementType();
  SmallVector<Value> indices(rows.leading[row]);
  if (count == 1) {
    indices.push_back(at);
    Value x = widen(b, loc, memref::LoadOp::create(b, loc, rows.memref, indices));
    return vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, x.getType()), x);
  }
  Type word = b.getIntegerType(static_cast<unsigned>(count) * element.getIntOrFloatBitWidth());
  indices.push_back(arith::MulIOp::create(b, loc, at, arith::ConstantIndexOp::create(b, loc, count)));
  Value neighbours = vector::LoadOp::create(b, loc, VectorType::get({count}, element), rows.memref, indices);
  Value bits = vector::BitCastOp::create(b, loc, VectorType::get({1}, word), neighbours);
  Value scalar = vector::ExtractOp::create(b, loc, bits, 0);
  Value all = vector::BroadcastOp::create(b, loc, VectorType::get({lanes}, word), scalar);
  return vector::BitCastOp::create(b, loc, VectorType::get({lanes * count}, element), all);
}

/// One step of the weights as they are stored, a vector each for `lanes` columns.
SmallVector<Value> MicroKernel::integerStep(OpBuilder &b, const Rows &rows, ValueRange stored, Value at,
                                            ValueRange sums) const {
  SmallVector<Value> next(sums);
  for (int64_t part = 0; part < integers->parts(); ++part) {
    SmallVector<Value> weights =
        llvm::map_to_vector(stored, [&](Value vector) { return integers->unpack(b, loc, vector, part); });
    Value from = arith::MulIOp::create(b, loc, at, arith::ConstantIndexOp::create(b, loc, integers->parts()));
    from = addIndex(b, loc, from, part);
    for (size_t i = 0; i < rows.leading.size(); ++i) {
      Value x = broadcastRow(b, rows, i, from, integers->partDepth());
      for (int64_t v = 0; v < vectors; ++v) {
        Value &sum = next[i * vectors + v];
        sum = integers->multiplyAdd(b, loc, weights[v], x, sum);
      }
    }
  }
  return next;
}

/// What the loop will load in some steps. One row's products wait for memory alone, and where a step is
/// many instructions, few of the next loads are under way without it. Those of i4 are so many that the
/// nearest cache is better.
void MicroKernel::prefetch(OpBuilder &b, Value memref, SmallVector<Value> indices, int64_t steps) const {
  Value &at = indices[indices.size() - 2];
  at = addIndex(b, loc, at, steps);
  bool isNarrow = integers && integers->parts() > 1;
  uint32_t locality = localityOf(isNarrow ? Prefetched::Nearest : Prefetched::Stream);
  memref::PrefetchOp::create(b, loc, memref, indices, /*isWrite=*/false, locality, /*isDataCache=*/true);
}

/// The places that belong to the turn of the loop that begins at step `step`.
void MicroKernel::prefetchAhead(OpBuilder &b, const Ahead &ahead, Value step) const {
  Value turn = arith::DivUIOp::create(b, loc, step, arith::ConstantIndexOp::create(b, loc, unroll));
  Value number = arith::MulIOp::create(b, loc, turn, arith::ConstantIndexOp::create(b, loc, ahead.places));
  for (int64_t i = 0; i < ahead.places; ++i) {
    SmallVector<Value> indices(ahead.leading);
    Value distance = arith::MulIOp::create(b, loc, addIndex(b, loc, number, i), ahead.stride);
    indices.push_back(arith::AddIOp::create(b, loc, ahead.first, distance));
    memref::PrefetchOp::create(b, loc, ahead.memref, indices, /*isWrite=*/false, localityOf(Prefetched::Soon),
                               /*isDataCache=*/true);
  }
}

SmallVector<Value> MicroKernel::step(OpBuilder &b, const Rows &rows, const Columns &columns, Value at,
                                     ValueRange sums, Turn turn) const {
  Type element = cast<MemRefType>(columns.memref.getType()).getElementType();
  Value first = columns.column;
  int64_t width = integers ? integers->columnBytes() : depth, bits = element.getIntOrFloatBitWidth();
  if (width > 1)
    first = arith::MulIOp::create(b, loc, first, arith::ConstantIndexOp::create(b, loc, width));
  SmallVector<Value> loaded, next;
  for (int64_t v = 0; v < vectors; ++v) {
    SmallVector<Value> indices(columns.leading);
    indices.append({at, addIndex(b, loc, first, v * lanes * width)});
    Value values =
        vector::LoadOp::create(b, loc, VectorType::get({lanes * width}, element), columns.memref, indices);
    // Each line once, where the loads of a turn begin in it.
    int64_t bytes = lanes * width * bits / 8;
    if (turn.asksAhead && (turn.number * vectors + v) * bytes % kLineBytes == 0)
      prefetch(b, columns.memref, indices, kAheadBytes / (vectors * bytes));
    loaded.push_back(depth > 1 ? values : widen(b, loc, values));
  }
  if (integers)
    return integerStep(b, rows, loaded, at, sums);
  for (size_t i = 0; i < rows.leading.size(); ++i) {
    Value x = broadcastRow(b, rows, i, at, depth);
    for (int64_t v = 0; v < vectors; ++v) {
      next.push_back(multiplyAdd(b, loc, depth, x, loaded[v], sums[i * vectors + v]));
    }
  }
  return next;
}
