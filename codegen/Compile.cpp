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
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
#include "codegen/Common/FirstError.h"
#include "codegen/Compile.h"
#include "codegen/GPU/Backend.h"
#include "codegen/Pipeline.h"
#include "passes/Pipeline.h"
#include "weights/WeightWriter.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace mlir::transformer;

static LoweringPipelineOptions pipelineOptions(const CPUTarget &target, const LoweringOptions &lowering) {
  LoweringPipelineOptions options;
  options.vectorBytes = target.vectorBytes();
  options.vectorRegisters = target.vectorRegisters();
  options.nativeBF16 = target.multipliesBF16();
  options.int8Depth = target.int8Depth();
  options.fmaPipes = target.fmaPipes;
  options.fmaLatency = target.fmaLatency;
  options.l1Bytes = target.l1Bytes;
  options.l2Bytes = target.l2Bytes;
  options.cores = target.cores;
  options.nativeF16 = !target.isX86() || target.has("f16c");
  options.nativeRounding = !target.isX86() || target.has("sse4.1");
  options.chunk = lowering.chunk;
  options.deterministic = lowering.deterministic;
  options.strategyFile = lowering.strategyFile;
  options.tuningFile = lowering.tuningFile;
  options.startAt = lowering.startAt;
  options.fusion = std::min<int64_t>(lowering.optLevel, 2);
  options.gpuArchs = lowering.gpuArchs;
  options.newestGPUKernels = lowering.newestGPUKernels;
  options.tf32 = lowering.tf32;
  options.gpuSequences = lowering.gpuSequences;
  return options;
}

/// Whether a phase, of those of a GPU, runs while kernels and host code are together.
static bool isBeforeLaunches(llvm::StringRef phase) {
  ArrayRef<llvm::StringRef> phases = loweringPhases(/*gpu=*/true);
  return llvm::is_contained(phases, phase) && llvm::find(phases, phase) < llvm::find(phases, "launches");
}

static llvm::Error runPipeline(ModuleOp module, llvm::function_ref<void(OpPassManager &)> build) {
  FirstError errors(module.getContext());
  PassManager pm(module.getContext());
  // The module was verified when it was made; the tests verify after every pass.
  pm.enableVerifier(false);
  build(pm);
  if (succeeded(pm.run(module)))
    return llvm::Error::success();
  return errors.take("a pass failed without a reason");
}

/// The passes of the level, on the transformer dialect.
static llvm::Error optimize(ModuleOp module, const LoweringOptions &lowering) {
  OptimizationOptions options;
  options.level = lowering.optLevel;
  options.passes = lowering.passes;
  llvm::Error unknown = llvm::Error::success();
  llvm::Error failed = runPipeline(module, [&](OpPassManager &pm) {
    unknown = buildOptimizationPipeline(static_cast<PassManager &>(pm), options);
  });
  return unknown ? std::move(unknown) : std::move(failed);
}

llvm::Error mlir::transformer::lowerModule(ModuleOp module, const CPUTarget &target,
                                           const LoweringOptions &lowering, llvm::StringRef stopAt,
                                           std::vector<KernelModule> *kernels) {
  if (lowering.startAt.empty())
    if (llvm::Error error = optimize(module, lowering))
      return error;
  if (stopAt == kOptimizedPhase)
    return llvm::Error::success();
  LoweringPipelineOptions options = pipelineOptions(target, lowering);
  options.stopAt = stopAt.str();
  bool splits = !lowering.gpuArchs.empty() && !isBeforeLaunches(stopAt);
  if (splits)
    options.stopAt = "outline";
  if (llvm::Error error = runPipeline(module, [&](OpPassManager &pm) { buildLoweringPipeline(pm, options); }))
    return error;
  if (!splits)
    return llvm::Error::success();
  // Kernels go their own way from here.
  for (auto nested : llvm::make_early_inc_range(module.getOps<ModuleOp>())) {
    nested->remove();
    OwningOpRef<ModuleOp> owned(nested);
    if (kernels)
      kernels->push_back({nested.getName()->str(), std::move(owned)});
  }
  options.startAt = "launches";
  options.stopAt = stopAt.str();
  return runPipeline(module, [&](OpPassManager &pm) { buildLoweringPipeline(pm, options); });
}

llvm::Expected<std::string> mlir::transformer::compileKernels(KernelModule &kernels) {
  ModuleOp module = *kernels.module;
  if (llvm::Error error = runPipeline(module, [](OpPassManager &pm) { buildKernelPipeline(pm); }))
    return std::move(error);
  return translateToPTX(module, kernels.arch);
}

/// Writes the kernels of each architecture into the artifact and says what they are. Kernels that are to be
/// emulated need no cubins.
static llvm::Expected<llvm::json::Array> writeKernels(std::vector<KernelModule> &kernels,
                                                      ArtifactWriter &writer, bool areEmulated,
                                                      llvm::raw_ostream *notes) {
  llvm::json::Array list;
  std::string ptxas = areEmulated ? "" : findPtxas();
  if (notes && !areEmulated && ptxas.empty())
    *notes << "kernels: PTX alone, which the driver compiles when it is loaded; with ptxas (of the CUDA "
              "Toolkit) "
              "in the PATH there would be cubins\n";
  for (KernelModule &arch : kernels) {
    llvm::Expected<llvm::json::Array> table = kernelTable(*arch.module);
    if (!table)
      return table.takeError();
    llvm::json::Object entry{{"arch", arch.arch}, {"table", std::move(*table)}};
    llvm::Expected<std::string> ptx = compileKernels(arch);
    if (!ptx)
      return ptx.takeError();
    std::string name = llvm::formatv("kernels/{0:x-16}", llvm::xxh3_64bits(*ptx));
    // PTX of an architecture whose name ends in a letter runs on that one alone, as a cubin does.
    bool isPortable = llvm::isDigit(arch.arch.back());
    if (isPortable || ptxas.empty()) {
      if (llvm::Error error = writer.writeFile(name + ".ptx", *ptx))
        return std::move(error);
      entry["ptx"] = name + ".ptx";
    }
    if (!ptxas.empty()) {
      std::string cubin = name + "." + arch.arch + ".cubin";
      if (llvm::Error error = writer.createFolderOf(cubin))
        return std::move(error);
      llvm::Expected<std::vector<KernelResources>> resources =
          assemble(ptxas, *ptx, arch.arch, writer.pathOf(cubin));
      if (!resources)
        return resources.takeError();
      if (llvm::Error error = writer.addFile(cubin))
        return std::move(error);
      entry["cubin"] = cubin;
    }
    list.push_back(std::move(entry));
  }
  return std::move(list);
}

/// Identifies what was compiled: the IR, with the names of its weights.
static uint64_t hashOf(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return llvm::xxh3_64bits(text);
}

/// Evaluates the weights that the entry points read, and writes them.
static llvm::Error addWeights(ModuleOp module, llvm::StringRef sourceFolder, ArtifactWriter &writer,
                              const CompileOptions &options) {
  std::unique_ptr<WeightCache> cache;
  if (!options.cacheFolder.empty()) {
    llvm::Expected<std::unique_ptr<WeightCache>> opened = WeightCache::open(options.cacheFolder);
    if (!opened)
      return opened.takeError();
    cache = std::move(*opened);
  }
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
          writeWeights(module, weights, store, writer.pathOf("weights.safetensors"), write, written))
    return error;
  writer.addFile("weights.safetensors", written.bytes, written.hash);
  if (cache && options.notes)
    *options.notes << "cache: " << cache->countReused() << " weights reused, " << cache->countStored()
                   << " evaluated, " << cache->countDamaged() << " damaged entries replaced\n";
  return llvm::Error::success();
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
  // Opened again with the weights; an unusable folder is told before any work.
  if (!options.cacheFolder.empty())
    if (llvm::Expected<std::unique_ptr<WeightCache>> opened = WeightCache::open(options.cacheFolder); !opened)
      return opened.takeError();
  uint64_t sourceHash = hashOf(module);
  std::vector<KernelModule> kernels;
  if (llvm::Error error = lowerModule(module, *target, options, "", &kernels))
    return error;
  // Not before: an error of the model is to be the only line.
  if (options.notes && !options.gpuArchs.empty())
    *options.notes << "target: cuda " << llvm::join(options.gpuArchs, " ") << "\n";
  if (options.notes)
    *options.notes << (options.gpuArchs.empty() ? "target: cpu " : "host: ") << target->cpu << " of "
                   << target->triple << " (" << llvm::join(target->features, " ") << ")\n";
  if (options.kernels)
    for (KernelModule &arch : kernels)
      options.kernels->push_back({arch.arch, OwningOpRef<ModuleOp>(arch.module->clone())});
  std::optional<llvm::json::Object> sampling;
  if (!kernels.empty())
    sampling = samplingOf(*kernels[0].module);
  llvm::Expected<llvm::json::Array> kernelList =
      writeKernels(kernels, **writer, /*areEmulated=*/options.kernels, options.notes);
  if (!kernelList)
    return kernelList.takeError();
  llvm::Expected<std::unique_ptr<CPUBackend>> backend = CPUBackend::create(module, *target);
  if (!backend)
    return backend.takeError();
  if (llvm::Error error = (*backend)->writeSharedObject((*writer)->pathOf("module.so")))
    return error;
  if (llvm::Error error = (*writer)->addFile("module.so"))
    return error;
  backend->reset();

  if (!options.noWeights)
    if (llvm::Error error = addWeights(module, sourceFolder, **writer, options))
      return error;
  for (llvm::StringRef name : {"tokenizer.json", "tokenizer_config.json"})
    if (llvm::Error error = (*writer)->copyIfPresent((sourceFolder + "/" + name).str(), name))
      return error;
  llvm::json::Object manifest = buildManifest(module, *target, options, sourceHash);
  if (options.noWeights)
    manifest["weights_stored"] = false;
  if (!options.gpuArchs.empty())
    manifest["kernels"] = std::move(*kernelList);
  if (sampling)
    manifest["sampling"] = std::move(*sampling);
  return (*writer)->commit(std::move(manifest));
}
