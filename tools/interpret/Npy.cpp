//===- Npy.cpp - tensors of the interpreter in .npy files -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/interpret/Npy.h"

#include "runtime/Npy.h"
#include "tools/interpret/HostTensors.h"

#include "llvm/Support/EndianStream.h"
#include "llvm/Support/FileSystem.h"

using namespace mlir;
using namespace mlir::transformer;

static llvm::Error error(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static Dtype toDtype(xfm_dtype dtype) {
  switch (dtype) {
  case XFM_F32:
    return Dtype::F32;
  case XFM_F16:
    return Dtype::F16;
  case XFM_BF16:
    return Dtype::BF16;
  case XFM_I32:
    return Dtype::I32;
  case XFM_I64:
    return Dtype::I64;
  case XFM_I8:
    return Dtype::I8;
  }
  llvm_unreachable("unknown dtype");
}

llvm::Expected<Tensor> transformer::readTensor(StringRef path, Type elementType) {
  xfm::NpyArray array;
  xfm::NpyReadOptions options;
  options.narrowF64 = true;
  if (xfm::Status status = xfm::readNpy(path.str(), options, array); !status.ok())
    return error(status.message);
  Tensor tensor =
      toTensor({toDtype(array.dtype), array.shape, ArrayRef(array.data)}, elementType.getContext());
  if (tensor.isFloat() != isa<FloatType>(elementType))
    return error(path + ": expected " + (tensor.isFloat() ? "integers" : "floats"));
  for (int64_t value : tensor.getInts())
    if (wrapTo(elementType, value) != value)
      return error(path + ": " + llvm::Twine(value) + " does not fit the input's integer type");
  return tensor.retyped(elementType);
}

llvm::Error transformer::writeTensor(StringRef path, const Tensor &tensor) {
  std::string shape;
  for (int64_t dim : tensor.getShape())
    shape += std::to_string(dim) + ",";
  std::string header = "{'descr': '<" + std::string(tensor.isFloat() ? "f8" : "i8") +
                       "', 'fortran_order': False, 'shape': (" + shape + "), }";
  // Magic, version and length take ten bytes; the data begins at a multiple of 64.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  return llvm::writeToOutput(path, [&](llvm::raw_ostream &os) {
    os << StringRef("\x93NUMPY\x01\x00", 8);
    os << static_cast<char>(header.size() & 0xff) << static_cast<char>(header.size() >> 8) << header;
    for (double value : tensor.getFloats())
      llvm::support::endian::write(os, value, llvm::endianness::little);
    for (int64_t value : tensor.getInts())
      llvm::support::endian::write(os, value, llvm::endianness::little);
    return llvm::Error::success();
  });
}
