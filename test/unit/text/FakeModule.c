//===- FakeModule.c - The module of an artifact for tests ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
//
// A language model whose next token is a formula: after the token t at position
// p comes (5 t + p + 1) mod 1024, with a logit of 10 where all others are 0. After
// token 1023 the logits are NaN. It has no weights and needs no compiler of ours.
//
//===----------------------------------------------------------------------===//

#include "runtime/xfm_abi.h"

enum { vocabulary = 1024 };

static const xfm_abi *abi;

typedef struct {
  float *logits;
  int32_t next; ///< the token that stands out
  int32_t broken;
} Step;

static void formula(void *args, int64_t begin, int64_t end) {
  const Step *step = args;
  for (int64_t i = begin; i < end; ++i)
    step->logits[i] = step->broken ? __builtin_nanf("") : 0.0f;
}

static void standOut(void *args, int64_t begin, int64_t end) {
  const Step *step = args;
  if (end > begin && !step->broken)
    step->logits[step->next] = 10.0f;
}

/// Launches: formula over a half each, twice, then stand_out.
/// Buffers: tokens [1, S], cache.length [1], logits [1, vocabulary].
static int32_t run(const xfm_call *call) {
  const int32_t *tokens = call->buffers[0];
  int32_t *length = call->buffers[1];
  int64_t count = call->sizes[1];
  length[0] += (int32_t)count;
  int32_t last = tokens[count - 1];
  Step step = {call->buffers[2], (5 * last + length[0]) % vocabulary, last == vocabulary - 1};
  Step second = {step.logits + vocabulary / 2, 0, step.broken};
  abi->parallel_for(call->context, formula, &step, vocabulary / 2, 64, 0);
  abi->parallel_for(call->context, formula, &second, vocabulary / 2, 64, 0);
  abi->parallel_for(call->context, standOut, &step, 1, 1, 1);
  return 0;
}

int32_t xfm_module_init(const xfm_abi *table) {
  abi = table;
  return table->version == XFM_ABI_VERSION ? 0 : 1;
}
int32_t xfm_entry_prefill(const xfm_call *call) { return run(call); }
int32_t xfm_entry_decode(const xfm_call *call) { return run(call); }

/// Buffers: tokens [1, S], sums [1, S]: each token with all before it.
int32_t xfm_entry_score(const xfm_call *call) {
  const int32_t *tokens = call->buffers[0];
  float *sums = call->buffers[1];
  float sum = 0;
  for (int64_t i = 0; i < call->sizes[0]; ++i)
    sums[i] = sum += (float)tokens[i];
  return 0;
}

int64_t xfm_arena_none(const int64_t *sizes) {
  (void)sizes;
  return 0;
}
