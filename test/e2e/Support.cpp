//===- Support.cpp - compiles, runs and compares -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/e2e/Support.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <spawn.h>
#include <sstream>
#include <stdexcept>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace xfm::e2e {

//===----------------------------------------------------------------------===//
// Files and processes
//===----------------------------------------------------------------------===//

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "xfm-e2e-XXXXXX").string();
  if (!mkdtemp(pattern.data()))
    throw std::runtime_error("no temporary folder: " + pattern);
  path = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

std::vector<std::string> TemporaryFolder::list() const {
  std::vector<std::string> names;
  for (const fs::directory_entry &entry : fs::directory_iterator(path))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::string readFile(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

Outcome run(const std::vector<std::string> &command) {
  TemporaryFolder folder;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, (folder / "out").c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, (folder / "error").c_str(), O_WRONLY | O_CREAT, 0600);
  std::vector<char *> arguments;
  for (const std::string &argument : command)
    arguments.push_back(const_cast<char *>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  int failed = posix_spawn(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failed)
    throw std::runtime_error("cannot run " + command[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), readFile(folder / "out"),
          readFile(folder / "error")};
}

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

GoldenModel bard() {
  std::string root = XFM_SOURCE_DIR, goldens = root + "/test/e2e/goldens/bard";
  return {"bard",
          root + "/examples/bard",
          goldens + ".tokens.npy",
          goldens + ".logits.npy",
          "ROMEO:",
          goldens + ".greedy.txt",
          120};
}

GoldenModel sharedModel(const std::string &name) {
  const char *given = std::getenv("XFM_TEST_DATA");
  std::string folder = given ? given : std::string(XFM_SOURCE_DIR) + "/../shared/data";
  folder += "/models/" + name;
  if (!fs::exists(folder))
    return {};
  std::string goldens = folder + "/golden/";
  // An empty prompt starts from BOS alone.
  return {name, folder, goldens + "tokens.npy", goldens + "logits.npy", "", goldens + "expected_stdout.txt",
          256};
}

static bool isCurrent(const std::string &manifest, const std::string &folder) {
  std::error_code code;
  fs::file_time_type made = fs::last_write_time(manifest, code);
  if (code || fs::last_write_time(XFM_TFOPT) >= made)
    return false;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && entry.last_write_time() >= made)
      return false;
  return true;
}

std::string artifact(const GoldenModel &model, const std::vector<std::string> &options) {
  std::string path = std::string(XFM_E2E_ARTIFACTS) + "/" + model.name;
  for (const std::string &option : options)
    path += option;
  path += ".tfa";
  fs::create_directories(XFM_E2E_ARTIFACTS);
  // Tests run side by side in processes of their own; one of them compiles.
  int lock = ::open((path + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX) != 0)
    throw std::runtime_error("cannot lock " + path);
  if (!isCurrent(path + "/manifest.json", model.folder)) {
    std::vector<std::string> command = {XFM_TFOPT, model.folder, "-o", path, "-q"};
    command.insert(command.end(), options.begin(), options.end());
    Outcome outcome = run(command);
    EXPECT_EQ(outcome.status, 0) << outcome.error;
    EXPECT_EQ(outcome.error, "");
  }
  close(lock);
  return path;
}

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

static NpyArray readArray(const std::string &path) {
  NpyArray array;
  Status status = readNpy(path, {/*narrowF64=*/true}, array);
  if (!status.ok())
    throw std::runtime_error(status.message);
  return array;
}

Logits readLogits(const std::string &path) {
  NpyArray array = readArray(path);
  if (array.dtype != XFM_F32 || array.shape.empty())
    throw std::runtime_error(path + " holds no logits");
  auto *values = reinterpret_cast<const float *>(array.data.data());
  return {std::vector<float>(values, values + array.data.size() / sizeof(float)), array.shape.back()};
}

std::vector<int32_t> readTokens(const std::string &path) {
  NpyArray array = readArray(path);
  if (array.dtype != XFM_I64)
    throw std::runtime_error(path + " holds no tokens");
  auto *values = reinterpret_cast<const int64_t *>(array.data.data());
  return std::vector<int32_t>(values, values + array.data.size() / sizeof(int64_t));
}

Logits Logits::at(int64_t position) const {
  auto begin = values.begin() + position * vocabulary;
  return {std::vector<float>(begin, begin + vocabulary), vocabulary};
}

void Logits::append(const Logits &other) {
  values.insert(values.end(), other.values.begin(), other.values.end());
  vocabulary = other.vocabulary;
}

std::vector<double> distances(const Logits &a, const Logits &b) {
  const double infinite = std::numeric_limits<double>::infinity();
  if (a.values.size() != b.values.size() || a.vocabulary != b.vocabulary || b.values.empty())
    return {infinite};
  std::vector<double> result;
  for (size_t begin = 0; begin < b.values.size(); begin += b.vocabulary) {
    double difference = 0, scale = 0;
    for (size_t i = begin; i < begin + b.vocabulary; ++i) {
      if (!std::isfinite(a.values[i]) || !std::isfinite(b.values[i]))
        return {infinite};
      difference = std::max(difference, std::fabs(double(a.values[i]) - b.values[i]));
      scale = std::max(scale, std::fabs(double(b.values[i])));
    }
    result.push_back(scale == 0 ? infinite : difference / scale);
  }
  return result;
}

double distance(const Logits &a, const Logits &b) {
  std::vector<double> all = distances(a, b);
  return *std::max_element(all.begin(), all.end());
}

double meanDistance(const Logits &a, const Logits &b) {
  std::vector<double> all = distances(a, b);
  return std::accumulate(all.begin(), all.end(), 0.0) / all.size();
}

//===----------------------------------------------------------------------===//
// The C API
//===----------------------------------------------------------------------===//

static void check(xfm_status status) {
  if (status != XFM_OK)
    throw std::runtime_error(std::string(xfm_status_name(status)) + ": " + xfm_last_error());
}

Model open(const std::string &path) {
  xfm_model *model = nullptr;
  check(xfm_model_open(path.c_str(), nullptr, &model));
  return Model(model, xfm_model_close);
}

Session::Session(Model given, int32_t threads, int64_t batch, int64_t context)
    : model(std::move(given)), batch(batch) {
  xfm_session_options options = {sizeof(xfm_session_options), threads, batch, context, 0};
  xfm_session *created = nullptr;
  check(xfm_session_create(model.get(), &options, &created));
  session.reset(created, xfm_session_destroy);
}

Logits Session::call(const std::string &entry, const std::vector<int32_t> &tokens) {
  xfm_tensor input = {};
  input.data = tokens.data();
  input.dtype = XFM_I32;
  input.rank = 2;
  input.dims[0] = batch;
  input.dims[1] = int64_t(tokens.size()) / batch;
  check(xfm_session_call(session.get(), entry.c_str(), &input, 1));
  xfm_tensor output = {};
  check(xfm_session_output(session.get(), 0, &output));
  if (output.dtype != XFM_F32 || output.rank < 2)
    throw std::runtime_error(entry + " gives no logits");
  int64_t count = 1;
  for (int32_t i = 0; i < output.rank; ++i)
    count *= output.dims[i];
  auto *values = static_cast<const float *>(output.data);
  return {std::vector<float>(values, values + count), output.dims[output.rank - 1]};
}

} // namespace xfm::e2e
