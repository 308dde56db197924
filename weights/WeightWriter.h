//===- WeightWriter.h - evaluates weights into a file ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_WEIGHTWRITER_H
#define WEIGHTS_WEIGHTWRITER_H

#include "weights/Derive.h"

#include <functional>

namespace mlir::transformer {

/// What has been written so far; `tensor` is the one just finished.
struct WriteProgress {
  StringRef tensor;
  uint64_t bytesDone;
  uint64_t bytesTotal;
  double megabytesPerSecond; // 10^6 bytes
  double secondsLeft;
};

using WriteProgressFn = std::function<void(const WriteProgress &)>;

struct WriteOptions {
  /// Threads that evaluate; 0 stands for one per core.
  unsigned threads = 0;
  /// Computed bytes that may wait to be written. One tensor larger than this that
  /// cannot be computed in pieces is evaluated alone.
  uint64_t maxBytesInFlight = uint64_t(256) << 20;
  /// Where values of earlier compiles may be; null for nowhere.
  WeightCache *cache = nullptr;
  /// Called on the calling thread, about ten times a second and at the end.
  WriteProgressFn progress;
};

/// The file that was written.
struct WriteResult {
  uint64_t bytes = 0;
  uint64_t hash = 0; // XXH3-64
};

/// Evaluates `symbols` of `module` and writes them to `path`, a safetensors
/// file, in their order. Every tensor starts at a multiple of 64 bytes in the
/// file. The file appears under its name when it is whole; after an error there
/// is none, or the one that was there before.
llvm::Error writeWeights(ModuleOp module, ArrayRef<StringRef> symbols, WeightStore &store, StringRef path,
                         const WriteOptions &options, WriteResult &outResult);

/// The symbols that functions of `module` read, each once, in the order of
/// their definition.
SmallVector<StringRef> usedWeights(ModuleOp module);

/// One line on stderr that follows the writing; nothing where stderr is no terminal.
WriteProgressFn terminalProgress();

} // namespace mlir::transformer

#endif // WEIGHTS_WEIGHTWRITER_H
