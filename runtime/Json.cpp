//===- Json.cpp - reading untrusted JSON ----------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

using namespace xfm;
using nlohmann::json;

namespace {
/// Thrown out of the parser's callback and caught in this file.
struct Refused {
  std::string message;
};
} // namespace

static constexpr int deepest = 64;

JsonDocument::JsonDocument() = default;
JsonDocument::~JsonDocument() = default;

Status JsonDocument::parse(std::string_view text, const std::string &name) {
  what = name;
  // The parser itself takes the last of two equal keys; two readers that differ
  // in that would see two different documents.
  std::vector<std::set<std::string>> keys;
  auto check = [&](int depth, json::parse_event_t event, json &parsed) {
    switch (event) {
    case json::parse_event_t::object_start:
      keys.emplace_back();
      [[fallthrough]];
    case json::parse_event_t::array_start:
      if (depth >= deepest)
        throw Refused{"nested deeper than " + std::to_string(deepest)};
      break;
    case json::parse_event_t::object_end:
      keys.pop_back();
      break;
    case json::parse_event_t::key:
      if (const auto &key = parsed.get_ref<const std::string &>(); !keys.back().insert(key).second)
        throw Refused{"key " + quote(key) + " is given twice"};
      break;
    default:
      break;
    }
    return true;
  };
  try {
    value = std::make_unique<json>(json::parse(text.begin(), text.end(), check));
  } catch (const Refused &refused) {
    return xfm::fail(XFM_CORRUPT, what, ": ", refused.message);
  } catch (const json::parse_error &error) {
    return xfm::fail(XFM_CORRUPT, what, ": not valid JSON at byte ", error.byte);
  } catch (const json::exception &) {
    return xfm::fail(XFM_CORRUPT, what, ": holds a number out of range");
  }
  return {};
}

JsonReader JsonDocument::root(Status &status) const { return {value.get(), what + ":", &status}; }

std::string JsonReader::place(const char *name) const {
  return where + (where.back() == ':' ? " " : ".") + name;
}

JsonReader JsonReader::member(const char *name) const {
  JsonReader found = optionalMember(name);
  if (!found && node)
    fail("expected a member '", name, "'");
  return found;
}

JsonReader JsonReader::optionalMember(const char *name) const {
  if (failed() || !node)
    return absent(where);
  if (!node->is_object()) {
    fail("expected an object, but got ", node->type_name());
    return absent(where);
  }
  auto found = node->find(name);
  if (found == node->end())
    return absent(place(name));
  return {&*found, place(name), status};
}

void JsonReader::forEachMember(const std::function<void(const std::string &, const JsonReader &)> &fn) const {
  if (failed() || !node)
    return;
  if (!node->is_object())
    return fail("expected an object, but got ", node->type_name());
  for (auto entry = node->begin(); entry != node->end() && !failed(); ++entry)
    fn(entry.key(), {&entry.value(), place(quote(entry.key()).c_str()), status});
}

size_t JsonReader::size() const {
  if (failed() || !node)
    return 0;
  if (!node->is_array()) {
    fail("expected an array, but got ", node->type_name());
    return 0;
  }
  return node->size();
}

JsonReader JsonReader::element(size_t index) const {
  if (failed() || !node || index >= node->size())
    return absent(where);
  return {&(*node)[index], where + "[" + std::to_string(index) + "]", status};
}

void JsonReader::forEachElement(const std::function<void(const JsonReader &)> &fn) const {
  size_t count = size();
  for (size_t i = 0; i < count && !failed(); ++i)
    fn(element(i));
}

bool JsonReader::isString() const { return node && node->is_string(); }

std::string JsonReader::text() const {
  if (failed() || !node)
    return {};
  if (!node->is_string()) {
    fail("expected a string, but got ", node->type_name());
    return {};
  }
  const std::string &value = node->get_ref<const std::string &>();
  if (value.empty())
    fail("expected a string that is not empty");
  for (char c : value)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      fail("expected no control characters in ", quote(value));
  return failed() ? std::string() : value;
}

bool JsonReader::boolean() const {
  if (failed() || !node)
    return false;
  if (!node->is_boolean())
    fail("expected true or false");
  return node->is_boolean() && node->get<bool>();
}

int64_t JsonReader::integer(int64_t least, int64_t most) const {
  if (failed() || !node)
    return 0;
  if (!node->is_number_integer()) {
    fail("expected an integer, but got ", node->is_number() ? node->dump() : node->type_name());
    return 0;
  }
  bool huge = node->is_number_unsigned() && node->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  int64_t value = huge ? 0 : node->get<int64_t>();
  if (huge || value < least || value > most) {
    fail("expected an integer from ", least, " to ", most, ", but got ", node->dump());
    return 0;
  }
  return value;
}
