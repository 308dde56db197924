//===- HostTensors.cpp - bytes of files as tensors of the interpreter -----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/interpret/HostTensors.h"

#include "weights/Derive.h"

#include <cstring>

using namespace mlir;
using namespace mlir::transformer;

template <typename T> static std::vector<int64_t> widen(ArrayRef<char> data) {
  std::vector<int64_t> result(data.size() / sizeof(T));
  for (auto [i, value] : llvm::enumerate(result)) {
    T element;
    std::memcpy(&element, data.data() + i * sizeof(T), sizeof(T));
    value = element;
  }
  return result;
}

static std::vector<int64_t> toInts(Dtype dtype, ArrayRef<char> data) {
  switch (dtype) {
  case Dtype::I64:
    return widen<int64_t>(data);
  case Dtype::I32:
    return widen<int32_t>(data);
  case Dtype::I16:
    return widen<int16_t>(data);
  // Sign-extended like every integer of the interpreter, whose ops say what is unsigned.
  case Dtype::I8:
  case Dtype::U8:
    return widen<int8_t>(data);
  case Dtype::BOOL:
    return widen<uint8_t>(data);
  default:
    llvm_unreachable("a float");
  }
}

Tensor transformer::toTensor(const TensorView &view, MLIRContext *context) {
  Type type = dtypeToType(view.dtype, context);
  if (!isFloat(view.dtype))
    return Tensor(view.shape, type, toInts(view.dtype, view.data));
  std::vector<double> values(view.data.size() / dtypeSize(view.dtype));
  toDoubles(view.dtype, view.data.data(), values.size(), values.data());
  return Tensor(view.shape, type, std::move(values));
}

std::function<FailureOr<Tensor>(StringRef)> transformer::readWeights(ModuleOp module, WeightStore &store) {
  auto kept = std::make_shared<llvm::StringMap<Tensor>>();
  return [module, &store, kept](StringRef symbol) mutable -> FailureOr<Tensor> {
    auto found = kept->find(symbol);
    if (found != kept->end())
      return found->second;
    llvm::Expected<HostTensor> weight = evaluateWeight(module, symbol, store);
    if (!weight)
      return module.emitError() << llvm::toString(weight.takeError());
    std::optional<Dtype> dtype = dtypeFromType(weight->type.getElementType());
    if (!dtype)
      return module.emitError("weight @")
             << symbol << " has elements of type " << weight->type.getElementType()
             << ", which the interpreter cannot read";
    Tensor tensor = toTensor({*dtype, weight->type.getShape(), weight->data}, module.getContext());
    if (Type element = weight->type.getElementType(); element.isInteger(4)) {
      // Stored in bytes.
      if (llvm::any_of(tensor.getInts(), [](int64_t value) { return value < -8 || value > 7; }))
        return module.emitError("weight @") << symbol << " of i4 has values that are not from -8 to 7";
      tensor = Tensor(weight->type.getShape(), element, tensor.getInts().vec());
    }
    kept->try_emplace(symbol, tensor);
    return tensor;
  };
}
