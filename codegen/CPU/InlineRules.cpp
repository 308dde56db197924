//===- InlineRules.cpp - what the CPU's templates can inline --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/KernelTemplates.h"
#include "codegen/Common/Projection.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {
class CPUTemplates : public KernelTemplates {
public:
  /// Those whose weight can be packed at compile time.
  bool canShareRows(const Projection &projection) const override {
    auto use = projection.weight->get().getDefiningOp<UseOp>();
    return use && !PackedAttr::of(use.getResult().getType());
  }
};
} // namespace

const KernelTemplates &mlir::transformer::cpuTemplates() {
  static const CPUTemplates templates;
  return templates;
}
