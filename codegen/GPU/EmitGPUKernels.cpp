//===- EmitGPUKernels.cpp - dispatches to kernels -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/Templates.h"
#include "codegen/Passes.h"
#include "dialect/KernelTypes.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/StringSwitch.h"

#define DEBUG_TYPE "transformer-emit-gpu-kernels"

namespace mlir::transformer {
#define GEN_PASS_DEF_EMITGPUKERNELSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Writes the kernel of `spec` by `config` before it; its name is for the caller to set.
FailureOr<func::FuncOp> emitKernel(func::FuncOp spec, xgpu::ConfigAttr config) {
  using Template = LogicalResult (*)(OpBuilder &, GPUKernelContext &);
  Template emit = llvm::StringSwitch<Template>(config.getTemplateName())
                      .Case("rows", emitRowsKernel)
                      .Case("append", emitAppendKernel)
                      .Case("elements", emitElementsKernel)
                      .Case("gemv", emitGemvKernel)
                      .Case("skinny_gemm", emitSkinnyGemmKernel)
                      .Case("mma_gemm", emitMmaGemmKernel)
                      .Case("wgmma_gemm", emitWgmmaGemmKernel)
                      .Case("wgmma_attention", emitWgmmaAttentionKernel)
                      .Case("simt_gemm", emitSimtGemmKernel)
                      .Case("decode_attention", emitDecodeAttentionKernel)
                      .Case("simt_decode_attention", emitSimtDecodeAttentionKernel)
                      .Case("attention_merge", emitAttentionMergeKernel)
                      .Case("flash_attention", emitFlashAttentionKernel)
                      .Case("simt_attention", emitSimtAttentionKernel)
                      .Case("row_attention", emitRowAttentionKernel)
                      .Default(nullptr);
  if (!emit)
    return spec.emitOpError("names the unknown kernel template \"") << config.getTemplateName() << '"';
  OpBuilder b(spec);
  SmallVector<Type> types;
  for (Type type : spec.getArgumentTypes())
    appendKernelTypes(type, types);
  auto kernel = func::FuncOp::create(b, spec.getLoc(), spec.getSymName(), b.getFunctionType(types, {}));
  kernel.setPrivate();
  kernel->setDiscardableAttrs(spec->getDiscardableAttrDictionary());
  kernel->removeAttr(kGPUConfigsAttr);
  if (SmallVector<int64_t> places = inPlaceArguments(spec); !places.empty())
    kernel->setAttr(kInPlaceAttr, b.getDenseI64ArrayAttr(places));
  Block *body = kernel.addEntryBlock();
  b.setInsertionPointToStart(body);
  GPUKernelContext context;
  context.spec = spec;
  context.kernel = kernel;
  context.config = config;
  unsigned next = 0;
  for (BlockArgument argument : spec.getArguments()) {
    unsigned count = isa<KVCacheType>(argument.getType()) ? kCacheParts : 1;
    for (unsigned i = 0; i < count; ++i)
      context.arguments[argument].push_back(body->getArgument(next++));
  }
  if (failed(emit(b, context)))
    return failure();
  b.setInsertionPointToEnd(body);
  func::ReturnOp::create(b, spec.getLoc());
  stateAlignment(kernel);
  kernel->setAttr(kGPUConfigAttr, config);
  kernel->setAttr(xgpu::KernelAttr::kName,
                  xgpu::KernelAttr::get(b.getContext(), config.getThreads(), context.shared.size(),
                                        context.cluster, context.persistent, /*overlaps=*/false));
  return kernel;
}

LogicalResult emitDispatch(func::FuncOp spec) {
  auto configs = spec->getAttrOfType<DictionaryAttr>(kGPUConfigsAttr);
  if (!configs || configs.empty())
    return spec.emitOpError("has no configs; run transformer-select-gpu-kernels first");
  if (failed(checkDispatchBody(spec)))
    return failure();
  std::string name = spec.getSymName().str();
  DenseMap<Attribute, func::FuncOp> made;
  for (NamedAttribute entry : configs) {
    auto config = dyn_cast<xgpu::ConfigAttr>(entry.getValue());
    if (!config)
      return spec.emitOpError("expected #xgpu.config for ")
             << entry.getName() << ", but got " << entry.getValue();
    if (made.contains(config))
      continue;
    FailureOr<func::FuncOp> kernel = emitKernel(spec, config);
    if (failed(kernel))
      return failure();
    if (!made.empty())
      kernel->setSymName((name + "." + entry.getName().getValue()).str());
    made[config] = *kernel;
  }
  // Which kernel an architecture has, where it is not the one of the dispatch's name.
  func::FuncOp first = made[configs.begin()->getValue()];
  SmallVector<NamedAttribute> variants;
  for (NamedAttribute entry : configs)
    if (func::FuncOp kernel = made[entry.getValue()]; kernel != first)
      variants.push_back({entry.getName(), FlatSymbolRefAttr::get(kernel)});
  if (!variants.empty())
    first->setAttr(kGPUVariantsAttr, DictionaryAttr::get(spec.getContext(), variants));
  spec.erase();
  return success();
}

struct EmitGPUKernels : transformer::impl::EmitGPUKernelsPassBase<EmitGPUKernels> {
  void runOnOperation() override {
    for (func::FuncOp func : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (isDispatch(func) && !func->hasAttr(xgpu::KernelAttr::kName) && failed(emitDispatch(func)))
        return signalPassFailure();
  }
};

} // namespace
