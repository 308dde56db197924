//===- Phi3.cpp - Phi-3, Phi-3.5 and Phi-4 mini --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// q, k, v = qkv_proj(n); gate, up = gate_up_proj(n): two stored matrices whose
// results are sliced. Otherwise Llama, with longrope and a rotation of a part of
// the head in the longer and smaller models.
//
// arXiv:2404.14219, 2503.01743; longrope: 2402.13753.
//
//===----------------------------------------------------------------------===//

#include "import/Family.h"

namespace mlir::transformer {

llvm::Expected<OwningOpRef<ModuleOp>> importPhi3(ImportSource &source) {
  DecoderSettings settings = readDecoder(source);
  settings.names.qkv = "self_attn.qkv_proj";
  settings.names.gateUp = "mlp.gate_up_proj";
  for (llvm::StringRef key : {"attention_bias", "mlp_bias", "lm_head_bias"})
    if (source.config.flag(key, false))
      source.config.fail("\"" + key + "\" is true; models of this type with biases are not supported");
  readWindows(source, settings, source.config.sizeOrNull("sliding_window", std::nullopt));
  return buildDecoder(source, settings);
}

} // namespace mlir::transformer
