//===- Gemma.cpp - Gemma 1, 2 and 3 --------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// gemma:  Llama with the embedding times sqrt(hidden), norms of 1 + their stored
//         weight, and gelu's tanh form in the feed-forward.
// gemma2: and norms behind attention and feed-forward as well, soft caps of the
//         scores and logits, a window in every other layer.
// gemma3: and norms of the heads of q and k, no caps, windows in five of six
//         layers, which rotate by a base of their own, unscaled.
//
// arXiv:2403.08295, 2408.00118, 2503.19786. The embedding's factor is exact;
// implementations in bf16 round it.
//
//===----------------------------------------------------------------------===//

#include "import/Family.h"

#include <cmath>

namespace mlir::transformer {

static DecoderSettings readGemma(ImportSource &source) {
  Config &config = source.config;
  DecoderSettings settings = readDecoder(source);
  // The first configs say "gelu" under `hidden_act`, which is not what the models
  // were trained with: `hidden_activation` alone decides.
  settings.activation = readActivation(config, "hidden_activation", "gelu_pytorch_tanh");
  settings.tiedEmbeddings = config.flag("tie_word_embeddings", true);
  settings.embeddingScale = std::sqrt(static_cast<double>(settings.hiddenSize));
  settings.normOffset = 1;
  settings.qkvBias = settings.outputBias = config.flag("attention_bias", false);
  return settings;
}

/// What Gemma 2 and 3 share.
static DecoderSettings readNewerGemma(ImportSource &source) {
  Config &config = source.config;
  DecoderSettings settings = readGemma(source);
  settings.names.attentionOutNorm = "post_attention_layernorm";
  settings.names.feedForwardNorm = "pre_feedforward_layernorm";
  settings.names.feedForwardOutNorm = "post_feedforward_layernorm";
  settings.attentionScale = 1.0 / std::sqrt(config.positive("query_pre_attn_scalar", 256.0));
  if (config.flag("use_bidirectional_attention", false))
    config.fail("\"use_bidirectional_attention\" is true; only causal models are supported");
  return settings;
}

llvm::Expected<OwningOpRef<ModuleOp>> importGemma(ImportSource &source) {
  return buildDecoder(source, readGemma(source));
}

llvm::Expected<OwningOpRef<ModuleOp>> importGemma2(ImportSource &source) {
  Config &config = source.config;
  DecoderSettings settings = readNewerGemma(source);
  settings.attentionSoftcap = config.positiveOrNull("attn_logit_softcapping", 50.0);
  settings.logitSoftcap = config.positiveOrNull("final_logit_softcapping", 30.0);
  readWindows(source, settings, config.sizeOrNull("sliding_window", 4096),
              [](int64_t layer) { return layer % 2 == 0; });
  return buildDecoder(source, settings);
}

llvm::Expected<OwningOpRef<ModuleOp>> importGemma3(ImportSource &source) {
  Config &config = source.config;
  DecoderSettings settings = readNewerGemma(source);
  settings.names.qNorm = "self_attn.q_norm";
  settings.names.kNorm = "self_attn.k_norm";
  settings.attentionSoftcap = config.positiveOrNull("attn_logit_softcapping", std::nullopt);
  settings.logitSoftcap = config.positiveOrNull("final_logit_softcapping", std::nullopt);
  // Converted checkpoints have the longer name.
  std::optional<int64_t> window = config.sizeOrNull("sliding_window_attention_size", 4096);
  int64_t period = config.size("sliding_window_pattern", config.size("_sliding_window_pattern", 6));
  readWindows(source, settings, config.sizeOrNull("sliding_window", window),
              [period](int64_t layer) { return (layer + 1) % period != 0; });
  RopeSettings local;
  local.theta = config.positive("rope_local_base_freq", 10000.0);
  local.rotaryDim = settings.rope.rotaryDim;
  bool isListed = config.child("rope_parameters").has("sliding_attention");
  settings.windowRope =
      isListed ? readRope(config, settings.headDim, settings.maxPositions, "sliding_attention") : local;
  return buildDecoder(source, settings);
}

} // namespace mlir::transformer
