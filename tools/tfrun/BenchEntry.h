//===- BenchEntry.h - Measuring an entry point --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_BENCHENTRY_H
#define XFM_TOOLS_TFRUN_BENCHENTRY_H

#include "tools/tfrun/Model.h"
#include "tools/tfrun/Options.h"

namespace xfm::tfrun {

/// --bench --entry: milliseconds of a call of one entry point, with empty caches, on random inputs or those
/// of
/// --input.
void benchEntry(const Model &model, const Options &options);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_BENCHENTRY_H
