//===- SplitAttention.cpp - decoding over ranges of keys ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// launch @attn(q, cache)  ->  launch @attn_merge(launch @attn(q, cache) splits n of k)
//
// Runs after select-strategy or select-gpu-kernels, whose configs say how many splits: one position of a
// few key/value heads is fewer tasks than there are threads or processors. Splits are made on
// tensors, so that every target has them and its templates only emit their halves.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchCost.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/GPU/Templates.h"
#include "codegen/Passes.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

#define DEBUG_TYPE "transformer-split-attention"

namespace mlir::transformer {
#define GEN_PASS_DEF_SPLITATTENTIONPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Merges worth handing to another thread: one is a few hundred operations.
constexpr int64_t kMergeGrain = 64;

struct SplitAttention : transformer::impl::SplitAttentionPassBase<SplitAttention> {
  void runOnOperation() override {
    DenseMap<Attribute, SmallVector<LaunchOp>> launches;
    getOperation().walk(
        [&](LaunchOp launch) { launches[launch.getKernelAttr().getLeafReference()].push_back(launch); });
    SymbolTable symbols(getOperation());
    for (func::FuncOp func : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!isDispatch(func))
        continue;
      auto op = func.getBody().front().getTerminator()->getOperand(0).getDefiningOp<AttentionOp>();
      AttentionSplits splits;
      if (failed(readSplits(func, splits)))
        return signalPassFailure();
      if (!op || op.splitCount() > 0 || splits.count <= 1)
        continue;
      if (failed(split(func, op, splits, launches[func.getSymNameAttr()], symbols)))
        return signalPassFailure();
    }
  }

  /// What the config of the CPU says, or those of a GPU's architectures, which share one host function.
  static LogicalResult readSplits(func::FuncOp func, AttentionSplits &splits) {
    if (LoweringConfigAttr config = getConfig(func))
      splits = splitsOf(config);
    auto configs = func->getAttrOfType<DictionaryAttr>(kGPUConfigsAttr);
    if (!configs)
      return success();
    for (auto [i, entry] : llvm::enumerate(configs)) {
      AttentionSplits own = splitsOf(dyn_cast<xgpu::ConfigAttr>(entry.getValue()));
      if (i > 0 && (own.count != splits.count || own.keys != splits.keys))
        return func.emitOpError("expected as many splits for ")
               << entry.getName() << " as for " << configs.begin()->getName() << ", " << splits.count
               << " of " << splits.keys << ", but got " << own.count << " of " << own.keys;
      splits = own;
    }
    return success();
  }
  static AttentionSplits splitsOf(LoweringConfigAttr config) { return transformer::splitsOf(config); }
  static AttentionSplits splitsOf(xgpu::ConfigAttr config) {
    if (!config || !config.getTemplateName().ends_with("decode_attention") || config.getTile().size() != 3)
      return {};
    return {config.getTile()[1], config.getTile()[2]};
  }

  LogicalResult split(func::FuncOp func, AttentionOp op, AttentionSplits splits, ArrayRef<LaunchOp> callers,
                      SymbolTable &symbols) {
    auto type = cast<RankedTensorType>(op.getResult().getType());
    if (type.getDimSize(1) != 1)
      return op.emitOpError("expected a query of one position to be split, but got ") << type;
    if (!func.getArguments().back().use_empty())
      return op.emitOpError("expected a dispatch that does not read its result's place");
    auto parts =
        RankedTensorType::get({type.getDimSize(0), splits.count, type.getDimSize(2), type.getDimSize(3) + 2},
                              Float32Type::get(&getContext()));
    func::FuncOp merge = mergeOf(func, parts, type, symbols);
    for (LaunchOp launch : callers)
      launchBoth(launch, merge, parts);
    Builder b(&getContext());
    op.setSplitsAttr(b.getI64IntegerAttr(splits.count));
    op.setSplitKeysAttr(b.getI64IntegerAttr(splits.keys));
    op.getResult().setType(parts);
    func.getArguments().back().setType(parts);
    SmallVector<Type> types(func.getArgumentTypes());
    types.back() = parts;
    func.setType(FunctionType::get(&getContext(), types, parts));
    setCost(func, costOf(func));
    return success();
  }

  /// The dispatch that merges what `func` makes; one serves all of its types.
  func::FuncOp mergeOf(func::FuncOp func, RankedTensorType parts, RankedTensorType type,
                       SymbolTable &symbols) {
    func::FuncOp &merge = merges[{parts, type}];
    if (merge)
      return merge;
    OpBuilder b(&getContext());
    b.setInsertionPointAfter(func);
    Location loc = func.getLoc();
    merge = func::FuncOp::create(b, loc, (func.getSymName() + "_merge").str(),
                                 b.getFunctionType({parts, type}, type));
    merge.setPrivate();
    markDispatch(merge);
    // A GPU's kernels are selected for it then.
    if (LoweringConfigAttr config = getConfig(func))
      merge->setAttr(kConfigAttr,
                     LoweringConfigAttr::get(&getContext(), "attention_merge", {1, config.getVector()}, {},
                                             config.getVector(), kMergeGrain));
    b.setInsertionPointToStart(merge.addEntryBlock());
    Value merged = AttentionMergeOp::create(b, loc, type, merge.getArgument(0));
    func::ReturnOp::create(b, loc, merged);
    symbols.insert(merge, Block::iterator(func->getNextNode()));
    setCost(merge, costOf(merge));
    return merge;
  }

  /// A launch of the splits and one that merges them, instead of `launch`.
  void launchBoth(LaunchOp launch, func::FuncOp merge, RankedTensorType parts) {
    OpBuilder b(launch);
    Location loc = launch.getLoc();
    Value out = launch.getOutputs().back();
    SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(&getContext(), parts.getShape());
    sizes[0] = tensor::getMixedSize(b, loc, out, 0);
    Value place = tensor::EmptyOp::create(b, loc, sizes, parts.getElementType());
    auto split = LaunchOp::create(b, loc, TypeRange{parts}, launch.getKernelAttr(), Value(),
                                  launch.getInputs(), place);
    auto merged = LaunchOp::create(b, loc, launch.getResultTypes(), SymbolRefAttr::get(merge), Value(),
                                   split.getResults(), out);
    setLabel(split, getLabel(launch));
    setLabel(merged, (getLabel(launch) + "_merge").str());
    launch.replaceAllUsesWith(merged.getResults());
    launch.erase();
  }

  DenseMap<std::pair<Type, Type>, func::FuncOp> merges;
};

} // namespace
