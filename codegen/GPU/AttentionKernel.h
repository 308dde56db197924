//===- AttentionKernel.h - what templates of attention share ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_ATTENTIONKERNEL_H
#define CODEGEN_GPU_ATTENTIONKERNEL_H

#include "codegen/Common/GenericBuilder.h"
#include "codegen/GPU/ContractionKernel.h"

namespace mlir::transformer {

/// Maximum of a query that has seen nothing, and score of what is hidden: finite, so that no difference is
/// NaN, and so much less that it weighs nothing even then.
constexpr double kNothing = AttentionOp::kNoMaximum, kHidden = -1.0e35, kLog2E = 1.4426950408889634;

/// What is known of an attention without its kernel.
struct AttentionShape {
  explicit AttentionShape(AttentionOp op);

  Type query, key, value;
  int64_t positions; ///< of the query; may be dynamic
  int64_t heads, kvHeads, group, headDim;
  /// Queries, keys and values of one type of 16 bits.
  bool isNarrow() const { return query == key && key == value && (query.isBF16() || query.isF16()); }
  /// Elements of 16 bits that can be moved at once, 16 bytes at most: every head begins at a multiple of
  /// them.
  int64_t piece() const { return std::min<int64_t>(headDim & -headDim, 8); }
};

/// The operands of an attention in a kernel, the keys that a query sees, and where they stand.
class AttentionKernel {
public:
  AttentionKernel(GPUKernelContext &context, AttentionOp op);

protected:
  /// Sets the sequence and the head of keys of the block (index), and what follows from them.
  void beginSequence(OpBuilder &b, Value batch, Value kvHead);
  /// Keys that the query of position `s` of the call (index) sees: [low, high) (i32).
  std::pair<Value, Value> rangeOf(OpBuilder &b, Value s);
  /// The row, of all rows of a head's dimensions, where a key (or its value) stands (i32); behind the last
  /// one that of the last.
  Value keyRow(OpBuilder &b, Value position);
  /// The same of a query; s and head are indices.
  Value queryRow(OpBuilder &b, Value s, Value head);
  /// A sum of products with its scale, cap and bias, where the maximum must be of what is finished; else as
  /// it is. s, head and j (the key, at most the last one) are indices.
  Value finishScore(OpBuilder &b, Value score, Value s, Value head, Value j);
  /// Scores are finished before their maximum is taken.
  bool isGeneral() { return op.getSoftcap() || op.getBias() || op.getScale().convertToDouble() <= 0; }
  /// What differences of scores are multiplied by before they are exponents of 2.
  double factor() { return isGeneral() ? kLog2E : op.getScale().convertToDouble() * kLog2E; }
  bool hasWindow() { return op.getMask().getKind() == MaskKind::Window; }

  Value f32(OpBuilder &b, double v) { return constantF32(b, loc, v); }
  Value i32(OpBuilder &b, int64_t v) { return constantI32(b, loc, v); }
  Value index(OpBuilder &b, int64_t v) { return constantIndex(b, loc, v); }
  Value toI32(OpBuilder &b, Value v) { return arith::IndexCastUIOp::create(b, loc, b.getI32Type(), v); }
  Value toIndex(OpBuilder &b, Value v) { return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), v); }
  Value add(OpBuilder &b, Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  /// Of i32, by a constant.
  Value mul(OpBuilder &b, Value x, int64_t y) { return arith::MulIOp::create(b, loc, x, i32(b, y)); }
  Value div(OpBuilder &b, Value x, int64_t y) { return arith::DivUIOp::create(b, loc, x, i32(b, y)); }
  Value rem(OpBuilder &b, Value x, int64_t y) { return arith::RemUIOp::create(b, loc, x, i32(b, y)); }
  Value below(OpBuilder &b, Value x, Value bound) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, x, bound);
  }
  Value isZero(OpBuilder &b, Value x) {
    return arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, x, i32(b, 0));
  }
  Value mulF(OpBuilder &b, Value x, Value y) {
    return arith::MulFOp::create(b, loc, x, y, arith::FastMathFlags::contract);
  }
  Value addF(OpBuilder &b, Value x, Value y) {
    return arith::AddFOp::create(b, loc, x, y, arith::FastMathFlags::contract);
  }
  Value maxF(OpBuilder &b, Value x, Value y) { return arith::MaxNumFOp::create(b, loc, x, y); }
  Value exp2(OpBuilder &b, Value x) { return approximateExp2(b, loc, x); }
  /// 2^((x - maximum) factor)
  Value weigh(OpBuilder &b, Value x, Value maximum);
  /// 1 / total, or 0 where no key was seen.
  Value inverseOf(OpBuilder &b, Value total);

  GPUKernelContext &context;
  AttentionOp op;
  Location loc;
  AttentionShape shape;
  int64_t heads, kvHeads, group, headDim;
  Value query, key, value, length, appended;
  Value batch, kvHead, positions, held; ///< index
  /// The last key, and the row where the first one stands: 32 bits are fewer registers all the kernel long.
  Value lastKey, firstKeyRow;
};

/// Attention of many queries: a block has `tile` = [rows, keys], rows being positions times the query heads
/// that share keys, position by position, so that keys are read once for all of them.
class PrefillAttention : protected AttentionKernel {
protected:
  PrefillAttention(GPUKernelContext &context, AttentionOp op)
      : AttentionKernel(context, op), rows(context.config.getTile()[0]), keys(context.config.getTile()[1]),
        threads(context.config.getThreads()), positionsOfBlock(rows / group) {}

  /// Sets the grid, the thread and what the block's place in the grid says.
  void beginBlock(OpBuilder &b);
  /// A row's position in the call and its query head (index).
  std::pair<Value, Value> placeOf(OpBuilder &b, Value row);
  /// The same for a row that exists: of the last position where there are fewer.
  std::pair<Value, Value> existingPlaceOf(OpBuilder &b, Value row);
  /// Whether there is such a row, its position being `s`.
  Value exists(OpBuilder &b, Value row, Value s);
  /// Keys that a row of the block (index) sees: [low, high) (i32).
  std::pair<Value, Value> rangeOfRow(OpBuilder &b, Value row) { return rangeOf(b, placeOf(b, row).first); }
  /// Keys that any row of the block sees, from a multiple of the tile on: [begin, end) (i32).
  std::pair<Value, Value> rangeOfBlock(OpBuilder &b);

  int64_t rows, keys, threads, positionsOfBlock;
  Value base, thread, lane, warp; ///< i32
  Value firstPosition;            ///< index
};

} // namespace mlir::transformer

#endif // CODEGEN_GPU_ATTENTIONKERNEL_H
