//===- Info.h - What an artifact holds ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_INFO_H
#define XFM_TOOLS_TFRUN_INFO_H

#include "tools/tfrun/Model.h"
#include "tools/tfrun/Options.h"

namespace xfm::tfrun {

/// --info: describes the artifact from its manifest.
void info(const Model &model, const Options &options);

/// The text that --info writes for a manifest and a --context (0: none). Throws std::runtime_error if the
/// manifest is not understood.
std::string describeManifest(const std::string &manifest, bool json, int64_t context = 0);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_INFO_H
