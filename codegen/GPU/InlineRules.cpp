//===- InlineRules.cpp - what kernels of the GPU can inline -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/KernelTemplates.h"

using namespace mlir;
using namespace mlir::transformer;

static int64_t columnsOf(Operation *op) {
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  return type.getRank() == 0 ? 1 : type.getShape().back();
}

namespace {
/// What the CPU's kernels inline, but for prologues of contractions and attention: a
/// block of a GPU sees a part of the columns or keys, so that each of hundreds of blocks
/// would compute the prologue again, and the activations it saves stay in the L2 cache.
class GPUTemplates : public KernelTemplates {
public:
  InlineAnswer canInline(const DispatchGroup &group, linalg::GenericOp producer,
                         ArrayRef<Operation *> views) const override {
    InlineAnswer answer = cpuTemplates().canInline(group, producer, views);
    if (answer.how == Inlined::Prologue && !isa<CacheAppendOp>(group.output))
      return {Inlined::No, "each block of the kernel would compute it again"};
    if (answer.how == Inlined::Root && columnsOf(producer) != columnsOf(group.output))
      return {Inlined::No, "its rows have another length than those of the dispatch"};
    return answer;
  }
};
} // namespace

const KernelTemplates &mlir::transformer::gpuTemplates() {
  static const GPUTemplates templates;
  return templates;
}
