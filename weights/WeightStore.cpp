//===- WeightStore.cpp - the tensors of a model's folder ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/WeightStore.h"
#include "weights/Error.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;

namespace mlir::transformer {

//===----------------------------------------------------------------------===//
// MappedFile
//===----------------------------------------------------------------------===//

Expected<std::unique_ptr<MappedFile>> MappedFile::open(StringRef path) {
  // Without O_NONBLOCK opening a pipe would wait for its writer.
  int fd = ::open(path.str().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return makeError(path + ": " + sys::StrError());
  scope_exit close([&] { ::close(fd); });
  struct stat status;
  if (fstat(fd, &status) != 0)
    return makeError(path + ": " + sys::StrError());
  if (!S_ISREG(status.st_mode))
    return makeError(path + ": not a file");
  size_t size = static_cast<size_t>(status.st_size);
  if (size == 0) // cannot be mapped
    return std::unique_ptr<MappedFile>(new MappedFile("", 0));
  void *data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED)
    return makeError(path + ": cannot be mapped: " + sys::StrError());
  return std::unique_ptr<MappedFile>(new MappedFile(static_cast<const char *>(data), size));
}

MappedFile::~MappedFile() {
  if (size != 0)
    munmap(const_cast<char *>(data), size);
}

//===----------------------------------------------------------------------===//
// WeightStore
//===----------------------------------------------------------------------===//

bool isPlainFileName(StringRef name) {
  return !name.empty() && name != "." && !name.contains('/') && !name.contains("..") && !name.contains('\0');
}

StringRef closestName(StringRef name, const StringMap<StoredTensor> &tensors) {
  StringRef best;
  unsigned bestDistance = ~0u;
  for (const auto &entry : tensors) {
    unsigned distance = name.edit_distance(entry.first(), /*AllowReplacements=*/true, bestDistance);
    // The map's order is arbitrary: equal distances go by name.
    if (distance < bestDistance || (distance == bestDistance && entry.first() < best)) {
      bestDistance = distance;
      best = entry.first();
    }
  }
  return best;
}

Expected<const WeightStore::File *> WeightStore::open(StringRef name) {
  if (!isPlainFileName(name))
    return makeError(Twine(folder) + ": " + quoted(name) +
                     " is no plain file name; weights lie in the model's folder");
  std::lock_guard<std::mutex> lock(mutex);
  auto it = files.find(name);
  if (it != files.end())
    return it->second.get();
  SmallString<128> path(folder);
  sys::path::append(path, name);
  Expected<std::unique_ptr<MappedFile>> mapping = MappedFile::open(path);
  if (!mapping)
    return mapping.takeError();
  Expected<StringMap<StoredTensor>> tensors = parseSafetensors((*mapping)->bytes(), path);
  if (!tensors)
    return tensors.takeError();
  auto file = std::make_unique<File>();
  file->mapping = std::move(*mapping);
  file->tensors = std::move(*tensors);
  return files.try_emplace(name, std::move(file)).first->second.get();
}

Expected<const StringMap<StoredTensor> *> WeightStore::tensorsOf(StringRef name) {
  Expected<const File *> file = open(name);
  if (!file)
    return file.takeError();
  return &(*file)->tensors;
}

Expected<TensorView> WeightStore::lookup(StringRef fileName, StringRef name) {
  Expected<const File *> file = open(fileName);
  if (!file)
    return file.takeError();
  const StringMap<StoredTensor> &tensors = (*file)->tensors;
  auto it = tensors.find(name);
  if (it == tensors.end()) {
    StringRef closest = closestName(name, tensors);
    return makeError(
        Twine(folder) + "/" + fileName + ": no tensor " + quoted(name) +
        (closest.empty() ? std::string("; the file holds none") : "; closest is " + quoted(closest)));
  }
  const StoredTensor &tensor = it->second;
  return TensorView{tensor.dtype, tensor.shape, (*file)->mapping->bytes().slice(tensor.offset, tensor.bytes)};
}

void WeightStore::release(ArrayRef<char> bytes) {
  // Whole pages only: the first and the last are shared with the neighbours.
  uint64_t page = sys::Process::getPageSizeEstimate();
  uint64_t begin = alignTo(reinterpret_cast<uintptr_t>(bytes.data()), page);
  uint64_t end = alignDown(reinterpret_cast<uintptr_t>(bytes.data()) + bytes.size(), page);
  if (begin < end)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

} // namespace mlir::transformer
