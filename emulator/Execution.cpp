//===- Execution.cpp - blocks, warps and lanes at work ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Execution.h"

#include "emulator/BulkStores.h"
#include "emulator/Cluster.h"
#include "emulator/Program.h"
#include "emulator/Warpgroup.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>

using namespace mlir;
using namespace mlir::emulator;

/// Of a multiprocessor, and what a thread may have at most. They are given out by eight.
static constexpr uint64_t kRegisters = 65536, kMostRegisters = 255;
/// Bytes that a warp reads from 32 banks of shared memory in one pass, and of a sector of global memory.
static constexpr unsigned kBanks = 32, kBankBytes = 4, kSectorBytes = 32;

//===----------------------------------------------------------------------===//
// Warps
//===----------------------------------------------------------------------===//

Warp::Warp(class Block &block, unsigned number, unsigned words)
    : block(block), number(number), member(block.rank * block.program.warps() + number),
      registers(size_t(words) * kLanes), products(std::make_unique<WarpgroupProducts>()),
      stores(std::make_unique<BulkStores>()) {}
Warp::~Warp() = default;

uint64_t Warp::uniform(unsigned slot) { return at(slot)[mask ? llvm::countr_zero(mask) : 0]; }

void Warp::fail(Operation *op, const std::string &message, int lane) {
  llvm::raw_string_ostream stream(block.report.error);
  stream << "kernel " << block.program.name << ", block " << block.number << ", ";
  if (lane >= 0)
    stream << "thread " << number * kLanes + lane << ": ";
  else
    stream << "warp " << number << ": ";
  stream << op->getName() << ' ' << message << " (" << op->getLoc() << ')';
  finished = true;
  block.cluster.backToScheduler(*this);
  abort(); // a warp that failed is not resumed
}

void Warp::requireAllLanes(Operation *op) {
  if (mask != kAllLanes)
    fail(op, "is executed by some lanes of the warp alone; all of them must take part");
}

unsigned Warp::soleLane(Operation *op) {
  if (llvm::popcount(mask) != 1)
    fail(op, "is executed by " + std::to_string(llvm::popcount(mask)) + " lanes; one of them must");
  return llvm::countr_zero(mask);
}

void Warp::block_until(Operation *op, const char *what, const std::function<bool()> &isReady) {
  if (isReady())
    return;
  waitingAt = op;
  waitingFor = what;
  ready = isReady;
  block.cluster.backToScheduler(*this);
  waitingAt = nullptr;
  ready = nullptr;
}

void Warp::checkAlignment(Operation *op, uint64_t address, unsigned bytes, unsigned lane) {
  unsigned alignment = std::min(16u, bytes & -bytes);
  if (address % alignment != 0)
    fail(op,
         "accesses " + std::to_string(bytes) + " bytes at an address that is no multiple of " +
             std::to_string(alignment),
         lane);
}

void Warp::checkGlobal(Operation *op, uint64_t address, uint64_t bytes, unsigned lane, bool writes) {
  if (overlaps)
    fail(op, "accesses global memory before it has waited for the kernels ahead (griddepcontrol wait)", lane);
  if (!lastRegion || !lastRegion->holds(address, bytes))
    lastRegion = block.memory.findBefore(address);
  if (!lastRegion || !lastRegion->holds(address, bytes)) {
    std::string place = lastRegion
                            ? std::to_string(address - lastRegion->begin) + " bytes behind the begin of " +
                                  lastRegion->name + ", which has " + std::to_string(lastRegion->bytes)
                            : "address " + std::to_string(address);
    lastRegion = nullptr;
    fail(op, std::string(writes ? "writes" : "reads") + " global memory out of bounds: " + place, lane);
  }
  if (writes && !lastRegion->writable)
    fail(op, "writes " + lastRegion->name + ", which is read-only", lane);
}

void Warp::countGlobal(const uint64_t *address, unsigned bytes) {
  SmallVector<uint64_t, 64> sectors;
  uint64_t lanes = 0;
  for (unsigned lane = 0; lane < kLanes; ++lane)
    if (active(lane)) {
      ++lanes;
      for (uint64_t s = address[lane] / kSectorBytes; s <= (address[lane] + bytes - 1) / kSectorBytes; ++s)
        sectors.push_back(s);
    }
  llvm::sort(sectors);
  sectors.erase(llvm::unique(sectors), sectors.end());
  block.report.globalSectors += sectors.size();
  block.report.neededSectors +=
      std::min<uint64_t>(sectors.size(), (lanes * bytes + kSectorBytes - 1) / kSectorBytes);
}

/// Lanes are served in groups whose bytes fill the banks once; in each, a bank serves one word a pass.
void Warp::countShared(const uint64_t *address, unsigned bytes) {
  unsigned group = bytes <= kBankBytes ? kLanes : kLanes * kBankBytes / bytes;
  for (unsigned first = 0; first < kLanes; first += group) {
    SmallVector<uint64_t, kLanes> words;
    for (unsigned lane = first; lane < first + group; ++lane)
      if (active(lane))
        for (uint64_t word = address[lane] / kBankBytes; word <= (address[lane] + bytes - 1) / kBankBytes;
             ++word)
          words.push_back(word);
    llvm::sort(words);
    words.erase(llvm::unique(words), words.end());
    unsigned ofBank[kBanks] = {}, passes = 1;
    for (uint64_t word : words)
      passes = std::max(passes, ++ofBank[word % kBanks]);
    ++block.report.sharedAccesses;
    block.report.bankConflicts += passes - 1;
  }
}

emulator::Block &Warp::reach(Operation *op, uint64_t &address, unsigned lane) {
  uint64_t window = address >> kWindowBits;
  if (window == 0)
    return block;
  address &= (uint64_t(1) << kWindowBits) - 1;
  emulator::Block &other = block.cluster.peer(*this, op, window - 1, lane);
  if (&other != &block)
    other.reached[member] = clock.seen[member];
  return other;
}

SharedState &Warp::sharedAt(Operation *op, unsigned space, uint64_t &address, unsigned bytes, unsigned lane,
                            bool writes) {
  SharedState &shared = (space == kClusterShared ? reach(op, address, lane) : block).shared;
  if (address > shared.size() || shared.size() - address < bytes)
    fail(op,
         std::string(writes ? "writes" : "reads") + " shared memory out of bounds: byte " +
             std::to_string(address) + " of " + std::to_string(shared.size()),
         lane);
  return shared;
}

void Warp::read(Operation *op, unsigned space, const uint64_t *address, unsigned bytes, uint8_t *out) {
  bool isShared = space == kShared || space == kClusterShared;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!active(lane))
      continue;
    checkAlignment(op, address[lane], bytes, lane);
    if (!isShared) {
      checkGlobal(op, address[lane], bytes, lane, /*writes=*/false);
      std::memcpy(out + lane * bytes, reinterpret_cast<const void *>(address[lane]), bytes);
      continue;
    }
    uint64_t place = address[lane];
    SharedState &shared = sharedAt(op, space, place, bytes, lane, /*writes=*/false);
    if (std::string message = shared.read(place, bytes, member, clock); !message.empty())
      fail(op, message, lane);
    std::memcpy(out + lane * bytes, shared.data() + place, bytes);
  }
  isShared ? countShared(address, bytes) : countGlobal(address, bytes);
}

void Warp::write(Operation *op, unsigned space, const uint64_t *address, unsigned bytes, const uint8_t *in) {
  bool isShared = space == kShared || space == kClusterShared;
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!active(lane))
      continue;
    checkAlignment(op, address[lane], bytes, lane);
    if (!isShared) {
      checkGlobal(op, address[lane], bytes, lane, /*writes=*/true);
      std::memcpy(reinterpret_cast<void *>(address[lane]), in + lane * bytes, bytes);
      continue;
    }
    uint64_t place = address[lane];
    SharedState &shared = sharedAt(op, space, place, bytes, lane, /*writes=*/true);
    if (std::string message = shared.write(place, bytes, member, clock); !message.empty())
      fail(op, message, lane);
    std::memcpy(shared.data() + place, in + lane * bytes, bytes);
  }
  isShared ? countShared(address, bytes) : countGlobal(address, bytes);
}

//===----------------------------------------------------------------------===//
// Asynchronous copies
//===----------------------------------------------------------------------===//

void Warp::copyAsync(Operation *op, const uint64_t *target, const uint64_t *source, unsigned bytes,
                     const uint64_t *copied) {
  for (unsigned lane = 0; lane < kLanes; ++lane) {
    if (!active(lane))
      continue;
    unsigned count = copied ? std::min<uint64_t>(copied[lane], bytes) : bytes;
    if (target[lane] % bytes != 0 || (count > 0 && source[lane] % bytes != 0))
      fail(op, "copies " + std::to_string(bytes) + " bytes from or to an address that is no multiple of it",
           lane);
    if (count > 0)
      checkGlobal(op, source[lane], count, lane, /*writes=*/false);
    if (target[lane] > block.shared.size() || block.shared.size() - target[lane] < bytes)
      fail(op,
           "writes shared memory out of bounds: byte " + std::to_string(target[lane]) + " of " +
               std::to_string(block.shared.size()),
           lane);
    if (std::string message = block.shared.beginWrite(target[lane], bytes, member, clock); !message.empty())
      fail(op, message, lane);
    AsyncCopy copy{target[lane], source[lane], bytes, count};
    if (!block.options.late) {
      uint8_t *place = block.shared.data() + copy.target;
      std::memset(place, 0, bytes);
      std::memcpy(place, reinterpret_cast<const void *>(copy.source), count);
    }
    issued.push_back(copy);
  }
  countGlobal(source, bytes);
}

void Warp::commitCopies(Operation *op) {
  requireAllLanes(op);
  groups.push_back(std::move(issued));
  issued.clear();
}

void Warp::waitForCopies(Operation *op, unsigned pending) {
  requireAllLanes(op);
  while (groups.size() > pending) {
    for (const AsyncCopy &copy : groups.front()) {
      if (block.options.late) {
        uint8_t *place = block.shared.data() + copy.target;
        std::memset(place, 0, copy.bytes);
        std::memcpy(place, reinterpret_cast<const void *>(copy.source), copy.copied);
      }
      block.shared.land(copy.target, copy.bytes, member, clock.seen[member]);
    }
    groups.erase(groups.begin());
  }
}

void Warp::landCopies() {
  for (const auto &group : groups)
    for (const AsyncCopy &copy : group)
      block.shared.land(copy.target, copy.bytes, member, clock.seen[member]);
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

emulator::Block::Block(const Program &program, const LaunchConfig &config, DeviceMemory &memory,
                       const EmulatorOptions &options, LaunchReport &report, uint64_t number,
                       Cluster &cluster, unsigned rank)
    : program(program), config(config), memory(memory), options(options), report(report), cluster(cluster),
      number(number), rank(rank), threads(program.threads),
      shared(program.sharedBytes, program.cluster * program.warps(), program.warps(), options.checkRaces),
      mbarriers(shared, program.cluster * program.warps() + rank * Mbarriers::kMost, options.late),
      reached(program.cluster * program.warps()), ended(program.clockMembers()) {
  for (unsigned i = 0; i < program.warps(); ++i) {
    auto warp = std::make_unique<Warp>(*this, i, program.words);
    warp->registersHeld = std::min(kMostRegisters, kRegisters / threads / 8 * 8);
    registers += warp->registersHeld;
    warp->overlaps = program.overlaps;
    warp->clock = Clock(program.clockMembers());
    warp->clock.seen[warp->member] = 1;
    for (const Program::Constant &constant : program.constants)
      std::fill_n(warp->at(constant.slot), kLanes, constant.bits);
    for (const Program::Parameter &parameter : program.parameters)
      std::fill_n(warp->at(parameter.slot), kLanes,
                  parameter.word < 0 ? parameter.bits : config.words[parameter.word]);
    warps.push_back(std::move(warp));
  }
}

void emulator::Block::meet(Warp &warp, Operation *op, unsigned number, unsigned count, bool waits) {
  NamedBarrier &barrier = barriers[number];
  if (count == 0 || count % kLanes != 0 || count > threads)
    warp.fail(op, "waits for " + std::to_string(count) + " threads of a block of " + std::to_string(threads));
  if (barrier.arrived != 0 && barrier.expected != count)
    warp.fail(op, "waits for " + std::to_string(count) + " threads at a barrier where others wait for " +
                      std::to_string(barrier.expected));
  unsigned generation = barrier.generation;
  Clock &known = barrier.joined[generation % 2];
  if (barrier.arrived == 0)
    known = warp.clock;
  known.join(warp.clock);
  barrier.expected = count;
  barrier.arrived += kLanes;
  if (barrier.arrived >= count) {
    barrier.arrived = 0;
    ++barrier.generation;
  } else if (waits) {
    warp.block_until(op, "the other warps at the barrier",
                     [&barrier, generation] { return barrier.generation != generation; });
  }
  // What each warp did before the barrier is known to all behind it. The next meeting has another
  // clock, and the one after that begins when all have left this one.
  if (waits)
    warp.clock.join(known);
  ++warp.clock.seen[warp.member];
}
