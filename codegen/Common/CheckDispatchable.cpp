//===- CheckDispatchable.cpp - what no dispatch can run -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs before dispatches are formed, and lists all that is left at once: the
// first conversion error alone would send people round in circles.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Passes.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#define DEBUG_TYPE "transformer-check-dispatchable"

namespace mlir::transformer {
#define GEN_PASS_DEF_CHECKDISPATCHABLEPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

bool isOfI4(Type type) {
  auto shaped = dyn_cast<ShapedType>(type);
  return shaped && shaped.getElementType().isInteger(4);
}

/// Why an op of an entry function cannot go on, or nothing.
std::optional<std::string> reasonAgainst(Operation &op) {
  bool isRead = isa<UseOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op);
  if (!isRead && llvm::any_of(op.getResultTypes(), isOfI4))
    return "makes values of i4, which only weights have; make them i8";
  if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
    if (generic.getNumResults() != 1)
      return "makes several results; a dispatch computes one tensor, so split it";
    return std::nullopt;
  }
  if (isa<linalg::FillOp, AttentionOp, CacheAppendOp, CacheLengthOp, UseOp, LaunchOp, tensor::EmptyOp,
          tensor::DimOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp, func::ReturnOp>(op))
    return std::nullopt;
  auto isTensor = [](Type type) { return isa<ShapedType, KVCacheType>(type); };
  if (isa<arith::ConstantOp>(op)) {
    auto dense = dyn_cast<DenseElementsAttr>(cast<arith::ConstantOp>(op).getValue());
    if (dense && !dense.isSplat())
      return "holds data in the IR; make it a weight";
    return std::nullopt;
  }
  if (op.getNumRegions() != 0)
    return "has a region; entry functions are straight-line code";
  if (llvm::any_of(op.getResultTypes(), isTensor))
    return "has no form in linalg; rewrite it with transformer or linalg ops";
  if (!isMemoryEffectFree(&op))
    return "has side effects";
  return std::nullopt;
}

/// Caches are updated where they are, so the k-th cache that is returned must be
/// the k-th that came in, after whatever was appended to it.
LogicalResult checkCaches(func::FuncOp func) {
  SmallVector<BlockArgument> caches;
  for (BlockArgument argument : func.getArguments())
    if (isa<KVCacheType>(argument.getType()))
      caches.push_back(argument);
  auto ret = cast<func::ReturnOp>(func.getBody().front().getTerminator());
  size_t next = 0;
  for (Value value : ret.getOperands()) {
    if (!isa<KVCacheType>(value.getType()))
      continue;
    Value origin = value;
    while (auto append = origin.getDefiningOp<CacheAppendOp>())
      origin = append.getCache();
    if (next >= caches.size() || origin != caches[next])
      return ret.emitOpError("expected cache result ")
             << next << " to be cache argument " << next
             << " after its appends; a cache cannot be copied or swapped";
    ++next;
  }
  if (next != caches.size())
    return ret.emitOpError("expected all ") << caches.size() << " caches to be returned, but got " << next
                                            << "; a cache that is dropped would lose its length";
  return success();
}

struct CheckDispatchable : transformer::impl::CheckDispatchablePassBase<CheckDispatchable> {
  void runOnOperation() override {
    bool left = false;
    for (func::FuncOp func : getOperation().getOps<func::FuncOp>()) {
      if (!isEntry(func))
        continue;
      if (!func.getBody().hasOneBlock()) {
        func.emitOpError("has several blocks; entry functions are straight-line code");
        left = true;
        continue;
      }
      if (llvm::any_of(func.getArgumentTypes(), isOfI4)) {
        func.emitOpError("has an argument of i4, which only weights have; make it i8");
        left = true;
      }
      for (Operation &op : func.getBody().front())
        if (std::optional<std::string> reason = reasonAgainst(op)) {
          op.emitOpError() << *reason;
          left = true;
        }
      left |= failed(checkCaches(func));
    }
    if (left)
      signalPassFailure();
  }
};

} // namespace
