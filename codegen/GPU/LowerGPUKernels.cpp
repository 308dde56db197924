//===- LowerGPUKernels.cpp - kernels with the parameters of PTX ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// func @k(%x: memref<?x64xf32>, %n: index, %map: !llvm.ptr {xgpu.tensor_map})
//   -> llvm.func @k(%map: !llvm.ptr {byval, grid_constant}, %x: !llvm.ptr, %x.dim0: i64, %n: i64)
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/MemrefDescriptor.h"
#include "codegen/GPU/Warpgroup.h"
#include "codegen/Passes.h"

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

#define DEBUG_TYPE "transformer-lower-gpu-kernels"

namespace mlir::transformer {
#define GEN_PASS_DEF_LOWERGPUKERNELSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr StringLiteral kSharedGlobal = "dynamic_shared_memory";

class KernelLowering {
public:
  explicit KernelLowering(ModuleOp module)
      : module(module), b(module.getContext()), converter(module.getContext()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())), i64(b.getI64Type()) {}

  void run() {
    for (func::FuncOp kernel : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (xgpu::KernelAttr mark = xgpu::KernelAttr::of(kernel))
        lower(kernel, mark);
    lowerSharedMemory();
    lowerWarpgroupOps(module);
  }

private:
  void lower(func::FuncOp kernel, xgpu::KernelAttr mark);
  void lowerSharedMemory();
  /// The value of an argument, from parameters of `block` on `next`.
  Value argumentFrom(Location loc, Type type, Block *block, unsigned &next);

  ModuleOp module;
  OpBuilder b;
  LLVMTypeConverter converter;
  Type pointer, i64;
};
} // namespace

Value KernelLowering::argumentFrom(Location loc, Type type, Block *block, unsigned &next) {
  Value word = block->getArgument(next++);
  if (auto memref = dyn_cast<MemRefType>(type)) {
    SmallVector<Value> dims;
    for (size_t i = 0; i < memref.getNumDynamicDims(); ++i)
      dims.push_back(block->getArgument(next++));
    return describeMemref(b, loc, converter, memref, word, dims);
  }
  if (type.isIndex())
    return arith::IndexCastOp::create(b, loc, type, word);
  if (type == i64)
    return word;
  Value narrow = arith::TruncIOp::create(b, loc, b.getI32Type(), word);
  return type.isF32() ? Value(arith::BitcastOp::create(b, loc, type, narrow)) : narrow;
}

void KernelLowering::lower(func::FuncOp kernel, xgpu::KernelAttr mark) {
  Location loc = kernel.getLoc();
  SmallVector<unsigned> maps;
  SmallVector<Type> types;
  for (unsigned i = 0; i < kernel.getNumArguments(); ++i)
    if (kernel.getArgAttr(i, xgpu::TensorMapAttr::kName))
      maps.push_back(i), types.push_back(pointer);
  for (auto [i, type] : llvm::enumerate(kernel.getArgumentTypes())) {
    if (llvm::is_contained(maps, i))
      continue;
    auto memref = dyn_cast<MemRefType>(type);
    types.push_back(memref ? pointer : i64);
    if (memref)
      types.append(memref.getNumDynamicDims(), i64);
  }
  b.setInsertionPoint(kernel);
  auto name = kernel.getSymName().str();
  kernel.setSymName(name + ".memref");
  auto lowered = LLVM::LLVMFuncOp::create(
      b, loc, name, LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), types));
  lowered->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
  lowered->setAttr(NVVM::NVVMDialect::getMaxntidAttrName(),
                   b.getDenseI32ArrayAttr({static_cast<int32_t>(mark.getThreads()), 1, 1}));
  if (mark.getCluster() > 1)
    lowered->setAttr(NVVM::NVVMDialect::getClusterDimAttrName(),
                     b.getDenseI32ArrayAttr({static_cast<int32_t>(mark.getCluster()), 1, 1}));
  for (unsigned i = 0; i < maps.size(); ++i) {
    lowered.setArgAttr(i, LLVM::LLVMDialect::getByValAttrName(),
                       TypeAttr::get(LLVM::LLVMArrayType::get(b.getI8Type(), 128)));
    lowered.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(64));
    lowered.setArgAttr(i, NVVM::NVVMDialect::getGridConstantAttrName(), b.getUnitAttr());
  }
  Block *entry = lowered.addEntryBlock(b);
  b.setInsertionPointToStart(entry);
  unsigned nextMap = 0, next = maps.size();
  SmallVector<Value> values;
  for (auto [i, type] : llvm::enumerate(kernel.getArgumentTypes()))
    values.push_back(llvm::is_contained(maps, i) ? Value(entry->getArgument(nextMap++))
                                                 : argumentFrom(loc, type, entry, next));
  Block &body = kernel.getBody().front();
  for (auto [argument, value] : llvm::zip(body.getArguments(), values))
    argument.replaceAllUsesWith(value);
  entry->getOperations().splice(entry->end(), body.getOperations());
  Operation *end = entry->getTerminator();
  b.setInsertionPoint(end);
  LLVM::ReturnOp::create(b, loc, ValueRange());
  end->erase();
  kernel.erase();
}

/// One array of unknown size: where it is, PTX says the launch's bytes of it are.
void KernelLowering::lowerSharedMemory() {
  SmallVector<xgpu::SharedMemoryOp> ops;
  module.walk([&](xgpu::SharedMemoryOp op) { ops.push_back(op); });
  if (ops.empty())
    return;
  b.setInsertionPointToStart(module.getBody());
  auto global =
      LLVM::GlobalOp::create(b, module.getLoc(), LLVM::LLVMArrayType::get(b.getI8Type(), 0),
                             /*isConstant=*/false, LLVM::Linkage::External, kSharedGlobal, Attribute(),
                             /*alignment=*/1024, /*addrSpace=*/3);
  for (xgpu::SharedMemoryOp op : ops) {
    b.setInsertionPoint(op);
    op.replaceAllUsesWith(LLVM::AddressOfOp::create(b, op.getLoc(), global).getResult());
    op.erase();
  }
}

namespace {
struct LowerGPUKernels : transformer::impl::LowerGPUKernelsPassBase<LowerGPUKernels> {
  void runOnOperation() override { KernelLowering(getOperation()).run(); }
};
} // namespace
