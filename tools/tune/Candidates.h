//===- Candidates.h - configs worth timing --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_TUNE_CANDIDATES_H
#define TOOLS_TUNE_CANDIDATES_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::transformer {

/// What bounds the candidates of a dispatch.
struct CandidateLimits {
  int64_t registers = 16; ///< of vectors
  int64_t columns = 0;    ///< N of a contraction
  int64_t depth = 0;      ///< K of a contraction
  bool manyRows = false;  ///< whether there are more rows than one
  /// Whether other dispatches read the same weights: panels of another width would be
  /// a second copy of them in the artifact.
  bool keepsColumns = false;
};

/// Members of a config are searched one after the other: the best of a stage is
/// where the next begins.
enum class Stage { Tile, Rows, Steps, Grain };

/// Configs like `base` but for what `stage` changes, the likeliest first. All of them
/// may replace `chosen`, and none is `base`.
SmallVector<LoweringConfigAttr> candidatesOf(LoweringConfigAttr base, LoweringConfigAttr chosen, Stage stage,
                                             const CandidateLimits &limits);

} // namespace mlir::transformer

#endif // TOOLS_TUNE_CANDIDATES_H
