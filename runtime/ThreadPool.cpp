//===- ThreadPool.cpp - the threads of a session --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/ThreadPool.h"

#include <algorithm>
#include <climits>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

using namespace xfm;

/// Longer than the gap between two regions of a call, short enough that an idle
/// session costs nothing noticeable.
static constexpr std::chrono::microseconds busyWait{80};
/// More pieces than threads even out pieces of unequal cost.
static constexpr int64_t piecesPerThread = 4;

/// Set while this thread runs a piece: what it starts then runs inline.
static thread_local bool insideRegion = false;

static void pauseCore() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

static void futexWait(std::atomic<uint32_t> &word, uint32_t expected) {
  static_assert(sizeof(word) == sizeof(uint32_t), "a futex is 32 bits");
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, nullptr, nullptr, 0);
}

static void futexWake(std::atomic<uint32_t> &word, int count) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

namespace {
/// Cores that a thread may run on.
class CoreSet {
public:
  /// Those of the calling thread; empty where the system does not say.
  CoreSet() : set(CPU_ALLOC(most)) {
    if (set && sched_getaffinity(0, bytes(), set) != 0)
      CPU_ZERO_S(bytes(), set);
  }
  CoreSet(const CoreSet &) = delete;
  CoreSet &operator=(const CoreSet &) = delete;
  ~CoreSet() { CPU_FREE(set); }

  int32_t count() const { return set ? CPU_COUNT_S(bytes(), set) : 0; }
  void remove(int32_t core) {
    if (set && core >= 0 && core < most)
      CPU_CLR_S(static_cast<size_t>(core), bytes(), set);
  }
  /// Leaves the `index`-th of them, or none if they are fewer.
  void keep(int32_t index) {
    for (int32_t core = 0; set && core < most; ++core)
      if (CPU_ISSET_S(static_cast<size_t>(core), bytes(), set) && index-- != 0)
        remove(core);
  }
  /// Lets `thread` run on these alone. Where there are none, or the system refuses, it stays as free as it
  /// is: that is only slower.
  void apply(pthread_t thread) const {
    if (count() > 0)
      pthread_setaffinity_np(thread, bytes(), set);
  }

private:
  /// A set larger than cpu_set_t: the kernel refuses one smaller than its own.
  static constexpr int32_t most = 16384;
  static constexpr size_t bytes() { return CPU_ALLOC_SIZE(most); }

  cpu_set_t *set;
};
} // namespace

int32_t xfm::availableCores() { return std::max(CoreSet().count(), 1); }

Status ThreadPool::create(int32_t threads, bool affinity, std::unique_ptr<ThreadPool> &out) {
  std::unique_ptr<ThreadPool> pool(new ThreadPool);
  // With fewer cores than threads a spinning thread keeps a working one from
  // its core.
  if (threads <= availableCores()) {
    pool->spinTime = busyWait;
    pool->leavesCaller = !affinity;
    pool->callerCore = sched_getcpu();
  }

  // Workers block every signal, so that a host's handlers run on its own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Status status;
  try {
    pool->workers.reserve(static_cast<size_t>(threads) - 1);
    for (int32_t i = 1; i < threads; ++i) {
      pool->workers.emplace_back([self = pool.get()] { self->work(); });
      pthread_setname_np(pool->workers.back().native_handle(), "xfm-worker");
      if (affinity) {
        CoreSet own;
        own.keep(i);
        own.apply(pool->workers.back().native_handle());
      }
    }
  } catch (const std::system_error &error) {
    status = fail(XFM_OUT_OF_MEMORY, "cannot start ", threads, " threads: ", error.code().message(),
                  ": ask for fewer threads");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (status.ok())
    out = std::move(pool);
  return status;
}

ThreadPool::~ThreadPool() {
  stopping.store(true, std::memory_order_relaxed);
  epoch.fetch_add(1);
  futexWake(epoch, INT_MAX);
  for (std::thread &worker : workers)
    worker.join();
}

void ThreadPool::parallelFor(xfm_task_fn fn, void *args, int64_t total, int64_t grain) {
  if (total <= 0)
    return;
  if (total <= grain || workers.empty() || insideRegion) {
    fn(args, 0, total);
    return;
  }
  if (leavesCaller)
    callerCore.store(sched_getcpu(), std::memory_order_relaxed);
  int64_t share = piecesPerThread * threads();
  region.fn = fn;
  region.args = args;
  region.total = total;
  region.piece = std::max<int64_t>({grain, (total - 1) / share + 1, 1});
  region.count = static_cast<int32_t>((total - 1) / region.piece + 1);

  unfinished.store(static_cast<uint32_t>(region.count), std::memory_order_relaxed);
  // Publishes the region: a thread that takes a piece has acquired this value.
  unclaimed.store(region.count, std::memory_order_release);
  // Before the load of `sleepers`; a worker raises `sleepers` before it looks at
  // `epoch` for the last time, so one of the two sees the other.
  epoch.fetch_add(1);
  if (int32_t asleep = sleepers.load(); asleep > 0)
    futexWake(epoch, std::min(asleep, region.count - 1));

  insideRegion = true;
  runPieces();
  insideRegion = false;
  waitUntilFinished();
}

void ThreadPool::runPieces() {
  int32_t left = unclaimed.load(std::memory_order_acquire);
  while (left > 0) {
    if (!unclaimed.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire))
      continue;
    // Only now is `region` read: holding a piece of it keeps it from changing,
    // and a thread that comes late from an older region took one of this one.
    int64_t begin = (region.count - left) * region.piece;
    int64_t end = region.piece < region.total - begin ? begin + region.piece : region.total;
    region.fn(region.args, begin, end);
    // Sequentially consistent with `callerSleeps`, see waitUntilFinished.
    if (unfinished.fetch_sub(1) == 1 && callerSleeps.load())
      futexWake(unfinished, 1);
    left = unclaimed.load(std::memory_order_acquire);
  }
}

/// Polls `done` for `spinTime`; whether it became true.
template <typename Done> bool ThreadPool::spin(Done done) const {
  if (done())
    return true;
  if (spinTime.count() == 0)
    return false;
  auto deadline = std::chrono::steady_clock::now() + spinTime;
  do {
    // The clock costs about as much as a few pauses.
    for (int i = 0; i < 32; ++i) {
      if (done())
        return true;
      pauseCore();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return done();
}

void ThreadPool::waitUntilFinished() {
  if (spin([this] { return unfinished.load(std::memory_order_acquire) == 0; }))
    return;
  // Whoever finishes the last piece either sees this flag, or finished before
  // the load below, which then sees zero.
  callerSleeps.store(1);
  while (uint32_t left = unfinished.load())
    futexWait(unfinished, left);
  callerSleeps.store(0, std::memory_order_relaxed);
}

void ThreadPool::sleepUntilRegion(uint32_t seen) {
  sleepers.fetch_add(1);
  while (epoch.load() == seen)
    futexWait(epoch, seen);
  sleepers.fetch_sub(1);
}

/// Where cores share no cache that the system knows of, as in virtual machines, a thread is woken on the core
/// of whoever wakes it, and one of the two waits for milliseconds until they are parted.
void ThreadPool::sleepAwayFromCaller(uint32_t seen) {
  CoreSet all, others;
  others.remove(callerCore.load(std::memory_order_relaxed));
  others.apply(pthread_self());
  sleepUntilRegion(seen);
  all.apply(pthread_self());
}

uint32_t ThreadPool::waitForRegion(uint32_t seen) {
  if (!spin([&] { return epoch.load(std::memory_order_acquire) != seen; })) {
    if (leavesCaller)
      sleepAwayFromCaller(seen);
    else
      sleepUntilRegion(seen);
  }
  return epoch.load(std::memory_order_acquire);
}

void ThreadPool::work() {
  insideRegion = true;
  uint32_t seen = 0;
  while (true) {
    seen = waitForRegion(seen);
    if (stopping.load(std::memory_order_relaxed))
      return;
    runPieces();
  }
}
