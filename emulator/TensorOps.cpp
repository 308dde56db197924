//===- TensorOps.cpp - copies of boxes by TMA ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/BulkStores.h"
#include "emulator/Cluster.h"
#include "emulator/Program.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::emulator;

namespace {

/// A box as an op names it: its tensor map, and the registers of its place there and in shared memory.
struct Box {
  const TensorMap *map;
  SmallVector<unsigned> at; ///< outermost first
  unsigned shared;
};

/// What a copy names, where `map` is a tensor map of the kernel.
std::optional<Box> boxOf(Translator &t, Value map, ValueRange coordinates, Value shared) {
  auto argument = dyn_cast<BlockArgument>(map);
  auto it = argument ? t.program.tensorMaps.find(argument.getArgNumber()) : t.program.tensorMaps.end();
  if (it == t.program.tensorMaps.end() || coordinates.size() != it->second.box.size())
    return std::nullopt;
  Box box{&it->second, {}, t.slotOf(shared)};
  for (Value coordinate : llvm::reverse(coordinates)) // innermost first in the op
    box.at.push_back(t.slotOf(coordinate));
  return box;
}

/// The sizes of the tensor's dimensions, as the map groups those of the memref.
SmallVector<int64_t> sizesOf(Warp &warp, const TensorMap &map) {
  SmallVector<int64_t> sizes;
  unsigned next = map.memref + 1;
  for (int64_t group : map.groups) {
    int64_t size = 1;
    for (int64_t i = 0; i < group; ++i)
      size *= static_cast<int64_t>(warp.uniform(next++));
    sizes.push_back(size);
  }
  return sizes;
}

/// The copy that a lane makes, checked against what the hardware allows.
TensorCopy copyOf(Warp &warp, Operation *op, const Box &box, unsigned lane, bool writes) {
  const TensorMap &map = *box.map;
  TensorCopy copy;
  copy.map = &map;
  copy.base = warp.uniform(map.memref);
  copy.sizes = sizesOf(warp, map);
  copy.target = warp.at(box.shared)[lane];
  for (unsigned slot : box.at)
    copy.at.push_back(signExtend(warp.at(slot)[lane], 32));
  uint64_t bytes = map.elementBytes;
  if (copy.base % 16 != 0)
    warp.fail(op, "copies from or to a tensor that is not aligned to 16 bytes", lane);
  for (size_t i = copy.sizes.size(); i-- > 0;) {
    bytes *= copy.sizes[i];
    if (i > 0 && bytes % 16 != 0)
      warp.fail(op, "copies from or to a tensor with a stride that is no multiple of 16 bytes", lane);
  }
  int64_t inner = map.box.back() * map.elementBytes;
  if (inner % 16 != 0 || (map.swizzle != 0 && inner > map.swizzle))
    warp.fail(op, "copies rows of " + std::to_string(inner) + " bytes, which the swizzle does not allow",
              lane);
  if (bytes > 0)
    warp.checkGlobal(op, copy.base, bytes, lane, writes);
  warp.block.report.globalSectors += copy.bytes() / 32;
  warp.block.report.neededSectors += copy.bytes() / 32;
  return copy;
}

/// The copy comes to the shared memory of `block` and reports to the mbarrier at `place` there.
void load(Warp &warp, Operation *op, emulator::Block &block, const TensorCopy &copy, uint64_t place) {
  std::string message;
  if (Mbarrier *barrier = block.mbarriers.find(place, warp.member, warp.clock, message))
    message = block.mbarriers.copy(*barrier, copy, warp.member, warp.clock);
  if (!message.empty())
    warp.fail(op, message);
}

std::optional<Step> loadTensor(Translator &t, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp>(op);
  std::optional<Box> box = boxOf(t, copy.getTmaDescriptor(), copy.getCoordinates(), copy.getDstMem());
  if (!box || !copy.getIm2colOffsets().empty() || copy.getPredicate() ||
      copy.getMode() != NVVM::TMALoadMode::TILE)
    return unsupported(op);
  unsigned barrier = t.slotOf(copy.getMbar());
  bool isMulticast = static_cast<bool>(copy.getMulticastMask());
  unsigned mask = isMulticast ? t.slotOf(copy.getMulticastMask()) : 0;
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    unsigned lane = warp.soleLane(op);
    TensorCopy copy = copyOf(warp, op, *box, lane, /*writes=*/false);
    uint64_t place = warp.at(barrier)[lane];
    if (!isMulticast)
      return load(warp, op, warp.block, copy, place);
    warp.block.cluster.require(warp, op);
    uint64_t named = warp.at(mask)[lane];
    if (named == 0)
      warp.fail(op, "names no block of the cluster", lane);
    for (unsigned rank = 0; rank < 16; ++rank)
      if (named >> rank & 1)
        load(warp, op, warp.block.cluster.peer(warp, op, rank, static_cast<int>(lane)), copy, place);
  };
}

std::optional<Step> storeTensor(Translator &t, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp>(op);
  std::optional<Box> box = boxOf(t, copy.getTmaDescriptor(), copy.getCoordinates(), copy.getSrcMem());
  if (!box || copy.getPredicate() || copy.getMode() != NVVM::TMAStoreMode::TILE)
    return unsupported(op);
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    unsigned lane = warp.soleLane(op);
    warp.stores->issue(warp, op, copyOf(warp, op, *box, lane, /*writes=*/true), lane);
  };
}

} // namespace

void mlir::emulator::addTensorOps(Handlers &h) {
  h["nvvm.cp.async.bulk.tensor.shared.cluster.global"] = loadTensor;
  h["nvvm.cp.async.bulk.tensor.global.shared.cta"] = storeTensor;
  h["nvvm.cp.async.bulk.commit.group"] = [](Translator &, Operation *) -> std::optional<Step> {
    return [](Warp &warp) { warp.stores->commit(warp); };
  };
  h["nvvm.cp.async.bulk.wait_group"] = [](Translator &, Operation *op) -> std::optional<Step> {
    auto wait = cast<NVVM::CpAsyncBulkWaitGroupOp>(op);
    unsigned pending = wait.getGroup();
    bool readsAlone = wait.getRead().value_or(false);
    return [=](Warp &warp) { warp.stores->wait(warp, pending, readsAlone); };
  };
}
