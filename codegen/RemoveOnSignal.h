//===- RemoveOnSignal.h - a folder that goes with its process ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_REMOVEONSIGNAL_H
#define CODEGEN_REMOVEONSIGNAL_H

#include "llvm/ADT/StringRef.h"

namespace mlir::transformer {

/// While it lives, SIGINT, SIGTERM and SIGHUP remove a folder and the files in it
/// before they do what they did. LLVM has that for files alone. Signals that were
/// ignored stay so. One object at a time works; further ones do nothing.
class RemoveOnSignal {
public:
  explicit RemoveOnSignal(llvm::StringRef folder);
  ~RemoveOnSignal();
  RemoveOnSignal(const RemoveOnSignal &) = delete;
  RemoveOnSignal &operator=(const RemoveOnSignal &) = delete;

private:
  bool active;
};

} // namespace mlir::transformer

#endif // CODEGEN_REMOVEONSIGNAL_H
