//===- KernelTypes.h - values of the tensor level as buffers --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef DIALECT_KERNELTYPES_H
#define DIALECT_KERNELTYPES_H

#include "dialect/Transformer.h"

namespace mlir::transformer {

/// The dense tensor that `type` is in memory: itself, or what it is packed to. A value of
/// i4 is a byte there; packed, two of them are.
inline RankedTensorType storedType(RankedTensorType type) {
  PackedAttr packed = PackedAttr::of(type);
  bool isNarrow = type.getElementType().isInteger(4);
  if (!packed && !isNarrow)
    return type;
  Type element = isNarrow ? IntegerType::get(type.getContext(), 8) : type.getElementType();
  return RankedTensorType::get(packed ? packed.getStoredShape(type) : SmallVector<int64_t>(type.getShape()),
                               element);
}

/// The dense memref of a tensor's shape in memory.
inline MemRefType memrefOf(RankedTensorType type) {
  RankedTensorType stored = storedType(type);
  return MemRefType::get(stored.getShape(), stored.getElementType());
}

/// Values a cache has in a kernel.
constexpr unsigned kCacheParts = 4;

/// Appends the types that a value of `type` has in a kernel: keys and values
/// [B, heads, C, head_dim], lengths [B] as they were when the call began and the
/// positions appended since for a cache, a memref for a tensor.
inline void appendKernelTypes(Type type, SmallVectorImpl<Type> &types) {
  if (auto cache = dyn_cast<KVCacheType>(type)) {
    constexpr int64_t dynamic = ShapedType::kDynamic;
    auto data = MemRefType::get({dynamic, cache.getHeads(), dynamic, cache.getHeadDim()}, cache.getElement());
    types.append({data, data, MemRefType::get({dynamic}, IntegerType::get(type.getContext(), 32)),
                  IndexType::get(type.getContext())});
  } else if (auto tensor = dyn_cast<RankedTensorType>(type)) {
    types.push_back(memrefOf(tensor));
  } else {
    types.push_back(type);
  }
}

} // namespace mlir::transformer

#endif // DIALECT_KERNELTYPES_H
