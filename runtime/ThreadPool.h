//===- ThreadPool.h - the threads of a session ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A region is one parallel_for. Its pieces are claimed one by one by whoever is
// awake; the caller takes part, so a region never waits for a worker to wake up,
// only for pieces that were already claimed.
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_THREADPOOL_H
#define XFM_RUNTIME_THREADPOOL_H

#include "runtime/Status.h"
#include "runtime/xfm_abi.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

namespace xfm {

class ThreadPool {
public:
  /// Starts `threads` - 1 workers; the caller of parallelFor is the other one. With
  /// `affinity` each keeps to a core of its own, while there are cores.
  static Status create(int32_t threads, bool affinity, std::unique_ptr<ThreadPool> &out);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  /// xfm_abi::parallel_for for this pool. To be called by one thread at a time;
  /// a call from inside a task runs inline.
  void parallelFor(xfm_task_fn fn, void *args, int64_t total, int64_t grain);

  int32_t threads() const { return static_cast<int32_t>(workers.size()) + 1; }

private:
  /// Written between regions only, while no thread holds a piece.
  struct Region {
    xfm_task_fn fn = nullptr;
    void *args = nullptr;
    int64_t total = 0;
    int64_t piece = 0; ///< tasks per piece
    int32_t count = 0; ///< pieces
  };

  ThreadPool() = default;
  void work();
  void runPieces();
  uint32_t waitForRegion(uint32_t seen);
  void sleepUntilRegion(uint32_t seen);
  void sleepAwayFromCaller(uint32_t seen);
  void waitUntilFinished();
  template <typename Done> bool spin(Done done) const;

  // Each on a cache line of its own: they are written by different threads at
  // different times, and a region should cost few transfers between cores.
  alignas(64) Region region;
  alignas(64) std::atomic<int32_t> unclaimed{0};   ///< pieces nobody took yet
  alignas(64) std::atomic<uint32_t> unfinished{0}; ///< pieces not yet done (futex)
  std::atomic<uint32_t> callerSleeps{0};
  alignas(64) std::atomic<uint32_t> epoch{0}; ///< regions so far (futex)
  std::atomic<int32_t> sleepers{0};
  std::atomic<bool> stopping{false};
  std::atomic<int32_t> callerCore{-1}; ///< where the last region was started

  std::chrono::nanoseconds spinTime{0};
  bool leavesCaller = false; ///< workers sleep on other cores than the caller's
  std::vector<std::thread> workers;
};

/// Cores this process may run on (sched_getaffinity), at least 1.
int32_t availableCores();

} // namespace xfm

#endif // XFM_RUNTIME_THREADPOOL_H
