//===- SelectGPUKernels.cpp - template and tiles of each dispatch -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/Projection.h"
#include "codegen/GPU/AttentionKernel.h"
#include "codegen/GPU/ContractionKernel.h"
#include "codegen/GPU/FewRows.h"
#include "codegen/GPU/Validated.h"
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
constexpr int64_t kSplitKeys = 256;    ///< that a split of a query's keys has at least

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
    findRowsOfEach();
    for (func::FuncOp dispatch : getOperation().getOps<func::FuncOp>()) {
      if (!isDispatch(dispatch) || dispatch->hasAttr(kGPUConfigsAttr))
        continue;
      SmallVector<NamedAttribute> configs;
      for (const std::string &arch : archs)
        configs.push_back({StringAttr::get(&getContext(), arch), select(dispatch, arch)});
      dispatch->setAttr(kGPUConfigsAttr, DictionaryAttr::get(&getContext(), configs));
    }
  }

  /// The dispatches that have rows [B, K] wherever they are launched, one for each sequence: those of the
  /// last position, which the head of a model multiplies.
  void findRowsOfEach() {
    llvm::DenseSet<StringAttr> others;
    getOperation().walk([&](LaunchOp launch) {
      StringAttr name = launch.getKernelAttr().getLeafReference();
      bool isOfEach = launch.getOutputs().size() == 1 && hasRowOfEachSequence(launch.getOutputs()[0]) &&
                      cast<RankedTensorType>(launch.getOutputs()[0].getType()).getRank() == 2;
      (isOfEach ? rowsOfEach : others).insert(name);
    });
    for (StringAttr name : others)
      rowsOfEach.erase(name);
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

  /// The projections of a dispatch whose weights lie in memory, and their rows, or those are few.
  SmallVector<Projection> plainProjections(func::FuncOp dispatch) {
    SmallVector<Projection> projections = projectionsOf(dispatch);
    for (Projection &projection : projections)
      if (!isa<BlockArgument>(projection.weight->get()) ||
          !(isa<BlockArgument>(projection.input->get()) || !fewRowsTemplateOf(projection).empty()) ||
          projection.input->get() != projections[0].input->get() ||
          projection.weightType() != projections[0].weightType() || projection.isInteger())
        return {};
    return projections;
  }

  /// All of one narrow type, of heads that begin at multiples of 4 bytes and whose sums fit in registers.
  static bool suitsFlashAttention(AttentionOp op) {
    constexpr int64_t mostDims = 256, mostRows = 64;
    AttentionShape shape(op);
    return shape.isNarrow() && getElementTypeOrSelf(op.getType()) == shape.query && shape.headDim % 2 == 0 &&
           shape.headDim <= mostDims && shape.group <= mostRows;
  }

  /// How many splits of a query's keys make two blocks for each processor of a large GPU; what runs on fewer
  /// processors loses a merge. A split is long enough that its block reads for longer than it takes to begin.
  static int64_t splitsOf(AttentionOp op, int64_t blocks) {
    constexpr int64_t wantedBlocks = 2 * 132;
    auto query = cast<RankedTensorType>(op.getQuery().getType());
    int64_t keys = std::numeric_limits<int64_t>::max();
    if (op.getMask().getKind() == MaskKind::Window)
      keys = op.getMask().getWindow();
    if (op.getKey() && !cast<RankedTensorType>(op.getKey().getType()).isDynamicDim(1))
      keys = std::min(keys, cast<RankedTensorType>(op.getKey().getType()).getDimSize(1));
    if (query.getDimSize(1) != 1)
      return 1;
    int64_t batch = query.isDynamicDim(0) ? 1 : std::max<int64_t>(query.getDimSize(0), 1);
    return std::max<int64_t>(std::min(wantedBlocks / (batch * blocks), keys / kSplitKeys), 1);
  }

  /// Attention of so few queries that the heads that share keys, or as many of them as fit, make one block's
  /// rows; null for any other.
  ConfigAttr selectDecodeAttention(AttentionOp op) {
    constexpr int64_t mostDims = 256, threads = 256;
    AttentionShape shape(op);
    bool onTensorCores = shape.isNarrow() && shape.headDim % 2 == 0;
    // Rows whose sums fit in registers.
    int64_t most = onTensorCores && shape.headDim <= mostDims / 2 ? 16 : 8;
    if (ShapedType::isDynamic(shape.positions) || shape.positions < 1 || shape.headDim > mostDims)
      return {};
    // Prefill reads keys once for more rows.
    if (shape.positions > 1 && shape.positions * shape.group > most)
      return {};
    int64_t heads = std::min(shape.group, most / shape.positions);
    while (shape.group % heads != 0)
      --heads;
    int64_t bits = std::max({shape.query.getIntOrFloatBitWidth(), shape.key.getIntOrFloatBitWidth(),
                             shape.value.getIntOrFloatBitWidth()});
    return config(onTensorCores ? "decode_attention" : "simt_decode_attention",
                  {shape.positions * heads, splitsOf(op, shape.heads / heads), kSplitKeys}, threads,
                  8 * kAccessBytes / bits);
  }

  /// Large tiles where there are enough of them: each byte of a tile is used once per row or column of it.
  ConfigAttr selectMmaGemm(ArrayRef<Projection> projections) {
    constexpr int64_t manyColumns = 4096;
    // 64 bytes of k.
    int64_t chunk = 128 / projections[0].weightType().getElementTypeBitWidth(), depth = 4 * chunk;
    auto gemm = [&](int64_t rows, int64_t columns, int64_t threads) {
      return ConfigAttr::get(&getContext(), "mma_gemm", {rows, columns, depth}, threads, /*stages=*/4, chunk);
    };
    if (projections[0].columns() < manyColumns)
      return gemm(64, 64, 128);
    // Two weights have twice the sums.
    return projections.size() > 1 ? gemm(128, 64, 256) : gemm(128, 128, 256);
  }

  /// Whether kernels may use what sm_90a alone has (TMA, wgmma).
  bool hasWarpgroups(StringRef arch, StringRef name) {
    return arch == "sm_90a" && (newest || isValidated(name, arch));
  }

  /// Blocks of a cluster that share weights or, where tiles are few, split K. Of an unknown number of rows
  /// four tiles are taken to be one below the other. Clusters of four leave processors out where there are
  /// many tiles (those of a GPC are no multiple of four), and a share of K must be worth an exchange of sums.
  static int64_t clusterOf(const Projection &projection, std::optional<int64_t> rows, int64_t tileRows,
                           int64_t tileColumns, int64_t tileDepth) {
    constexpr int64_t processors = 132, leastSteps = 2, stepsOfFour = 4, usualRows = 512;
    int64_t tiles = llvm::divideCeilSigned(rows.value_or(usualRows), tileRows) *
                    llvm::divideCeilSigned(projection.columns(), tileColumns);
    int64_t steps = llvm::divideCeilSigned(projection.depth(), tileDepth);
    if (4 * tiles <= processors && steps >= 4 * stepsOfFour)
      return 4;
    return steps >= 2 * leastSteps ? 2 : 1;
  }

  /// 128 rows, two warpgroups of 64, against up to 256 columns: the most sums that fit in registers.
  ConfigAttr selectWgmmaGemm(ArrayRef<Projection> projections, std::optional<int64_t> rowsOfX) {
    constexpr int64_t rows = 128, depth = 64, threads = 384, mostColumns = 256, mostBytes = 196608;
    int64_t columns = mostColumns / static_cast<int64_t>(projections.size());
    // A narrow result has more tiles, one for each multiprocessor, with fewer columns in each.
    if (projections[0].columns() < 4096)
      columns = std::min<int64_t>(columns, 128);
    int64_t bytes = 2 * depth * (rows + columns * static_cast<int64_t>(projections.size()));
    int64_t cluster = clusterOf(projections[0], rowsOfX, rows, columns, depth);
    return ConfigAttr::get(&getContext(), "wgmma_gemm", {rows, columns, depth, cluster}, threads,
                           /*stages=*/mostBytes / bytes, /*vector=*/8);
  }

  /// Rows of whole positions; keys that lie one behind the other, at multiples of 16 bytes; scores that need
  /// no more registers.
  static bool suitsWgmmaAttention(AttentionOp op) {
    AttentionShape shape(op);
    bool isRing = op.getCache() && op.getCache().getType().getPolicy() == CachePolicy::Ring;
    return llvm::isPowerOf2_64(shape.group) && shape.headDim <= 128 && shape.headDim % 8 == 0 && !isRing &&
           !op.getBias();
  }

  ConfigAttr selectProjections(ArrayRef<Projection> projections, StringRef arch, bool isRowOfEach) {
    auto input = cast<RankedTensorType>(projections[0].input->get().getType());
    int64_t narrow =
        std::min(input.getElementTypeBitWidth(), projections[0].weightType().getElementTypeBitWidth()) / 8;
    StringRef fewRows = fewRowsTemplateOf(projections[0], isRowOfEach);
    if (fewRows == "skinny_gemm") {
      bool large = projections[0].columns() >= 8192 && projections.size() == 1;
      return ConfigAttr::get(&getContext(), fewRows, {large ? 32 : 16}, 2 * kBlockThreads, /*stages=*/2,
                             /*vector=*/8);
    }
    if (fewRows == "gemv")
      return config(fewRows, {projections.size() > 1 ? 2 : 4, 4}, kBlockThreads, kAccessBytes / narrow);
    // Rows that do not begin at multiples of 16 bytes are those that no pass has padded.
    bool onTensorCores = suitsTensorCores(projections[0], tf32) && hasWholeChunks(projections[0]);
    bool isNarrow = narrow < 4;
    if (onTensorCores && isNarrow && projections.size() <= 2 && hasWarpgroups(arch, "wgmma_gemm"))
      return selectWgmmaGemm(projections, rowsOf(input));
    if (onTensorCores)
      return selectMmaGemm(projections);
    return config("simt_gemm", {64, 64, 16}, 256, 4);
  }

  ConfigAttr selectAttention(AttentionOp op, StringRef arch) {
    if (ConfigAttr decode = selectDecodeAttention(op))
      return decode;
    if (suitsFlashAttention(op) && suitsWgmmaAttention(op) && hasWarpgroups(arch, "wgmma_attention"))
      return ConfigAttr::get(&getContext(), "wgmma_attention", {128, 128}, /*threads=*/384, /*stages=*/2,
                             /*vector=*/8);
    if (suitsFlashAttention(op))
      return ConfigAttr::get(&getContext(), "flash_attention",
                             {64, AttentionShape(op).headDim > 128 ? 32 : 64}, kBlockThreads, /*stages=*/2,
                             /*vector=*/8);
    // What stands in shared memory, and heads that share keys, have a limit.
    AttentionShape shape(op);
    if (shape.headDim <= 128 && shape.group <= 64)
      return config("simt_attention", {64, 32}, kBlockThreads, 4);
    int64_t bits = std::max({shape.query.getIntOrFloatBitWidth(), shape.key.getIntOrFloatBitWidth(),
                             shape.value.getIntOrFloatBitWidth()});
    return config("row_attention", {1}, kBlockThreads, 8 * kAccessBytes / bits);
  }

  ConfigAttr select(func::FuncOp dispatch, StringRef arch) {
    Operation *output = outputOf(dispatch);
    if (auto attention = dyn_cast<AttentionOp>(output))
      return selectAttention(attention, arch);
    if (auto merge = dyn_cast<AttentionMergeOp>(output)) {
      int64_t headDim = cast<RankedTensorType>(merge.getResult().getType()).getDimSize(3);
      return config("attention_merge", {1}, std::min<int64_t>(llvm::alignTo(headDim, 32), kBlockThreads), 1);
    }
    if (auto append = dyn_cast<CacheAppendOp>(output)) {
      KVCacheType type = append.getCache().getType();
      int64_t vector = kAccessBytes / std::max<int64_t>(4, type.getElement().getIntOrFloatBitWidth() / 8);
      return rowsConfig("append", type.getHeadDim(), vector);
    }
    auto type = cast<RankedTensorType>(output->getResult(0).getType());
    if (SmallVector<Projection> projections = plainProjections(dispatch); !projections.empty())
      return selectProjections(projections, arch, rowsOfEach.contains(dispatch.getSymNameAttr()));
    if (contractionOf(dispatch))
      return config("elements", {1}, kBlockThreads, 1);
    int64_t size = type.getRank() == 0 ? 1 : type.getShape().back();
    return rowsConfig("rows", size, kAccessBytes / std::max<int64_t>(widestElement(dispatch), 2));
  }

  llvm::DenseSet<StringAttr> rowsOfEach;
};
} // namespace
