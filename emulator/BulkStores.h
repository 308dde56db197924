//===- BulkStores.h - stores by TMA -------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_BULKSTORES_H
#define EMULATOR_BULKSTORES_H

#include "emulator/Execution.h"

#include <deque>
#include <map>

namespace mlir::emulator {

/// Stores of boxes from shared memory to tensors that the lanes of a warp have begun, in groups that they
/// committed. Shared memory is read until a wait of the lane says that it has been, and the tensor is written
/// when a wait says so or the warp ends.
class BulkStores {
public:
  void issue(Warp &warp, Operation *op, TensorCopy copy, unsigned lane);
  /// What the active lanes have begun becomes a group of each.
  void commit(Warp &warp);
  /// Until at most `pending` groups of each active lane are under way or, with `readsAlone`, still read.
  void wait(Warp &warp, unsigned pending, bool readsAlone);
  /// The warp ends, and with it what it may read.
  void finish(Warp &warp);

private:
  struct Store {
    TensorCopy copy;
    std::vector<uint8_t> box; ///< once it has been read
  };
  struct Group {
    std::vector<Store> stores;
    bool isRead = false;
  };
  struct Lane {
    std::vector<Store> issued;
    std::deque<Group> groups;
  };
  void finishReads(Warp &warp, Group &group);
  std::map<unsigned, Lane> lanes;
};

} // namespace mlir::emulator

#endif // EMULATOR_BULKSTORES_H
