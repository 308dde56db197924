//===- Llama.cpp - Llama 1, 2 and 3 ---------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// h += o_proj(attention(rope(q_proj(n)), rope(k_proj(n)), v_proj(n))), n = rms_norm(h)
// h += down_proj(silu(gate_proj(n)) * up_proj(n)),                     n = rms_norm(h)
//
// arXiv:2302.13971, 2307.09288 (grouped queries), 2407.21783 (rope_type llama3).
//
//===----------------------------------------------------------------------===//

#include "import/Family.h"

namespace mlir::transformer {

llvm::Expected<OwningOpRef<ModuleOp>> importLlama(ImportSource &source) {
  DecoderSettings settings = readDecoder(source);
  settings.qkvBias = settings.outputBias = source.config.flag("attention_bias", false);
  settings.mlpBias = source.config.flag("mlp_bias", false);
  return buildDecoder(source, settings);
}

} // namespace mlir::transformer
