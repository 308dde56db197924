//===- tfopt.cpp - compiles models, and drives passes ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/driver/Driver.h"

#include "mlir/IR/Dialect.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/InitLLVM.h"

int main(int argc, char **argv) {
  if (mlir::transformer::isCompilation(argc, argv)) {
    llvm::InitLLVM init(argc, argv);
    return mlir::transformer::compileMain(argc, argv);
  }
  for (int i = 1; i < argc; ++i)
    if (llvm::StringRef(argv[i]) == "--version") {
      llvm::outs() << "tfopt " << XFM_VERSION << " (LLVM " << LLVM_VERSION_STRING << ")\n";
      return 0;
    }
  mlir::DialectRegistry registry;
  mlir::transformer::registerAll(registry);
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv,
                        "transformer compiler\n\nTo compile a model: tfopt MODEL -o OUT.tfa (tfopt compile "
                        "--help)\nTo run passes on a .mlir file:\n",
                        registry));
}
