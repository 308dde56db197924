//===- CheckLowered.cpp - what did not reach LLVM -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs after the conversion to LLVM. Weight symbols may stay: they are evaluated
// into the weights file and have no code.
//
//===----------------------------------------------------------------------===//

#include "codegen/Passes.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"

#define DEBUG_TYPE "transformer-check-lowered"

namespace mlir::transformer {
#define GEN_PASS_DEF_CHECKLOWEREDPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {
struct CheckLowered : transformer::impl::CheckLoweredPassBase<CheckLowered> {
  void runOnOperation() override {
    bool left = false;
    getOperation().walk([&](Operation *op) {
      if (isa<ModuleOp, WeightOp, DeriveOp>(op) || isa_and_present<LLVM::LLVMDialect>(op->getDialect()))
        return;
      op->emitError("'") << op->getName() << "' has no lowering to machine code; rewrite it with other ops";
      left = true;
    });
    if (left)
      signalPassFailure();
  }
};
} // namespace
