//===- DerivedWeights.cpp - passes ask for weights by what they are -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/DerivedWeights.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace mlir::transformer;

FlatSymbolRefAttr mlir::transformer::weightOf(Value value) {
  auto use = value ? value.getDefiningOp<UseOp>() : UseOp();
  return use ? use.getWeightAttr() : FlatSymbolRefAttr();
}

Attribute DerivedWeights::identityOf(DeriveOp op) {
  // All attributes but the name.
  NamedAttrList attributes(op->getAttrDictionary());
  attributes.erase(op.getSymNameAttrName());
  return attributes.getDictionary(op.getContext());
}

DerivedWeights::DerivedWeights(ModuleOp module) : module(module), table(module) {
  for (auto derive : module.getOps<DeriveOp>())
    known.try_emplace(identityOf(derive), FlatSymbolRefAttr::get(derive));
}

RankedTensorType DerivedWeights::typeOf(FlatSymbolRefAttr symbol) {
  Operation *op = table.lookup(symbol.getValue());
  if (auto weight = dyn_cast_or_null<WeightOp>(op))
    return weight.getTensorType();
  return cast<DeriveOp>(op).getTensorType();
}

SmallVector<Operation *> DerivedWeights::readersOf(FlatSymbolRefAttr symbol, Operation *function) {
  SmallVector<Operation *> readers;
  function->walk([&](UseOp use) {
    if (use.getWeightAttr() == symbol)
      llvm::append_range(readers, use->getUsers());
  });
  return readers;
}

FlatSymbolRefAttr DerivedWeights::symbol(Location loc, DeriveKind kind, ArrayRef<FlatSymbolRefAttr> sources,
                                         RankedTensorType type, ArrayRef<NamedAttribute> parameters,
                                         StringRef wanted) {
  OpBuilder builder(module.getContext());
  // Before the functions, behind everything that it can be derived from.
  auto functions = module.getOps<func::FuncOp>();
  if (functions.empty())
    builder.setInsertionPointToEnd(module.getBody());
  else
    builder.setInsertionPoint(*functions.begin());
  SmallVector<Attribute> symbols(sources.begin(), sources.end());
  std::string name = wanted.str();
  if (wanted.empty())
    name =
        ((sources.empty() ? "weight" : sources.front().getValue()) + "." + stringifyDeriveKind(kind)).str();
  auto derive = DeriveOp::create(builder, loc, name, kind, builder.getArrayAttr(symbols), type);
  for (NamedAttribute parameter : parameters)
    derive->setAttr(parameter.getName(), parameter.getValue());
  auto [entry, isNew] = known.try_emplace(identityOf(derive), FlatSymbolRefAttr());
  if (!isNew) {
    derive->erase();
    return entry->second;
  }
  table.insert(derive); // renames it where the name is taken
  return entry->second = FlatSymbolRefAttr::get(derive);
}

Value DerivedWeights::get(OpBuilder &builder, Location loc, DeriveKind kind,
                          ArrayRef<FlatSymbolRefAttr> sources, RankedTensorType type,
                          ArrayRef<NamedAttribute> parameters, StringRef name) {
  FlatSymbolRefAttr reference = symbol(loc, kind, sources, type, parameters, name);
  return UseOp::create(builder, loc, type, reference);
}
