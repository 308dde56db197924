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
#include "codegen/Common/Projection.h"
#include "codegen/Passes.h"
#include "dialect/KernelTypes.h"

#include "mlir/Analysis/SliceAnalysis.h"

#define DEBUG_TYPE "transformer-emit-kernels"

namespace mlir::transformer {
#define GEN_PASS_DEF_EMITKERNELSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// What the templates rely on; anything else is a limit to be told, not a crash.
LogicalResult checkBody(func::FuncOp dispatch) {
  for (Operation &op : dispatch.getBody().front()) {
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (!generic)
      continue;
    AffineMap map = generic.getIndexingMapsArray().back();
    bool identity = map.isProjectedPermutation() &&
                    map.getNumResults() + generic.getNumReductionLoops() == generic.getNumLoops();
    if (!identity)
      return generic.emitOpError("expected a result map that is a permutation of the parallel loops");
    if (&op == outputOf(dispatch) && !map.isIdentity() && generic.getNumReductionLoops() == 0)
      return generic.emitOpError("expected an identity result map; transpose the inputs instead");
    auto inner = generic.getBody()->walk([&](Operation *scalar) -> WalkResult {
      if (auto extract = dyn_cast<tensor::ExtractOp>(scalar);
          extract && extract.getTensor().getDefiningOp() &&
          !isa<linalg::GenericOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(
              extract.getTensor().getDefiningOp()))
        return scalar->emitOpError("expected to read a tensor that a generic or a reshape makes");
      return WalkResult::advance();
    });
    if (inner.wasInterrupted())
      return failure();
  }
  return success();
}

/// The inputs that the kernel reads, element by element, no later than it writes
/// the same element of the result, so that the result may take their place.
SmallVector<int64_t> inPlaceArguments(func::FuncOp spec, StringRef name) {
  SmallVector<int64_t> found;
  bool rows = name == "rows";
  if (!rows && name != "tiles" && name != "contraction")
    return found;
  // A contraction reads whole rows of what it multiplies for each element.
  llvm::SetVector<Operation *> multiplied;
  if (linalg::GenericOp root = rows ? linalg::GenericOp() : contractionOf(spec)) {
    BackwardSliceOptions options;
    options.inclusive = true;
    options.omitBlockArguments = true;
    LogicalResult sliced = getBackwardSlice(root.getOperation(), &multiplied, options);
    (void)sliced;
    // Other projections read the same rows.
    for (Projection &projection : projectionsOf(spec))
      multiplied.insert(projection.op);
  }
  Type type = spec.getArguments().back().getType();
  for (BlockArgument argument : spec.getArguments().drop_back()) {
    auto readsOnlyItsElement = [&](OpOperand &use) {
      auto op = dyn_cast<linalg::GenericOp>(use.getOwner());
      // Rows are reduced before any of their elements is written.
      return op && op.isDpsInput(&use) && op.getMatchingIndexingMap(&use).isIdentity() &&
             !multiplied.contains(op);
    };
    if (argument.getType() == type && llvm::all_of(argument.getUses(), readsOnlyItsElement))
      found.push_back(argument.getArgNumber());
  }
  return found;
}

LogicalResult emitKernel(func::FuncOp spec) {
  LoweringConfigAttr config = getConfig(spec);
  if (!config)
    return spec.emitOpError("has no lowering config; run transformer-select-strategy first");
  if (failed(checkBody(spec)))
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
  if (SmallVector<int64_t> places = inPlaceArguments(spec, config.getTemplateName()); !places.empty())
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
                       .Case("attention", 6)
                       .Case("contraction", 3)
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
