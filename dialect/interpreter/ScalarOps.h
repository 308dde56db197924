//===- ScalarOps.h - arith and math on one element ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef DIALECT_INTERPRETER_SCALAROPS_H
#define DIALECT_INTERPRETER_SCALAROPS_H

#include "dialect/interpreter/Values.h"

#include "llvm/ADT/StringMap.h"

namespace mlir::transformer {

/// An arith or math operation, ready to run on elements.
struct ScalarOp {
  /// Computes `out` from the operands. Returns nothing, or what went wrong.
  using Evaluate = const char *(*)(const ScalarOp &op, const Slot *in, Slot &out);

  Evaluate evaluate = nullptr;
  double (*unary)(double) = nullptr;
  double (*binary)(double, double) = nullptr;
  Type inType, outType;                 // elements of the first operand and the result
  unsigned inWidth = 64, outWidth = 64; // of integers; an index has 64
  int64_t predicate = 0;                // of a comparison
};

using ScalarTable = llvm::StringMap<ScalarOp>;
void addArithScalars(ScalarTable &table);
void addMathScalars(ScalarTable &table);

/// All operations that `resolveScalarOp` knows, by name.
const ScalarTable &scalarTable();

/// `op` as a function of elements, or nothing.
std::optional<ScalarOp> resolveScalarOp(Operation *op);

/// The value of an `arith.constant` of scalar type.
std::optional<Slot> scalarConstant(Attribute value);

} // namespace mlir::transformer

#endif // DIALECT_INTERPRETER_SCALAROPS_H
