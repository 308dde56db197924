//===- Validated.cpp - kernel templates that have met a GPU ------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/Validated.h"

#include "llvm/ADT/SmallVector.h"

/// The file, as the build found it.
static constexpr char kValidated[] =
#include "codegen/Validated.inc"
    ;

bool mlir::transformer::isValidated(llvm::StringRef text, llvm::StringRef templateName,
                                    llvm::StringRef arch) {
  llvm::SmallVector<llvm::StringRef> lines;
  text.split(lines, '\n');
  for (llvm::StringRef line : lines) {
    llvm::SmallVector<llvm::StringRef> fields;
    line.split('#').first.split(fields, ' ', /*MaxSplit=*/-1, /*KeepEmpty=*/false);
    if (fields.size() >= 4 && fields[0] == templateName && fields[1] == arch)
      return true;
  }
  return false;
}

bool mlir::transformer::isValidated(llvm::StringRef templateName, llvm::StringRef arch) {
  return isValidated(kValidated, templateName, arch);
}
