//===- Module.cpp - the loaded module.so ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Module.h"
#include "runtime/ThreadPool.h"

#include <dlfcn.h>
#include <map>
#include <mutex>

using namespace xfm;

namespace {
/// Loading the same file twice gives the same handle and one copy of its data.
/// It is initialised once, as another model may be running its code.
struct LoadedModules {
  std::mutex mutex;
  std::map<void *, int> users;
};
} // namespace

static LoadedModules &loadedModules() {
  static LoadedModules *modules = new LoadedModules;
  return *modules;
}

static void parallelFor(void *context, xfm_task_fn fn, void *args, int64_t total, int64_t grain, int32_t) {
  static_cast<ThreadPool *>(context)->parallelFor(fn, args, total, grain);
}

/// One table for all modules: what differs per session is in the call's context.
static const xfm_abi abiTable = {sizeof(xfm_abi), XFM_ABI_VERSION, parallelFor};

Module::~Module() {
  if (!handle)
    return;
  LoadedModules &modules = loadedModules();
  std::lock_guard<std::mutex> lock(modules.mutex);
  if (initialised && --modules.users[handle] == 0)
    modules.users.erase(handle);
  dlclose(handle);
}

Status Module::resolve(const std::string &symbol, const std::string &path, void *&out) const {
  out = dlsym(handle, symbol.c_str());
  if (!out)
    return fail(XFM_CORRUPT, path, ": exports no ", quote(symbol), ": compile the model again");
  return {};
}

Status Module::load(const File &file, const std::vector<EntryPoint> &entryPoints) {
  LoadedModules &modules = loadedModules();
  std::lock_guard<std::mutex> lock(modules.mutex);
  // By its descriptor, not by its path: this is the file that was verified even
  // if another one has taken its place, and the loader, which takes equal paths
  // for equal files, does not return an older module of the same path.
  std::string name = "/proc/self/fd/" + std::to_string(file.descriptor());
  handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *reason = dlerror();
    return fail(XFM_CORRUPT, file.path(), ": cannot be loaded: ", reason ? reason : "unknown reason",
                ": compile the model again");
  }
  for (const EntryPoint &point : entryPoints) {
    void *entry, *arena;
    if (Status status = resolve(point.symbol, file.path(), entry); !status.ok())
      return status;
    if (Status status = resolve(point.arenaSymbol, file.path(), arena); !status.ok())
      return status;
    entries.push_back({reinterpret_cast<xfm_entry_fn>(entry), reinterpret_cast<xfm_arena_fn>(arena)});
  }
  void *init;
  if (Status status = resolve("xfm_module_init", file.path(), init); !status.ok())
    return status;
  bool first = modules.users.count(handle) == 0;
  if (int32_t code = first ? reinterpret_cast<xfm_module_init_fn>(init)(&abiTable) : 0; code != 0)
    return fail(XFM_VERSION_MISMATCH, file.path(), ": refuses this runtime with code ", code,
                ": compile the model again with the compiler of this runtime");
  ++modules.users[handle];
  initialised = true;
  return {};
}
