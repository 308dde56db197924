//===- InlineRules.cpp - what kernels of the GPU can inline -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/KernelTemplates.h"
#include "codegen/GPU/FewRows.h"
#include "codegen/GPU/RowPrologue.h"

using namespace mlir;
using namespace mlir::transformer;

static int64_t columnsOf(Operation *op) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  return type.getRank() == 0 ? 1 : type.getShape().back();
}

static int64_t bytesOf(Type element) { return llvm::divideCeilSigned(element.getIntOrFloatBitWidth(), 8); }

/// Whether the kernel of the group's roots reads their sums element by element, as those of few rows do.
static bool isPlain(const DispatchGroup &group) {
  auto shapeOf = [](Operation *op) { return cast<RankedTensorType>(op->getResult(0).getType()).getShape(); };
  return llvm::all_of(group.roots, [&](linalg::GenericOp root) {
    std::optional<Projection> projection = Projection::match(root);
    if (!projection || projection->isInteger() || shapeOf(root) != shapeOf(group.output))
      return false;
    return root == group.output || llvm::all_of(root->getUses(), [](OpOperand &use) {
             auto consumer = dyn_cast<linalg::GenericOp>(use.getOwner());
             return consumer && consumer.getNumReductionLoops() == 0 &&
                    consumer.getMatchingIndexingMap(&use).isIdentity();
           });
  });
}

/// Whether reading rows again in each block costs less than the launch that it saves (README.md): what the
/// blocks read more hides behind twice as many bytes of weights from memory, or takes no longer than the
/// launch.
static bool paysAgain(const DispatchGroup &group, const Projection &projection, linalg::GenericOp producer) {
  constexpr int64_t columnsOfBlock = 16;                // of all weights; of each in skinny_gemm
  constexpr int64_t cacheBytesOfLaunch = 2 * 5'000'000; // two microseconds at 5 TB/s
  int64_t rowBytes = 0, weights = static_cast<int64_t>(group.roots.size());
  for (OpOperand *operand : producer.getDpsInputOperands())
    if (auto type = dyn_cast<RankedTensorType>(operand->get().getType());
        type && type.getRank() == static_cast<int64_t>(producer.getNumLoops()))
      rowBytes += bytesOf(type.getElementType()) * projection.depth();
  auto input = cast<RankedTensorType>(projection.input->get().getType());
  int64_t columns = projection.columns() * (fewRowsTemplateOf(projection) == "gemv" ? weights : 1);
  int64_t blocks = llvm::divideCeilSigned(columns, columnsOfBlock);
  int64_t again = blocks * rowsOf(input).value_or(group.sequences) * rowBytes;
  int64_t fromMemory =
      weights * projection.weightType().getNumElements() * bytesOf(projection.weightType().getElementType());
  return 2 * again <= fromMemory || again <= cacheBytesOfLaunch;
}

/// Whether threads compute a row together: reductions are those of a whole row.
static bool isOfWholeRows(linalg::GenericOp producer, ArrayRef<Operation *> views, int64_t rank) {
  if (producer.getNumReductionLoops() == 0)
    return true;
  AffineMap map = producer.getIndexingMapsArray().back();
  return views.empty() && isSharedByThreads(producer) && map.getNumResults() == rank - 1 &&
         map == AffineMap::getMultiDimIdentityMap(rank, map.getContext()).dropResult(rank - 1);
}

namespace {
/// What templates of all targets inline, but for prologues that each of many blocks would compute again. They
/// stay in the kernels of products with few rows, and in an append, whose blocks share nothing.
class GPUTemplates : public KernelTemplates {
public:
  InlineAnswer canInline(const DispatchGroup &group, linalg::GenericOp producer,
                         ArrayRef<Operation *> views) const override {
    InlineAnswer answer = KernelTemplates::canInline(group, producer, views);
    if (answer.how != Inlined::Prologue || isa<CacheAppendOp>(group.output))
      return answer;
    if (group.roots.empty() || !isPlain(group))
      return {Inlined::No, "each block of the kernel would compute it again"};
    if (answer.how == Inlined::Root && columnsOf(producer) != columnsOf(group.output))
      return {Inlined::No, "its rows have another length than those of the dispatch"};
    if (!producer.getRegion().getOps<tensor::ExtractOp>().empty())
      return {Inlined::No, "it reads where its own loops do not"};
    linalg::GenericOp root = group.roots.front();
    Projection projection = *Projection::match(root);
    auto rows = cast<RankedTensorType>(projection.input->get().getType());
    if (fewRowsTemplateOf(projection).empty())
      return {Inlined::No, "each block of the kernel would compute it again"};
    if (projection.depth() * bytesOf(rows.getElementType()) > RowPrologue::kMostBytes)
      return {Inlined::No, "a row of it does not fit into shared memory beside others"};
    if (!isOfWholeRows(producer, views, rows.getRank()))
      return {Inlined::No, "no kernel reduces parts of a row before its own loops"};
    if (!paysAgain(group, projection, producer))
      return {Inlined::No, "each block would read its rows again, which takes longer than a launch"};
    return answer;
  }
  bool canShareRows(const Projection &projection) const override { return !projection.isInteger(); }
};
} // namespace

const KernelTemplates &mlir::transformer::gpuTemplates() {
  static const GPUTemplates templates;
  return templates;
}
