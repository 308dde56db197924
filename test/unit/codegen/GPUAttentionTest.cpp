//===- GPUAttentionTest.cpp - kernels of attention around their tiles ------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/GPUTemplates.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

/// Dimensions that fill fragments, and some that are 2, 4 and 8 more than a multiple of 16.
constexpr Heads kHeads[] = {{2, 2, 16}, {4, 2, 32}, {8, 1, 64}, {3, 3, 48},  {2, 1, 128}, {14, 2, 80},
                            {6, 2, 96}, {2, 1, 72}, {3, 1, 8},  {4, 1, 256}, {2, 2, 136}, {8, 1, 192},
                            {4, 2, 20}, {6, 1, 36}, {2, 2, 50}, {3, 1, 100}, {4, 2, 6},   {2, 1, 250}};
const char *const kMasks[] = {"none", "causal", "window, 1", "window, 40", "window, 100"};

/// Attention of many queries of each case under every mask, to keys and values; every third with a bias,
/// every fifth with a cap.
void checkPrefill(ArrayRef<Heads> cases, ArrayRef<const char *> types, const char *name,
                  const emulator::EmulatorOptions &emulation = {}) {
  std::string text;
  std::vector<std::string> names;
  for (const Heads &heads : cases)
    for (const char *mask : kMasks) {
      size_t turn = names.size();
      const char *type = types[turn % types.size()];
      std::vector<Signature> arguments{{"q", shapeOf(heads.query, heads.size, "S", type)},
                                       {"k", shapeOf(heads.key, heads.size, "K", type)},
                                       {"v", shapeOf(heads.key, heads.size, "K", type)}};
      std::string bias, biasType, cap = turn % 5 == 1 ? " softcap 2.5" : "";
      if (turn % 3 == 1) {
        arguments.push_back(
            {"bias", std::string(turn % 2 ? "1, 1" : "B, " + std::to_string(heads.query)) + ", S, K, f32"});
        bias = " bias %bias", biasType = ", {bias}";
      }
      names.push_back("attention" + std::to_string(turn));
      text += functionText(names.back(), arguments, {{"y", shapeOf(heads.query, heads.size, "S", type)}},
                           "%y = transformer.attention %q, %k, %v" + bias + " scale 0.2 mask <" + mask + ">" +
                               cap + " : {q}, {k}, {v}" + biasType + " -> {y} return %y : {y}");
    }
  EXPECT_EQ(templatesOf(text), std::set<std::string>{name});
  Differential test(text, kGPUArch, emulation);
  ASSERT_TRUE(test.isCompiled());
  int64_t turn = 0;
  for (const std::string &name : names)
    for (auto [queries, keys] : {std::pair<int64_t, int64_t>{1, 1},
                                 {5, 5},
                                 {17, 64},
                                 {33, 33},
                                 {64, 65},
                                 {70, 70},
                                 {9, 130},
                                 {40, 20},
                                 {31, 32}})
      if (turn++ % 4 == 0)
        test.check(name, {{"B", 1 + turn % 3}, {"S", queries}, {"K", keys}});
  report(test);
}

TEST(GPUKernel, FlashAttentionOfKeysAndValues) {
  checkPrefill(kHeads, {"bf16", "bf16", "bf16", "f16"}, "flash_attention");
}
TEST(GPUKernel, FlashAttentionWithCopiesAtOnce) {
  emulator::EmulatorOptions early;
  early.late = false;
  checkPrefill({{4, 2, 64}, {2, 1, 72}, {2, 1, 136}, {2, 2, 256}}, {"bf16"}, "flash_attention", early);
}
TEST(GPUKernel, SimtAttentionOfKeysAndValues) {
  constexpr Heads heads[] = {{2, 2, 32},  {4, 1, 64}, {8, 1, 128}, {3, 3, 40},
                             {10, 2, 36}, {2, 1, 33}, {6, 2, 10}};
  checkPrefill(heads, {"f32"}, "simt_attention");
  // Narrow types whose rows do not begin at multiples of 4 bytes.
  checkPrefill({{4, 2, 21}, {2, 1, 67}}, {"bf16", "f16"}, "simt_attention");
}
TEST(GPUKernel, RowAttentionOfKeysAndValues) {
  constexpr Heads heads[] = {{2, 1, 129}, {2, 2, 200}, {4, 1, 256}, {1, 1, 300}};
  checkPrefill(heads, {"f32"}, "row_attention");
}

TEST(GPUKernel, FlashAttentionOfCaches) {
  std::string text;
  std::vector<std::string> names;
  for (const Heads &heads : kHeads)
    for (const char *mask : {"causal", "window, 20"}) {
      const char *policy = std::string(mask) == "causal" || names.size() % 4 == 1 ? "full" : "ring, 20";
      names.push_back("step" + std::to_string(names.size()));
      text += stepText(names.back(), heads, mask, policy);
    }
  EXPECT_EQ(templatesOf(text), (std::set<std::string>{"append", "flash_attention"}));
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    test.checkSequence(name, {{"B", 2}}, {3, 1, 40, 17});
  report(test);
}

struct Decoding {
  Heads heads;
  const char *type, *keyType;
  int positions = 1;
};
/// As many query heads for a head of keys as there may be, and more; dimensions that lanes share evenly and
/// not.
constexpr Decoding kNarrowDecoding[] = {
    {{2, 2, 32}, "bf16", "bf16"},     {{4, 1, 64}, "f16", "f16"},      {{8, 1, 128}, "bf16", "bf16"},
    {{16, 1, 256}, "bf16", "bf16"},   {{3, 3, 48}, "bf16", "bf16"},    {{14, 2, 80}, "bf16", "bf16"},
    {{22, 2, 96}, "f16", "f16"},      {{34, 1, 16}, "bf16", "bf16"},   {{2, 1, 256}, "f16", "f16"},
    {{8, 2, 112}, "bf16", "bf16", 2}, {{5, 1, 64}, "bf16", "bf16", 3}, {{4, 2, 72}, "bf16", "bf16"},
    {{4, 2, 20}, "bf16", "bf16"},     {{6, 1, 36}, "f16", "f16"},      {{16, 1, 50}, "bf16", "bf16"},
    {{12, 1, 100}, "bf16", "bf16"},   {{8, 2, 250}, "bf16", "bf16"},   {{4, 2, 6}, "bf16", "bf16"},
    {{4, 2, 40}, "bf16", "bf16", 4}};
constexpr Decoding kOtherDecoding[] = {
    {{2, 2, 32}, "f32", "f32"},  {{4, 1, 64}, "f32", "f32"},    {{8, 1, 128}, "f32", "f32"},
    {{8, 1, 256}, "f32", "f32"}, {{3, 3, 40}, "f32", "f32"},    {{18, 2, 36}, "f32", "f32"},
    {{2, 1, 33}, "f32", "f32"},  {{4, 2, 128}, "f32", "bf16"},  {{4, 2, 71}, "bf16", "bf16"},
    {{6, 2, 200}, "f32", "f16"}, {{4, 2, 20}, "f32", "f32", 2}, {{1, 1, 251}, "f32", "f32", 8}};

/// Attention of each case under every mask, to keys and values; every third with a bias, every fifth with a
/// cap.
std::string decodingText(ArrayRef<Decoding> cases, std::vector<std::string> &names) {
  std::string text;
  for (const Decoding &c : cases)
    for (const char *mask : {"none", "causal", "window, 1", "window, 40", "window, 300"}) {
      size_t turn = names.size();
      std::string positions = std::to_string(c.positions), heads = std::to_string(c.heads.query);
      std::vector<Signature> arguments{{"q", shapeOf(c.heads.query, c.heads.size, positions.c_str(), c.type)},
                                       {"k", shapeOf(c.heads.key, c.heads.size, "K", c.keyType)},
                                       {"v", shapeOf(c.heads.key, c.heads.size, "K", c.keyType)}};
      std::string bias, biasType, cap = turn % 5 == 1 ? " softcap 2.5" : "";
      if (turn % 3 == 1) {
        arguments.push_back(
            {"bias", std::string(turn % 2 ? "1, 1" : "B, " + heads) + ", " + positions + ", K, f32"});
        bias = " bias %bias", biasType = ", {bias}";
      }
      names.push_back("decode" + std::to_string(turn));
      text += functionText(names.back(), arguments,
                           {{"y", shapeOf(c.heads.query, c.heads.size, positions.c_str(), c.type)}},
                           "%y = transformer.attention %q, %k, %v" + bias + " scale 0.2 mask <" + mask + ">" +
                               cap + " : {q}, {k}, {v}" + biasType + " -> {y} return %y : {y}");
    }
  return text;
}

/// Lengths around steps of keys, rounds of the warps and splits; fewer keys than positions.
void checkDecoding(ArrayRef<Decoding> cases, const char *name) {
  std::vector<std::string> names;
  std::string text = decodingText(cases, names);
  EXPECT_EQ(templatesOf(text), (std::set<std::string>{name, "attention_merge"}));
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  int64_t turn = 0;
  for (const std::string &name : names)
    for (int64_t keys : {1, 2, 15, 16, 17, 63, 127, 128, 129, 255, 256, 257, 300, 512, 530, 769})
      if (turn++ % 5 == 0)
        test.check(name, {{"B", 1 + turn % 3}, {"K", keys}});
  report(test);
}

TEST(GPUKernel, DecodeAttentionOnTensorCores) { checkDecoding(kNarrowDecoding, "decode_attention"); }
TEST(GPUKernel, DecodeAttentionOfOtherTypes) { checkDecoding(kOtherDecoding, "simt_decode_attention"); }

/// Steps from empty caches on and behind long ones, full and ring.
TEST(GPUKernel, DecodeAttentionOfCaches) {
  constexpr Decoding cases[] = {{{4, 1, 64}, "bf16", "bf16"},
                                {{6, 2, 48}, "f16", "f16"},
                                {{6, 3, 36}, "bf16", "bf16"},
                                {{4, 2, 36}, "f32", "f32"},
                                {{2, 2, 128}, "f32", "bf16"}};
  std::string text;
  std::vector<std::string> names;
  for (const Decoding &c : cases)
    for (const char *mask : {"causal", "window, 20", "window, 290"}) {
      std::string name = "step" + std::to_string(names.size()), held = "cache." + name;
      std::string policy =
          StringRef(mask) == "causal" ? "full>" : "ring, " + std::string(mask).substr(8) + ">";
      std::string cache = "!transformer.kv_cache<" + std::to_string(c.heads.key) + " x " +
                          std::to_string(c.heads.size) + " x " + c.keyType + ", " + policy;
      names.push_back(name);
      for (bool steps : {false, true}) {
        const char *positions = steps ? "1" : "S";
        std::string body =
            "%longer = transformer.cache_append %" + held + ", %k, %v : {" + held + "}, {k}, {v} ";
        if (steps)
          body += "%y = transformer.attention %q cache %longer scale 0.2 mask <" + std::string(mask) +
                  "> : {q}, {" + held + "} -> {y} ";
        else
          body += "%y = transformer.activation relu %q : {q} -> {y} ";
        text += functionText(name + (steps ? "" : "_fill"),
                             {{held, cache},
                              {"q", shapeOf(c.heads.query, c.heads.size, positions, c.type)},
                              {"k", shapeOf(c.heads.key, c.heads.size, positions, c.keyType)},
                              {"v", shapeOf(c.heads.key, c.heads.size, positions, c.keyType)}},
                             {{"y", shapeOf(c.heads.query, c.heads.size, positions, c.type)}, {held, cache}},
                             body + "return %y, %longer : {y}, {" + held + "}");
      }
    }
  EXPECT_EQ(templatesOf(text), (std::set<std::string>{"append", "attention_merge", "decode_attention", "rows",
                                                      "simt_decode_attention"}));
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    for (int64_t filled : {0, 14, 255, 511}) {
      std::vector<std::pair<std::string, int64_t>> calls;
      if (filled > 0)
        calls.push_back({name + "_fill", filled});
      calls.insert(calls.end(), 2, {name, 1});
      test.checkCalls(calls, {{"B", filled == 14 ? 2 : 1}});
    }
  report(test);
}

/// Heads of one half are NaN, which stand behind the dimensions of the others and at the begin of all:
/// nothing of them may be in a sum, even times zero. The larger of NaN and a number is the number.
TEST(GPUKernel, HeadsArePaddedWithZeros) {
  std::string text;
  std::vector<std::pair<std::string, int64_t>> names; // and dimensions
  for (int size : {20, 36, 50, 72, 134, 200})
    for (const char *positions : {"1", "S"}) {
      names.push_back({"attention" + std::to_string(names.size()), size});
      text += functionText(names.back().first,
                           {{"q", shapeOf(4, size, positions, "bf16")},
                            {"k", shapeOf(2, size, "K", "bf16")},
                            {"v", shapeOf(2, size, "K", "bf16")},
                            {"least", shapeOf(4, size, positions, "bf16")}},
                           {{"y", shapeOf(4, size, positions, "bf16")}},
                           "%0 = transformer.attention %q, %k, %v scale 0.2 mask <none> : {q}, {k}, {v} -> "
                           "{y} %y = arith.maxnumf %0, %least : {y} return %y : {y}");
    }
  EXPECT_EQ(templatesOf(text),
            (std::set<std::string>{"attention_merge", "decode_attention", "flash_attention", "rows"}));
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (auto &[name, size] : names)
    for (bool firstHalf : {false, true}) {
      test.override = [&, size = size](StringRef name, MutableArrayRef<double> values) {
        if (name == "least")
          return llvm::fill(values, -1);
        int64_t heads = name == "q" ? 4 : 2;
        for (auto [i, value] : llvm::enumerate(values))
          if ((static_cast<int64_t>(i) / size % heads < heads / 2) == firstHalf)
            value = std::numeric_limits<double>::quiet_NaN();
      };
      for (int64_t keys : {3, 70, 200})
        test.check(name, {{"B", 2}, {"S", 19}, {"K", keys}});
    }
  report(test);
}

/// Keys that a bias of -inf hides, for some heads, in whole splits and in all of them, count nothing.
TEST(GPUKernel, DecodeAttentionOfHiddenKeys) {
  std::string text;
  for (const char *type : {"bf16", "f32"})
    text += functionText(std::string("hidden_") + type,
                         {{"q", shapeOf(4, 16, "1", type)},
                          {"k", shapeOf(1, 16, "K", type)},
                          {"v", shapeOf(1, 16, "K", type)},
                          {"bias", "1, 4, 1, K, f32"}},
                         {{"y", shapeOf(4, 16, "1", type)}},
                         "%y = transformer.attention %q, %k, %v bias %bias scale 0.3 mask <none> : "
                         "{q}, {k}, {v}, {bias} -> {y} return %y : {y}");
  Differential test(text, kGPUArch);
  ASSERT_TRUE(test.isCompiled());
  for (int64_t keys : {1, 20, 257, 600})
    for (int64_t visible : {int64_t(0), keys / 3, keys - 1}) {
      test.override = [&](StringRef name, MutableArrayRef<double> values) {
        if (name != "bias")
          return;
        for (auto [i, value] : llvm::enumerate(values))
          if (static_cast<int64_t>(i) / keys != 2 && static_cast<int64_t>(i) % keys >= visible)
            value = -std::numeric_limits<double>::infinity();
      };
      for (const char *type : {"bf16", "f32"})
        test.check(std::string("hidden_") + type, {{"B", 1}, {"K", keys}});
    }
  report(test);
}

} // namespace
