//===- SampleEmitter.h - the parts of the kernel `sample` ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_SAMPLEEMITTER_H
#define CODEGEN_GPU_SAMPLEEMITTER_H

#include "codegen/Common/GenericBuilder.h"
#include "codegen/GPU/SampleKernel.h"
#include "codegen/GPU/Templates.h"
#include "runtime/xfm_abi.h"

namespace mlir::transformer {

class SampleEmitter {
public:
  SampleEmitter(func::FuncOp kernel, int64_t vocabulary, const SampleSizes &sizes)
      : kernel(kernel), loc(kernel.getLoc()), vocabulary(vocabulary), sizes(sizes) {}
  void emit(OpBuilder &b);
  int64_t sharedBytes() const { return shared.size(); }

private:
  static constexpr int64_t kParts = 8;               ///< of what is searched, in each pass
  static constexpr double kMostFloat = 3.4028235e38; ///< the largest f32

  using Weigh = function_ref<Value(OpBuilder &, Value candidate)>;
  using Body = function_ref<SmallVector<Value>(OpBuilder &, Value candidate, ValueRange carried)>;
  struct Reduced {
    vector::CombiningKind kind;
    Value value; // i64
  };
  /// The interval of candidates that is searched (from `low` on, below `high`), and the weights from `high`
  /// on.
  struct Interval {
    Value low, high, above;
  };

  // Tokens and candidates (SampleSearch.cpp).
  Value penalized(OpBuilder &b, Value logit, Value id);
  Value keyOf(OpBuilder &b, Value logit);
  Value candidateAt(OpBuilder &b, Value id);
  Value logitOf(OpBuilder &b, Value candidate);
  Value idOf(OpBuilder &b, Value candidate);
  Value weightOf(OpBuilder &b, Value candidate, Value scale);

  // Passes over candidates by all threads of the block (SampleSearch.cpp).
  SmallVector<Value> forEach(OpBuilder &b, ValueRange inits, Body body);
  SmallVector<Value> reduceBlock(OpBuilder &b, ArrayRef<Reduced> values);
  Value sumFrom(OpBuilder &b, Value bound, Value scale);
  Value find(OpBuilder &b, Value bound, Value target, Weigh weigh);
  SmallVector<Value> searchParts(OpBuilder &b, const Interval &interval, Value target, Weigh weigh);
  void gather(OpBuilder &b, Value bound);
  Value countBefore(OpBuilder &b, Value own);

  // Steps of a draw (SampleKernel.cpp).
  void loadOptions(OpBuilder &b);
  void inspectRow(OpBuilder &b);
  Value keepTopK(OpBuilder &b);
  Value keepTopP(OpBuilder &b, Value bound);
  Value draw(OpBuilder &b, Value bound);
  Value drawCandidate(OpBuilder &b);
  void advanceRandom(OpBuilder &b, ArrayRef<Value> state);
  void writeResult(OpBuilder &b, Value id, Value status);

  Value i32(OpBuilder &b, int64_t v) { return constantI32(b, loc, v); }
  Value i64(OpBuilder &b, int64_t v) { return arith::ConstantIntOp::create(b, loc, b.getI64Type(), v); }
  Value index(OpBuilder &b, int64_t v) { return constantIndex(b, loc, v); }
  Value f32(OpBuilder &b, double v) { return constantF32(b, loc, v); }
  Value add(OpBuilder &b, Value x, Value y) { return arith::AddIOp::create(b, loc, x, y); }
  Value sub(OpBuilder &b, Value x, Value y) { return arith::SubIOp::create(b, loc, x, y); }
  Value compare(OpBuilder &b, arith::CmpIPredicate p, Value x, Value y) {
    return arith::CmpIOp::create(b, loc, p, x, y);
  }
  Value select(OpBuilder &b, Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b, loc, condition, yes, no);
  }
  Value isAtLeast(OpBuilder &b, Value x, Value y) { return compare(b, arith::CmpIPredicate::uge, x, y); }
  /// One of two values by a condition that is the same for all threads of the block.
  Value choose(OpBuilder &b, Value condition, function_ref<Value(OpBuilder &)> yes,
               function_ref<Value(OpBuilder &)> no);
  int64_t warps() const { return sizes.threads / kWarp; }
  Value argument(xfm_sample_argument which) { return kernel.getArgument(which); }

  func::FuncOp kernel;
  Location loc;
  int64_t vocabulary;
  SampleSizes sizes;
  SharedMemory shared;
  int64_t partials = 0, gathered = 0; ///< places in shared memory
  bool isReduced = false;             ///< something has been, in all threads
  Value base, thread, lane, warp, row;
  Value topK, topP, minLogit, scale, penalty, isPenalized; // the options
  Value most, least, wrongToken, maximum;                  // of the row
  Value isGathered, gatheredCount;                         // null until candidates are
};

/// key << 32 | ~id
inline Value packCandidate(OpBuilder &b, Location loc, Value key, Value low) {
  Value high = arith::ExtUIOp::create(b, loc, b.getI64Type(), key);
  high = arith::ShLIOp::create(b, loc, high, arith::ConstantIntOp::create(b, loc, b.getI64Type(), 32));
  return arith::OrIOp::create(b, loc, high, arith::ExtUIOp::create(b, loc, b.getI64Type(), low));
}

} // namespace mlir::transformer

#endif // CODEGEN_GPU_SAMPLEEMITTER_H
