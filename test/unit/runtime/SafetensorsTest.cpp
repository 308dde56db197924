//===- SafetensorsTest.cpp - good and bad safetensors files ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Safetensors.h"
#include "FakeArtifact.h"

#include <random>

using namespace xfm;
using namespace xfm::test;

static std::string fileOf(const std::string &header, const std::string &data) {
  std::string file;
  for (size_t i = 0, length = header.size(); i < 8; ++i, length >>= 8)
    file += static_cast<char>(length & 0xff);
  return file + header + data;
}

static void expectRefusal(const std::string &file, const std::string &part) {
  StoredTensors tensors;
  Status status = parseSafetensors(file, "w", tensors);
  EXPECT_EQ(status.code, XFM_CORRUPT);
  EXPECT_NE(status.message.find(part), std::string::npos) << status.message;
}

TEST(Safetensors, ReadsTensors) {
  StoredTensors tensors;
  std::string file = fileOf(R"({"__metadata__": {"a": "b"},
      "x": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [4, 16]},
      "scalar": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}})",
                            "0123456789abcdef");
  Status status = parseSafetensors(file, "w", tensors);
  ASSERT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors["x"].data, "456789abcdef");
  EXPECT_EQ(tensors["x"].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(tensors["scalar"].dtype, "F32");
}

TEST(Safetensors, HeaderOutsideTheFile) {
  expectRefusal("", "too few");
  expectRefusal("1234567", "too few");
  expectRefusal(std::string(8, '\xff'), "the header is said to have 18446744073709551615 bytes");
  expectRefusal(fileOf("{}", "").substr(0, 9), "the header is said to have 2 bytes");
}

TEST(Safetensors, TensorOutsideTheFile) {
  auto tensor = [](const char *dtype, const char *shape, const char *offsets) {
    return fileOf(std::string(R"({"x": {"dtype": ")") + dtype + R"(", "shape": )" + shape +
                      R"(, "data_offsets": )" + offsets + "}}",
                  "01234567");
  };
  StoredTensors tensors;
  EXPECT_TRUE(parseSafetensors(tensor("F32", "[2]", "[0, 8]"), "w", tensors).ok());
  expectRefusal(tensor("F32", "[2]", "[4, 12]"), "data_offsets[1]");
  expectRefusal(tensor("F32", "[2]", "[8, 0]"), "data_offsets[0]");
  expectRefusal(tensor("F32", "[2]", "[-8, 0]"), "data_offsets[0]");
  expectRefusal(tensor("F32", "[2]", "[0, 4]"), "expected 8 bytes from the shape, but got 4");
  expectRefusal(tensor("F32", "[2]", "[0]"), "expected [begin, end]");
  expectRefusal(tensor("F32", "[4294967296, 4294967296, 0]", "[0, 0]"), "larger than any memory");
  expectRefusal(tensor("F32", "[-1]", "[0, 4]"), "shape[0]");
  expectRefusal(tensor("F31", "[2]", "[0, 8]"), "unknown type 'F31'");
}

TEST(Safetensors, TensorTwice) {
  expectRefusal(fileOf(R"({"x": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
                           "x": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}})",
                       "01"),
                "key 'x' is given twice");
}

// The file ends where its memory does, so that a reader past it is caught by
// AddressSanitizer.
TEST(Safetensors, ArbitraryDamageIsSafe) {
  std::string file = fakeWeights(1);
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    std::vector<char> damaged(file.begin(), file.end());
    for (size_t changes = 1 + random() % 3; changes > 0; --changes)
      damaged[random() % 96] = static_cast<char>(random());
    StoredTensors tensors;
    Status status = parseSafetensors({damaged.data(), damaged.size()}, "w", tensors);
    for (auto &[name, tensor] : tensors)
      if (status.ok()) {
        EXPECT_GE(tensor.data.data(), damaged.data());
        EXPECT_LE(tensor.data.data() + tensor.data.size(), damaged.data() + damaged.size());
      }
  }
}
