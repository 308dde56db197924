//===- AddSampleKernel.cpp - a kernel that draws the next token ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// decode(tokens [B, 1], caches) -> logits [B, V] gets a kernel `sample` for V tokens beside it. It is added once
// the dispatches are kernels and entry points are still functions on tensors, whose signatures are looked at.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
#include "codegen/GPU/IR/XGPU.h"
#include "codegen/GPU/SampleKernel.h"
#include "codegen/Passes.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#define DEBUG_TYPE "transformer-add-sample-kernel"

namespace mlir::transformer {
#define GEN_PASS_DEF_ADDSAMPLEKERNELPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Whether the only arguments beside caches are `tokens`, one for each sequence.
bool takesTokens(func::FuncOp entry) {
  int64_t others = 0;
  bool takes = false;
  for (auto [i, type] : llvm::enumerate(entry.getArgumentTypes())) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor)
      continue;
    ++others;
    auto name = entry.getArgAttrOfType<StringAttr>(i, kNameAttr);
    takes |= name && name.getValue() == kSampledTokens && tensor.getElementType().isInteger(32) &&
             tensor.getRank() == 2 && tensor.isDynamicDim(0) && tensor.getDimSize(1) == 1;
  }
  return takes && others == 1;
}

/// The tokens that `logits` are of, or 0.
int64_t vocabularyOf(func::FuncOp entry) {
  for (auto [i, type] : llvm::enumerate(entry.getResultTypes())) {
    auto name = entry.getResultAttrOfType<StringAttr>(i, kNameAttr);
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (name && name.getValue() == kSampledLogits && tensor && tensor.getElementType().isF32() &&
        tensor.getRank() == 2 && tensor.isDynamicDim(0) && !tensor.isDynamicDim(1))
      return tensor.getDimSize(1);
  }
  return 0;
}

struct AddSampleKernel : transformer::impl::AddSampleKernelPassBase<AddSampleKernel> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto decode = module.lookupSymbol<func::FuncOp>(kSampledEntry);
    if (!decode || !isEntry(decode) || !takesTokens(decode))
      return;
    int64_t vocabulary = vocabularyOf(decode);
    if (vocabulary < 1 || vocabulary > kMostSampledTokens)
      return;
    OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
    func::FuncOp kernel = emitSampleKernel(b, decode.getLoc(), kSampleTemplate, vocabulary);
    // The model may have a function of this name.
    kernel->remove();
    SymbolTable(module).insert(kernel);
  }
};

} // namespace
