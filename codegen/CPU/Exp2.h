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

/// 2^f for |f| <= 1/2, from the highest coefficient on; the last is 1, so that whole
/// powers are exact. The long one is off by 1.7e-7, 2.0 units in the last place of f32
/// (the best of degree 5 in the largest relative error); the short one by 5.6e-5, a thirtieth
/// of the error of a rounding to bf16.
constexpr double kExp2[] = {1.326472713590017e-03, 9.671512644876064e-03, 5.550733743456369e-02,
                            2.402224208526113e-01, 6.931469775990210e-01, 1.0};
constexpr double kExp2Short[] = {9.618129107628477e-3, 5.550410866482158e-2, 2.402265069591007e-1,
                                 6.931471805599453e-1, 1.0};
/// 2^x for finite x <= 0; zero far below. `x` is a scalar or a vector of f32.
Value emitExp2(OpBuilder &b, Location loc, Value x, ArrayRef<double> coefficients);

} // namespace mlir::transformer

#endif // CODEGEN_CPU_EXP2_H
