//===- ExpandBF16.cpp - bf16 in memory as 16-bit integers -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// llvm.intr.masked.load %p : vector<8xbf16>
//   -> bitcast (llvm.intr.masked.load %p : vector<8xi16>)
//
// Runs on the LLVM dialect, for targets without bf16 instructions. There the
// backend handles a value of type bf16 by converting it to f32 and back, and
// rounding is a call of a library that a module does not have. Conversions have
// become integer code before; with memory accessed in integers too, no bf16 is left.
//
//===----------------------------------------------------------------------===//

#include "codegen/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#define DEBUG_TYPE "transformer-expand-bf16"

namespace mlir::transformer {
#define GEN_PASS_DEF_EXPANDBF16PASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// The integers of the bits of `type`; null if that is not bf16.
Type bitsOf(Type type) {
  if (!getElementTypeOrSelf(type).isBF16())
    return {};
  Type bits = IntegerType::get(type.getContext(), 16);
  auto vector = dyn_cast<VectorType>(type);
  return vector ? Type(vector.clone(bits)) : bits;
}

Value castTo(PatternRewriter &rewriter, Location loc, Type type, Value value) {
  return LLVM::BitcastOp::create(rewriter, loc, type, value);
}

/// Pattern: load : bf16 -> bitcast (load : i16), masked or not
template <typename Load> struct ExpandLoad : OpRewritePattern<Load> {
  using OpRewritePattern<Load>::OpRewritePattern;
  LogicalResult matchAndRewrite(Load op, PatternRewriter &rewriter) const override {
    Type type = op->getResult(0).getType(), bits = bitsOf(type);
    if (!bits)
      return rewriter.notifyMatchFailure(op, "not of bf16");
    rewriter.setInsertionPoint(op);
    rewriter.modifyOpInPlace(op, [&] {
      op->getResult(0).setType(bits);
      // What stands in lanes that are not loaded.
      if constexpr (std::is_same_v<Load, LLVM::MaskedLoadOp>)
        for (OpOperand &passThrough : op.getPassThruMutable())
          passThrough.set(castTo(rewriter, op.getLoc(), bits, passThrough.get()));
    });
    rewriter.setInsertionPointAfter(op);
    auto cast = LLVM::BitcastOp::create(rewriter, op.getLoc(), type, op->getResult(0));
    rewriter.replaceAllUsesExcept(op->getResult(0), cast, cast);
    return success();
  }
};

/// Pattern: store %x : bf16 -> store (bitcast %x) : i16, masked or not
template <typename Store> struct ExpandStore : OpRewritePattern<Store> {
  using OpRewritePattern<Store>::OpRewritePattern;
  LogicalResult matchAndRewrite(Store op, PatternRewriter &rewriter) const override {
    Type bits = bitsOf(op.getValue().getType());
    if (!bits)
      return rewriter.notifyMatchFailure(op, "not of bf16");
    Value value = castTo(rewriter, op.getLoc(), bits, op.getValue());
    rewriter.modifyOpInPlace(op, [&] { op.getValueMutable().assign(value); });
    return success();
  }
};

struct ExpandBF16 : transformer::impl::ExpandBF16PassBase<ExpandBF16> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<ExpandLoad<LLVM::LoadOp>, ExpandLoad<LLVM::MaskedLoadOp>, ExpandStore<LLVM::StoreOp>,
                 ExpandStore<LLVM::MaskedStoreOp>>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
