//===- CrossTest.cpp - AArch64 artifacts under an emulator -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Npy.h"
#include "test/e2e/Support.h"

#include <fstream>
#include <random>

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

//===----------------------------------------------------------------------===//
// Products of integers
//===----------------------------------------------------------------------===//

namespace {
/// x [S, depth] in i8 times weights [columns, depth] of `weight`, as the entry point `score`.
std::string productOf(const std::string &weight, int64_t columns, int64_t depth) {
  std::string x = "tensor<?x" + std::to_string(depth) + "xi8>";
  std::string w = "tensor<" + std::to_string(columns) + "x" + std::to_string(depth) + "x" + weight + ">";
  std::string y = "tensor<?x" + std::to_string(columns) + "xi32>";
  return "transformer.weight @w : " + w + " from \"model.safetensors\"\n" + "func.func @score(%x: " + x +
         " {transformer.name = \"x\", transformer.dims = [\"S\", \"\"]}) -> (" + y +
         " {transformer.name = \"y\", transformer.dims = [\"S\", \"\"]}) {\n" +
         "  %w = transformer.use @w : " + w +
         "\n  %c0 = arith.constant 0 : index\n  %zero = arith.constant 0 : i32\n  %s = tensor.dim %x, %c0 "
         ": " +
         x + "\n  %e = tensor.empty(%s) : " + y + "\n  %f = linalg.fill ins(%zero : i32) outs(%e : " + y +
         ") -> " + y +
         R"(
  %y = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
      affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : )" +
         x + ", " + w + ") outs(%f : " + y + ") {\n  ^bb0(%a: i8, %b: " + weight +
         ", %c: i32):\n    %l = arith.extsi %a : i8 to i32\n    %r = arith.extsi %b : " + weight + R"( to i32
    %p = arith.muli %l, %r : i32
    %t = arith.addi %c, %p : i32
    linalg.yield %t : i32
  } -> )" +
         y + "\n  return %y : " + y + "\n}\n";
}

std::vector<char> randomIntegers(int64_t count, int low, int high, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<char> values(static_cast<size_t>(count));
  for (char &value : values)
    // One in four is an end of the range.
    value = static_cast<char>(random() % 4 == 0 ? (random() % 2 ? low : high)
                                                : low + static_cast<int>(random() % (high - low + 1)));
  return values;
}

/// The type of weights, the CPU it is compiled for, and the one that it runs on.
struct ProductCase {
  const char *weight, *compiled, *emulated;
};
struct Aarch64Products : Aarch64, testing::WithParamInterface<ProductCase> {};
} // namespace

/// Sums are exact: rows and columns that fill tiles and some that do not, and a K of no whole step.
TEST_P(Aarch64Products, AreExact) {
  bool isNarrow = std::string(GetParam().weight) == "i4";
  constexpr int64_t columns = 101, depth = 67, rows = 21;
  std::vector<char> w = randomIntegers(columns * depth, isNarrow ? -8 : -128, isNarrow ? 7 : 127, 1);
  TemporaryFolder folder;
  std::ofstream(folder / "product.mlir") << productOf(GetParam().weight, columns, depth);
  std::string header = "{\"w\":{\"dtype\":\"I8\",\"shape\":[101,67],\"data_offsets\":[0,6767]}}";
  uint64_t size = header.size();
  std::ofstream(folder / "model.safetensors", std::ios::binary)
      .write(reinterpret_cast<const char *>(&size), 8)
      .write(header.data(), static_cast<std::streamsize>(size))
      .write(w.data(), static_cast<std::streamsize>(w.size()));
  Outcome compiled = run({XFM_TFOPT, "compile", folder / "product.mlir", "-o", folder / "product.tfa", "-q",
                          std::string("--mcpu=") + GetParam().compiled});
  ASSERT_EQ(compiled.status, 0) << compiled.error;
  for (int64_t count : {int64_t(1), int64_t(2), rows}) {
    NpyArray x{XFM_I8, {count, depth}, randomIntegers(count * depth, -128, 127, 2)}, y;
    ASSERT_TRUE(writeNpy(folder / "x.npy", x.tensor()).ok());
    Outcome outcome = score(folder / "product.tfa", folder / "x.npy", folder / "y.npy", GetParam().emulated);
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    ASSERT_TRUE(readNpy(folder / "y.npy", {}, y).ok());
    ASSERT_EQ(y.dtype, XFM_I32);
    ASSERT_EQ(y.shape, (std::vector<int64_t>{count, columns}));
    auto *actual = reinterpret_cast<const int32_t *>(y.data.data());
    for (int64_t i = 0; i < count; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        int32_t sum = 0;
        for (int64_t k = 0; k < depth; ++k)
          sum += static_cast<signed char>(x.data[i * depth + k]) * static_cast<signed char>(w[j * depth + k]);
        ASSERT_EQ(actual[i * columns + j], sum) << count << " rows: " << i << ", " << j;
      }
  }
}

// With multiplications of i16, and with dot products of bytes.
INSTANTIATE_TEST_SUITE_P(Types, Aarch64Products,
                         testing::Values(ProductCase{"i8", "cortex-a53", "cortex-a53"},
                                         ProductCase{"i4", "cortex-a53", "cortex-a53"},
                                         ProductCase{"i8", "neoverse-n1", "neoverse-n1"},
                                         ProductCase{"i4", "neoverse-n1", "neoverse-n1"}),
                         [](const auto &info) {
                           std::string name = std::string(info.param.weight) + "_" + info.param.compiled;
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
