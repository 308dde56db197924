//===- Backend.h - LLVM dialect to a shared object ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_CPU_BACKEND_H
#define CODEGEN_CPU_BACKEND_H

#include "codegen/CPU/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

namespace mlir::transformer {

/// A module translated to LLVM IR and optimised for one target.
class CPUBackend {
public:
  /// Translates `module`, which must be in the LLVM dialect, and optimises it.
  static llvm::Expected<std::unique_ptr<CPUBackend>> create(ModuleOp module, const CPUTarget &target);

  void printIR(llvm::raw_ostream &os) const;
  llvm::Error printAssembly(llvm::raw_ostream &os);
  /// Links the code into a shared object without dependencies or undefined symbols.
  llvm::Error writeSharedObject(llvm::StringRef path);

private:
  llvm::Error emit(llvm::raw_pwrite_stream &os, llvm::CodeGenFileType type);

  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> module;
  std::unique_ptr<llvm::TargetMachine> machine;
};

} // namespace mlir::transformer

#endif // CODEGEN_CPU_BACKEND_H
