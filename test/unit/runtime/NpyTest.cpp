//===- NpyTest.cpp - good and bad .npy files ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Npy.h"
#include "FakeArtifact.h"

#include <cstring>
#include <filesystem>

using namespace xfm;
using namespace xfm::test;

static std::string npy(const std::string &dictionary, const std::string &data, int version = 1) {
  std::string file = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  for (size_t i = 0; i < (version == 1 ? 2u : 4u); ++i)
    file += static_cast<char>(dictionary.size() >> 8 * i & 0xff);
  return file + dictionary + data;
}

static Status read(const std::string &bytes, NpyArray &out, bool narrow = false) {
  TemporaryFolder folder;
  writeFile(folder.file("a.npy"), bytes);
  return readNpy(folder.file("a.npy"), {narrow}, out);
}

static void expectRefusal(const std::string &bytes, xfm_status code, const std::string &part) {
  NpyArray array;
  Status status = read(bytes, array);
  EXPECT_STREQ(xfm_status_name(status.code), xfm_status_name(code));
  EXPECT_NE(status.message.find(part), std::string::npos) << status.message;
}

TEST(Npy, RoundTrip) {
  TemporaryFolder folder;
  std::string path = folder.file("a.npy");
  std::vector<char> bytes(48, 'x');
  for (xfm_dtype dtype : {XFM_F32, XFM_F16, XFM_I32, XFM_I64, XFM_I8})
    for (const std::vector<int64_t> &shape :
         {std::vector<int64_t>{}, {6}, {2, 3}, {0, 5}, {1, 1, 1, 1, 1, 1, 1, 6}}) {
      Status status = writeNpy(path, tensorOf(bytes, dtype, shape));
      ASSERT_TRUE(status.ok()) << status.message;
      NpyArray array;
      status = readNpy(path, {}, array);
      ASSERT_TRUE(status.ok()) << status.message;
      EXPECT_EQ(array.dtype, dtype);
      EXPECT_EQ(array.shape, shape);
      int64_t elements = shape.empty() ? 1 : shape[0] == 0 ? 0 : 6;
      EXPECT_EQ(array.data, std::vector<char>(static_cast<size_t>(elements) * xfm_dtype_size(dtype), 'x'));
      EXPECT_EQ(array.tensor().rank, static_cast<int32_t>(shape.size()));
    }
  // Only the file itself is left in the folder.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path), {}), 1);
}

// The bytes that numpy.save writes for numpy.array([1, 2], "<i4").
TEST(Npy, WritesWhatNumpyWrites) {
  TemporaryFolder folder;
  std::vector<int32_t> data = {1, 2};
  ASSERT_TRUE(writeNpy(folder.file("a.npy"), tensorOf(data, XFM_I32, {2})).ok());
  std::string dictionary = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }";
  dictionary.resize(117, ' ');
  EXPECT_EQ(readFile(folder.file("a.npy")), npy(dictionary + "\n", std::string("\1\0\0\0\2\0\0\0", 8)));
}

TEST(Npy, Bf16IsWidened) {
  TemporaryFolder folder;
  std::vector<uint16_t> data = {0x3f80, 0xc040}; // 1, -3
  ASSERT_TRUE(writeNpy(folder.file("a.npy"), tensorOf(data, XFM_BF16, {2})).ok());
  NpyArray array;
  ASSERT_TRUE(readNpy(folder.file("a.npy"), {}, array).ok());
  float values[2];
  std::memcpy(values, array.data.data(), sizeof values);
  EXPECT_EQ(array.dtype, XFM_F32);
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], -3);
}

TEST(Npy, ReadsOtherSpellings) {
  NpyArray array;
  // Version 2, double quotes, another order, no spaces, no last comma.
  Status status =
      read(npy("{\"shape\":(2,1),\"descr\":\"<i4\",\"fortran_order\":False}", "12345678", 2), array);
  ASSERT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(array.shape, (std::vector<int64_t>{2, 1}));
}

TEST(Npy, F64OnlyIfAsked) {
  double wide[2] = {1.5, -2};
  std::string file = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}",
                         std::string(reinterpret_cast<char *>(wide), sizeof wide));
  expectRefusal(file, XFM_INVALID_ARGUMENT, "'<f8'");
  NpyArray array;
  ASSERT_TRUE(read(file, array, true).ok());
  float values[2];
  ASSERT_EQ(array.data.size(), sizeof values);
  std::memcpy(values, array.data.data(), sizeof values);
  EXPECT_EQ(array.dtype, XFM_F32);
  EXPECT_EQ(values[0], 1.5f);
  EXPECT_EQ(values[1], -2.0f);
}

TEST(Npy, BadFiles) {
  auto with = [](const char *descr, const char *order, const char *shape, size_t bytes = 8) {
    return npy(std::string("{'descr': '") + descr + "', 'fortran_order': " + order + ", 'shape': " + shape +
                   "}",
               std::string(bytes, '\0'));
  };
  expectRefusal("", XFM_CORRUPT, "not a .npy file");
  expectRefusal("PK\3\4 a zip file", XFM_CORRUPT, "not a .npy file");
  expectRefusal(npy("{}", "", 3), XFM_CORRUPT, "version 3.0");
  expectRefusal(npy("{}", ""), XFM_CORRUPT, "cannot be read");
  expectRefusal(with("<i4", "False", "(2,)").substr(0, 20), XFM_CORRUPT, "the header is said to have");
  expectRefusal(with("<i4", "False", "(2,)", 7), XFM_CORRUPT, "does not fit the 7 bytes");
  expectRefusal(with("<i4", "False", "(2,)", 9), XFM_CORRUPT, "does not fit the 9 bytes");
  expectRefusal(with("<i4", "False", "(4294967296, 4294967296)"), XFM_CORRUPT, "does not fit");
  expectRefusal(with("<i4", "False", "(99999999999999999999,)"), XFM_CORRUPT, "cannot be read");
  expectRefusal(with("<i4", "False", "(-2,)"), XFM_CORRUPT, "cannot be read");
  expectRefusal(with("<i4", "Maybe", "(2,)"), XFM_CORRUPT, "cannot be read");
  expectRefusal(with("<i4", "False", "(2"), XFM_CORRUPT, "cannot be read");
  expectRefusal(with("<i4", "False", "(2,), 'shape': (2,)"), XFM_CORRUPT, "cannot be read");
  expectRefusal(with("<i4", "True", "(2,)"), XFM_INVALID_ARGUMENT, "Fortran order");
  expectRefusal(with(">i4", "False", "(2,)"), XFM_INVALID_ARGUMENT, "'>i4'");
  expectRefusal(with("|O", "False", "(2,)"), XFM_INVALID_ARGUMENT, "'|O'");
  expectRefusal(with("<i4", "False", "(1,1,1,1,1,1,1,1,2)"), XFM_INVALID_ARGUMENT, "at most 8 dimensions");
}

TEST(Npy, UnwritablePlace) {
  std::vector<float> data = {1};
  Status status = writeNpy("/nothing/here/a.npy", tensorOf(data, XFM_F32, {1}));
  EXPECT_EQ(status.code, XFM_IO_ERROR);
  NpyArray array;
  EXPECT_EQ(readNpy("/nothing/here/a.npy", {}, array).code, XFM_NOT_FOUND);
}
