//===- Output.h - What tfrun writes -------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_OUTPUT_H
#define XFM_TOOLS_TFRUN_OUTPUT_H

#include <cstdint>
#include <string>
#include <string_view>

namespace xfm::tfrun {

/// Opens something harmless where stdin, stdout or stderr is closed, so that no file of ours takes its place.
/// Writing to a closed stdout still fails.
void guardStandardStreams();

/// Writes all of `text` to stdout at once. Throws std::runtime_error where that fails, e.g. on a full disk.
void writeOut(std::string_view text);

/// Writes a line to stderr.
void writeError(std::string_view line);

/// Rewrites the line of a terminal on stderr: how many bytes are done. At the end nothing is left of it.
void showProgress(const char *what, int64_t done, int64_t total);

/// `text` with control characters as spaces, so that it is one line.
std::string oneLine(std::string text);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_OUTPUT_H
