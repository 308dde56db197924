//===- Npy.h - tensors of the interpreter in .npy files -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_INTERPRET_NPY_H
#define TOOLS_INTERPRET_NPY_H

#include "dialect/interpreter/Values.h"

#include "llvm/Support/Error.h"

namespace mlir::transformer {

/// Reads a file as a tensor of `elementType`. Floats are taken as they are, i64
/// is narrowed to an integer type that holds every value.
llvm::Expected<Tensor> readTensor(StringRef path, Type elementType);

/// Writes every digit the interpreter has: f8 for floats, i8 for integers.
llvm::Error writeTensor(StringRef path, const Tensor &tensor);

} // namespace mlir::transformer

#endif // TOOLS_INTERPRET_NPY_H
