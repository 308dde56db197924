//===- RegionProgram.h - a block of scalar ops, ready to run many times ---===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef DIALECT_INTERPRETER_REGIONPROGRAM_H
#define DIALECT_INTERPRETER_REGIONPROGRAM_H

#include "dialect/interpreter/Execution.h"
#include "dialect/interpreter/ScalarOps.h"

namespace mlir::transformer {

/// A block whose arguments and terminator operands are scalars: the body of a
/// structured op, of `tensor.generate` or `tensor.pad`. Its ops become
/// instructions over registers; a block with other ops (control flow) runs op by
/// op instead, with the same result.
class RegionProgram {
public:
  /// Reads the values that the block captures from `execution`.
  RegionProgram(Block &block, Execution &execution);

  /// The registers of the block's arguments, set before each `evaluate`.
  MutableArrayRef<Slot> arguments() { return MutableArrayRef(registers).take_front(block.getNumArguments()); }
  /// Runs the block; `point` is what `linalg.index` reads.
  LogicalResult evaluate(ArrayRef<int64_t> point);
  /// A terminator operand of the last run.
  Slot result(unsigned i) const { return registers[results[i]]; }

private:
  struct Instruction {
    enum Kind { Scalar, Index, Extract, Apply } kind;
    Operation *op;
    unsigned destination;
    SmallVector<unsigned, 3> operands;
    ScalarOp scalar;
    int64_t dim = 0;
    Tensor tensor;
    AffineMap map;
  };

  /// Turns an op into an instruction or a constant register; false if it cannot be.
  bool compile(Operation *op);
  unsigned newRegister();
  unsigned registerOf(Value value);
  LogicalResult evaluate(const Instruction &instruction, ArrayRef<int64_t> point);
  LogicalResult interpretBlock(ArrayRef<int64_t> point);

  Block &block;
  Execution &execution;
  bool compiled = true;
  std::vector<Slot> registers;
  std::vector<Instruction> instructions;
  SmallVector<unsigned> results;
  llvm::DenseMap<Value, unsigned> assigned;
};

} // namespace mlir::transformer

#endif // DIALECT_INTERPRETER_REGIONPROGRAM_H
