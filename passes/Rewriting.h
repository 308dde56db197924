//===- Rewriting.h - how passes apply their patterns ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef PASSES_REWRITING_H
#define PASSES_REWRITING_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/PatternMatch.h"

namespace mlir::transformer {

/// Offers every op to the patterns once, in order, and erases what nothing reads
/// afterwards. Once, so that each near miss is reported once and a pass takes the
/// time of one walk; patterns start at the last op of what they match, whose
/// producers are then in their final form.
void applyOnce(ModuleOp module, RewritePatternSet &&patterns);

/// Erases ops without effects and readers, of functions only.
void eraseUnused(ModuleOp module);

} // namespace mlir::transformer

#endif // PASSES_REWRITING_H
