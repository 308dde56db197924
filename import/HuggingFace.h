//===- HuggingFace.h - Hugging Face folders -> dialect --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef IMPORT_HUGGINGFACE_H
#define IMPORT_HUGGINGFACE_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer {

/// The type in which values that feed contractions are stored. `Auto` is bf16
/// for BF16 checkpoints and f32 for others.
enum class Precision { Auto, F32, BF16 };

struct ImportOptions {
  Precision precision = Precision::Auto;
  /// The positions the model is compiled for; 0 takes the config's.
  int64_t maxPositions = 0;
  /// Where remarks go that are no errors, e.g. tensors nothing reads; null for nowhere.
  llvm::raw_ostream *notes = nullptr;
};

/// Imports the folder of a model in the Hugging Face layout: `config.json`,
/// `generation_config.json` where there is one, and the headers of its
/// safetensors files. No weight is read. The module verifies.
llvm::Expected<OwningOpRef<ModuleOp>> importHuggingFace(MLIRContext &context, StringRef folder,
                                                        const ImportOptions &options);

} // namespace mlir::transformer

#endif // IMPORT_HUGGINGFACE_H
