//===- Interpret.h - entry points of models, interpreted ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_INTERPRET_INTERPRET_H
#define TOOLS_INTERPRET_INTERPRET_H

#include "dialect/interpreter/Interpreter.h"

#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace mlir::transformer {

/// What tf-interpret is asked for.
struct InterpretRequest {
  /// A Hugging Face folder or an .mlir file.
  std::string model;
  std::string entry;
  /// Each `NAME=FILE.npy`, NAME as in `transformer.name` of an argument or result,
  /// or arg<i> and result<i> where there is none.
  std::vector<std::string> inputs, outputs;
  /// Where the weights of an .mlir file are; empty: in the file's own folder.
  std::string weights;
  std::string precision = "auto"; ///< of an imported folder: auto, f32 or bf16
  Rounding rounding = Rounding::Ideal;
};

/// Runs one entry point from empty caches and writes its outputs: float64 .npy
/// files, int64 for integers. Errors are one line.
llvm::Error interpretModel(const InterpretRequest &request);

} // namespace mlir::transformer

#endif // TOOLS_INTERPRET_INTERPRET_H
