//===- HuggingFace.cpp - Hugging Face folders -> dialect ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/HuggingFace.h"
#include "import/Family.h"
#include "weights/Error.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace llvm;

namespace mlir::transformer {

/// Every family this compiler knows; sorted by name.
static constexpr Family families[] = {
    {"gemma", importGemma},        {"gemma2", importGemma2},   {"gemma3", importGemma3},
    {"gemma3_text", importGemma3}, {"gpt2", importGPT2},       {"granite", importGranite},
    {"llama", importLlama},        {"mistral", importMistral}, {"phi3", importPhi3},
    {"qwen2", importQwen2},        {"qwen3", importQwen3},
};

static Expected<const Family *> findFamily(Config &config) {
  std::string modelType = config.text("model_type");
  if (Error error = config.takeError())
    return error;
  for (const Family &family : families)
    if (modelType == family.modelType)
      return &family;
  std::string known;
  raw_string_ostream os(known);
  interleaveComma(families, os, [&](const Family &family) { os << family.modelType; });
  config.fail("\"model_type\" " + quoted(modelType) + " is not known; known are: " + known);
  return config.takeError();
}

static Expected<Config> readGenerationConfig(StringRef folder) {
  SmallString<128> path(folder);
  sys::path::append(path, "generation_config.json");
  return sys::fs::exists(path) ? Config::read(path) : Config(json::Object(), path.str());
}

/// Tensors nothing reads. Old checkpoints store the rotary frequencies and the
/// causal masks, which the config states as well: those are passed over.
static void noteUnused(const Checkpoint &checkpoint, raw_ostream &os) {
  constexpr StringRef buffers[] = {".rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"};
  for (StringRef name : checkpoint.unused())
    if (llvm::none_of(buffers, [&](StringRef buffer) { return name.ends_with(buffer); }))
      os << "note: the tensor " << quoted(name) << " of the checkpoint is not used\n";
}

Expected<OwningOpRef<ModuleOp>> importHuggingFace(MLIRContext &context, StringRef folder,
                                                  const ImportOptions &options) {
  if (options.maxPositions < 0)
    return makeError("expected a positive number of positions, but got " + Twine(options.maxPositions));
  context.loadDialect<TransformerDialect, arith::ArithDialect, func::FuncDialect, linalg::LinalgDialect,
                      math::MathDialect, tensor::TensorDialect>();
  SmallString<128> path(folder);
  sys::path::append(path, "config.json");
  Expected<Config> config = Config::read(path);
  if (!config)
    return config.takeError();
  Expected<const Family *> family = findFamily(*config);
  if (!family)
    return family.takeError();
  Expected<Config> generation = readGenerationConfig(folder);
  if (!generation)
    return generation.takeError();
  WeightStore store(folder);
  Expected<Checkpoint> checkpoint = Checkpoint::open(store);
  if (!checkpoint)
    return checkpoint.takeError();

  ImportSource source{context, options, std::move(*config), std::move(*generation), std::move(*checkpoint)};
  Expected<OwningOpRef<ModuleOp>> module = (*family)->import(source);
  if (!module)
    return module.takeError();
  if (failed(verify(**module)))
    return makeError(folder + ": the imported module does not verify; this is a defect of the importer");
  if (options.notes)
    noteUnused(source.checkpoint, *options.notes);
  return module;
}

} // namespace mlir::transformer
