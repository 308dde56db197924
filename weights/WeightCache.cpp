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
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <chrono>
#include <cstring>

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

Error WeightCache::store(const Key &key, const HostTensor &value) {
  std::string path = pathOf(key);
  auto failure = [&](const Twine &reason) {
    return makeError(Twine(path) + ": cannot be written: " + reason + "; make room, or leave --cache out");
  };
  Expected<sys::fs::TempFile> file = sys::fs::TempFile::create(path + ".%%%%%%%%" + temporarySuffix);
  if (!file)
    return failure(toString(file.takeError()));
  EntryHeader header = {};
  std::memcpy(header.magic, entryMagic, sizeof entryMagic);
  header.bytes = value.data.size();
  header.key = key;
  header.hash = XXH3_64bits(value.data.data(), value.data.size());
  raw_fd_ostream os(file->FD, /*shouldClose=*/false, /*unbuffered=*/true);
  os.write(reinterpret_cast<const char *>(&header), sizeof header);
  os.write(value.data.data(), value.data.size());
  if (std::error_code code = os.error()) {
    os.clear_error();
    consumeError(file->discard());
    return failure(code.message());
  }
  if (Error error = file->keep(path))
    return failure(toString(std::move(error)));
  ++stored;
  return Error::success();
}

} // namespace mlir::transformer
