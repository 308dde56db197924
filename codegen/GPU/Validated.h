//===- Validated.h - kernel templates that have met a GPU --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_VALIDATED_H
#define CODEGEN_GPU_VALIDATED_H

#include "llvm/ADT/StringRef.h"

namespace mlir::transformer {

/// Whether `validated.txt` says that a template gave right results on a GPU of the architecture.
bool isValidated(llvm::StringRef templateName, llvm::StringRef arch);
/// The same of the text of such a file: lines of template, architecture, date and device.
bool isValidated(llvm::StringRef text, llvm::StringRef templateName, llvm::StringRef arch);

} // namespace mlir::transformer

#endif // CODEGEN_GPU_VALIDATED_H
