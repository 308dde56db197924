//===- BulkStores.cpp - stores by TMA -----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/BulkStores.h"

#include "emulator/Program.h"

using namespace mlir;
using namespace mlir::emulator;

void BulkStores::issue(Warp &warp, Operation *op, TensorCopy copy, unsigned lane) {
  SharedState &shared = warp.block.shared;
  if (copy.target % 128 != 0)
    warp.fail(op, "reads from an address that is no multiple of 128", lane);
  if (copy.target > shared.size() || shared.size() - copy.target < copy.bytes())
    warp.fail(op,
              "reads shared memory out of bounds: byte " + std::to_string(copy.target) + " of " +
                  std::to_string(shared.size()),
              lane);
  if (std::string message = shared.beginRead(copy.target, copy.bytes(), warp.member, warp.clock);
      !message.empty())
    warp.fail(op, message, lane);
  Store store{std::move(copy), {}};
  if (!warp.block.options.late) {
    store.box = store.copy.gather(shared.data());
    store.copy.store(store.box);
  }
  lanes[lane].issued.push_back(std::move(store));
}

void BulkStores::commit(Warp &warp) {
  for (auto &[number, lane] : lanes)
    if (warp.active(number)) {
      lane.groups.push_back({std::move(lane.issued)});
      lane.issued.clear();
    }
}

void BulkStores::finishReads(Warp &warp, Group &group) {
  if (group.isRead)
    return;
  group.isRead = true;
  for (Store &store : group.stores) {
    if (warp.block.options.late)
      store.box = store.copy.gather(warp.block.shared.data());
    warp.block.shared.endRead(store.copy.target, store.copy.bytes(), warp.member, warp.clock);
  }
}

void BulkStores::wait(Warp &warp, unsigned pending, bool readsAlone) {
  for (auto &[number, lane] : lanes) {
    if (!warp.active(number))
      continue;
    for (size_t i = 0; i + pending < lane.groups.size(); ++i)
      finishReads(warp, lane.groups[i]);
    while (!readsAlone && lane.groups.size() > pending) {
      if (warp.block.options.late)
        for (const Store &store : lane.groups.front().stores)
          store.copy.store(store.box);
      lane.groups.pop_front();
    }
  }
}

void BulkStores::finish(Warp &warp) {
  for (auto &[number, lane] : lanes) {
    bool isRead =
        lane.issued.empty() && llvm::all_of(lane.groups, [](const Group &group) { return group.isRead; });
    if (!isRead)
      warp.block.report.error = "kernel " + warp.block.program.name + ", block " +
                                std::to_string(warp.block.number) + ", thread " +
                                std::to_string(warp.number * kLanes + number) +
                                ": ends while stores of TMA may still read its shared memory";
  }
  warp.mask = kAllLanes;
  wait(warp, 0, /*readsAlone=*/false);
}
