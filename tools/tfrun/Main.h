//===- Main.h - tfrun without its main ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_MAIN_H
#define XFM_TOOLS_TFRUN_MAIN_H

namespace xfm::tfrun {

/// Runs the command line; returns the exit status. Errors are one line on stderr.
int run(int argc, const char *const *argv);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_MAIN_H
