//===- Matching.h - forms that several patterns look for ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_MATCHING_H
#define PASSES_MATCHING_H

#include "dialect/Transformer.h"

#include "mlir/IR/PatternMatch.h"

namespace mlir::transformer {

/// expand_shape [..., heads * headDim] -> [..., heads, headDim]
struct HeadSplit {
  tensor::ExpandShapeOp op;
  int64_t heads, headDim;
};
std::optional<HeadSplit> headSplitOf(Operation *op);

/// extract_slice x[..., begin : begin + size], all of the other dimensions
struct LastSlice {
  tensor::ExtractSliceOp op;
  int64_t begin, size;
};
std::optional<LastSlice> lastSliceOf(Operation *op);

/// Whether the value reaches queries, keys or values of an attention: through
/// rotations, norms, reshapes and elementwise ops.
bool feedsAttention(Value value);

/// Whether `ids` are positions of a sequence: computed from the lengths of caches,
/// constants and indices alone.
bool arePositions(Value ids);

/// Whether `op` computes each element from the elements at the same place.
bool isElementwise(Operation *op);

/// Whether `size` is provably the size of dimension `i` of `value`: followed to
/// where both come from, through ops that keep the dimension.
bool isSizeOf(OpFoldResult size, Value value, int64_t i);

Type elementTypeOf(Value value);
/// `type` with `size` as its last dimension.
RankedTensorType withLast(RankedTensorType type, int64_t size);

/// The sizes of all but the last dimension of `input`; dynamic ones are those of
/// `split` where they are there already at the builder's place.
SmallVector<OpFoldResult> leadingSizes(OpBuilder &builder, Location loc, Value input,
                                       tensor::ExpandShapeOp split);

/// A name for what is made of several ops: "layers.0.attn_q", "…_k", "…_v" are
/// "layers.0.attn_qkv"; "layers.0.ffn_gate", "…_up" are "layers.0.ffn".
Location jointLoc(ArrayRef<Location> locs);

} // namespace mlir::transformer

#endif // PASSES_MATCHING_H
