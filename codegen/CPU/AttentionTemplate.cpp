//===- AttentionTemplate.cpp - the tasks of attention ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sets a task up, walks its tiles of keys and finishes its rows; what happens to a
// tile stands in AttentionKeys, AttentionScores and AttentionSoftmax.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/AttentionEmitter.h"

#include "codegen/CPU/MicroKernel.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

/// Rows of queries that are on their way while one is copied, of a thread's first task: those of the others
/// were asked for by the task before.
static constexpr int64_t kQueryRowsAhead = 64;

AttentionEmitter::AttentionEmitter(KernelContext &context, AttentionOp op, LoweringConfigAttr config)
    : context(context), op(op), loc(op.getLoc()), lanes(config.getVector()), tileRows(config.getTile()[0]),
      tileColumns(config.getTile()[1]), blockPositions(config.getBlock()[0]), blockKeys(config.getBlock()[1]),
      depth(config.getBlock()[2]), keyAlignment(config.getBlock()[3]), unroll(config.getBlock()[6]) {
  auto type = cast<RankedTensorType>(op.getQuery().getType());
  heads = type.getDimSize(2);
  headDim = type.getDimSize(3);
  if (isa<BlockArgument>(op.getQuery()))
    query = context.argument(op.getQuery());
  if (op.getCache()) {
    const SmallVector<Value> &parts = context.arguments[op.getCache()];
    key = parts[0], value = parts[1], length = parts[2], appended = parts[3];
    kvHeads = op.getCache().getType().getHeads();
  } else {
    if (isa<BlockArgument>(op.getKey()))
      key = context.argument(op.getKey());
    if (isa<BlockArgument>(op.getValue()))
      value = context.argument(op.getValue());
    kvHeads = cast<RankedTensorType>(op.getKey().getType()).getDimSize(2);
  }
  group = heads / kvHeads;
  words = headDim / depth;
  byRows = isDecode() && config.getBlock()[7] != 0;
  paddedDim = llvm::alignTo(headDim, lanes);
  Type f32 = Float32Type::get(op.getContext()), bf16 = BFloat16Type::get(op.getContext());
  operand = depth > 1 ? bf16 : f32;
  valueDepth = isDecode() ? 1 : depth;
  valueOperand = operand;
  copiesValues = !isDecode() || headDim % lanes != 0;
  // One position begins where its keys do, for any cut of the prompt.
  if (isDecode())
    keyAlignment = 1;
  // A last few keys would be a tile for little work.
  mostKeys = isDecode() || keyAlignment > 1 ? blockKeys : blockKeys + tileColumns;
  // Where decoding copies keys and queries, whole vectors are copied.
  queryDim = isDecode() ? llvm::alignTo(headDim, lanes * depth) : headDim;
}

/// Whole register tiles, then tiles of powers of two for the rest.
void AttentionEmitter::forRowTiles(OpBuilder &b, function_ref<void(OpBuilder &, RowTile)> body) {
  Value zero = constant(b, 0);
  Value whole = roundDown(b, rows, constant(b, tileRows));
  bool fits = blockPositions * group >= tileRows;
  if (fits)
    forLoop(b, zero, whole, tileRows, [&](OpBuilder &b, Value row) { body(b, {row, tileRows}); });
  int64_t most = std::min(tileRows - 1, blockPositions * group);
  Value next = fits ? whole : zero;
  for (int64_t count = llvm::bit_floor(static_cast<uint64_t>(most)); count >= 1; count /= 2) {
    Value bit = arith::AndIOp::create(b, loc, fits ? Value(arith::SubIOp::create(b, loc, rows, whole)) : rows,
                                      constant(b, count));
    Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, bit, zero);
    scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
      body(b, {MicroKernel::opaqueIndex(b, loc, next), count});
      scf::YieldOp::create(b, loc);
    });
    next = arith::AddIOp::create(b, loc, next, bit);
  }
}

//===----------------------------------------------------------------------===//
// Setting up
//===----------------------------------------------------------------------===//

void AttentionEmitter::allocate(OpBuilder &b) {
  Type f32 = b.getF32Type();
  auto scratch = [&](ArrayRef<int64_t> shape, Type element) -> Value {
    return memref::AllocaOp::create(b, loc, MemRefType::get(shape, element), b.getI64IntegerAttr(64));
  };
  int64_t most = blockPositions * group;
  if (isDecode())
    allocateDecode(scratch);
  else
    q = scratch({most, queryDim + 4 * depth}, operand);
  // Transposition writes whole vectors of words, and the micro-kernel reads whole tiles of keys.
  if (!isDecode())
    kt = scratch({mostKeys / tileColumns, llvm::divideCeilSigned(words, lanes) * lanes, tileColumns * depth},
                 operand);
  if (copiesValues)
    vp = isDecode() ? scratch({mostKeys, paddedDim}, valueOperand)
                    : scratch({llvm::divideCeilSigned(paddedDim, tileColumns), mostKeys / valueDepth,
                               tileColumns * valueDepth},
                              valueOperand);
  if (!isDecode()) {
    scores = scratch({std::min(tileRows, most), mostKeys + lanes}, f32);
    weights = valueDepth > 1 ? scratch({tileRows, mostKeys + lanes}, valueOperand) : scores;
    corrections = scratch({tileRows}, f32);
  }
  output = scratch({most, paddedDim}, f32);
  // Keys and values that are computed stand as rows of the tile, [1, keys, 1, D].
  auto rowsOf = [&](Value tensor) {
    return scratch({1, mostKeys, 1, headDim}, getElementTypeOrSelf(tensor.getType()));
  };
  if (!key)
    key = keyRows = rowsOf(op.getKey());
  if (!value)
    value = valueRows = rowsOf(op.getValue());
  maxima = scratch({most}, f32);
  sums = scratch({most}, f32);
}

AttentionEmitter::Task AttentionEmitter::taskOf(OpBuilder &b, Value number) {
  Value batches = memref::DimOp::create(b, loc, context.out(), 0);
  Value blocks = arith::CeilDivUIOp::create(b, loc, positions, constant(b, blockPositions));
  SmallVector<Value> at = delinearize(b, loc, number, {batches, b.getIndexAttr(kvHeads), blocks});
  return {at[0], at[1], arith::MulIOp::create(b, loc, at[2], constant(b, blockPositions))};
}

void AttentionEmitter::beginTask(OpBuilder &b, Value number) {
  positions = memref::DimOp::create(b, loc, context.out(), 1);
  task = taskOf(b, number);
  held = length ? heldPositions(b, loc, length, appended, task.batch)
                : indexValue(b, loc, Evaluator(context, lanes).dimSize(b, op.getKey(), 1));
  if (isSplit()) {
    // A block is one split here.
    split = task.firstPosition;
    task.firstPosition = constant(b, 0), positions = constant(b, 1), rows = constant(b, group);
    return;
  }
  Value count = arith::MinUIOp::create(b, loc, arith::SubIOp::create(b, loc, positions, task.firstPosition),
                                       constant(b, blockPositions));
  rows = arith::MulIOp::create(b, loc, count, constant(b, group));
  if (isDecode())
    return;
  Value next = addIndex(b, loc, number, 1);
  following = taskOf(b, next);
  isFollowed = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, next, context.end);
}

/// The position in the call and the query head of a task's row.
std::pair<Value, Value> AttentionEmitter::positionAndHead(OpBuilder &b, const Task &task, Value row) {
  Value size = arith::ConstantIndexOp::create(b, loc, group);
  Value s = arith::AddIOp::create(b, loc, task.firstPosition, arith::DivUIOp::create(b, loc, row, size));
  Value head = arith::AddIOp::create(b, loc, arith::MulIOp::create(b, loc, task.kvHead, size),
                                     arith::RemUIOp::create(b, loc, row, size));
  return {s, head};
}

void AttentionEmitter::loadQueries(OpBuilder &b) {
  RowEmitter emitter(context, op.getQuery(), lanes);
  Value target = isDecode() ? qRows : q;
  forLoop(b, constant(b, 0), rows, 1, [&](OpBuilder &b, Value row) {
    auto [s, head] = positionAndHead(b, task, row);
    if (!isDecode())
      prefetchQuery(b, task, addIndex(b, loc, row, kQueryRowsAhead));
    if (queryDim > headDim)
      for (int64_t d = 0; d < queryDim; d += lanes * depth)
        vector::StoreOp::create(
            b, loc, arith::ConstantOp::create(b, loc, b.getZeroAttr(vectorOf(lanes * depth, operand))),
            target, ValueRange{row, constant(b, d)});
    emitter.emit(b, {task.batch, s, head},
                 [&, row = row](OpBuilder &b, Value x, LaneIndex column, Value mask) {
                   if (getElementTypeOrSelf(x.getType()) != operand)
                     x = widen(b, loc, x);
                   storeElements(b, loc, x, target, {row, column.base}, mask);
                 });
    memref::StoreOp::create(b, loc, constantF32(b, loc, kNothing), maxima, row);
    memref::StoreOp::create(b, loc, constantF32(b, loc, 0.0), sums, row);
    Value zero = splat(b, 0.0);
    for (int64_t d = 0; d < paddedDim; d += lanes)
      vector::StoreOp::create(b, loc, zero, output, ValueRange{row, constant(b, d)});
  });
  if (isDecode())
    arrangeQueries(b);
}

std::pair<Value, Value> AttentionEmitter::rangeOf(OpBuilder &b, Value row) {
  Value low = constant(b, 0), high = held;
  if (op.getMask().getKind() == MaskKind::None)
    return {low, high};
  // The query of position s of the call stands at held - S + s and sees itself.
  Value s = arith::AddIOp::create(b, loc, task.firstPosition,
                                  arith::DivUIOp::create(b, loc, row, constant(b, group)));
  Value end =
      arith::AddIOp::create(b, loc, arith::SubIOp::create(b, loc, held, positions), addIndex(b, loc, s, 1));
  high = arith::MaxSIOp::create(b, loc, end, low);
  if (op.getMask().getKind() == MaskKind::Window)
    low = arith::MaxSIOp::create(b, loc, addIndex(b, loc, high, -op.getMask().getWindow()), low);
  return {low, high};
}

/// Where the task's split of the visible keys [low, high) begins and ends.
std::pair<Value, Value> AttentionEmitter::splitOf(OpBuilder &b, Value low, Value high) {
  constexpr int64_t unit = AttentionOp::kSplitUnit;
  Value visible = arith::MaxSIOp::create(b, loc, arith::SubIOp::create(b, loc, high, low), constant(b, 0));
  Value even = arith::CeilDivUIOp::create(b, loc, visible, constant(b, op.splitCount()));
  even = arith::CeilDivUIOp::create(b, loc, even, constant(b, unit));
  Value keys = arith::MaxUIOp::create(b, loc, arith::MulIOp::create(b, loc, even, constant(b, unit)),
                                      constant(b, llvm::alignTo(op.leastSplitKeys(), unit)));
  Value begin = arith::AddIOp::create(b, loc, low, arith::MulIOp::create(b, loc, split, keys));
  return {begin, arith::MinSIOp::create(b, loc, arith::AddIOp::create(b, loc, begin, keys), high)};
}

void AttentionEmitter::emit(OpBuilder &b) {
  int64_t out = context.kernel.getNumArguments() - 3;
  // A factor of heads that no dimension of the result holds: its own divided by the group.
  setGrid(context.kernel, {{out, 0, 1}, {out, 2, group}, {out, 1, blockPositions}});
  allocate(b);
  forEachTask(b, context, [&](OpBuilder &b, Value number) {
    beginTask(b, number);
    Value low = rangeOf(b, constant(b, 0)).first;
    Value high = rangeOf(b, addIndex(b, loc, rows, -1)).second;
    if (!isSplit()) {
      loadQueries(b);
      walkKeys(b, low, high);
      return finish(b);
    }
    auto [begin, end] = splitOf(b, low, high);
    Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, begin, end);
    scf::IfOp::create(
        b, loc, any,
        [&, begin = begin, end = end](OpBuilder &b, Location loc) {
          loadQueries(b);
          walkKeys(b, begin, end);
          finishSplit(b);
          scf::YieldOp::create(b, loc);
        },
        [&](OpBuilder &b, Location loc) {
          finishEmptySplit(b);
          scf::YieldOp::create(b, loc);
        });
  });
}

/// Attends to the keys of [low, high), tile by tile.
void AttentionEmitter::walkKeys(OpBuilder &b, Value low, Value high) {
  // A tile of a ring ends where the ring does, so that its keys lie in a row. Where
  // results may not depend on the block, tiles end at multiples of their size.
  bool isRing = op.getCache() && op.getCache().getType().getPolicy() == CachePolicy::Ring;
  Value capacity = isRing ? Value(memref::DimOp::create(b, loc, key, 2)) : Value();
  if (keyAlignment > 1) {
    Value aligned = roundDown(b, low, constant(b, keyAlignment));
    low = isRing ? Value(arith::MaxSIOp::create(b, loc, aligned, roundDown(b, low, capacity))) : aligned;
  }
  scf::WhileOp::create(
      b, loc, TypeRange(low.getType()), ValueRange(low),
      [&](OpBuilder &b, Location loc, ValueRange carried) {
        Value more = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::slt, carried[0], high);
        scf::ConditionOp::create(b, loc, more, carried);
      },
      [&](OpBuilder &b, Location loc, ValueRange carried) {
        Value begin = carried[0];
        Value base = keyAlignment > 1 ? roundDown(b, begin, constant(b, keyAlignment)) : begin;
        Value end = addIndex(b, loc, base, blockKeys);
        if (mostKeys > blockKeys) {
          Value fits = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::sle, high,
                                             addIndex(b, loc, base, mostKeys));
          end = arith::SelectOp::create(b, loc, fits, high, end);
        } else {
          end = arith::MinSIOp::create(b, loc, end, high);
        }
        place = begin;
        if (isRing) {
          place = arith::RemUIOp::create(b, loc, begin, capacity);
          Value left = arith::SubIOp::create(b, loc, capacity, place);
          end = arith::MinSIOp::create(b, loc, end, arith::AddIOp::create(b, loc, begin, left));
        }
        left = arith::SubIOp::create(b, loc, high, begin);
        emitKeyTile(b, begin, end);
        scf::YieldOp::create(b, loc, end);
      });
  if (isDecode())
    settleLanes(b);
}

/// Divides by the sums and writes the block; a row that saw no key gets zeros.
void AttentionEmitter::finish(OpBuilder &b) {
  Type element = cast<RankedTensorType>(op.getResult().getType()).getElementType();
  forLoop(b, constant(b, 0), rows, 1, [&](OpBuilder &b, Value row) {
    auto [s, head] = positionAndHead(b, task, row);
    Value sum = memref::LoadOp::create(b, loc, sums, row);
    Value one = constantF32(b, loc, 1.0), zero = constantF32(b, loc, 0.0);
    Value any = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, sum, zero);
    Value inverse = arith::SelectOp::create(b, loc, any, arith::DivFOp::create(b, loc, one, sum), zero);
    for (int64_t d = 0; d < headDim; d += lanes) {
      Value o = vector::LoadOp::create(b, loc, f32Vector(b), output, ValueRange{row, constant(b, d)});
      o = arith::MulFOp::create(b, loc, o, splat(b, inverse));
      if (!element.isF32())
        o = arith::TruncFOp::create(b, loc, vectorOf(lanes, element), o);
      Value mask;
      if (headDim - d < lanes)
        mask = vector::CreateMaskOp::create(b, loc, vectorOf(lanes, b.getI1Type()), constant(b, headDim - d));
      storeElements(b, loc, o, context.out(), {task.batch, s, head, constant(b, d)}, mask);
    }
  });
}

/// Writes the rows of a split as they are, each with its maximum and the sum of its
/// weights: [B, splits, H, D + 2].
void AttentionEmitter::finishSplit(OpBuilder &b) {
  double scale = isGeneral() ? 1 : op.getScale().convertToDouble();
  forLoop(b, constant(b, 0), rows, 1, [&](OpBuilder &b, Value row) {
    Value head = positionAndHead(b, task, row).second;
    for (int64_t d = 0; d < headDim; d += lanes) {
      Value o = vector::LoadOp::create(b, loc, f32Vector(b), output, ValueRange{row, constant(b, d)});
      Value mask;
      if (headDim - d < lanes)
        mask = vector::CreateMaskOp::create(b, loc, vectorOf(lanes, b.getI1Type()), constant(b, headDim - d));
      storeElements(b, loc, o, context.out(), {task.batch, split, head, constant(b, d)}, mask);
    }
    Value sum = memref::LoadOp::create(b, loc, sums, row), most = memref::LoadOp::create(b, loc, maxima, row);
    most = arith::MulFOp::create(b, loc, most, constantF32(b, loc, scale));
    memref::StoreOp::create(b, loc, most, context.out(),
                            ValueRange{task.batch, split, head, constant(b, headDim)});
    memref::StoreOp::create(b, loc, sum, context.out(),
                            ValueRange{task.batch, split, head, constant(b, headDim + 1)});
  });
}

/// Of a split without keys nobody reads more than that there are none.
void AttentionEmitter::finishEmptySplit(OpBuilder &b) {
  forLoop(b, constant(b, 0), rows, 1, [&](OpBuilder &b, Value row) {
    Value head = positionAndHead(b, task, row).second;
    memref::StoreOp::create(b, loc, constantF32(b, loc, kNothing), context.out(),
                            ValueRange{task.batch, split, head, constant(b, headDim)});
    memref::StoreOp::create(b, loc, constantF32(b, loc, 0.0), context.out(),
                            ValueRange{task.batch, split, head, constant(b, headDim + 1)});
  });
}

LogicalResult mlir::transformer::emitAttention(OpBuilder &b, KernelContext &context,
                                               LoweringConfigAttr config) {
  auto op = cast<AttentionOp>(outputOf(context.spec));
  AttentionEmitter(context, op, config).emit(b);
  return success();
}
