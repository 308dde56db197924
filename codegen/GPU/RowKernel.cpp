//===- RowKernel.cpp - rows by the threads of a warp or block -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/RowKernel.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Which thread works on what
//===----------------------------------------------------------------------===//

RowOfThread mlir::transformer::rowOfThread(OpBuilder &b, Location loc, xgpu::ConfigAttr config, Value count) {
  int64_t rows = config.getTile()[0], threads = config.getTile()[1];
  Value thread = threadIndex(b, loc, config.getThreads()), size = constantIndex(b, loc, threads);
  Value first = arith::MulIOp::create(b, loc, blockIndex(b, loc), constantIndex(b, loc, rows));
  Value row = arith::AddIOp::create(b, loc, first, arith::DivUIOp::create(b, loc, thread, size));
  Value valid = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, row, count);
  // A group whose row does not exist computes the last one once more.
  Value last = arith::SubIOp::create(b, loc, count, constantIndex(b, loc, 1));
  return {arith::MinUIOp::create(b, loc, row, last), arith::RemUIOp::create(b, loc, thread, size), valid,
          threads};
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

bool mlir::transformer::isSharedByThreads(linalg::GenericOp op) {
  Type element = getElementTypeOrSelf(op.getResult(0).getType());
  return combiningKind(op) && op.getNumReductionLoops() == 1 && (element.isF32() || element.isInteger(32));
}

RowKernel::RowKernel(GPUKernelContext &context, Value tensor, int64_t width)
    : context(context), evaluator(context, width), tensor(tensor), widest(width),
      reductions(rowReductionsOf(tensor)), loc(tensor.getLoc()) {}

void RowKernel::chooseWidth(OpFoldResult size, function_ref<bool()> suits) {
  std::optional<int64_t> known = getConstantIntValue(size);
  for (int64_t width = widest; width > 1; width /= 2) {
    evaluator.setWidth(width);
    if (known && *known % width == 0 && suits())
      return;
  }
  evaluator.setWidth(1);
}

Value RowKernel::reduceBlock(OpBuilder &b, vector::CombiningKind kind, Value value,
                             const RowOfThread &thread) {
  value = reduceLanes(b, loc, kind, value, std::min(thread.threads, kWarp));
  int64_t warps = thread.threads / kWarp;
  if (warps <= 1)
    return value;
  // A place of its own for each reduction: no barrier before it is used again.
  int64_t offset = context.shared.allocate(context.config.getThreads() / kWarp * 4);
  Value base = sharedBase(b, loc), own = threadIndex(b, loc, context.config.getThreads());
  Value warp = arith::DivUIOp::create(b, loc, own, constantIndex(b, loc, kWarp));
  Value lane = arith::RemUIOp::create(b, loc, own, constantIndex(b, loc, kWarp));
  Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, lane, constantIndex(b, loc, 0));
  scf::IfOp::create(b, loc, isFirst, [&](OpBuilder &b, Location loc) {
    storeTo(b, loc, value, sharedAddress(b, loc, base, offset, warp, 4));
    scf::YieldOp::create(b, loc);
  });
  barrier(b, loc);
  Value first = arith::SubIOp::create(
      b, loc, warp, arith::DivUIOp::create(b, loc, thread.lane, constantIndex(b, loc, kWarp)));
  Value sum;
  for (int64_t i = 0; i < warps; ++i) {
    Value address = sharedAddress(b, loc, base, offset + 4 * i, first, 4);
    Value part = loadFrom(b, loc, value.getType(), address);
    sum = sum ? vector::makeArithReduction(b, loc, kind, sum, part) : part;
  }
  return sum;
}

Value RowKernel::reduce(OpBuilder &b, linalg::GenericOp op, const RowOfThread &thread,
                        ArrayRef<LaneIndex> at) {
  if (!isSharedByThreads(op)) {
    evaluator.setWidth(1);
    return evaluator.evaluateReduction(b, op, at); // each thread all of it
  }
  vector::CombiningKind kind = *combiningKind(op);
  Type element = getElementTypeOrSelf(op.getResult(0).getType());
  SmallVector<unsigned> dims;
  op.getReductionDims(dims);
  SmallVector<LaneIndex> loops(op.getNumLoops());
  for (auto [i, expr] : llvm::enumerate(op.getIndexingMapsArray().back().getResults()))
    loops[cast<AffineDimExpr>(expr).getPosition()] = at[i];
  SmallVector<bool> varies(op.getNumLoops(), false);
  varies[dims[0]] = true;
  OpFoldResult size = evaluator.loopSize(b, op, dims[0]);
  chooseWidth(size, [&] { return evaluator.canVectorizeRegion(op, varies, /*skipInits=*/true); });
  int64_t width = evaluator.getWidth();
  Value start = neutralElement(b, loc, kind, element);
  if (width > 1)
    start = evaluator.broadcast(b, loc, start);
  auto body = [&](OpBuilder &b, ArrayRef<Value> places, ValueRange carried) {
    Value sum = carried[0];
    for (Value place : places) {
      loops[dims[0]] = {place, width > 1};
      sum = evaluator.evaluateRegion(b, op, loops, sum);
      sum = width > 1 ? evaluator.broadcast(b, loc, sum) : sum;
    }
    return SmallVector<Value>{sum};
  };
  Value sum = forPlaces(b, thread, size, start, body)[0];
  if (width > 1)
    sum = vector::ReductionOp::create(b, loc, kind, sum, arith::FastMathFlags::reassoc);
  sum = reduceBlock(b, kind, sum, thread);
  Value init = evaluator.evaluate(b, op.getDpsInits()[0], at);
  return vector::makeArithReduction(b, loc, kind, sum, init);
}

SmallVector<Value> RowKernel::forPlaces(OpBuilder &b, const RowOfThread &thread, OpFoldResult size,
                                        ValueRange init, Places body) {
  constexpr int64_t together = 4;
  int64_t width = evaluator.getWidth(), stride = thread.threads * width;
  std::optional<int64_t> known = getConstantIntValue(size);
  Value from = arith::MulIOp::create(b, loc, thread.lane, constantIndex(b, loc, width));
  auto loop = [&](Value end, int64_t count, ValueRange init) {
    auto each = [&](OpBuilder &b, Location loc, Value place, ValueRange carried) {
      SmallVector<Value> places;
      for (int64_t i = 0; i < count; ++i)
        places.push_back(addIndex(b, loc, place, i * stride));
      scf::YieldOp::create(b, loc, body(b, places, carried));
    };
    return scf::ForOp::create(b, loc, from, end, constantIndex(b, loc, count * stride), init, each);
  };
  if (!known)
    return SmallVector<Value>(loop(indexValue(b, loc, size), 1, init).getResults());
  // Several that all threads have in a loop, then the rest of those, then one that some threads have.
  int64_t steps = *known / stride, looped = steps / together * together;
  SmallVector<Value> carried(init), places;
  if (looped > together)
    carried = SmallVector<Value>(loop(constantIndex(b, loc, looped * stride), together, init).getResults());
  else
    looped = 0;
  for (int64_t i = looped; i < steps; ++i)
    places.push_back(addIndex(b, loc, from, i * stride));
  for (ArrayRef<Value> rest = places; !rest.empty();
       rest = rest.drop_front(std::min<size_t>(rest.size(), together)))
    carried = body(b, rest.take_front(together), carried);
  if (*known % stride == 0)
    return carried;
  Value last = addIndex(b, loc, from, steps * stride);
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, last, indexValue(b, loc, size));
  auto more = scf::IfOp::create(
      b, loc, exists,
      [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, body(b, last, carried)); },
      [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, carried); });
  return SmallVector<Value>(more.getResults());
}

void RowKernel::setReduced(ValueRange values) {
  for (auto [reduction, value] : llvm::zip_equal(reductions, values))
    evaluator.setKnown(reduction.first->getResult(0), value);
}

void RowKernel::forgetReduced() {
  for (auto &[op, exprs] : reductions)
    evaluator.forget(op->getResult(0));
}

SmallVector<Value> RowKernel::reduceRow(OpBuilder &b, const RowOfThread &thread, ArrayRef<Value> leading) {
  SmallVector<Value> values;
  for (auto &[op, exprs] : reductions) {
    SmallVector<LaneIndex> row;
    for (AffineExpr expr : exprs)
      row.push_back({leading[cast<AffineDimExpr>(expr).getPosition()]});
    values.push_back(reduce(b, cast<linalg::GenericOp>(op), thread, row));
    evaluator.setKnown(op->getResult(0), values.back()); // for those behind it
  }
  forgetReduced();
  return values;
}

void RowKernel::emit(OpBuilder &b, const RowOfThread &thread, ArrayRef<Value> leading, Sink sink) {
  setReduced(reduceRow(b, thread, leading));
  int64_t rank = leading.size() + 1;
  SmallVector<bool> varies(rank, false);
  varies.back() = true;
  OpFoldResult size = evaluator.dimSize(b, tensor, rank - 1);
  chooseWidth(size, [&] { return evaluator.canVectorize(tensor, varies); });
  int64_t width = evaluator.getWidth();
  SmallVector<LaneIndex> at = llvm::map_to_vector(leading, [](Value v) { return LaneIndex{v}; });
  at.push_back({});
  auto body = [&](OpBuilder &b, ArrayRef<Value> places, ValueRange) {
    SmallVector<Value> values;
    for (Value place : places) {
      at.back() = {place, width > 1};
      Value value = evaluator.evaluate(b, tensor, at);
      values.push_back(width > 1 ? evaluator.broadcast(b, loc, value) : value);
    }
    for (auto [place, value] : llvm::zip_equal(places, values))
      sink(b, value, {place, width > 1});
    return SmallVector<Value>();
  };
  auto elements = [&](OpBuilder &b) { forPlaces(b, thread, size, {}, body); };
  if (thread.valid)
    ifTrue(b, loc, thread.valid, elements);
  else
    elements(b);
  forgetReduced();
}

Value RowKernel::neighbours(OpBuilder &b, ArrayRef<Value> leading, ValueRange reduced, Value column,
                            int64_t count) {
  setReduced(reduced);
  SmallVector<LaneIndex> at = llvm::map_to_vector(leading, [](Value v) { return LaneIndex{v}; });
  at.push_back({column, true});
  SmallVector<bool> varies(at.size(), false);
  varies.back() = true;
  evaluator.setWidth(count);
  Value result;
  if (evaluator.canVectorize(tensor, varies)) {
    result = evaluator.broadcast(b, loc, evaluator.evaluate(b, tensor, at));
  } else {
    evaluator.setWidth(1);
    SmallVector<Value> elements;
    for (int64_t i = 0; i < count; ++i) {
      at.back() = {addIndex(b, loc, column, i)};
      elements.push_back(evaluator.evaluate(b, tensor, at));
    }
    result =
        vector::FromElementsOp::create(b, loc, VectorType::get({count}, elements[0].getType()), elements);
  }
  forgetReduced();
  return result;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

/// The product of `sizes`.
static Value productOf(OpBuilder &b, Location loc, ArrayRef<OpFoldResult> sizes) {
  Value product = constantIndex(b, loc, 1);
  for (OpFoldResult size : sizes)
    product = arith::MulIOp::create(b, loc, product, indexValue(b, loc, size));
  return product;
}

LogicalResult mlir::transformer::emitRowsKernel(OpBuilder &b, GPUKernelContext &context) {
  Value result = outputOf(context.spec)->getResult(0);
  Location loc = result.getLoc();
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  Evaluator sizesOf(context, 1);
  Value outTensor = context.spec.getArguments().back();
  int64_t out = context.numberOf(outTensor);
  if (rank == 0) {
    setGrid(context.kernel, {});
    Value isFirst =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq,
                              threadIndex(b, loc, context.config.getThreads()), constantIndex(b, loc, 0));
    scf::IfOp::create(b, loc, isFirst, [&](OpBuilder &b, Location loc) {
      memref::StoreOp::create(b, loc, sizesOf.evaluate(b, result, {}), context.out(), ValueRange());
      scf::YieldOp::create(b, loc);
    });
    return success();
  }
  SmallVector<OpFoldResult> sizes;
  for (int64_t i = 0; i + 1 < rank; ++i)
    sizes.push_back(sizesOf.dimSize(b, outTensor, i));
  SmallVector<GridDim> grid;
  if (rank > 1)
    grid.push_back({out, 0, context.config.getTile()[0], rank - 1});
  setGrid(context.kernel, grid);
  RowOfThread thread = rowOfThread(b, loc, context.config, productOf(b, loc, sizes));
  SmallVector<Value> leading = delinearize(b, loc, thread.row, sizes);
  RowKernel(context, result, context.config.getVector())
      .emit(b, thread, leading, [&](OpBuilder &b, Value value, LaneIndex column) {
        SmallVector<Value> at(leading);
        at.push_back(column.base);
        storeElements(b, loc, value, context.out(), at, Value());
      });
  return success();
}

LogicalResult mlir::transformer::emitAppendKernel(OpBuilder &b, GPUKernelContext &context) {
  auto op = cast<CacheAppendOp>(outputOf(context.spec));
  Location loc = op.getLoc();
  KVCacheType type = op.getCache().getType();
  const SmallVector<Value> &parts = context.arguments[op.getCache()];
  Value count = context.spec.getArgument(0);
  if (!count.getType().isIndex())
    return op.emitOpError("expected a dispatch whose first argument is the number of positions");
  int64_t cache = context.numberOf(op.getCache()), rows = context.config.getTile()[0];
  setGrid(context.kernel, {{cache, 0, 1}, {context.numberOf(count), 0, 1}, {cache, 1, rows}});
  // Blocks of heads within a position, so that the grid is one of the dimensions.
  int64_t blocks = llvm::divideCeilSigned(type.getHeads(), rows);
  SmallVector<OpFoldResult> sizes{memref::DimOp::create(b, loc, parts[0], 0).getResult(),
                                  context.argument(count), b.getIndexAttr(blocks)};
  SmallVector<Value> place = delinearize(b, loc, blockIndex(b, loc), sizes);
  Value inBlock = threadIndex(b, loc, context.config.getThreads());
  int64_t threads = context.config.getTile()[1];
  Value size = constantIndex(b, loc, threads);
  Value head =
      arith::AddIOp::create(b, loc, arith::MulIOp::create(b, loc, place[2], constantIndex(b, loc, rows)),
                            arith::DivUIOp::create(b, loc, inBlock, size));
  Value heads = constantIndex(b, loc, type.getHeads());
  Value valid = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, head, heads);
  head = arith::MinUIOp::create(b, loc, head, constantIndex(b, loc, type.getHeads() - 1));
  RowOfThread thread{head, arith::RemUIOp::create(b, loc, inBlock, size), valid, threads};
  Value held = arith::IndexCastOp::create(b, loc, b.getIndexType(),
                                          memref::LoadOp::create(b, loc, parts[2], ValueRange{place[0]}));
  Value slot = arith::AddIOp::create(b, loc, arith::AddIOp::create(b, loc, held, parts[3]), place[1]);
  if (type.getPolicy() == CachePolicy::Ring)
    slot = arith::RemUIOp::create(b, loc, slot, memref::DimOp::create(b, loc, parts[0], 2));
  for (auto [source, target] : {std::pair(op.getKey(), parts[0]), std::pair(op.getValue(), parts[1])})
    RowKernel(context, source, context.config.getVector())
        .emit(b, thread, {place[0], place[1], head},
              [&, target = target](OpBuilder &b, Value x, LaneIndex column) {
                storeElements(b, loc, convertTo(b, loc, x, type.getElement()), target,
                              {place[0], head, slot, column.base}, Value());
              });
  return success();
}

LogicalResult mlir::transformer::emitElementsKernel(OpBuilder &b, GPUKernelContext &context) {
  Value result = outputOf(context.spec)->getResult(0);
  Location loc = result.getLoc();
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank(), threads = context.config.getThreads();
  Evaluator evaluator(context, 1);
  Value outTensor = context.spec.getArguments().back();
  SmallVector<OpFoldResult> sizes;
  for (int64_t i = 0; i < rank; ++i)
    sizes.push_back(evaluator.dimSize(b, outTensor, i));
  SmallVector<GridDim> grid;
  if (rank > 0)
    grid.push_back({context.numberOf(outTensor), 0, threads, rank});
  setGrid(context.kernel, grid);
  Value first = arith::MulIOp::create(b, loc, blockIndex(b, loc), constantIndex(b, loc, threads));
  Value element = arith::AddIOp::create(b, loc, first, threadIndex(b, loc, threads));
  Value exists = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, element, productOf(b, loc, sizes));
  scf::IfOp::create(b, loc, exists, [&](OpBuilder &b, Location loc) {
    SmallVector<Value> indices = delinearize(b, loc, element, sizes);
    SmallVector<LaneIndex> at = llvm::map_to_vector(indices, [](Value v) { return LaneIndex{v}; });
    memref::StoreOp::create(b, loc, evaluator.evaluate(b, result, at), context.out(), indices);
    scf::YieldOp::create(b, loc);
  });
  return success();
}
