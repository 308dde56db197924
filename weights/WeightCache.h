//===- WeightCache.h - values of derived weights, kept -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_WEIGHTCACHE_H
#define WEIGHTS_WEIGHTCACHE_H

#include "dialect/Transformer.h"
#include "weights/Dtype.h"

#include <array>
#include <atomic>
#include <memory>
#include <optional>

namespace mlir::transformer {

struct HostTensor;

/// Values of derived weights in a folder, kept from one compile to the next. A
/// key depends on everything the value depends on: the derivation, the bytes of
/// every stored tensor it starts from, and this program's own code. Names, sizes
/// and times of files are no part of it. Safe to use from several threads, and
/// for several processes with one folder.
class WeightCache {
public:
  using Key = std::array<uint8_t, 32>;

  /// Creates the folder where it is absent.
  static llvm::Expected<std::unique_ptr<WeightCache>> open(StringRef folder);

  /// Of a tensor of a checkpoint: its type and its bytes.
  Key keyOfStored(Dtype dtype, ArrayRef<int64_t> shape, ArrayRef<char> bytes) const;
  /// Of a derived weight, from the keys of its sources.
  Key keyOfDerived(DeriveOp op, ArrayRef<Key> sources) const;

  /// The value kept under `key`. An entry that is damaged counts as none.
  std::optional<HostTensor> find(const Key &key, RankedTensorType type);
  /// Keeps a value; the entry appears whole or not at all.
  llvm::Error store(const Key &key, const HostTensor &value);

  StringRef getFolder() const { return folder; }
  /// What happened since the folder was opened.
  unsigned countReused() const { return reused; }
  unsigned countStored() const { return stored; }
  unsigned countDamaged() const { return damaged; }

private:
  WeightCache(StringRef folder, const Key &program) : folder(folder.str()), program(program) {}
  std::string pathOf(const Key &key) const;

  std::string folder;
  Key program; // of the code that evaluates
  std::atomic<unsigned> reused{0}, stored{0}, damaged{0};
};

} // namespace mlir::transformer

#endif // WEIGHTS_WEIGHTCACHE_H
