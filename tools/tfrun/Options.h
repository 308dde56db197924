//===- Options.h - The command line of tfrun ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_OPTIONS_H
#define XFM_TOOLS_TFRUN_OPTIONS_H

#include "runtime/text/Sampler.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace xfm::tfrun {

/// What tfrun is asked to do; one per run.
enum class Mode { prompt, tokens, entry, bench, benchEntry, info };

/// NAME=FILE of --input and --output.
struct NamedFile {
  std::string name;
  std::string path;
};

struct Options {
  std::string artifact;
  Mode mode = Mode::prompt;

  // Generation.
  std::string prompt;
  std::vector<int32_t> tokens;
  int64_t count = 256; ///< ids to generate at most
  text::SamplingOptions sampling;
  std::vector<std::string> stops;
  bool ignoreEos = false;

  // One call of an entry point, or measuring it.
  std::string entry;
  std::vector<NamedFile> inputs, outputs;

  // Measuring.
  int64_t depth = 0; ///< positions in the cache before measuring
  int64_t repetitions = 5;

  // Profiling.
  bool profile = false;
  std::string trace; ///< file to write events to, or empty

  // Of every mode.
  int32_t threads = 0;     ///< 0: one per available core
  int64_t context = 0;     ///< 0: the runtime's default
  std::string device;      ///< empty: what the artifact is for
  uint64_t randomSeed = 0; ///< of random weights; 0: the artifact's
  bool hugePages = false, affinity = false, noCudaGraph = false;
  bool json = false, verify = true, verbose = false, quiet = false;
};

/// Reads the command line. Returns nothing if only help or the version was asked for and has been written.
/// Throws std::runtime_error with one line if the command line is wrong.
std::optional<Options> parseOptions(int argc, const char *const *argv);

/// "1,2,3" as token ids.
std::vector<int32_t> parseTokens(const std::string &list);

/// "NAME=FILE" of `option`.
NamedFile parseNamedFile(const std::string &text, const char *option);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_OPTIONS_H
