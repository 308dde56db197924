//===- Support.h - compiles, runs and compares -------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_E2E_SUPPORT_H
#define TEST_E2E_SUPPORT_H

#include "runtime/Npy.h"
#include "runtime/xfm.h"

#include "gtest/gtest.h"
#include <memory>
#include <string>
#include <vector>

namespace xfm::e2e {

/// A folder that is removed at the end.
class TemporaryFolder {
public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  std::string operator/(const std::string &name) const { return path + "/" + name; }
  /// The names in it, sorted.
  std::vector<std::string> list() const;

  std::string path;
};

/// What a process gave. `status` is its exit status, or minus the signal that ended it.
struct Outcome {
  int status = 0;
  std::string out, error;
};
Outcome run(const std::vector<std::string> &command);

std::string readFile(const std::string &path);

/// A model and what an independent program says of it.
struct GoldenModel {
  std::string name, folder;
  std::string tokens, logits; ///< .npy files: [1, S] and [1, S, V]
  std::string prompt;
  std::string greedy; ///< a file that holds the beginning of the greedy output
  int generated = 0;  ///< how many tokens to generate for it
};
GoldenModel bard();
/// A model of the shared test data: $XFM_TEST_DATA, or ../shared/data of the repository.
/// `folder` is empty where that is absent.
GoldenModel sharedModel(const std::string &name);

/// The artifact of a model compiled with `options`. It is kept between processes and runs, and
/// made again when tfopt or the model is newer.
std::string artifact(const GoldenModel &model, const std::vector<std::string> &options);

/// Numbers with a shape whose last dimension is the vocabulary.
struct Logits {
  std::vector<float> values;
  int64_t vocabulary = 0;

  int64_t positions() const { return vocabulary == 0 ? 0 : int64_t(values.size()) / vocabulary; }
  /// One position alone.
  Logits at(int64_t position) const;
  void append(const Logits &other);
};
Logits readLogits(const std::string &path);
std::vector<int32_t> readTokens(const std::string &path);

/// max|a - b| / max|b| of each position; one infinite value where the shapes differ or a value is no
/// number.
std::vector<double> distances(const Logits &a, const Logits &b);
/// The largest of them.
double distance(const Logits &a, const Logits &b);
double meanDistance(const Logits &a, const Logits &b);

/// Opens an artifact; fails the test where that is refused.
using Model = std::shared_ptr<xfm_model>;
Model open(const std::string &path);

/// A session that takes tokens and gives logits.
class Session {
public:
  explicit Session(Model model, int32_t threads = 1, int64_t batch = 1, int64_t context = 0);
  /// `tokens` row by row, `batch` rows.
  Logits call(const std::string &entry, const std::vector<int32_t> &tokens);
  int64_t length() const { return xfm_session_length(session.get()); }
  void reset() { xfm_session_reset(session.get()); }

private:
  Model model;
  int64_t batch;
  std::shared_ptr<xfm_session> session;
};

} // namespace xfm::e2e

#endif // TEST_E2E_SUPPORT_H
