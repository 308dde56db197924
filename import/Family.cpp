//===- Family.cpp - shared by the decoder families ------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/Family.h"
#include "weights/Error.h"

#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace llvm;

namespace mlir::transformer {

/// Tables have a row per position: beyond this they would be larger than models.
static constexpr int64_t maxTablePositions = int64_t(1) << 24;
/// Sums of three of these do not overflow.
static constexpr int64_t maxProjection = int64_t(1) << 40;

ActivationKind readActivation(Config &config, StringRef key, StringRef absent) {
  std::string name = config.text(key, absent);
  std::optional<ActivationKind> kind =
      StringSwitch<std::optional<ActivationKind>>(name)
          .Cases({"silu", "swish"}, ActivationKind::Silu)
          .Case("gelu", ActivationKind::GeluErf)
          .Cases({"gelu_new", "gelu_pytorch_tanh", "gelu_fast"}, ActivationKind::GeluTanh)
          .Case("relu", ActivationKind::Relu)
          .Case("quick_gelu", ActivationKind::QuickGelu)
          .Default(std::nullopt);
  if (!kind)
    config.fail(quoted(key) + " is " + quoted(name) +
                "; known are silu, swish, gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, relu and quick_gelu");
  return kind.value_or(ActivationKind::Silu);
}

/// Token ids: generation_config.json decides where it has the key, null included.
void readSpecialTokens(ImportSource &source, DecoderSettings &settings) {
  auto ids = [&](StringRef key) {
    Config &config = source.generation.contains(key) ? source.generation : source.config;
    return config.tokenIds(key, settings.vocabSize);
  };
  SmallVector<int64_t> bos = ids("bos_token_id");
  if (!bos.empty())
    settings.bosTokenId = bos.front();
  settings.eosTokenIds = ids("eos_token_id");
}

int64_t readMaxPositions(ImportSource &source, int64_t trained) {
  int64_t positions = source.options.maxPositions > 0 ? source.options.maxPositions : trained;
  if (positions <= maxTablePositions)
    return positions;
  source.config.fail("a model for " + Twine(positions) + " positions needs larger tables than the limit of " +
                     Twine(maxTablePositions) + " rows; give --max-positions");
  return 1;
}

void readArchitecture(ImportSource &source, DecoderSettings &settings) {
  Config &config = source.config;
  settings.architecture = config.text("model_type");
  for (StringRef key : {"quantization_config", "quantization"})
    if (config.has(key))
      config.fail("quantized checkpoints (" + quoted(key) + ") are not supported; take the original one");
  for (StringRef key : {"num_local_experts", "num_experts"})
    if (config.count(key, 0) > 1)
      config.fail("mixtures of experts (" + quoted(key) + ") are not supported");
  for (StringRef key : {"text_config", "vision_config"})
    if (config.has(key))
      config.fail("models of text and images (" + quoted(key) + ") are not supported; take the text model");
}

void readWindows(ImportSource &source, DecoderSettings &settings, std::optional<int64_t> window,
                 std::function<bool(int64_t)> isWindowed) {
  settings.window = window.value_or(0);
  settings.isWindowed = std::move(isWindowed);
  constexpr StringLiteral key = "layer_types", sliding = "sliding_attention", full = "full_attention";
  if (!source.config.has(key))
    return;
  // As many entries as layers: a list of the file, so its size is bounded.
  std::vector<bool> kinds;
  for (StringRef kind : source.config.texts(key, static_cast<size_t>(settings.layers), {sliding, full}))
    kinds.push_back(kind == sliding);
  settings.isWindowed = [kinds = std::move(kinds)](int64_t layer) {
    return kinds[static_cast<size_t>(layer)];
  };
}

DecoderSettings readDecoder(ImportSource &source) {
  Config &config = source.config;
  DecoderSettings s;
  readArchitecture(source, s);
  s.vocabSize = config.size("vocab_size");
  s.hiddenSize = config.size("hidden_size");
  s.layers = config.size("num_hidden_layers");
  s.heads = config.size("num_attention_heads");
  s.kvHeads = config.size("num_key_value_heads", s.heads);
  s.intermediateSize = config.size("intermediate_size");
  s.maxPositions = readMaxPositions(source, config.size("max_position_embeddings"));
  s.normEpsilon = config.positive("rms_norm_eps", 1e-6);
  s.activation = readActivation(config, "hidden_act", "silu");
  if (!config.has("head_dim") && s.hiddenSize % s.heads != 0)
    config.fail("\"hidden_size\" " + Twine(s.hiddenSize) + " is no multiple of \"num_attention_heads\" " +
                Twine(s.heads) + ", and there is no \"head_dim\"");
  s.headDim = config.size("head_dim", std::max<int64_t>(1, s.hiddenSize / s.heads));
  if (s.heads % s.kvHeads != 0)
    config.fail("\"num_attention_heads\" " + Twine(s.heads) + " is no multiple of \"num_key_value_heads\" " +
                Twine(s.kvHeads));
  if (s.heads * s.headDim > maxProjection)
    config.fail("\"num_attention_heads\" " + Twine(s.heads) + " times \"head_dim\" " + Twine(s.headDim) +
                " is more than any matrix has rows");
  s.attentionScale = 1.0 / std::sqrt(static_cast<double>(s.headDim));
  s.rope = readRope(config, s.headDim, s.maxPositions);
  s.tiedEmbeddings = config.flag("tie_word_embeddings", false);
  readSpecialTokens(source, s);
  return s;
}

Type storageType(ImportSource &source, StringRef name) {
  bool isBF16 = source.options.precision == Precision::BF16;
  if (source.options.precision == Precision::Auto)
    for (const auto &[tensor, entry] : source.checkpoint.used())
      isBF16 |= tensor == name && entry->dtype == Dtype::BF16;
  return isBF16 ? Type(BFloat16Type::get(&source.context)) : Type(Float32Type::get(&source.context));
}

Expected<OwningOpRef<ModuleOp>> buildDecoder(ImportSource &source, const DecoderSettings &settings) {
  if (Error error = source.config.takeError())
    return error;
  if (Error error = source.generation.takeError())
    return error;
  if (!settings.tiedEmbeddings && !source.checkpoint.contains(settings.headName() + ".weight"))
    return makeError(
        source.checkpoint.getFolder() + ": the checkpoint has no tensor " +
        quoted(settings.headName() + ".weight") +
        ", and config.json does not set \"tie_word_embeddings\"; if the model shares its embedding, set it");
  if (Error error = requireDecoderTensors(settings, source.checkpoint))
    return error;
  DecoderBuilder builder(&source.context, settings, source.checkpoint,
                         storageType(source, settings.embeddingName() + ".weight"));
  return builder.build();
}

} // namespace mlir::transformer
