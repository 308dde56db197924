//===- Safetensors.cpp - the tensors of a mapped safetensors file ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The file: a little-endian u64 with the length of the header, the header (JSON:
// name -> dtype, shape, data_offsets), then the data.
//
//===----------------------------------------------------------------------===//

#include "runtime/Safetensors.h"
#include "runtime/Json.h"
#include "runtime/Tensor.h"

using namespace xfm;

namespace {
struct ElementBytes {
  const char *dtype;
  int64_t bytes;
};
} // namespace

static constexpr ElementBytes elementTable[] = {
    {"F64", 8}, {"I64", 8}, {"U64", 8}, {"F32", 4},     {"I32", 4},     {"U32", 4}, {"F16", 2},  {"BF16", 2},
    {"I16", 2}, {"U16", 2}, {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U8", 1},  {"BOOL", 1},
};

/// Longer headers than the format allows are no headers.
static constexpr uint64_t longestHeader = 100'000'000;

static StoredTensor readTensor(const JsonReader &value, std::string_view data) {
  StoredTensor tensor;
  JsonReader dtype = value.member("dtype");
  tensor.dtype = dtype.text();
  int64_t elementBytes = 0;
  for (const ElementBytes &row : elementTable)
    if (tensor.dtype == row.dtype)
      elementBytes = row.bytes;
  if (!dtype.failed() && elementBytes == 0)
    dtype.fail("unknown type ", quote(tensor.dtype));

  JsonReader shape = value.member("shape");
  shape.forEachElement([&](const JsonReader &dim) { tensor.shape.push_back(dim.integer(0, INT64_MAX)); });
  int64_t bytes = 0;
  if (!shape.failed() && !byteSize(tensor.shape.data(), tensor.shape.size(), elementBytes, bytes))
    shape.fail("the tensor is larger than any memory");

  JsonReader offsets = value.member("data_offsets");
  if (offsets.size() != 2)
    offsets.fail("expected [begin, end]");
  int64_t end = offsets.element(1).integer(0, static_cast<int64_t>(data.size()));
  int64_t begin = offsets.element(0).integer(0, end);
  if (!offsets.failed() && end - begin != bytes)
    offsets.fail("expected ", bytes, " bytes from the shape, but got ", end - begin);
  if (!value.failed())
    tensor.data = data.substr(static_cast<size_t>(begin), static_cast<size_t>(bytes));
  return tensor;
}

Status xfm::parseSafetensors(std::string_view file, const std::string &path, StoredTensors &out) {
  uint64_t length = 0;
  if (file.size() < sizeof length)
    return fail(XFM_CORRUPT, path, ": ", file.size(), " bytes are too few for a safetensors file");
  for (size_t i = sizeof length; i-- > 0;)
    length = length << 8 | static_cast<unsigned char>(file[i]);
  std::string_view rest = file.substr(sizeof length);
  if (length > rest.size() || length > longestHeader)
    return fail(XFM_CORRUPT, path, ": the header is said to have ", length, " bytes, but the file has ",
                rest.size(), " after its first 8");

  JsonDocument document;
  if (Status status = document.parse(rest.substr(0, length), path); !status.ok())
    return status;
  Status status;
  std::string_view data = rest.substr(length);
  document.root(status).forEachMember([&](const std::string &name, const JsonReader &value) {
    if (name != "__metadata__")
      out.emplace(name, readTensor(value, data));
  });
  return status;
}
