//===- Info.cpp - What an artifact holds --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Info.h"
#include "runtime/xfm.h"
#include "tools/tfrun/MemoryPlan.h"
#include "tools/tfrun/Output.h"

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace xfm::tfrun {

using Json = nlohmann::ordered_json;

/// A member, or an empty array where it is absent.
static Json listOf(const Json &object, const char *key) {
  Json list = object.value(key, Json::array());
  if (!list.is_array())
    throw std::runtime_error(std::string("expected '") + key + "' of the manifest to be an array");
  return list;
}

/// Those of `keys` that an object has.
static Json pick(const Json &object, std::initializer_list<const char *> keys) {
  if (!object.is_object())
    throw std::runtime_error("expected an object in the manifest, but got " + object.dump());
  Json picked = Json::object();
  for (const char *key : keys)
    if (object.contains(key))
      picked[key] = object.at(key);
  return picked;
}

static Json summarize(const Json &manifest, int64_t context) {
  MemoryPlan memory(manifest, context);
  Json entries = Json::array(), weights = Json::array();
  for (const Json &entry : listOf(manifest, "entry_points")) {
    Json summary = pick(entry, {"name"});
    for (const char *key : {"inputs", "outputs", "dispatches"})
      summary[key] = listOf(entry, key);
    memory.describe(entry, summary);
    entries.push_back(std::move(summary));
  }
  for (const Json &weight : listOf(manifest, "weights"))
    weights.push_back(pick(weight, {"name", "format", "shape", "bytes"}));
  Json kernels = Json::array();
  if (manifest.contains("kernels"))
    for (const Json &set : manifest.at("kernels")) {
      Json summary = pick(set, {"arch", "ptx", "cubin"});
      Json table = Json::array();
      for (const Json &kernel : listOf(set, "table"))
        table.push_back(pick(kernel, {"symbol", "template", "threads", "shared"}));
      summary["kernels"] = std::move(table);
      kernels.push_back(std::move(summary));
    }
  Json versions = pick(manifest, {"format_version", "abi_version", "compiler"});
  versions["runtime"] = xfm_version();
  Json summary = {{"entry_points", std::move(entries)}, {"weights", std::move(weights)}};
  summary["target"] = manifest.value("target", Json::object());
  summary["model"] = manifest.value("model", Json::object());
  summary["versions"] = std::move(versions);
  if (!kernels.empty())
    summary["kernels"] = std::move(kernels);
  return summary;
}

/// A string as it is, anything else as JSON.
static std::string plain(const Json &value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// "tokens i32 [B, S]"
static std::string tensorLine(const Json &tensor) {
  std::string line = plain(tensor.at("name")) + " " + plain(tensor.at("dtype")) + " [", separator;
  for (const Json &dim : tensor.at("shape")) {
    line += separator + plain(dim);
    separator = ", ";
  }
  return line + "]";
}

/// What a session of one row takes for an entry point.
static std::string memoryLines(const Json &entry) {
  std::string text;
  if (entry.contains("arena")) {
    const Json &arena = entry.at("arena");
    text += "    arena " + formulaText(arena.at("formula")) + " bytes";
    if (const Json &bytes = arena.at("bytes_at_chunk"); !bytes.is_null()) {
      text += ": " + sizeText(bytes.get<double>());
      const char *separator = " at ";
      for (const auto &[name, value] : arena.at("sizes").items()) {
        text += separator + name + " = " + value.dump();
        separator = ", ";
      }
    }
    text += "\n";
  }
  if (entry.contains("cache_bytes"))
    text += "    caches: " + sizeText(entry.at("cache_bytes").get<double>()) +
            " at B = 1, C = " + entry.at("context").dump() + "\n";
  return text;
}

/// The kernels of a GPU artifact, by architecture.
static std::string kernelLines(const Json &summary) {
  std::string text;
  if (!summary.contains("kernels"))
    return text;
  for (const Json &set : summary.at("kernels")) {
    text += "kernels for " + plain(set.at("arch")) + ":";
    for (const char *file : {"cubin", "ptx"})
      if (set.contains(file))
        text += " " + plain(set.at(file));
    text += "\n";
    for (const Json &kernel : set.at("kernels"))
      text += "  " + plain(kernel.at("symbol")) + ": " + plain(kernel.value("template", Json("unknown"))) +
              ", " + plain(kernel.at("threads")) + " threads, " + plain(kernel.at("shared")) +
              " bytes shared\n";
  }
  return text;
}

static std::string toText(const Json &summary) {
  std::string text;
  for (const char *section : {"model", "target", "versions"}) {
    text += std::string(section) + ":\n";
    for (const auto &[key, value] : summary.at(section).items())
      text += "  " + key + ": " + plain(value) + "\n";
  }
  text += "entry points:\n";
  for (const Json &entry : summary.at("entry_points")) {
    text += "  " + plain(entry.at("name")) + "\n";
    for (const Json &tensor : entry.at("inputs"))
      text += "    in  " + tensorLine(tensor) + "\n";
    for (const Json &tensor : entry.at("outputs"))
      text += "    out " + tensorLine(tensor) + "\n";
    text += memoryLines(entry);
    for (const Json &dispatch : entry.at("dispatches"))
      text += "    " + plain(dispatch.at("count")) + " x " + plain(dispatch.at("name")) + "\n";
  }
  text += kernelLines(summary);
  uint64_t bytes = 0;
  for (const Json &weight : summary.at("weights"))
    bytes += weight.value("bytes", uint64_t(0));
  text += "weights: " + std::to_string(summary.at("weights").size()) + ", " + std::to_string(bytes) +
          " bytes (" + sizeText(double(bytes)) + ")\n";
  for (const Json &weight : summary.at("weights"))
    text += "  " + plain(weight.at("name")) + " " + plain(weight.at("format")) + " " +
            plain(weight.value("shape", Json::array())) + " " + plain(weight.at("bytes")) + "\n";
  return text;
}

std::string describeManifest(const std::string &manifest, bool json, int64_t context) {
  try {
    Json summary = summarize(Json::parse(manifest), context);
    return json ? summary.dump(2) + "\n" : toText(summary);
  } catch (const Json::exception &error) {
    throw std::runtime_error(std::string("the manifest is not understood: ") + error.what());
  }
}

void info(const Model &model, const Options &options) {
  writeOut(describeManifest(model.manifest(), options.json, options.context));
}

} // namespace xfm::tfrun
