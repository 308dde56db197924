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

SharedState::SharedState(uint64_t count, unsigned warps, bool checkRaces)
    : bytes(count, kPoison), cells((count + kCell - 1) / kCell), reads(checkRaces ? cells.size() * warps : 0),
      warps(warps), checkRaces(checkRaces) {}

static std::string otherWarp(unsigned warp) { return "warp " + std::to_string(warp); }

std::string SharedState::read(uint64_t address, uint64_t count, unsigned warp, const Clock &clock) {
  for (uint64_t cell = address / kCell, end = (address + count + kCell - 1) / kCell; cell < end; ++cell) {
    const Cell &state = cells[cell];
    if (state.inFlight)
      return "reads shared memory that an asynchronous copy still writes (a wait is missing before it)";
    if (state.writer == kNobody)
      return "reads shared memory that nothing has written";
    if (!checkRaces)
      continue;
    if (state.writer != warp && state.written > clock[state.writer])
      return "reads shared memory that " + otherWarp(state.writer) + " wrote with no barrier between";
    reads[cell * warps + warp] = clock[warp];
  }
  return "";
}

std::string SharedState::checkWrite(uint64_t cell, unsigned warp, const Clock &clock) const {
  const Cell &state = cells[cell];
  if (state.inFlight)
    return "writes shared memory that an asynchronous copy still writes (a wait is missing before it)";
  if (!checkRaces)
    return "";
  if (state.writer != kNobody && state.writer != warp && state.written > clock[state.writer])
    return "writes shared memory that " + otherWarp(state.writer) + " wrote with no barrier between";
  for (unsigned other = 0; other < warps; ++other)
    if (other != warp && reads[cell * warps + other] > clock[other])
      return "writes shared memory that " + otherWarp(other) + " read with no barrier between";
  return "";
}

std::string SharedState::write(uint64_t address, uint64_t count, unsigned warp, const Clock &clock) {
  for (uint64_t cell = address / kCell, end = (address + count + kCell - 1) / kCell; cell < end; ++cell) {
    if (std::string message = checkWrite(cell, warp, clock); !message.empty())
      return message;
    cells[cell] = {warp, clock[warp], false};
  }
  return "";
}

std::string SharedState::beginWrite(uint64_t address, uint64_t count, unsigned warp, const Clock &clock) {
  for (uint64_t cell = address / kCell, end = (address + count + kCell - 1) / kCell; cell < end; ++cell) {
    if (std::string message = checkWrite(cell, warp, clock); !message.empty())
      return message;
    cells[cell].inFlight = true;
  }
  return "";
}

void SharedState::land(uint64_t address, uint64_t count, unsigned warp, const Clock &clock) {
  for (uint64_t cell = address / kCell, end = (address + count + kCell - 1) / kCell; cell < end; ++cell)
    cells[cell] = {warp, clock[warp], false};
}
