//@ NumPy's array files

#include "tools/tfrun/Npy.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace xfm::tfrun {

static constexpr std::string_view magic = "\x93NUMPY";

namespace {
struct Type {
  std::string_view name;
  xfm_dtype dtype;
};
} // namespace

static constexpr Type types[] = {
    {"<f4", XFM_F32}, {"<f2", XFM_F16}, {"<i4", XFM_I32}, {"<i8", XFM_I64}, {"|i1", XFM_I8}, {"<i1", XFM_I8}};

[[noreturn]] static void fail(const std::string &what) { throw std::runtime_error(what); }

/// What follows `'key':` in the header, without leading spaces.
static std::string_view valueOf(std::string_view header, std::string_view key) {
  for (char quote : {'\'', '"'}) {
    std::string quoted = quote + std::string(key) + quote;
    size_t at = header.find(quoted);
    if (at == std::string_view::npos)
      continue;
    at = header.find_first_not_of(" ", at + quoted.size());
    if (at == std::string_view::npos || header[at] != ':')
      continue;
    at = header.find_first_not_of(" ", at + 1);
    if (at != std::string_view::npos)
      return header.substr(at);
  }
  fail("the .npy header has no '" + std::string(key) + "'");
}

static xfm_dtype parseType(std::string_view value) {
  char quote = value[0];
  size_t end = quote == '\'' || quote == '"' ? value.find(quote, 1) : std::string_view::npos;
  std::string_view name = end == std::string_view::npos ? value.substr(0, 20) : value.substr(1, end - 1);
  for (const Type &type : types)
    if (end != std::string_view::npos && type.name == name)
      return type.dtype;
  fail("arrays of '" + std::string(name) + "' are not supported; use float32, float16, int32, int64 or int8");
}

static std::vector<int64_t> parseShape(std::string_view value) {
  std::vector<int64_t> dims;
  const std::string_view text = value.substr(0, value.find(')'));
  if (value[0] != '(' || text.size() == value.size())
    fail("the shape in the .npy header is not a tuple");
  for (size_t at = 1;;) {
    at = text.find_first_not_of(" ,", at);
    if (at == std::string_view::npos)
      return dims;
    int64_t dim = 0;
    auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), dim);
    if (error != std::errc() || dim < 0)
      fail("the shape in the .npy header is not a tuple of sizes");
    if (dims.size() == XFM_MAX_RANK)
      fail("arrays of rank above " + std::to_string(XFM_MAX_RANK) + " are not supported");
    dims.push_back(dim);
    at = size_t(end - text.data());
  }
}

Array parseNpy(std::string_view bytes) {
  if (bytes.size() < 12 || bytes.substr(0, magic.size()) != magic)
    fail("not an .npy file");
  int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3)
    fail(".npy version " + std::to_string(version) + " is not supported");
  size_t begin = version == 1 ? 10 : 12, length = 0;
  for (size_t i = begin; i-- > 8;)
    length = length << 8 | static_cast<unsigned char>(bytes[i]);
  if (length > bytes.size() - begin)
    fail("the .npy header is cut off");
  std::string_view header = bytes.substr(begin, length), data = bytes.substr(begin + length);

  Array array{parseType(valueOf(header, "descr")), parseShape(valueOf(header, "shape")), {}};
  bool isFortran = valueOf(header, "fortran_order").substr(0, 5) != "False";
  if (isFortran && array.dims.size() > 1)
    fail("the array is in Fortran order; save it with numpy.ascontiguousarray");
  size_t size = xfm_dtype_size(array.dtype);
  bool empty = false;
  for (int64_t dim : array.dims)
    empty |= dim == 0;
  for (int64_t dim : array.dims)
    if (empty)
      size = 0;
    else if (__builtin_mul_overflow(size, size_t(dim), &size))
      fail("the shape in the .npy header is too large");
  if (size != data.size())
    fail("expected " + std::to_string(size) + " bytes of data for the shape, but got " + std::to_string(data.size()));
  array.data.assign(data.begin(), data.end());
  return array;
}

Array readNpy(const std::string &path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file)
    fail("cannot open '" + path + "': " + std::strerror(errno));
  std::string bytes;
  char buffer[1 << 16];
  while (size_t count = std::fread(buffer, 1, sizeof buffer, file.get()))
    bytes.append(buffer, count);
  if (std::ferror(file.get()))
    fail("cannot read '" + path + "': " + std::strerror(errno));
  try {
    return parseNpy(bytes);
  } catch (const std::runtime_error &error) {
    fail("'" + path + "': " + error.what());
  }
}

xfm_tensor Array::tensor() const {
  xfm_tensor tensor{};
  tensor.data = data.data();
  tensor.dtype = dtype;
  tensor.rank = int32_t(dims.size());
  for (size_t i = 0; i < dims.size(); ++i)
    tensor.dims[i] = dims[i];
  return tensor;
}

void writeNpy(OutputFile &file, const xfm_tensor &tensor) {
  xfm_dtype dtype = tensor.dtype == XFM_BF16 ? XFM_F32 : tensor.dtype;
  std::string_view name;
  for (const Type &type : types)
    if (type.dtype == dtype && name.empty())
      name = type.name;
  if (name.empty())
    fail(std::string("outputs of type ") + xfm_dtype_name(dtype) + " cannot be written to .npy");
  std::string header = "{'descr': '" + std::string(name) + "', 'fortran_order': False, 'shape': (";
  size_t count = 1;
  for (int32_t i = 0; i < tensor.rank; ++i) {
    header += std::to_string(tensor.dims[i]) + (i + 1 < tensor.rank ? ", " : tensor.rank == 1 ? "," : "");
    count *= size_t(tensor.dims[i]);
  }
  header += "), }";
  while ((10 + header.size() + 1) % 64 != 0) // so that the data is aligned
    header += ' ';
  header += '\n';
  std::string start = std::string(magic) + '\1' + '\0';
  start += static_cast<char>(header.size() & 0xFF);
  start += static_cast<char>(header.size() >> 8);
  start += header;
  file.write(start.data(), start.size());
  if (tensor.dtype != XFM_BF16)
    return file.write(tensor.data, count * xfm_dtype_size(dtype));

  std::vector<uint32_t> wide(count);
  for (size_t i = 0; i < count; ++i)
    wide[i] = uint32_t(static_cast<const uint16_t *>(tensor.data)[i]) << 16;
  file.write(wide.data(), count * sizeof(uint32_t));
}

} // namespace xfm::tfrun
