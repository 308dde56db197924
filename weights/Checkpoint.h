//===- Checkpoint.h - which file holds which tensor -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_CHECKPOINT_H
#define WEIGHTS_CHECKPOINT_H

#include "weights/WeightStore.h"

namespace mlir::transformer {

/// The tensors of a Hugging Face folder: `model.safetensors`, or the shards
/// that `model.safetensors.index.json` names. An importer first requires every
/// tensor it reads; what it required is what it may use.
class Checkpoint {
public:
  /// A tensor that was required.
  struct Entry {
    std::string file;
    Dtype dtype;
    SmallVector<int64_t, 4> shape;
  };

  static llvm::Expected<Checkpoint> open(WeightStore &store);

  StringRef getFolder() const { return store->getFolder(); }
  bool contains(StringRef name) const { return files.contains(name); }

  /// Checks that the tensor is there, of this shape and of F32, F16 or BF16,
  /// and marks it as used.
  llvm::Error require(StringRef name, ArrayRef<int64_t> shape);

  /// What was required, in the order in which it first was.
  struct Required {
    StringRef name;
    const Entry *entry;
  };
  std::vector<Required> used() const;

  /// The names of the tensors nobody required, sorted.
  std::vector<StringRef> unused() const;

private:
  explicit Checkpoint(WeightStore &store) : store(&store) {}
  llvm::Error readIndex(StringRef path);

  WeightStore *store;
  llvm::StringMap<std::string> files; // by tensor
  llvm::StringMap<Entry> required;
  std::vector<StringRef> order; // the keys of `required`
};

} // namespace mlir::transformer

#endif // WEIGHTS_CHECKPOINT_H
