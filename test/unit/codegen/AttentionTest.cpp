//===- AttentionTest.cpp - compiled attention at sizes around its blocks --===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/Differential.h"

#include "test/numeric/EmulatedAVX512.h"

#include <gtest/gtest.h>

using namespace mlir::transformer::numeric;

namespace {

constexpr int64_t kLengths[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 33};

class AttentionTest : public TargetTest {};

INSTANTIATE_TEST_SUITE_P(Targets, AttentionTest, targets(), targetName);
INSTANTIATE_TEST_SUITE_P(Emulated, AttentionTest, ::testing::Values(kEmulatedAVX512.data()), targetName);

/// Heads of queries, of keys, and their size.
struct Heads {
  int query, key, size;
};
constexpr Heads kHeads[] = {{1, 1, 1}, {4, 4, 8},  {4, 2, 16}, {6, 2, 17},
                            {3, 1, 5}, {2, 2, 33}, {8, 2, 64}, {2, 1, 100}};
const char *const kMasks[] = {"none", "causal", "window, 1", "window, 3", "window, 16"};

/// Every second pair: each of both meets several of the other.
std::vector<std::pair<Heads, const char *>> headsAndMasks() {
  std::vector<std::pair<Heads, const char *>> pairs;
  for (size_t i = 0; i < std::size(kHeads); ++i)
    for (size_t j = i % 2; j < std::size(kMasks); j += 2)
      pairs.push_back({kHeads[i], kMasks[j]});
  return pairs;
}

std::string shapeOf(int heads, const Heads &of, const std::string &positions, const std::string &type) {
  return "B, " + positions + ", " + std::to_string(heads) + ", " + std::to_string(of.size) + ", " + type;
}

TEST_P(AttentionTest, KeysAndValues) {
  std::string text;
  std::vector<std::string> names;
  for (auto [heads, mask] : headsAndMasks()) {
    // Features change from one function to the next, so that each meets every mask.
    size_t turn = names.size();
    std::string type = turn % 3 == 2 ? "bf16" : "f32", tail = turn % 4 == 1 ? " softcap 2.5" : "";
    std::vector<Signature> arguments{{"q", shapeOf(heads.query, heads, "S", type)},
                                     {"k", shapeOf(heads.key, heads, "K", type)},
                                     {"v", shapeOf(heads.key, heads, "K", type)}};
    std::string bias, biasType;
    if (turn % 3 == 1) {
      bool shared = turn % 2;
      arguments.push_back(
          {"bias", std::string(shared ? "1, 1" : "B, " + std::to_string(heads.query)) + ", S, K, f32"});
      bias = " bias %bias", biasType = ", {bias}";
    }
    names.push_back("attention" + std::to_string(turn));
    text += functionText(names.back(), arguments, {{"y", shapeOf(heads.query, heads, "S", type)}},
                         "%y = transformer.attention %q, %k, %v" + bias + " scale 0.3 mask <" + mask + ">" +
                             tail + " : {q}, {k}, {v}" + biasType + " -> {y} return %y : {y}");
  }
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  int64_t turn = 0;
  for (const std::string &name : names)
    for (int64_t queries : kLengths)
      // As many keys, more and fewer.
      for (int64_t keys : {queries, queries + 1 + turn % 17, std::max<int64_t>(1, queries / 2)})
        test.check(name, {{"B", 1 + ++turn % 3}, {"S", queries}, {"K", keys}});
  report(test);
}

/// Prompts of several tasks and tiles of keys, which long heads make short: 132 or 258 rows and 64 or 128
/// keys, with a last tile that is a little longer; windows that begin in one and end in another.
TEST_P(AttentionTest, Tiles) {
  Heads heads{2, 1, 256};
  struct Case {
    const char *mask, *type, *policy; ///< of the cache, or empty
  };
  const Case cases[] = {{"none", "f32", ""},
                        {"causal", "f32", "full"},
                        {"window, 70", "f32", "ring, 310"}, // which ends within a tile
                        {"window, 150", "f32", "ring, 310"},
                        {"causal", "bf16", "full"},
                        {"window, 70", "bf16", "ring, 310"}};
  std::string text;
  std::vector<std::string> tensors, caches;
  for (const Case &c : cases) {
    std::string end = std::string(" scale 0.06 mask <") + c.mask + "> : ";
    std::string queries = shapeOf(heads.query, heads, "S", c.type),
                keys = shapeOf(heads.key, heads, "K", c.type);
    tensors.push_back("tiles" + std::to_string(tensors.size()));
    text +=
        functionText(tensors.back(), {{"q", queries}, {"k", keys}, {"v", keys}}, {{"y", queries}},
                     "%y = transformer.attention %q, %k, %v" + end + "{q}, {k}, {v} -> {y} return %y : {y}");
    if (!*c.policy)
      continue;
    caches.push_back("cached" + std::to_string(caches.size()));
    keys = shapeOf(heads.key, heads, "S", c.type);
    std::string held = "cache." + caches.back();
    Signature cache{held, std::string("!transformer.kv_cache<1 x 256 x ") + c.type + ", " + c.policy + ">"};
    text += functionText(caches.back(), {{"q", queries}, {"k", keys}, {"v", keys}, cache},
                         {{"y", queries}, cache},
                         "%c = transformer.cache_append %" + held + ", %k, %v : {" + held + "}, {k}, {v} " +
                             "%y = transformer.attention %q cache %c" + end + "{q}, {" + held +
                             "} -> {y} return %y, %c : {y}, {" + held + "}");
  }
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  std::vector<int64_t> lengths = {63, 64, 65, 66, 67, 80, 81, 127, 128, 129, 132, 133, 192, 193, 199, 265};
  // A GPU's tiles have tests of their own, and emulating one takes long.
  if (std::string(GetParam()) == "sm_80")
    lengths = {65, 133};
  for (const std::string &name : tensors) {
    for (int64_t length : lengths)
      test.check(name, {{"B", 1}, {"S", length}, {"K", length}});
    test.check(name, {{"B", 2}, {"S", 70}, {"K", 200}});
    test.check(name, {{"B", 2}, {"S", 200}, {"K", 70}});
  }
  for (const std::string &name : caches)
    test.checkCalls({{name, 130}, {name, 1}, {name, 133}, {name, 66}, {name, 150}}, {{"B", 1}});
  report(test);
}

TEST_P(AttentionTest, Caches) {
  std::string text;
  std::vector<std::pair<std::string, double>> names;
  for (auto [heads, mask] : headsAndMasks()) {
    size_t turn = names.size();
    std::string type = turn % 3 == 2 ? "bf16" : "f32", name = "cached" + std::to_string(turn);
    std::string cache = "!transformer.kv_cache<" + std::to_string(heads.key) + " x " +
                        std::to_string(heads.size) + " x " + (turn % 2 ? "bf16" : type) + ", full>";
    // A narrow cache rounds wide keys and values.
    names.push_back({name, turn % 2 && type == "f32" ? 8e-3 : 1e-5});
    std::vector<Signature> arguments{{"q", shapeOf(heads.query, heads, "S", type)},
                                     {"k", shapeOf(heads.key, heads, "S", type)},
                                     {"v", shapeOf(heads.key, heads, "S", type)}};
    // Before the tensors or behind them.
    arguments.insert(turn % 3 ? arguments.end() : arguments.begin(), {"cache." + name, cache});
    text += functionText(
        name, arguments,
        {{"y", shapeOf(heads.query, heads, "S", "f32")}, {"at", "B, i32"}, {"cache." + name, cache}},
        "%at = transformer.cache_length %cache." + name + " : {cache." + name + "} -> {at} " +
            "%c = transformer.cache_append %cache." + name + ", %k, %v : {cache." + name + "}, {k}, {v} " +
            "%y = transformer.attention %q cache %c scale 0.3 mask <" + mask + "> : {q}, {cache." + name +
            "} -> {y} " + "return %y, %at, %c : {y}, {at}, {cache." + name + "}");
  }
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  int64_t turn = 0;
  for (auto &[name, tolerance] : names)
    for (std::vector<int64_t> positions :
         {std::vector<int64_t>{1, 1, 1, 1, 1}, {17, 1, 1, 9, 1}, {8, 8, 16, 33}})
      test.checkSequence(name, {{"B", 1 + ++turn % 3}}, positions, tolerance);
  report(test);
}

/// One decoding step behind a prompt of any length, in as many splits as it fills: fewer
/// keys than one has, the borders of the first, as many as all have, more.
struct SplitCase {
  const char *name, *cache, *mask, *tail, *type;
  Heads heads;
};
constexpr SplitCase kSplitCases[] = {
    {"one", "full", "causal", "", "f32", {1, 1, 8}},
    {"grouped", "full", "causal", "", "f32", {8, 1, 16}},
    {"odd", "full", "causal", "", "f32", {6, 2, 17}},
    {"narrow", "full", "none", "", "bf16", {9, 3, 64}},
    {"capped", "full", "causal", " softcap 2.5", "f32", {2, 1, 8}},
    {"windowed", "full", "window, 700", "", "f32", {4, 2, 8}},
    {"ring", "ring, 600", "window, 600", "", "f32", {8, 2, 12}},
    // Each number of heads in a vector, tiles of heads that are whole and not, heads that fill
    // no vector, and dot products of pairs.
    {"two", "full", "causal", "", "f32", {2, 1, 24}},
    {"eight", "full", "causal", "", "bf16", {8, 1, 64}},
    {"nine", "full", "causal", "", "f32", {9, 1, 10}},
    {"many", "full", "causal", "", "bf16", {19, 1, 34}},
    {"single", "full", "causal", "", "bf16", {1, 1, 32}},
    {"eighteen", "full", "causal", " softcap 2.5", "bf16", {1, 1, 18}},
    // Keys one after the other, for one head and two, with four sums of each, three and one.
    {"long", "full", "causal", "", "f32", {1, 1, 64}},
    {"pair", "full", "causal", " softcap 2.5", "bf16", {2, 1, 64}},
    {"threes", "full", "window, 700", "", "bf16", {2, 2, 24}},
    {"fives", "ring, 600", "window, 600", "", "f32", {4, 2, 40}},
    // Columns of bf16 two vectors at a time, and a last one alone.
    {"alone", "full", "causal", "", "bf16", {4, 1, 40}},
    // Not split: a window of no more keys than a range has, heads enough.
    {"short", "ring, 40", "window, 40", "", "bf16", {8, 1, 16}},
    {"enough", "full", "window, 50", "", "f32", {35, 35, 4}},
};

TEST_P(AttentionTest, Splits) {
  std::string text;
  for (const SplitCase &c : kSplitCases) {
    std::string cache = "!transformer.kv_cache<" + std::to_string(c.heads.key) + " x " +
                        std::to_string(c.heads.size) + " x " + c.type + ", " + c.cache + ">";
    for (bool steps : {false, true}) {
      std::string positions = steps ? "1" : "S", name = c.name + std::string(steps ? "_step" : "_fill");
      std::string held = "cache." + std::string(c.name);
      std::vector<Signature> arguments{{"q", shapeOf(c.heads.query, c.heads, positions, c.type)},
                                       {"k", shapeOf(c.heads.key, c.heads, positions, c.type)},
                                       {"v", shapeOf(c.heads.key, c.heads, positions, c.type)},
                                       {held, cache}};
      std::string body = "%c = transformer.cache_append %" + held + ", %k, %v : {" + held + "}, {k}, {v} ";
      if (steps)
        body += "%y = transformer.attention %q cache %c scale 0.3 mask <" + std::string(c.mask) + ">" +
                c.tail + " : {q}, {" + held + "} -> {y} ";
      else
        body += "%y = transformer.activation relu %q : {q} -> {y} ";
      text += functionText(name, arguments,
                           {{"y", shapeOf(c.heads.query, c.heads, positions, c.type)}, {held, cache}},
                           body + "return %y, %c : {y}, {" + held + "}");
    }
  }
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (const SplitCase &c : kSplitCases)
    for (int64_t filled : {0, 1, 254, 255, 256, 511, 640, 1100, 2100, 8300}) {
      // The longest caches take the interpreter long; a head or two show their borders.
      if (filled > 1100 && c.heads.query * c.heads.size > 128)
        continue;
      std::vector<std::pair<std::string, int64_t>> calls;
      for (int64_t left = filled; left > 0; left -= 512) // a call's most positions
        calls.push_back({c.name + std::string("_fill"), std::min<int64_t>(left, 512)});
      for (int i = 0; i < 3; ++i)
        calls.push_back({c.name + std::string("_step"), 1});
      test.checkCalls(calls, {{"B", filled == 255 ? 2 : 1}});
    }
  report(test);
}

/// Keys that a bias of -inf hides, in whole splits and in all of them, count nothing: for heads that share
/// keys in a vector, and for two that meet a key after the other.
TEST_P(AttentionTest, HiddenSplits) {
  constexpr Heads cases[] = {{4, 1, 8}, {2, 1, 16}};
  std::string text;
  for (const Heads &heads : cases) {
    std::string number = std::to_string(heads.query);
    text += functionText("hidden" + number,
                         {{"q", shapeOf(heads.query, heads, "1", "f32")},
                          {"k", shapeOf(1, heads, "K", "f32")},
                          {"v", shapeOf(1, heads, "K", "f32")},
                          {"bias", "1, " + number + ", 1, K, f32"}},
                         {{"y", shapeOf(heads.query, heads, "1", "f32")}},
                         "%y = transformer.attention %q, %k, %v bias %bias scale 0.3 mask <none> : "
                         "{q}, {k}, {v}, {bias} -> {y} return %y : {y}");
  }
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (const Heads &heads : cases)
    for (int64_t keys : {1, 256, 257, 600, 1500})
      for (int64_t visible : {int64_t(0), keys / 3, keys}) {
        test.override = [&](llvm::StringRef name, llvm::MutableArrayRef<double> values) {
          // Head h sees the keys from the end of h of their parts on, up to `visible`.
          if (name == "bias")
            for (auto [i, value] : llvm::enumerate(values))
              if (int64_t key = i % keys, head = i / keys; key < keys * head / heads.query || key >= visible)
                value = -INFINITY;
        };
        test.check("hidden" + std::to_string(heads.query), {{"B", 1}, {"K", keys}});
      }
  report(test);
}

} // namespace
