//===- Status.h - failures inside the runtime -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_STATUS_H
#define XFM_RUNTIME_STATUS_H

#include "runtime/xfm.h"

#include <sstream>
#include <string>
#include <string_view>

namespace xfm {

/// What the C API returns, with the line that xfm_last_error() will show.
struct [[nodiscard]] Status {
  xfm_status code = XFM_OK;
  std::string message;

  bool ok() const { return code == XFM_OK; }
};

/// A failure whose message is its parts written one after the other. A message
/// says what went wrong, where, and what to do about it, in one line.
template <typename... Parts> Status fail(xfm_status code, const Parts &...parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return Status{code, stream.str()};
}

/// A string of a file in quotes, fit for one line of a message: control
/// characters are escaped and long strings are cut.
std::string quote(std::string_view text);

/// Sets what xfm_last_error() returns on this thread.
void setLastError(const Status &status);

/// Hands one line to the receiver of xfm_set_log.
void log(xfm_log_level level, const std::string &message);

} // namespace xfm

#endif // XFM_RUNTIME_STATUS_H
