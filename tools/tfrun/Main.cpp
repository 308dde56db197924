//===- Main.cpp - tfrun without its main --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Main.h"
#include "tools/tfrun/Bench.h"
#include "tools/tfrun/BenchEntry.h"
#include "tools/tfrun/Entry.h"
#include "tools/tfrun/Generate.h"
#include "tools/tfrun/Info.h"
#include "tools/tfrun/Options.h"
#include "tools/tfrun/Output.h"

#include <exception>
#include <new>

namespace xfm::tfrun {

/// What the runtime says beside errors, which reach the user as exceptions.
static void log(void *user, xfm_log_level level, const char *message) {
  const Options &options = *static_cast<const Options *>(user);
  if (level == XFM_LOG_WARNING && !options.quiet)
    writeError("tfrun: warning: " + oneLine(message));
  else if (level == XFM_LOG_INFO && options.verbose)
    writeError("tfrun: " + oneLine(message));
}

static void dispatch(const Options &options) {
  Model model(options.artifact,
              {options.verify, options.profile, options.hugePages, options.affinity, options.device,
               options.randomSeed, options.mode == Mode::info, !options.noCudaGraph, !options.quiet});
  switch (options.mode) {
  case Mode::prompt:
  case Mode::tokens:
    return generate(model, options);
  case Mode::entry:
    return runEntry(model, options);
  case Mode::bench:
    return bench(model, options);
  case Mode::benchEntry:
    return benchEntry(model, options);
  case Mode::info:
    return info(model, options);
  }
}

int run(int argc, const char *const *argv) {
  guardStandardStreams();
  try {
    if (std::optional<Options> options = parseOptions(argc, argv)) {
      xfm_set_log(log, &*options);
      try {
        dispatch(*options);
      } catch (...) {
        xfm_set_log(nullptr, nullptr);
        throw;
      }
      xfm_set_log(nullptr, nullptr);
    }
    return 0;
  } catch (const std::bad_alloc &) {
    writeError("tfrun: error: out of memory");
  } catch (const std::exception &error) {
    writeError("tfrun: error: " + oneLine(error.what()));
  }
  return 1;
}

} // namespace xfm::tfrun
