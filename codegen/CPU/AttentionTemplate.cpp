//===- AttentionTemplate.cpp - attention and cache appends ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Online softmax (arXiv:1805.02867) over blocks of as many keys as a vector has
// lanes. With the running maximum m, sum l and output o, a block of scores s gives
//
//   m' = max(m, max s),  p = exp(s - m'),  c = exp(m - m')
//   l' = c l + sum p,    o' = c o + sum_j p_j v_j
//
// The mask is the range of keys that a query sees, so nothing is masked inside.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/RowEmitter.h"
#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

/// The positions that row `batch` of a cache holds.
static Value heldPositions(OpBuilder &b, Location loc, Value length, Value appended, Value batch) {
  Value held = arith::IndexCastOp::create(b, loc, b.getIndexType(),
                                          memref::LoadOp::create(b, loc, length, ValueRange{batch}));
  return arith::AddIOp::create(b, loc, held, appended);
}

namespace {

/// Emits the attention of one query row.
class AttentionEmitter {
public:
  AttentionEmitter(KernelContext &context, AttentionOp op, LoweringConfigAttr config)
      : context(context), op(op), loc(op.getLoc()), width(config.getVector()) {
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
      key = context.argument(op.getKey());
      value = context.argument(op.getValue());
      kvHeads = cast<MemRefType>(key.getType()).getDimSize(2);
    }
    for (int64_t at = 0; at < headDim;) {
      int64_t size =
          std::min(width, static_cast<int64_t>(llvm::bit_floor(static_cast<uint64_t>(headDim - at))));
      pieces.push_back({at, size});
      at += size;
    }
  }

  /// What stands before the loop over the tasks.
  void setUp(OpBuilder &b);
  void emit(OpBuilder &b, Value task);

private:
  /// A part of a head that fits a vector register.
  struct Piece {
    int64_t offset, size;
  };

  Value constant(OpBuilder &b, int64_t v) { return arith::ConstantIndexOp::create(b, loc, v); }
  VectorType vectorOf(int64_t size) { return VectorType::get({size}, Float32Type::get(op.getContext())); }
  Value splat(OpBuilder &b, Value scalar, int64_t size) {
    return vector::BroadcastOp::create(b, loc, vectorOf(size), scalar);
  }
  Value fma(OpBuilder &b, Value x, Value y, Value z) { return vector::FMAOp::create(b, loc, x, y, z); }

  /// Vectors of `memref` at the leading `indices`, widened to f32.
  SmallVector<Value> loadHead(OpBuilder &b, Value memref, ArrayRef<Value> indices);
  /// Where the key or value of position `j` stands.
  SmallVector<Value> rowOf(OpBuilder &b, Value j);
  /// Positions held, and the position of the query.
  void computeRange(OpBuilder &b, Value s);
  /// Scores of the keys [j, j + width), -inf from `high` on.
  Value scores(OpBuilder &b, Value j, Value s, ArrayRef<Value> q);

  KernelContext &context;
  AttentionOp op;
  Location loc;
  int64_t width, heads, kvHeads, headDim;
  Value query, key, value, length, appended;
  Value row; ///< [D], where the query is computed; null where it is an argument
  SmallVector<Piece> pieces;
  Value batch, head, kvHead, low, high;
};

SmallVector<Value> AttentionEmitter::loadHead(OpBuilder &b, Value memref, ArrayRef<Value> indices) {
  SmallVector<Value> vectors, at(indices);
  at.push_back(Value());
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  for (const Piece &piece : pieces) {
    at.back() = constant(b, piece.offset);
    vectors.push_back(
        widen(b, loc, vector::LoadOp::create(b, loc, VectorType::get({piece.size}, element), memref, at)));
  }
  return vectors;
}

SmallVector<Value> AttentionEmitter::rowOf(OpBuilder &b, Value j) {
  if (!op.getCache())
    return {batch, j, kvHead};
  if (op.getCache().getType().getPolicy() == CachePolicy::Ring)
    j = arith::RemUIOp::create(b, loc, j, memref::DimOp::create(b, loc, key, 2));
  return {batch, kvHead, j};
}

void AttentionEmitter::computeRange(OpBuilder &b, Value s) {
  Value held =
      length ? heldPositions(b, loc, length, appended, batch) : Value(memref::DimOp::create(b, loc, key, 1));
  low = constant(b, 0);
  high = held;
  if (op.getMask().getKind() == MaskKind::None)
    return;
  // The query stands at position held - Sq + s and sees itself.
  Value queries = memref::DimOp::create(b, loc, context.out(), 1);
  Value end =
      arith::AddIOp::create(b, loc, arith::SubIOp::create(b, loc, held, queries), addIndex(b, loc, s, 1));
  high = arith::MaxSIOp::create(b, loc, end, low);
  if (op.getMask().getKind() == MaskKind::Window)
    low = arith::MaxSIOp::create(b, loc, addIndex(b, loc, high, -op.getMask().getWindow()), low);
}

Value AttentionEmitter::scores(OpBuilder &b, Value j, Value s, ArrayRef<Value> q) {
  Value last = addIndex(b, loc, high, -1);
  Value result = arith::ConstantOp::create(b, loc, b.getZeroAttr(vectorOf(width)));
  Type f32 = b.getF32Type();
  for (int64_t i = 0; i < width; ++i) {
    // Keys past the end read the last one; their score is dropped below.
    Value at = arith::MinSIOp::create(b, loc, addIndex(b, loc, j, i), last);
    SmallVector<Value> k = loadHead(b, key, rowOf(b, at));
    Value dot;
    for (auto [n, piece] : llvm::enumerate(pieces)) {
      bool joins = n > 0 && piece.size == pieces[n - 1].size;
      if (!joins && dot && isa<VectorType>(dot.getType()))
        dot = horizontal(b, loc, vector::CombiningKind::ADD, dot, Value());
      if (joins && isa<VectorType>(dot.getType())) {
        dot = fma(b, q[n], k[n], dot);
        continue;
      }
      Value product = arith::MulFOp::create(b, loc, q[n], k[n]);
      dot = dot ? Value(horizontal(b, loc, vector::CombiningKind::ADD, product, dot)) : product;
    }
    if (isa<VectorType>(dot.getType()))
      dot = horizontal(b, loc, vector::CombiningKind::ADD, dot, Value());
    result = vector::InsertOp::create(b, loc, dot, result, i);
  }
  double scale = op.getScale().convertToDouble();
  result = arith::MulFOp::create(b, loc, result, splat(b, constantF32(b, loc, scale), width));
  if (op.getSoftcap()) {
    double cap = op.getSoftcap()->convertToDouble();
    Value inner = arith::MulFOp::create(b, loc, result, splat(b, constantF32(b, loc, 1.0 / cap), width));
    result = arith::MulFOp::create(b, loc, math::TanhOp::create(b, loc, inner),
                                   splat(b, constantF32(b, loc, cap), width));
  }
  if (op.getBias()) {
    auto type = cast<RankedTensorType>(op.getBias().getType());
    Value memref = context.argument(op.getBias()), zero = constant(b, 0);
    SmallVector<Value> at{type.getDimSize(0) == 1 ? zero : batch, type.getDimSize(1) == 1 ? zero : head, s,
                          Value()};
    for (int64_t i = 0; i < width; ++i) {
      at.back() = arith::MinSIOp::create(b, loc, addIndex(b, loc, j, i), last);
      Value bias = widen(b, loc, memref::LoadOp::create(b, loc, memref, at));
      Value score = vector::ExtractOp::create(b, loc, result, i);
      result = vector::InsertOp::create(b, loc, arith::AddFOp::create(b, loc, score, bias), result, i);
    }
  }
  Value visible = vector::CreateMaskOp::create(b, loc, VectorType::get({width}, b.getI1Type()),
                                               Value(arith::SubIOp::create(b, loc, high, j)));
  Value none = arith::ConstantOp::create(
      b, loc,
      b.getFloatAttr(f32, APFloat::getInf(cast<FloatType>(f32).getFloatSemantics(), /*Negative=*/true)));
  return arith::SelectOp::create(b, loc, visible, result, splat(b, none, width));
}

void AttentionEmitter::setUp(OpBuilder &b) {
  if (query)
    return;
  Type element = getElementTypeOrSelf(op.getQuery().getType());
  row = memref::AllocaOp::create(b, loc, MemRefType::get({headDim}, element), b.getI64IntegerAttr(64));
}

void AttentionEmitter::emit(OpBuilder &b, Value task) {
  auto type = cast<RankedTensorType>(op.getResult().getType());
  Value out = context.out();
  SmallVector<OpFoldResult> sizes{memref::DimOp::create(b, loc, out, 0).getResult(), b.getIndexAttr(heads),
                                  memref::DimOp::create(b, loc, out, 1).getResult()};
  SmallVector<Value> at = delinearize(b, loc, task, sizes);
  batch = at[0], head = at[1];
  Value s = at[2];
  kvHead = arith::DivUIOp::create(b, loc, head, constant(b, heads / kvHeads));
  computeRange(b, s);
  if (row)
    RowEmitter(context, op.getQuery(), width)
        .emit(b, {batch, s, head}, [&](OpBuilder &b, Value value, LaneIndex column, Value mask) {
          storeElements(b, loc, value, row, column.base, mask);
        });
  SmallVector<Value> q = row ? loadHead(b, row, {}) : loadHead(b, query, {batch, s, head});

  // Carried: maximum, sum, output. The maximum starts finite, so that a block of
  // nothing but -inf (a bias can do that) leaves zeros and not NaN.
  SmallVector<Value> start{constantF32(b, loc, -1.0e30), constantF32(b, loc, 0.0)};
  for (const Piece &piece : pieces)
    start.push_back(arith::ConstantOp::create(b, loc, b.getZeroAttr(vectorOf(piece.size))));
  auto block = [&](OpBuilder &b, Location loc, Value j, ValueRange carried) {
    Value score = scores(b, j, s, q);
    Value maximum = horizontal(b, loc, vector::CombiningKind::MAXIMUMF, score, carried[0]);
    Value p = math::ExpOp::create(b, loc, arith::SubFOp::create(b, loc, score, splat(b, maximum, width)));
    Value correction = math::ExpOp::create(b, loc, arith::SubFOp::create(b, loc, carried[0], maximum));
    Value sum = arith::MulFOp::create(b, loc, carried[1], correction);
    sum = horizontal(b, loc, vector::CombiningKind::ADD, p, sum);
    SmallVector<Value> next{maximum, sum};
    for (auto [n, piece] : llvm::enumerate(pieces))
      next.push_back(arith::MulFOp::create(b, loc, carried[2 + n], splat(b, correction, piece.size)));
    Value last = addIndex(b, loc, high, -1);
    for (int64_t i = 0; i < width; ++i) {
      Value at = arith::MinSIOp::create(b, loc, addIndex(b, loc, j, i), last);
      Value weight = vector::ExtractOp::create(b, loc, p, i);
      for (auto [n, v] : llvm::enumerate(loadHead(b, value, rowOf(b, at))))
        next[2 + n] = fma(b, splat(b, weight, pieces[n].size), v, next[2 + n]);
    }
    scf::YieldOp::create(b, loc, next);
  };
  auto loop = scf::ForOp::create(b, loc, low, high, constant(b, width), start, block);

  Value sum = loop.getResult(1), one = constantF32(b, loc, 1.0), zero = constantF32(b, loc, 0.0);
  Value any = arith::CmpFOp::create(b, loc, arith::CmpFPredicate::UNE, sum, zero);
  Value inverse = arith::SelectOp::create(b, loc, any, arith::DivFOp::create(b, loc, one, sum), zero);
  SmallVector<Value> outAt{batch, s, head, Value()};
  for (auto [n, piece] : llvm::enumerate(pieces)) {
    Value o = arith::MulFOp::create(b, loc, loop.getResult(2 + n), splat(b, inverse, piece.size));
    if (!type.getElementType().isF32())
      o = arith::TruncFOp::create(b, loc, VectorType::get({piece.size}, type.getElementType()), o);
    outAt.back() = constant(b, piece.offset);
    vector::StoreOp::create(b, loc, o, out, outAt);
  }
}

} // namespace

LogicalResult mlir::transformer::emitAttention(OpBuilder &b, KernelContext &context,
                                               LoweringConfigAttr config) {
  auto op = cast<AttentionOp>(outputOf(context.spec));
  int64_t out = context.kernel.getNumArguments() - 3;
  setGrid(context.kernel, {{out, 0, 1}, {out, 2, 1}, {out, 1, 1}});
  AttentionEmitter emitter(context, op, config);
  emitter.setUp(b);
  forEachTask(b, context, [&](OpBuilder &b, Value task) { emitter.emit(b, task); });
  return success();
}

LogicalResult mlir::transformer::emitCacheAppend(OpBuilder &b, KernelContext &context,
                                                 LoweringConfigAttr config) {
  auto op = cast<CacheAppendOp>(outputOf(context.spec));
  Location loc = op.getLoc();
  KVCacheType type = op.getCache().getType();
  const SmallVector<Value> &parts = context.arguments[op.getCache()];
  Value count = context.spec.getArgument(0);
  if (!count.getType().isIndex())
    return op.emitOpError("expected a dispatch whose first argument is the number of positions");
  int64_t cache = context.numberOf(op.getCache());
  setGrid(context.kernel, {{cache, 0, 1}, {context.numberOf(count), 0, 1}, {cache, 1, 1}});
  SmallVector<OpFoldResult> sizes{memref::DimOp::create(b, loc, parts[0], 0).getResult(),
                                  context.argument(count), b.getIndexAttr(type.getHeads())};
  forEachTask(b, context, [&](OpBuilder &b, Value task) {
    SmallVector<Value> at = delinearize(b, loc, task, sizes);
    Value held = heldPositions(b, loc, parts[2], parts[3], at[0]);
    Value slot = arith::AddIOp::create(b, loc, held, at[1]);
    if (type.getPolicy() == CachePolicy::Ring)
      slot = arith::RemUIOp::create(b, loc, slot, memref::DimOp::create(b, loc, parts[0], 2));
    for (auto [source, target] : {std::pair(op.getKey(), parts[0]), std::pair(op.getValue(), parts[1])})
      RowEmitter(context, source, config.getVector())
          .emit(b, at, [&, target = target](OpBuilder &b, Value x, LaneIndex column, Value mask) {
            Type element = type.getElement();
            if (element != getElementTypeOrSelf(x.getType())) {
              x = widen(b, loc, x);
              Type stored = element;
              if (auto vector = dyn_cast<VectorType>(x.getType()))
                stored = vector.clone(element);
              if (!element.isF32())
                x = arith::TruncFOp::create(b, loc, stored, x);
            }
            storeElements(b, loc, x, target, {at[0], at[2], slot, column.base}, mask);
          });
  });
  return success();
}
