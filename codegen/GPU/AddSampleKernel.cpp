//===- AddSampleKernel.cpp - a kernel that draws the next token ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// decode(tokens [B, 1], caches) -> logits [B, V] gets a kernel `sample` for V tokens beside it. It is added
// once the dispatches are kernels and entry points are still functions on tensors, whose signatures are
// looked at.
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

/// The columns of a value that is called `name` and is a tensor [B, columns] of `element`; 0 of any other.
int64_t columnsOf(Type type, DictionaryAttr attributes, StringRef name, Type element) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  auto given = attributes ? attributes.getAs<StringAttr>(kNameAttr) : StringAttr();
  auto dims = attributes ? attributes.getAs<ArrayAttr>(kDimsAttr) : ArrayAttr();
  if (!tensor || !given || given.getValue() != name || tensor.getElementType() != element ||
      tensor.getRank() != 2 || !tensor.isDynamicDim(0) || tensor.isDynamicDim(1))
    return 0;
  auto rows = dims && dims.size() == 2 ? dyn_cast<StringAttr>(dims[0]) : StringAttr();
  return rows && rows.getValue() == "B" ? tensor.getDimSize(1) : 0;
}

/// Whether the arguments are caches and `tokens`, one for each sequence.
bool takesTokens(func::FuncOp entry) {
  int64_t caches = 0, tokens = 0;
  for (auto [i, type] : llvm::enumerate(entry.getArgumentTypes())) {
    caches += isa<KVCacheType>(type);
    tokens += columnsOf(type, entry.getArgAttrDict(i), kSampledTokens, Builder(entry).getI32Type()) == 1;
  }
  return caches > 0 && tokens == 1 && caches + 1 == entry.getNumArguments();
}

/// The tokens that `logits` are of, or 0.
int64_t vocabularyOf(func::FuncOp entry) {
  for (auto [i, type] : llvm::enumerate(entry.getResultTypes()))
    if (int64_t columns =
            columnsOf(type, entry.getResultAttrDict(i), kSampledLogits, Builder(entry).getF32Type()))
      return columns;
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
