//===- ThreadPoolTest.cpp - regions, pieces and threads -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/ThreadPool.h"

#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <pthread.h>
#include <sched.h>
#include <set>
#include <thread>
#include <unistd.h>

using namespace xfm;

namespace {
/// Counts how often each task ran, and remembers the pieces.
struct Recorder {
  explicit Recorder(int64_t total) : runs(static_cast<size_t>(total)) {}

  static void task(void *args, int64_t begin, int64_t end) {
    auto *self = static_cast<Recorder *>(args);
    for (int64_t i = begin; i < end; ++i)
      self->runs[static_cast<size_t>(i)].fetch_add(1, std::memory_order_relaxed);
    std::lock_guard<std::mutex> lock(self->mutex);
    self->pieces.emplace_back(begin, end);
    self->threads.insert(std::this_thread::get_id());
  }

  void expectOnce() const {
    for (size_t i = 0; i < runs.size(); ++i)
      ASSERT_EQ(runs[i].load(), 1) << "task " << i;
  }

  std::vector<std::atomic<int>> runs;
  std::mutex mutex;
  std::vector<std::pair<int64_t, int64_t>> pieces;
  std::set<std::thread::id> threads;
};
} // namespace

static std::unique_ptr<ThreadPool> makePool(int32_t threads, bool affinity = false) {
  std::unique_ptr<ThreadPool> pool;
  Status status = ThreadPool::create(threads, affinity, pool);
  EXPECT_TRUE(status.ok()) << status.message;
  return pool;
}

/// Workers keep to cores of their own; the caller, and workers without a core, do not.
TEST(ThreadPool, Affinity) {
  cpu_set_t before;
  ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof before, &before), 0);
  int32_t threads = availableCores() + 1;
  std::unique_ptr<ThreadPool> pool = makePool(threads, /*affinity=*/true);
  struct Seen {
    std::mutex mutex;
    std::map<std::thread::id, int> cores; // that a thread may use
  } seen;
  auto look = [](void *args, int64_t, int64_t) {
    auto *seen = static_cast<Seen *>(args);
    cpu_set_t set;
    pthread_getaffinity_np(pthread_self(), sizeof set, &set);
    std::lock_guard<std::mutex> lock(seen->mutex);
    seen->cores[std::this_thread::get_id()] = CPU_COUNT(&set);
  };
  for (int i = 0; i < 10000 && static_cast<int32_t>(seen.cores.size()) < threads; ++i)
    pool->parallelFor(look, &seen, 64, 1);
  int pinned = 0;
  for (auto &[id, cores] : seen.cores)
    pinned += id != std::this_thread::get_id() && cores == 1;
  if (CPU_COUNT(&before) > 1) {
    EXPECT_GE(pinned, 1);
    EXPECT_EQ(seen.cores[std::this_thread::get_id()], CPU_COUNT(&before));
  }
  cpu_set_t after;
  ASSERT_EQ(pthread_getaffinity_np(pthread_self(), sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (int32_t threads : {1, 2, 3, 4, 17}) {
    std::unique_ptr<ThreadPool> pool = makePool(threads);
    EXPECT_EQ(pool->threads(), threads);
    for (int64_t total : {0, 1, 2, 3, 7, 8, 9, 100, 1001}) {
      for (int64_t grain : {0, 1, 2, 5, 100, 5000}) {
        Recorder recorder(total);
        pool->parallelFor(Recorder::task, &recorder, total, grain);
        recorder.expectOnce();
      }
    }
  }
}

TEST(ThreadPool, PiecesAreAtLeastTheGrain) {
  std::unique_ptr<ThreadPool> pool = makePool(3);
  for (int64_t total : {10, 11, 37, 1000}) {
    for (int64_t grain : {3, 4, 10}) {
      Recorder recorder(total);
      pool->parallelFor(Recorder::task, &recorder, total, grain);
      for (auto [begin, end] : recorder.pieces)
        EXPECT_TRUE(end - begin >= grain || end == total) << begin << " to " << end;
      EXPECT_LE(recorder.pieces.size(), 12u);
    }
  }
}

TEST(ThreadPool, SmallRegionsStayOnTheCaller) {
  std::unique_ptr<ThreadPool> pool = makePool(4);
  Recorder recorder(16);
  pool->parallelFor(Recorder::task, &recorder, 16, 16);
  EXPECT_EQ(recorder.pieces.size(), 1u);
  EXPECT_EQ(*recorder.threads.begin(), std::this_thread::get_id());
  // A total that is no total runs nothing.
  pool->parallelFor(Recorder::task, &recorder, -5, 1);
  EXPECT_EQ(recorder.pieces.size(), 1u);
}

// Every thread must come: each piece waits until all have arrived. After the
// pause the workers are asleep and must be woken.
TEST(ThreadPool, AllThreadsTakePart) {
  constexpr int32_t threads = 4;
  std::unique_ptr<ThreadPool> pool = makePool(threads);
  auto meet = [](void *args, int64_t, int64_t) {
    auto *count = static_cast<std::atomic<int> *>(args);
    count->fetch_add(1);
    while (count->load() < threads)
      std::this_thread::yield();
  };
  for (int i = 0; i < 5; ++i) {
    std::atomic<int> arrived{0};
    pool->parallelFor(meet, &arrived, threads, 1);
    EXPECT_EQ(arrived.load(), threads);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST(ThreadPool, NestedRegionsRunInline) {
  struct Nested {
    ThreadPool *pool;
    std::atomic<int64_t> sum{0};
  };
  std::unique_ptr<ThreadPool> pool = makePool(3);
  Nested nested{pool.get()};
  auto inner = [](void *args, int64_t begin, int64_t end) {
    static_cast<Nested *>(args)->sum += end - begin;
  };
  static void (*innerTask)(void *, int64_t, int64_t) = inner;
  auto outer = [](void *args, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      static_cast<Nested *>(args)->pool->parallelFor(innerTask, args, 100, 1);
  };
  for (int i = 0; i < 50; ++i)
    pool->parallelFor(outer, &nested, 20, 1);
  EXPECT_EQ(nested.sum.load(), 50 * 20 * 100);
}

static void add(void *args, int64_t begin, int64_t end) {
  static_cast<std::atomic<int64_t> *>(args)->fetch_add((begin + end - 1) * (end - begin) / 2,
                                                       std::memory_order_relaxed);
}

// Many short regions back to back: a worker that is late for one meets the next.
TEST(ThreadPool, ManyShortRegions) {
  for (int32_t threads : {2, 3, 2 * availableCores() + 3}) {
    std::unique_ptr<ThreadPool> pool = makePool(threads);
    for (int64_t i = 0; i < 20000; ++i) {
      int64_t total = 2 + i % 61;
      std::atomic<int64_t> sum{0};
      pool->parallelFor(add, &sum, total, 1);
      ASSERT_EQ(sum.load(), total * (total - 1) / 2);
    }
  }
}

// Workers that fell asleep wake up for the next region and for the end.
TEST(ThreadPool, RegionsAfterAPause) {
  std::unique_ptr<ThreadPool> pool = makePool(4);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i % 4));
    std::atomic<int64_t> sum{0};
    pool->parallelFor(add, &sum, 1000, 1);
    ASSERT_EQ(sum.load(), 499500);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

/// Cores that thread `id` of this process may use.
static cpu_set_t coresOf(pid_t id) {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(sched_getaffinity(id, sizeof set, &set), 0);
  return set;
}

// A worker sleeps away from the core of its caller, on which it would be woken, and runs wherever it likes.
TEST(ThreadPool, SleepsOnOtherCores) {
  cpu_set_t all = coresOf(0), one = all;
  if (CPU_COUNT(&all) < 2)
    GTEST_SKIP() << "needs two cores";
  std::unique_ptr<ThreadPool> pool = makePool(2);
  int own = 0;
  while (!CPU_ISSET(own, &all))
    ++own;
  CPU_ZERO(&one);
  CPU_SET(own, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  struct Seen {
    std::atomic<pid_t> worker{0};
    std::atomic<int> cores{0};
    pid_t caller = gettid();
  } seen;
  auto look = [](void *args, int64_t, int64_t) {
    auto *seen = static_cast<Seen *>(args);
    cpu_set_t running = coresOf(0);
    if (gettid() == seen->caller) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      return;
    }
    seen->cores = CPU_COUNT(&running);
    seen->worker = gettid();
  };
  for (int i = 0; i < 1000 && seen.worker == 0; ++i)
    pool->parallelFor(look, &seen, 8, 1);
  EXPECT_NE(seen.worker, 0); // goes on, to be free to use all cores again
  EXPECT_EQ(seen.cores, CPU_COUNT(&all));
  cpu_set_t asleep = all;
  for (int i = 0; i < 1000 && CPU_ISSET(own, &asleep); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    asleep = coresOf(seen.worker);
  }
  EXPECT_FALSE(CPU_ISSET(own, &asleep));
  EXPECT_EQ(CPU_COUNT(&asleep), CPU_COUNT(&all) - 1);
  seen.worker = 0;
  for (int i = 0; i < 1000 && seen.worker == 0; ++i)
    pool->parallelFor(look, &seen, 8, 1);
  EXPECT_EQ(seen.cores, CPU_COUNT(&all));
  EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}

TEST(ThreadPool, CreatedAndDestroyedAtOnce) {
  for (int i = 0; i < 100; ++i) {
    std::unique_ptr<ThreadPool> pool = makePool(3);
    std::atomic<int64_t> sum{0};
    if (i % 2)
      pool->parallelFor(add, &sum, 10, 1);
  }
}

// Two pools in two threads, together with more threads than cores.
TEST(ThreadPool, TwoPoolsAtOnce) {
  auto use = [] {
    std::unique_ptr<ThreadPool> pool = makePool(availableCores() + 1);
    for (int i = 0; i < 2000; ++i) {
      std::atomic<int64_t> sum{0};
      pool->parallelFor(add, &sum, 100, 1);
      ASSERT_EQ(sum.load(), 4950);
    }
  };
  std::thread other(use);
  use();
  other.join();
}
