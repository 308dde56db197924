//===- Module.cpp - the loaded module.so ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Module.h"
#include "runtime/Profiler.h"
#include "runtime/ThreadPool.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>

using namespace xfm;

/// A file that code is loaded from. Loading it twice gives the same handle and one
/// copy of its data, which is initialised once, as another model may be running
/// the code.
struct Module::LoadedFile {
  explicit LoadedFile(int descriptor) : descriptor(descriptor) {}
  ~LoadedFile() { close(descriptor); }

  int descriptor;
  bool initialised = false;
};

namespace {
struct LoadedModules {
  std::mutex mutex;
  std::map<std::pair<dev_t, ino_t>, std::weak_ptr<Module::LoadedFile>> files;
};
} // namespace

static LoadedModules &loadedModules() {
  static LoadedModules *modules = new LoadedModules;
  return *modules;
}

static void plainParallelFor(void *context, xfm_task_fn fn, void *args, int64_t total, int64_t grain,
                             int32_t) {
  static_cast<ThreadPool *>(context)->parallelFor(fn, args, total, grain);
}

static void profilingParallelFor(void *context, xfm_task_fn fn, void *args, int64_t total, int64_t grain,
                                 int32_t dispatch) {
  static_cast<Profiler *>(context)->parallelFor(fn, args, total, grain, dispatch);
}

// What differs per session is in the call's context.
const xfm_abi &xfm::plainServices() {
  static const xfm_abi table = {sizeof(xfm_abi), XFM_ABI_VERSION, plainParallelFor, nullptr};
  return table;
}

const xfm_abi &xfm::profilingServices() {
  static const xfm_abi table = {sizeof(xfm_abi), XFM_ABI_VERSION, profilingParallelFor, nullptr};
  return table;
}

Module::~Module() {
  std::lock_guard<std::mutex> lock(loadedModules().mutex);
  if (handle)
    dlclose(handle);
  loaded.reset(); // only now may its number become another file's
}

Status Module::resolve(const std::string &symbol, const std::string &path, void *&out) const {
  out = dlsym(handle, symbol.c_str());
  if (!out)
    return fail(XFM_CORRUPT, path, ": exports no ", quote(symbol), ": compile the model again");
  return {};
}

/// The loader takes equal names for equal files for as long as one is loaded. So a
/// file is always loaded by the same descriptor, which stays open until then.
Status Module::findLoaded(const File &file) {
  struct stat info;
  if (fstat(file.descriptor(), &info) != 0)
    return fail(XFM_IO_ERROR, file.path(), ": cannot be identified: ", std::strerror(errno));
  std::weak_ptr<LoadedFile> &known = loadedModules().files[{info.st_dev, info.st_ino}];
  loaded = known.lock();
  if (loaded)
    return {};
  int own = fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 0);
  if (own < 0)
    return fail(XFM_IO_ERROR, file.path(), ": cannot be opened again: ", std::strerror(errno));
  loaded = std::make_shared<LoadedFile>(own);
  known = loaded;
  return {};
}

Status Module::load(const File &file, const std::vector<EntryPoint> &entryPoints, const xfm_abi &services) {
  std::lock_guard<std::mutex> lock(loadedModules().mutex);
  if (Status status = findLoaded(file); !status.ok())
    return status;
  // By its descriptor, not by its path: this is the file that was verified even
  // if another one has taken its place, and the loader, which takes equal paths
  // for equal files, does not return an older module of the same path.
  std::string name = "/proc/self/fd/" + std::to_string(loaded->descriptor);
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
  if (loaded->initialised)
    return {};
  if (int32_t code = reinterpret_cast<xfm_module_init_fn>(init)(&services); code != 0)
    return fail(XFM_VERSION_MISMATCH, file.path(), ": refuses this runtime with code ", code,
                ": compile the model again with the compiler of this runtime");
  loaded->initialised = true;
  return {};
}
