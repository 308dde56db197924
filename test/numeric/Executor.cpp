//===- Executor.cpp - the reference interpreter in the numeric tests ------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/numeric/Executor.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

LogicalResult InterpreterExecutor::load(ModuleOp newModule) {
  module = newModule;
  return success();
}

LogicalResult InterpreterExecutor::begin(StringRef newFunction, int64_t rows) {
  function = newFunction.str();
  caches.clear();
  for (Type type : module.lookupSymbol<func::FuncOp>(function).getArgumentTypes())
    if (auto cache = dyn_cast<KVCacheType>(type))
      caches.push_back(KVCache::empty(cache, rows));
  return success();
}

FailureOr<SmallVector<Tensor>> InterpreterExecutor::call(ArrayRef<Tensor> inputs) {
  SmallVector<RuntimeValue> args;
  auto input = inputs.begin();
  auto cache = caches.begin();
  for (Type type : module.lookupSymbol<func::FuncOp>(function).getArgumentTypes()) {
    if (isa<KVCacheType>(type))
      args.push_back(*cache++);
    else
      args.push_back(*input++);
  }
  FailureOr<SmallVector<RuntimeValue>> results = interpret(module, function, args, options);
  if (failed(results))
    return failure();
  SmallVector<Tensor> outputs;
  caches.clear();
  for (RuntimeValue &result : *results) {
    if (auto *tensor = std::get_if<Tensor>(&result))
      outputs.push_back(std::move(*tensor));
    else
      caches.push_back(std::get<KVCache>(std::move(result)));
  }
  return outputs;
}
