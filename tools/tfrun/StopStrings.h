//===- StopStrings.h - Where generated text ends ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_STOPSTRINGS_H
#define XFM_TOOLS_TFRUN_STOPSTRINGS_H

#include <string>
#include <string_view>
#include <vector>

namespace xfm::tfrun {

/// Cuts text that arrives in pieces before the first stop string, also where one spans pieces.
class StopStrings {
public:
  explicit StopStrings(std::vector<std::string> stops) : stops(std::move(stops)) {}

  /// Returns what is certain not to belong to a stop string. Nothing once stopped.
  std::string push(std::string_view text);
  /// No more text: returns what was held back.
  std::string finish();
  bool stopped() const { return hasStopped; }

private:
  std::vector<std::string> stops;
  std::string held;
  bool hasStopped = false;
};

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_STOPSTRINGS_H
