//===- JsonTest.cpp - JSON that is not trusted -------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Json.h"
#include "Fixtures.h"

using namespace mlir::transformer;
using namespace mlir::transformer::test;

static std::string parse(const std::string &text) { return messageOf(parseJsonObject(text, "f.json")); }

TEST(Json, AcceptsWhatModelsHold) {
  EXPECT_EQ(parse(R"({"a": [1, {"a": 2}], "b": {"a": "}{\"a\":", "c": null}})"), "");
  // Equal keys of different objects, and a value equal to a key.
  EXPECT_EQ(parse(R"([{"a": 1}, {"a": 1}])"), "f.json: expected a JSON object at the top");
  EXPECT_EQ(parse(R"({"a": "a", "b": ["a", "a"]})"), "");
}

TEST(Json, RefusesDuplicateKeys) {
  expectMessage(parse(R"({"a": 1, "b": 2, "a": 3})"), {"f.json", "\"a\"", "twice"});
  expectMessage(parse(R"({"x": [{"k": 1, "k": 1}]})"), {"\"k\"", "twice"});
  // Another spelling of the same key.
  expectMessage(parse("{\"a\": 1, \"\\u0061\": 3}"), {"\"a\"", "twice"});
  // A key cannot break the line of the message.
  expectMessage(parse("{\"a\\nb\": 1, \"a\\nb\": 3}"), {"twice"});
}

TEST(Json, RefusesDeepNesting) {
  auto nested = [](size_t depth) {
    return "{\"a\": " + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  EXPECT_EQ(parse(nested(63)), "");
  expectMessage(parse(nested(64)), {"deeper than 64"});
  expectMessage(parse(nested(50'000'000)), {"deeper than 64"});
  // Brackets inside strings do not count.
  EXPECT_EQ(parse("{\"a\": \"" + std::string(1000, '[') + "\"}"), "");
}

TEST(Json, RefusesMalformedText) {
  for (const char *text : {"", "{", "{\"a\": }", "{\"a\": 1}}", "{\"a", "{\"a\": \"\\", "]", "{\"a\": NaN}",
                           "{\"a\": Infinity}", "{\"a\": 1} x", "{\"a\": \"\xff\"}", "{,}"})
    expectMessage(parse(text), {"f.json: invalid JSON"});
}
