//===- Load.cpp - models and files as modules -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/FirstError.h"
#include "codegen/GPU/IR/XGPU.h"
#include "codegen/Passes.h"
#include "codegen/Pipeline.h"
#include "import/HuggingFace.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"
#include "tools/driver/Driver.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::transformer;
namespace fs = llvm::sys::fs;

void mlir::transformer::registerAll(DialectRegistry &registry) {
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registry.insert<TransformerDialect, xgpu::XGPUDialect>();
  static bool passesOnce = [] {
    registerAllPasses();
    registerTransformerPasses();
    registerOptimizationPipeline();
    registerTransformerCodegenPasses();
    registerLoweringPipelines();
    return true;
  }();
  (void)passesOnce;
}

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static llvm::Expected<LoadedModel> loadFile(MLIRContext &context, llvm::StringRef path) {
  FirstError errors(&context);
  LoadedModel model;
  model.module = parseSourceFile<ModuleOp>(path, ParserConfig(&context));
  if (!model.module)
    return errors.take("cannot read " + path);
  llvm::StringRef folder = llvm::sys::path::parent_path(path);
  model.folder = folder.empty() ? "." : folder.str();
  return model;
}

llvm::Expected<LoadedModel> mlir::transformer::loadModel(MLIRContext &context, llvm::StringRef path,
                                                         const LoadOptions &options) {
  if (!fs::exists(path))
    return makeError(path + " does not exist; expected a Hugging Face folder or a .mlir file");
  if (!llvm::is_contained({"auto", "f32", "bf16"}, options.precision))
    return makeError("unknown precision \"" + options.precision + "\"; use f32 or bf16");
  if (!fs::is_directory(path)) {
    if (llvm::sys::path::extension(path) != ".mlir")
      return makeError(path + " is no model; expected a Hugging Face folder or a .mlir file");
    if (options.precision != "auto" || options.maxPositions != 0)
      return makeError("--precision and --max-positions say how a checkpoint is imported; " + path +
                       " is imported already, leave them out");
    return loadFile(context, path);
  }
  ImportOptions import;
  import.maxPositions = options.maxPositions;
  import.notes = options.notes;
  if (options.precision == "f32")
    import.precision = Precision::F32;
  else if (options.precision == "bf16")
    import.precision = Precision::BF16;
  llvm::Expected<OwningOpRef<ModuleOp>> module = importHuggingFace(context, path, import);
  if (!module)
    return module.takeError();
  return LoadedModel{std::move(*module), path.str()};
}
