//===- ReduceLayers.cpp - the same model with fewer layers ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/verify/ReduceLayers.h"

#include "dialect/Transformer.h"
#include "passes/Rewriting.h"

using namespace mlir;
using namespace mlir::transformer;

/// The layer in an op's name, or nothing.
static std::optional<int64_t> layerOf(Operation *op) {
  auto name = op ? dyn_cast<NameLoc>(op->getLoc()) : NameLoc();
  StringRef text = name ? name.getName().getValue() : StringRef();
  int64_t layer;
  if (!text.consume_front("layers.") || text.consumeInteger(10, layer) || !text.starts_with("."))
    return std::nullopt;
  return layer;
}

/// What flows from one layer to the next: activations, not weights, sizes or caches.
static bool isHandedOn(Value value) {
  return isa<RankedTensorType>(value.getType()) && !value.getDefiningOp<UseOp>() &&
         !value.getDefiningOp<arith::ConstantOp>();
}

/// The one value that layer `layer` gives to later ops, or null.
static Value outputOf(func::FuncOp function, int64_t layer) {
  SetVector<Value> outputs;
  function.walk([&](Operation *op) {
    if (layerOf(op) != layer)
      return;
    for (Value result : op->getResults())
      for (Operation *user : result.getUsers())
        if (isHandedOn(result) && layerOf(user).value_or(layer + 1) > layer)
          outputs.insert(result);
  });
  return outputs.size() == 1 ? outputs.front() : Value();
}

static bool reduceFunction(func::FuncOp function, int64_t keep) {
  int64_t count = 0;
  function.walk([&](Operation *op) { count = std::max(count, layerOf(op).value_or(-1) + 1); });
  if (count <= keep)
    return false;
  Value output = outputOf(function, keep - 1), last = outputOf(function, count - 1);
  if (!output || !last || output.getType() != last.getType())
    return false;
  last.replaceUsesWithIf(output, [&](OpOperand &use) { return !layerOf(use.getOwner()); });
  for (OpOperand &operand : function.getBody().back().getTerminator()->getOpOperands()) {
    Value cache = operand.get();
    while (auto append = cache.getDefiningOp<CacheAppendOp>()) {
      if (layerOf(append).value_or(0) < keep)
        break;
      cache = append.getCache();
    }
    operand.set(cache);
  }
  return true;
}

void mlir::transformer::dropUnreadWeights(ModuleOp module) {
  DenseSet<StringRef> read;
  module.walk([&](UseOp use) { read.insert(use.getWeight()); });
  SmallVector<Operation *> weights;
  for (Operation &op : *module.getBody())
    if (isa<WeightOp, DeriveOp>(op))
      weights.push_back(&op);
  for (bool changed = true; changed;) {
    changed = false;
    for (Operation *op : weights)
      if (auto derive = dyn_cast<DeriveOp>(op); derive && read.contains(derive.getSymName()))
        for (auto source : derive.getSources().getAsRange<FlatSymbolRefAttr>())
          changed |= read.insert(source.getValue()).second;
  }
  SmallVector<Operation *> unread;
  for (Operation *op : weights)
    if (!read.contains(SymbolTable::getSymbolName(op).getValue()))
      unread.push_back(op);
  for (Operation *op : unread)
    op->erase();
}

bool mlir::transformer::reduceLayers(ModuleOp module, int64_t keep) {
  bool changed = false;
  for (auto function : module.getOps<func::FuncOp>())
    if (!function.isDeclaration() && function.getBody().hasOneBlock())
      changed |= reduceFunction(function, keep);
  if (changed) {
    eraseUnused(module);
    dropUnreadWeights(module);
  }
  return changed;
}
