//===- RegionBench.cpp - what a parallel region costs -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Regions of as many empty tasks as there are threads, one behind the other as in a call of generated code
// (warm), or behind a pause in which the workers fell asleep (cold). Needs a core for each thread.
//
//===----------------------------------------------------------------------===//

#include "runtime/ThreadPool.h"

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <thread>

using namespace xfm;

static std::unique_ptr<ThreadPool> makePool(int64_t threads) {
  std::unique_ptr<ThreadPool> pool;
  if (!ThreadPool::create(static_cast<int32_t>(threads), /*affinity=*/false, pool).ok())
    std::abort();
  return pool;
}

static void run(ThreadPool &pool) {
  std::atomic<int64_t> done{0};
  auto task = [](void *args, int64_t begin, int64_t end) {
    static_cast<std::atomic<int64_t> *>(args)->fetch_add(end - begin, std::memory_order_relaxed);
  };
  pool.parallelFor(task, &done, pool.threads(), 1);
  if (done != pool.threads())
    std::abort();
}

static void warm(benchmark::State &state) {
  std::unique_ptr<ThreadPool> pool = makePool(state.range(0));
  for (auto _ : state)
    run(*pool);
}
BENCHMARK(warm)->ArgName("threads")->DenseRange(1, availableCores())->UseRealTime();

static void cold(benchmark::State &state) {
  std::unique_ptr<ThreadPool> pool = makePool(state.range(0));
  for (auto _ : state) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    auto begin = std::chrono::steady_clock::now();
    run(*pool);
    state.SetIterationTime(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
}
BENCHMARK(cold)->ArgName("threads")->DenseRange(1, availableCores())->UseManualTime()->Iterations(500);

BENCHMARK_MAIN();
