//===- Samples.cpp - inputs and weights to try a program on ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/verify/Samples.h"

#include "tools/interpret/HostTensors.h"
#include "weights/Error.h"
#include "weights/Kernels.h"

#include "llvm/Support/xxhash.h"

#include <cmath>
#include <random>

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// The same numbers with every standard library, which distributions are not.
class Numbers {
public:
  explicit Numbers(StringRef name) : engine(llvm::xxh3_64bits(name)) {}

  /// In [-1, 1).
  double real() { return std::ldexp(static_cast<double>(engine() >> 11), -52) - 1; }
  int64_t integer(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(engine() % static_cast<uint64_t>(high - low));
  }

private:
  std::mt19937_64 engine;
};

} // namespace

//===----------------------------------------------------------------------===//
// Arguments
//===----------------------------------------------------------------------===//

static Tensor sampleFloats(ArrayRef<int64_t> shape, Type type, StringRef name) {
  Tensor tensor(shape, type);
  Numbers numbers(name);
  for (double &value : tensor.getMutableFloats())
    value = numbers.real();
  tensor.round();
  return tensor;
}

static Tensor sampleInts(ArrayRef<int64_t> shape, Type type, StringRef name, Attribute range) {
  int64_t low = 0, high = 2;
  if (auto bounds = dyn_cast_or_null<DenseI64ArrayAttr>(range); bounds && bounds.size() == 2) {
    low = bounds[0];
    high = std::max(bounds[1], low + 1);
  }
  if (type.isInteger(1))
    high = 2;
  Tensor tensor(shape, type);
  Numbers numbers(name);
  for (int64_t &value : tensor.getMutableInts())
    value = wrapTo(type, numbers.integer(low, high));
  return tensor;
}

static KVCache sampleCache(KVCacheType type, const SampleSizes &sizes, StringRef name) {
  KVCache cache = KVCache::empty(type, sizes.rows);
  bool isRing = type.getPolicy() == CachePolicy::Ring;
  int64_t held = isRing ? std::min(sizes.cached, type.getWindow()) : sizes.cached;
  SmallVector<int64_t> shape(cache.keys.getShape());
  shape[2] = isRing ? shape[2] : held;
  cache.keys = sampleFloats(shape, type.getElement(), (name + ".keys").str());
  cache.values = sampleFloats(shape, type.getElement(), (name + ".values").str());
  // Rows differ in length.
  for (auto [row, length] : llvm::enumerate(cache.length))
    length = std::max<int64_t>(held - static_cast<int64_t>(row), 0);
  return cache;
}

/// The size of dimension `i` of an argument.
static int64_t sampleSize(RankedTensorType type, ArrayAttr dims, int64_t i, const SampleSizes &sizes) {
  if (!type.isDynamicDim(i))
    return type.getDimSize(i);
  if (dims && i < static_cast<int64_t>(dims.size())) {
    StringRef name = cast<StringAttr>(dims[i]).getValue();
    if (name == "B")
      return sizes.rows;
    if (name == "S")
      return sizes.positions;
  }
  return i == 0 ? sizes.rows : sizes.positions;
}

FailureOr<SmallVector<RuntimeValue>> mlir::transformer::sampleArguments(func::FuncOp function,
                                                                        const SampleSizes &sizes) {
  SmallVector<RuntimeValue> arguments;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    std::string name = ("argument." + llvm::Twine(i)).str();
    if (auto cache = dyn_cast<KVCacheType>(type)) {
      arguments.emplace_back(sampleCache(cache, sizes, name));
    } else if (auto tensor = dyn_cast<RankedTensorType>(type)) {
      SmallVector<int64_t> shape;
      auto dims = function.getArgAttrOfType<ArrayAttr>(i, "transformer.dims");
      for (int64_t d = 0; d < tensor.getRank(); ++d)
        shape.push_back(sampleSize(tensor, dims, d, sizes));
      Type element = tensor.getElementType();
      arguments.emplace_back(
          isa<FloatType>(element)
              ? sampleFloats(shape, element, name)
              : sampleInts(shape, element, name, function.getArgAttr(i, "transformer.range")));
    } else if (isa<FloatType>(type)) {
      arguments.emplace_back(Numbers(name).real());
    } else if (isa<IntegerType, IndexType>(type)) {
      arguments.emplace_back(int64_t(1));
    } else {
      return function.emitOpError("has an argument of type ") << type << ", for which there is no sample";
    }
  }
  return arguments;
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

llvm::Expected<HostTensor> SampleWeights::sample(WeightOp weight) {
  auto found = samples.find(weight.getSymName());
  if (found != samples.end())
    return found->second;
  RankedTensorType type = weight.getTensorType();
  std::optional<Dtype> dtype = dtypeFromType(type.getElementType());
  if (!dtype || !isFloat(*dtype))
    return makeError("weight @" + weight.getSymName() +
                     " has integer elements, for which there is no sample");
  llvm::Expected<HostTensor> result = allocateTensor(type);
  if (!result)
    return result;
  Numbers numbers(weight.getSymName());
  bool isVector = type.getRank() < 2;
  double width = isVector ? 0.25 : std::sqrt(3.0 / std::max<int64_t>(type.getShape().back(), 1));
  for (int64_t i = 0, e = type.getNumElements(); i < e; ++i) {
    double value = numbers.real() * width + (isVector ? 1 : 0);
    fromDoubles(*dtype, &value, 1, result->owner.get() + i * dtypeSize(*dtype));
  }
  samples.try_emplace(weight.getSymName(), *result);
  return result;
}

llvm::Expected<HostTensor> SampleWeights::evaluate(SymbolTable &table, StringRef symbol, unsigned depth) {
  constexpr unsigned deepest = 256; // a cycle is deeper
  Operation *op = table.lookup(symbol);
  if (auto weight = dyn_cast_or_null<WeightOp>(op))
    return sample(weight);
  auto derive = dyn_cast_or_null<DeriveOp>(op);
  if (!derive || depth > deepest)
    return makeError("@" + symbol + (derive ? " is derived from itself" : " is no weight"));
  SmallVector<HostTensor> sources;
  for (auto source : derive.getSources().getAsRange<FlatSymbolRefAttr>()) {
    llvm::Expected<HostTensor> value = evaluate(table, source.getValue(), depth + 1);
    if (!value)
      return value;
    sources.push_back(std::move(*value));
  }
  return computeDerived(derive, sources, derive.getTensorType());
}

std::function<FailureOr<Tensor>(StringRef)> SampleWeights::of(ModuleOp module) {
  auto table = std::make_shared<SymbolTable>(module);
  return [this, module, table](StringRef symbol) mutable -> FailureOr<Tensor> {
    llvm::Expected<HostTensor> weight = evaluate(*table, symbol, 0);
    if (!weight)
      return module.emitError() << llvm::toString(weight.takeError());
    return toTensor({*dtypeFromType(weight->type.getElementType()), weight->type.getShape(), weight->data},
                    module.getContext());
  };
}
