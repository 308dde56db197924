//===- RowPrologue.cpp - rows computed before they are multiplied -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/RowPrologue.h"

#include "codegen/GPU/ContractionKernel.h"

using namespace mlir;
using namespace mlir::transformer;

/// Vectors of 16 bytes of f32, in which rows of activations usually are.
static constexpr int64_t kVectorOfRow = 4;

RowPrologue::RowPrologue(GPUKernelContext &context, Value x, ArrayRef<OpFoldResult> sizes, Value rows)
    : context(context), kernel(context, x, kVectorOfRow), loc(x.getLoc()),
      element(getElementTypeOrSelf(x.getType())),
      depth(cast<RankedTensorType>(x.getType()).getShape().back()), sizes(sizes), rows(rows) {
  for (auto &[op, at] : rowReductionsOf(x))
    reducedTypes.push_back(getElementTypeOrSelf(op->getResult(0).getType()));
}

SmallVector<Value> RowPrologue::leadingOf(OpBuilder &b, Value first, Value place) {
  Value last = arith::SubIOp::create(b, loc, rows, constantIndex(b, loc, 1));
  Value row = arith::MinUIOp::create(b, loc, arith::AddIOp::create(b, loc, first, place), last);
  return delinearizeSmall(b, loc, row, sizes);
}

/// Which of `count` rows the thread works on, with equally many others.
RowPrologue::Share RowPrologue::shareOf(OpBuilder &b, Value first, int64_t count) {
  int64_t threads = context.config.getThreads() / count;
  Value thread = threadIndex(b, loc, context.config.getThreads()), size = constantIndex(b, loc, threads);
  Value place = arith::DivUIOp::create(b, loc, thread, size);
  // Behind the last row the last one is computed once more.
  RowOfThread own{/*row=*/Value(), arith::RemUIOp::create(b, loc, thread, size), /*valid=*/Value(), threads};
  return {own, leadingOf(b, first, place), place};
}

//===----------------------------------------------------------------------===//
// Whole rows
//===----------------------------------------------------------------------===//

int64_t RowPrologue::mostStaged(int64_t most) const {
  while (most > 1 && stageBytes(most) > kMostBytes)
    most /= 2;
  return most;
}

void RowPrologue::stage(OpBuilder &b, Value first, int64_t count) {
  Share share = shareOf(b, first, count);
  Value base = sharedBase(b, loc);
  Value begin = arith::MulIOp::create(b, loc, share.place, constantIndex(b, loc, depth));
  kernel.emit(b, share.thread, share.leading, [&](OpBuilder &b, Value value, LaneIndex column) {
    Value at = arith::AddIOp::create(b, loc, begin, column.base);
    storeTo(b, loc, value, sharedAddress(b, loc, base, staged, at, elementBytes()));
  });
  barrier(b, loc);
}

Value RowPrologue::loadStaged(OpBuilder &b, int64_t row, Value column, int64_t width) const {
  Type type = width > 1 ? Type(VectorType::get({width}, element)) : element;
  Value address = sharedAddress(b, loc, sharedBase(b, loc), staged + row * depth * elementBytes(), column,
                                elementBytes());
  return loadFrom(b, loc, type, address);
}

//===----------------------------------------------------------------------===//
// Reductions of rows
//===----------------------------------------------------------------------===//

void RowPrologue::reserveReductions(int64_t count) {
  reducedRows = count;
  reductions = context.shared.allocate(static_cast<int64_t>(reducedTypes.size()) * count * 4);
}

Value RowPrologue::reductionAddress(OpBuilder &b, int64_t number, Value place) {
  return sharedAddress(b, loc, sharedBase(b, loc), reductions + number * reducedRows * 4, place, 4);
}

void RowPrologue::reduce(OpBuilder &b, Value first, int64_t count) {
  if (!hasReductions())
    return;
  Share share = shareOf(b, first, count);
  SmallVector<Value> values = kernel.reduceRow(b, share.thread, share.leading);
  ifBelow(b, loc, share.thread.lane, constantIndex(b, loc, 1), [&](OpBuilder &b) {
    for (auto [i, value] : llvm::enumerate(values))
      storeTo(b, loc, value, reductionAddress(b, static_cast<int64_t>(i), share.place));
  });
  barrier(b, loc);
}

RowPrologue::Row RowPrologue::rowAt(OpBuilder &b, Value first, Value place) {
  Row row{leadingOf(b, first, place), {}};
  for (auto [i, type] : llvm::enumerate(reducedTypes))
    row.reduced.push_back(loadFrom(b, loc, type, reductionAddress(b, static_cast<int64_t>(i), place)));
  return row;
}

Value RowPrologue::load(OpBuilder &b, const Row &row, Value column, int64_t width) {
  return kernel.neighbours(b, row.leading, row.reduced, column, width);
}
