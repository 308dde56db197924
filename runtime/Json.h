//===- Json.h - reading untrusted JSON ------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_JSON_H
#define XFM_RUNTIME_JSON_H

#include "runtime/Status.h"

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace xfm {

/// A value inside a JsonDocument and its place, for messages. The first failure
/// below a document's root is kept in the status given to it; from then on every
/// reader returns empty values, so that code reads on without checking each step
/// and asks the status at the end.
class JsonReader {
public:
  /// Whether there is a value; false for an absent optional member.
  explicit operator bool() const { return node != nullptr; }

  JsonReader member(const char *name) const;
  JsonReader optionalMember(const char *name) const;
  void forEachMember(const std::function<void(const std::string &name, const JsonReader &value)> &fn) const;

  /// Elements of an array; zero after a failure.
  size_t size() const;
  JsonReader element(size_t index) const;
  void forEachElement(const std::function<void(const JsonReader &value)> &fn) const;

  bool isString() const;
  /// A string that is not empty and holds no control characters.
  std::string text() const;
  int64_t integer(int64_t least, int64_t most) const;
  bool boolean() const;

  /// Records a failure at this place.
  template <typename... Parts> void fail(const Parts &...parts) const {
    if (status && status->ok())
      *status = xfm::fail(XFM_CORRUPT, where, where.back() == ':' ? " " : ": ", parts...);
  }
  bool failed() const { return !status || !status->ok(); }

private:
  friend class JsonDocument;
  JsonReader(const nlohmann::json *node, std::string where, Status *status)
      : node(node), where(std::move(where)), status(status) {}
  JsonReader absent(std::string place) const { return {nullptr, std::move(place), status}; }
  std::string place(const char *name) const;

  const nlohmann::json *node;
  std::string where; ///< "file:" at the root, else "file: weights[3].name"
  Status *status;
};

/// A parsed text. Keys given twice and nesting deeper than 64 are refused.
class JsonDocument {
public:
  JsonDocument();
  ~JsonDocument();

  /// `what` names the text in messages.
  Status parse(std::string_view text, const std::string &what);
  JsonReader root(Status &status) const;

private:
  std::unique_ptr<nlohmann::json> value;
  std::string what;
};

} // namespace xfm

#endif // XFM_RUNTIME_JSON_H
