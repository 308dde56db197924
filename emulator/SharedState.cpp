//===- SharedState.cpp - shared memory and who touched it ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/SharedState.h"

#include <cstring>

using namespace mlir::emulator;

/// Bytes that nobody wrote: recognisable, and NaN as f32, bf16 and f16.
static constexpr uint8_t kPoison = 0xff;

SharedState::SharedState(uint64_t count, unsigned warps, unsigned warpsOfBlock, bool checkRaces)
    : bytes(count, kPoison), cells((count + kCell - 1) / kCell), reads(groups() * (warps / warpsOfBlock)),
      warps(warps), warpsOfBlock(warpsOfBlock), checkRaces(checkRaces) {}

uint32_t &SharedState::readBy(uint64_t cell, unsigned warp) {
  std::unique_ptr<uint32_t[]> &group = reads[warp / warpsOfBlock * groups() + cell / kGroup];
  if (!group)
    group = std::make_unique<uint32_t[]>(kGroup * warpsOfBlock);
  return group[cell % kGroup * warpsOfBlock + warp % warpsOfBlock];
}

void Clock::join(const Clock &other) {
  for (size_t i = 0; i < seen.size(); ++i) {
    seen[i] = std::max(seen[i], other.seen[i]);
    fenced[i] = std::max(fenced[i], other.fenced[i]);
  }
}

std::string SharedState::member(unsigned number) const {
  if (number >= warps)
    return "a copy of TMA";
  std::string name = "warp " + std::to_string(number % warpsOfBlock);
  return warps == warpsOfBlock ? name
                               : name + " of the cluster's block " + std::to_string(number / warpsOfBlock);
}

std::string SharedState::checkRead(uint64_t cell, unsigned warp, const Clock &clock) const {
  const Cell &state = cells[cell];
  if (state.inFlight)
    return "reads shared memory that an asynchronous copy still writes (a wait is missing before it)";
  if (state.writer == kNobody)
    return "reads shared memory that nothing has written";
  if (checkRaces && state.writer != warp && state.written > clock.seen[state.writer])
    return "reads shared memory that " + member(state.writer) + " wrote with no barrier between";
  return "";
}

std::string SharedState::checkProxy(uint64_t cell, const Clock &clock) const {
  const Cell &state = cells[cell];
  if (checkRaces && state.writer != kNobody && state.isOrdinary && state.written > clock.fenced[state.writer])
    return "accesses through the asynchronous proxy what " + member(state.writer) +
           " stored with no fence.proxy between";
  return "";
}

std::string SharedState::checkWrite(uint64_t cell, unsigned warp, const Clock &clock) const {
  const Cell &state = cells[cell];
  if (state.inFlight)
    return "writes shared memory that an asynchronous copy still writes (a wait is missing before it)";
  if (!checkRaces)
    return "";
  if (state.writer != kNobody && state.writer != warp && state.written > clock.seen[state.writer])
    return "writes shared memory that " + member(state.writer) + " wrote with no barrier between";
  for (unsigned first = 0; first < warps; first += warpsOfBlock) {
    const uint32_t *times = readsOf(cell, first / warpsOfBlock);
    for (unsigned i = 0; times && i < warpsOfBlock; ++i) {
      unsigned other = first + i;
      if (other == warp ? times[i] == kReading : times[i] > clock.seen[other])
        return "writes shared memory that " + member(other) +
               (times[i] == kReading ? " still reads in a product or store under way"
                                     : " read with no barrier between");
    }
  }
  return "";
}

//===----------------------------------------------------------------------===//
// Accesses
//===----------------------------------------------------------------------===//

template <typename F> static void forCells(uint64_t address, uint64_t count, unsigned cellBytes, F visit) {
  for (uint64_t cell = address / cellBytes, end = (address + count + cellBytes - 1) / cellBytes; cell < end;
       ++cell)
    visit(cell);
}

std::string SharedState::read(uint64_t address, uint64_t count, unsigned warp, const Clock &clock) {
  std::string message;
  forCells(address, count, kCell, [&](uint64_t cell) {
    if (message.empty())
      message = checkRead(cell, warp, clock);
    if (uint32_t *time = checkRaces ? &readBy(cell, warp) : nullptr; time && *time != kReading)
      *time = clock.seen[warp];
  });
  return message;
}

std::string SharedState::write(uint64_t address, uint64_t count, unsigned warp, const Clock &clock) {
  std::string message;
  forCells(address, count, kCell, [&](uint64_t cell) {
    if (message.empty())
      message = checkWrite(cell, warp, clock);
    cells[cell] = {warp, clock.seen[warp], false, true};
  });
  return message;
}

std::string SharedState::beginWrite(uint64_t address, uint64_t count, unsigned warp, const Clock &clock,
                                    bool isProxy) {
  std::string message;
  forCells(address, count, kCell, [&](uint64_t cell) {
    if (message.empty())
      message = checkWrite(cell, warp, clock);
    if (message.empty() && isProxy)
      message = checkProxy(cell, clock);
    cells[cell].inFlight = true;
  });
  return message;
}

void SharedState::land(uint64_t address, uint64_t count, unsigned member, uint32_t time, bool isProxy) {
  forCells(address, count, kCell, [&](uint64_t cell) { cells[cell] = {member, time, false, !isProxy}; });
}

std::string SharedState::beginRead(uint64_t address, uint64_t count, unsigned warp, const Clock &clock) {
  std::string message;
  forCells(address, count, kCell, [&](uint64_t cell) {
    // What was written by copies of TMA that have been waited for is most of what is read so.
    const Cell &state = cells[cell];
    bool isFine = !state.inFlight && state.writer != kNobody && !state.isOrdinary &&
                  state.written <= clock.seen[state.writer];
    if (message.empty() && !isFine)
      message = checkRead(cell, warp, clock);
    if (message.empty() && !isFine)
      message = checkProxy(cell, clock);
    if (checkRaces)
      readBy(cell, warp) = kReading;
  });
  return message;
}

void SharedState::endRead(uint64_t address, uint64_t count, unsigned warp, const Clock &clock) {
  if (checkRaces)
    forCells(address, count, kCell, [&](uint64_t cell) { readBy(cell, warp) = clock.seen[warp]; });
}
