//===- Bench.h - Measuring a language model -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_BENCH_H
#define XFM_TOOLS_TFRUN_BENCH_H

#include "tools/tfrun/Model.h"
#include "tools/tfrun/Options.h"

namespace xfm::tfrun {

/// --bench: tokens per second of prompts (pp128, pp512) and of generation (tg64), in the manner of
/// llama-bench.
void bench(const Model &model, const Options &options);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_BENCH_H
