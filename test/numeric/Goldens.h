//===- Goldens.h - inputs and expected outputs of the numeric tests -------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_NUMERIC_GOLDENS_H
#define TEST_NUMERIC_GOLDENS_H

#include "test/numeric/Executor.h"

#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer::numeric {

/// One call of a function: its tensor arguments and what it must return.
struct Call {
  SmallVector<Tensor> inputs, outputs;
};

/// A sequence of calls; one, for a function without caches.
struct Case {
  std::string function, name;
  bool isNarrow = false; // the function rounds values in between to bf16 or f16
  int64_t rows = 1;      // B, the rows of its caches
  std::vector<Call> calls;
};

/// One .mlir file and the cases of its .safetensors.
struct Goldens {
  std::string name;
  OwningOpRef<ModuleOp> module;
  std::vector<Case> cases;
};

/// Reads `folder`/`name`.mlir and .safetensors. Every public function must have a
/// case and every stored tensor belong to one.
llvm::Expected<Goldens> readGoldens(MLIRContext &context, StringRef folder, StringRef name);

/// The largest error of results held to the tolerance of f32, and of the others.
struct Worst {
  double wide = 0, narrow = 0;
};

/// Runs a case. Returns what is wrong (nothing, where all is well); `worst` is
/// raised to the largest errors seen.
std::vector<std::string> runCase(Executor &executor, const Case &test, Worst &worst);

} // namespace mlir::transformer::numeric

#endif // TEST_NUMERIC_GOLDENS_H
