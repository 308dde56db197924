//===- Exp2.h - 2^x for softmax --------------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_EXP2_H
#define CODEGEN_CPU_EXP2_H

#include "mlir/IR/Builders.h"

namespace mlir::transformer {

/// 2^f for |f| <= 1/2, from the highest coefficient on, each the best of its degree in the
/// largest relative error. The last is 1: whole powers are exact, and what is far below
/// becomes zero, which is 1 with an exponent of one below the least. The long one is off by
/// 1.7e-7, 2.0 units in the last place of f32; the short one by 1.02e-4, a 19th of the error of
/// a rounding to bf16.
constexpr double kExp2[] = {1.326472713590017e-03, 9.671512644876064e-03, 5.550733743456369e-02,
                            2.402224208526113e-01, 6.931469775990210e-01, 1.0};
constexpr double kExp2Short[] = {5.500893223252124e-2, 2.422109658150801e-1, 6.932829276960519e-1, 1.0};
/// 2^x for finite x <= 0; zero far below. `x` is a scalar or a vector of f32.
Value emitExp2(OpBuilder &b, Location loc, Value x, ArrayRef<double> coefficients);

} // namespace mlir::transformer

#endif // CODEGEN_CPU_EXP2_H
