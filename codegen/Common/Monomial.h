//===- Monomial.h - sizes as constants times symbolic sizes ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_MONOMIAL_H
#define CODEGEN_COMMON_MONOMIAL_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace mlir::transformer {

/// coefficient * product of symbolic sizes, by their numbers in the entry point,
/// sorted.
struct Monomial {
  int64_t coefficient = 1;
  SmallVector<int64_t> symbols;

  void operator*=(const Monomial &other) {
    coefficient *= other.coefficient;
    symbols.append(other.symbols);
    llvm::sort(symbols);
  }

  /// Reads products of constants and `transformer.size`.
  static std::optional<Monomial> of(OpFoldResult size) {
    if (std::optional<int64_t> constant = getConstantIntValue(size))
      return Monomial{*constant, {}};
    auto value = cast<Value>(size);
    if (auto symbol = value.getDefiningOp<SizeOp>())
      return Monomial{1, {static_cast<int64_t>(symbol.getIndex())}};
    auto product = value.getDefiningOp<arith::MulIOp>();
    if (!product)
      return std::nullopt;
    std::optional<Monomial> a = of(product.getLhs()), b = of(product.getRhs());
    if (!a || !b)
      return std::nullopt;
    *a *= *b;
    return a;
  }
};

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_MONOMIAL_H
