//===- main.c - generates greedily over the C API -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include <xfm.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(xfm_status status) {
  if (status == XFM_OK)
    return;
  fprintf(stderr, "program: error: %s: %s\n", xfm_status_name(status), xfm_last_error());
  exit(1);
}

/// Runs `entry` on `count` tokens and returns the one with the largest logit.
static int32_t next(xfm_session *session, const char *entry, const int32_t *tokens, int64_t count) {
  xfm_tensor input = {.data = tokens, .dtype = XFM_I32, .rank = 2, .dims = {1, count}};
  check(xfm_session_call(session, entry, &input, 1));
  xfm_tensor output;
  check(xfm_session_output(session, 0, &output)); // [1, vocabulary]
  const float *logits = output.data;
  int32_t best = 0;
  for (int32_t i = 1; i < output.dims[1]; ++i)
    if (logits[i] > logits[best])
      best = i;
  return best;
}

/// usage: program OUT.tfa COUNT TOKEN…
int main(int argc, char **argv) {
  if (argc < 4)
    return 2;
  xfm_model *model = NULL;
  check(xfm_model_open(argv[1], NULL, &model));
  xfm_session *session = NULL;
  check(xfm_session_create(model, NULL, &session));
  int32_t tokens[64];
  int64_t count = 0;
  for (int i = 3; i < argc && count < 64; ++i)
    tokens[count++] = (int32_t)strtol(argv[i], NULL, 10);
  for (int64_t i = 0; i < count; ++i)
    printf("%s%d", i ? "," : "", (int)tokens[i]);
  int32_t token = next(session, "prefill", tokens, count);
  for (long left = strtol(argv[2], NULL, 10); left > 0; --left) {
    printf(",%d", (int)token);
    if (left > 1)
      token = next(session, "decode", &token, 1);
  }
  printf("\n");
  xfm_session_destroy(session);
  xfm_model_close(model);
  return 0;
}
