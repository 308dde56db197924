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

struct Projection;

/// Ops that become one dispatch. `output` is the last of them in program order.
struct DispatchGroup {
  Operation *output;
  llvm::SmallSetVector<Operation *, 8> ops;
  /// The contractions whose accumulators feed the rest; several multiply one input.
  SmallVector<linalg::GenericOp, 2> roots;
  /// Those of `ops` that make what the roots multiply, or the query, key and value
  /// of an attention or append: computed row by row before the kernel's own loops.
  llvm::SmallSetVector<Operation *, 8> prologue;
  /// What may be fused: 0 nothing, 1 elementwise ops around a root, 2 whatever the
  /// templates can inline.
  int64_t level = 2;
  /// Rows that a product of one position of each sequence is taken to have.
  int64_t sequences = 1;

  /// The op that gives the dispatch its name.
  Operation *named() const {
    if (roots.empty())
      return output;
    linalg::GenericOp first = roots.front();
    return first;
  }
};

/// How a producer enters a group.
enum class Inlined { No, Elementwise, Prologue, Root };

/// The answer of a template: how, or why not. `nearMiss` marks a refusal worth
/// telling, with the change that would lift it in `reason`.
struct InlineAnswer {
  Inlined how = Inlined::No;
  StringRef reason = "";
  bool nearMiss = false;
};

/// The kernel templates of a target. What they cannot inline is never fused. What templates of all targets
/// can do is the same for all (InlineRules.cpp); a target takes from it what its own cannot.
class KernelTemplates {
public:
  virtual ~KernelTemplates() = default;
  /// Whether the kernel of `group` can compute `producer` where it is read,
  /// instead of loading it. `views` are the reshapes between the producer and its
  /// readers, not yet in the group; every other reader must be in the group.
  virtual InlineAnswer canInline(const DispatchGroup &group, linalg::GenericOp producer,
                                 ArrayRef<Operation *> views) const;
  /// Whether the kernel of a projection can compute the rows that it multiplies before its own loops, and
  /// multiply more weights with them.
  virtual bool canShareRows(const Projection &projection) const = 0;
};

/// Those of codegen/CPU and of codegen/GPU.
const KernelTemplates &cpuTemplates();
const KernelTemplates &gpuTemplates();

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_KERNELTEMPLATES_H
