//===- KernelTemplates.h - what dispatch formation asks of templates ------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_KERNELTEMPLATES_H
#define CODEGEN_COMMON_KERNELTEMPLATES_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/SetVector.h"

namespace mlir::transformer {

/// Ops that become one dispatch. `output` is the last of them in program order.
struct DispatchGroup {
  Operation *output;
  llvm::SmallSetVector<Operation *, 8> ops;
  /// The contraction whose accumulators feed the rest, if there is one.
  Operation *root = nullptr;

  /// The op that gives the dispatch its name.
  Operation *named() const { return root ? root : output; }
};

/// The kernel templates of a target. What they cannot inline is never fused.
class KernelTemplates {
public:
  virtual ~KernelTemplates() = default;
  /// Whether the kernel of `group` can compute `producer` where it is read,
  /// instead of loading it. Every reader of `producer` must be in the group.
  virtual bool canInline(const DispatchGroup &group, linalg::GenericOp producer) const = 0;
};

/// Those of codegen/CPU.
const KernelTemplates &cpuTemplates();

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_KERNELTEMPLATES_H
