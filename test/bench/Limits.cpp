//===- Limits.cpp - what the machine can do at most -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/bench/Limits.h"

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static std::atomic<uint64_t> sink{0};

template <typename F> static void onThreads(int threads, F run) {
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i)
    others.emplace_back(run, i);
  run(0);
  for (std::thread &thread : others)
    thread.join();
}

#if defined(__x86_64__)

constexpr int64_t kSteps = 1 << 20;
/// More chains than the latency of a multiplication.
constexpr int kChains = 16;
/// As many as the 16 registers hold beside the factors.
constexpr int kFewChains = 12;

__attribute__((target("avx512f"))) static void multiplyWide() {
  __m512 sums[kChains], a = _mm512_set1_ps(1.0000001F), b = _mm512_set1_ps(1e-9F);
  for (__m512 &sum : sums)
    sum = b;
  for (int64_t i = 0; i < kSteps; ++i) {
    for (__m512 &sum : sums)
      sum = _mm512_fmadd_ps(a, sum, b);
    asm volatile("" : "+v"(a));
  }
  float total = 0;
  for (__m512 sum : sums)
    total += _mm512_reduce_add_ps(sum);
  sink += static_cast<uint64_t>(total);
}

__attribute__((target("avx2,fma"))) static void multiplyNarrow() {
  __m256 sums[kFewChains], a = _mm256_set1_ps(1.0000001F), b = _mm256_set1_ps(1e-9F);
  for (__m256 &sum : sums)
    sum = b;
  for (int64_t i = 0; i < kSteps; ++i) {
    for (__m256 &sum : sums)
      sum = _mm256_fmadd_ps(a, sum, b);
    asm volatile("" : "+x"(a));
  }
  float out[8];
  for (__m256 sum : sums) {
    _mm256_storeu_ps(out, sum);
    sink += static_cast<uint64_t>(out[0]);
  }
}

__attribute__((target("avx512f,avx512bf16"))) static void multiplyPairs() {
  __m512 sums[kChains];
  __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-9F), _mm512_set1_ps(1e-9F)), b = a;
  for (__m512 &sum : sums)
    sum = _mm512_set1_ps(1);
  for (int64_t i = 0; i < kSteps; ++i) {
    for (__m512 &sum : sums)
      sum = _mm512_dpbf16_ps(sum, a, b);
    asm volatile("" : "+v"(a));
  }
  float total = 0;
  for (__m512 sum : sums)
    total += _mm512_reduce_add_ps(sum);
  sink += static_cast<uint64_t>(total);
}

__attribute__((target("avx512f,avx512vnni"))) static void multiplyBytes() {
  __m512i sums[kChains], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-5);
  for (__m512i &sum : sums)
    sum = _mm512_setzero_si512();
  for (int64_t i = 0; i < kSteps; ++i) {
    for (__m512i &sum : sums)
      sum = _mm512_dpbusd_epi32(sum, a, b);
    asm volatile("" : "+v"(a));
  }
  for (__m512i sum : sums)
    sink += static_cast<uint64_t>(_mm512_reduce_add_epi32(sum));
}

bool hasBF16() { return __builtin_cpu_supports("avx512bf16"); }
bool hasInt8Dots() { return __builtin_cpu_supports("avx512vnni"); }

double runInt8Peak(int threads) {
  if (!hasInt8Dots())
    return 0;
  onThreads(threads, [](int) { multiplyBytes(); });
  return 2.0 * 64 * kChains * kSteps * threads;
}

double runPeak(bool isBF16, int threads) {
  bool isWide = __builtin_cpu_supports("avx512f");
  if ((isBF16 && !hasBF16()) || !__builtin_cpu_supports("fma"))
    return 0;
  onThreads(threads, [=](int) { isBF16 ? multiplyPairs() : isWide ? multiplyWide() : multiplyNarrow(); });
  double lanes = isBF16 ? 32 : isWide ? 16 : 8;
  return 2.0 * lanes * (isWide ? kChains : kFewChains) * kSteps * threads;
}

#else

bool hasBF16() { return false; }
bool hasInt8Dots() { return false; }
double runPeak(bool, int) { return 0; }
double runInt8Peak(int) { return 0; }

#endif

/// A cache line, as the widest registers there are.
using Line = uint64_t __attribute__((vector_size(64)));
constexpr int64_t kAhead = 4096 / sizeof(Line);
constexpr int64_t kStreams = 4;
/// Of each stream in turn, so that its sums do not wait for each other.
constexpr int64_t kLinesInTurn = 2;

template <bool asksAhead, int64_t streams>
__attribute__((always_inline)) static inline void readLines(const Line *begin, int64_t lines) {
  Line sums[streams][kLinesInTurn] = {};
  int64_t part = lines / streams;
  for (int64_t i = 0; i + kLinesInTurn <= part; i += kLinesInTurn)
    for (int64_t s = 0; s < streams; ++s)
      for (int64_t k = 0; k < kLinesInTurn; ++k) {
        const Line *line = begin + s * part + i + k;
        if (asksAhead)
          __builtin_prefetch(line + kAhead);
        sums[s][k] += *line;
      }
  for (auto &ofStream : sums)
    for (Line &sum : ofStream)
      sink += sum[0] + sum[7];
}

#if defined(__x86_64__)
#define WIDE __attribute__((target("avx2")))
static bool isWide() { return __builtin_cpu_supports("avx2"); }
#else
#define WIDE
static bool isWide() { return true; }
#endif

WIDE static void readAhead(const Line *begin, int64_t lines) { readLines<true, 1>(begin, lines); }
WIDE static void readStreams(const Line *begin, int64_t lines) { readLines<false, kStreams>(begin, lines); }
static void readNarrow(const Line *begin, int64_t lines) { readLines<true, 1>(begin, lines); }

double runRead(Reading how, int threads) {
  static const std::vector<Line> buffer((size_t(1) << 30) / sizeof(Line), Line{1, 1, 1, 1, 1, 1, 1, 1});
  auto *read = !isWide() ? readNarrow : how == Reading::Ahead ? readAhead : readStreams;
  onThreads(threads, [=](int i) {
    int64_t lines = buffer.size(), first = lines * i / threads, last = lines * (i + 1) / threads;
    read(buffer.data() + first, last - first);
  });
  return static_cast<double>(buffer.size() * sizeof(Line));
}
