//===- StopStrings.cpp - Where generated text ends ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/StopStrings.h"

#include <algorithm>
#include <utility>

namespace xfm::tfrun {

/// Bytes at the end of `text` that may be the beginning of `stop`.
static size_t beginningAtEnd(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length)
    if (text.substr(text.size() - length) == stop.substr(0, length))
      return length;
  return 0;
}

std::string StopStrings::push(std::string_view text) {
  if (hasStopped)
    return {};
  held += text;
  size_t first = std::string::npos, keep = 0;
  for (const std::string &stop : stops) {
    first = std::min(first, held.find(stop));
    keep = std::max(keep, beginningAtEnd(held, stop));
  }
  hasStopped = first != std::string::npos;
  std::string certain = held.substr(0, hasStopped ? first : held.size() - keep);
  held.erase(0, hasStopped ? held.size() : certain.size());
  return certain;
}

std::string StopStrings::finish() { return std::exchange(held, {}); }

} // namespace xfm::tfrun
