//===- ExpandMath.cpp - functions of libm without libm ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// math.exp %x : vector<16xf32>  ->  2^k * p(r), in arith and vector ops
//
// `MathPolynomials` has those that matter, tan goes through them, and atan2, acos, erfc and
// log1p are upstream's on top of them. The error of each is in codegen/README.md.
// What is left has an instruction on every target, so that no call of libm reaches
// the linker. Runs just before the conversion to LLVM, on kernels already in native vectors.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/MathPolynomials.h"
#include "codegen/Passes.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#define DEBUG_TYPE "transformer-expand-math"

namespace mlir::transformer {
#define GEN_PASS_DEF_EXPANDMATHPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Pattern: fma(a, b, c) -> a * b + c, which the backend may fuse
/// Without the instruction, fma would be a call of libm. The polynomials do not
/// need its single rounding.
struct ExpandFMA : OpRewritePattern<math::FmaOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(math::FmaOp op, PatternRewriter &rewriter) const override {
    auto flags = arith::FastMathFlags::contract | op.getFastmath();
    Value product = arith::MulFOp::create(rewriter, op.getLoc(), op.getA(), op.getB(), flags);
    rewriter.replaceOpWithNewOp<arith::AddFOp>(op, product, op.getC(), flags);
    return success();
  }
};

/// Whether code generation would call a library for `op`.
bool needsLibrary(Operation *op) {
  if (isa<arith::RemFOp>(op))
    return true;
  return isa_and_present<math::MathDialect>(op->getDialect()) &&
         !isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp, math::CountLeadingZerosOp,
              math::CountTrailingZerosOp, math::CtPopOp, math::FloorOp, math::IsFiniteOp, math::IsInfOp,
              math::IsNaNOp, math::IsNormalOp, math::RoundEvenOp, math::RsqrtOp, math::SqrtOp, math::TruncOp>(
             op);
}

struct ExpandMath : transformer::impl::ExpandMathPassBase<ExpandMath> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    populateMathPolynomialPatterns(patterns);
    // At most 4 ulp for tan = sin / cos, where they hold.
    math::populateExpansionPatterns(patterns, {"tan"});
    // At most 70 ulp for erfc, 3 for log1p, 1.5 for acos, 2.5 for atan2.
    populateMathPolynomialApproximationPatterns(patterns, MathPolynomialApproximationOptions());
    patterns.add<ExpandFMA>(&getContext());
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      return signalPassFailure();
    getOperation().walk([&](Operation *op) {
      if (!needsLibrary(op))
        return;
      op->emitOpError("has no polynomial for ")
          << op->getResult(0).getType() << "; write it with exp, log, tanh or erf in f32";
      signalPassFailure();
    });
  }
};
} // namespace
