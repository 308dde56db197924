//===- LowerWarpgroupOps.cpp - products of a warpgroup as assembly -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/Warpgroup.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Inline assembly with f32 results, of which the first `tied` begin as its first operands.
class Assembly {
public:
  Assembly(int64_t results, bool tied) : results(results) {
    for (int64_t i = 0; i < results; ++i)
      constraints += i ? ",=f" : "=f";
    for (int64_t i = 0; tied && i < results; ++i)
      constraints += "," + std::to_string(i);
    next = tied ? 2 * results : results;
  }

  /// The name of the next operand, constrained to a class of registers.
  std::string operand(char registers) {
    constraints += std::string(constraints.empty() ? "" : ",") + registers;
    return "$" + std::to_string(next++);
  }
  std::string listOfResults() const {
    std::string list;
    for (int64_t i = 0; i < results; ++i)
      list += (i ? ", $" : "$") + std::to_string(i);
    return list;
  }

  SmallVector<Value> create(OpBuilder &b, Location loc, StringRef text, ValueRange operands) const {
    Type f32 = b.getF32Type(), type;
    if (results == 1)
      type = f32;
    else if (results > 1)
      type = LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(results, f32));
    auto assembly = LLVM::InlineAsmOp::create(
        b, loc, type ? TypeRange(type) : TypeRange(), operands, text, constraints,
        /*has_side_effects=*/true, /*is_align_stack=*/false, LLVM::TailCallKind::None,
        LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT), ArrayAttr());
    if (results < 2)
      return SmallVector<Value>(assembly->getResults());
    SmallVector<Value> values;
    for (int64_t i = 0; i < results; ++i)
      values.push_back(LLVM::ExtractValueOp::create(b, loc, assembly->getResult(0), i));
    return values;
  }

private:
  int64_t results, next;
  std::string constraints;
};

void lower(xgpu::WgmmaOp op) {
  OpBuilder b(op);
  bool clears = op.getSums().empty(), inRegisters = op.getLeft().size() == 4;
  Assembly assembly(op.getNumResults(), /*tied=*/!clears);
  std::string type = op.getElement().isBF16() ? "bf16" : "f16", left;
  if (inRegisters) {
    for (int i = 0; i < 4; ++i)
      left += (i ? ", " : "{") + assembly.operand('r');
    left += "}";
  } else {
    left = assembly.operand('l');
  }
  std::string right = assembly.operand('l');
  // The last numbers: neither operand negated, and which of those in shared memory are transposed.
  std::string text = "{ .reg .pred p; setp.ne.b32 p, " + std::string(clears ? "0" : "1") +
                     ", 0; wgmma.mma_async.sync.aligned.m64n" + std::to_string(op.getColumns()) + "k16.f32." +
                     type + "." + type + " {" + assembly.listOfResults() + "}, " + left + ", " + right +
                     ", p, 1, 1" + (inRegisters ? "" : ", 0") + (op.getTransposed() ? ", 1; }" : ", 0; }");
  SmallVector<Value> operands(op.getSums());
  llvm::append_range(operands, op.getLeft());
  operands.push_back(op.getRight());
  op.replaceAllUsesWith(assembly.create(b, op.getLoc(), text, operands));
  op.erase();
}

void lower(xgpu::WgmmaWaitOp op) {
  OpBuilder b(op);
  std::string text = "wgmma.wait_group.sync.aligned " + std::to_string(op.getPending()) + ";";
  Assembly assembly(op.getNumResults(), /*tied=*/true);
  op.replaceAllUsesWith(assembly.create(b, op.getLoc(), text, op.getValues()));
  op.erase();
}

} // namespace

void mlir::transformer::lowerWarpgroupOps(ModuleOp module) {
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    if (isa<xgpu::WgmmaOp, xgpu::WgmmaWaitOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    if (auto product = dyn_cast<xgpu::WgmmaOp>(op))
      lower(product);
    else
      lower(cast<xgpu::WgmmaWaitOp>(op));
  }
}
