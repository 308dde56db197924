//===- Emulate.cpp - tfopt MODEL --emulate-gpu --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/emulate/Emulate.h"

#include "codegen/Common/DispatchUtils.h"
#include "dialect/interpreter/Interpreter.h"
#include "tools/emulate/CompiledModule.h"
#include "tools/interpret/HostTensors.h"

#include "llvm/Support/FormatVariadic.h"

#include <random>

using namespace mlir;
using namespace mlir::transformer;

namespace {

constexpr int64_t kPositions = 9, kSteps = 3, kContext = 64;

llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

class Comparison {
public:
  Comparison(ModuleOp module, const EmulateOptions &options)
      : module(module), options(options), store(options.folder),
        interpreter{options.isNarrow ? Rounding::IR : Rounding::Ideal, readWeights(module, store)},
        random(options.seed + 1) {}

  llvm::Error run();

private:
  /// Calls a function in both with `positions` for S, the interpreter with `caches`.
  llvm::Error call(func::FuncOp function, int64_t positions, SmallVector<KVCache> &caches);
  llvm::Error runEntry(func::FuncOp function);
  Tensor makeInput(func::FuncOp function, unsigned argument, int64_t positions);
  static bool hasCaches(func::FuncOp function) {
    return llvm::any_of(function.getArgumentTypes(), [](Type type) { return isa<KVCacheType>(type); });
  }
  static bool hasPositions(func::FuncOp function) {
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      if (auto dims = function.getArgAttrOfType<ArrayAttr>(i, "transformer.dims"))
        for (auto dim : dims.getAsRange<StringAttr>())
          if (dim.getValue() == "S")
            return true;
    return false;
  }

  ModuleOp module;
  const EmulateOptions &options;
  WeightStore store;
  InterpreterOptions interpreter;
  std::mt19937_64 random;
  std::unique_ptr<CompiledModule> compiled;
  double worst = 0, worstOfEntry = 0;
};
} // namespace

Tensor Comparison::makeInput(func::FuncOp function, unsigned argument, int64_t positions) {
  auto type = cast<RankedTensorType>(function.getArgumentTypes()[argument]);
  auto dims = function.getArgAttrOfType<ArrayAttr>(argument, "transformer.dims");
  SmallVector<int64_t> shape(type.getShape());
  for (auto [size, dim] : llvm::zip(shape, dims.getAsRange<StringAttr>()))
    if (ShapedType::isDynamic(size))
      size = dim.getValue() == "S" ? positions : 1;
  Tensor tensor(shape, type.getElementType());
  if (tensor.isFloat()) {
    std::normal_distribution<double> normal;
    for (double &value : tensor.getMutableFloats())
      value = normal(random);
    tensor.round();
    return tensor;
  }
  auto range = function.getArgAttrOfType<DenseI64ArrayAttr>(argument, "transformer.range");
  std::uniform_int_distribution<int64_t> uniform(range ? range[0] : 0, range ? range[1] - 1 : 1);
  for (int64_t &value : tensor.getMutableInts())
    value = uniform(random);
  return tensor;
}

llvm::Error Comparison::call(func::FuncOp function, int64_t positions, SmallVector<KVCache> &caches) {
  SmallVector<Tensor> inputs;
  SmallVector<RuntimeValue> arguments;
  auto *cache = caches.begin();
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    if (isa<KVCacheType>(type)) {
      arguments.push_back(*cache++);
      continue;
    }
    inputs.push_back(makeInput(function, i, positions));
    arguments.push_back(inputs.back());
  }
  FailureOr<SmallVector<RuntimeValue>> expected =
      interpret(module, function.getName(), arguments, interpreter);
  if (failed(expected))
    return makeError(function.getName() + " cannot be interpreted");
  llvm::Expected<SmallVector<Tensor>> actual = compiled->call(function.getName(), inputs);
  if (!actual)
    return makeError(function.getName() + ": " + llvm::toString(actual.takeError()));
  caches.clear();
  auto *output = actual->begin();
  for (RuntimeValue &value : *expected) {
    if (auto *longer = std::get_if<KVCache>(&value))
      caches.push_back(std::move(*longer));
    else
      worstOfEntry = std::max(worstOfEntry, relativeError(*output++, std::get<Tensor>(value)));
  }
  return llvm::Error::success();
}

/// A function without S (a decoding step) follows on a prompt, where there is one.
llvm::Error Comparison::runEntry(func::FuncOp function) {
  if (llvm::Error error = compiled->begin(/*rows=*/1, kContext, /*threads=*/1))
    return error;
  SmallVector<KVCache> caches;
  for (Type type : function.getArgumentTypes())
    if (auto cache = dyn_cast<KVCacheType>(type))
      caches.push_back(KVCache::empty(cache, 1));
  worstOfEntry = 0;
  bool isStep = hasCaches(function) && !hasPositions(function);
  if (auto prompt = module.lookupSymbol<func::FuncOp>("prefill"); isStep && prompt)
    if (llvm::Error error = call(prompt, kPositions, caches))
      return error;
  for (int64_t i = 0; i < (isStep ? kSteps : 1); ++i)
    if (llvm::Error error = call(function, kPositions, caches))
      return error;
  double tolerance = options.isNarrow ? 1e-2 : options.compile.tf32 ? 3e-3 : 1e-5;
  if (options.report)
    *options.report << llvm::formatv("{0}: largest error {1:e2} (allowed {2:e0})\n", function.getName(),
                                     worstOfEntry, tolerance);
  worst = std::max(worst, worstOfEntry);
  if (!(worstOfEntry <= tolerance))
    return makeError(function.getName() + " differs from the interpreter by " +
                     llvm::formatv("{0:e2}", worstOfEntry).str() + ", more than " +
                     llvm::formatv("{0:e0}", tolerance).str());
  return llvm::Error::success();
}

llvm::Error Comparison::run() {
  emulator::EmulatorOptions emulation;
  emulation.late = options.late;
  emulation.seed = options.seed;
  llvm::Expected<std::unique_ptr<CompiledModule>> result =
      CompiledModule::compile(module, options.compile, options.folder, {}, emulation);
  if (!result)
    return result.takeError();
  compiled = std::move(*result);
  for (auto function : module.getOps<func::FuncOp>())
    if (isEntry(function))
      if (llvm::Error error = runEntry(function))
        return error;
  const emulator::EmulatedDevice *device = compiled->device();
  const emulator::LaunchReport &total = device->total();
  if (options.report)
    *options.report << llvm::formatv(
        "{0} instructions of warps, {1} matrix products; {2:f2} passes per access of shared memory; {3:P0} "
        "of the "
        "sectors of global memory were needed\n{4} kernels run, largest error {5:e2}\n",
        total.instructions, total.matrixProducts,
        total.sharedAccesses ? 1 + double(total.bankConflicts) / total.sharedAccesses : 1.0,
        total.globalSectors ? double(total.neededSectors) / total.globalSectors : 1.0, device->launches(),
        worst);
  return llvm::Error::success();
}

llvm::Error mlir::transformer::emulateModel(ModuleOp module, const EmulateOptions &options) {
  return Comparison(module, options).run();
}
