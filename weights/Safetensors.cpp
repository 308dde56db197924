//===- Safetensors.cpp - the safetensors header ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Safetensors.h"
#include "weights/Error.h"
#include "weights/Json.h"

#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;

namespace mlir::transformer {

/// The limit of the format's own library.
static constexpr uint64_t maxHeaderBytes = 100'000'000;

std::optional<uint64_t> byteSize(ArrayRef<int64_t> shape, Dtype dtype) {
  // A zero must not hide a product that overflows: check the others all the same.
  int64_t size = static_cast<int64_t>(dtypeSize(dtype));
  bool isEmpty = false;
  for (int64_t dim : shape) {
    if (dim < 0)
      return std::nullopt;
    isEmpty |= dim == 0;
    if (dim != 0 && MulOverflow(size, dim, size))
      return std::nullopt;
  }
  return isEmpty ? 0 : static_cast<uint64_t>(size);
}

static Expected<Dtype> readDtype(const json::Object &entry, const Twine &where) {
  std::optional<StringRef> name = entry.getString("dtype");
  if (!name)
    return makeError(where + " has no \"dtype\"");
  std::optional<Dtype> dtype = dtypeFromName(*name);
  if (!dtype)
    return makeError(where + " has the dtype " + quoted(*name) + "; known are " + knownDtypes());
  return *dtype;
}

static Error readShape(const json::Object &entry, const Twine &where, SmallVectorImpl<int64_t> &shape) {
  const json::Array *dims = entry.getArray("shape");
  if (!dims)
    return makeError(where + " has no \"shape\"");
  for (const json::Value &dim : *dims) {
    std::optional<int64_t> value = dim.getAsInteger();
    if (!value || *value < 0)
      return makeError(where + " has a dimension that is no integer >= 0 in its shape");
    shape.push_back(*value);
  }
  return Error::success();
}

/// One entry of the header; `dataStart` and `dataBytes` are those of the file's data.
static Expected<StoredTensor> readEntry(const json::Value &value, const Twine &where, uint64_t dataStart,
                                        uint64_t dataBytes) {
  const json::Object *entry = value.getAsObject();
  if (!entry)
    return makeError(where + " is described by no JSON object");
  StoredTensor tensor;
  Expected<Dtype> dtype = readDtype(*entry, where);
  if (!dtype)
    return dtype.takeError();
  tensor.dtype = *dtype;
  if (Error error = readShape(*entry, where, tensor.shape))
    return error;
  std::optional<uint64_t> bytes = byteSize(tensor.shape, tensor.dtype);
  if (!bytes)
    return makeError(where + " has a size that overflows: shape " + shapeText(tensor.shape));

  const json::Array *offsets = entry->getArray("data_offsets");
  if (!offsets || offsets->size() != 2)
    return makeError(where + " has no \"data_offsets\" of two numbers");
  std::optional<uint64_t> begin = (*offsets)[0].getAsUINT64();
  std::optional<uint64_t> end = (*offsets)[1].getAsUINT64();
  if (!begin || !end || *begin > *end)
    return makeError(where + " has data_offsets that are no range");
  if (*end > dataBytes)
    return makeError(where + " ends at byte " + Twine(*end) + " of the data, but the file holds " +
                     Twine(dataBytes) + "; it is truncated, fetch it again");
  if (*end - *begin != *bytes)
    return makeError(where + " has " + Twine(*end - *begin) + " bytes of data, but its shape " +
                     shapeText(tensor.shape) + " of " + dtypeName(tensor.dtype) + " needs " + Twine(*bytes));
  tensor.offset = dataStart + *begin;
  tensor.bytes = *bytes;
  return tensor;
}

static Error checkOverlap(const StringMap<StoredTensor> &tensors, StringRef path) {
  std::vector<const StringMapEntry<StoredTensor> *> order;
  for (const auto &entry : tensors)
    if (entry.second.bytes != 0)
      order.push_back(&entry);
  llvm::sort(order, [](const auto *a, const auto *b) { return a->second.offset < b->second.offset; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->second.offset + order[i - 1]->second.bytes > order[i]->second.offset)
      return makeError(path + ": the tensors " + quoted(order[i - 1]->first()) + " and " +
                       quoted(order[i]->first()) + " overlap; the file is damaged, fetch it again");
  return Error::success();
}

Expected<StringMap<StoredTensor>> parseSafetensors(ArrayRef<char> file, StringRef path) {
  if (file.size() < 8)
    return makeError(path + ": " + Twine(file.size()) + " bytes are no safetensors file; fetch it again");
  uint64_t headerBytes = support::endian::read64le(file.data());
  if (headerBytes > file.size() - 8)
    return makeError(path + ": the header of " + Twine(headerBytes) + " bytes is longer than the file of " +
                     Twine(file.size()) + "; it is truncated or no safetensors file, fetch it again");
  if (headerBytes > maxHeaderBytes)
    return makeError(path + ": the header of " + Twine(headerBytes) +
                     " bytes is longer than the format's limit of " + Twine(maxHeaderBytes));
  Expected<json::Object> header = parseJsonObject(StringRef(file.data() + 8, headerBytes), path);
  if (!header)
    return header.takeError();

  StringMap<StoredTensor> tensors;
  for (const auto &[key, value] : *header) {
    if (StringRef(key) == "__metadata__")
      continue;
    Expected<StoredTensor> tensor =
        readEntry(value, path + ": tensor " + quoted(key), 8 + headerBytes, file.size() - 8 - headerBytes);
    if (!tensor)
      return tensor.takeError();
    tensors.try_emplace(key, std::move(*tensor));
  }
  if (Error error = checkOverlap(tensors, path))
    return error;
  return tensors;
}

} // namespace mlir::transformer
