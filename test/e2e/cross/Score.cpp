//===- Score.cpp - runs the entry point `score` of an artifact ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// score ARTIFACT TOKENS.npy LOGITS.npy
//
// Built for another machine with the runtime's core and nothing else, so that it
// runs wherever a C++ library is: under an emulator too.
//
//===----------------------------------------------------------------------===//

#include "runtime/Npy.h"
#include "runtime/xfm.h"

#include <cstdio>
#include <memory>

using namespace xfm;

static int fail(const char *message) {
  std::fprintf(stderr, "score: error: %s\n", message);
  return 1;
}

int main(int argc, char **argv) {
  if (argc != 4)
    return fail("usage: score ARTIFACT TOKENS.npy LOGITS.npy");
  xfm_model *opened = nullptr;
  if (xfm_model_open(argv[1], nullptr, &opened) != XFM_OK)
    return fail(xfm_last_error());
  std::unique_ptr<xfm_model, decltype(&xfm_model_close)> model(opened, xfm_model_close);
  NpyArray tokens;
  if (Status status = readNpy(argv[2], {}, tokens); !status.ok())
    return fail(status.message.c_str());
  // Two threads, so that handing work over runs as well.
  xfm_session_options options = {};
  options.size = sizeof options;
  options.threads = 2;
  xfm_session *created = nullptr;
  if (xfm_session_create(model.get(), &options, &created) != XFM_OK)
    return fail(xfm_last_error());
  std::unique_ptr<xfm_session, decltype(&xfm_session_destroy)> session(created, xfm_session_destroy);
  xfm_tensor input = tokens.tensor(), logits = {};
  if (xfm_session_call(session.get(), "score", &input, 1) != XFM_OK ||
      xfm_session_output(session.get(), 0, &logits) != XFM_OK)
    return fail(xfm_last_error());
  if (Status status = writeNpy(argv[3], logits); !status.ok())
    return fail(status.message.c_str());
  return 0;
}
