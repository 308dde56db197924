//===- InterruptTest.cpp - tfopt ended by signals ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/e2e/Support.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <random>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace xfm;
using namespace xfm::e2e;
namespace fs = std::filesystem;

namespace {
/// A process that a test ends.
class Process {
public:
  explicit Process(const std::vector<std::string> &command) {
    std::vector<char *> arguments;
    for (const std::string &argument : command)
      arguments.push_back(const_cast<char *>(argument.c_str()));
    arguments.push_back(nullptr);
    if (posix_spawn(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0)
      throw std::runtime_error("cannot run " + command[0]);
  }
  ~Process() {
    if (child > 0)
      end(SIGKILL);
  }

  /// Whether `condition` came true while the process ran.
  bool waitUntil(const std::function<bool()> &condition) {
    auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (std::chrono::steady_clock::now() < limit) {
      if (condition())
        return true;
      siginfo_t info = {};
      if (waitid(P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == child)
        return false;
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return false;
  }

  /// Sends the signal and returns the one that ended the process, or 0 where it exited.
  int end(int signal) {
    kill(child, signal);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
      ;
    child = 0;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }

private:
  pid_t child = 0;
};

struct Interrupt : testing::Test {
  void SetUp() override {
    Outcome outcome =
        run({XFM_PYTHON, XFM_SOURCE_DIR "/test/tools/tiny_llama.py", folder / "model", "--large"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    fs::create_directory(folder / "out");
  }

  std::vector<std::string> command() const {
    return {XFM_TFOPT, folder / "model", "-o", folder / "out/m.tfa", "-q"};
  }
  /// Names in the folder of the artifact, those in folders of it included.
  std::vector<std::string> left() const {
    std::vector<std::string> names;
    std::error_code ignored; // the writer's files come and go meanwhile
    for (fs::recursive_directory_iterator it(folder / "out", ignored), end; it != end; it.increment(ignored))
      names.push_back(it->path().filename());
    return names;
  }
  bool isWritingWeights() const {
    for (const std::string &name : left())
      if (name.rfind("weights.safetensors", 0) == 0)
        return true;
    return false;
  }

  TemporaryFolder folder;
};

struct InterruptBy : Interrupt, testing::WithParamInterface<int> {};
} // namespace

TEST_P(InterruptBy, WhileWritingWeightsLeavesNothing) {
  Process tfopt(command());
  ASSERT_TRUE(tfopt.waitUntil([&] { return isWritingWeights(); }));
  EXPECT_EQ(tfopt.end(GetParam()), GetParam());
  EXPECT_EQ(left(), std::vector<std::string>{});
}

TEST_P(InterruptBy, WhileLoweringLeavesNothing) {
  Process tfopt(command());
  ASSERT_TRUE(tfopt.waitUntil([&] { return !left().empty(); }));
  EXPECT_EQ(tfopt.end(GetParam()), GetParam());
  EXPECT_EQ(left(), std::vector<std::string>{});
}

INSTANTIATE_TEST_SUITE_P(Signals, InterruptBy, testing::Values(SIGINT, SIGTERM, SIGHUP),
                         [](const auto &info) { return std::string(sigabbrev_np(info.param)); });

/// An artifact that was there stays as it was.
TEST_F(Interrupt, LeavesTheArtifactThatWasThere) {
  Outcome outcome = run({XFM_TFOPT, bard().folder, "-o", folder / "out/m.tfa", "-q"});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  std::string manifest = readFile(folder / "out/m.tfa/manifest.json");
  Process tfopt(command());
  ASSERT_TRUE(tfopt.waitUntil([&] { return left().size() > 6; }));
  EXPECT_EQ(tfopt.end(SIGTERM), SIGTERM);
  EXPECT_EQ(readFile(folder / "out/m.tfa/manifest.json"), manifest);
  open(folder / "out/m.tfa");
  EXPECT_EQ(left().size(), 5u);
}

/// SIGKILL leaves the folder under its temporary name, never an artifact; the next run does not mind.
TEST_F(Interrupt, KilledLeavesNoArtifact) {
  Process tfopt(command());
  ASSERT_TRUE(tfopt.waitUntil([&] { return isWritingWeights(); }));
  EXPECT_EQ(tfopt.end(SIGKILL), SIGKILL);
  EXPECT_FALSE(fs::exists(folder / "out/m.tfa"));
  Outcome outcome = run({XFM_TFOPT, bard().folder, "-o", folder / "out/m.tfa", "-q"});
  EXPECT_EQ(outcome.status, 0) << outcome.error;
  open(folder / "out/m.tfa");
}

/// A cache that was being filled holds whole entries, and nothing else.
TEST_F(Interrupt, CacheHoldsWholeEntries) {
  std::vector<std::string> cached = command();
  cached.insert(cached.end(), {"--cache", folder / "cache"});
  auto entries = [&] {
    std::vector<std::string> names;
    std::error_code ignored;
    for (fs::directory_iterator it(folder / "cache", ignored), end; it != end; it.increment(ignored))
      names.push_back(it->path().filename());
    return names;
  };
  auto isTemporary = [](const std::string &name) { return name.find(".tmp") != std::string::npos; };
  Process tfopt(cached);
  ASSERT_TRUE(tfopt.waitUntil([&] { return entries().size() > 3; }));
  EXPECT_EQ(tfopt.end(SIGTERM), SIGTERM);
  std::vector<std::string> names = entries();
  EXPECT_FALSE(names.empty());
  EXPECT_TRUE(std::none_of(names.begin(), names.end(), isTemporary));
  EXPECT_EQ(left(), std::vector<std::string>{});
  // What is there is used, and nothing of it is damaged.
  cached.erase(std::find(cached.begin(), cached.end(), "-q"));
  Outcome outcome = run(cached);
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  // Layers that hold the same share an entry: there may be more weights than entries.
  size_t counted = outcome.error.find("cache: ");
  ASSERT_NE(counted, std::string::npos) << outcome.error;
  EXPECT_GE(std::stoul(outcome.error.substr(counted + 7)), names.size()) << outcome.error;
  EXPECT_NE(outcome.error.find(" 0 damaged"), std::string::npos) << outcome.error;
  open(folder / "out/m.tfa");
}

/// Whenever it happens: the artifact is whole or absent, and but for SIGKILL nothing else is there.
struct InterruptAt : Interrupt, testing::WithParamInterface<int> {};

TEST_P(InterruptAt, RandomMoments) {
  std::mt19937 random(GetParam());
  auto began = std::chrono::steady_clock::now();
  Outcome whole = run(command());
  ASSERT_EQ(whole.status, 0) << whole.error;
  auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began);
  open(folder / "out/m.tfa");
  Outcome small = run({XFM_TFOPT, bard().folder, "-o", folder / "kept.tfa", "-q"});
  ASSERT_EQ(small.status, 0) << small.error;
  int ended = 0;
  for (int i = 0; i < 8; ++i) {
    bool isKept = i % 2; // an artifact is there already, or none
    fs::remove_all(folder / "out/m.tfa");
    if (isKept)
      fs::copy(folder / "kept.tfa", folder / "out/m.tfa");
    Process tfopt(command());
    std::this_thread::sleep_for(took * (random() % 1000) / 900);
    ended += tfopt.end(GetParam()) == GetParam();
    if (isKept || fs::exists(folder / "out/m.tfa"))
      open(folder / "out/m.tfa"); // verifies every byte of it
    for (const fs::directory_entry &entry : fs::directory_iterator(folder / "out")) {
      std::string name = entry.path().filename();
      if (name == "m.tfa")
        continue;
      EXPECT_EQ(GetParam(), SIGKILL) << name;
      EXPECT_EQ(name.rfind("m.tfa.partial-", 0), 0u) << name;
      fs::remove_all(entry.path());
    }
  }
  EXPECT_GT(ended, 2); // the others were too late
}

INSTANTIATE_TEST_SUITE_P(Signals, InterruptAt, testing::Values(SIGTERM, SIGKILL),
                         [](const auto &info) { return std::string(sigabbrev_np(info.param)); });
