//===- HopperOps.cpp - mbarriers and wgmma ----------------------------------===//
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

void failWith(Warp &warp, Operation *op, const std::string &message) {
  if (!message.empty())
    warp.fail(op, message);
}

unsigned spaceOf(Value pointer) { return cast<LLVM::LLVMPointerType>(pointer.getType()).getAddressSpace(); }

/// The mbarrier of `block` at a place of its shared memory.
Mbarrier &barrierAt(Warp &warp, Operation *op, emulator::Block &block, uint64_t place) {
  std::string message;
  Mbarrier *barrier = block.mbarriers.find(place, warp.member, warp.clock, message);
  if (!barrier)
    warp.fail(op, message);
  return *barrier;
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
        warp.block.mbarriers.init(warp.at(address)[lane], warp.at(count)[lane], warp.member, warp.clock));
  };
}

std::optional<Step> fenceInit(Translator &, Operation *) {
  return [](Warp &warp) { warp.block.mbarriers.fenceInit(warp.member); };
}

/// What an arrival is beside its mbarrier: `space` of the address, and whether other blocks learn of it.
struct Arrival {
  unsigned space;
  bool isForCluster;
};

void arriveAt(Warp &warp, Operation *op, Arrival how, uint64_t address, unsigned count, int64_t bytes,
              unsigned lane) {
  emulator::Block &block = how.space == kClusterShared ? warp.reach(op, address, lane) : warp.block;
  bool isOther = &block != &warp.block;
  if (isOther && !how.isForCluster)
    warp.fail(op, "arrives at another block's mbarrier with the scope of its own block", lane);
  Mbarrier &barrier = barrierAt(warp, op, block, address);
  failWith(warp, op, block.mbarriers.arrive(barrier, count, bytes, warp.member, warp.clock, isOther));
}

std::optional<Step> arrive(Translator &t, Operation *op) {
  auto arrive = cast<NVVM::MBarrierArriveOp>(op);
  if (arrive.getRes() || arrive.getRelaxed())
    return unsupported(op);
  unsigned address = t.slotOf(arrive.getAddr());
  bool hasCount = static_cast<bool>(arrive.getCount());
  unsigned count = hasCount ? t.slotOf(arrive.getCount()) : 0;
  Arrival how = {spaceOf(arrive.getAddr()), arrive.getScope() == NVVM::MemScopeKind::CLUSTER};
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    // By mbarrier: lanes may arrive at those of several blocks.
    std::map<uint64_t, std::pair<unsigned, unsigned>> arrivals;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      if (warp.active(lane)) {
        auto &[arrived, first] = arrivals.try_emplace(warp.at(address)[lane], 0, lane).first->second;
        arrived += hasCount ? static_cast<unsigned>(warp.at(count)[lane]) : 1;
      }
    if (how.space == kShared && arrivals.size() > 1)
      warp.fail(op, "names several mbarriers in one warp");
    for (auto &[place, who] : arrivals)
      arriveAt(warp, op, how, place, who.first, 0, who.second);
  };
}

std::optional<Step> arriveExpecting(Translator &t, Operation *op) {
  auto arrive = cast<NVVM::MBarrierArriveExpectTxOp>(op);
  if (arrive.getRes() || arrive.getRelaxed() || arrive.getPredicate())
    return unsupported(op);
  unsigned address = t.slotOf(arrive.getAddr()), bytes = t.slotOf(arrive.getTxcount());
  Arrival how = {spaceOf(arrive.getAddr()), arrive.getScope() == NVVM::MemScopeKind::CLUSTER};
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    unsigned lane = warp.soleLane(op);
    arriveAt(warp, op, how, warp.at(address)[lane], 1, static_cast<int64_t>(warp.at(bytes)[lane]), lane);
  };
}

/// A warp waits for a phase; what other blocks did is known behind it with `isForCluster` alone.
void waitForPhase(Warp &warp, Operation *op, uint64_t place, unsigned parity, bool isForCluster) {
  ++warp.block.report.instructions;
  Mbarrier &barrier = barrierAt(warp, op, warp.block, place);
  if (parity > 1)
    warp.fail(op, "waits for parity " + std::to_string(parity));
  Mbarriers &all = warp.block.mbarriers;
  warp.block_until(op, "a phase of an mbarrier", [&, parity] { return all.isOver(barrier, parity); });
  warp.clock.join(barrier.completed[parity]);
  if (isForCluster)
    warp.clock.join(barrier.completedByOthers[parity]);
}

/// The place that all active lanes name.
uint64_t placeOf(Warp &warp, Operation *op, unsigned address) {
  uint64_t place = warp.uniform(address);
  for (unsigned lane = 0; lane < kLanes; ++lane)
    if (warp.active(lane) && warp.at(address)[lane] != place)
      warp.fail(op, "names several mbarriers in one warp", lane);
  return place;
}

std::optional<Step> wait(Translator &t, Operation *op) {
  auto wait = cast<NVVM::MBarrierTryWaitParityOp>(op);
  unsigned address = t.slotOf(wait.getAddr()), phase = t.slotOf(wait.getPhase());
  return [=](Warp &warp) {
    waitForPhase(warp, op, placeOf(warp, op, address), warp.uniform(phase), /*isForCluster=*/false);
  };
}

/// It may block, and here it does until the phase is over.
std::optional<Step> tryWait(Translator &t, Operation *op) {
  auto wait = cast<NVVM::MBarrierTryWaitOp>(op);
  if (!wait.getStateOrPhase().getType().isInteger(32) || wait.getRelaxed())
    return unsupported(op);
  unsigned address = t.slotOf(wait.getAddr()), phase = t.slotOf(wait.getStateOrPhase()),
           result = t.slotOf(wait.getRes());
  bool isForCluster = wait.getScope() == NVVM::MemScopeKind::CLUSTER;
  return [=](Warp &warp) {
    waitForPhase(warp, op, placeOf(warp, op, address), warp.uniform(phase), isForCluster);
    std::fill_n(warp.at(result), kLanes, 1);
  };
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
  h["nvvm.mbarrier.try_wait.parity"] = wait;
  h["nvvm.mbarrier.try_wait"] = tryWait;
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
