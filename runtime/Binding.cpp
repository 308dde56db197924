//===- Binding.cpp - the inputs of a call against an entry point ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Binding.h"

#include <algorithm>
#include <cstring>

using namespace xfm;

static std::string inputName(const EntryPoint &entry, const TensorSpec &input) {
  return "input " + quote(input.name) + " of " + quote(entry.name);
}

static std::string givenText(const xfm_tensor &tensor) {
  return std::string(xfm_dtype_name(tensor.dtype)) + " " +
         shapeText(tensor.dims, static_cast<size_t>(tensor.rank));
}

/// Checks all that does not depend on symbols.
static Status checkForm(const EntryPoint &entry, const TensorSpec &input, const xfm_tensor &given) {
  if (!isDtype(given.dtype) || given.rank < 0 || given.rank > XFM_MAX_RANK)
    return fail(XFM_INVALID_ARGUMENT, inputName(entry, input), ": not a tensor: type ",
                static_cast<int>(given.dtype), ", rank ", given.rank);
  bool narrowed = input.dtype == XFM_I32 && given.dtype == XFM_I64;
  if ((given.dtype != input.dtype && !narrowed) || static_cast<size_t>(given.rank) != input.dims.size())
    return fail(XFM_INVALID_ARGUMENT, inputName(entry, input), ": expected ", xfm_dtype_name(input.dtype),
                " ", shapeText(input.dims), ", but got ", givenText(given));
  int64_t bytes;
  if (!byteSize(given.dims, static_cast<size_t>(given.rank),
                static_cast<int64_t>(xfm_dtype_size(given.dtype)), bytes))
    return fail(XFM_INVALID_ARGUMENT, inputName(entry, input), ": no tensor has the shape ",
                shapeText(given.dims, static_cast<size_t>(given.rank)));
  if (!given.data && bytes > 0)
    return fail(XFM_INVALID_ARGUMENT, inputName(entry, input), ": data is null");
  return {};
}

static Status bindInput(const EntryPoint &entry, const TensorSpec &input, const xfm_tensor &given,
                        std::vector<int64_t> &sizes) {
  if (Status status = checkForm(entry, input, given); !status.ok())
    return status;
  for (size_t i = 0; i < input.dims.size(); ++i) {
    const Dim &dim = input.dims[i];
    int64_t value = given.dims[i];
    if (dim.size < 0) {
      if (value != dim.extent)
        return fail(XFM_INVALID_ARGUMENT, inputName(entry, input), ": expected dimension ", i, " to be ",
                    dim.extent, ", but got ", givenText(given));
      continue;
    }
    int64_t &bound = sizes[static_cast<size_t>(dim.size)];
    if (value < 1)
      return fail(XFM_INVALID_ARGUMENT, inputName(entry, input), ": expected ", dim.symbol,
                  " to be at least 1, but got ", givenText(given));
    if (bound >= 0 && bound != value)
      return fail(XFM_INVALID_ARGUMENT, inputName(entry, input), ": expected ", dim.symbol, " to be ", bound,
                  " as elsewhere, but got ", givenText(given));
    bound = value;
  }
  return {};
}

Status xfm::bindSizes(const EntryPoint &entry, const xfm_tensor *inputs, int32_t count,
                      const SessionSizes &session, std::vector<int64_t> &out) {
  if (count < 0 || static_cast<size_t>(count) != entry.inputs.size())
    return fail(XFM_INVALID_ARGUMENT, quote(entry.name), ": expected ", entry.inputs.size(),
                " inputs, but got ", count);
  if (count > 0 && !inputs)
    return fail(XFM_INVALID_ARGUMENT, quote(entry.name), ": inputs is null");
  out.assign(entry.sizes.size(), -1);
  for (size_t i = 0; i < entry.sizes.size(); ++i) {
    if (entry.sizes[i] == "C")
      out[i] = session.context;
    else if (entry.sizes[i] == "B" && !entry.caches.empty())
      out[i] = session.batch;
  }
  for (size_t i = 0; i < entry.inputs.size(); ++i)
    if (Status status = bindInput(entry, entry.inputs[i], inputs[i], out); !status.ok())
      return status;
  return {};
}

template <typename Element>
static Status checkElements(const EntryPoint &entry, const TensorSpec &input, const xfm_tensor &given,
                            ValueRange range) {
  int64_t bytes = 0;
  byteSize(given.dims, static_cast<size_t>(given.rank), sizeof(Element), bytes);
  const char *data = static_cast<const char *>(given.data);
  for (int64_t i = 0, count = bytes / static_cast<int64_t>(sizeof(Element)); i < count; ++i) {
    Element value; // a caller's data need not be aligned
    std::memcpy(&value, data + i * static_cast<int64_t>(sizeof(Element)), sizeof(Element));
    if (value < range.begin || value >= range.end)
      return fail(XFM_OUT_OF_RANGE, inputName(entry, input), ": value ", static_cast<int64_t>(value),
                  " at index ", i, " is outside [", range.begin, ", ", range.end, ")");
  }
  return {};
}

static Status checkInputValues(const EntryPoint &entry, const TensorSpec &input, const xfm_tensor &given) {
  bool narrowed = given.dtype != input.dtype;
  if (!input.range && !narrowed)
    return {};
  ValueRange range = input.range.value_or(ValueRange{INT64_MIN, INT64_MAX});
  if (narrowed) {
    range.begin = std::max<int64_t>(range.begin, INT32_MIN);
    range.end = std::min<int64_t>(range.end, int64_t{INT32_MAX} + 1);
  }
  switch (given.dtype) {
  case XFM_I8:
    return checkElements<int8_t>(entry, input, given, range);
  case XFM_I32:
    return checkElements<int32_t>(entry, input, given, range);
  case XFM_I64:
    return checkElements<int64_t>(entry, input, given, range);
  default:
    return {};
  }
}

Status xfm::checkValues(const EntryPoint &entry, const xfm_tensor *inputs) {
  for (size_t i = 0; i < entry.inputs.size(); ++i)
    if (Status status = checkInputValues(entry, entry.inputs[i], inputs[i]); !status.ok())
      return status;
  return {};
}

int32_t xfm::positionsSize(const EntryPoint &entry) {
  auto found = std::find(entry.sizes.begin(), entry.sizes.end(), "S");
  return found == entry.sizes.end() ? -1 : static_cast<int32_t>(found - entry.sizes.begin());
}

bool xfm::resolveShape(const TensorSpec &tensor, const std::vector<int64_t> &sizes,
                       std::vector<int64_t> &dims, SlicedShape &sliced, int64_t &bytes) {
  dims.clear();
  for (const Dim &dim : tensor.dims)
    dims.push_back(dim.size < 0 ? dim.extent : sizes[static_cast<size_t>(dim.size)]);
  int64_t elementBytes = static_cast<int64_t>(xfm_dtype_size(tensor.dtype));
  if (!byteSize(dims.data(), dims.size(), elementBytes, bytes))
    return false;
  // The factors below are bounded by the product just checked.
  sliced = {};
  sliced.innerBytes = elementBytes;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (tensor.dims[i].symbol == "S" && !sliced.hasPositions) {
      sliced.hasPositions = true;
      sliced.outer = sliced.innerBytes / elementBytes;
      sliced.innerBytes = elementBytes;
    } else {
      sliced.innerBytes *= dims[i];
    }
  }
  return true;
}
