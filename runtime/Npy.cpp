//===- Npy.cpp - tensors in .npy files ------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The file: "\x93NUMPY", major, minor, the header's length (u16, from version 2
// on u32), the header (a Python dictionary), the data.
//
//===----------------------------------------------------------------------===//

#include "runtime/Npy.h"
#include "runtime/File.h"
#include "runtime/Tensor.h"

#include <algorithm>
#include <cstring>
#include <fcntl.h>

using namespace xfm;

static constexpr std::string_view magic("\x93NUMPY", 6);

namespace {
struct Header {
  std::string descr;
  bool fortranOrder = false;
  std::vector<int64_t> shape;
};

/// Reads the one dictionary that headers are made of:
/// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }
class HeaderParser {
public:
  explicit HeaderParser(std::string_view text) : rest(text) {}

  bool parse(Header &out) {
    bool descr = false, order = false, shape = false;
    if (!take('{'))
      return false;
    while (!take('}')) {
      std::string key;
      if (!string(key) || !take(':'))
        return false;
      bool read = false;
      if (key == "descr" && !descr)
        read = descr = string(out.descr);
      else if (key == "fortran_order" && !order)
        read = order = boolean(out.fortranOrder);
      else if (key == "shape" && !shape)
        read = shape = tuple(out.shape);
      if (!read || !(take(',') || peek('}')))
        return false;
    }
    skipSpace();
    return rest.empty() && descr && order && shape;
  }

private:
  void skipSpace() { rest.remove_prefix(std::min(rest.find_first_not_of(" \t\n"), rest.size())); }

  bool peek(char c) {
    skipSpace();
    return !rest.empty() && rest[0] == c;
  }

  bool take(char c) {
    if (!peek(c))
      return false;
    rest.remove_prefix(1);
    return true;
  }

  bool word(std::string_view expected) {
    skipSpace();
    if (rest.substr(0, expected.size()) != expected)
      return false;
    rest.remove_prefix(expected.size());
    return true;
  }

  bool string(std::string &out) {
    char mark = peek('"') ? '"' : '\'';
    if (!take(mark))
      return false;
    size_t end = rest.find(mark);
    if (end == std::string_view::npos)
      return false;
    out = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return true;
  }

  bool boolean(bool &out) {
    out = word("True");
    return out || word("False");
  }

  bool number(int64_t &out) {
    skipSpace();
    size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    out = 0;
    for (char c : rest.substr(0, digits))
      if (!multiply(out, 10, out) || __builtin_add_overflow(out, int64_t{c - '0'}, &out))
        return false;
    rest.remove_prefix(digits);
    return digits > 0;
  }

  bool tuple(std::vector<int64_t> &out) {
    if (!take('('))
      return false;
    while (!take(')')) {
      int64_t value;
      if (!number(value) || !(take(',') || peek(')')))
        return false;
      out.push_back(value);
    }
    return true;
  }

  std::string_view rest;
};

struct ElementType {
  const char *descr;
  xfm_dtype dtype;
};
} // namespace

static constexpr ElementType elementTypes[] = {
    {"<f4", XFM_F32}, {"<f2", XFM_F16}, {"<i4", XFM_I32}, {"<i8", XFM_I64}, {"|i1", XFM_I8}, {"<i1", XFM_I8},
};

/// Splits the file into its header and its data.
static Status splitFile(std::string_view file, const std::string &path, Header &header,
                        std::string_view &data) {
  auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(file[i])); };
  if (file.size() < 12 || file.substr(0, magic.size()) != magic)
    return fail(XFM_CORRUPT, path, ": not a .npy file");
  if ((byte(6) != 1 && byte(6) != 2) || byte(7) != 0)
    return fail(XFM_CORRUPT, path, ": .npy version ", byte(6), ".", byte(7), ", but expected 1.0 or 2.0");
  bool wide = byte(6) == 2;
  size_t start = wide ? 12 : 10;
  size_t length = byte(8) | byte(9) << 8;
  if (wide)
    length |= byte(10) << 16 | byte(11) << 24;
  if (length > file.size() - start)
    return fail(XFM_CORRUPT, path, ": the header is said to have ", length, " bytes, but the file has ",
                file.size());
  if (!HeaderParser(file.substr(start, length)).parse(header))
    return fail(XFM_CORRUPT, path, ": the .npy header cannot be read");
  data = file.substr(start + length);
  return {};
}

static void narrowF64(std::string_view data, std::vector<char> &out) {
  out.resize(data.size() / 2);
  for (size_t i = 0; i < data.size() / 8; ++i) {
    double wide;
    std::memcpy(&wide, data.data() + i * 8, sizeof wide);
    float narrow = static_cast<float>(wide);
    std::memcpy(out.data() + i * 4, &narrow, sizeof narrow);
  }
}

xfm_tensor NpyArray::tensor() const {
  xfm_tensor result = {};
  result.data = data.data();
  result.dtype = dtype;
  result.rank = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), result.dims);
  return result;
}

Status xfm::readNpy(const std::string &path, const NpyReadOptions &options, NpyArray &out) {
  File file;
  if (Status status = file.open(AT_FDCWD, path, path); !status.ok())
    return status;
  if (Status status = file.map(); !status.ok())
    return status;
  Header header;
  std::string_view data;
  if (Status status = splitFile(file.bytes(), path, header, data); !status.ok())
    return status;
  if (header.fortranOrder)
    return fail(XFM_INVALID_ARGUMENT, path,
                ": in Fortran order, but expected C order: save a contiguous array");
  if (header.shape.size() > XFM_MAX_RANK)
    return fail(XFM_INVALID_ARGUMENT, path, ": expected at most ", XFM_MAX_RANK, " dimensions, but got ",
                header.shape.size());
  bool narrowed = header.descr == "<f8" && options.narrowF64;
  auto found = std::find_if(std::begin(elementTypes), std::end(elementTypes),
                            [&](const ElementType &type) { return header.descr == type.descr; });
  if (!narrowed && found == std::end(elementTypes))
    return fail(XFM_INVALID_ARGUMENT, path, ": expected elements of type <f4, <f2, <i4, <i8 or |i1, but got ",
                quote(header.descr));
  NpyArray array;
  array.dtype = narrowed ? XFM_F32 : found->dtype;
  array.shape = header.shape;
  int64_t elementBytes = narrowed ? 8 : static_cast<int64_t>(xfm_dtype_size(array.dtype));
  int64_t bytes;
  if (!byteSize(array.shape.data(), array.shape.size(), elementBytes, bytes) ||
      static_cast<size_t>(bytes) != data.size())
    return fail(XFM_CORRUPT, path, ": the shape ", shapeText(array.shape.data(), array.shape.size()), " of ",
                quote(header.descr), " does not fit the ", data.size(), " bytes of data");
  if (narrowed)
    narrowF64(data, array.data);
  else
    array.data.assign(data.begin(), data.end());
  out = std::move(array);
  return {};
}

static std::string headerText(const xfm_tensor &tensor) {
  // The data starts at a multiple of 64 bytes, as the format asks for.
  const char *descr = "<f4"; // bf16 is widened
  for (const ElementType &type : elementTypes)
    if (type.dtype == tensor.dtype) {
      descr = type.descr;
      break;
    }
  std::string text = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (";
  for (int32_t i = 0; i < tensor.rank; ++i)
    text += std::to_string(tensor.dims[i]) + (i + 1 < tensor.rank ? ", " : tensor.rank == 1 ? "," : "");
  text += "), }";
  while ((10 + text.size() + 1) % 64 != 0)
    text += ' ';
  text += '\n';
  std::string header(magic);
  header += {'\1', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

static std::vector<char> widenBf16(const char *data, size_t elements) {
  std::vector<char> wide(elements * 4, 0);
  for (size_t i = 0; i < elements; ++i)
    std::memcpy(wide.data() + i * 4 + 2, data + i * 2, 2); // the upper half of an f32
  return wide;
}

Status xfm::writeNpy(const std::string &path, const xfm_tensor &tensor) {
  int64_t bytes;
  if (!isDtype(tensor.dtype) || tensor.rank < 0 || tensor.rank > XFM_MAX_RANK ||
      !byteSize(tensor.dims, static_cast<size_t>(tensor.rank),
                static_cast<int64_t>(xfm_dtype_size(tensor.dtype)), bytes) ||
      (!tensor.data && bytes > 0))
    return fail(XFM_INVALID_ARGUMENT, path, ": what is to be written is no tensor");
  const char *data = static_cast<const char *>(tensor.data);
  size_t size = static_cast<size_t>(bytes);
  std::vector<char> widened;
  if (tensor.dtype == XFM_BF16) {
    widened = widenBf16(data, size / 2);
    data = widened.data();
    size = widened.size();
  }
  return replaceFile(path, {headerText(tensor), std::string_view(data, size)});
}
