//===- Status.cpp - failures inside the runtime ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Status.h"

#include <cstdio>
#include <mutex>

using namespace xfm;

namespace {
struct LogReceiver {
  std::mutex mutex;
  xfm_log_fn fn = nullptr;
  void *user = nullptr;
};
} // namespace

static thread_local std::string lastError;

static LogReceiver &logReceiver() {
  // Never destroyed: a thread may still log while the process ends.
  static LogReceiver *receiver = new LogReceiver;
  return *receiver;
}

std::string xfm::quote(std::string_view text) {
  constexpr size_t longest = 160;
  std::string result = "'";
  for (char c : text.substr(0, longest)) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      result += c;
      continue;
    }
    char escaped[8];
    std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    result += escaped;
  }
  result += text.size() > longest ? "...'" : "'";
  return result;
}

void xfm::setLastError(const Status &status) { lastError = status.message; }

void xfm::log(xfm_log_level level, const std::string &message) {
  LogReceiver &receiver = logReceiver();
  xfm_log_fn fn;
  void *user;
  {
    // The receiver runs outside the lock, so that it may call the API.
    std::lock_guard<std::mutex> lock(receiver.mutex);
    fn = receiver.fn;
    user = receiver.user;
  }
  if (fn)
    fn(user, level, message.c_str());
}

extern "C" {

const char *xfm_status_name(xfm_status status) {
  switch (status) {
  case XFM_OK:
    return "XFM_OK";
  case XFM_INVALID_ARGUMENT:
    return "XFM_INVALID_ARGUMENT";
  case XFM_NOT_FOUND:
    return "XFM_NOT_FOUND";
  case XFM_IO_ERROR:
    return "XFM_IO_ERROR";
  case XFM_CORRUPT:
    return "XFM_CORRUPT";
  case XFM_VERSION_MISMATCH:
    return "XFM_VERSION_MISMATCH";
  case XFM_DEVICE_ERROR:
    return "XFM_DEVICE_ERROR";
  case XFM_TARGET_MISMATCH:
    return "XFM_TARGET_MISMATCH";
  case XFM_OUT_OF_RANGE:
    return "XFM_OUT_OF_RANGE";
  case XFM_CONTEXT_FULL:
    return "XFM_CONTEXT_FULL";
  case XFM_OUT_OF_MEMORY:
    return "XFM_OUT_OF_MEMORY";
  case XFM_INTERNAL:
    return "XFM_INTERNAL";
  }
  return "XFM_UNKNOWN_STATUS";
}

const char *xfm_last_error(void) { return lastError.c_str(); }

const char *xfm_version(void) { return XFM_VERSION_STRING; }

void xfm_set_log(xfm_log_fn fn, void *user) {
  LogReceiver &receiver = logReceiver();
  std::lock_guard<std::mutex> lock(receiver.mutex);
  receiver.fn = fn;
  receiver.user = user;
}

} // extern "C"
