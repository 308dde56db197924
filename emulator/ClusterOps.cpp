//===- ClusterOps.cpp - what blocks of a cluster do together ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Cluster.h"
#include "emulator/Program.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace mlir::emulator;

namespace {

template <typename F> Handler clusterRegister(F valueOf) {
  return [valueOf](Translator &t, Operation *op) -> std::optional<Step> {
    unsigned result = t.slotOf(op->getResult(0));
    return [=](Warp &warp) { std::fill_n(warp.at(result), kLanes, valueOf(warp.block)); };
  };
}

uint64_t rankOf(const emulator::Block &block) { return block.rank; }
uint64_t sizeOf(const emulator::Block &block) { return block.cluster.blocks.size(); }

/// All lanes of the warp take part where the op says that it is `aligned`.
template <typename Op> Handler clusterBarrier(void (Cluster::*meet)(Warp &, Operation *)) {
  return [meet](Translator &, Operation *op) -> std::optional<Step> {
    bool isAligned = cast<Op>(op).getAligned().value_or(false);
    return [=](Warp &warp) {
      ++warp.block.report.instructions;
      if (isAligned)
        warp.requireAllLanes(op);
      (warp.block.cluster.*meet)(warp, op);
    };
  };
}

/// The same place in the shared memory of another block.
std::optional<Step> mapAddress(Translator &t, Operation *op) {
  auto map = cast<NVVM::MapaOp>(op);
  if (cast<LLVM::LLVMPointerType>(map.getA().getType()).getAddressSpace() != kShared)
    return unsupported(op);
  unsigned from = t.slotOf(map.getA()), rank = t.slotOf(map.getB()), result = t.slotOf(map.getRes());
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    warp.block.cluster.require(warp, op);
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      if (!warp.active(lane))
        continue;
      uint64_t block = warp.at(rank)[lane];
      if (block >= sizeOf(warp.block))
        warp.fail(op,
                  "names block " + std::to_string(block) + " of a cluster of " +
                      std::to_string(sizeOf(warp.block)),
                  lane);
      warp.at(result)[lane] = clusterAddress(warp.at(from)[lane], static_cast<unsigned>(block));
    }
  };
}

/// A block's own addresses are the same in the cluster's window.
std::optional<Step> castAddressSpace(Translator &t, Operation *op) {
  auto spaceOf = [](Value v) { return cast<LLVM::LLVMPointerType>(v.getType()).getAddressSpace(); };
  if (spaceOf(op->getOperand(0)) != kShared || spaceOf(op->getResult(0)) != kClusterShared)
    return unsupported(op);
  unsigned from = t.slotOf(op->getOperand(0)), result = t.slotOf(op->getResult(0));
  return [=](Warp &warp) { std::copy_n(warp.at(from), kLanes, warp.at(result)); };
}

} // namespace

void mlir::emulator::addClusterOps(Handlers &h) {
  h["nvvm.read.ptx.sreg.cluster.ctarank"] = h["nvvm.read.ptx.sreg.cluster.ctaid.x"] = clusterRegister(rankOf);
  h["nvvm.read.ptx.sreg.cluster.nctarank"] = h["nvvm.read.ptx.sreg.cluster.nctaid.x"] =
      clusterRegister(sizeOf);
  h["nvvm.read.ptx.sreg.clusterid.x"] =
      clusterRegister([](const emulator::Block &block) { return block.number / sizeOf(block); });
  h["nvvm.read.ptx.sreg.nclusterid.x"] =
      clusterRegister([](const emulator::Block &block) { return block.config.blocks / sizeOf(block); });
  h["nvvm.cluster.arrive"] = clusterBarrier<NVVM::ClusterArriveOp>(&Cluster::arrive);
  h["nvvm.cluster.wait"] = clusterBarrier<NVVM::ClusterWaitOp>(&Cluster::wait);
  h["nvvm.mapa"] = mapAddress;
  h["llvm.addrspacecast"] = castAddressSpace;
}
