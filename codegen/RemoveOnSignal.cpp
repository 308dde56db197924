//===- RemoveOnSignal.cpp - a folder that goes with its process --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/RemoveOnSignal.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <iterator>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

using namespace mlir::transformer;

namespace {
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

struct State {
  std::string folder;  ///< what the writer calls it
  std::string claimed; ///< its name while it is removed
  struct sigaction previous[std::size(kSignals)];
};

/// What the kernel writes for getdents64.
struct DirectoryEntry {
  uint64_t inode;
  int64_t next;
  uint16_t length;
  uint8_t type;
  char name[];
};
} // namespace

static State state;
/// Whether `state` is in use, and whether a signal has found it so.
static std::atomic<bool> used = false, armed = false;

/// Removes all files of a folder and the folder, by calls that a signal handler
/// may make: readdir allocates.
static void removeFolder(const char *path) {
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0)
    return;
  alignas(DirectoryEntry) char buffer[4096];
  // A reader may miss entries of a folder that changes: until a round removes nothing.
  for (bool changed = true; changed;) {
    changed = false;
    lseek(folder, 0, SEEK_SET);
    for (long size; (size = syscall(SYS_getdents64, folder, buffer, sizeof(buffer))) > 0;)
      for (long at = 0; at < size;) {
        auto *entry = reinterpret_cast<DirectoryEntry *>(buffer + at);
        changed |= unlinkat(folder, entry->name, 0) == 0; // fails for "." and ".."
        at += entry->length;
      }
  }
  close(folder);
  rmdir(path);
}

static void handle(int signal) {
  int code = errno;
  // The rename settles the race with threads that go on meanwhile: what they
  // create now has no folder, and a commit that came first leaves nothing here.
  if (armed.exchange(false) && rename(state.folder.c_str(), state.claimed.c_str()) == 0)
    removeFolder(state.claimed.c_str());
  for (size_t i = 0; i < std::size(kSignals); ++i)
    if (kSignals[i] == signal)
      sigaction(signal, &state.previous[i], nullptr);
  // It is blocked until this returns; then it meets the action that was there before.
  raise(signal);
  errno = code;
}

RemoveOnSignal::RemoveOnSignal(llvm::StringRef folder) : active(!used.exchange(true)) {
  if (!active)
    return;
  state.folder = folder.str();
  state.claimed = state.folder + ".removed";
  armed = true;
  struct sigaction action = {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  for (int signal : kSignals)
    sigaddset(&action.sa_mask, signal);
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], nullptr, &state.previous[i]);
    if (state.previous[i].sa_handler != SIG_IGN)
      sigaction(kSignals[i], &action, nullptr);
  }
}

RemoveOnSignal::~RemoveOnSignal() {
  if (!active)
    return;
  for (size_t i = 0; i < std::size(kSignals); ++i)
    if (state.previous[i].sa_handler != SIG_IGN)
      sigaction(kSignals[i], &state.previous[i], nullptr);
  armed = false;
  used = false;
}
