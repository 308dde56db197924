//===- Entry.h - One call of an entry point -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_ENTRY_H
#define XFM_TOOLS_TFRUN_ENTRY_H

#include "runtime/Npy.h"
#include "tools/tfrun/Model.h"
#include "tools/tfrun/Options.h"

namespace xfm::tfrun {

/// --entry: arrays from files in, arrays into files out. Files appear whole or not at all.
void runEntry(const Model &model, const Options &options);

/// The tensors of `files`, held in `arrays`, at their places among `inputs`; the others have no data. Throws
/// where a name is unknown or given twice, or a file is not readable.
std::vector<xfm_tensor> readInputs(const std::vector<NamedFile> &files,
                                   const std::vector<xfm_tensor_info> &inputs, std::vector<NpyArray> &arrays);

/// The size of the dimension B; 1 if no input has one.
int64_t batchOf(const std::vector<xfm_tensor_info> &infos, const std::vector<xfm_tensor> &tensors);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_ENTRY_H
