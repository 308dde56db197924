//===- Tuning.cpp - lowering configs measured on a machine ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Tuning.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace mlir::transformer;
namespace json = llvm::json;

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

std::string mlir::transformer::dispatchSignature(func::FuncOp dispatch) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  dispatch.getFunctionType().print(stream);
  OpPrintingFlags flags;
  for (Operation &op : dispatch.getBody().front())
    op.print(stream, flags.useLocalScope().assumeVerified());
  llvm::XXH128_hash_t hash =
      llvm::xxh3_128bits(ArrayRef<uint8_t>(reinterpret_cast<const uint8_t *>(text.data()), text.size()));
  return llvm::formatv("{0:x-16}{1:x-16}", hash.high64, hash.low64).str();
}

//===----------------------------------------------------------------------===//
// Configs
//===----------------------------------------------------------------------===//

std::string mlir::transformer::whyNotConfig(LoweringConfigAttr config, LoweringConfigAttr chosen) {
  ArrayRef<int64_t> tile = config.getTile(), block = config.getBlock();
  if (config.getTemplateName() != chosen.getTemplateName())
    return ("its template is " + chosen.getTemplateName()).str();
  if (tile.size() != 2 || block.size() != chosen.getBlock().size() || block.size() < 2)
    return "expected two members each for tile and block";
  auto within = [](int64_t value, int64_t most) { return value >= 1 && value <= most; };
  // More is never meant, costs compile time, and scratch stands on the stack.
  if (!within(tile[0], 64) || !within(tile[1], 64) || !within(block[0], 1024) || !within(block[1], 1 << 20) ||
      config.getGrain() < 1)
    return "expected a tile of 1 to 64, a block of 1 to 1024 rows and a grain of 1 or more";
  if (tile[1] % config.getVector() != 0)
    return ("expected the columns of a tile to be whole vectors of " + Twine(config.getVector())).str();
  if (config.getTemplateName() == "contraction" && block[0] % tile[0] != 0)
    return "expected the rows of a tile to divide those of a block";
  if (config.getTemplateName() == "contraction" && !within(block.back(), 16))
    return "expected 1 to 16 panels of one row";
  if (config.getTemplateName() == "attention") {
    if (block[1] > 8192 || block[1] % tile[1] != 0)
      return "expected the columns of a tile to divide the keys of a block, at most 8192";
    if ((block[0] == 1) != (chosen.getBlock()[0] == 1))
      return "one position or several is not a choice";
    if (block.back() < 0 || block.back() > (block[0] == 1))
      return "expected 0 or, of one position, 1 for keys by rows";
  }
  return "";
}

TunedConfig TunedConfig::of(LoweringConfigAttr config) {
  TunedConfig tuned;
  tuned.templateName = config.getTemplateName().str();
  tuned.tile.assign(config.getTile().begin(), config.getTile().end());
  tuned.block.assign(config.getBlock().begin(), config.getBlock().end());
  tuned.block.resize(2, 1);
  if (config.getTemplateName() == "contraction")
    tuned.rowPanels = config.getBlock().back();
  if (config.getTemplateName() == "attention")
    tuned.keysByRows = config.getBlock().back();
  tuned.grain = config.getGrain();
  return tuned;
}

LoweringConfigAttr TunedConfig::over(LoweringConfigAttr chosen) const {
  SmallVector<int64_t> all(block);
  if (chosen.getBlock().size() > 2)
    all.append(chosen.getBlock().begin() + 2, chosen.getBlock().end());
  if (chosen.getTemplateName() == "contraction" && rowPanels > 0)
    all.back() = rowPanels;
  if (chosen.getTemplateName() == "attention" && keysByRows >= 0)
    all.back() = keysByRows;
  // Tiles of keys at multiples of their own size are asked for, not measured.
  if (chosen.getTemplateName() == "attention" && all.size() > 3 && all[3] > 1)
    all[3] = all[1];
  return LoweringConfigAttr::get(chosen.getContext(), templateName, tile, all, chosen.getVector(), grain);
}

llvm::Expected<LoweringConfigAttr> Tuning::configOf(func::FuncOp dispatch, LoweringConfigAttr chosen) const {
  if (dispatches.empty())
    return chosen;
  auto found = dispatches.find(dispatchSignature(dispatch));
  // The same body with what is no weight is made by another template.
  if (found == dispatches.end() || found->second.templateName != chosen.getTemplateName())
    return chosen;
  LoweringConfigAttr config = found->second.over(chosen);
  if (std::string why = whyNotConfig(config, chosen); !why.empty())
    return makeError("the config of " + found->first + " does not suit " + dispatch.getSymName() + ": " +
                     why);
  return config;
}

//===----------------------------------------------------------------------===//
// The file
//===----------------------------------------------------------------------===//

static std::optional<SmallVector<int64_t>> readPair(const json::Object &object, StringRef key) {
  const json::Array *array = object.getArray(key);
  if (!array || array->size() != 2)
    return std::nullopt;
  SmallVector<int64_t> pair;
  for (const json::Value &value : *array) {
    std::optional<int64_t> number = value.getAsInteger();
    if (!number)
      return std::nullopt;
    pair.push_back(*number);
  }
  return pair;
}

static std::optional<TunedConfig> readConfig(const json::Object &object) {
  TunedConfig config;
  std::optional<StringRef> name = object.getString("template");
  std::optional<SmallVector<int64_t>> tile = readPair(object, "tile"), block = readPair(object, "block");
  std::optional<int64_t> grain = object.getInteger("grain");
  if (!name || !tile || !block || !grain)
    return std::nullopt;
  config.templateName = name->str();
  config.tile = *tile;
  config.block = *block;
  config.grain = *grain;
  config.rowPanels = object.getInteger("row_panels").value_or(0);
  config.keysByRows = object.getInteger("keys_by_rows").value_or(-1);
  config.name = object.getString("name").value_or("").str();
  config.speedup = object.getNumber("percent").value_or(100) / 100;
  return config;
}

llvm::Expected<Tuning> Tuning::read(StringRef path) {
  auto text = llvm::MemoryBuffer::getFile(path);
  if (!text)
    return makeError("cannot read " + path + ": " + text.getError().message());
  llvm::Expected<json::Value> value = json::parse((*text)->getBuffer());
  if (!value)
    return makeError(path + ": " + llvm::toString(value.takeError()));
  const json::Object *object = value->getAsObject();
  if (!object || object->getInteger("format") != 1)
    return makeError(path + ": expected an object with \"format\": 1, as tfopt --tune writes it");
  Tuning tuning;
  std::optional<StringRef> cpu = object->getString("cpu");
  const json::Array *features = object->getArray("features");
  const json::Object *dispatches = object->getObject("dispatches");
  if (!cpu || !features || !dispatches)
    return makeError(path + ": expected \"cpu\", \"features\" and \"dispatches\"; tune again");
  tuning.cpu = cpu->str();
  for (const json::Value &feature : *features)
    tuning.features.push_back(feature.getAsString().value_or("").str());
  for (auto &[signature, entry] : *dispatches) {
    const json::Object *members = entry.getAsObject();
    std::optional<TunedConfig> config = members ? readConfig(*members) : std::nullopt;
    if (!config)
      return makeError(path + ": expected \"" + StringRef(signature) +
                       "\" to have template, tile [rows, columns], block [rows, steps] and grain");
    tuning.dispatches.emplace(signature.str(), std::move(*config));
  }
  return tuning;
}

json::Object Tuning::toJson() const {
  json::Object entries;
  for (const auto &[signature, config] : dispatches) {
    json::Object entry{{"template", config.templateName},
                       {"tile", json::Array(config.tile)},
                       {"block", json::Array(config.block)},
                       {"grain", config.grain},
                       {"name", config.name},
                       {"percent", std::lround(config.speedup * 100)}};
    if (config.rowPanels > 0)
      entry["row_panels"] = config.rowPanels;
    if (config.keysByRows >= 0)
      entry["keys_by_rows"] = config.keysByRows;
    entries[signature] = std::move(entry);
  }
  return json::Object{
      {"format", 1}, {"cpu", cpu}, {"features", json::Array(features)}, {"dispatches", std::move(entries)}};
}
