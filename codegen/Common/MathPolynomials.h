//===- MathPolynomials.h - functions of f32 with a stated error ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_MATHPOLYNOMIALS_H
#define CODEGEN_COMMON_MATHPOLYNOMIALS_H

#include "mlir/IR/PatternMatch.h"

namespace mlir::transformer {

/// Patterns for functions of f32, scalars and vectors, that are preferred to upstream's.
/// The largest errors are stated in codegen/README.md, in units in the last place (ulp).
void populateMathPolynomialPatterns(RewritePatternSet &patterns);

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_MATHPOLYNOMIALS_H
