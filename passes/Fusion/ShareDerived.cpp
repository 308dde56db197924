//===- ShareDerived.cpp - equal derived weights are computed once ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//   derive @a = f(@w), derive @b = f(@w)  ->  derive @a = f(@w), @b read as @a
//   use @a … use @a (one function)        ->  the first
//   derive @c that nothing reads          ->  nothing
//
// Runs last: other passes leave copies behind, one per layer or entry point.
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"
#include "passes/Passes.h"
#include "passes/Remarks.h"

#define DEBUG_TYPE "transformer-share-derived"

namespace mlir::transformer {
#define GEN_PASS_DEF_SHAREDERIVEDPASS
#include "passes/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

/// Pattern: derive @b = f(@w), with derive @a = f(@w) before -> @a
static void shareEqual(ModuleOp module) {
  DenseMap<Attribute, FlatSymbolRefAttr> first; // by identity
  DenseMap<Attribute, FlatSymbolRefAttr> renamed;
  auto current = [&](Attribute symbol) -> Attribute {
    auto found = renamed.find(symbol);
    return found == renamed.end() ? symbol : Attribute(found->second);
  };
  // In order: a weight comes after those it is derived from, or stays as it is.
  for (auto derive : llvm::make_early_inc_range(module.getOps<DeriveOp>())) {
    SmallVector<Attribute> sources = llvm::map_to_vector(derive.getSources(), current);
    derive.setSourcesAttr(ArrayAttr::get(module.getContext(), sources));
    auto symbol = FlatSymbolRefAttr::get(derive);
    auto [entry, isNew] = first.try_emplace(DerivedWeights::identityOf(derive), symbol);
    if (isNew)
      continue;
    passed(derive, DEBUG_TYPE,
           "is the same weight as " + entry->second.getValue() + ", which is computed once");
    renamed[symbol] = entry->second;
    derive->erase();
  }
  module.walk([&](UseOp use) { use.setWeightAttr(cast<FlatSymbolRefAttr>(current(use.getWeightAttr()))); });
}

/// Pattern: use @w, after use @w -> the first
static void shareUses(func::FuncOp function) {
  function.walk([](Block *block) {
    DenseMap<Attribute, UseOp> first;
    for (auto use : llvm::make_early_inc_range(block->getOps<UseOp>())) {
      auto [entry, isNew] = first.try_emplace(use.getWeightAttr(), use);
      if (isNew || entry->second.getType() != use.getType())
        continue;
      use.replaceAllUsesWith(entry->second.getResult());
      use->erase();
    }
  });
}

/// Pattern: derive that nothing reads -> (nothing)
static void dropUnused(ModuleOp module) {
  DenseSet<Attribute> read;
  module.walk([&](UseOp use) { read.insert(use.getWeightAttr()); });
  SmallVector<DeriveOp> derived(module.getOps<DeriveOp>());
  // Sources may stand behind their readers: until nothing changes.
  for (bool changed = true; changed;) {
    changed = false;
    DenseSet<Attribute> sources;
    for (DeriveOp derive : derived)
      sources.insert(derive.getSources().begin(), derive.getSources().end());
    llvm::erase_if(derived, [&](DeriveOp derive) {
      auto symbol = FlatSymbolRefAttr::get(derive);
      if (read.contains(symbol) || sources.contains(symbol))
        return false;
      derive->erase();
      return changed = true;
    });
  }
}

namespace {
struct ShareDerived : transformer::impl::ShareDerivedPassBase<ShareDerived> {
  void runOnOperation() override {
    shareEqual(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>())
      shareUses(function);
    dropUnused(getOperation());
  }
};
} // namespace
