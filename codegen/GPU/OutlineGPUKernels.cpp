//===- OutlineGPUKernels.cpp - a module of kernels for each architecture ===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/Templates.h"
#include "codegen/Passes.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/StringExtras.h"

#define DEBUG_TYPE "transformer-outline-gpu-kernels"

namespace mlir::transformer {
#define GEN_PASS_DEF_OUTLINEGPUKERNELSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {
constexpr int64_t kThreads = 128;

/// A kernel that runs a range of tasks, its last two arguments, becomes one whose threads
/// take a task each.
LogicalResult distributeTasks(func::FuncOp kernel) {
  SmallVector<GridDim> grid = getGrid(kernel);
  if (grid.size() != 1 || grid[0].tile != 1)
    return kernel.emitOpError("expected a grid of one factor without tiles");
  Block &body = kernel.getBody().front();
  OpBuilder b = OpBuilder::atBlockBegin(&body);
  Location loc = kernel.getLoc();
  Value counted = body.getArgument(grid[0].argument), total = counted;
  if (isa<MemRefType>(counted.getType())) {
    total = constantIndex(b, loc, 1);
    for (int64_t i = grid[0].dim; i < grid[0].dim + grid[0].count; ++i)
      total = arith::MulIOp::create(b, loc, total, memref::DimOp::create(b, loc, counted, i));
  }
  Value first = arith::MulIOp::create(b, loc, blockIndex(b, loc), constantIndex(b, loc, kThreads));
  Value task = arith::AddIOp::create(b, loc, first, threadIndex(b, loc, kThreads));
  Value next = arith::AddIOp::create(b, loc, task, constantIndex(b, loc, 1));
  unsigned count = body.getNumArguments();
  body.getArgument(count - 2).replaceAllUsesWith(task);
  body.getArgument(count - 1).replaceAllUsesWith(arith::MinUIOp::create(b, loc, next, total));
  body.eraseArguments(count - 2, 2);
  kernel.setFunctionType(b.getFunctionType(body.getArgumentTypes(), {}));
  grid[0].tile = kThreads;
  setGrid(kernel, grid);
  kernel->setAttr(xgpu::KernelAttr::kName,
                  xgpu::KernelAttr::get(b.getContext(), kThreads, /*shared=*/0, /*cluster=*/1,
                                        /*persistent=*/false, /*overlaps=*/false));
  return success();
}

/// A name of PTX: letters, digits, `_` and `$`, which stands for a dot here.
std::string ptxName(StringRef name) {
  std::string result;
  for (char c : name) {
    if (llvm::isAlnum(c) || c == '_')
      result += c;
    else
      result += c == '.' ? "$" : "$" + llvm::utohexstr(static_cast<unsigned char>(c)) + "$";
  }
  return llvm::isDigit(result[0]) ? "_" + result : result;
}

/// From compute capability 9.0 on, kernels wait for those ahead of them themselves.
bool canOverlap(StringRef arch) {
  unsigned number = 0;
  arch.drop_front(3).take_while(llvm::isDigit).getAsInteger(10, number);
  return number >= 90;
}

/// The next kernel may be launched as soon as all blocks of this one have begun; both wait before they touch
/// memory (CUDA: programmatic dependent launch).
void overlapLaunches(func::FuncOp kernel) {
  OpBuilder b = OpBuilder::atBlockBegin(&kernel.getBody().front());
  Location loc = kernel.getLoc();
  NVVM::GriddepcontrolOp::create(b, loc, NVVM::GridDepActionKind::launch_dependents);
  NVVM::GriddepcontrolOp::create(b, loc, NVVM::GridDepActionKind::wait);
  auto mark = xgpu::KernelAttr::of(kernel);
  kernel->setAttr(xgpu::KernelAttr::kName,
                  xgpu::KernelAttr::get(b.getContext(), mark.getThreads(), mark.getShared(),
                                        mark.getCluster(), mark.getPersistent(), /*overlaps=*/true));
}

struct OutlineGPUKernels : transformer::impl::OutlineGPUKernelsPassBase<OutlineGPUKernels> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp host = getOperation();
    SmallVector<func::FuncOp> kernels;
    llvm::DenseSet<Attribute> variants;
    for (func::FuncOp func : host.getOps<func::FuncOp>())
      if (auto names = func->getAttrOfType<DictionaryAttr>(kGPUVariantsAttr))
        for (NamedAttribute entry : names)
          variants.insert(cast<FlatSymbolRefAttr>(entry.getValue()).getAttr());
    for (func::FuncOp func : host.getOps<func::FuncOp>()) {
      if (!isDispatch(func) || variants.contains(func.getSymNameAttr()))
        continue;
      if (!func->hasAttr(xgpu::KernelAttr::kName) && failed(distributeTasks(func)))
        return signalPassFailure();
      kernels.push_back(func);
    }
    OpBuilder b = OpBuilder::atBlockEnd(host.getBody());
    for (const std::string &arch : archs) {
      auto module = ModuleOp::create(b, host.getLoc(), arch);
      OpBuilder inner = OpBuilder::atBlockEnd(module.getBody());
      for (func::FuncOp kernel : kernels) {
        auto clone = cast<func::FuncOp>(inner.clone(*variantOf(kernel, arch)));
        clone.setSymName(ptxName(kernel.getSymName()));
        clone.setPublic();
        if (overlap && canOverlap(arch))
          overlapLaunches(clone);
        clone->removeAttr(kGPUVariantsAttr);
      }
    }
    for (auto [number, kernel] : llvm::enumerate(kernels)) {
      kernel.getBody().dropAllReferences();
      kernel.getBody().getBlocks().clear();
      kernel->removeAttr(kGPUVariantsAttr);
      kernel->setAttr(kKernelNumberAttr, b.getI64IntegerAttr(number));
    }
    for (func::FuncOp func : llvm::make_early_inc_range(host.getOps<func::FuncOp>()))
      if (variants.contains(func.getSymNameAttr()))
        func.erase();
  }

  func::FuncOp variantOf(func::FuncOp kernel, StringRef arch) {
    auto names = kernel->getAttrOfType<DictionaryAttr>(kGPUVariantsAttr);
    auto name = names ? names.getAs<FlatSymbolRefAttr>(arch) : FlatSymbolRefAttr();
    return name ? getOperation().lookupSymbol<func::FuncOp>(name) : kernel;
  }
};
} // namespace
