//===- Module.h - the loaded module.so ------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_MODULE_H
#define XFM_RUNTIME_MODULE_H

#include "runtime/File.h"
#include "runtime/Manifest.h"
#include "runtime/xfm_abi.h"

#include <vector>

namespace xfm {

struct EntryFunctions {
  xfm_entry_fn entry = nullptr;
  xfm_arena_fn arena = nullptr;
};

/// A module.so in this process.
class Module {
public:
  Module() = default;
  ~Module();
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;

  /// Loads the file that is open as `file`, which must stay open as long as the
  /// module lives, and resolves every entry point.
  Status load(const File &file, const std::vector<EntryPoint> &entryPoints);

  /// In the order of the manifest's entry points.
  const EntryFunctions &functions(size_t entry) const { return entries[entry]; }

private:
  Status resolve(const std::string &symbol, const std::string &path, void *&out) const;

  void *handle = nullptr;
  bool initialised = false; ///< counted among the users of `handle`
  std::vector<EntryFunctions> entries;
};

} // namespace xfm

#endif // XFM_RUNTIME_MODULE_H
