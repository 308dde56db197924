//===- Limits.cpp - What this machine can do at most --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Limits.h"
#include "runtime/Memory.h"
#include "runtime/ThreadPool.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#include <sys/mman.h>
#include <unistd.h>

namespace xfm::tfrun {

namespace {
/// The same two loops for one kind of vectors.
struct Kernels {
  const char *vectors;
  int64_t lanes; ///< of f32
  float (*multiplyAdd)(int64_t count);
  uint64_t (*read)(const char *data, size_t size); ///< `size` is a multiple of 512
};
} // namespace

/// Chains of operations side by side: more than what latency times units of today's cores keeps busy, and few
/// enough for 16 registers.
static constexpr int64_t chains = 12;

#if defined(__x86_64__)
/// All lanes, so that no compiler finds one to be of no use.
template <typename Lane> static Lane sumOf(const Lane *lanes, size_t count) {
  Lane sum = 0;
  for (size_t i = 0; i < count; ++i)
    sum += lanes[i];
  return sum;
}

__attribute__((target("avx512f"))) static float multiplyAdd512(int64_t count) {
  __m512 sums[chains], factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.001f);
  for (int64_t i = 0; i < chains; ++i)
    sums[i] = _mm512_set1_ps(float(i));
  for (; count > 0; --count)
    for (__m512 &sum : sums)
      sum = _mm512_fmadd_ps(sum, factor, term);
  for (int64_t i = 1; i < chains; ++i)
    sums[0] = _mm512_add_ps(sums[0], sums[i]);
  float lanes[16];
  _mm512_storeu_ps(lanes, sums[0]);
  return sumOf(lanes, 16);
}

__attribute__((target("avx512f"))) static uint64_t read512(const char *data, size_t size) {
  __m512i all[8];
  for (__m512i &one : all)
    one = _mm512_setzero_si512();
  for (size_t at = 0; at < size; at += sizeof all)
    for (size_t i = 0; i < 8; ++i)
      all[i] = _mm512_xor_si512(all[i], _mm512_loadu_si512(data + at + 64 * i));
  for (size_t i = 1; i < 8; ++i)
    all[0] = _mm512_xor_si512(all[0], all[i]);
  uint64_t lanes[8];
  _mm512_storeu_si512(lanes, all[0]);
  return sumOf(lanes, 8);
}

__attribute__((target("avx2,fma"))) static float multiplyAdd256(int64_t count) {
  __m256 sums[chains], factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.001f);
  for (int64_t i = 0; i < chains; ++i)
    sums[i] = _mm256_set1_ps(float(i));
  for (; count > 0; --count)
    for (__m256 &sum : sums)
      sum = _mm256_fmadd_ps(sum, factor, term);
  for (int64_t i = 1; i < chains; ++i)
    sums[0] = _mm256_add_ps(sums[0], sums[i]);
  float lanes[8];
  _mm256_storeu_ps(lanes, sums[0]);
  return sumOf(lanes, 8);
}

__attribute__((target("avx2,fma"))) static uint64_t read256(const char *data, size_t size) {
  __m256i all[8];
  for (__m256i &one : all)
    one = _mm256_setzero_si256();
  for (size_t at = 0; at < size; at += sizeof all)
    for (size_t i = 0; i < 8; ++i)
      all[i] =
          _mm256_xor_si256(all[i], _mm256_loadu_si256(reinterpret_cast<const __m256i *>(data + at + 32 * i)));
  for (size_t i = 1; i < 8; ++i)
    all[0] = _mm256_xor_si256(all[0], all[i]);
  uint64_t lanes[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(lanes), all[0]);
  return sumOf(lanes, 4);
}

/// SSE2 has no fused operation: a multiplication and an addition.
static float multiplyAddBase(int64_t count) {
  __m128 sums[chains], factor = _mm_set1_ps(0.999f), term = _mm_set1_ps(0.001f);
  for (int64_t i = 0; i < chains; ++i)
    sums[i] = _mm_set1_ps(float(i));
  for (; count > 0; --count)
    for (__m128 &sum : sums)
      sum = _mm_add_ps(_mm_mul_ps(sum, factor), term);
  for (int64_t i = 1; i < chains; ++i)
    sums[0] = _mm_add_ps(sums[0], sums[i]);
  float lanes[4];
  _mm_storeu_ps(lanes, sums[0]);
  return sumOf(lanes, 4);
}
static constexpr const char *baseVectors = "SSE2";
#elif defined(__aarch64__)
static float multiplyAddBase(int64_t count) {
  float32x4_t sums[chains], factor = vdupq_n_f32(0.999f), term = vdupq_n_f32(0.001f);
  for (int64_t i = 0; i < chains; ++i)
    sums[i] = vdupq_n_f32(float(i));
  for (; count > 0; --count)
    for (float32x4_t &sum : sums)
      sum = vfmaq_f32(term, sum, factor);
  for (int64_t i = 1; i < chains; ++i)
    sums[0] = vaddq_f32(sums[0], sums[i]);
  return vaddvq_f32(sums[0]);
}
static constexpr const char *baseVectors = "NEON";
#endif

/// Left to the compiler's vectors.
static uint64_t readBase(const char *data, size_t size) {
  uint64_t all[8] = {};
  for (size_t at = 0; at < size; at += sizeof all)
    for (size_t i = 0; i < 8; ++i) {
      uint64_t one;
      std::memcpy(&one, data + at + 8 * i, sizeof one);
      all[i] ^= one;
    }
  return all[0] ^ all[1] ^ all[2] ^ all[3] ^ all[4] ^ all[5] ^ all[6] ^ all[7];
}

static Kernels chooseKernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f"))
    return {"AVX-512", 16, multiplyAdd512, read512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {"AVX2", 8, multiplyAdd256, read256};
#endif
  return {baseVectors, 4, multiplyAddBase, readBase};
}

/// The highest rate of `run`, which does `work`, over some time.
template <typename Run> static double bestRate(double work, double seconds, Run run) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  Clock::time_point end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  for (int turn = 0; turn < 2 || Clock::now() < end; ++turn) {
    Clock::time_point begin = Clock::now();
    run();
    double taken = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::max(best, work / std::max(taken, 1e-9));
  }
  return best;
}

namespace {
constexpr int64_t blockBytes = int64_t(1) << 20;

/// What the tasks below are given.
struct Work {
  Kernels kernels;
  char *data;
  int64_t count; ///< of multiplyAdd
};
} // namespace

// Results nobody needs, kept so that the work is done.
static volatile float sinkOfSums;
static volatile uint64_t sinkOfReads;

static void fillBlocks(void *args, int64_t begin, int64_t end) {
  std::memset(static_cast<Work *>(args)->data + begin * blockBytes, 1, size_t((end - begin) * blockBytes));
}

static void readBlocks(void *args, int64_t begin, int64_t end) {
  const Work &work = *static_cast<Work *>(args);
  sinkOfReads = work.kernels.read(work.data + begin * blockBytes, size_t((end - begin) * blockBytes));
}

static void multiplyAddSome(void *args, int64_t begin, int64_t end) {
  const Work &work = *static_cast<Work *>(args);
  sinkOfSums = work.kernels.multiplyAdd(work.count * (end - begin));
}

/// Four times the last-level cache where that is known, of which less would come from it, within bounds that
/// cost little time.
static int64_t bytesToRead() {
  int64_t cache = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
  cache = std::max<int64_t>(0, sysconf(_SC_LEVEL3_CACHE_SIZE));
#endif
  return std::clamp(4 * cache, 64 * blockBytes, 512 * blockBytes) / blockBytes * blockBytes;
}

Limits measureLimits(int32_t threads) {
  std::unique_ptr<ThreadPool> pool;
  if (Status status = ThreadPool::create(threads, /*affinity=*/false, pool); !status.ok())
    throw std::runtime_error(status.message);
  Work work = {chooseKernels(), nullptr, 20000};
  Limits limits;
  limits.threads = threads;
  limits.vectors = work.kernels.vectors;

  // Four pieces for each thread, as in a launch.
  int64_t pieces = 4 * int64_t(threads);
  double flops = double(2 * chains * work.kernels.lanes * work.count * pieces);
  limits.flopsPerSecond =
      bestRate(flops, 0.05, [&] { pool->parallelFor(multiplyAddSome, &work, pieces, 1); });

  int64_t bytes = bytesToRead();
  LazyPages pages;
  if (!pages.allocate(bytes))
    throw std::runtime_error("no memory to measure the machine with");
  work.data = pages.data();
  (void)madvise(work.data, size_t(bytes), MADV_HUGEPAGE);
  pool->parallelFor(fillBlocks, &work, bytes / blockBytes, 1);
  limits.bytesPerSecond =
      bestRate(double(bytes), 0.1, [&] { pool->parallelFor(readBlocks, &work, bytes / blockBytes, 1); });
  return limits;
}

} // namespace xfm::tfrun
