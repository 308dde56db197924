//===- GPT2.cpp - GPT-2 --------------------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// h = wte[ids] + wpe[positions]
// h += c_proj(attention(c_attn(n))), n = layer_norm(h)
// h += c_proj(gelu(c_fc(n))),        n = layer_norm(h)
//
// The layers' matrices are stored [in, out]. Checkpoints of the bare model have
// no `transformer.` before their names.
//
// Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.
//
//===----------------------------------------------------------------------===//

#include "import/Family.h"

#include <cmath>

namespace mlir::transformer {

static DecoderNames namesOf(const Checkpoint &checkpoint) {
  DecoderNames names;
  names.root = checkpoint.contains("wte.weight") ? "" : "transformer.";
  names.embedding = "wte";
  names.positions = "wpe";
  names.layers = "h";
  names.finalNorm = "ln_f";
  names.attentionNorm = "ln_1";
  names.qkv = "attn.c_attn";
  names.output = "attn.c_proj";
  names.feedForwardNorm = "ln_2";
  names.gate = "";
  names.up = "mlp.c_fc";
  names.down = "mlp.c_proj";
  return names;
}

llvm::Expected<OwningOpRef<ModuleOp>> importGPT2(ImportSource &source) {
  Config &config = source.config;
  DecoderSettings s;
  readArchitecture(source, s);
  s.names = namesOf(source.checkpoint);
  s.vocabSize = config.size("vocab_size");
  s.hiddenSize = config.size("n_embd");
  s.layers = config.size("n_layer");
  s.heads = s.kvHeads = config.size("n_head");
  s.intermediateSize = config.size("n_inner", 4 * s.hiddenSize);
  s.learnedPositions = config.size("n_positions");
  s.maxPositions = readMaxPositions(source, s.learnedPositions);
  if (s.maxPositions > s.learnedPositions)
    config.fail("\"n_positions\" is " + llvm::Twine(s.learnedPositions) +
                ", which is all the model has learned; " + llvm::Twine(s.maxPositions) + " were asked for");
  if (s.hiddenSize % s.heads != 0)
    config.fail("\"n_embd\" " + llvm::Twine(s.hiddenSize) + " is no multiple of \"n_head\" " +
                llvm::Twine(s.heads));
  s.headDim = std::max<int64_t>(1, s.hiddenSize / s.heads);
  s.layerNorm = true;
  s.normEpsilon = config.positive("layer_norm_epsilon", 1e-5);
  s.activation = readActivation(config, "activation_function", "gelu_new");
  bool isScaled = config.flag("scale_attn_weights", true);
  s.attentionScale = isScaled ? 1.0 / std::sqrt(static_cast<double>(s.headDim)) : 1.0;
  s.scaleByLayer = config.flag("scale_attn_by_inverse_layer_idx", false);
  if (config.flag("add_cross_attention", false))
    config.fail("\"add_cross_attention\" is true; only models without an encoder are supported");
  s.hasRope = false;
  s.qkvBias = s.outputBias = s.mlpBias = s.storedTransposed = true;
  s.tiedEmbeddings = config.flag("tie_word_embeddings", true);
  readSpecialTokens(source, s);
  return buildDecoder(source, s);
}

} // namespace mlir::transformer
