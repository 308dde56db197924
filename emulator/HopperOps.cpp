//===- HopperOps.cpp - mbarriers, TMA and wgmma ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Warpgroup.h"

#include "codegen/GPU/IR/XGPU.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::emulator;

namespace {

//===----------------------------------------------------------------------===//
// Mbarriers
//===----------------------------------------------------------------------===//

/// The mbarrier that the active lanes name; they must name one.
Mbarrier &barrierOf(Warp &warp, Operation *op, unsigned address) {
  uint64_t place = warp.uniform(address);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    if (warp.active(lane) && warp.at(address)[lane] != place)
      warp.fail(op, "names several mbarriers in one warp", lane);
  std::string message;
  Mbarrier *barrier = warp.block.mbarriers.find(place, warp.number, warp.clock, message);
  if (!barrier)
    warp.fail(op, message);
  return *barrier;
}

void failWith(Warp &warp, Operation *op, const std::string &message) {
  if (!message.empty())
    warp.fail(op, message);
}

std::optional<Step> initBarrier(Translator &t, Operation *op) {
  auto init = cast<NVVM::MBarrierInitOp>(op);
  if (init.getPredicate())
    return unsupported(op);
  unsigned address = t.slotOf(init.getAddr()), count = t.slotOf(init.getCount());
  return [=](Warp &warp) {
    unsigned lane = warp.soleLane(op);
    failWith(
        warp, op,
        warp.block.mbarriers.init(warp.at(address)[lane], warp.at(count)[lane], warp.number, warp.clock));
  };
}

std::optional<Step> fenceInit(Translator &, Operation *) {
  return [](Warp &warp) { warp.block.mbarriers.fenceInit(warp.number); };
}

std::optional<Step> arrive(Translator &t, Operation *op) {
  auto arrive = cast<NVVM::MBarrierArriveOp>(op);
  if (arrive.getRes() || arrive.getRelaxed())
    return unsupported(op);
  unsigned address = t.slotOf(arrive.getAddr());
  bool hasCount = static_cast<bool>(arrive.getCount());
  unsigned count = hasCount ? t.slotOf(arrive.getCount()) : 0;
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    Mbarrier &barrier = barrierOf(warp, op, address);
    unsigned arrivals = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      if (warp.active(lane))
        arrivals += hasCount ? static_cast<unsigned>(warp.at(count)[lane]) : 1;
    failWith(warp, op, warp.block.mbarriers.arrive(barrier, arrivals, 0, warp.number, warp.clock));
  };
}

std::optional<Step> arriveExpecting(Translator &t, Operation *op) {
  auto arrive = cast<NVVM::MBarrierArriveExpectTxOp>(op);
  if (arrive.getRes() || arrive.getRelaxed() || arrive.getPredicate())
    return unsupported(op);
  unsigned address = t.slotOf(arrive.getAddr()), bytes = t.slotOf(arrive.getTxcount());
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    unsigned lane = warp.soleLane(op);
    Mbarrier &barrier = barrierOf(warp, op, address);
    failWith(warp, op,
             warp.block.mbarriers.arrive(barrier, 1, static_cast<int64_t>(warp.at(bytes)[lane]), warp.number,
                                         warp.clock));
  };
}

std::optional<Step> waitForPhase(Translator &t, Operation *op) {
  auto wait = cast<NVVM::MBarrierTryWaitParityOp>(op);
  unsigned address = t.slotOf(wait.getAddr()), phase = t.slotOf(wait.getPhase());
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    Mbarrier &barrier = barrierOf(warp, op, address);
    unsigned parity = warp.uniform(phase);
    if (parity > 1)
      warp.fail(op, "waits for parity " + std::to_string(parity));
    Mbarriers &all = warp.block.mbarriers;
    warp.block_until(op, "a phase of an mbarrier", [&, parity] { return all.isOver(barrier, parity); });
    warp.clock.join(barrier.completed[parity]);
  };
}

//===----------------------------------------------------------------------===//
// TMA
//===----------------------------------------------------------------------===//

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

void copyTensor(Warp &warp, Operation *op, Mbarrier &barrier, TensorCopy copy, unsigned lane) {
  const TensorMap &map = *copy.map;
  uint64_t bytes = map.elementBytes;
  if (copy.base % 16 != 0)
    warp.fail(op, "copies from a tensor that is not aligned to 16 bytes", lane);
  for (size_t i = copy.sizes.size(); i-- > 0;) {
    bytes *= copy.sizes[i];
    if (i > 0 && bytes % 16 != 0)
      warp.fail(op, "copies from a tensor with a stride that is no multiple of 16 bytes", lane);
  }
  int64_t inner = map.box.back() * map.elementBytes;
  if (inner % 16 != 0 || (map.swizzle != 0 && inner > map.swizzle))
    warp.fail(op, "copies rows of " + std::to_string(inner) + " bytes, which the swizzle does not allow",
              lane);
  if (bytes > 0)
    warp.checkGlobal(op, copy.base, bytes, lane, /*writes=*/false);
  warp.block.report.globalSectors += copy.bytes() / 32;
  warp.block.report.neededSectors += copy.bytes() / 32;
  failWith(warp, op, warp.block.mbarriers.copy(barrier, std::move(copy), warp.number, warp.clock));
}

std::optional<Step> loadTensor(Translator &t, Operation *op) {
  auto copy = cast<NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp>(op);
  auto argument = dyn_cast<BlockArgument>(copy.getTmaDescriptor());
  auto it = argument ? t.program.tensorMaps.find(argument.getArgNumber()) : t.program.tensorMaps.end();
  if (it == t.program.tensorMaps.end() || copy.getMulticastMask() || !copy.getIm2colOffsets().empty() ||
      copy.getPredicate() || copy.getMode() != NVVM::TMALoadMode::TILE)
    return unsupported(op);
  const TensorMap *map = &it->second;
  unsigned target = t.slotOf(copy.getDstMem()), barrier = t.slotOf(copy.getMbar());
  SmallVector<unsigned> at; // innermost first in the op
  for (Value coordinate : llvm::reverse(copy.getCoordinates()))
    at.push_back(t.slotOf(coordinate));
  if (at.size() != map->box.size())
    return unsupported(op);
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    unsigned lane = warp.soleLane(op);
    TensorCopy copy;
    copy.map = map;
    copy.base = warp.uniform(map->memref);
    copy.sizes = sizesOf(warp, *map);
    copy.target = warp.at(target)[lane];
    for (unsigned slot : at)
      copy.at.push_back(signExtend(warp.at(slot)[lane], 32));
    copyTensor(warp, op, barrierOf(warp, op, barrier), std::move(copy), lane);
  };
}

/// Addresses of shared memory are the same in the cluster's window of a block's own.
std::optional<Step> castAddressSpace(Translator &t, Operation *op) {
  auto spaceOf = [](Value v) { return cast<LLVM::LLVMPointerType>(v.getType()).getAddressSpace(); };
  if (spaceOf(op->getOperand(0)) != 3 || spaceOf(op->getResult(0)) != 7)
    return unsupported(op);
  unsigned from = t.slotOf(op->getOperand(0)), result = t.slotOf(op->getResult(0));
  return [=](Warp &warp) { std::copy_n(warp.at(from), kLanes, warp.at(result)); };
}

//===----------------------------------------------------------------------===//
// Warpgroups
//===----------------------------------------------------------------------===//

std::optional<Step> fenceProxy(Translator &, Operation *op) {
  auto fence = cast<NVVM::FenceProxyOp>(op);
  if (fence.getKind() != NVVM::ProxyKind::async_shared && fence.getKind() != NVVM::ProxyKind::async)
    return unsupported(op);
  return [](Warp &warp) { warp.clock.fence(); };
}

std::optional<Step> multiplyWarpgroup(Translator &t, Operation *op) {
  auto wgmma = cast<xgpu::WgmmaOp>(op);
  bool inRegisters = wgmma.getLeft().size() == 4, clears = wgmma.getSums().empty();
  unsigned columns = wgmma.getColumns(), result = t.slotOf(wgmma.getResult(0));
  // Sums are words of their own, results stand side by side.
  for (unsigned i = 1; i < columns / 2; ++i)
    if (t.slotOf(wgmma.getResult(i)) != result + i)
      return unsupported(op);
  SmallVector<unsigned> left, sums;
  for (Value value : wgmma.getLeft())
    left.push_back(t.slotOf(value));
  for (Value value : wgmma.getSums())
    sums.push_back(t.slotOf(value));
  unsigned right = t.slotOf(wgmma.getRight());
  ScalarType type = Translator::scalarOf(wgmma.getElement());
  bool isTransposed = wgmma.getTransposed();
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    ++warp.block.report.matrixProducts;
    warp.requireAllLanes(op);
    WarpgroupProduct product{columns, type, isTransposed, inRegisters, clears, 0, warp.uniform(right),
                             {},      {}};
    auto gather = [&](ArrayRef<unsigned> slots, std::vector<uint64_t> &words) {
      for (unsigned slot : slots)
        words.insert(words.end(), warp.at(slot), warp.at(slot) + kLanes);
    };
    if (inRegisters)
      gather(left, product.registers);
    else
      product.left = warp.uniform(left[0]);
    product.sums.resize(size_t(columns) / 2 * kLanes);
    if (!clears) {
      product.sums.clear();
      gather(sums, product.sums);
    }
    warp.products->issue(warp, op, std::move(product), result);
  };
}

std::optional<Step> waitForProducts(Translator &t, Operation *op) {
  auto wait = cast<xgpu::WgmmaWaitOp>(op);
  SmallVector<std::pair<unsigned, unsigned>> values;
  for (auto [value, result] : llvm::zip(wait.getValues(), wait.getResults()))
    values.push_back({t.slotOf(value), t.slotOf(result)});
  unsigned pending = wait.getPending();
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    warp.requireAllLanes(op);
    warp.products->wait(warp, op, pending);
    for (auto [value, result] : values)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        warp.at(result)[lane] = warp.products->resolve(warp, op, warp.at(value)[lane], lane);
  };
}

std::optional<Step> setRegisters(Translator &, Operation *op) {
  unsigned count = cast<NVVM::SetMaxRegisterOp>(op).getRegCount();
  return [=](Warp &warp) {
    warp.requireAllLanes(op);
    emulator::Block &block = warp.block;
    // More are had when other warps have given theirs back.
    warp.block_until(op, "registers that other warps have", [&block, &warp, count] {
      uint64_t others = 0;
      for (const auto &other : block.warps)
        others += other.get() == &warp ? 0 : other->registersHeld;
      return others + count <= block.registers;
    });
    warp.registersHeld = count;
  };
}

} // namespace

void mlir::emulator::addHopperOps(Handlers &h) {
  h["nvvm.mbarrier.init"] = initBarrier;
  h["nvvm.fence.mbarrier.init"] = fenceInit;
  h["nvvm.mbarrier.arrive"] = arrive;
  h["nvvm.mbarrier.arrive.expect_tx"] = arriveExpecting;
  h["nvvm.mbarrier.try_wait.parity"] = waitForPhase;
  h["nvvm.cp.async.bulk.tensor.shared.cluster.global"] = loadTensor;
  h["llvm.addrspacecast"] = castAddressSpace;
  h["nvvm.fence.proxy"] = fenceProxy;
  h["nvvm.setmaxregister"] = setRegisters;
  h["nvvm.wgmma.fence.aligned"] = [](Translator &, Operation *op) -> std::optional<Step> {
    return [=](Warp &warp) {
      warp.requireAllLanes(op);
      warp.products->fence();
    };
  };
  h["nvvm.wgmma.commit.group.sync.aligned"] = [](Translator &, Operation *op) -> std::optional<Step> {
    return [=](Warp &warp) {
      warp.requireAllLanes(op);
      warp.products->commit();
    };
  };
  h["nvvm.griddepcontrol"] = [](Translator &, Operation *op) -> std::optional<Step> {
    if (cast<NVVM::GriddepcontrolOp>(op).getKind() != NVVM::GridDepActionKind::wait)
      return Step();
    return [](Warp &warp) { warp.overlaps = false; };
  };
  h["xgpu.wgmma"] = multiplyWarpgroup;
  h["xgpu.wgmma_wait"] = waitForProducts;
}
