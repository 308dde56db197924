//===- SelectGPUKernels.cpp - template and tiles of each dispatch -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/Projection.h"
#include "codegen/GPU/Templates.h"
#include "codegen/Passes.h"

#define DEBUG_TYPE "transformer-select-gpu-kernels"

namespace mlir::transformer {
#define GEN_PASS_DEF_SELECTGPUKERNELSPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;
using xgpu::ConfigAttr;

namespace {
constexpr int64_t kAccessBytes = 16;   ///< what a thread moves at once
constexpr int64_t kBlockThreads = 128; ///< of kernels that wait for memory

/// The bytes of an element of the widest tensor among the arguments of a dispatch.
int64_t widestElement(func::FuncOp dispatch) {
  int64_t bytes = 1;
  for (Type type : dispatch.getArgumentTypes())
    if (auto tensor = dyn_cast<RankedTensorType>(type))
      bytes = std::max<int64_t>(bytes, tensor.getElementTypeBitWidth() / 8);
  return bytes;
}

struct SelectGPUKernels : transformer::impl::SelectGPUKernelsPassBase<SelectGPUKernels> {
  using Base::Base;

  void runOnOperation() override {
    for (func::FuncOp dispatch : getOperation().getOps<func::FuncOp>()) {
      if (!isDispatch(dispatch) || dispatch->hasAttr(kGPUConfigsAttr))
        continue;
      SmallVector<NamedAttribute> configs;
      for (const std::string &arch : archs)
        configs.push_back({StringAttr::get(&getContext(), arch), select(dispatch, arch)});
      dispatch->setAttr(kGPUConfigsAttr, DictionaryAttr::get(&getContext(), configs));
    }
  }

  ConfigAttr config(StringRef name, ArrayRef<int64_t> tile, int64_t threads, int64_t vector) {
    return ConfigAttr::get(&getContext(), name, tile, threads, /*stages=*/1, vector);
  }

  /// Rows of `size` elements (dynamic where unknown), `vector` at a time.
  ConfigAttr rowsConfig(StringRef name, int64_t size, int64_t vector) {
    if (ShapedType::isDynamic(size))
      return config(name, {1, kBlockThreads}, kBlockThreads, 1);
    int64_t steps = llvm::divideCeilSigned(std::max<int64_t>(size, 1), vector);
    // Beyond half a thousand threads a row goes in several steps.
    int64_t threads = std::min<int64_t>(llvm::PowerOf2Ceil(steps), 4 * kBlockThreads);
    if (threads >= kBlockThreads)
      return config(name, {1, threads}, threads, vector);
    return config(name, {kBlockThreads / threads, threads}, kBlockThreads, vector);
  }

  /// The projections of a dispatch whose operands lie in memory.
  SmallVector<Projection> plainProjections(func::FuncOp dispatch) {
    SmallVector<Projection> projections = projectionsOf(dispatch);
    for (Projection &projection : projections)
      if (!isa<BlockArgument>(projection.weight->get()) || !isa<BlockArgument>(projection.input->get()) ||
          projection.input->get() != projections[0].input->get() ||
          projection.weightType() != projections[0].weightType() || projection.isInteger())
        return {};
    return projections;
  }

  /// All of one narrow type, heads of a multiple of 16 dimensions whose sums fit in registers, and several
  /// positions, which fill the rows of the products.
  static bool suitsFlashAttention(AttentionOp op) {
    constexpr int64_t mostDims = 128, mostRows = 64;
    auto query = cast<RankedTensorType>(op.getQuery().getType());
    Type type = query.getElementType();
    int64_t headDim = query.getDimSize(3);
    int64_t kvHeads = op.getCache() ? op.getCache().getType().getHeads()
                                    : cast<RankedTensorType>(op.getKey().getType()).getDimSize(2);
    Type keys =
        op.getCache() ? op.getCache().getType().getElement() : getElementTypeOrSelf(op.getKey().getType());
    Type values = op.getCache() ? keys : getElementTypeOrSelf(op.getValue().getType());
    bool narrow = (type.isBF16() || type.isF16()) && keys == type && values == type &&
                  getElementTypeOrSelf(op.getType()) == type;
    return narrow && headDim % 16 == 0 && headDim <= mostDims && query.getDimSize(2) / kvHeads <= mostRows &&
           query.getDimSize(1) != 1;
  }

  /// Operands of one narrow type whose rows begin at multiples of 16 bytes.
  static bool suitsTensorCores(ArrayRef<Projection> projections) {
    Type x = getElementTypeOrSelf(projections[0].input->get().getType());
    return (x.isBF16() || x.isF16()) && x == projections[0].weightType().getElementType() &&
           projections[0].depth() % 8 == 0;
  }

  /// Large tiles where there are enough of them: each byte of a tile is used once per row or column of it.
  ConfigAttr selectMmaGemm(ArrayRef<Projection> projections) {
    constexpr int64_t manyColumns = 4096;
    auto gemm = [&](ArrayRef<int64_t> tile, int64_t threads, int64_t stages) {
      return ConfigAttr::get(&getContext(), "mma_gemm", tile, threads, stages, /*vector=*/8);
    };
    if (projections[0].columns() < manyColumns)
      return gemm({64, 64, 32}, 128, 4);
    // Two weights have twice the sums.
    return projections.size() > 1 ? gemm({128, 64, 32}, 256, 4) : gemm({128, 128, 32}, 256, 4);
  }

  ConfigAttr select(func::FuncOp dispatch, StringRef arch) {
    Operation *output = outputOf(dispatch);
    if (auto attention = dyn_cast<AttentionOp>(output))
      if (suitsFlashAttention(attention))
        return ConfigAttr::get(&getContext(), "flash_attention", {64, 64}, kBlockThreads, /*stages=*/2,
                               /*vector=*/8);
    if (isa<AttentionOp>(output))
      return config("row_attention", {1}, kBlockThreads, kAccessBytes / widestElement(dispatch));
    if (auto append = dyn_cast<CacheAppendOp>(output)) {
      KVCacheType type = append.getCache().getType();
      int64_t vector = kAccessBytes / std::max<int64_t>(4, type.getElement().getIntOrFloatBitWidth() / 8);
      return rowsConfig("append", type.getHeadDim(), vector);
    }
    auto type = cast<RankedTensorType>(output->getResult(0).getType());
    if (SmallVector<Projection> projections = plainProjections(dispatch); !projections.empty()) {
      auto input = cast<RankedTensorType>(projections[0].input->get().getType());
      int64_t narrow =
          std::min(input.getElementTypeBitWidth(), projections[0].weightType().getElementTypeBitWidth()) / 8;
      if (input.getRank() < 2 || input.getDimSize(input.getRank() - 2) == 1)
        return config("gemv", {projections.size() > 1 ? 2 : 4, 4}, kBlockThreads, kAccessBytes / narrow);
      if (suitsTensorCores(projections))
        return selectMmaGemm(projections);
      return config("simt_gemm", {64, 64, 16}, 256, 4);
    }
    if (contractionOf(dispatch))
      return config("elements", {1}, kBlockThreads, 1);
    int64_t size = type.getRank() == 0 ? 1 : type.getShape().back();
    return rowsConfig("rows", size, kAccessBytes / std::max<int64_t>(widestElement(dispatch), 2));
  }
};
} // namespace
