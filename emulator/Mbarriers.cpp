//===- Mbarriers.cpp - barriers that count bytes -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Mbarriers.h"

#include <cstring>

using namespace mlir;
using namespace mlir::emulator;

static constexpr uint64_t kObjectBytes = 8;

//===----------------------------------------------------------------------===//
// Copies of TMA
//===----------------------------------------------------------------------===//

uint64_t TensorCopy::bytes() const {
  uint64_t count = map->elementBytes;
  for (int64_t size : map->box)
    count *= size;
  return count;
}

/// The swizzle exchanges 16-byte pieces by bits of the address: with 128 bytes, bits 4 to 6 by bits 7 to 9.
static uint64_t swizzled(uint64_t address, int64_t swizzle) {
  return swizzle == 0 ? address : address ^ ((address >> 7 & (swizzle / 16 - 1)) << 4);
}

std::optional<uint64_t> TensorCopy::placeOf(uint64_t number) const {
  uint64_t rest = number, stride = 1, place = 0;
  for (size_t i = map->box.size(); i-- > 0;) {
    int64_t index = at[i] + static_cast<int64_t>(rest % map->box[i]);
    rest /= map->box[i];
    if (index < 0 || index >= sizes[i])
      return std::nullopt;
    place += static_cast<uint64_t>(index) * stride;
    stride *= sizes[i];
  }
  return place;
}

uint64_t TensorCopy::sharedPlaceOf(uint64_t number) const {
  return swizzled(target + number * map->elementBytes, map->swizzle);
}

void TensorCopy::load(uint8_t *shared) const {
  unsigned each = map->elementBytes;
  for (uint64_t number = 0, total = bytes() / each; number < total; ++number) {
    uint8_t *to = shared + sharedPlaceOf(number);
    if (std::optional<uint64_t> place = placeOf(number))
      std::memcpy(to, reinterpret_cast<const void *>(base + *place * each), each);
    else
      std::memset(to, 0, each);
  }
}

std::vector<uint8_t> TensorCopy::gather(const uint8_t *shared) const {
  unsigned each = map->elementBytes;
  std::vector<uint8_t> box(bytes());
  for (uint64_t number = 0; number < box.size() / each; ++number)
    std::memcpy(&box[number * each], shared + sharedPlaceOf(number), each);
  return box;
}

void TensorCopy::store(const std::vector<uint8_t> &box) const {
  unsigned each = map->elementBytes;
  for (uint64_t number = 0; number < box.size() / each; ++number)
    if (std::optional<uint64_t> place = placeOf(number))
      std::memcpy(reinterpret_cast<void *>(base + *place * each), &box[number * each], each);
}

//===----------------------------------------------------------------------===//
// Mbarriers
//===----------------------------------------------------------------------===//

std::string Mbarriers::init(uint64_t address, unsigned count, unsigned warp, Clock &clock) {
  if (address % kObjectBytes != 0 || address + kObjectBytes > shared.size())
    return "names byte " + std::to_string(address) + " of shared memory, which can be no mbarrier";
  if (objects.count(address))
    return "initialises an mbarrier again";
  if (objects.size() == kMost)
    return "is one mbarrier more than the emulator has room for";
  if (count == 0)
    return "expects no arrivals";
  if (std::string message = shared.write(address, kObjectBytes, warp, clock); !message.empty())
    return message;
  Mbarrier &barrier = objects[address];
  barrier.count = barrier.pending = count;
  barrier.member = firstMember + static_cast<unsigned>(objects.size()) - 1;
  barrier.initialiser = warp;
  barrier.initialised = clock.seen[warp];
  for (Clock *known : {&barrier.arriving, &barrier.arrivingFromOthers, &barrier.completed[0],
                       &barrier.completed[1], &barrier.completedByOthers[0], &barrier.completedByOthers[1]})
    *known = Clock(clock.seen.size());
  return "";
}

void Mbarriers::fenceInit(unsigned warp) {
  for (auto &[address, barrier] : objects)
    if (barrier.initialiser == warp)
      barrier.isFenced = true;
}

Mbarrier *Mbarriers::find(uint64_t address, unsigned warp, const Clock &clock, std::string &message) {
  auto it = objects.find(address);
  if (it == objects.end()) {
    message = "names byte " + std::to_string(address) + " of shared memory, where no mbarrier is";
    return nullptr;
  }
  Mbarrier &barrier = it->second;
  if (barrier.initialiser != warp && clock.seen[barrier.initialiser] < barrier.initialised) {
    message = "uses an mbarrier that " + shared.member(barrier.initialiser) +
              " initialised with no barrier between";
    return nullptr;
  }
  return &barrier;
}

std::string Mbarriers::arrive(Mbarrier &barrier, unsigned count, int64_t bytes, unsigned warp, Clock &clock,
                              bool fromOther) {
  if (barrier.pending < count)
    return "arrives " + std::to_string(count) + " times at an mbarrier that expects " +
           std::to_string(barrier.pending) + " more in this phase";
  (fromOther ? barrier.arrivingFromOthers : barrier.arriving).join(clock);
  ++clock.seen[warp]; // what comes later is not known to those who wait
  barrier.pending -= count;
  barrier.bytes += bytes;
  completeIfDue(barrier);
  return "";
}

std::string Mbarriers::copy(Mbarrier &barrier, TensorCopy copy, unsigned warp, const Clock &clock) {
  if (!barrier.isFenced)
    return "reports to an mbarrier whose initialisation no fence.mbarrier.init made known";
  if (copy.target % 128 != 0)
    return "writes to an address that is no multiple of 128";
  if (copy.target > shared.size() || shared.size() - copy.target < copy.bytes())
    return "writes shared memory out of bounds: byte " + std::to_string(copy.target) + " of " +
           std::to_string(shared.size());
  if (std::string message = shared.beginWrite(copy.target, copy.bytes(), warp, clock, /*isProxy=*/true);
      !message.empty())
    return message;
  copy.time = ++barrier.copies;
  if (late) {
    barrier.underWay.push_back(std::move(copy));
    return "";
  }
  land(barrier, copy);
  completeIfDue(barrier);
  return "";
}

void Mbarriers::land(Mbarrier &barrier, const TensorCopy &copy) {
  copy.load(shared.data());
  shared.land(copy.target, copy.bytes(), barrier.member, copy.time, /*isProxy=*/true);
  barrier.arriving.seen[barrier.member] = copy.time;
  barrier.bytes -= static_cast<int64_t>(copy.bytes());
}

void Mbarriers::completeIfDue(Mbarrier &barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0)
    return;
  barrier.completed[barrier.phase % 2] = barrier.arriving;
  barrier.completedByOthers[barrier.phase % 2] = barrier.arrivingFromOthers;
  barrier.arriving = barrier.arrivingFromOthers = Clock(barrier.arriving.seen.size());
  barrier.pending = barrier.count;
  ++barrier.phase;
}

bool Mbarriers::isOver(Mbarrier &barrier, unsigned parity) {
  if (barrier.phase % 2 == parity && barrier.pending == 0) {
    // Only what this phase waits for: a copy beyond its bytes belongs to none.
    while (barrier.bytes > 0 && !barrier.underWay.empty()) {
      land(barrier, barrier.underWay.front());
      barrier.underWay.pop_front();
    }
    completeIfDue(barrier);
  }
  return barrier.phase % 2 != parity;
}

bool Mbarriers::anyUnderWay() const {
  for (const auto &[address, barrier] : objects)
    if (!barrier.underWay.empty())
      return true;
  return false;
}
