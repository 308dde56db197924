//===- Cluster.cpp - blocks that run together ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Cluster.h"

#include "emulator/BulkStores.h"
#include "emulator/Program.h"

#include "llvm/Support/raw_ostream.h"

#include <random>

using namespace mlir;
using namespace mlir::emulator;

static constexpr size_t kStackBytes = 256 << 10;

Cluster::Cluster(const Program &program, const LaunchConfig &config, DeviceMemory &memory,
                 const EmulatorOptions &options, LaunchReport &report, uint64_t first)
    : report(report) {
  for (unsigned rank = 0; rank < program.cluster; ++rank)
    blocks.push_back(
        std::make_unique<Block>(program, config, memory, options, report, first + rank, *this, rank));
}

//===----------------------------------------------------------------------===//
// Blocks of each other
//===----------------------------------------------------------------------===//

void Cluster::require(Warp &warp, Operation *op) const {
  if (blocks.size() == 1)
    warp.fail(op, "is executed in a kernel without clusters");
}

emulator::Block &Cluster::peer(Warp &warp, Operation *op, uint64_t rank, int lane) {
  if (rank >= blocks.size())
    warp.fail(op, "names block " + std::to_string(rank) + " of a cluster of " + std::to_string(blocks.size()),
              lane);
  emulator::Block &block = *blocks[rank];
  if (&block == &warp.block)
    return block;
  std::string name = "shared memory of the cluster's block " + std::to_string(rank);
  if (llvm::none_of(block.warps, [&](const auto &other) { return warp.clock.seen[other->member] > 0; }))
    warp.fail(op, "reaches the " + name + ", which need not have started (no cluster barrier between)", lane);
  if (llvm::all_of(block.warps, [](const auto &other) { return other->finished; }))
    warp.fail(op, "reaches the " + name + ", which has ended", lane);
  return block;
}

void Cluster::end(Warp &warp) {
  emulator::Block &block = warp.block;
  block.ended.join(warp.clock);
  warp.finished = true;
  if (!report.error.empty() || llvm::any_of(block.warps, [](const auto &other) { return !other->finished; }))
    return;
  std::string what;
  if (block.mbarriers.anyUnderWay())
    what = "copies into its shared memory are under way";
  for (const auto &peer : blocks)
    for (const auto &other : peer->warps)
      if (block.reached[other->member] > block.ended.seen[other->member])
        what = block.shared.member(other->member) + " may still reach its shared memory (no barrier between)";
  if (!what.empty())
    report.error = nameOf(block) + ": ends while " + what;
}

//===----------------------------------------------------------------------===//
// The barrier
//===----------------------------------------------------------------------===//

void Cluster::arrive(Warp &warp, Operation *op) {
  require(warp, op);
  if (warp.mask & (warp.arrived[0] | warp.arrived[1]))
    warp.fail(op, "arrives again at the cluster's barrier before it has waited");
  Clock &known = joined[generation % 2];
  if (!anyArrived)
    known = warp.clock;
  known.join(warp.clock);
  ++warp.clock.seen[warp.member];
  anyArrived = true;
  warp.arrived[generation % 2] |= warp.mask;
  meetIfAll();
}

void Cluster::meetIfAll() {
  for (const auto &block : blocks)
    for (const auto &warp : block->warps)
      if (!warp->finished && warp->arrived[generation % 2] != kAllLanes)
        return;
  ++generation;
  anyArrived = false;
}

void Cluster::wait(Warp &warp, Operation *op) {
  require(warp, op);
  unsigned which = (warp.mask & ~warp.arrived[0]) == 0 ? 0 : 1;
  if (warp.mask & ~warp.arrived[which])
    warp.fail(op, "waits at the cluster's barrier and has not arrived there");
  // Who arrived for the present meeting waits for its end, which the end of another warp may bring about.
  warp.block_until(op, "the cluster's barrier", [this, which] {
    if (generation % 2 == which)
      meetIfAll();
    return generation % 2 != which;
  });
  // The meeting after the next begins when all have left this one.
  warp.clock.join(joined[which]);
  ++warp.clock.seen[warp.member];
  warp.arrived[which] &= ~warp.mask;
}

//===----------------------------------------------------------------------===//
// Turns
//===----------------------------------------------------------------------===//

std::string Cluster::nameOf(const emulator::Block &block) const {
  return "kernel " + block.program.name + ", block " + std::to_string(block.number);
}

void Cluster::reportDeadlock() {
  llvm::raw_string_ostream stream(report.error);
  stream << nameOf(*blocks[0]);
  if (blocks.size() > 1)
    stream << " to " << blocks.back()->number;
  stream << ": deadlock:";
  for (const auto &block : blocks)
    for (const auto &warp : block->warps)
      if (!warp->finished)
        stream << ' ' << block->shared.member(warp->member) << " waits for " << warp->waitingFor << " ("
               << warp->waitingAt->getLoc() << ");";
}

void Cluster::enter(unsigned high, unsigned low) {
  auto *warp = reinterpret_cast<Warp *>(uint64_t(high) << 32 | low);
  warp->block.program.body.run(*warp);
  warp->landCopies();
  warp->stores->finish(*warp);
  warp->block.cluster.end(*warp);
  warp->block.cluster.backToScheduler(*warp);
}

void Cluster::backToScheduler(Warp &warp) { swapcontext(&warp.context, &scheduler); }

void Cluster::prepare(Warp &warp) {
  warp.stack = std::make_unique<char[]>(kStackBytes);
  getcontext(&warp.context);
  warp.context.uc_stack.ss_sp = warp.stack.get();
  warp.context.uc_stack.ss_size = kStackBytes;
  warp.context.uc_link = nullptr;
  uint64_t address = reinterpret_cast<uint64_t>(&warp);
  makecontext(&warp.context, reinterpret_cast<void (*)()>(&Cluster::enter), 2,
              static_cast<unsigned>(address >> 32), static_cast<unsigned>(address));
}

bool Cluster::run() {
  SmallVector<Warp *> order;
  for (const auto &block : blocks)
    for (const auto &warp : block->warps) {
      prepare(*warp);
      order.push_back(warp.get());
    }
  std::mt19937_64 random(blocks[0]->options.seed * 0x9e3779b97f4a7c15 + blocks[0]->number);
  while (true) {
    std::shuffle(order.begin(), order.end(), random);
    bool progressed = false, allDone = true;
    for (Warp *warp : order) {
      if (warp->finished)
        continue;
      allDone = false;
      if (warp->ready && !warp->ready())
        continue;
      progressed = true;
      swapcontext(&scheduler, &warp->context);
      if (!report.error.empty())
        return false;
    }
    if (progressed)
      continue;
    if (!allDone)
      reportDeadlock();
    return report.error.empty();
  }
}
