//===- TestPasses.cpp - passes that must not pass -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// tfopt-test is tfopt with planted mistakes, for tests of what has to find them.
//
//===----------------------------------------------------------------------===//

#include "dialect/Transformer.h"
#include "tools/driver/Driver.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "llvm/Support/InitLLVM.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// A rewrite that is wrong by a thousandth: attention(scale s) -> attention(scale 1.001 s)
struct TestWrongRewrite : PassWrapper<TestWrongRewrite, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(TestWrongRewrite)
  StringRef getArgument() const override { return "test-wrong-rewrite"; }
  StringRef getDescription() const override { return "Plant a small mistake"; }

  void runOnOperation() override {
    getOperation().walk([](AttentionOp op) {
      op.setScaleAttr(
          FloatAttr::get(Float64Type::get(op.getContext()), op.getScale().convertToDouble() * 1.001));
    });
  }
};

} // namespace

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  PassRegistration<TestWrongRewrite>();
  return compileMain(argc, argv);
}
