//===- HostTensors.h - bytes of files as tensors of the interpreter -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TOOLS_INTERPRET_HOSTTENSORS_H
#define TOOLS_INTERPRET_HOSTTENSORS_H

#include "dialect/interpreter/Interpreter.h"
#include "weights/WeightStore.h"

namespace mlir::transformer {

/// The elements of a stored tensor, widened.
Tensor toTensor(const TensorView &view, MLIRContext *context);

/// What `InterpreterOptions::weight` needs to read the weights of `module`: each
/// symbol is evaluated once and kept. `module` and `store` must outlive it.
std::function<FailureOr<Tensor>(StringRef)> readWeights(ModuleOp module, WeightStore &store);

} // namespace mlir::transformer

#endif // TOOLS_INTERPRET_HOSTTENSORS_H
