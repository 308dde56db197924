//===- Json.cpp - Checked reading of JSON -------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Json.h"
#include "runtime/text/Error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <unordered_set>

namespace xfm::text {

static constexpr int maxDepth = 64;
static constexpr int32_t maxTokenId = (1 << 24) - 1;
static constexpr size_t maxFileBytes = size_t(1) << 30;

Json parseJson(std::string_view text) {
  std::vector<std::unordered_set<std::string>> keys; // of the open objects
  auto check = [&](int depth, Json::parse_event_t event, Json &parsed) {
    if (depth > maxDepth)
      throw Error("nested deeper than " + std::to_string(maxDepth));
    if (event == Json::parse_event_t::object_start)
      keys.emplace_back();
    else if (event == Json::parse_event_t::object_end)
      keys.pop_back();
    else if (event == Json::parse_event_t::key &&
             !keys.back().insert(parsed.get_ref<const std::string &>()).second)
      throw Error("duplicate key '" + parsed.get_ref<const std::string &>() + "'");
    return true;
  };
  try {
    return Json::parse(text, check);
  } catch (const Json::exception &exception) {
    std::string_view what = exception.what(); // "[json.exception…] reason"
    size_t reason = what.find("] ");
    throw Error("not valid JSON: " + std::string(reason == what.npos ? what : what.substr(reason + 2)));
  }
}

std::string readFile(const std::string &path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file)
    throw Error("cannot open '" + path + "': " + std::strerror(errno));
  std::string text;
  char buffer[1 << 16];
  while (size_t count = std::fread(buffer, 1, sizeof buffer, file.get())) {
    text.append(buffer, count);
    if (text.size() > maxFileBytes)
      throw Error("'" + path + "' is larger than 1 GiB");
  }
  if (std::ferror(file.get()))
    throw Error("cannot read '" + path + "': " + std::strerror(errno));
  return text;
}

const Json *findMember(const Json &object, const char *key) {
  if (!object.is_object())
    throw Error(std::string("expected an object with '") + key + "', but got " + object.type_name());
  auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

static const Json &need(const Json &object, const char *key) {
  if (const Json *member = findMember(object, key))
    return *member;
  throw Error(std::string("member '") + key + "' is missing");
}

[[noreturn]] static void wrongType(const char *key, const char *expected, const Json &value) {
  throw Error(std::string("expected '") + key + "' to be " + expected + ", but got " + value.type_name());
}

std::string getString(const Json &object, const char *key) {
  const Json &value = need(object, key);
  if (!value.is_string())
    wrongType(key, "a string", value);
  return value.get<std::string>();
}

std::string getString(const Json &object, const char *key, const char *absent) {
  return findMember(object, key) ? getString(object, key) : absent;
}

bool getBool(const Json &object, const char *key, bool absent) {
  const Json *value = findMember(object, key);
  if (value && !value->is_boolean())
    wrongType(key, "true or false", *value);
  return value ? value->get<bool>() : absent;
}

const Json &getArray(const Json &object, const char *key) {
  const Json &value = need(object, key);
  if (!value.is_array())
    wrongType(key, "an array", value);
  return value;
}

int32_t getTokenId(const Json &value, std::string_view what) {
  if (!value.is_number_integer())
    throw Error("expected the id of " + std::string(what) + " to be an integer, but got " +
                value.type_name());
  bool fits =
      value.is_number_unsigned() ? value.get<uint64_t>() <= uint64_t(maxTokenId) : value.get<int64_t>() >= 0;
  if (!fits)
    throw Error("the id of " + std::string(what) + " is " + value.dump() + ", but ids are from 0 to " +
                std::to_string(maxTokenId));
  return value.get<int32_t>();
}

} // namespace xfm::text
