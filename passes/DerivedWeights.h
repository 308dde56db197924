//===- DerivedWeights.h - passes ask for weights by what they are ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_DERIVEDWEIGHTS_H
#define PASSES_DERIVEDWEIGHTS_H

#include "dialect/Transformer.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::transformer {

/// The derived weights of a module, for the time of a pass. A weight is asked for
/// by what it is; the first who asks declares it, so that entry points and layers
/// share. Its name, if none is given, is made from its first source and the kind.
class DerivedWeights {
public:
  explicit DerivedWeights(ModuleOp module);

  /// The value of `kind(sources) {parameters} : type` at the builder's place.
  Value get(OpBuilder &builder, Location loc, DeriveKind kind, ArrayRef<FlatSymbolRefAttr> sources,
            RankedTensorType type, ArrayRef<NamedAttribute> parameters = {}, StringRef name = {});

  /// Its symbol alone, where no value of it is needed.
  FlatSymbolRefAttr symbol(Location loc, DeriveKind kind, ArrayRef<FlatSymbolRefAttr> sources,
                           RankedTensorType type, ArrayRef<NamedAttribute> parameters = {},
                           StringRef name = {});

  /// The ops of functions that read the weight: of `symbol`'s uses all users.
  SmallVector<Operation *> readersOf(FlatSymbolRefAttr symbol, Operation *function);

  RankedTensorType typeOf(FlatSymbolRefAttr symbol);
  /// The op that derives the weight, or null where it is a checkpoint's.
  DeriveOp derivationOf(FlatSymbolRefAttr symbol) { return table.lookup<DeriveOp>(symbol.getValue()); }

  /// Everything two equal derived weights have in common.
  static Attribute identityOf(DeriveOp op);

private:
  ModuleOp module;
  SymbolTable table;
  DenseMap<Attribute, FlatSymbolRefAttr> known; // by identity
};

/// The symbol that `value` reads, or null where it is no weight.
FlatSymbolRefAttr weightOf(Value value);

} // namespace mlir::transformer

#endif // PASSES_DERIVEDWEIGHTS_H
