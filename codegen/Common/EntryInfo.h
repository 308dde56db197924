//===- EntryInfo.h - what an entry point looks like from outside ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_ENTRYINFO_H
#define CODEGEN_COMMON_ENTRYINFO_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::transformer {

/// Attributes of arguments and results: their name, the names of their dynamic
/// dimensions ("" for static ones), and the half-open range of their values.
constexpr StringLiteral kNameAttr = "transformer.name";
constexpr StringLiteral kDimsAttr = "transformer.dims";
constexpr StringLiteral kRangeAttr = "transformer.range";
/// On the module: the weights entry points read, in the order of xfm_call::weights.
constexpr StringLiteral kWeightsAttr = "transformer.weights";
/// In the work of a launch: the keys a query sees, on average. Only the runtime knows it.
constexpr StringLiteral kKeysSize = "T";
/// On a lowered entry function: its launches (name, count) in the order of their ids.
constexpr StringLiteral kDispatchesAttr = "transformer.dispatches";
/// On the module: what is known of the model (DictionaryAttr).
constexpr StringLiteral kModelAttr = "transformer.model";

/// Slots of a ring: a call of `chunk` positions must not overwrite what its first
/// query still sees.
inline int64_t ringCapacity(KVCacheType type, int64_t chunk) { return type.getWindow() + chunk - 1; }

/// An argument or result of an entry function.
struct EntryValue {
  std::string name;
  Type type;
  SmallVector<std::string> dims; ///< names of dynamic dimensions, "" for static ones
  std::optional<std::pair<int64_t, int64_t>> range;
};

/// The signature of an entry point: its values and symbolic sizes.
struct EntryInfo {
  std::string name;
  SmallVector<std::string> sizes;
  SmallVector<EntryValue> arguments, results;

  /// Reads the attributes of a tensor-level function; reports what is missing.
  static FailureOr<EntryInfo> of(func::FuncOp func);
  /// Kept on the bufferized function as `transformer.entry`, and back.
  DictionaryAttr toAttribute(MLIRContext *context) const;
  static EntryInfo fromAttribute(DictionaryAttr attr);

  size_t sizeIndex(StringRef symbol) const { return llvm::find(sizes, symbol) - sizes.begin(); }
};

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_ENTRYINFO_H
