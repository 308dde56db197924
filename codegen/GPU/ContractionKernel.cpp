//===- ContractionKernel.cpp - what the kernels of products share -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/ContractionKernel.h"

#include "codegen/GPU/MmaFragments.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Matrices in global memory
//===----------------------------------------------------------------------===//

GlobalMatrix::GlobalMatrix(OpBuilder &b, Location loc, Value memref) : loc(loc) {
  auto type = cast<MemRefType>(memref.getType());
  columns = type.getShape().back();
  element = type.getElementType();
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, loc, memref);
  address = arith::IndexCastUIOp::create(b, loc, b.getI64Type(), address);
  base = LLVM::IntToPtrOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext(), 1), address);
}

Value GlobalMatrix::addressOf(OpBuilder &b, Value row, Value column) const {
  Value place = arith::MulIOp::create(b, loc, row, constantIndex(b, loc, columns));
  place = arith::AddIOp::create(b, loc, place, column);
  place = arith::IndexCastUIOp::create(b, loc, b.getI64Type(), place);
  return LLVM::GEPOp::create(b, loc, base.getType(), element, base, ArrayRef<LLVM::GEPArg>{place},
                             LLVM::GEPNoWrapFlags::inbounds);
}

Value GlobalMatrix::load(OpBuilder &b, Value row, Value column, int64_t width) const {
  Type type = width > 1 ? Type(VectorType::get({width}, element)) : element;
  return loadFrom(b, loc, type, addressOf(b, row, column));
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

SmallVector<Value> mlir::transformer::delinearizeSmall(OpBuilder &b, Location loc, Value task,
                                                       ArrayRef<OpFoldResult> sizes) {
  SmallVector<Value> indices(sizes.size());
  Type i32 = b.getI32Type();
  // 64-bit divisions are a long subroutine.
  Value rest = arith::IndexCastUIOp::create(b, loc, i32, task);
  for (size_t i = sizes.size(); i-- > 1;) {
    Value size = arith::IndexCastUIOp::create(b, loc, i32, indexValue(b, loc, sizes[i]));
    indices[i] = arith::RemUIOp::create(b, loc, rest, size);
    rest = arith::DivUIOp::create(b, loc, rest, size);
  }
  if (!indices.empty())
    indices[0] = rest;
  for (Value &index : indices)
    index = arith::IndexCastUIOp::create(b, loc, b.getIndexType(), index);
  return indices;
}

bool mlir::transformer::suitsTensorCores(const Projection &projection, bool tf32) {
  Type x = getElementTypeOrSelf(projection.input->get().getType());
  return (x.isBF16() || x.isF16() || (x.isF32() && tf32)) && x == projection.weightType().getElementType();
}

bool mlir::transformer::hasWholeChunks(const Projection &projection) {
  return projection.depth() % elementsOfChunk(projection.weightType().getElementType()) == 0;
}

Contraction::Contraction(OpBuilder &b, GPUKernelContext &context)
    : loc(outputOf(context.spec)->getLoc()), projections(projectionsOf(context.spec)),
      element(getElementTypeOrSelf(projections[0].input->get().getType())), context(context),
      evaluator(context, 1), result(outputOf(context.spec)->getResult(0)) {
  for (Projection &projection : projections)
    weights.emplace_back(b, loc, context.argument(projection.weight->get()));
  columns = projections[0].columns();
  depth = projections[0].depth();
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  rows = constantIndex(b, loc, 1);
  for (int64_t i = 0; i + 1 < rank; ++i) {
    leading.push_back(evaluator.dimSize(b, context.spec.getArguments().back(), i));
    rows = arith::MulIOp::create(b, loc, rows, indexValue(b, loc, leading.back()));
  }
  if (Value input = projections[0].input->get(); isa<BlockArgument>(input))
    x.emplace(b, loc, context.argument(input));
  else
    prologue.emplace(context, input, leading, rows);
}

LogicalResult mlir::transformer::checkRowsInMemory(GPUKernelContext &context) {
  if (isa<BlockArgument>(projectionsOf(context.spec)[0].input->get()))
    return success();
  return context.spec.emitOpError("expected rows that are an argument, but got ") << context.config;
}

void Contraction::setGrid(int64_t rowsOfBlock, int64_t columnsOfBlock) {
  int64_t out = context.numberOf(context.spec.getArguments().back());
  int64_t rank = cast<MemRefType>(context.out().getType()).getRank();
  SmallVector<GridDim> grid;
  if (rank > 1)
    grid.push_back({out, 0, rowsOfBlock, rank - 1});
  grid.push_back({out, rank - 1, columnsOfBlock});
  transformer::setGrid(context.kernel, grid);
}

int64_t Contraction::vectorOfK(int64_t most) const {
  while (most > 1 && depth % most != 0)
    most /= 2;
  return most;
}

bool Contraction::canFinish(int64_t width) {
  if (columns % width != 0)
    return false;
  evaluator.setWidth(width);
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  SmallVector<bool> varies(rank, false);
  varies.back() = true;
  for (Projection &projection : projections)
    evaluator.setKnown(projection.op.getResult(0), rows); // any value: what is known is not looked into
  return evaluator.canVectorize(result, varies);
}

void Contraction::finish(OpBuilder &b, Value row, Value column, ArrayRef<Value> sums, int64_t width) {
  evaluator.setWidth(width);
  for (auto [projection, sum] : llvm::zip(projections, sums))
    evaluator.setKnown(projection.op.getResult(0), sum);
  SmallVector<Value> indices = delinearizeSmall(b, loc, row, leading);
  indices.push_back(column);
  SmallVector<LaneIndex> at = llvm::map_to_vector(indices, [](Value v) { return LaneIndex{v}; });
  at.back().lanes = width > 1;
  Value value = evaluator.evaluate(b, result, at);
  storeElements(b, loc, width > 1 ? evaluator.broadcast(b, loc, value) : value, context.out(), indices,
                Value());
}

void Contraction::finishFragments(OpBuilder &b, Value lane, Value row, Value column, int64_t down,
                                  int64_t across,
                                  function_ref<ValueRange(int64_t, int64_t, int64_t)> sumsOf) {
  bool pairs = canFinish(2);
  Value four = constantI32(b, loc, 4);
  auto toIndex = [&](Value x) -> Value { return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), x); };
  Value ownRow = arith::AddIOp::create(b, loc, row, toIndex(arith::DivUIOp::create(b, loc, lane, four)));
  Value within = arith::MulIOp::create(b, loc, toIndex(arith::RemUIOp::create(b, loc, lane, four)),
                                       constantIndex(b, loc, 2));
  Value ownColumn = arith::AddIOp::create(b, loc, column, within);
  Value end = constantIndex(b, loc, columns);
  auto pair = VectorType::get({2}, b.getF32Type());
  auto finishTwo = [&](OpBuilder &b, Value row, Value column, int64_t m, int64_t n, int64_t half) {
    SmallVector<Value> low, high, both;
    for (int64_t w = 0; w < static_cast<int64_t>(weights.size()); ++w) {
      ValueRange sums = sumsOf(w, m, n);
      low.push_back(sums[2 * half]);
      high.push_back(sums[2 * half + 1]);
    }
    if (!pairs) {
      ifBelow(b, loc, column, end, [&](OpBuilder &b) { finish(b, row, column, low, 1); });
      Value second = addIndex(b, loc, column, 1);
      ifBelow(b, loc, second, end, [&](OpBuilder &b) { finish(b, row, second, high, 1); });
      return;
    }
    ifBelow(b, loc, column, end, [&](OpBuilder &b) {
      for (auto [first, second] : llvm::zip(low, high))
        both.push_back(vector::FromElementsOp::create(b, loc, pair, ValueRange{first, second}));
      finish(b, row, column, both, 2);
    });
  };
  for (int64_t m = 0; m < down; ++m)
    for (int64_t half = 0; half < 2; ++half) {
      Value at = addIndex(b, loc, ownRow, m * 16 + half * 8);
      ifBelow(b, loc, at, rows, [&](OpBuilder &b) {
        for (int64_t n = 0; n < across; ++n)
          finishTwo(b, at, addIndex(b, loc, ownColumn, n * 8), m, n, half);
      });
    }
}
