//===- TensorMapsTest.cpp - what is kept of tensor maps -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/TensorMaps.h"
#include "CudaTest.h"

using namespace xfm;
using namespace xfm::test;

namespace {
class TensorMaps : public CudaTest {
protected:
  /// The map of `rows` rows of 64 elements.
  cuda::CUtensorMap encode(uint64_t rows) {
    uint64_t words[] = {4096, rows};
    cuda::CUtensorMap out = {};
    Status status = maps.encode(*driver, kernel, kernel.maps[0], words, out);
    EXPECT_TRUE(status.ok()) << status.message;
    return out;
  }
  void SetUp() override {
    ASSERT_TRUE(cuda::Driver::get(driver).ok());
    kernel.symbol = "copy";
    kernel.maps = {{/*word=*/0, XFM_BF16, /*swizzle=*/128, /*box=*/{128, 64}, {{{1}, 1}, {{}, 64}}}};
  }
  const cuda::Driver *driver = nullptr;
  KernelSpec kernel;
  cuda::TensorMaps maps;
};

TEST_F(TensorMaps, AreEncodedOnce) {
  for (int i = 0; i < 3; ++i) {
    cuda::CUtensorMap map = encode(7);
    EXPECT_EQ(map.opaque[0], 4096u);
    EXPECT_EQ(map.opaque[1], 64u);
    EXPECT_EQ(map.opaque[2], 7u);
  }
  EXPECT_EQ(counts()->tensorMaps, 1);
  encode(8);
  EXPECT_EQ(counts()->tensorMaps, 2);
}

TEST_F(TensorMaps, OfEverOtherSizesAreForgotten) {
  for (uint64_t rows = 1; rows <= 2 * cuda::TensorMaps::mostMaps + 1; ++rows) {
    EXPECT_EQ(encode(rows).opaque[2], rows);
    EXPECT_EQ(encode(rows).opaque[2], rows);
    ASSERT_LE(maps.size(), cuda::TensorMaps::mostMaps);
  }
  EXPECT_EQ(counts()->tensorMaps, static_cast<int>(2 * cuda::TensorMaps::mostMaps + 1));
  EXPECT_EQ(encode(1).opaque[2], 1u);
}
} // namespace
