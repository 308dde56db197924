//===- MemoryPlan.cpp - What memory a session takes ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/MemoryPlan.h"
#include "runtime/xfm.h"

#include <algorithm>
#include <cstdio>
#include <optional>
#include <stdexcept>

namespace xfm::tfrun {

using Json = nlohmann::ordered_json;
using Sizes = std::map<std::string, int64_t>;

/// What xfm_session_options::context is where none is given.
static constexpr int64_t mostByDefault = 4096;

MemoryPlan::MemoryPlan(const Json &manifest, int64_t given) : manifest(manifest), givenContext(given) {
  Json model = manifest.value("model", Json::object());
  chunk = model.value("chunk", int64_t(-1));
  maxPositions = model.value("max_positions", int64_t(-1));
  if (maxPositions > 0 && given > maxPositions)
    throw std::runtime_error("--context is " + std::to_string(given) + ", but the model covers " +
                             std::to_string(maxPositions) + " positions");
  context = given > 0 ? given : maxPositions > 0 ? std::min(maxPositions, mostByDefault) : mostByDefault;
}

/// With caches, S is what one piece has at most. Without them a call is not cut; it is then as long as
/// --context, or as a piece where that is not given.
Sizes MemoryPlan::sizesOf(const Json &entry) const {
  bool cut = !entry.value("caches", Json::array()).empty();
  int64_t positions = context;
  if (chunk > 0 && (cut || givenContext == 0))
    positions = std::min(positions, chunk);
  return {{"B", 1}, {"S", positions}, {"C", context}};
}

/// A number or the value of a symbol; nothing where the symbol is another one.
static std::optional<int64_t> valueOf(const Json &size, const Sizes &sizes) {
  if (!size.is_string())
    return size.get<int64_t>();
  auto found = sizes.find(size.get<std::string>());
  return found == sizes.end() ? std::nullopt : std::optional(found->second);
}

/// `first` times all of `factors`; nothing where that is not known or too large.
static std::optional<int64_t> product(int64_t first, const Json &factors, const Sizes &sizes) {
  for (const Json &factor : factors) {
    std::optional<int64_t> value = valueOf(factor, sizes);
    if (!value || __builtin_mul_overflow(first, *value, &first))
      return std::nullopt;
  }
  return first;
}

/// Nothing where either is nothing, or the sum is too large.
static std::optional<int64_t> plus(std::optional<int64_t> first, std::optional<int64_t> second) {
  int64_t sum = 0;
  if (!first || !second || __builtin_add_overflow(*first, *second, &sum))
    return std::nullopt;
  return sum;
}

static int64_t dtypeBytes(const std::string &name) {
  for (int dtype = XFM_F32; dtype <= XFM_I8; ++dtype)
    if (name == xfm_dtype_name(xfm_dtype(dtype)))
      return int64_t(xfm_dtype_size(xfm_dtype(dtype)));
  throw std::runtime_error("there is no type '" + name + "'");
}

static std::optional<int64_t> cacheBytes(const Json &cache, const Sizes &sizes) {
  std::optional<int64_t> sum = 0;
  for (const Json &buffer : cache.at("buffers"))
    sum = plus(sum, product(dtypeBytes(buffer.at("dtype")), buffer.at("shape"), sizes));
  return sum;
}

void MemoryPlan::describe(const Json &entry, Json &out) const {
  Sizes sizes = sizesOf(entry);
  if (entry.contains("arena")) {
    std::optional<int64_t> bytes = 0;
    Json formula = Json::array(), used = Json::object();
    for (const Json &term : entry.at("arena")) {
      formula.push_back({{"bytes", term.at("bytes")}, {"sizes", term.at("sizes")}});
      bytes = plus(bytes, product(term.at("bytes"), term.at("sizes"), sizes));
      for (const Json &size : term.at("sizes"))
        if (auto found = sizes.find(size); found != sizes.end())
          used[found->first] = found->second;
    }
    out["arena"] = {{"formula", std::move(formula)}, {"sizes", std::move(used)}};
    out["arena"]["bytes_at_chunk"] = bytes ? Json(*bytes) : Json();
  }
  std::optional<int64_t> bytes = 0;
  Json names = entry.value("caches", Json::array());
  for (const Json &cache : manifest.value("caches", Json::array()))
    if (std::find(names.begin(), names.end(), cache.at("name")) != names.end())
      bytes = plus(bytes, cacheBytes(cache, sizes));
  if (!names.empty() && bytes) {
    out["cache_bytes"] = *bytes;
    out["context"] = context;
  }
}

std::string formulaText(const Json &formula) {
  std::string text;
  for (const Json &term : formula) {
    text += (text.empty() ? "" : " + ") + term.at("bytes").dump();
    for (const Json &size : term.at("sizes"))
      text += "*" + size.get<std::string>();
  }
  return text.empty() ? "0" : text;
}

std::string sizeText(double bytes) {
  char text[64];
  bool small = bytes < 0.1 * 1048576;
  std::snprintf(text, sizeof text, small ? "%.2f KiB" : "%.2f MiB", bytes / (small ? 1024 : 1048576));
  return text;
}

} // namespace xfm::tfrun
