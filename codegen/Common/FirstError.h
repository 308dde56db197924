//===- FirstError.h - diagnostics as one line -----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMMON_FIRSTERROR_H
#define CODEGEN_COMMON_FIRSTERROR_H

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/Error.h"

namespace mlir::transformer {

/// While it lives, keeps the context's error diagnostics from being printed; the
/// first becomes the one line that people see.
class FirstError {
public:
  explicit FirstError(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          if (!message.empty() || diagnostic.getSeverity() != DiagnosticSeverity::Error)
            return success();
          llvm::raw_string_ostream stream(message);
          printLocation(stream, diagnostic.getLocation());
          stream << diagnostic.str();
          return success();
        }) {}

  /// The first error, or `otherwise` where there was none.
  llvm::Error take(const llvm::Twine &otherwise) {
    return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                   message.empty() ? otherwise : llvm::Twine(message));
  }

private:
  /// "file:line:column: " or "layers.0.attn_q: ", as people name the place.
  static void printLocation(llvm::raw_ostream &os, Location loc) {
    loc->walk([&](Location part) {
      if (auto name = dyn_cast<NameLoc>(part))
        os << name.getName().getValue() << ": ";
      else if (auto file = dyn_cast<FileLineColLoc>(part))
        os << file.getFilename().getValue() << ':' << file.getLine() << ':' << file.getColumn() << ": ";
      else
        return WalkResult::advance();
      return WalkResult::interrupt();
    });
  }

  std::string message;
  ScopedDiagnosticHandler handler;
};

} // namespace mlir::transformer

#endif // CODEGEN_COMMON_FIRSTERROR_H
