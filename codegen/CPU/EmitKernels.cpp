//===- EmitKernels.cpp - dispatches to loops on memrefs -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// func @d(%x: tensor<?xf32>, %out: tensor<?xf32>) -> tensor<?xf32>
//   -> func @d(%x: memref<?xf32>, %out: memref<?xf32>, %begin: index, %end: index)
//
// Runs after select-strategy: reads each dispatch's config and has its template
// write the kernel. A launch of the tensor-level function stays as it is; entry
// functions are bufferized next.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Passes.h"
#include "dialect/KernelTypes.h"

#define DEBUG_TYPE "transformer-emit-kernels"

namespace mlir::transformer {
#define GEN_PASS_DEF_EMITKERNELSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

LogicalResult emitKernel(func::FuncOp spec) {
  LoweringConfigAttr config = getConfig(spec);
  if (!config)
    return spec.emitOpError("has no lowering config; run transformer-select-strategy first");
  if (failed(checkDispatchBody(spec)))
    return failure();
  // The memref function takes the place and name of the tensor-level one.
  Location loc = spec.getLoc();
  OpBuilder b(spec);
  SmallVector<Type> types;
  for (Type type : spec.getArgumentTypes())
    appendKernelTypes(type, types);
  types.append(2, b.getIndexType());
  auto kernel = func::FuncOp::create(b, loc, spec.getSymName(), b.getFunctionType(types, {}));
  kernel.setPrivate();
  kernel->setDiscardableAttrs(spec->getDiscardableAttrDictionary());
  if (SmallVector<int64_t> places = inPlaceArguments(spec); !places.empty())
    kernel->setAttr(kInPlaceAttr, b.getDenseI64ArrayAttr(places));
  Block *body = kernel.addEntryBlock();
  b.setInsertionPointToStart(body);
  KernelContext context;
  context.spec = spec;
  context.kernel = kernel;
  unsigned next = 0;
  for (BlockArgument argument : spec.getArguments()) {
    unsigned count = isa<KVCacheType>(argument.getType()) ? kCacheParts : 1;
    for (unsigned i = 0; i < count; ++i)
      context.arguments[argument].push_back(body->getArgument(next++));
  }
  context.begin = body->getArgument(next++);
  context.end = body->getArgument(next);

  using Template = LogicalResult (*)(OpBuilder &, KernelContext &, LoweringConfigAttr);
  Template emit = llvm::StringSwitch<Template>(config.getTemplateName())
                      .Case("rows", emitRows)
                      .Case("tiles", emitTiles)
                      .Case("contraction", emitContraction)
                      .Case("attention", emitAttention)
                      .Case("attention_merge", emitAttentionMerge)
                      .Case("cache_append", emitCacheAppend)
                      .Default(nullptr);
  if (!emit)
    return spec.emitOpError("names the unknown kernel template \"") << config.getTemplateName() << '"';
  size_t members = llvm::StringSwitch<size_t>(config.getTemplateName())
                       .Case("attention", 8)
                       .Case("contraction", 7)
                       .Default(0);
  if (config.getTile().size() != 2 || config.getBlock().size() != members)
    return spec.emitOpError("expected a config with a tile of 2 members and a block of ")
           << members << ", but got " << config;
  if (failed(emit(b, context, config)))
    return failure();
  b.setInsertionPointToEnd(body);
  func::ReturnOp::create(b, loc);
  spec.erase();
  return success();
}

struct EmitKernels : transformer::impl::EmitKernelsPassBase<EmitKernels> {
  void runOnOperation() override {
    for (func::FuncOp func : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (isDispatch(func) && failed(emitKernel(func)))
        return signalPassFailure();
  }
};

} // namespace
