//===- Profiler.h - where the time of calls goes --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A session of a model that was opened for profiling has one. The clock is read
// once per launch, when it ends: the time of a launch begins where the one
// before ended, so it holds the generated code that prepared it, and the times
// of a call add up to the call. What lies before the first launch of a piece and
// behind the last one of a call is the record "(host)".
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_PROFILER_H
#define XFM_RUNTIME_PROFILER_H

#include "runtime/Manifest.h"
#include "runtime/ThreadPool.h"

#include <chrono>
#include <vector>

namespace xfm {

class Profiler {
public:
  /// All launches of one name in one entry point.
  struct Record {
    const char *entry = nullptr;
    const char *name = nullptr;
    int64_t calls = 0;
    int64_t nanoseconds = 0;
    bool hasFlops = false, hasBytes = false; ///< the manifest states them
    double flops = 0, bytes = 0;             ///< of all calls
    double openFlops = 0, openBytes = 0;     ///< of the call being run, which may fail
  };

  /// One launch. Times are in nanoseconds behind the first start().
  struct Event {
    int64_t begin;
    int64_t end;
    size_t record; ///< index into all records
  };

  Profiler(const Manifest &manifest, ThreadPool &pool);
  Profiler(const Profiler &) = delete;
  Profiler &operator=(const Profiler &) = delete;

  void start();
  void stop() { active = false; }
  void reset();

  /// The session calls these around a call and each of its pieces. A call that
  /// fails leaves no trace.
  void beginCall();
  void beginPiece(const EntryPoint &entry, const std::vector<int64_t> &sizes, double keys);
  void endPiece() { inPiece = false; }
  void endCall(bool succeeded);

  /// xfm_abi::parallel_for of a model that was opened for profiling.
  void parallelFor(xfm_task_fn fn, void *args, int64_t total, int64_t grain, int32_t dispatch);

  /// Those with a call, in the order in which they were first met.
  size_t recordCount() const { return met.size(); }
  const Record &record(size_t index) const { return records[met[index]]; }
  size_t eventCount() const { return events.size(); }
  const Event &event(size_t index) const { return events[index]; }
  const Record &recordOf(const Event &event) const { return records[event.record]; }
  /// Wall time of all profiled calls.
  int64_t nanoseconds() const { return wall; }

private:
  int64_t now() const;
  void append(size_t record, int64_t end) noexcept;
  bool makeRoom(size_t count) noexcept;

  const Manifest &manifest;
  ThreadPool &pool;
  std::chrono::steady_clock::time_point origin;
  bool active = false;   ///< between start() and stop()
  bool inCall = false;   ///< in a call that is profiled
  bool inPiece = false;  ///< generated code of such a call runs
  bool inLaunch = false; ///< one of its launches runs

  /// Of every entry point: its dispatches, "(unlisted)", "(host)".
  std::vector<Record> records;
  std::vector<size_t> firstRecords; ///< by entry point
  std::vector<size_t> met;
  std::vector<Event> events;

  size_t entry = 0;      ///< index of the entry point being run
  size_t firstEvent = 0; ///< of the call being run
  int64_t callBegin = 0;
  int64_t stamp = 0; ///< end of the last event
  int64_t wall = 0;
  int64_t lost = 0; ///< events there was no memory for
};

} // namespace xfm

#endif // XFM_RUNTIME_PROFILER_H
