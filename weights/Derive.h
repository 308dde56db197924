//===- Derive.h - evaluates weights and derived weights -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_DERIVE_H
#define WEIGHTS_DERIVE_H

#include "dialect/Transformer.h"
#include "mlir/IR/BuiltinOps.h"
#include "weights/WeightCache.h"
#include "weights/WeightStore.h"

namespace mlir::transformer {

/// A tensor in memory: bytes of a mapped file, or its own.
struct HostTensor {
  RankedTensorType type;
  ArrayRef<char> data;
  std::shared_ptr<char> owner; // null where the bytes belong to the store

  bool isBorrowed() const { return !owner; }
};

/// Evaluates symbols of one module. A derived weight that several others read
/// is computed once and dropped after its last reader. Safe to use from several
/// threads once it is prepared; the module must not change meanwhile.
class WeightEvaluator {
public:
  /// Looks `symbols` up, with all they are derived from; each may be evaluated
  /// once. Unknown symbols and cycles are errors.
  /// With a cache, those of `symbols` that are computed are taken from it or added
  /// to it.
  static llvm::Expected<std::unique_ptr<WeightEvaluator>>
  create(ModuleOp module, ArrayRef<StringRef> symbols, WeightStore &store, WeightCache *cache = nullptr);
  ~WeightEvaluator();

  llvm::Expected<HostTensor> evaluate(StringRef symbol);

  /// Whether rows of the value can be computed without the others, so that a large
  /// one need not be in memory as a whole. Where it can, the symbol is evaluated by
  /// rows from then on.
  bool evaluatesByRows(StringRef symbol);
  /// The rows [begin, end) along the first dimension of its type.
  llvm::Expected<HostTensor> evaluateRows(StringRef symbol, int64_t begin, int64_t end);

  /// The type of the bytes: of a packed matrix, its shape in memory.
  RankedTensorType typeOf(StringRef symbol) const;

  /// An upper bound of the memory that evaluating the symbol takes, in bytes.
  uint64_t memoryOf(StringRef symbol) const;

private:
  struct Node;
  WeightEvaluator(WeightStore &store, WeightCache *cache);
  llvm::Expected<Node *> addNode(SymbolTable &table, StringRef symbol, unsigned depth);
  llvm::Expected<HostTensor> evaluate(Node &node);
  llvm::Expected<HostTensor> evaluateCached(Node &node);
  llvm::Expected<HostTensor> compute(Node &node);
  llvm::Expected<HostTensor> evaluateRows(Node &node, int64_t begin, int64_t end);
  llvm::Expected<WeightCache::Key> keyOfRows(Node &node, int64_t begin, int64_t end);
  llvm::Expected<WeightCache::Key> keyOf(Node &node, bool isFresh);
  static void skip(Node &node);

  WeightStore &store;
  WeightCache *cache;
  llvm::StringMap<std::unique_ptr<Node>> nodes;
};

/// The value of one weight or derived weight of `module`.
llvm::Expected<HostTensor> evaluateWeight(ModuleOp module, StringRef symbol, WeightStore &store);

} // namespace mlir::transformer

#endif // WEIGHTS_DERIVE_H
