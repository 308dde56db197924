//===- ReadBandwidth.cpp - how fast memory can be read -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What bounds decoding: each token reads every weight once. By hand:
//   clang++-22 -O3 -march=native -std=c++17 -pthread test/bench/ReadBandwidth.cpp -o /tmp/bandwidth
//   /tmp/bandwidth [threads] [MiB]
// Prints GB/s of 10 rounds over a buffer far larger than the caches: median (least … most).
//
//===----------------------------------------------------------------------===//

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

static std::atomic<uint64_t> sink = 0;

/// Sums 64-bit words in eight independent chains.
static void read(const uint64_t *begin, const uint64_t *end) {
  uint64_t sums[8] = {};
  for (; begin + 8 <= end; begin += 8)
    for (int i = 0; i < 8; ++i)
      sums[i] += begin[i];
  for (uint64_t sum : sums)
    sink += sum;
}

int main(int argc, char **argv) {
  size_t threads = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : std::thread::hardware_concurrency();
  size_t mebibytes = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1024;
  threads = std::max<size_t>(threads, 1);
  std::vector<uint64_t> buffer(mebibytes * (1 << 20) / sizeof(uint64_t), 1);
  std::vector<double> rates;
  for (int round = 0; round < 10; ++round) {
    auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> pool;
    for (size_t i = 0; i < threads; ++i)
      pool.emplace_back(read, buffer.data() + buffer.size() * i / threads,
                        buffer.data() + buffer.size() * (i + 1) / threads);
    for (std::thread &thread : pool)
      thread.join();
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    rates.push_back(buffer.size() * sizeof(uint64_t) / seconds.count() / 1e9);
  }
  std::sort(rates.begin(), rates.end());
  std::printf("%zu threads: %.1f GB/s (%.1f … %.1f)\n", threads, (rates[4] + rates[5]) / 2, rates.front(),
              rates.back());
  return 0;
}
