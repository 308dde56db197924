//===- File.cpp - folders and read-only files -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/File.h"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

using namespace xfm;

File::~File() {
  if (mapping)
    munmap(mapping, length);
  if (fd >= 0)
    ::close(fd);
}

File::File(File &&other) noexcept { *this = std::move(other); }

File &File::operator=(File &&other) noexcept {
  std::swap(fd, other.fd);
  std::swap(length, other.length);
  std::swap(mapping, other.mapping);
  std::swap(where, other.where);
  return *this;
}

Status File::open(int folder, const std::string &name, const std::string &path) {
  where = path;
  // Without O_NONBLOCK a named pipe would block here for ever.
  fd = openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR)
      return fail(XFM_NOT_FOUND, path, ": no such file");
    return fail(XFM_IO_ERROR, path, ": cannot open: ", std::strerror(errno));
  }
  struct stat info;
  if (fstat(fd, &info) != 0)
    return fail(XFM_IO_ERROR, path, ": cannot read its size: ", std::strerror(errno));
  if (!S_ISREG(info.st_mode))
    return fail(XFM_CORRUPT, path, ": expected a regular file");
  if (info.st_size < 0 || static_cast<uint64_t>(info.st_size) > PTRDIFF_MAX)
    return fail(XFM_CORRUPT, path, ": cannot be that large: ", info.st_size, " bytes");
  length = static_cast<size_t>(info.st_size);
  return {};
}

static bool writeAll(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t written = ::write(fd, data, size);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return false;
    data += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

/// Executable where the kernel wants that to be said (Linux 6.3).
static int createInMemory() {
  constexpr unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
#ifdef MFD_EXEC
  if (int fd = memfd_create("xfm", flags | MFD_EXEC); fd >= 0 || errno != EINVAL)
    return fd;
#endif
  return memfd_create("xfm", flags);
}

Status File::makeInMemory(std::string_view bytes, const std::string &path) {
  where = path;
  length = bytes.size();
  fd = createInMemory();
  constexpr int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
  if (fd < 0 || !writeAll(fd, bytes.data(), bytes.size()) || fcntl(fd, F_ADD_SEALS, seals) != 0)
    return fail(XFM_IO_ERROR, path, ": cannot be copied into memory: ", std::strerror(errno));
  return {};
}

Status File::map() {
  if (mapping || length == 0)
    return {};
  void *address = mmap(nullptr, length, PROT_READ, MAP_PRIVATE, fd, 0);
  if (address == MAP_FAILED)
    return fail(errno == ENOMEM ? XFM_OUT_OF_MEMORY : XFM_IO_ERROR, where, ": cannot map ", length,
                " bytes: ", std::strerror(errno));
  mapping = address;
  return {};
}

Folder::~Folder() {
  if (fd >= 0)
    ::close(fd);
}

Status Folder::open(const std::string &path) {
  where = path;
  fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (fd >= 0)
    return {};
  switch (errno) {
  case ENOENT:
    return fail(XFM_NOT_FOUND, path, ": no such artifact: give the folder that the compiler wrote");
  case ENOTDIR:
    return fail(XFM_INVALID_ARGUMENT, path,
                ": an artifact is a folder with a manifest.json, but this is a file");
  default:
    return fail(XFM_IO_ERROR, path, ": cannot open the folder: ", std::strerror(errno));
  }
}

Status Folder::openFile(const std::string &name, File &out) const {
  return out.open(fd, name, where + "/" + name);
}

/// Creates a file in the folder of `path`, as a rename works only within one file
/// system; its name is no other process's or thread's.
static int createBeside(const std::string &path, std::string &name) {
  static std::atomic<unsigned> count{0};
  int fd;
  do {
    name = path + ".tmp" + std::to_string(getpid()) + "." + std::to_string(count++);
    fd = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EEXIST);
  return fd;
}

/// Writes the parts one behind the other and closes the file.
static bool writeParts(int fd, std::initializer_list<std::string_view> parts) {
  bool written = true;
  for (std::string_view part : parts)
    written = written && writeAll(fd, part.data(), part.size());
  return ::close(fd) == 0 && written;
}

Status xfm::replaceFile(const std::string &path, std::initializer_list<std::string_view> parts) {
  struct stat state;
  if (::stat(path.c_str(), &state) == 0 && !S_ISREG(state.st_mode) && !S_ISDIR(state.st_mode)) {
    // A device or a pipe is written to: a file renamed over it would take its place.
    int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || !writeParts(fd, parts))
      return fail(XFM_IO_ERROR, path, ": cannot write: ", std::strerror(errno));
    return {};
  }
  std::string temporary;
  int fd = createBeside(path, temporary);
  if (fd < 0)
    return fail(XFM_IO_ERROR, path, ": cannot create a file beside it: ", std::strerror(errno));
  bool written = writeParts(fd, parts);
  if (written && std::rename(temporary.c_str(), path.c_str()) == 0)
    return {};
  Status status = fail(XFM_IO_ERROR, path, ": cannot write: ", std::strerror(errno));
  unlink(temporary.c_str());
  return status;
}

bool xfm::isPlainName(std::string_view name) {
  if (name.empty() || name == "." || name.size() > 255 || name.find("..") != std::string_view::npos)
    return false;
  for (char c : name)
    if (c == '/' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return false;
  return true;
}
