//===- ConfigTest.cpp - values of config.json --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/Config.h"
#include "test/unit/weights/Fixtures.h"

using namespace mlir::transformer;
using namespace mlir::transformer::test;

static Config config(const char *text) { return Config(cantFail(parseJsonObject(text, "c.json")), "c.json"); }

/// The error after `get` has read from `text`.
template <typename F> static std::string errorOf(const char *text, F get) {
  Config c = config(text);
  get(c);
  return messageOf(c.takeError());
}

TEST(Config, ReadsValues) {
  Config c = config(R"({"n": 7, "x": 1e-5, "f": true, "t": "silu", "null": null, "ids": [3, 2, 3], "id": 4,
                        "list": [1, 2.5], "child": {"n": 8}})");
  EXPECT_EQ(c.size("n"), 7);
  EXPECT_EQ(c.size("absent", 9), 9);
  EXPECT_EQ(c.size("null", 9), 9);
  EXPECT_EQ(c.positive("x"), 1e-5);
  EXPECT_EQ(c.positive("n"), 7.0);
  EXPECT_TRUE(c.flag("f", false));
  EXPECT_FALSE(c.flag("null", false));
  EXPECT_EQ(c.text("t"), "silu");
  EXPECT_EQ(c.tokenIds("ids", 10), (llvm::SmallVector<int64_t>{3, 2}));
  EXPECT_EQ(c.tokenIds("id", 10), (llvm::SmallVector<int64_t>{4}));
  EXPECT_TRUE(c.tokenIds("null", 10).empty());
  EXPECT_EQ(c.positives("list", 2), (llvm::SmallVector<double>{1, 2.5}));
  EXPECT_EQ(c.child("child").size("n"), 8);
  EXPECT_TRUE(c.contains("null"));
  EXPECT_FALSE(c.has("null"));
  EXPECT_EQ(messageOf(c.takeError()), "");
}

TEST(Config, SizesArePositiveAndBounded) {
  auto size = [](Config &c) { c.size("n"); };
  expectMessage(errorOf("{}", size), {"c.json", "\"n\" is missing"});
  expectMessage(errorOf(R"({"n": null})", size), {"\"n\" is missing"});
  for (const char *text : {R"({"n": 0})", R"({"n": -4})", R"({"n": 2147483649})", R"({"n": 1e30})",
                           R"({"n": 1.5})", R"({"n": "7"})", R"({"n": [7]})", R"({"n": true})",
                           R"({"n": 18446744073709551615})", R"({"n": 1e999})"})
    expectMessage(errorOf(text, size), {"c.json", "\"n\" is", "expected an integer in [1, 2147483648]"});
  EXPECT_EQ(errorOf(R"({"n": 2147483648})", size), "");
}

TEST(Config, CountsMayBeZero) {
  Config c = config(R"({"n": 0})");
  EXPECT_EQ(c.count("n", 3), 0);
  EXPECT_EQ(c.count("absent", 3), 3);
  EXPECT_EQ(messageOf(c.takeError()), "");
  expectMessage(errorOf(R"({"n": -1})", [](Config &c) { c.count("n", 3); }), {"expected an integer in [0, "});
}

TEST(Config, NullIsAValueWhereItMeansNone) {
  Config c = config(R"({"null": null, "n": 7, "x": 2.5})");
  EXPECT_EQ(c.sizeOrNull("null", 9), std::nullopt);
  EXPECT_EQ(c.sizeOrNull("absent", 9), 9);
  EXPECT_EQ(c.sizeOrNull("absent", std::nullopt), std::nullopt);
  EXPECT_EQ(c.sizeOrNull("n", 9), 7);
  EXPECT_EQ(c.positiveOrNull("null", 1.5), std::nullopt);
  EXPECT_EQ(c.positiveOrNull("absent", 1.5), 1.5);
  EXPECT_EQ(c.positiveOrNull("x", 1.5), 2.5);
  EXPECT_EQ(messageOf(c.takeError()), "");
  expectMessage(errorOf(R"({"n": 0})", [](Config &c) { c.sizeOrNull("n", 9); }), {"\"n\" is"});
  expectMessage(errorOf(R"({"x": -1})", [](Config &c) { c.positiveOrNull("x", 9); }), {"\"x\" is"});
}

TEST(Config, TextsAreOfTheKnownOnes) {
  Config c = config(R"({"kinds": ["a", "b", "a"]})");
  EXPECT_EQ(c.texts("kinds", 3, {"a", "b"}), (llvm::SmallVector<llvm::StringRef>{"a", "b", "a"}));
  EXPECT_EQ(messageOf(c.takeError()), "");
  auto read = [](Config &c) { EXPECT_TRUE(c.texts("kinds", 2, {"a", "b"}).empty()); };
  for (const char *text : {R"({"kinds": ["a"]})", R"({"kinds": ["a", "c"]})", R"({"kinds": ["a", 1]})",
                           R"({"kinds": "a"})", R"({"kinds": []})", "{}"})
    expectMessage(errorOf(text, read), {"\"kinds\": expected a list of 2 of a and b"});
}

TEST(Config, NumbersAreFiniteAndPositive) {
  auto number = [](Config &c) { c.positive("x"); };
  expectMessage(errorOf("{}", number), {"\"x\" is missing"});
  for (const char *text :
       {R"({"x": 0})", R"({"x": -1e-5})", R"({"x": 1e999})", R"({"x": "1"})", R"({"x": 1e13})"})
    expectMessage(errorOf(text, number), {"\"x\" is", "expected a number in (0, 1e12]"});
}

TEST(Config, OtherTypes) {
  expectMessage(errorOf(R"({"f": 1})", [](Config &c) { c.flag("f", true); }), {"\"f\" is", "true or false"});
  expectMessage(errorOf(R"({"t": 1})", [](Config &c) { c.text("t"); }), {"\"t\" is", "expected a string"});
  expectMessage(errorOf("{}", [](Config &c) { c.text("t"); }), {"\"t\" is missing"});
  expectMessage(errorOf(R"({"o": 1})", [](Config &c) { c.child("o"); }), {"\"o\"", "expected an object"});
  auto ids = [](Config &c) { c.tokenIds("i", 10); };
  for (const char *text :
       {R"({"i": 10})", R"({"i": -1})", R"({"i": [1, "2"]})", R"({"i": [[1]]})", R"({"i": 1.5})"})
    expectMessage(errorOf(text, ids), {"\"i\" has", "below vocab_size 10"});
  auto list = [](Config &c) { EXPECT_EQ(c.positives("l", 2).size(), 2u); };
  for (const char *text :
       {"{}", R"({"l": [1]})", R"({"l": [1, 0]})", R"({"l": [1, "2"]})", R"({"l": [1, 2, 3]})"})
    expectMessage(errorOf(text, list), {"\"l\"", "2 numbers"});
}

TEST(Config, KeepsTheFirstErrorAndThatOfChildren) {
  expectMessage(errorOf("{}",
                        [](Config &c) {
                          c.size("first");
                          c.size("second");
                        }),
                {"\"first\""});
  expectMessage(errorOf(R"({"inner": {}})",
                        [](Config &c) {
                          Config inner = c.child("inner");
                          inner.size("n");
                          c.absorb(inner);
                        }),
                {"c.json: inner: ", "\"n\" is missing"});
}

TEST(Config, RefusesHugeFiles) {
  TempFolder folder;
  folder.write("c.json", "{}" + std::string(17 << 20, ' '));
  expectMessage(messageOf(Config::read(folder.file("c.json"))), {"c.json", "no model's config"});
}
