//===- CpuFeaturesTest.cpp - features of this machine ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/CpuFeatures.h"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sstream>
#include <string>

using namespace xfm;

TEST(CpuFeatures, UnknownNames) {
  EXPECT_EQ(cpuFeature("warp9"), Feature::Unknown);
  EXPECT_EQ(cpuFeature(""), Feature::Unknown);
  EXPECT_EQ(cpuFeature("+avx2"), Feature::Unknown);
}

#if defined(__x86_64__)

// The kernel reads the same bits and also masks what it does not save.
TEST(CpuFeatures, AgreesWithTheKernel) {
  const char *const names[][2] = {
      {"sse4.2", "sse4_2"},
      {"ssse3", "ssse3"},
      {"popcnt", "popcnt"},
      {"movbe", "movbe"},
      {"avx", "avx"},
      {"avx2", "avx2"},
      {"fma", "fma"},
      {"f16c", "f16c"},
      {"bmi", "bmi1"},
      {"bmi2", "bmi2"},
      {"lzcnt", "abm"},
      {"gfni", "gfni"},
      {"vaes", "vaes"},
      {"vpclmulqdq", "vpclmulqdq"},
      {"avx512f", "avx512f"},
      {"avx512bw", "avx512bw"},
      {"avx512cd", "avx512cd"},
      {"avx512dq", "avx512dq"},
      {"avx512vl", "avx512vl"},
      {"avx512ifma", "avx512ifma"},
      {"avx512vnni", "avx512_vnni"},
      {"avx512bf16", "avx512_bf16"},
      {"avx512vbmi", "avx512vbmi"},
      {"avx512vbmi2", "avx512_vbmi2"},
      {"avx512bitalg", "avx512_bitalg"},
      {"avx512vpopcntdq", "avx512_vpopcntdq"},
      {"avx512fp16", "avx512_fp16"},
      {"avxvnni", "avx_vnni"},
      {"amx-tile", "amx_tile"},
      {"amx-int8", "amx_int8"},
      {"amx-bf16", "amx_bf16"},
      {"xop", "xop"},
  };
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && line.rfind("flags", 0) != 0) {
  }
  if (!file)
    GTEST_SKIP() << "/proc/cpuinfo has no flags";
  std::istringstream words(line);
  std::vector<std::string> flags{std::istream_iterator<std::string>(words), {}};
  for (auto &[name, flag] : names) {
    bool listed = std::find(flags.begin(), flags.end(), flag) != flags.end();
    EXPECT_EQ(cpuFeature(name), listed ? Feature::Present : Feature::Missing) << name;
  }
}

TEST(CpuFeatures, MissingFeatureIsNamed) {
  // No CPU has both of these: one is AMD's alone, the other Intel's.
  Target target{"cpu", "x86_64-unknown-linux-gnu", {"sse2", "xop", "amx-fp16"}, {}};
  Status status = checkTarget(target, "here");
  EXPECT_EQ(status.code, XFM_TARGET_MISMATCH);
  EXPECT_NE(status.message.find("which this machine lacks"), std::string::npos) << status.message;
}

TEST(CpuFeatures, PresentFeaturesPass) {
  Target target{"cpu", "x86_64-unknown-linux-gnu", {"sse", "sse2", "64bit", "cx8"}, {}};
  for (const char *name : {"avx2", "avx512f", "amx-tile"})
    if (cpuFeature(name) == Feature::Present)
      target.features.push_back(name);
  Status status = checkTarget(target, "here");
  EXPECT_TRUE(status.ok()) << status.message;
}

#endif
