//===- Compile.cpp - a module to an artifact ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "llvm/Support/JSON.h"

#include "codegen/Artifact.h"
#include "codegen/CPU/Backend.h"
#include "codegen/CPU/Pipeline.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
#include "codegen/Common/FirstError.h"
#include "codegen/Compile.h"
#include "passes/Pipeline.h"
#include "weights/WeightWriter.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace mlir::transformer;

/// The passes of the level, on the transformer dialect.
static llvm::Error optimize(ModuleOp module, const LoweringOptions &lowering) {
  FirstError errors(module.getContext());
  PassManager pm(module.getContext());
  pm.enableVerifier(false); // as below
  OptimizationOptions options;
  options.level = lowering.optLevel;
  options.passes = lowering.passes;
  if (llvm::Error error = buildOptimizationPipeline(pm, options))
    return error;
  if (succeeded(pm.run(module)))
    return llvm::Error::success();
  return errors.take("an optimisation failed without a reason");
}

llvm::Error mlir::transformer::lowerModule(ModuleOp module, const CPUTarget &target,
                                           const LoweringOptions &lowering, llvm::StringRef stopAt) {
  if (lowering.startAt.empty())
    if (llvm::Error error = optimize(module, lowering))
      return error;
  if (stopAt == kOptimizedPhase)
    return llvm::Error::success();
  FirstError errors(module.getContext());
  PassManager pm(module.getContext());
  // The module was verified when it was made; the tests verify after every pass.
  pm.enableVerifier(false);
  CPUPipelineOptions options;
  options.vectorBytes = target.vectorBytes();
  options.vectorRegisters = target.vectorRegisters();
  options.nativeBF16 = target.multipliesBF16();
  options.nativeF16 = !target.isX86() || target.has("f16c");
  options.nativeRounding = !target.isX86() || target.has("sse4.1");
  options.chunk = lowering.chunk;
  options.deterministic = lowering.deterministic;
  options.strategyFile = lowering.strategyFile;
  options.tuningFile = lowering.tuningFile;
  options.startAt = lowering.startAt;
  options.fusion = std::min<int64_t>(lowering.optLevel, 2);
  options.stopAt = stopAt.str();
  buildCPUPipeline(pm, options);
  if (succeeded(pm.run(module)))
    return llvm::Error::success();
  return errors.take("a pass failed without a reason");
}

/// Identifies what was compiled: the IR, with the names of its weights.
static uint64_t hashOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return llvm::xxh3_64bits(text);
}

llvm::Error mlir::transformer::compileToArtifact(ModuleOp module, llvm::StringRef sourceFolder,
                                                 llvm::StringRef output, const CompileOptions &options) {
  llvm::Expected<CPUTarget> target = CPUTarget::resolve(options.mcpu, options.mtriple);
  if (!target)
    return target.takeError();
  if (llvm::none_of(module.getOps<func::FuncOp>(), isEntry))
    return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                   "the model has no entry point; expected a public func.func with a body");
  // Before any work: the place must be usable.
  llvm::Expected<std::unique_ptr<ArtifactWriter>> writer = ArtifactWriter::create(output);
  if (!writer)
    return writer.takeError();
  std::unique_ptr<WeightCache> cache;
  if (!options.cacheFolder.empty()) {
    llvm::Expected<std::unique_ptr<WeightCache>> opened = WeightCache::open(options.cacheFolder);
    if (!opened)
      return opened.takeError();
    cache = std::move(*opened);
  }
  uint64_t sourceHash = hashOf(module);
  if (llvm::Error error = lowerModule(module, *target, options, ""))
    return error;
  // Not before: an error of the model is to be the only line.
  if (options.notes)
    *options.notes << "target: cpu " << target->cpu << " of " << target->triple << " ("
                   << llvm::join(target->features, " ") << ")\n";
  llvm::Expected<std::unique_ptr<CPUBackend>> backend = CPUBackend::create(module, *target);
  if (!backend)
    return backend.takeError();
  if (llvm::Error error = (*backend)->writeSharedObject((*writer)->pathOf("module.so")))
    return error;
  if (llvm::Error error = (*writer)->addFile("module.so"))
    return error;
  backend->reset();

  SmallVector<llvm::StringRef> weights;
  for (auto symbol : module->getAttrOfType<ArrayAttr>(kWeightsAttr).getAsRange<FlatSymbolRefAttr>())
    weights.push_back(symbol.getValue());
  WeightStore store(sourceFolder);
  WriteOptions write;
  write.threads = options.threads;
  write.cache = cache.get();
  if (options.progress)
    write.progress = terminalProgress();
  WriteResult written;
  if (llvm::Error error =
          writeWeights(module, weights, store, (*writer)->pathOf("weights.safetensors"), write, written))
    return error;
  (*writer)->addFile("weights.safetensors", written.bytes, written.hash);
  if (cache && options.notes)
    *options.notes << "cache: " << cache->countReused() << " weights reused, " << cache->countStored()
                   << " evaluated, " << cache->countDamaged() << " damaged entries replaced\n";
  for (llvm::StringRef name : {"tokenizer.json", "tokenizer_config.json"})
    if (llvm::Error error = (*writer)->copyIfPresent((sourceFolder + "/" + name).str(), name))
      return error;
  return (*writer)->commit(buildManifest(module, *target, options, sourceHash));
}
