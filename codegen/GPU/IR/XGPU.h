//===- XGPU.h - what kernels need beside nvvm -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_IR_XGPU_H
#define CODEGEN_GPU_IR_XGPU_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "codegen/GPU/IR/XGPUDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "codegen/GPU/IR/XGPUAttrs.h.inc"

#define GET_OP_CLASSES
#include "codegen/GPU/IR/XGPU.h.inc"

#endif // CODEGEN_GPU_IR_XGPU_H
