//===- AttentionOps.cpp - rotary positions, attention, caches -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/OpUtils.h"
#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// rope
//===----------------------------------------------------------------------===//

LogicalResult RopeOp::verify() {
  ArrayRef<int64_t> input = shapeOf(getInput()), cos = shapeOf(getCos()), sin = shapeOf(getSin());
  // C1
  if (!shapesMatch(cos, sin))
    return emitOpError("expected cos and sin of the same shape, but got ")
           << getCos().getType() << " and " << getSin().getType();
  if (ShapedType::isDynamic(cos[1]) || ShapedType::isDynamic(input[3]) || 2 * cos[1] > input[3])
    return emitOpError("expected rotary_dim = 2 x ")
           << cos[1] << " to be at most the static head dimension, but got " << input[3];
  // C2
  if (!dimsMatch(shapeOf(getOffsets())[0], input[0]))
    return emitOpError("expected one offset per row, ")
           << input[0] << ", but got " << shapeOf(getOffsets())[0];
  // C3
  if (!shapesMatch(input, shapeOf(getResult())))
    return emitOpError("expected a result of the input's shape ")
           << getInput().getType() << ", but got " << getResult().getType();
  return success();
}

LogicalResult RopeOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getInput(), getResult()));
  return success();
}

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

LogicalResult AttentionOp::verify() {
  ArrayRef<int64_t> query = shapeOf(getQuery());
  // C1
  if (static_cast<bool>(getKey()) == static_cast<bool>(getCache()) ||
      static_cast<bool>(getKey()) != static_cast<bool>(getValue()))
    return emitOpError("expected either key and value or a cache");
  int64_t kvHeads, headDim;
  if (KVCacheType cache = getCache() ? getCache().getType() : KVCacheType()) {
    kvHeads = cache.getHeads();
    headDim = cache.getHeadDim();
    // C6
    if (cache.getPolicy() == CachePolicy::Ring &&
        (getMask().getKind() != MaskKind::Window || getMask().getWindow() > cache.getWindow()))
      return emitOpError("expected a window mask of at most ")
             << cache.getWindow() << " positions over a ring cache of that many, but got " << getMask();
  } else {
    ArrayRef<int64_t> key = shapeOf(getKey());
    // C2
    if (!shapesMatch(key, shapeOf(getValue())))
      return emitOpError("expected key and value of the same shape, but got ")
             << getKey().getType() << " and " << getValue().getType();
    if (!dimsMatch(key[0], query[0]))
      return emitOpError("expected key rows to equal query rows ") << query[0] << ", but got " << key[0];
    kvHeads = key[2];
    headDim = key[3];
  }
  // C2
  if (ShapedType::isDynamic(query[2]) || ShapedType::isDynamic(kvHeads) || kvHeads == 0 ||
      query[2] % kvHeads != 0)
    return emitOpError("expected key/value heads to divide the static query heads ")
           << query[2] << ", but got " << kvHeads;
  // C3
  if (ShapedType::isDynamic(query[3]) || query[3] != headDim)
    return emitOpError("expected key/value head dimension ") << query[3] << ", but got " << headDim;
  SmallVector<int64_t> shape(query);
  // C7
  if (getSplits()) {
    if (splitCount() <= 0 || leastSplitKeys() <= 0 || query[1] != 1)
      return emitOpError("expected a positive number of splits and of their keys, and one query position, "
                         "but got ")
             << splitCount() << " of " << leastSplitKeys() << " and " << getQuery().getType();
    shape[1] = splitCount();
    shape[3] += 2;
    if (!getElementTypeOrSelf(getResult().getType()).isF32())
      return emitOpError("expected splits with a result of f32, but got ") << getResult().getType();
  }
  if (!shapesMatch(shape, shapeOf(getResult())))
    return emitOpError("expected a result of ")
           << (getSplits() ? "[B, splits, H, D + 2] for the query's shape " : "the query's shape ")
           << getQuery().getType() << ", but got " << getResult().getType();
  // C4
  if (getBias()) {
    ArrayRef<int64_t> bias = shapeOf(getBias());
    int64_t keys = getKey() ? shapeOf(getKey())[1] : ShapedType::kDynamic;
    if ((bias[0] != 1 && !dimsMatch(bias[0], query[0])) || (bias[1] != 1 && bias[1] != query[2]) ||
        !dimsMatch(bias[2], query[1]) || !dimsMatch(bias[3], keys))
      return emitOpError("expected a bias of [B or 1, H or 1, Sq, Sk], but got ") << getBias().getType();
  }
  // C5
  if (getSoftcap() && !(getSoftcap()->convertToDouble() > 0))
    return emitOpError("expected a positive softcap, but got ") << getSoftcap()->convertToDouble();
  return success();
}

LogicalResult AttentionOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getQuery(), getResult()));
  return success();
}

//===----------------------------------------------------------------------===//
// attention_merge
//===----------------------------------------------------------------------===//

LogicalResult AttentionMergeOp::verify() {
  ArrayRef<int64_t> input = shapeOf(getInput()), result = shapeOf(getResult());
  // C1
  if (!dimsMatch(input[0], result[0]) || result[1] != 1 || ShapedType::isDynamic(input[1]) ||
      ShapedType::isDynamic(input[3]) || input[2] != result[2] || input[3] != result[3] + 2)
    return emitOpError("expected an input [B, splits, H, D + 2] and a result [B, 1, H, D], but got ")
           << getInput().getType() << " and " << getResult().getType();
  return success();
}

LogicalResult AttentionMergeOp::reifyResultShapes(OpBuilder &b, ReifiedRankedShapedTypeDims &dims) {
  dims.push_back(leadingDimsOf(b, getLoc(), getInput(), getResult()));
  return success();
}

//===----------------------------------------------------------------------===//
// cache_append
//===----------------------------------------------------------------------===//

/// Whether `user` takes ownership of a cache it reads: an append, a return, or
/// the place of a launch's result.
static bool consumesCache(OpOperand &use) {
  Operation *user = use.getOwner();
  if (isa<CacheAppendOp, func::ReturnOp>(user))
    return true;
  if (auto launch = dyn_cast<LaunchOp>(user))
    return llvm::is_contained(launch.getOutputs(), use.get());
  return false;
}

LogicalResult CacheAppendOp::verify() {
  ArrayRef<int64_t> key = shapeOf(getKey());
  KVCacheType type = getCache().getType();
  // C1
  if (!shapesMatch(key, shapeOf(getValue())))
    return emitOpError("expected keys and values of the same shape, but got ")
           << getKey().getType() << " and " << getValue().getType();
  if (key[2] != type.getHeads() || key[3] != type.getHeadDim())
    return emitOpError("expected keys of ") << type.getHeads() << " x " << type.getHeadDim()
                                            << " as in the cache, but got " << getKey().getType();
  // C2
  for (OpOperand &use : getCache().getUses()) {
    Operation *user = use.getOwner();
    if (user == getOperation())
      continue;
    if (consumesCache(use))
      return emitOpError("consumes a cache that another op consumes too; a cache has one consumer")
                 .attachNote(user->getLoc())
             << "the other consumer is here";
    if (user->getBlock() == (*this)->getBlock() && (*this)->isBeforeInBlock(user))
      return emitOpError("consumes a cache that is read afterwards; read the cache it returns")
                 .attachNote(user->getLoc())
             << "the later read is here";
  }
  return success();
}
