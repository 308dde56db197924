//===- Config.cpp - reads config.json -------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/Config.h"
#include "weights/Error.h"
#include "weights/WeightStore.h"

#include "llvm/ADT/StringExtras.h"

#include <cmath>

using namespace llvm;

namespace mlir::transformer {

/// Configs have a few kilobytes; the longest lists are rope factors and labels.
static constexpr size_t maxConfigBytes = size_t(16) << 20;

Expected<Config> Config::read(StringRef path) {
  Expected<std::unique_ptr<MappedFile>> file = MappedFile::open(path);
  if (!file)
    return file.takeError();
  if ((*file)->bytes().size() > maxConfigBytes)
    return makeError(path + ": " + Twine((*file)->bytes().size()) + " bytes are no model's config");
  Expected<json::Object> object = parseJsonObject((*file)->text(), path);
  if (!object)
    return object.takeError();
  return Config(std::move(*object), path);
}

const json::Value *Config::find(StringRef key) const {
  const json::Value *value = object.get(key);
  return value && value->kind() != json::Value::Null ? value : nullptr;
}

bool Config::has(StringRef key) const { return find(key) != nullptr; }

void Config::fail(const Twine &message) {
  if (error.empty())
    error = (where + ": " + message).str();
}

void Config::absorb(Config &child) {
  if (error.empty())
    error = child.error;
  child.error.clear();
}

Error Config::takeError() { return error.empty() ? Error::success() : makeError(error); }

int64_t Config::integer(StringRef key, int64_t least, std::optional<int64_t> absent) {
  const json::Value *value = find(key);
  if (!value) {
    if (!absent)
      fail("the key " + quoted(key) + " is missing");
    return absent.value_or(1);
  }
  std::optional<int64_t> number = value->getAsInteger();
  if (number && *number >= least && *number <= maxSize)
    return *number;
  fail(quoted(key) + " is " + quoted(formatv("{0}", *value).str()) + ", expected an integer in [" +
       Twine(least) + ", " + Twine(maxSize) + "]");
  return 1;
}

int64_t Config::size(StringRef key, std::optional<int64_t> absent) { return integer(key, 1, absent); }

int64_t Config::count(StringRef key, int64_t absent) { return integer(key, 0, absent); }

double Config::positive(StringRef key, std::optional<double> absent) {
  const json::Value *value = find(key);
  if (!value) {
    if (!absent)
      fail("the key " + quoted(key) + " is missing");
    return absent.value_or(1.0);
  }
  std::optional<double> number = value->getAsNumber();
  if (number && std::isfinite(*number) && *number > 0 && *number <= 1e12)
    return *number;
  fail(quoted(key) + " is " + quoted(formatv("{0}", *value).str()) + ", expected a number in (0, 1e12]");
  return 1.0;
}

std::optional<int64_t> Config::sizeOrNull(StringRef key, std::optional<int64_t> absent) {
  if (has(key))
    return size(key);
  return contains(key) ? std::nullopt : absent;
}

std::optional<double> Config::positiveOrNull(StringRef key, std::optional<double> absent) {
  if (has(key))
    return positive(key);
  return contains(key) ? std::nullopt : absent;
}

bool Config::flag(StringRef key, bool absent) {
  const json::Value *value = find(key);
  if (!value)
    return absent;
  std::optional<bool> boolean = value->getAsBoolean();
  if (!boolean)
    fail(quoted(key) + " is " + quoted(formatv("{0}", *value).str()) + ", expected true or false");
  return boolean.value_or(absent);
}

std::string Config::text(StringRef key, std::optional<StringRef> absent) {
  const json::Value *value = find(key);
  if (!value) {
    if (!absent)
      fail("the key " + quoted(key) + " is missing");
    return absent.value_or("").str();
  }
  std::optional<StringRef> string = value->getAsString();
  if (!string)
    fail(quoted(key) + " is " + quoted(formatv("{0}", *value).str()) + ", expected a string");
  return string.value_or("").str();
}

SmallVector<int64_t> Config::tokenIds(StringRef key, int64_t limit) {
  SmallVector<int64_t> ids;
  const json::Value *value = find(key);
  if (!value)
    return ids;
  auto add = [&](const json::Value &element) {
    std::optional<int64_t> id = element.getAsInteger();
    if (!id || *id < 0 || *id >= limit)
      return fail(quoted(key) + " has " + quoted(formatv("{0}", element).str()) +
                  ", expected token ids below vocab_size " + Twine(limit));
    if (!llvm::is_contained(ids, *id))
      ids.push_back(*id);
  };
  if (const json::Array *list = value->getAsArray())
    for (const json::Value &element : *list)
      add(element);
  else
    add(*value);
  return ids;
}

SmallVector<double> Config::positives(StringRef key, size_t count) {
  SmallVector<double> numbers;
  const json::Value *value = find(key);
  const json::Array *list = value ? value->getAsArray() : nullptr;
  if (list && list->size() == count)
    for (const json::Value &element : *list)
      if (std::optional<double> number = element.getAsNumber();
          number && std::isfinite(*number) && *number > 0)
        numbers.push_back(*number);
  if (numbers.size() != count) {
    fail(quoted(key) + ": expected a list of " + Twine(count) + " numbers greater than zero");
    numbers.assign(count, 1.0);
  }
  return numbers;
}

SmallVector<StringRef> Config::texts(StringRef key, size_t count, ArrayRef<StringRef> known) {
  SmallVector<StringRef> texts;
  const json::Value *value = find(key);
  const json::Array *list = value ? value->getAsArray() : nullptr;
  if (list && list->size() == count)
    for (const json::Value &element : *list)
      if (std::optional<StringRef> text = element.getAsString(); text && llvm::is_contained(known, *text))
        texts.push_back(*llvm::find(known, *text));
  if (texts.size() == count)
    return texts;
  fail(quoted(key) + ": expected a list of " + Twine(count) + " of " + llvm::join(known, " and "));
  return {};
}

Config Config::child(StringRef key) {
  const json::Value *value = find(key);
  const json::Object *inner = value ? value->getAsObject() : nullptr;
  if (value && !inner)
    fail(quoted(key) + ": expected an object");
  return Config(inner ? *inner : json::Object(), where + ": " + key);
}

} // namespace mlir::transformer
