//===- WeightStore.h - the tensors of a model's folder --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_WEIGHTSTORE_H
#define WEIGHTS_WEIGHTSTORE_H

#include "weights/Safetensors.h"

#include <memory>
#include <mutex>

namespace mlir::transformer {

/// A file mapped read-only, whole.
class MappedFile {
public:
  static llvm::Expected<std::unique_ptr<MappedFile>> open(StringRef path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  ArrayRef<char> bytes() const { return {data, size}; }
  StringRef text() const { return {data, size}; }

private:
  MappedFile(const char *data, size_t size) : data(data), size(size) {}
  const char *data;
  size_t size;
};

/// A tensor in a mapped file. Valid as long as its store.
struct TensorView {
  Dtype dtype;
  ArrayRef<int64_t> shape;
  ArrayRef<char> data;
};

/// Whether `name` stays inside its folder: not empty, no '/', no "..".
bool isPlainFileName(StringRef name);

/// The safetensors files of a folder. Each is mapped once, when it is first
/// asked for, and stays mapped until the store dies. Safe to use from several
/// threads.
class WeightStore {
public:
  explicit WeightStore(StringRef folder) : folder(folder.str()) {}

  StringRef getFolder() const { return folder; }

  /// The tensor `name` of `file`, a plain name in the folder.
  llvm::Expected<TensorView> lookup(StringRef file, StringRef name);

  /// All tensors of `file`, by name.
  llvm::Expected<const llvm::StringMap<StoredTensor> *> tensorsOf(StringRef file);

  /// Tells the kernel that these bytes of a mapped file were used for the last
  /// time, so that they do not count as this process's memory. Reading them
  /// again is possible and slow.
  static void release(ArrayRef<char> bytes);

private:
  struct File {
    std::unique_ptr<MappedFile> mapping;
    llvm::StringMap<StoredTensor> tensors;
  };
  llvm::Expected<const File *> open(StringRef file);

  std::string folder;
  std::mutex mutex; // guards `files`; a File does not change once it is there
  llvm::StringMap<std::unique_ptr<File>> files;
};

/// The name among those of `tensors` that is the most like `name`, or "".
StringRef closestName(StringRef name, const llvm::StringMap<StoredTensor> &tensors);

} // namespace mlir::transformer

#endif // WEIGHTS_WEIGHTSTORE_H
