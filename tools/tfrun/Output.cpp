//===- Output.cpp - What tfrun writes -----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <unistd.h>

namespace xfm::tfrun {

void guardStandardStreams() {
  for (int descriptor = 0; descriptor < 3; ++descriptor)
    if (fcntl(descriptor, F_GETFD) == -1 && errno == EBADF) {
      // The lowest free number is taken, which is this one. A read-only stdout refuses writing.
      int opened = open("/dev/null", descriptor == 2 ? O_WRONLY : O_RDONLY);
      if (opened != descriptor && opened >= 0)
        ::close(opened);
    }
}

/// write(2) until all is written; false with errno on failure.
static bool writeAll(int descriptor, const char *data, size_t size) {
  while (size > 0) {
    ssize_t written = ::write(descriptor, data, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    data += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

void writeOut(std::string_view text) {
  if (!writeAll(STDOUT_FILENO, text.data(), text.size()))
    throw std::runtime_error(std::string("cannot write to stdout: ") + std::strerror(errno));
}

void writeError(std::string_view line) {
  std::string text(line);
  text += '\n';
  (void)writeAll(STDERR_FILENO, text.data(), text.size()); // there is nowhere left to complain
}

void showProgress(const char *what, int64_t done, int64_t total) {
  char line[96] = "\r\x1b[K";
  if (done < total)
    std::snprintf(line, sizeof line, "\r\x1b[K%s %3.0f%% of %.1f MB", what,
                  100.0 * double(done) / double(total), double(total) / 1e6);
  (void)writeAll(STDERR_FILENO, line, std::strlen(line));
}

std::string oneLine(std::string text) {
  for (char &c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      c = ' ';
  return text;
}

} // namespace xfm::tfrun
