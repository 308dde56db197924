//===- IntegerProducts.h - products of bytes, exact in i32 ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_INTEGERPRODUCTS_H
#define CODEGEN_CPU_INTEGERPRODUCTS_H

#include "dialect/Transformer.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::transformer {

/// Products of rows of i8 and weights of i8 or i4, summed in i32. How many values of k
/// an instruction sums, and the lanes, say which it is:
///   4: vpdpbusd, of unsigned by signed bytes, or sdot
///   2: pmaddwd, of i16
///   1: a multiplication of i16
/// Rows are widened to i16 before the loop where the instruction takes that. A step of i4
/// has two parts, the low and the high halves of bytes, so it holds twice as many values.
class IntegerProducts {
public:
  /// `depth` is that of a step.
  IntegerProducts(Type weight, int64_t lanes, int64_t depth)
      : isNarrow(weight.isInteger(4)), lanes(lanes), depth(isNarrow ? depth / 2 : depth) {}

  int64_t parts() const { return isNarrow ? 2 : 1; }
  /// Values of k that one instruction sums.
  int64_t partDepth() const { return depth; }
  /// The type rows are multiplied in: i8 or i16.
  IntegerType rowType(MLIRContext *context) const { return IntegerType::get(context, depth == 4 ? 8 : 16); }
  /// How much larger weights are stored: by 128 where they must be unsigned; by 8 where
  /// they have 4 bits, which spares extending a sign.
  int64_t bias() const { return isNarrow ? 8 : depth == 4 && lanes > 4 ? 128 : 0; }
  /// Bytes that hold a step of a column.
  int64_t columnBytes() const { return depth; }
  /// Part `part` of a vector of stored weights, as an instruction takes it.
  Value unpack(OpBuilder &b, Location loc, Value stored, int64_t part) const;
  /// sum + weights x, over the neighbours of each lane.
  Value multiplyAdd(OpBuilder &b, Location loc, Value weights, Value x, Value sum) const;
  /// -bias times the sum of a row of `width` values, whole instructions of them: what
  /// takes back from the row's products that weights are stored larger.
  Value correction(OpBuilder &b, Location loc, Value rows, Value row, int64_t width) const;

private:
  bool isNarrow;
  int64_t lanes, depth;
};

/// How much larger the weights of a contraction are stored.
inline int64_t biasOf(Type weight, LoweringConfigAttr config) {
  return weight.isInteger() ? IntegerProducts(weight, config.getVector(), config.getBlock()[2]).bias() : 0;
}

} // namespace mlir::transformer

#endif // CODEGEN_CPU_INTEGERPRODUCTS_H
