//===- Family.h - what an importer of a model family gets -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef IMPORT_FAMILY_H
#define IMPORT_FAMILY_H

#include "import/Config.h"
#include "import/DecoderBuilder.h"
#include "import/HuggingFace.h"
#include "weights/Checkpoint.h"

namespace mlir::transformer {

/// A folder that is being imported.
struct ImportSource {
  MLIRContext &context;
  const ImportOptions &options;
  Config config;
  Config generation; // empty where there is no generation_config.json
  Checkpoint checkpoint;
};

/// A model family: the `model_type` of its configs and its importer, which
/// reads the config, requires its tensors and then builds.
struct Family {
  llvm::StringLiteral modelType;
  llvm::Expected<OwningOpRef<ModuleOp>> (*import)(ImportSource &source);
};

// One per file in families/; listed in HuggingFace.cpp.
llvm::Expected<OwningOpRef<ModuleOp>> importGemma(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importGemma2(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importGemma3(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importGPT2(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importGranite(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importLlama(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importMistral(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importPhi3(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importQwen2(ImportSource &source);
llvm::Expected<OwningOpRef<ModuleOp>> importQwen3(ImportSource &source);

//===----------------------------------------------------------------------===//
// Shared by the decoder families
//===----------------------------------------------------------------------===//

/// Reads the keys that all of them have; errors stay in the configs. What decides
/// sizes must be stated; for the rest the defaults are those of the Hugging Face
/// library, since its configs leave them out.
DecoderSettings readDecoder(ImportSource &source);

/// What precedes all sizes: settings that no family supports, and the model's name.
void readArchitecture(ImportSource &source, DecoderSettings &settings);
/// The positions to compile for; `trained` is what the config states.
int64_t readMaxPositions(ImportSource &source, int64_t trained);
void readSpecialTokens(ImportSource &source, DecoderSettings &settings);

/// The layers that see a window of `window` positions, null for none: those
/// that `layer_types` names, or `isWindowed` where the config has no such list.
void readWindows(ImportSource &source, DecoderSettings &settings, std::optional<int64_t> window,
                 std::function<bool(int64_t)> isWindowed = nullptr);

/// The activation that the config names under `key`; `absent` is the library's default.
ActivationKind readActivation(Config &config, StringRef key, StringRef absent);

/// The storage type that the options ask for; `name` is the tensor that decides.
Type storageType(ImportSource &source, StringRef name);

/// The errors of both configs, or those of missing tensors, or the module.
llvm::Expected<OwningOpRef<ModuleOp>> buildDecoder(ImportSource &source, const DecoderSettings &settings);

} // namespace mlir::transformer

#endif // IMPORT_FAMILY_H
