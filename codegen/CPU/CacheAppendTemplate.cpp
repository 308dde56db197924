//===- CacheAppendTemplate.cpp - writing positions into a cache ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/AttentionEmitter.h"

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

/// The positions that row `batch` of a cache holds.
Value mlir::transformer::heldPositions(OpBuilder &b, Location loc, Value length, Value appended,
                                       Value batch) {
  Value held = arith::IndexCastOp::create(b, loc, b.getIndexType(),
                                          memref::LoadOp::create(b, loc, length, ValueRange{batch}));
  return arith::AddIOp::create(b, loc, held, appended);
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
