//===- Granite.cpp - Granite, the dense models ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Llama with four factors: of the embedding, of q . k, of what the branches add
// to the residual, and 1 / `logits_scaling` of the logits.
//
// arXiv:2405.04324; the factors: Yang et al., arXiv:2203.03466.
//
//===----------------------------------------------------------------------===//

#include "import/Family.h"

namespace mlir::transformer {

llvm::Expected<OwningOpRef<ModuleOp>> importGranite(ImportSource &source) {
  Config &config = source.config;
  DecoderSettings settings = readDecoder(source);
  settings.qkvBias = settings.outputBias = config.flag("attention_bias", false);
  settings.mlpBias = config.flag("mlp_bias", false);
  settings.embeddingScale = config.positive("embedding_multiplier", 1.0);
  settings.attentionScale = config.positive("attention_multiplier", 1.0);
  settings.residualScale = config.positive("residual_multiplier", 1.0);
  settings.logitScale = 1.0 / config.positive("logits_scaling", 1.0);
  return buildDecoder(source, settings);
}

} // namespace mlir::transformer
