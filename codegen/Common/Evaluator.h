//===- Evaluator.h - tensor expressions as scalar or vector code ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A dispatch's body is a small expression over tensors. The evaluator writes the
// code that computes one element of a tensor of it, or one vector of neighbouring
// elements, by inlining the regions of the ops that define it. Templates decide
// the loops; what stands inside them comes from here.
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_EVALUATOR_H
#define CODEGEN_COMMON_EVALUATOR_H

#include "codegen/Common/DispatchCost.h"
#include "dialect/Transformer.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace mlir::transformer {

/// A dispatch being emitted: its tensor-level body and its memref function.
struct KernelContext {
  func::FuncOp spec;
  func::FuncOp kernel;
  /// Arguments of `spec` to those of `kernel`; a cache has several (keys, values,
  /// length at the begin of the call, positions appended since), anything else one.
  DenseMap<Value, SmallVector<Value>> arguments;
  Value begin, end; ///< the tasks to run

  Value argument(Value specArgument) const { return arguments.lookup(specArgument)[0]; }
  /// The number of the kernel's argument that stands (first) for one of `spec`.
  int64_t numberOf(Value specArgument) const {
    return cast<BlockArgument>(argument(specArgument)).getArgNumber();
  }
  /// The memref results are written to.
  Value out() { return argument(spec.getArguments().back()); }
};

/// An index: one value, or the neighbours base, base + 1, … one per lane.
struct LaneIndex {
  Value base;
  bool lanes = false;
};

class Evaluator {
public:
  Evaluator(KernelContext &context, int64_t width) : context(context), width(width) {}

  /// Whether `tensor` can be computed a vector at a time where the indices marked
  /// in `lanes` advance by one per lane.
  bool canVectorize(Value tensor, ArrayRef<bool> lanes);

  /// The same for what the region of `op` reads and computes, by loops; `skipInits` where its
  /// accumulator is given.
  bool canVectorizeRegion(linalg::GenericOp op, ArrayRef<bool> loops, bool skipInits);

  /// The element of `tensor` at `at`: a scalar if no index has lanes.
  Value evaluate(OpBuilder &b, Value tensor, ArrayRef<LaneIndex> at);

  /// What the region of `op` yields at the given loop indices; `accumulator`
  /// stands for the init operand if given.
  Value evaluateRegion(OpBuilder &b, linalg::GenericOp op, ArrayRef<LaneIndex> loops, Value accumulator);

  /// The result of a reduction at `at` (no lanes): a loop nest, its innermost
  /// loop in vectors where possible.
  Value evaluateReduction(OpBuilder &b, linalg::GenericOp op, ArrayRef<LaneIndex> at);

  /// The extent of loop `loop` of `op`; of dimension `dim` of `tensor`.
  OpFoldResult loopSize(OpBuilder &b, linalg::GenericOp op, unsigned loop);
  OpFoldResult dimSize(OpBuilder &b, Value tensor, unsigned dim);

  /// Uses `value` wherever `tensor` is read from now on.
  void setKnown(Value tensor, Value value) { known[tensor] = value; }
  void forget(Value tensor) { known.erase(tensor); }

  /// Lanes that exist (vector of i1), or null for all of them.
  void setMask(Value value) { mask = value; }
  Value getMask() const { return mask; }

  int64_t getWidth() const { return width; }
  void setWidth(int64_t value) { width = value; }
  Value broadcast(OpBuilder &b, Location loc, Value value);

private:
  Value load(OpBuilder &b, Location loc, Value memref, ArrayRef<LaneIndex> at);
  OpFoldResult toValue(OpBuilder &b, Location loc, const Extent &extent);
  Value evaluateReshape(OpBuilder &b, Operation *op, ArrayRef<LaneIndex> at);
  bool canVectorizeReshape(Operation *op, ArrayRef<bool> lanes);

  KernelContext &context;
  int64_t width;
  Value mask;
  DenseMap<Value, Value> known;
};

/// How the region of a reduction combines: its kind, or nothing where it is not
/// one that vectors can reduce.
std::optional<vector::CombiningKind> combiningKind(linalg::GenericOp op);

/// The neutral element of `kind` for a float or integer type.
Value neutralElement(OpBuilder &b, Location loc, vector::CombiningKind kind, Type type);

/// The lanes of `vector` and `init` combined into one scalar.
Value horizontal(OpBuilder &b, Location loc, vector::CombiningKind kind, Value vector, Value init);

Value indexValue(OpBuilder &b, Location loc, OpFoldResult value);
Value addIndex(OpBuilder &b, Location loc, Value a, int64_t offset);

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_EVALUATOR_H
