//===- LaunchOps.cpp - dispatches on the host -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/KernelTypes.h"
#include "dialect/Transformer.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::transformer;

void LaunchOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  // Tensors and caches are values; only on memrefs does a launch have effects.
  for (OpOperand &operand : getInputsMutable())
    if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
  for (OpOperand &operand : getOutputsMutable())
    if (isa<MemRefType>(operand.get().getType())) {
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
      effects.emplace_back(MemoryEffects::Write::get(), &operand);
    }
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &tables) {
  // C1
  auto kernel = tables.lookupNearestSymbolFrom<FunctionOpInterface>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError("expected a function of this module, but ") << getKernelAttr() << " is none";
  SmallVector<Type> operands(getInputs().getTypes());
  llvm::append_range(operands, getOutputs().getTypes());
  // A kernel that has been emitted takes buffers and the bounds of its tasks,
  // also while the launch is still on tensors.
  SmallVector<Type> expected;
  ArrayRef<Type> arguments = kernel.getArgumentTypes();
  // One of a GPU finds its tasks itself, and may have tensor maps behind the buffers.
  bool onGPU = kernel->hasAttr("xgpu.kernel") || kernel->hasAttr("transformer.number");
  bool emitted = onGPU || getGrid() || (!arguments.empty() && isa<IndexType>(arguments.back()));
  if (emitted) {
    for (Type type : operands)
      appendKernelTypes(type, expected);
    if (onGPU)
      arguments = arguments.take_front(expected.size());
    else
      expected.append(2, IndexType::get(getContext()));
  } else {
    expected = operands;
  }
  if (arguments.size() != expected.size())
    return emitOpError("expected a kernel of ")
           << expected.size() << " arguments, but " << getKernelAttr() << " has " << arguments.size();
  for (auto [i, type, argument] : llvm::enumerate(expected, arguments))
    if (type != argument)
      return emitOpError("expected argument ")
             << i << " of " << getKernelAttr() << " to be " << type << ", but got " << argument;
  // C2
  SmallVector<Type> results;
  for (Type type : getOutputs().getTypes())
    if (!isa<MemRefType, IndexType>(type))
      results.push_back(type);
  if (TypeRange(results) != getResultTypes())
    return emitOpError("expected one result per tensor or cache in outs, of its type");
  // C3
  if (!emitted && kernel.getResultTypes() != ArrayRef<Type>(results))
    return emitOpError("expected ") << getKernelAttr() << " to return " << results << ", but it returns "
                                    << kernel.getResultTypes();
  return success();
}

LogicalResult BindingOp::verify() {
  auto type = cast<MemRefType>(getResult().getType());
  // C1
  if (getDims().size() != static_cast<size_t>(type.getNumDynamicDims()))
    return emitOpError("expected one value per dynamic dimension, ")
           << type.getNumDynamicDims() << ", but got " << getDims().size();
  // C2
  if (!type.getLayout().isIdentity())
    return emitOpError("expected the identity layout, but got ") << type;
  return success();
}
