//===- Entry.h - One call of an entry point -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_ENTRY_H
#define XFM_TOOLS_TFRUN_ENTRY_H

#include "tools/tfrun/Model.h"
#include "tools/tfrun/Options.h"

namespace xfm::tfrun {

/// --entry: arrays from files in, arrays into files out. Files appear whole or not at all.
void runEntry(const Model &model, const Options &options);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_ENTRY_H
