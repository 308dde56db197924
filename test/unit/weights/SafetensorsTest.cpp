//===- SafetensorsTest.cpp - headers, good and bad ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Safetensors.h"
#include "Fixtures.h"

using namespace mlir::transformer;
using namespace mlir::transformer::test;

static std::string parse(const std::string &file) {
  return messageOf(parseSafetensors(llvm::ArrayRef(file.data(), file.size()), "f.st"));
}

/// The error of a file whose one tensor "t" is described by `entry`, over `data` bytes.
static std::string parseEntry(const std::string &entry, size_t data) {
  return parse(rawSafetensors("{\"t\": " + entry + "}", std::string(data, 'x')));
}

TEST(Safetensors, ReadsTensors) {
  std::string file = SafetensorsBuilder()
                         .add<float>("a", "F32", {2, 3}, {0, 1, 2, 3, 4, 5})
                         .add<uint16_t>("b", "BF16", {}, {0x3f80})
                         .add<float>("empty", "F32", {0, 7}, {})
                         .build();
  auto tensors = parseSafetensors(llvm::ArrayRef(file.data(), file.size()), "f.st");
  ASSERT_TRUE(bool(tensors)) << toString(tensors.takeError());
  EXPECT_EQ(tensors->size(), 3u);
  const StoredTensor &a = tensors->find("a")->second;
  EXPECT_EQ(a.dtype, Dtype::F32);
  EXPECT_EQ(llvm::ArrayRef(a.shape), llvm::ArrayRef<int64_t>({2, 3}));
  EXPECT_EQ(a.bytes, 24u);
  EXPECT_EQ(a.offset, file.size() - 26);
  EXPECT_EQ(tensors->find("b")->second.bytes, 2u);
  EXPECT_EQ(tensors->find("empty")->second.bytes, 0u);
}

TEST(Safetensors, IgnoresMetadataAndTrailingSpaces) {
  EXPECT_EQ(parse(rawSafetensors(R"({"__metadata__": {"format": "pt", "n": "1"}}   )", "")), "");
}

TEST(Safetensors, RefusesTruncatedFiles) {
  expectMessage(parse(""), {"f.st", "0 bytes"});
  expectMessage(parse("1234567"), {"7 bytes"});
  std::string file = SafetensorsBuilder().add<float>("a", "F32", {2}, {1, 2}).build();
  for (size_t size = 0; size < file.size(); ++size)
    EXPECT_NE(parse(file.substr(0, size)), "") << "cut at " << size;
  expectMessage(parse(file.substr(0, file.size() - 1)), {"\"a\"", "ends at byte 8", "holds 7"});
}

TEST(Safetensors, RefusesHeaderLongerThanTheFile) {
  std::string file = rawSafetensors("{}", "");
  file[0] = 3;
  expectMessage(parse(file), {"header of 3 bytes is longer than the file of 10"});
  std::memset(file.data(), 0xff, 8); // 2^64 - 1: no sum may wrap around
  expectMessage(parse(file), {"header of 18446744073709551615 bytes"});
}

TEST(Safetensors, RefusesHeadersOverTheFormatsLimit) {
  expectMessage(parse(rawSafetensors("{}" + std::string(100'000'000, ' '), "")), {"limit of 100000000"});
}

TEST(Safetensors, RefusesBadJson) {
  expectMessage(parse(rawSafetensors("", "")), {"f.st", "JSON"});
  expectMessage(parse(rawSafetensors("[]", "")), {"expected a JSON object"});
  expectMessage(parse(rawSafetensors("{\"t\": ", "")), {"invalid JSON"});
  expectMessage(parse(rawSafetensors(R"({"t": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]},
                                         "t": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}})",
                                     "x")),
                {"\"t\"", "twice"});
  expectMessage(parse(rawSafetensors("{\"t\": " + std::string(100000, '['), "")), {"deeper than"});
}

TEST(Safetensors, RefusesBadEntries) {
  expectMessage(parseEntry("1", 0), {"\"t\"", "no JSON object"});
  expectMessage(parseEntry(R"({"shape": [], "data_offsets": [0, 4]})", 4), {"\"t\" has no \"dtype\""});
  expectMessage(parseEntry(R"({"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]})", 4),
                {"\"t\"", "\"F8_E4M3\"", "known are F64"});
  expectMessage(parseEntry(R"({"dtype": "F32", "data_offsets": [0, 4]})", 4), {"no \"shape\""});
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]})", 4), {"dimension"});
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]})", 4), {"dimension"});
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]})", 4), {"dimension"});
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": [1]})", 4), {"data_offsets"});
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": [1], "data_offsets": [0]})", 4), {"data_offsets"});
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]})", 4), {"no range"});
}

TEST(Safetensors, RefusesSizesThatOverflow) {
  // 2^32 * 2^32 * 4 wraps around to 0, and so does 2^62 * 4.
  for (const char *shape :
       {"[4294967296, 4294967296]", "[4611686018427387904]", "[0, 4294967296, 4294967296]"})
    expectMessage(
        parseEntry(std::string(R"({"dtype": "F32", "data_offsets": [0, 0], "shape": )") + shape + "}", 0),
        {"\"t\"", "overflows"});
}

TEST(Safetensors, RefusesOffsetsOutOfRange) {
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})", 7),
                {"\"t\"", "ends at byte 8", "holds 7"});
  expectMessage(
      parseEntry(
          R"({"dtype": "F32", "shape": [1], "data_offsets": [18446744073709551612, 18446744073709551615]})",
          4),
      {"ends at byte"});
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": [1], "data_offsets": [4, 0]})", 4), {"no range"});
  expectMessage(parseEntry(R"({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]})", 4),
                {"4 bytes of data", "[2]", "needs 8"});
}

TEST(Safetensors, RefusesOverlappingTensors) {
  auto pair = [](const char *second) {
    return rawSafetensors(
        std::string(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "b": )") + second + "}",
        "12345678");
  };
  EXPECT_EQ(parse(pair(R"({"dtype": "U8", "shape": [4], "data_offsets": [4, 8]})")), "");
  expectMessage(parse(pair(R"({"dtype": "U8", "shape": [4], "data_offsets": [3, 7]})")),
                {"\"a\"", "\"b\"", "overlap"});
  expectMessage(parse(pair(R"({"dtype": "U8", "shape": [1], "data_offsets": [1, 2]})")), {"overlap"});
}
