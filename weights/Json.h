//===- Json.h - JSON from files that are not trusted ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_JSON_H
#define WEIGHTS_JSON_H

#include "llvm/Support/JSON.h"

namespace mlir::transformer {

/// Parses one JSON object. LLVM's parser recurses without a limit and keeps the
/// last of equal keys; here nesting beyond 64 levels and equal keys are errors.
/// `where` starts the message of an error.
llvm::Expected<llvm::json::Object> parseJsonObject(llvm::StringRef text, llvm::StringRef where);

} // namespace mlir::transformer

#endif // WEIGHTS_JSON_H
