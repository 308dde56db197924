//===- XGPU.cpp - what kernels need beside nvvm ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/IR/XGPU.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace mlir::xgpu;

#include "codegen/GPU/IR/XGPUDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "codegen/GPU/IR/XGPUAttrs.cpp.inc"

#define GET_OP_CLASSES
#include "codegen/GPU/IR/XGPU.cpp.inc"

void XGPUDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "codegen/GPU/IR/XGPUAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "codegen/GPU/IR/XGPU.cpp.inc"
      >();
}

LogicalResult XGPUDialect::verifyOperationAttribute(Operation *op, NamedAttribute attribute) {
  if (attribute.getName() == KernelAttr::kName &&
      !(isa<FunctionOpInterface>(op) && isa<KernelAttr>(attribute.getValue())))
    return op->emitOpError("expected ") << KernelAttr::kName << " on functions, as #xgpu.kernel<…>";
  return success();
}

LogicalResult XGPUDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned index,
                                                    NamedAttribute attribute) {
  if (attribute.getName() != TensorMapAttr::kName)
    return success();
  auto map = dyn_cast<TensorMapAttr>(attribute.getValue());
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!map || !function)
    return op->emitOpError("expected ")
           << TensorMapAttr::kName << " on arguments of functions, as #xgpu.tensor_map<…>";
  ArrayRef<Type> types = function.getArgumentTypes();
  if (!isa<LLVM::LLVMPointerType>(types[index]))
    return op->emitOpError("expected argument ") << index << ", a tensor map, to be a !llvm.ptr";
  auto memref = map.getArgument() < static_cast<int64_t>(types.size())
                    ? dyn_cast<MemRefType>(types[map.getArgument()])
                    : MemRefType();
  int64_t rank = 0;
  for (int64_t group : map.getGroups())
    rank += group;
  if (!memref || memref.getRank() != rank)
    return op->emitOpError("expected argument ")
           << map.getArgument() << ", which argument " << index << " maps, to be a memref of rank " << rank;
  return success();
}

KernelAttr KernelAttr::of(Operation *function) { return function->getAttrOfType<KernelAttr>(kName); }

LogicalResult KernelAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t threads,
                                 int64_t shared, int64_t cluster, bool, bool) {
  // C1
  if (threads < 32 || threads > 1024 || threads % 32 != 0)
    return emitError() << "expected threads to be a multiple of 32 from 32 to 1024, but got " << threads;
  // C2
  if (shared < 0 || shared > 232448)
    return emitError() << "expected shared memory from 0 to 232448 bytes, but got " << shared;
  // C3
  if (cluster < 1 || cluster > 8)
    return emitError() << "expected a cluster of 1 to 8 blocks, but got " << cluster;
  return success();
}

LogicalResult ConfigAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef, ArrayRef<int64_t>,
                                 int64_t threads, int64_t stages, int64_t vector) {
  // C1
  if (threads < 32 || threads > 1024 || threads % 32 != 0 || stages < 1 || vector < 1)
    return emitError() << "expected threads to be a multiple of 32 from 32 to 1024, stages and vector 1 or "
                          "more, but got "
                       << threads << ", " << stages << " and " << vector;
  return success();
}

LogicalResult TensorMapAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t,
                                    ArrayRef<int64_t> groups, ArrayRef<int64_t> box, int64_t swizzle) {
  // C1
  if (groups.empty() || groups.size() > 5 || groups.size() != box.size())
    return emitError() << "expected 1 to 5 groups and as many members of box, but got " << groups.size()
                       << " and " << box.size();
  if (llvm::any_of(groups, [](int64_t group) { return group < 1; }))
    return emitError() << "expected groups of one dimension or more";
  for (int64_t elements : box)
    if (elements < 1 || elements > 256)
      return emitError() << "expected members of box from 1 to 256, but got " << elements;
  // C2
  if (swizzle != 0 && swizzle != 32 && swizzle != 64 && swizzle != 128)
    return emitError() << "expected a swizzle of 0, 32, 64 or 128 bytes, but got " << swizzle;
  return success();
}

LogicalResult SharedMemoryOp::verify() {
  auto pointer = dyn_cast<LLVM::LLVMPointerType>(getType());
  if (!pointer || pointer.getAddressSpace() != 3)
    return emitOpError("expected a pointer to shared memory, !llvm.ptr<3>, but got ") << getType();
  return success();
}

LogicalResult WgmmaOp::verify() {
  // C1
  bool isDescriptor = getLeft().size() == 1 && getLeft()[0].getType().isInteger(64);
  bool isFragment = getLeft().size() == 4 &&
                    llvm::all_of(getLeft(), [](Value part) { return part.getType().isInteger(32); });
  if (!isDescriptor && !isFragment)
    return emitOpError("expected left to be a descriptor (i64) or four registers (i32), but got ")
           << getLeft().getTypes();
  // C2
  if (getColumns() % 8 != 0 || getColumns() < 8 || getColumns() > 256)
    return emitOpError("expected a multiple of 8 columns from 8 to 256, but got ") << getColumns();
  if (!getSums().empty() && getSums().size() != getNumResults())
    return emitOpError("expected ") << getNumResults() << " sums, but got " << getSums().size();
  // C3
  if (!getElement().isBF16() && !getElement().isF16())
    return emitOpError("expected elements of bf16 or f16, but got ") << getElement();
  return success();
}

LogicalResult WgmmaWaitOp::verify() {
  // C1
  if (getPending() > 7)
    return emitOpError("expected at most 7 pending groups, but got ") << getPending();
  // C2
  if (getValues().size() != getNumResults())
    return emitOpError("expected as many results as values, but got ")
           << getNumResults() << " and " << getValues().size();
  return success();
}
