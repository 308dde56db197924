//===- Kernels.cpp - the transformations of derived weights ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Kernels.h"
#include "dialect/KernelTypes.h"
#include "weights/Error.h"
#include "weights/Matrices.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

using namespace llvm;

namespace mlir::transformer {

static Dtype dtypeOf(const HostTensor &tensor) { return *dtypeFromType(tensor.type.getElementType()); }

static double floatOf(DeriveOp op, StringRef name) {
  return op->getAttrOfType<FloatAttr>(name).getValueAsDouble();
}
static int64_t intOf(DeriveOp op, StringRef name) { return op->getAttrOfType<IntegerAttr>(name).getInt(); }
static StringRef textOf(DeriveOp op, StringRef name) {
  return op->getAttrOfType<StringAttr>(name).getValue();
}

Expected<HostTensor> allocateTensor(RankedTensorType type) {
  constexpr size_t alignment = 64, large = size_t(1) << 20;
  uint64_t bytes = *byteSize(type.getShape(), *dtypeFromType(type.getElementType()));
  auto noMemory = [&] { return makeError("no memory for a weight of " + Twine(bytes) + " bytes"); };
  if (bytes >= large) {
    // Straight from the kernel and back: malloc would keep much of what threads free.
    void *data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
      return noMemory();
    auto release = [bytes](char *begin) { munmap(begin, bytes); };
    return HostTensor{type, ArrayRef<char>(static_cast<char *>(data), bytes),
                      std::shared_ptr<char>(static_cast<char *>(data), release)};
  }
  char *data =
      static_cast<char *>(std::aligned_alloc(alignment, alignTo(std::max<uint64_t>(bytes, 1), alignment)));
  if (!data)
    return noMemory();
  return HostTensor{type, ArrayRef<char>(data, bytes), std::shared_ptr<char>(data, std::free)};
}

//===----------------------------------------------------------------------===//
// Elementwise
//===----------------------------------------------------------------------===//

/// map(source) -> result, in double, a block at a time
template <typename F>
static Expected<HostTensor> mapElements(const HostTensor &source, RankedTensorType type, F map) {
  Expected<HostTensor> result = allocateTensor(type);
  if (!result)
    return result.takeError();
  Dtype from = dtypeOf(source), to = dtypeOf(*result);
  size_t count = type.getNumElements();
  constexpr size_t block = 1024;
  double values[block];
  for (size_t i = 0; i < count; i += block) {
    size_t n = std::min(block, count - i);
    toDoubles(from, source.data.data() + i * dtypeSize(from), n, values);
    for (size_t j = 0; j < n; ++j)
      values[j] = map(values[j]);
    fromDoubles(to, values, n, result->owner.get() + i * dtypeSize(to));
  }
  return result;
}

static Expected<HostTensor> convert(const HostTensor &source, RankedTensorType type) {
  if (source.type.getElementType() == type.getElementType())
    return HostTensor{type, source.data, source.owner};
  Expected<HostTensor> result = allocateTensor(type);
  if (result)
    convertElements(dtypeOf(source), source.data.data(), type.getNumElements(), dtypeOf(*result),
                    result->owner.get());
  return result;
}

static Expected<HostTensor> fill(double value, RankedTensorType type) {
  Expected<HostTensor> result = allocateTensor(type);
  if (!result)
    return result.takeError();
  uint64_t size = dtypeSize(dtypeOf(*result));
  char *data = result->owner.get();
  fromDoubles(dtypeOf(*result), &value, 1, data);
  for (int64_t i = 1, e = type.getNumElements(); i < e; ++i)
    std::memcpy(data + i * size, data, size);
  return result;
}

/// The first `count` elements from `begin` on, widened.
static std::vector<double> widened(const HostTensor &tensor, int64_t begin, int64_t count) {
  std::vector<double> values(count);
  Dtype dtype = dtypeOf(tensor);
  toDoubles(dtype, tensor.data.data() + begin * dtypeSize(dtype), count, values.data());
  return values;
}

/// result[i, :] = rowOf(i), where a row is the last dimension; tensors of one
/// dimension are one row.
template <typename F> static Expected<HostTensor> byRows(RankedTensorType type, F rowOf) {
  Expected<HostTensor> result = allocateTensor(type);
  if (!result)
    return result.takeError();
  Dtype to = dtypeOf(*result);
  int64_t columns = type.getRank() == 0 ? 1 : type.getShape().back();
  int64_t rows = columns == 0 ? 0 : type.getNumElements() / columns;
  for (int64_t i = 0; i < rows; ++i) {
    std::vector<double> row = rowOf(i, columns);
    fromDoubles(to, row.data(), columns, result->owner.get() + i * columns * dtypeSize(to));
  }
  return result;
}

static Expected<HostTensor> scaleColumns(const HostTensor &matrix, const HostTensor &factors,
                                         RankedTensorType type) {
  std::vector<double> scale = widened(factors, 0, type.getDimSize(1));
  return byRows(type, [&](int64_t i, int64_t columns) {
    std::vector<double> row = widened(matrix, i * columns, columns);
    for (auto [value, factor] : zip(row, scale))
      value *= factor;
    return row;
  });
}

static Expected<HostTensor> add(ArrayRef<HostTensor> sources, RankedTensorType type) {
  return byRows(type, [&](int64_t i, int64_t columns) {
    std::vector<double> sum(columns, 0.0);
    for (const HostTensor &source : sources)
      for (auto [value, addend] : zip(sum, widened(source, i * columns, columns)))
        value += addend;
    return sum;
  });
}

//===----------------------------------------------------------------------===//
// Layout
//===----------------------------------------------------------------------===//

/// source [rows, columns] -> result [columns, rows], in tiles that stay in the first-level cache
template <typename T>
static void transposeTiles(const char *source, int64_t rows, int64_t columns, char *result) {
  constexpr int64_t tile = 32;
  for (int64_t i0 = 0; i0 < rows; i0 += tile)
    for (int64_t j0 = 0; j0 < columns; j0 += tile)
      for (int64_t j = j0, je = std::min(j0 + tile, columns); j < je; ++j)
        for (int64_t i = i0, ie = std::min(i0 + tile, rows); i < ie; ++i)
          std::memcpy(result + (j * rows + i) * sizeof(T), source + (i * columns + j) * sizeof(T), sizeof(T));
}

static Expected<HostTensor> transpose(const HostTensor &source, RankedTensorType type) {
  Expected<HostTensor> converted = convert(source, type); // the bytes alone matter
  if (!converted)
    return converted.takeError();
  Expected<HostTensor> result = allocateTensor(type);
  if (!result)
    return result.takeError();
  int64_t rows = source.type.getDimSize(0), columns = source.type.getDimSize(1);
  const char *from = converted->data.data();
  char *to = result->owner.get();
  switch (dtypeSize(dtypeOf(*result))) {
  case 1:
    transposeTiles<uint8_t>(from, rows, columns, to);
    break;
  case 2:
    transposeTiles<uint16_t>(from, rows, columns, to);
    break;
  case 4:
    transposeTiles<uint32_t>(from, rows, columns, to);
    break;
  default:
    transposeTiles<uint64_t>(from, rows, columns, to);
    break;
  }
  return result;
}

/// The product of the dimensions before `axis`.
/// [N, K] -> [panels, steps, columns, depth], zeros where the matrix ends.
template <typename T>
static void packPanels(const char *source, int64_t rows, int64_t width, PackedAttr packed,
                       ArrayRef<int64_t> shape, char *result) {
  int64_t columns = packed.getColumns(), depth = packed.getDepth(), steps = shape[1];
  // Some steps at a time, so that the lines that are written stay in the cache.
  constexpr int64_t block = 16;
  for (int64_t panel = 0; panel < shape[0]; ++panel)
    for (int64_t first = 0; first < steps; first += block)
      for (int64_t column = 0; column < std::min(columns, rows - panel * columns); ++column)
        for (int64_t step = first; step < std::min(first + block, steps); ++step) {
          int64_t k = step * depth;
          std::memcpy(result + (((panel * steps + step) * columns + column) * depth) * sizeof(T),
                      source + ((panel * columns + column) * width + k) * sizeof(T),
                      std::min(depth, width - k) * sizeof(T));
        }
}

/// The same of integers that are stored `bias` larger, two to a byte where they have 4 bits.
static void packIntegers(const char *source, RankedTensorType type, PackedAttr packed, char *result) {
  int64_t rows = type.getDimSize(0), width = type.getDimSize(1), columns = packed.getColumns();
  int64_t perByte = type.getElementType().isInteger(4) ? 2 : 1, bytes = packed.getDepth() / perByte;
  int64_t steps = packed.getStoredShape(type)[1];
  auto stored = [&](const char *row, int64_t k) { return k < width ? row[k] + packed.getBias() : 0; };
  for (int64_t column = 0; column < rows; ++column) {
    const char *row = source + column * width;
    char *to = result + (column / columns * steps * columns + column % columns) * bytes;
    for (int64_t step = 0; step < steps; ++step, to += columns * bytes)
      for (int64_t j = 0, k = step * packed.getDepth(); j < bytes; ++j, ++k)
        to[j] = static_cast<char>(perByte == 1 ? stored(row, k)
                                               : (stored(row, k) & 15) | stored(row, k + bytes) << 4);
  }
}

static Expected<HostTensor> pack(const HostTensor &source, RankedTensorType type) {
  PackedAttr packed = PackedAttr::of(type);
  SmallVector<int64_t> shape = packed.getStoredShape(type);
  bool isNarrow = type.getElementType().isInteger(4);
  if (isNarrow && any_of(source.data, [](char value) { return value < -8 || value > 7; }))
    return makeError("a weight of i4 has values that are not from -8 to 7");
  Expected<HostTensor> converted =
      convert(source, RankedTensorType::get(type.getShape(), type.getElementType()));
  if (!converted)
    return converted.takeError();
  Expected<HostTensor> result = allocateTensor(storedType(type));
  if (!result)
    return result.takeError();
  char *to = result->owner.get();
  std::memset(to, 0, result->data.size());
  if (isNarrow || packed.getBias() != 0) {
    packIntegers(converted->data.data(), type, packed, to);
    return result;
  }
  auto fill = [&](auto element) {
    packPanels<decltype(element)>(converted->data.data(), type.getDimSize(0), type.getDimSize(1), packed,
                                  shape, to);
  };
  switch (dtypeSize(dtypeOf(*result))) {
  case 1:
    fill(uint8_t());
    break;
  case 2:
    fill(uint16_t());
    break;
  case 4:
    fill(uint32_t());
    break;
  default:
    fill(uint64_t());
    break;
  }
  return result;
}

static int64_t outerSize(RankedTensorType type, int64_t axis) {
  return ShapedType::getNumElements(type.getShape().take_front(axis));
}

static Expected<HostTensor> concat(ArrayRef<HostTensor> sources, int64_t axis, RankedTensorType type) {
  Expected<HostTensor> result = allocateTensor(type);
  if (!result)
    return result.takeError();
  Dtype to = dtypeOf(*result);
  char *out = result->owner.get();
  int64_t outer = outerSize(type, axis);
  for (int64_t i = 0; i < outer; ++i)
    for (const HostTensor &source : sources) {
      // [outer, inner]: one row of every source in turn
      Dtype from = dtypeOf(source);
      int64_t inner = source.type.getNumElements() / outer;
      convertElements(from, source.data.data() + i * inner * dtypeSize(from), inner, to, out);
      out += inner * dtypeSize(to);
    }
  return result;
}

static Expected<HostTensor> slice(const HostTensor &source, int64_t axis, int64_t begin,
                                  RankedTensorType type) {
  Dtype from = dtypeOf(source);
  int64_t outer = outerSize(type, axis);
  int64_t width = ShapedType::getNumElements(type.getShape().drop_front(axis + 1));
  int64_t inner = type.getDimSize(axis) * width, stride = source.type.getDimSize(axis) * width;
  if (outer == 1 && source.type.getElementType() == type.getElementType())
    return HostTensor{type, source.data.slice(begin * width * dtypeSize(from), inner * dtypeSize(from)),
                      source.owner};
  Expected<HostTensor> result = allocateTensor(type);
  if (!result)
    return result.takeError();
  Dtype to = dtypeOf(*result);
  for (int64_t i = 0; i < outer; ++i)
    convertElements(from, source.data.data() + (i * stride + begin * width) * dtypeSize(from), inner, to,
                    result->owner.get() + i * inner * dtypeSize(to));
  return result;
}

//===----------------------------------------------------------------------===//
// Tables
//===----------------------------------------------------------------------===//

/// The dimension that turns `rotations` times in `positions` positions: the
/// solution of rotations * 2 pi theta^(2i/dim) = positions (arXiv:2309.00071, section 3.2).
static double yarnDimension(double rotations, double dim, double theta, double positions) {
  return dim * std::log(positions / (rotations * 2 * M_PI)) / (2 * std::log(theta));
}

static void scaleYarn(DeriveOp op, double theta, MutableArrayRef<double> frequencies) {
  double dim = 2.0 * frequencies.size();
  double positions = static_cast<double>(intOf(op, "original_max_positions"));
  double low = std::floor(yarnDimension(floatOf(op, "beta_fast"), dim, theta, positions));
  double high = std::ceil(yarnDimension(floatOf(op, "beta_slow"), dim, theta, positions));
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high)
    high += 0.001;
  double factor = floatOf(op, "factor");
  for (auto [i, f] : enumerate(frequencies)) {
    double m = 1.0 - std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    f = (1 - m) * f / factor + m * f;
  }
}

static void scaleLlama3(DeriveOp op, MutableArrayRef<double> frequencies) {
  double positions = static_cast<double>(intOf(op, "original_max_positions"));
  double factor = floatOf(op, "factor");
  double low = floatOf(op, "low_freq_factor"), high = floatOf(op, "high_freq_factor");
  for (double &f : frequencies) {
    double wavelength = 2 * M_PI / f;
    if (wavelength < positions / high)
      continue;
    if (wavelength > positions / low) {
      f /= factor;
      continue;
    }
    double s = (positions / wavelength - low) / (high - low);
    f = (1 - s) * f / factor + s * f;
  }
}

RopeFrequencies ropeFrequencies(DeriveOp op) {
  RopeFrequencies rope;
  int64_t count = op.getTensorType().getDimSize(1);
  double theta = floatOf(op, "theta");
  for (int64_t i = 0; i < count; ++i)
    rope.frequencies.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(count)));
  StringRef scaling = textOf(op, "scaling");
  if (scaling == "linear") {
    for (double &f : rope.frequencies)
      f /= floatOf(op, "factor");
  } else if (scaling == "llama3") {
    scaleLlama3(op, rope.frequencies);
  } else if (scaling == "longrope") {
    for (auto [f, factor] :
         zip(rope.frequencies, op->getAttrOfType<DenseF64ArrayAttr>("ext_factors").asArrayRef()))
      f /= factor;
    rope.attentionFactor = floatOf(op, "attention_factor");
  } else if (scaling == "yarn") {
    scaleYarn(op, theta, rope.frequencies);
    rope.attentionFactor = floatOf(op, "attention_factor");
  }
  return rope;
}

/// A table [positions, columns], a row at a time: fill(position, row).
template <typename F> static Expected<HostTensor> table(RankedTensorType type, F fill) {
  Expected<HostTensor> result = allocateTensor(type);
  if (!result)
    return result.takeError();
  Dtype to = dtypeOf(*result);
  int64_t rows = type.getDimSize(0), columns = type.getDimSize(1);
  std::vector<double> row(columns);
  for (int64_t p = 0; p < rows; ++p) {
    fill(static_cast<double>(p), row);
    fromDoubles(to, row.data(), columns, result->owner.get() + p * columns * dtypeSize(to));
  }
  return result;
}

static Expected<HostTensor> ropeTable(DeriveOp op) {
  RopeFrequencies rope = ropeFrequencies(op);
  bool isCos = textOf(op, "part") == "cos";
  return table(op.getTensorType(), [&](double position, std::vector<double> &row) {
    for (auto [value, f] : zip(row, rope.frequencies))
      value = (isCos ? std::cos(position * f) : std::sin(position * f)) * rope.attentionFactor;
  });
}

/// arXiv:1706.03762, section 3.5: column 2i is sin(p * w_i), 2i+1 cos(p * w_i)
/// with w_i = 10000^(-2i/dim); "split" puts all sines first.
static Expected<HostTensor> sinusoid(DeriveOp op) {
  bool isSplit = textOf(op, "layout") == "split";
  int64_t dim = op.getTensorType().getDimSize(1);
  int64_t sines = (dim + 1) / 2;
  return table(op.getTensorType(), [&](double position, std::vector<double> &row) {
    for (int64_t j = 0; j < dim; ++j) {
      double angle = position * std::pow(10000.0, -static_cast<double>(j / 2 * 2) / static_cast<double>(dim));
      row[isSplit ? j / 2 + j % 2 * sines : j] = j % 2 ? std::cos(angle) : std::sin(angle);
    }
  });
}

//===----------------------------------------------------------------------===//
// Factors
//===----------------------------------------------------------------------===//

static Expected<HostTensor> factorized(DeriveOp op, const HostTensor &source) {
  std::optional<double> maxError;
  if (auto bound = op->getAttrOfType<FloatAttr>("max_error"))
    maxError = bound.getValueAsDouble();
  Expected<HostTensor> factor = factorize(source, textOf(op, "part") == "left", op.getTensorType(), maxError);
  if (!factor)
    return makeError("derived weight @" + op.getSymName() + ": " + toString(factor.takeError()));
  return factor;
}

//===----------------------------------------------------------------------===//
// Dispatch
//===----------------------------------------------------------------------===//

Expected<HostTensor> computeDerived(DeriveOp op, ArrayRef<HostTensor> sources, RankedTensorType type) {
  DeriveKind kind = op.getKind();
  bool isLayout = kind == DeriveKind::Convert || kind == DeriveKind::Transpose ||
                  kind == DeriveKind::Concat || kind == DeriveKind::Slice || kind == DeriveKind::Pack;
  if (kind == DeriveKind::Fill && !isFloat(*dtypeFromType(type.getElementType())))
    return makeError("derived weight @" + op.getSymName() + ": fill needs a float type");
  for (const HostTensor &source : sources)
    if (!isFloat(*dtypeFromType(type.getElementType())) &&
        !(isLayout && source.type.getElementType() == type.getElementType()))
      return makeError("derived weight @" + op.getSymName() + ": " + stringifyDeriveKind(kind) +
                       " has no result of another integer type; give it a float type");
  switch (kind) {
  case DeriveKind::Convert:
    return convert(sources[0], type);
  case DeriveKind::Transpose:
    return transpose(sources[0], type);
  case DeriveKind::Pack:
    return pack(sources[0], type);
  case DeriveKind::Concat:
    return concat(sources, intOf(op, "axis"), type);
  case DeriveKind::AddScalar:
    return mapElements(sources[0], type, [value = floatOf(op, "value")](double x) { return x + value; });
  case DeriveKind::Scale:
    return mapElements(sources[0], type, [value = floatOf(op, "value")](double x) { return x * value; });
  case DeriveKind::Slice:
    return slice(sources[0], intOf(op, "axis"), intOf(op, "begin"), type);
  case DeriveKind::Fill:
    return fill(floatOf(op, "value"), type);
  case DeriveKind::ScaleColumns:
    return scaleColumns(sources[0], sources[1], type);
  case DeriveKind::Add:
    return add(sources, type);
  case DeriveKind::Matmul:
    return multiplyMatrices(sources[0], sources[1], type);
  case DeriveKind::Factorize:
    return factorized(op, sources[0]);
  case DeriveKind::RopeTable:
  case DeriveKind::Sinusoid:
    if (!isFloat(*dtypeFromType(type.getElementType())))
      return makeError("derived weight @" + op.getSymName() + ": a table needs a float type");
    return kind == DeriveKind::RopeTable ? ropeTable(op) : sinusoid(op);
  }
  llvm_unreachable("unknown derive kind");
}

} // namespace mlir::transformer
