//===- Transformer.h - the transformer dialect ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef DIALECT_TRANSFORMER_H
#define DIALECT_TRANSFORMER_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/TransformerEnums.h.inc"

#include "dialect/TransformerDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/TransformerAttrs.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/TransformerTypes.h.inc"

#define GET_OP_CLASSES
#include "dialect/TransformerOps.h.inc"

#endif // DIALECT_TRANSFORMER_H
