//===- CompiledExecutor.cpp - compiled code in the numeric tests ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/numeric/CompiledExecutor.h"

#include "codegen/Compile.h"
#include "test/numeric/EmulatedAVX512.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

llvm::Expected<std::unique_ptr<CompiledModule>>
numeric::compileFor(ModuleOp module, StringRef mcpu, ArrayRef<StringRef> keep, int64_t chunk,
                    const emulator::EmulatorOptions &emulation, StringRef folder) {
  CompileOptions options;
  options.chunk = chunk;
  options.threads = 1;
  if (mcpu.starts_with("sm_")) {
    options.tf32 = mcpu.consume_back("+tf32");
    options.gpuArchs = {mcpu.str()};
    options.newestGPUKernels = true; // this is where they are validated first
  } else if (mcpu == kEmulatedAVX512) {
    OwningOpRef<ModuleOp> copy = module.clone();
    for (auto function : llvm::make_early_inc_range(copy->getOps<func::FuncOp>()))
      if (!keep.empty() && function.isPublic() && !llvm::is_contained(keep, function.getName()))
        function.erase();
    if (llvm::Error error = lowerForEmulation(*copy, options))
      return std::move(error);
    return CompiledModule::compile(*copy, options, folder);
  } else {
    options.mcpu = mcpu.str();
  }
  return CompiledModule::compile(module, options, folder, keep, emulation);
}

bool numeric::canRun(StringRef mcpu) {
  if (mcpu.starts_with("sm_"))
    return true; // in the emulator
  if (mcpu == kEmulatedAVX512)
    mcpu = "x86-64-v3";
  llvm::Expected<CPUTarget> host = CPUTarget::resolve("native");
  llvm::Expected<CPUTarget> target = CPUTarget::resolve(mcpu);
  if (!host || !target) {
    llvm::consumeError(host.takeError());
    llvm::consumeError(target.takeError());
    return false;
  }
  return llvm::all_of(target->features, [&](const std::string &feature) { return host->has(feature); });
}

//===----------------------------------------------------------------------===//
// CompiledExecutor
//===----------------------------------------------------------------------===//

/// What code generation or the runtime refuses by design, and a part of the reason.
static const std::pair<StringLiteral, StringLiteral> kRefusals[] = {
    // Entry functions are straight-line code of whole tensors.
    {"insert_steps", "'tensor.insert_slice' op has no form in linalg"},
    {"concat_pad", "'tensor.concat' op has no form in linalg"},
    {"running_sum", "'scf.for' op has a region; entry functions are straight-line code"},
    // It counts on every cache of an entry point to grow.
    {"lengths", "of cache 'read' to hold 1 positions, but the module counted 0"},
};

StringRef CompiledExecutor::getRefusal(StringRef function) const {
  auto *found = llvm::find_if(kRefusals, [&](auto &pair) { return pair.first == function; });
  return found == std::end(kRefusals) ? StringRef() : StringRef(found->second);
}

static bool hasCaches(func::FuncOp function) {
  return llvm::any_of(function.getArgumentTypes(), [](Type type) { return isa<KVCacheType>(type); });
}

LogicalResult CompiledExecutor::load(ModuleOp newModule) {
  if (module == newModule)
    return success();
  module = newModule;
  current = nullptr;
  shared.reset();
  separate.clear();
  return success();
}

llvm::Expected<CompiledModule *> CompiledExecutor::moduleOf(StringRef function) {
  bool alone = hasCaches(module.lookupSymbol<func::FuncOp>(function)) || !getRefusal(function).empty();
  std::unique_ptr<CompiledModule> &place = alone ? separate[function] : shared;
  if (place)
    return place.get();
  SmallVector<StringRef> keep;
  for (auto other : module.getOps<func::FuncOp>())
    if (alone ? other.getName() == function : !hasCaches(other) && getRefusal(other.getName()).empty())
      keep.push_back(other.getName());
  llvm::Expected<std::unique_ptr<CompiledModule>> compiled = compileFor(module, mcpu, keep, chunk);
  if (!compiled)
    return compiled.takeError();
  place = std::move(*compiled);
  return place.get();
}

LogicalResult CompiledExecutor::begin(StringRef newFunction, int64_t rows) {
  function = newFunction.str();
  llvm::Expected<CompiledModule *> compiled = moduleOf(function);
  if (!compiled)
    return fail(compiled.takeError());
  current = *compiled;
  // Two threads, so that tasks are divided; room for every sequence of the goldens.
  if (llvm::Error error = current->begin(rows, /*context=*/64, /*threads=*/2))
    return fail(std::move(error));
  return success();
}

FailureOr<SmallVector<Tensor>> CompiledExecutor::call(ArrayRef<Tensor> inputs) {
  llvm::Expected<SmallVector<Tensor>> outputs = current->call(function, inputs);
  if (!outputs)
    return fail(outputs.takeError());
  return std::move(*outputs);
}
