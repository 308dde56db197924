//===- MemrefDescriptor.h - memrefs from addresses and sizes ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_MEMREFDESCRIPTOR_H
#define CODEGEN_COMMON_MEMREFDESCRIPTOR_H

#include "mlir/Conversion/LLVMCommon/MemRefBuilder.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace mlir::transformer {

/// The dense row-major memref at `address`; `dims` are its dynamic sizes (i64).
inline Value describeMemref(OpBuilder &b, Location loc, const LLVMTypeConverter &converter, MemRefType type,
                            Value address, ArrayRef<Value> dims) {
  auto constant = [&](int64_t value) -> Value {
    return LLVM::ConstantOp::create(b, loc, b.getI64Type(), b.getI64IntegerAttr(value));
  };
  MemRefDescriptor descriptor = MemRefDescriptor::poison(b, loc, converter.convertType(type));
  descriptor.setAllocatedPtr(b, loc, address);
  descriptor.setAlignedPtr(b, loc, address);
  descriptor.setConstantOffset(b, loc, 0);
  Value stride = constant(1);
  size_t dynamic = dims.size();
  for (int64_t i = type.getRank() - 1; i >= 0; --i) {
    Value size = type.isDynamicDim(i) ? dims[--dynamic] : constant(type.getDimSize(i));
    descriptor.setSize(b, loc, i, size);
    descriptor.setStride(b, loc, i, stride);
    stride = LLVM::MulOp::create(b, loc, stride, size);
  }
  return UnrealizedConversionCastOp::create(b, loc, type, Value(descriptor)).getResult(0);
}

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_MEMREFDESCRIPTOR_H
