//===- Qwen.cpp - Qwen 2, 2.5 and 3 --------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// qwen2: Llama with biases of q, k and v.
// qwen3: Llama with norms of the heads of q and k before the rotation.
//
// With `use_sliding_window` the layers from `max_window_layers` on see a window.
//
// arXiv:2407.10671, 2412.15115, 2505.09388.
//
//===----------------------------------------------------------------------===//

#include "import/Family.h"

namespace mlir::transformer {

static void readQwenWindows(ImportSource &source, DecoderSettings &settings) {
  int64_t full = source.config.count("max_window_layers", 28);
  std::optional<int64_t> window = source.config.sizeOrNull("sliding_window", 4096);
  if (!source.config.flag("use_sliding_window", false))
    window = std::nullopt;
  readWindows(source, settings, window, [full](int64_t layer) { return layer >= full; });
}

llvm::Expected<OwningOpRef<ModuleOp>> importQwen2(ImportSource &source) {
  DecoderSettings settings = readDecoder(source);
  settings.qkvBias = true;
  readQwenWindows(source, settings);
  return buildDecoder(source, settings);
}

llvm::Expected<OwningOpRef<ModuleOp>> importQwen3(ImportSource &source) {
  DecoderSettings settings = readDecoder(source);
  settings.qkvBias = settings.outputBias = source.config.flag("attention_bias", false);
  settings.names.qNorm = "self_attn.q_norm";
  settings.names.kNorm = "self_attn.k_norm";
  readQwenWindows(source, settings);
  return buildDecoder(source, settings);
}

} // namespace mlir::transformer
