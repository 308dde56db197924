//===- FaultTest.cpp - no room to write -------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/e2e/Support.h"

#include <filesystem>

using namespace xfm;
using namespace xfm::e2e;
namespace fs = std::filesystem;

namespace {
struct NoRoom : testing::Test {
  void SetUp() override {
    Outcome outcome = run({XFM_PYTHON, XFM_SOURCE_DIR "/test/tools/tiny_llama.py", folder / "model"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    fs::create_directory(folder / "out");
  }

  /// Status 1 and one line that names the tool.
  static void expectRefusal(const Outcome &outcome, const std::string &what) {
    EXPECT_EQ(outcome.status, 1) << what << ": " << outcome.error;
    EXPECT_EQ(outcome.error.rfind("tfopt: error: ", 0), 0u) << what << ": " << outcome.error;
    EXPECT_EQ(outcome.error.find('\n'), outcome.error.size() - 1) << what << ": " << outcome.error;
  }

  TemporaryFolder folder;
};
} // namespace

/// Files may have so many bytes, from none to one less than the largest needs. Whichever file it is
/// that does not fit, the compile is refused and leaves nothing.
TEST_F(NoRoom, FileSizeLimits) {
  Outcome whole = run({XFM_TFOPT, folder / "model", "-o", folder / "whole.tfa", "-q"});
  ASSERT_EQ(whole.status, 0) << whole.error;
  uintmax_t largest = 0;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder / "whole.tfa"))
    largest = std::max(largest, entry.file_size());
  std::vector<uintmax_t> limits = {0, 1, 4096, largest / 2, largest - 1};
  for (const fs::directory_entry &entry : fs::directory_iterator(folder / "whole.tfa"))
    limits.push_back(entry.file_size() - 1);
  for (uintmax_t limit : limits) {
    std::string bound = "--fsize=" + std::to_string(limit);
    // stderr is a file as well: what it holds must fit.
    if (limit < 400)
      bound = "--fsize=400";
    for (const char *stage : {"", "--emit=asm"}) {
      if (*stage && limit > 4096)
        continue;
      std::vector<std::string> command = {"/usr/bin/prlimit",   bound, XFM_TFOPT, folder / "model", "-o",
                                          folder / "out/m.tfa", "-q"};
      if (*stage)
        command.push_back(stage);
      expectRefusal(run(command), bound + " " + stage);
      EXPECT_TRUE(fs::is_empty(folder / "out")) << bound << " " << stage;
    }
  }
  Outcome enough = run({"/usr/bin/prlimit", "--fsize=" + std::to_string(2 * largest + 4096), XFM_TFOPT,
                        folder / "model", "-o", folder / "out/m.tfa", "-q"});
  EXPECT_EQ(enough.status, 0) << enough.error;
  open(folder / "out/m.tfa");
}

/// A file system that is too small, in a mount namespace of its own.
TEST_F(NoRoom, FullDisk) {
  auto onDisk = [&](const std::string &size, const std::vector<std::string> &more) {
    std::string script = "mount -t tmpfs -o size=" + size + " tmpfs '" + (folder / "out") +
                         "' || exit 77; \"$@\"; status=$?; ls -A '" + (folder / "out") + "'; exit $status";
    std::vector<std::string> command = {"/usr/bin/unshare", "-rm", "/bin/sh", "-c", script, "sh"};
    command.insert(command.end(), {XFM_TFOPT, folder / "model", "-o", folder / "out/m.tfa", "-q"});
    command.insert(command.end(), more.begin(), more.end());
    return run(command);
  };
  Outcome outcome = onDisk("64M", {});
  if (outcome.status != 0 && outcome.error.find("tfopt") == std::string::npos)
    GTEST_SKIP() << "no mount namespaces here: " << outcome.error;
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  EXPECT_EQ(outcome.out, "m.tfa\n");
  // From a page to a page less than the files need, so that each of them is the one that does not fit.
  ASSERT_EQ(run({XFM_TFOPT, folder / "model", "-o", folder / "whole.tfa", "-q"}).status, 0);
  uintmax_t pages = 0;
  for (const fs::directory_entry &entry : fs::directory_iterator(folder / "whole.tfa"))
    pages += (entry.file_size() + 4095) / 4096;
  constexpr uintmax_t steps = 8;
  for (uintmax_t i = 0; i <= steps; ++i) {
    std::string size = std::to_string(4 * (1 + (pages - 2) * i / steps)) + "k";
    outcome = onDisk(size, {});
    expectRefusal(outcome, size);
    EXPECT_EQ(outcome.out, "") << size; // nothing is left on the disk
  }
  outcome = onDisk("8k", {"--cache", folder / "out/cache"});
  expectRefusal(outcome, "cache");
  outcome = onDisk("4k", {"--emit=asm"});
  expectRefusal(outcome, "asm");
  EXPECT_EQ(outcome.out, "");
}
