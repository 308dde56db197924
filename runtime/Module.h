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

#include <memory>
#include <string>
#include <vector>

namespace xfm {

struct EntryFunctions {
  xfm_entry_fn entry = nullptr;
  xfm_arena_fn arena = nullptr;
};

/// A module.so in this process.
/// Runs launches in the ThreadPool that a call's `context` is.
const xfm_abi &plainServices();
/// Runs them in the Profiler that a call's `context` is.
const xfm_abi &profilingServices();

class Module {
public:
  Module() = default;
  ~Module();
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;

  /// Loads the file that is open as `file`, resolves every entry point and hands
  /// `services` to it. Modules of one file share one copy of the code, which is
  /// given the services of the first.
  Status load(const File &file, const std::vector<EntryPoint> &entryPoints, const xfm_abi &services);

  /// In the order of the manifest's entry points.
  const EntryFunctions &functions(size_t entry) const { return entries[entry]; }

  struct LoadedFile;

private:
  Status resolve(const std::string &symbol, const std::string &path, void *&out) const;

  Status findLoaded(const File &file);

  std::shared_ptr<LoadedFile> loaded;
  void *handle = nullptr;
  std::vector<EntryFunctions> entries;
};

} // namespace xfm

#endif // XFM_RUNTIME_MODULE_H
