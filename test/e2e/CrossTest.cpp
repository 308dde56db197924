//===- CrossTest.cpp - AArch64 artifacts under an emulator -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/e2e/Support.h"

using namespace xfm;
using namespace xfm::e2e;

/// As of compiled code for this machine (ExactnessTest).
static constexpr double kF32 = 1e-5;

namespace {
struct Aarch64 : testing::Test {
  void SetUp() override {
    if (std::string(XFM_AARCH64_SCORE).empty())
      GTEST_SKIP() << "not built for AArch64, as these are missing: " XFM_AARCH64_MISSING;
  }

  /// Runs `score` as the CPU `emulated` of the emulator.
  Outcome score(const std::string &artifact, const std::string &tokens, const std::string &logits,
                const std::string &emulated = "max") {
    return run({XFM_QEMU_AARCH64, "-L", XFM_AARCH64_ROOT, "-cpu", emulated, XFM_AARCH64_SCORE, artifact,
                tokens, logits});
  }

  Logits logitsOf(const std::string &artifact, const GoldenModel &model, const std::string &emulated) {
    TemporaryFolder folder;
    Outcome outcome = score(artifact, model.tokens, folder / "logits.npy", emulated);
    EXPECT_EQ(outcome.status, 0) << outcome.error;
    return outcome.status == 0 ? readLogits(folder / "logits.npy") : Logits();
  }
};

/// A model, the CPU it is compiled for, and the one that it runs on.
struct Case {
  const char *model, *compiled, *emulated;
};
struct Aarch64Logits : Aarch64, testing::WithParamInterface<Case> {
  void SetUp() override {
    Aarch64::SetUp();
    std::string name = GetParam().model;
    model = name == "bard" ? bard() : sharedModel(name);
    if (!IsSkipped() && model.folder.empty())
      GTEST_SKIP() << "../shared/data/models/" << name << " is absent; XFM_TEST_DATA can name another place";
  }
  std::string compile(const char *precision) {
    return artifact(model,
                    {std::string("--precision=") + precision, std::string("--mcpu=") + GetParam().compiled});
  }
  GoldenModel model;
};
} // namespace

TEST_P(Aarch64Logits, F32) {
  double most = distance(logitsOf(compile("f32"), model, GetParam().emulated), readLogits(model.logits));
  RecordProperty("f32", std::to_string(most * 1e6));
  EXPECT_LE(most, kF32);
}

/// With and without instructions for bf16; the limits are those of compiled code for this machine.
TEST_P(Aarch64Logits, Bf16) {
  Logits compiled = logitsOf(compile("bf16"), model, GetParam().emulated);
  Logits golden = readLogits(model.logits);
  TemporaryFolder folder;
  Outcome outcome =
      run({XFM_TF_INTERPRET, model.folder, "--entry=score", "--precision=bf16", "--rounding=ir", "--input",
           "tokens=" + model.tokens, "--output", "logits=" + (folder / "logits.npy")});
  ASSERT_EQ(outcome.status, 0) << outcome.error;
  Logits interpreted = readLogits(folder / "logits.npy");
  double error = meanDistance(compiled, golden);
  RecordProperty("most", std::to_string(distance(compiled, interpreted)));
  RecordProperty("mean", std::to_string(meanDistance(compiled, interpreted)));
  RecordProperty("ratio", std::to_string(error / meanDistance(interpreted, golden)));
  EXPECT_LE(distance(compiled, interpreted), 3e-2);
  EXPECT_LE(meanDistance(compiled, interpreted), 1e-2);
  EXPECT_LE(error, 1.5 * meanDistance(interpreted, golden));
  EXPECT_GT(error, 1e-4);
}

// The least that every AArch64 CPU has; dot products of int8; of bf16.
INSTANTIATE_TEST_SUITE_P(Models, Aarch64Logits,
                         testing::Values(Case{"bard", "cortex-a53", "cortex-a53"},
                                         Case{"bard", "neoverse-n1", "neoverse-n1"},
                                         Case{"bard", "neoverse-v1", "max"},
                                         Case{"stories260K", "cortex-a76", "cortex-a76"},
                                         Case{"stories260K", "neoverse-v1", "max"}),
                         [](const auto &info) {
                           std::string name = std::string(info.param.model) + "_" + info.param.compiled;
                           for (char &c : name)
                             c = c == '-' ? '_' : c;
                           return name;
                         });

/// Features are checked before the code is loaded: it would die of an illegal instruction.
TEST_F(Aarch64, MissingFeatureIsRefused) {
  TemporaryFolder folder;
  GoldenModel model = bard();
  Outcome outcome = score(artifact(model, {"--precision=bf16", "--mcpu=neoverse-v1"}), model.tokens,
                          folder / "logits.npy", "cortex-a72");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.error.find("needs the CPU feature 'bf16', which this machine lacks"), std::string::npos)
      << outcome.error;
  EXPECT_TRUE(folder.list().empty());
}

TEST_F(Aarch64, OtherArchitectureIsRefused) {
  TemporaryFolder folder;
  GoldenModel model = bard();
  Outcome outcome =
      score(artifact(model, {"--precision=f32", "--mcpu=x86-64-v3"}), model.tokens, folder / "logits.npy");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.error.find("made for 'x86_64-"), std::string::npos) << outcome.error;
  EXPECT_NE(outcome.error.find("but this machine is aarch64-linux"), std::string::npos) << outcome.error;
}

/// Compiled for another architecture than this machine's: needs no emulator.
TEST(CrossCompiled, IsRefusedHere) {
#if defined(__x86_64__)
  std::string cpu = "cortex-a53", triple = "aarch64-unknown-linux-gnu";
#else
  std::string cpu = "x86-64-v3", triple = "x86_64-unknown-linux-gnu";
#endif
  std::string path = artifact(bard(), {"--precision=f32", "--mcpu=" + cpu});
  Outcome outcome = run({XFM_TFRUN, path, "--tokens", "1,2", "-n", "1"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.error.find("made for '" + triple + "', but this machine is "), std::string::npos)
      << outcome.error;
  EXPECT_EQ(outcome.out, "");
}
