//===- fake_gpu_module.c - a module.so of a GPU, written by hand ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Entry points of the shapes of fake_module.c that launch kernels and touch no
// buffer themselves. The kernels are in CudaTest.cpp.
//
//===----------------------------------------------------------------------===//

#include "runtime/xfm_abi.h"

enum { OK = 0, UNLUCKY = 5 };
enum { prefillKernel, doubleKernel, decodeKernel, mappedKernel, clusterKernel, stepKernel };

/// A piece of prefill with this many positions fails, after it was launched.
enum { unluckyPositions = 3 };

static const xfm_abi *abi;

int32_t xfm_module_init(const xfm_abi *table) {
  abi = table;
  return table->version == XFM_ABI_VERSION && table->launch ? OK : 1;
}

static uint64_t word(const void *address) { return (uint64_t)(uintptr_t)address; }

/// sizes: B, S, C
int64_t xfm_arena_prefill(const int64_t *sizes) { return 4 * sizes[0] * sizes[1]; }

int32_t xfm_entry_prefill(const xfm_call *call) {
  const int64_t *sizes = call->sizes;
  uint64_t words[12];
  for (int i = 0; i < 7; ++i)
    words[i] = word(call->buffers[i]);
  words[7] = word(call->arena);
  words[8] = word(call->weights[0]);
  for (int i = 0; i < 3; ++i)
    words[9 + i] = (uint64_t)sizes[i];
  int64_t dims[] = {sizes[0]};
  abi->launch(call->context, prefillKernel, dims, words, 0);
  return sizes[1] == unluckyPositions ? UNLUCKY : OK;
}

/// sizes: B, S
int64_t xfm_arena_score(const int64_t *sizes) { return 0 * sizes[0]; }

static void launchOnAll(const xfm_call *call, int32_t kernel) {
  uint64_t words[] = {word(call->buffers[0]), word(call->buffers[1]), (uint64_t)call->sizes[0],
                      (uint64_t)call->sizes[1]};
  abi->launch(call->context, kernel, call->sizes, words, 0);
}

int32_t xfm_entry_score(const xfm_call *call) {
  launchOnAll(call, doubleKernel);
  return OK;
}

int32_t xfm_entry_mapped(const xfm_call *call) {
  launchOnAll(call, mappedKernel);
  return OK;
}

int32_t xfm_entry_clustered(const xfm_call *call) {
  launchOnAll(call, clusterKernel);
  return OK;
}

/// A defective module: there is no such kernel.
int32_t xfm_entry_unlisted(const xfm_call *call) {
  launchOnAll(call, 99);
  return OK;
}

/// Of the same tensors as score: more blocks than a grid can have.
int32_t xfm_entry_huge(const xfm_call *call) {
  int64_t dims[] = {(int64_t)1 << 40, 1};
  uint64_t words[4] = {0};
  abi->launch(call->context, doubleKernel, dims, words, 0);
  return OK;
}

/// Of the same tensors as score: no blocks, so nothing is launched.
int32_t xfm_entry_nothing(const xfm_call *call) {
  int64_t dims[] = {0, 1};
  uint64_t words[4] = {0};
  abi->launch(call->context, doubleKernel, dims, words, 0);
  return OK;
}

static void task(void *args, int64_t begin, int64_t end) { (void)args, (void)begin, (void)end; }

/// A defective module: a region of the CPU.
int32_t xfm_entry_region(const xfm_call *call) {
  abi->parallel_for(call->context, task, 0, 1, 1, 0);
  return OK;
}

/// sizes: B, C. One position per row, without an S.
int64_t xfm_arena_decode(const int64_t *sizes) { return 64 * sizes[0]; }

int32_t xfm_entry_decode(const xfm_call *call) {
  uint64_t words[] = {word(call->buffers[0]), word(call->buffers[1]),   word(call->buffers[2]),
                      word(call->buffers[3]), (uint64_t)call->sizes[0], (uint64_t)call->sizes[1]};
  abi->launch(call->context, decodeKernel, call->sizes, words, 0);
  return OK;
}

/// A step for sampling: tokens, keys, length and logits.
int32_t xfm_entry_step(const xfm_call *call) {
  uint64_t words[] = {word(call->buffers[0]), word(call->buffers[1]),   word(call->buffers[2]),
                      word(call->buffers[3]), (uint64_t)call->sizes[0], (uint64_t)call->sizes[1]};
  abi->launch(call->context, stepKernel, call->sizes, words, 0);
  return OK;
}

/// A defective module: it forgets to count what it appends.
int32_t xfm_entry_forgetful(const xfm_call *call) { return call->size < sizeof(xfm_call); }
