//===- Profile.h - Where the time of a run went -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_PROFILE_H
#define XFM_TOOLS_TFRUN_PROFILE_H

#include "runtime/xfm.h"
#include "tools/tfrun/Limits.h"
#include "tools/tfrun/Options.h"

#include <string>
#include <vector>

namespace xfm::tfrun {

/// --profile of one session; nothing where it is not asked for.
class Profile {
public:
  /// Measures the machine, then profiles the session's calls until stop().
  Profile(xfm_session *session, const Options &options);

  void start();
  void stop();
  /// Writes the table to stderr, and the trace to its file.
  void report() const;

private:
  xfm_session *session;
  const Options &options;
  Limits limits;
};

/// A table per entry point, those that took most time first; `seconds` is the wall time of all calls.
std::string profileTable(std::vector<xfm_profile_record> records, double seconds, const Limits &limits);

/// Chrome trace events (https://ui.perfetto.dev reads them), a row per entry point.
std::string traceJson(const std::vector<xfm_profile_event> &events);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_PROFILE_H
