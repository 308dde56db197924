//===- Error.h - one-line errors ------------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef WEIGHTS_ERROR_H
#define WEIGHTS_ERROR_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

#include <string>

namespace mlir::transformer {

/// An error of one line: where, what, what to do.
inline llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// `text` from a file between quotes: shortened and escaped, so that an error stays one line.
inline std::string quoted(llvm::StringRef text) {
  std::string result = "\"";
  llvm::raw_string_ostream os(result);
  llvm::printEscapedString(text.take_front(160), os);
  os << (text.size() > 160 ? "...\"" : "\"");
  return result;
}

/// A shape as `[2, 3]`.
inline std::string shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string result = "[";
  llvm::raw_string_ostream os(result);
  llvm::interleaveComma(shape, os);
  os << ']';
  return result;
}

} // namespace mlir::transformer

#endif // WEIGHTS_ERROR_H
