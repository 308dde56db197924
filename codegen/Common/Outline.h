//===- Outline.h - groups of ops as shared functions ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_OUTLINE_H
#define CODEGEN_COMMON_OUTLINE_H

#include "codegen/Common/KernelTemplates.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringMap.h"

namespace mlir::transformer {

/// Turns groups of ops into private functions on tensors (inputs, then the place
/// of the result) and launches of them. Equal functions are made once.
class Outliner {
public:
  explicit Outliner(ModuleOp module) : module(module), symbols(module) {}

  void outline(const DispatchGroup &group, StringRef entry);

private:
  /// What a group reads from outside; constants are copied into the function.
  struct Captures {
    llvm::SetVector<Value> inputs;
    llvm::SetVector<Operation *> constants;
  };
  Captures capture(const DispatchGroup &group, ArrayRef<Operation *> ops);
  func::FuncOp build(const DispatchGroup &group, ArrayRef<Operation *> ops, const Captures &captures,
                     Type outType);
  /// The function of equal types and body, or `candidate` itself.
  func::FuncOp share(func::FuncOp candidate);

  ModuleOp module;
  SymbolTable symbols;
  llvm::StringMap<func::FuncOp> byBody;
};

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_OUTLINE_H
