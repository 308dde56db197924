//@ What tfrun writes

#include "tools/tfrun/Output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <utility>

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

std::string oneLine(std::string text) {
  for (char &c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      c = ' ';
  return text;
}

OutputFile::OutputFile(std::string target)
    : path(std::move(target)), temporary(path + ".tmp" + std::to_string(getpid())) {
  descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    temporary.clear();
    fail("create");
  }
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : path(std::move(other.path)), temporary(std::exchange(other.temporary, {})),
      descriptor(std::exchange(other.descriptor, -1)) {}

OutputFile::~OutputFile() {
  if (descriptor >= 0)
    ::close(descriptor);
  if (!temporary.empty())
    unlink(temporary.c_str());
}

void OutputFile::fail(const char *what) const {
  throw std::runtime_error(std::string("cannot ") + what + " '" + path + "': " + std::strerror(errno));
}

void OutputFile::write(const void *data, size_t size) {
  if (!writeAll(descriptor, static_cast<const char *>(data), size))
    fail("write");
}

void OutputFile::close() {
  if (fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP)
    fail("write");
  if (::close(std::exchange(descriptor, -1)) != 0)
    fail("write");
}

void OutputFile::commit() {
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    fail("write");
  temporary.clear();
}

} // namespace xfm::tfrun
