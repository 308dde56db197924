//===- Remarks.h - what passes did, and what they nearly did --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Patterns call these two instead of MLIR's own: they name the function, and a
// missed remark cannot be made without an operand, a reason and the smallest
// change that would make the pattern match.
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_REMARKS_H
#define PASSES_REMARKS_H

#include "mlir/IR/PatternMatch.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer {

/// Reports that the pass `pass` (its DEBUG_TYPE) rewrote `op`, before `op` goes:
/// "merged 3 projections into one of 96 rows".
void passed(Operation *op, StringRef pass, const Twine &what);

/// Reports that `op` is nearly what `pass` looks for: which operand fails, why,
/// and the smallest change after which it would match. Returns failure, so that
/// a pattern ends with it; the rewriter is told too.
LogicalResult missed(RewriterBase &rewriter, Operation *op, StringRef pass, StringRef operand,
                     const Twine &reason, const Twine &change);

/// Where people look for an op: its layer and part ("layers.3.attn_q"), or file,
/// line and column.
std::string placeOf(Location loc);

struct RemarkOptions {
  bool passed = false, missed = false;
  /// Receives one line per remark; equal lines of several functions once. May be null.
  llvm::raw_ostream *lines = nullptr;
  /// A YAML file of all remarks that are asked for, or empty.
  std::string file;
};

/// Sends the remarks of the context's passes where `options` says.
llvm::Error enableRemarks(MLIRContext &context, const RemarkOptions &options);

} // namespace mlir::transformer

#endif // PASSES_REMARKS_H
