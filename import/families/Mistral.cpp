//===- Mistral.cpp - Mistral 7B and its successors -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Llama whose layers see the last `sliding_window` positions; null, as from
// version 0.2 on, is none.
//
// arXiv:2310.06825.
//
//===----------------------------------------------------------------------===//

#include "import/Family.h"

namespace mlir::transformer {

llvm::Expected<OwningOpRef<ModuleOp>> importMistral(ImportSource &source) {
  DecoderSettings settings = readDecoder(source);
  readWindows(source, settings, source.config.sizeOrNull("sliding_window", 4096));
  return buildDecoder(source, settings);
}

} // namespace mlir::transformer
