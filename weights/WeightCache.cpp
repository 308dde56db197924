//===- WeightCache.cpp - values of derived weights, kept -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/WeightCache.h"
#include "weights/Derive.h"
#include "weights/Error.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/BLAKE3.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace llvm;

namespace mlir::transformer {

/// What precedes the bytes of the value in an entry. The bytes start at 64.
namespace {
struct EntryHeader {
  char magic[8];
  uint64_t bytes;
  WeightCache::Key key;
  uint64_t hash; // XXH3-64 of the value
  uint64_t reserved;
};
} // namespace
static_assert(sizeof(EntryHeader) == 64);

static constexpr char entryMagic[8] = {'x', 'f', 'm', '-', 'w', 't', '0', '1'};
static constexpr StringLiteral entrySuffix = ".weight", temporarySuffix = ".tmp";

//===----------------------------------------------------------------------===//
// Keys
//===----------------------------------------------------------------------===//

namespace {
/// A cryptographic hash, as the checkpoints are of strangers: nobody shall make
/// a tensor whose key is another's.
class KeyBuilder {
public:
  explicit KeyBuilder(StringRef kind) { add(kind); }

  /// With its length: two texts never run into one another.
  KeyBuilder &add(StringRef text) {
    uint64_t size = text.size();
    hasher.update(ArrayRef(reinterpret_cast<const uint8_t *>(&size), sizeof size));
    hasher.update(text);
    return *this;
  }
  KeyBuilder &addBytes(ArrayRef<char> bytes) { return add(StringRef(bytes.data(), bytes.size())); }
  KeyBuilder &add(const WeightCache::Key &key) {
    return add(StringRef(reinterpret_cast<const char *>(key.data()), key.size()));
  }
  WeightCache::Key take() { return hasher.final<sizeof(WeightCache::Key)>(); }

private:
  BLAKE3 hasher;
};
} // namespace

WeightCache::Key WeightCache::keyOfStored(Dtype dtype, ArrayRef<int64_t> shape, ArrayRef<char> bytes) const {
  return KeyBuilder("stored").add(dtypeName(dtype)).add(shapeText(shape)).addBytes(bytes).take();
}

/// The exact bits where a number's text might be rounded.
static void addAttribute(KeyBuilder &builder, Attribute attribute) {
  std::string text;
  raw_string_ostream os(text);
  attribute.print(os);
  builder.add(text);
  if (auto number = dyn_cast<FloatAttr>(attribute)) {
    SmallString<32> bits;
    number.getValue().bitcastToAPInt().toStringUnsigned(bits, 16);
    builder.add(bits);
  } else if (auto list = dyn_cast<DenseArrayAttr>(attribute)) {
    builder.addBytes(list.getRawData());
  }
}

WeightCache::Key WeightCache::keyOfDerived(DeriveOp op, ArrayRef<Key> sources) const {
  KeyBuilder builder("derived");
  builder.add(program);
  for (NamedAttribute attribute : op->getAttrDictionary()) {
    // Names do not matter: the sources stand for themselves.
    if (attribute.getName() == op.getSymNameAttrName() || attribute.getName() == op.getSourcesAttrName())
      continue;
    builder.add(attribute.getName().getValue());
    addAttribute(builder, attribute.getValue());
  }
  for (const Key &source : sources)
    builder.add(source);
  return builder.take();
}

//===----------------------------------------------------------------------===//
// The folder
//===----------------------------------------------------------------------===//

/// Removes what killed processes left, a day after they wrote it.
static void removeOldTemporaries(StringRef folder) {
  std::error_code code;
  for (sys::fs::directory_iterator it(folder, code), end; it != end && !code; it.increment(code)) {
    StringRef name = sys::path::filename(it->path());
    ErrorOr<sys::fs::basic_file_status> status = it->status();
    if (name.ends_with(temporarySuffix) && name.contains(entrySuffix) && status &&
        std::chrono::system_clock::now() - status->getLastModificationTime() > std::chrono::hours(24))
      sys::fs::remove(it->path());
  }
}

Expected<std::unique_ptr<WeightCache>> WeightCache::open(StringRef folder) {
  if (sys::fs::exists(folder) && !sys::fs::is_directory(folder))
    return makeError("the cache " + folder + " is no folder; choose another path for it");
  if (std::error_code code = sys::fs::create_directories(folder))
    return makeError("the cache " + folder + " cannot be created: " + code.message());
  removeOldTemporaries(folder);
  // A compiler that evaluates otherwise is another program.
  Expected<std::unique_ptr<MappedFile>> program = MappedFile::open("/proc/self/exe");
  if (!program)
    return program.takeError();
  return std::unique_ptr<WeightCache>(
      new WeightCache(folder, KeyBuilder("program").addBytes((*program)->bytes()).take()));
}

std::string WeightCache::pathOf(const Key &key) const {
  SmallString<128> path(folder);
  sys::path::append(path, toHex(key, /*LowerCase=*/true) + entrySuffix);
  return path.str().str();
}

std::optional<HostTensor> WeightCache::find(const Key &key, RankedTensorType type) {
  std::string path = pathOf(key);
  if (!sys::fs::exists(path))
    return std::nullopt;
  Expected<std::unique_ptr<MappedFile>> opened = MappedFile::open(path);
  if (!opened) {
    consumeError(opened.takeError());
    ++damaged;
    return std::nullopt;
  }
  std::shared_ptr<MappedFile> file = std::move(*opened);
  uint64_t bytes = *byteSize(type.getShape(), *dtypeFromType(type.getElementType()));
  EntryHeader header;
  bool isWhole = file->bytes().size() == sizeof header + bytes;
  if (isWhole) {
    std::memcpy(&header, file->bytes().data(), sizeof header);
    isWhole = std::memcmp(header.magic, entryMagic, sizeof entryMagic) == 0 && header.bytes == bytes &&
              header.key == key && header.reserved == 0 &&
              XXH3_64bits(file->bytes().data() + sizeof header, bytes) == header.hash;
  }
  if (!isWhole) {
    ++damaged;
    return std::nullopt;
  }
  ++reused;
  ArrayRef<char> data = file->bytes().drop_front(sizeof header);
  return HostTensor{type, data, std::shared_ptr<char>(file, const_cast<char *>(data.data()))};
}

/// Writes header and value; 0 or errno.
static int writeEntry(int fd, const EntryHeader &header, ArrayRef<char> value) {
  for (ArrayRef<char> part : {ArrayRef(reinterpret_cast<const char *>(&header), sizeof header), value})
    while (!part.empty()) {
      ssize_t count = ::write(fd, part.data(), part.size());
      if (count < 0 && errno == EINTR)
        continue;
      if (count < 0)
        return errno;
      part = part.drop_front(count);
    }
  return 0;
}

/// Gives a file that has no name the name `path`; 0 or errno. An entry that has it
/// is damaged, or another process's for the same key.
static int nameFile(int fd, const std::string &path) {
  std::string unnamed = "/proc/self/fd/" + std::to_string(fd);
  auto link = [&] {
    return linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0 ? 0 : errno;
  };
  int code = link();
  if (code == EEXIST) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT)
      return errno;
    code = link();
  }
  return code == EEXIST ? 0 : code;
}

Error WeightCache::store(const Key &key, const HostTensor &value) {
  std::string path = pathOf(key);
  auto failure = [&](const Twine &reason) {
    return makeError(Twine(path) + ": cannot be written: " + reason + "; make room, or leave --cache out");
  };
  EntryHeader header = {};
  std::memcpy(header.magic, entryMagic, sizeof entryMagic);
  header.bytes = value.data.size();
  header.key = key;
  header.hash = XXH3_64bits(value.data.data(), value.data.size());
  // Without a name until it is whole: whatever ends the process leaves nothing.
  int unnamed = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  if (unnamed >= 0) {
    int code = writeEntry(unnamed, header, value.data);
    if (code == 0)
      code = nameFile(unnamed, path);
    ::close(unnamed);
    if (code != 0)
      return failure(sys::StrError(code));
    ++stored;
    return Error::success();
  }
  // Not every file system can do that.
  Expected<sys::fs::TempFile> file = sys::fs::TempFile::create(path + ".%%%%%%%%" + temporarySuffix);
  if (!file)
    return failure(toString(file.takeError()));
  if (int code = writeEntry(file->FD, header, value.data)) {
    consumeError(file->discard());
    return failure(sys::StrError(code));
  }
  if (Error error = file->keep(path))
    return failure(toString(std::move(error)));
  ++stored;
  return Error::success();
}

} // namespace mlir::transformer
