//===- MemoryPlan.h - What memory a session takes -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_TOOLS_TFRUN_MEMORYPLAN_H
#define XFM_TOOLS_TFRUN_MEMORYPLAN_H

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>

namespace xfm::tfrun {

/// The sizes of a session of one row, from a manifest and --context (0: none was given).
class MemoryPlan {
public:
  /// Throws std::runtime_error if the model does not cover `context` positions.
  MemoryPlan(const nlohmann::ordered_json &manifest, int64_t context);

  /// Of an entry point: "arena" with its formula, the sizes it is evaluated for and "bytes_at_chunk", and
  /// "cache_bytes"; each only where the manifest states it.
  void describe(const nlohmann::ordered_json &entry, nlohmann::ordered_json &out) const;

private:
  std::map<std::string, int64_t> sizesOf(const nlohmann::ordered_json &entry) const;

  const nlohmann::ordered_json &manifest;
  int64_t chunk, maxPositions; ///< -1 where unknown
  int64_t givenContext, context;
};

/// "2880*B*S + 768*B".
std::string formulaText(const nlohmann::ordered_json &formula);

/// "1.25 MiB", or in KiB where that would be next to nothing.
std::string sizeText(double bytes);

} // namespace xfm::tfrun

#endif // XFM_TOOLS_TFRUN_MEMORYPLAN_H
