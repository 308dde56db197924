//===- Checkpoint.cpp - which file holds which tensor ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Checkpoint.h"
#include "weights/Error.h"
#include "weights/Json.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace mlir::transformer {

static constexpr StringLiteral singleFile = "model.safetensors";
static constexpr StringLiteral indexFile = "model.safetensors.index.json";

Error Checkpoint::readIndex(StringRef path) {
  Expected<std::unique_ptr<MappedFile>> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  Expected<json::Object> index = parseJsonObject((*file)->text(), path);
  if (!index)
    return index.takeError();
  const json::Object *weightMap = index->getObject("weight_map");
  if (!weightMap)
    return makeError(path + ": no object \"weight_map\"");
  StringSet<> shards;
  for (const auto &[tensor, value] : *weightMap) {
    std::optional<StringRef> shard = value.getAsString();
    if (!shard || !isPlainFileName(*shard))
      return makeError(path + ": tensor " + quoted(tensor) + " lies in " +
                       (shard ? quoted(*shard) : "no string") +
                       "; a shard is a plain file name without '/' or '..'");
    files.try_emplace(tensor, shard->str());
    shards.insert(*shard);
  }
  for (const auto &shard : shards) {
    SmallString<128> shardPath(store->getFolder());
    sys::path::append(shardPath, shard.first());
    if (!sys::fs::exists(shardPath))
      return makeError(path + ": the shard " + quoted(shard.first()) +
                       " is missing; fetch it into the folder");
  }
  return Error::success();
}

Expected<Checkpoint> Checkpoint::open(WeightStore &store) {
  Checkpoint checkpoint(store);
  SmallString<128> single(store.getFolder()), index(store.getFolder());
  sys::path::append(single, singleFile);
  sys::path::append(index, indexFile);
  if (sys::fs::exists(single)) {
    Expected<const StringMap<StoredTensor> *> tensors = store.tensorsOf(singleFile);
    if (!tensors)
      return tensors.takeError();
    for (const auto &entry : **tensors)
      checkpoint.files.try_emplace(entry.first(), singleFile.str());
    return checkpoint;
  }
  if (!sys::fs::exists(index))
    return makeError(store.getFolder() + ": neither " + singleFile + " nor " + indexFile +
                     "; other checkpoint formats are to be converted to safetensors first");
  if (Error error = checkpoint.readIndex(index))
    return error;
  return checkpoint;
}

Error Checkpoint::require(StringRef name, ArrayRef<int64_t> shape) {
  auto it = files.find(name);
  if (it == files.end()) {
    StringMap<StoredTensor> names;
    for (const auto &entry : files)
      names.try_emplace(entry.first());
    StringRef closest = closestName(name, names);
    return makeError(store->getFolder() + ": the checkpoint has no tensor " + quoted(name) + " of shape " +
                     shapeText(shape) +
                     (closest.empty() ? std::string("; it holds none") : "; closest is " + quoted(closest)));
  }
  Expected<TensorView> tensor = store->lookup(it->second, name);
  if (!tensor)
    return tensor.takeError();
  std::string where = (store->getFolder() + "/" + it->second + ": tensor " + quoted(name)).str();
  if (tensor->shape != shape)
    return makeError(Twine(where) + ": expected shape " + shapeText(shape) + " from config.json, but found " +
                     shapeText(tensor->shape));
  if (!isFloat(tensor->dtype) || tensor->dtype == Dtype::F64)
    return makeError(Twine(where) + ": expected dtype F32, F16 or BF16, but found " +
                     dtypeName(tensor->dtype));
  auto [entry, isNew] =
      required.try_emplace(name, Entry{it->second, tensor->dtype, SmallVector<int64_t, 4>(shape)});
  if (isNew)
    order.push_back(entry->first());
  return Error::success();
}

std::vector<Checkpoint::Required> Checkpoint::used() const {
  std::vector<Required> used;
  for (StringRef name : order)
    used.push_back({name, &required.find(name)->second});
  return used;
}

std::vector<StringRef> Checkpoint::unused() const {
  std::vector<StringRef> names;
  for (const auto &entry : files)
    if (!required.contains(entry.first()))
      names.push_back(entry.first());
  llvm::sort(names);
  return names;
}

} // namespace mlir::transformer
