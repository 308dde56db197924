//===- File.h - folders and read-only files -------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_FILE_H
#define XFM_RUNTIME_FILE_H

#include "runtime/Status.h"

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>

namespace xfm {

/// A regular file, open for reading and, once map() was called, mapped.
class File {
public:
  File() = default;
  ~File();
  File(File &&other) noexcept;
  File &operator=(File &&other) noexcept;

  /// Opens `name` in the folder `folder` (or AT_FDCWD). `path` is for messages.
  Status open(int folder, const std::string &name, const std::string &path);
  /// Makes a file of the system's memory, which no path leads to and nobody can
  /// change. `path` is for messages.
  Status makeInMemory(std::string_view bytes, const std::string &path);
  /// Maps the whole file, read-only. An empty file is an empty view.
  Status map();

  int descriptor() const { return fd; }
  size_t size() const { return length; }
  const std::string &path() const { return where; }
  std::string_view bytes() const { return {static_cast<const char *>(mapping), mapping ? length : 0}; }

private:
  int fd = -1;
  size_t length = 0;
  void *mapping = nullptr;
  std::string where;
};

/// An open folder. Its files are opened relative to it, so that all of them are
/// of one artifact even when another one is renamed into its place meanwhile.
class Folder {
public:
  Folder() = default;
  ~Folder();
  Folder(const Folder &) = delete;
  Folder &operator=(const Folder &) = delete;

  Status open(const std::string &path);
  Status openFile(const std::string &name, File &out) const;

private:
  int fd = -1;
  std::string where;
};

/// Writes a file that appears whole or not at all: under a name of its own first,
/// then renamed.
Status replaceFile(const std::string &path, std::initializer_list<std::string_view> parts);

/// Whether `name` names a file right inside a folder: not empty, no '/', no
/// "..", no control characters.
bool isPlainName(std::string_view name);

} // namespace xfm

#endif // XFM_RUNTIME_FILE_H
