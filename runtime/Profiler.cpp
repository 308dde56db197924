//===- Profiler.cpp - where the time of calls goes ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Profiler.h"

#include <algorithm>
#include <new>

using namespace xfm;

/// Events come in steps of this many at least: 1.5 MiB.
static constexpr size_t eventStep = 65536;

Profiler::Profiler(const Manifest &manifest, ThreadPool &pool) : manifest(manifest), pool(pool) {
  for (const EntryPoint &point : manifest.entryPoints) {
    firstRecords.push_back(records.size());
    for (const Dispatch &dispatch : point.dispatches) {
      Record record;
      record.name = dispatch.name.c_str();
      record.hasFlops = dispatch.flops.has_value();
      record.hasBytes = dispatch.bytes.has_value();
      records.push_back(record);
    }
    for (const char *name : {"(unlisted)", "(host)"}) {
      records.emplace_back();
      records.back().name = name;
    }
    for (size_t i = firstRecords.back(); i < records.size(); ++i)
      records[i].entry = point.name.c_str();
  }
  met.reserve(records.size());
}

int64_t Profiler::now() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - origin)
      .count();
}

void Profiler::start() {
  if (!active && events.empty() && wall == 0)
    origin = std::chrono::steady_clock::now();
  active = true;
}

void Profiler::reset() {
  for (size_t index : met) {
    Record &record = records[index];
    record.calls = record.nanoseconds = 0;
    record.flops = record.bytes = 0;
  }
  met.clear();
  events.clear();
  wall = lost = 0;
  origin = std::chrono::steady_clock::now();
}

//===----------------------------------------------------------------------===//
// Events
//===----------------------------------------------------------------------===//

/// Growing copies, so it is done in big steps and, as far as the manifest tells
/// how many launches are to come, before generated code runs.
bool Profiler::makeRoom(size_t count) noexcept {
  if (events.capacity() - events.size() >= count)
    return true;
  try {
    events.reserve(events.size() + std::max({count, eventStep, events.size()}));
    return true;
  } catch (const std::bad_alloc &) { // must not unwind through generated code
    return false;
  }
}

void Profiler::append(size_t record, int64_t end) noexcept {
  if (makeRoom(1))
    events.push_back({stamp, end, record});
  else
    ++lost;
  stamp = end;
}

void Profiler::parallelFor(xfm_task_fn fn, void *args, int64_t total, int64_t grain, int32_t dispatch) {
  // A task may start a region, on any thread; it is a part of its launch. The
  // flags are written while no task runs.
  if (!inPiece || inLaunch)
    return pool.parallelFor(fn, args, total, grain);
  inLaunch = true;
  pool.parallelFor(fn, args, total, grain);
  inLaunch = false;
  size_t listed = manifest.entryPoints[entry].dispatches.size();
  size_t index = dispatch < 0 ? listed : std::min(static_cast<size_t>(dispatch), listed);
  append(firstRecords[entry] + index, now());
}

void Profiler::beginCall() {
  if (inCall) // the call before was left by an exception
    endCall(false);
  inCall = active;
  if (!inCall)
    return;
  firstEvent = events.size();
  callBegin = stamp = now();
}

void Profiler::beginPiece(const EntryPoint &point, const std::vector<int64_t> &sizes, double keys) {
  if (!inCall)
    return;
  entry = static_cast<size_t>(&point - manifest.entryPoints.data());
  size_t launches = 2; // and the two of the host
  for (size_t i = 0; i < point.dispatches.size(); ++i) {
    const Dispatch &dispatch = point.dispatches[i];
    Record &record = records[firstRecords[entry] + i];
    launches += static_cast<size_t>(dispatch.count);
    record.openFlops += dispatch.flops ? evaluate(*dispatch.flops, sizes, keys) : 0;
    record.openBytes += dispatch.bytes ? evaluate(*dispatch.bytes, sizes, keys) : 0;
  }
  // A count may be anything; more than this is asked for when it comes.
  (void)makeRoom(std::min(launches, eventStep));
  append(firstRecords[entry] + point.dispatches.size() + 1, now());
  inPiece = true;
}

void Profiler::endCall(bool succeeded) {
  if (!inCall)
    return;
  inCall = inPiece = false;
  if (succeeded) {
    append(firstRecords[entry] + manifest.entryPoints[entry].dispatches.size() + 1, now());
    wall += stamp - callBegin;
  } else {
    events.resize(std::min(events.size(), firstEvent), Event{});
  }
  for (size_t i = firstEvent; i < events.size(); ++i) {
    Record &record = records[events[i].record];
    if (record.calls++ == 0)
      met.push_back(events[i].record);
    record.nanoseconds += events[i].end - events[i].begin;
  }
  for (Record &record : records) {
    record.flops += succeeded ? record.openFlops : 0;
    record.bytes += succeeded ? record.openBytes : 0;
    record.openFlops = record.openBytes = 0;
  }
  if (lost > 0)
    log(XFM_LOG_WARNING, "the profile lacks " + std::to_string(lost) + " launches, for want of memory");
}
