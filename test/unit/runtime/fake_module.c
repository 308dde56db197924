//===- fake_module.c - a module.so written by hand ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Its entry points make mistakes of the runtime visible: running sums go wrong
// where a piece is lost, doubled or out of order, and every buffer's alignment
// is checked. Return codes other than 0 show as XFM_INTERNAL.
//
//===----------------------------------------------------------------------===//

#define _POSIX_C_SOURCE 199309L
#include "runtime/xfm_abi.h"

#include <time.h>

enum { OK = 0, MISALIGNED = 3, UNLUCKY = 5 };

/// A call of prefill with this token fails, after it was cached.
enum { unluckyToken = 13 };

static const xfm_abi *abi;

int32_t xfm_module_init(const xfm_abi *table) {
  abi = table;
  return table->version == XFM_ABI_VERSION ? FAKE_INIT_CODE : 1;
}

static int aligned(const void *pointer) { return (uintptr_t)pointer % XFM_BUFFER_ALIGNMENT == 0; }

static int allAligned(const xfm_call *call, int count) {
  for (int i = 0; i < count; ++i)
    if (!aligned(call->buffers[i]))
      return 0;
  return aligned(call->arena) && aligned(call->weights[0]);
}

typedef struct {
  const int32_t *tokens; // [B, S]
  const float *offsets;  // [B, S, 2]
  float *keys;           // [B, C]
  int32_t *length;       // [B]
  float *sums;           // [B, S]
  float *pairs;          // [B, S, 2]
  float *last;           // [B, 2]
  int32_t *copy;         // [B, S], in the arena
  const float *bias;     // [4]
  int64_t S, C;
} Prefill;

/// For row b: caches the tokens, and writes the sums of all cached tokens.
static void prefillRows(void *args, int64_t begin, int64_t end) {
  const Prefill *p = args;
  for (int64_t b = begin; b < end; ++b) {
    float sum = 0;
    for (int64_t i = 0; i < p->length[b]; ++i)
      sum += p->keys[b * p->C + i];
    for (int64_t s = 0; s < p->S; ++s) {
      int64_t at = b * p->S + s;
      p->copy[at] = p->tokens[at];
      p->keys[b * p->C + p->length[b]++] = (float)p->copy[at];
      sum += (float)p->copy[at];
      p->sums[at] = sum + p->offsets[2 * at] + p->bias[0] + FAKE_BIAS;
      p->pairs[2 * at] = (float)p->tokens[at];
      p->pairs[2 * at + 1] = p->offsets[2 * at + 1];
    }
    p->last[2 * b] = (float)p->S;
    p->last[2 * b + 1] = sum;
  }
}

/// sizes: B, S, C
int64_t xfm_arena_prefill(const int64_t *sizes) { return 4 * sizes[0] * sizes[1]; }

int32_t xfm_entry_prefill(const xfm_call *call) {
  if (!allAligned(call, 7))
    return MISALIGNED;
  int64_t B = call->sizes[0];
  Prefill p = {call->buffers[0], call->buffers[1], call->buffers[2], call->buffers[3],
               call->buffers[4], call->buffers[5], call->buffers[6], call->arena,
               call->weights[0], call->sizes[1],   call->sizes[2]};
  abi->parallel_for(call->context, prefillRows, &p, B, 1, 0);
  for (int64_t i = 0; i < B * p.S; ++i)
    if (p.tokens[i] == unluckyToken)
      return UNLUCKY;
  return OK;
}

typedef struct {
  const xfm_call *call;
  int64_t begin;
} Score;

static void scoreOne(void *args, int64_t begin, int64_t end) {
  const Score *s = args;
  const int32_t *tokens = s->call->buffers[0];
  float *doubled = s->call->buffers[1];
  for (int64_t i = s->begin + begin; i < s->begin + end; ++i)
    doubled[i] = 2.0f * (float)tokens[i];
}

/// Starts a region of its own, which runs inline.
static void scoreSome(void *args, int64_t begin, int64_t end) {
  Score inner = {args, begin};
  abi->parallel_for(inner.call->context, scoreOne, &inner, end - begin, 1, 0);
}

/// sizes: B, S
int64_t xfm_arena_score(const int64_t *sizes) { return 0 * sizes[0]; }

int32_t xfm_entry_score(const xfm_call *call) {
  if (!allAligned(call, 2))
    return MISALIGNED;
  abi->parallel_for(call->context, scoreSome, (void *)call, call->sizes[0] * call->sizes[1], 3, 0);
  return OK;
}

/// sizes: B, C. One position per row, without an S.
int64_t xfm_arena_decode(const int64_t *sizes) { return 64 * sizes[0]; }

int32_t xfm_entry_decode(const xfm_call *call) {
  const int32_t *tokens = call->buffers[0]; // [B, 1]
  float *keys = call->buffers[1];           // [B, C]
  int32_t *length = call->buffers[2];       // [B]
  float *sums = call->buffers[3];           // [B]
  for (int64_t b = 0; b < call->sizes[0]; ++b) {
    keys[b * call->sizes[1] + length[b]++] = (float)tokens[b];
    sums[b] = 0;
    for (int64_t i = 0; i < length[b]; ++i)
      sums[b] += keys[b * call->sizes[1] + i];
  }
  return OK;
}

/// A defective module: it forgets to count what it appends.
int32_t xfm_entry_forgetful(const xfm_call *call) { return call->size < sizeof(xfm_call); }

/// A defective module: it asks for less than nothing.
int64_t xfm_arena_negative(const int64_t *sizes) { return -1 - 0 * sizes[0]; }

static void spin(int64_t microseconds) {
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do
    clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 < microseconds);
}

static void busyTask(void *args, int64_t begin, int64_t end) { spin(*(const int32_t *)args * 100 * (end - begin)); }

/// Of the same tensors as score. Launch i takes tokens[i] * 0.1 ms, behind 0.5 ms
/// that prepare it; 1 ms passes behind the last one.
int32_t xfm_entry_busy(const xfm_call *call) {
  const int32_t *tokens = call->buffers[0];
  for (int64_t i = 0; i < call->sizes[1]; ++i) {
    spin(500);
    abi->parallel_for(call->context, busyTask, (void *)&tokens[i], 1, 1, (int32_t)i);
  }
  spin(1000);
  return OK;
}

/// Of the same tensors as score: the address of parallel_for as its result.
int32_t xfm_entry_services(const xfm_call *call) {
  *(int64_t *)call->buffers[1] = (int64_t)(intptr_t)abi->parallel_for;
  return OK;
}
