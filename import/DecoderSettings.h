//===- DecoderSettings.h - what a decoder-only model is made of ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef IMPORT_DECODERSETTINGS_H
#define IMPORT_DECODERSETTINGS_H

#include "dialect/Transformer.h"
#include "import/Rope.h"
#include "weights/Checkpoint.h"

#include <functional>

namespace mlir::transformer {

/// The names of a checkpoint's tensors, without ".weight" and ".bias"; those of
/// Llama, which most families share. An empty name is a part the model lacks.
struct DecoderNames {
  std::string root = "model.";
  std::string embedding = "embed_tokens", positions = "", layers = "layers", finalNorm = "norm";
  std::string head = "lm_head"; // not under the root

  // Of a layer.
  std::string attentionNorm = "input_layernorm", attentionOutNorm = "";
  std::string q = "self_attn.q_proj", k = "self_attn.k_proj", v = "self_attn.v_proj", qkv = "";
  std::string qNorm = "", kNorm = ""; // of each head, before the rotation
  std::string output = "self_attn.o_proj";
  std::string feedForwardNorm = "post_attention_layernorm", feedForwardOutNorm = "";
  std::string gate = "mlp.gate_proj", up = "mlp.up_proj", gateUp = "", down = "mlp.down_proj";
};

/// What a decoder-only language model is made of. A family states here what
/// differs from Llama; the builder follows.
struct DecoderSettings {
  std::string architecture;
  int64_t vocabSize = 0, hiddenSize = 0, layers = 0, heads = 0, kvHeads = 0, headDim = 0,
          intermediateSize = 0;
  int64_t maxPositions = 0;
  int64_t learnedPositions = 0; // rows of the table of `names.positions`
  DecoderNames names;

  bool layerNorm = false; // with a bias, instead of RMS norms
  double normEpsilon = 0;
  double normOffset = 0; // what norms add to their stored weight

  double attentionScale = 0; // of q . k
  bool scaleByLayer = false; // layer i divides it by i + 1
  std::optional<double> attentionSoftcap;
  bool hasRope = true;
  RopeSettings rope;
  std::optional<RopeSettings> windowRope; // of the windowed layers, where they have their own
  int64_t window = 0; // positions a windowed layer sees, its own counted; 0 for no such layers
  std::function<bool(int64_t)> isWindowed; // by layer; all of them where empty

  ActivationKind activation = ActivationKind::Silu;
  bool qkvBias = false, outputBias = false, mlpBias = false;
  bool storedTransposed = false; // matrices of the layers are [in, out]

  double embeddingScale = 1, residualScale = 1, logitScale = 1; // factors
  std::optional<double> logitSoftcap;
  bool tiedEmbeddings = false;
  std::optional<int64_t> bosTokenId;
  SmallVector<int64_t> eosTokenIds;

  std::string embeddingName() const { return names.root + names.embedding; }
  std::string headName() const { return tiedEmbeddings ? embeddingName() : names.head; }
  std::string finalNormName() const { return names.root + names.finalNorm; }
  std::string layerName(int64_t layer, StringRef rest) const;
  /// Whether the layer is one of those with a window.
  bool hasWindow(int64_t layer) const { return window > 0 && (!isWindowed || isWindowed(layer)); }
};

/// Requires every tensor of the model from the checkpoint.
llvm::Error requireDecoderTensors(const DecoderSettings &settings, Checkpoint &checkpoint);

} // namespace mlir::transformer

#endif // IMPORT_DECODERSETTINGS_H
