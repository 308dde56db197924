//===- Json.h - Checked reading of JSON ---------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_TEXT_JSON_H
#define XFM_RUNTIME_TEXT_JSON_H

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace xfm::text {

using Json = nlohmann::json;

/// Parses a document. Throws Error on ill-formed JSON or UTF-8, nesting deeper than 64 and duplicate keys.
Json parseJson(std::string_view text);

/// The whole file. Throws Error if it cannot be read or is larger than 1 GiB.
std::string readFile(const std::string &path);

/// A member of an object; null if it is absent or null.
const Json *findMember(const Json &object, const char *key);

// Members of an object, of the type that is asked for. Those without a default must be there.
std::string getString(const Json &object, const char *key);
std::string getString(const Json &object, const char *key, const char *absent);
bool getBool(const Json &object, const char *key, bool absent);
const Json &getArray(const Json &object, const char *key);

/// A token id: an integer from 0 to 16777215.
int32_t getTokenId(const Json &value, std::string_view what);

} // namespace xfm::text

#endif // XFM_RUNTIME_TEXT_JSON_H
