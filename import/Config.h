//===- Config.h - reads config.json ---------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef IMPORT_CONFIG_H
#define IMPORT_CONFIG_H

#include "mlir/Support/LLVM.h"
#include "weights/Json.h"

#include <optional>

namespace mlir::transformer {

/// A JSON object whose values are checked as they are read. The first error is
/// kept and every later getter returns something harmless, so that a family
/// reads all of its settings and then asks once: `if (Error e = config.takeError())`.
/// A null counts as absent.
class Config {
public:
  /// The largest size a config may state.
  static constexpr int64_t maxSize = int64_t(1) << 31;

  /// Reads the object in the file `path`.
  static llvm::Expected<Config> read(StringRef path);

  Config(llvm::json::Object object, const Twine &where) : object(std::move(object)), where(where.str()) {}

  /// Whether the key is there, null or not.
  bool contains(StringRef key) const { return object.get(key) != nullptr; }
  /// Whether the key is there and not null.
  bool has(StringRef key) const;

  /// An integer in [1, maxSize]; an error where it is absent and has no default.
  int64_t size(StringRef key, std::optional<int64_t> absent = std::nullopt);
  /// An integer in [0, maxSize].
  int64_t count(StringRef key, int64_t absent);
  /// A finite number greater than zero and at most 1e12.
  double positive(StringRef key, std::optional<double> absent = std::nullopt);
  /// The same, where null is a value of its own: none.
  std::optional<int64_t> sizeOrNull(StringRef key, std::optional<int64_t> absent);
  std::optional<double> positiveOrNull(StringRef key, std::optional<double> absent);
  bool flag(StringRef key, bool absent);
  std::string text(StringRef key, std::optional<StringRef> absent = std::nullopt);
  /// Token ids below `limit`: an integer or a list of them; none where absent.
  SmallVector<int64_t> tokenIds(StringRef key, int64_t limit);
  /// `count` finite numbers greater than zero.
  SmallVector<double> positives(StringRef key, size_t count);
  /// `count` strings, each one of `known`.
  SmallVector<StringRef> texts(StringRef key, size_t count, ArrayRef<StringRef> known);
  /// The object under the key; an empty one where it is absent.
  Config child(StringRef key);

  /// Records an error of this config; `message` follows the file's name.
  void fail(const Twine &message);
  /// Takes over the error of a child.
  void absorb(Config &child);
  llvm::Error takeError();

private:
  const llvm::json::Value *find(StringRef key) const;
  int64_t integer(StringRef key, int64_t least, std::optional<int64_t> absent);

  llvm::json::Object object;
  std::string where;
  std::string error; // empty where all is well
};

} // namespace mlir::transformer

#endif // IMPORT_CONFIG_H
