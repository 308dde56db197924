//===- ComputeTest.cpp - compiled ops at sizes around their tiles ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each op is compiled once with dynamic sizes and run on many, and once more with
// static sizes, for which kernels are written without the code of the rest.
//
//===----------------------------------------------------------------------===//

#include "test/unit/codegen/Differential.h"

#include <gtest/gtest.h>

using namespace mlir::transformer::numeric;

namespace {

/// Sizes before, at and behind the borders of tiles and vectors.
constexpr int64_t kRows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
constexpr int64_t kColumns[] = {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33};
constexpr int64_t kDepths[] = {1, 7, 8, 15, 16, 17, 31, 64, 100};

class ComputeTest : public TargetTest {};

INSTANTIATE_TEST_SUITE_P(Targets, ComputeTest, targets(), targetName);

//===----------------------------------------------------------------------===//
// Linear
//===----------------------------------------------------------------------===//

std::string linear(const std::string &name, const std::string &n, const std::string &k,
                   const std::string &type, const std::string &weightType, const std::string &resultType,
                   bool bias) {
  std::vector<Signature> arguments{{"x", "B, S, " + k + ", " + type},
                                   {"w", n + ", " + k + ", " + weightType}};
  if (bias)
    arguments.push_back({"bias", n + ", f32"});
  return functionText(
      name, arguments, {{"y", "B, S, " + n + ", " + resultType}},
      bias ? "%y = transformer.linear %x, %w bias %bias : {x}, {w}, {bias} -> {y} return %y : {y}"
           : "%y = transformer.linear %x, %w : {x}, {w} -> {y} return %y : {y}");
}

TEST_P(ComputeTest, LinearOfDynamicSizes) {
  Differential test(linear("f32", "N", "K", "f32", "f32", "f32", false) +
                        linear("bias", "N", "K", "f32", "f32", "f32", true) +
                        linear("bf16", "N", "K", "bf16", "bf16", "bf16", false) +
                        linear("mixed", "N", "K", "f32", "bf16", "f32", true),
                    GetParam());
  ASSERT_TRUE(test.isCompiled());
  const char *functions[] = {"f32", "bias", "bf16", "mixed"};
  int64_t turn = 0;
  for (int64_t rows : kRows)
    for (int64_t n : kColumns)
      for (int64_t k : kDepths) {
        ++turn;
        test.check(functions[turn % 4], {{"B", 1 + turn % 3}, {"S", rows}, {"N", n}, {"K", k}});
      }
  report(test);
}

TEST_P(ComputeTest, LinearOfStaticSizes) {
  std::string text;
  std::vector<std::string> names;
  for (size_t i = 0; i < std::size(kColumns); ++i) {
    std::string n = std::to_string(kColumns[i]), k = std::to_string(kDepths[i % std::size(kDepths)]);
    bool narrow = i % 3 == 2;
    names.push_back("n" + n + "_k" + k);
    text += linear(names.back(), n, k, narrow ? "bf16" : "f32", i % 2 ? "bf16" : "f32",
                   narrow ? "bf16" : "f32", i % 4 == 1);
  }
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    for (int64_t rows : kRows)
      test.check(name, {{"B", 1 + rows % 3}, {"S", rows}});
  report(test);
}

/// One row, as in decoding, has tiles of its own.
TEST_P(ComputeTest, LinearOfOneRow) {
  std::string text;
  for (int64_t n : kColumns)
    text +=
        functionText("n" + std::to_string(n), {{"x", "B, 1, K, f32"}, {"w", std::to_string(n) + ", K, bf16"}},
                     {{"y", "B, 1, " + std::to_string(n) + ", f32"}},
                     "%y = transformer.linear %x, %w : {x}, {w} -> {y} return %y : {y}");
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (int64_t n : kColumns)
    for (int64_t k : kDepths)
      test.check("n" + std::to_string(n), {{"B", 1 + k % 3}, {"K", k}});
  report(test);
}

/// The gated layer, with everything around its products inlined.
TEST_P(ComputeTest, GatedLayer) {
  std::vector<Signature> arguments{{"x", "B, S, D, f32"}, {"norm", "D, f32"}, {"g", "F, D, bf16"},
                                   {"u", "F, D, f32"},    {"d", "D, F, f32"}, {"h", "B, S, F, f32"}};
  Differential test(functionText("layer", arguments, {{"y", "B, S, D, f32"}}, R"(
    %n = transformer.rms_norm %x, %norm epsilon 1.0e-5 : {x}, {norm} -> {x}
    %g0 = transformer.linear %n, %g : {x}, {g} -> {h}
    %g1 = transformer.activation silu %g0 : {h} -> {h}
    %u0 = transformer.linear %n, %u : {x}, {u} -> {h}
    %p = arith.mulf %g1, %u0 : {h}
    %q = arith.addf %p, %h : {h}
    %d0 = transformer.linear %q, %d : {h}, {d} -> {x}
    %y = arith.addf %x, %d0 : {x}
    return %y : {x})"),
                    GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (int64_t rows : kRows)
    for (int64_t d : kColumns)
      test.check("layer",
                 {{"B", 1 + d % 3}, {"S", rows}, {"D", d}, {"F", kDepths[(rows + d) % std::size(kDepths)]}});
  report(test);
}

//===----------------------------------------------------------------------===//
// Norms, embeddings, rotary positions
//===----------------------------------------------------------------------===//

TEST_P(ComputeTest, Norms) {
  std::string text;
  for (std::string size : {"D", "1", "7", "16", "33", "100"})
    for (std::string type : {"f32", "bf16"}) {
      std::string x = "B, S, " + size + ", " + type, name = size + "_" + type;
      text +=
          functionText("rms" + name, {{"x", x}, {"w", size + ", f32"}}, {{"y", x}},
                       "%y = transformer.rms_norm %x, %w epsilon 1.0e-5 : {x}, {w} -> {y} return %y : {y}");
      text += functionText("layer" + name, {{"x", x}, {"w", size + ", " + type}, {"b", size + ", f32"}},
                           {{"y", x}},
                           "%y = transformer.layer_norm %x, %w bias %b epsilon 1.0e-5 : {x}, {w}, {b} -> {y} "
                           "return %y : {y}");
    }
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (std::string norm : {"rms", "layer"})
    for (std::string type : {"_f32", "_bf16"})
      for (int64_t rows : kRows) {
        for (std::string size : {"1", "7", "16", "33", "100"})
          test.check(norm + size + type, {{"B", 1 + rows % 3}, {"S", rows}});
        for (int64_t size : kColumns)
          test.check(norm + "D" + type, {{"B", 1 + size % 3}, {"S", rows}, {"D", size}});
      }
  report(test);
}

TEST_P(ComputeTest, Embedding) {
  std::string text;
  for (std::string size : {"D", "1", "8", "17", "100"})
    for (std::string type : {"f32", "bf16"})
      text += functionText("e" + size + type,
                           {{"ids", "B, S, i32", "transformer.range = array<i64: 0, 11>"},
                            {"table", "11, " + size + ", " + type}},
                           {{"y", "B, S, " + size + ", f32"}},
                           "%y = transformer.embedding %ids, %table : {ids}, {table} -> {y} return %y : {y}");
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (std::string type : {"f32", "bf16"})
    for (int64_t rows : kRows) {
      for (std::string size : {"1", "8", "17", "100"})
        test.check("e" + size + type, {{"B", 1 + rows % 3}, {"S", rows}}, 0);
      for (int64_t size : kColumns)
        test.check("eD" + type, {{"B", 1 + size % 3}, {"S", rows}, {"D", size}}, 0);
    }
  report(test);
}

TEST_P(ComputeTest, Rope) {
  std::string text;
  std::vector<std::string> names;
  for (std::string style : {"half_split", "interleaved"})
    for (auto [head, rotary] :
         {std::pair(2, 2), {6, 6}, {8, 8}, {10, 4}, {16, 16}, {34, 34}, {64, 64}, {64, 32}})
      for (std::string type : {"f32", "bf16"}) {
        std::string x = "B, S, 3, " + std::to_string(head) + ", " + type;
        std::string table = "32, " + std::to_string(rotary / 2) + ", f32";
        names.push_back(style + std::to_string(head) + "_" + std::to_string(rotary) + type);
        text += functionText(
            names.back(),
            {{"x", x}, {"c", table}, {"s", table}, {"at", "B, i32", "transformer.range = array<i64: 0, 23>"}},
            {{"y", x}},
            "%y = transformer.rope " + style +
                " %x, %c, %s at %at : {x}, {c}, {s}, {at} -> {y} "
                "return %y : {y}");
      }
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &name : names)
    for (int64_t rows : kRows)
      test.check(name, {{"B", 1 + rows % 3}, {"S", rows}});
  report(test);
}

//===----------------------------------------------------------------------===//
// Elementwise ops, softmax, reductions
//===----------------------------------------------------------------------===//

TEST_P(ComputeTest, Activations) {
  std::string text;
  std::vector<std::string> kinds{"silu", "gelu_erf", "gelu_tanh", "relu", "quick_gelu"};
  for (const std::string &kind : kinds)
    for (std::string type : {"f32", "bf16"})
      text += functionText(kind + type, {{"x", "B, D, " + type}}, {{"y", "B, D, " + type}},
                           "%y = transformer.activation " + kind + " %x : {x} -> {y} return %y : {y}");
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (const std::string &kind : kinds)
    for (std::string type : {"f32", "bf16"})
      for (int64_t rows : kRows)
        for (int64_t size : kColumns)
          test.check(kind + type, {{"B", rows}, {"D", size}});
  report(test);
}

TEST_P(ComputeTest, Elementwise) {
  std::string text =
      // Rank 0 to 4.
      functionText("rank0", {{"x", "f32"}, {"y", "f32"}}, {{"z", "f32"}},
                   "%z = arith.addf %x, %y : {z} return %z : {z}") +
      functionText("rank1", {{"x", "D, f32"}, {"y", "D, f32"}}, {{"z", "D, f32"}},
                   "%z = arith.mulf %x, %y : {z} return %z : {z}") +
      functionText("rank4", {{"x", "A, B, E, D, f32"}, {"y", "A, B, E, D, f32"}}, {{"z", "A, B, E, D, f32"}},
                   "%s = arith.subf %x, %y : {z} %z = arith.divf %s, %y : {z} return %z : {z}") +
      functionText("narrow", {{"x", "B, D, bf16"}, {"y", "B, D, bf16"}}, {{"z", "B, D, bf16"}},
                   "%s = arith.subf %x, %y : {z} %z = arith.mulf %s, %y : {z} return %z : {z}") +
      // Integers.
      functionText("integers", {{"x", "B, D, i32"}, {"y", "B, D, i32"}}, {{"z", "B, D, i32"}},
                   "%s = arith.muli %x, %y : {z} %z = arith.subi %s, %x : {z} return %z : {z}") +
      // A value with two readers, one of which is the result.
      functionText("shared", {{"x", "B, D, f32"}}, {{"y", "B, D, f32"}, {"z", "B, D, f32"}},
                   "%y = arith.addf %x, %x : {x} %z = arith.mulf %y, %x : {x} return %y, %z : {x}, {x}") +
      // A vector along the last and one along the first dimension.
      functionText("broadcast", {{"x", "B, D, f32"}, {"row", "D, f32"}, {"column", "B, f32"}},
                   {{"z", "B, D, f32"}}, R"(
        %c0 = arith.constant 0 : index %c1 = arith.constant 1 : index
        %b = tensor.dim %x, %c0 : {x} %d = tensor.dim %x, %c1 : {x}
        %e = tensor.empty(%b, %d) : {x}
        %r = linalg.broadcast ins(%row : {row}) outs(%e : {x}) dimensions = [0]
        %c = linalg.broadcast ins(%column : {column}) outs(%e : {x}) dimensions = [1]
        %s = arith.addf %x, %r : {x} %z = arith.mulf %s, %c : {x}
        return %z : {z})") +
      functionText("transpose", {{"x", "A, B, E, f32"}}, {{"z", "E, A, B, f32"}}, R"(
        %c0 = arith.constant 0 : index %c1 = arith.constant 1 : index %c2 = arith.constant 2 : index
        %a = tensor.dim %x, %c0 : {x} %b = tensor.dim %x, %c1 : {x} %c = tensor.dim %x, %c2 : {x}
        %e = tensor.empty(%c, %a, %b) : {z}
        %z = linalg.transpose ins(%x : {x}) outs(%e : {z}) permutation = [2, 0, 1]
        return %z : {z})");
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  test.check("rank0", {});
  for (int64_t size : kColumns) {
    test.check("rank1", {{"D", size}});
    for (int64_t rows : kRows) {
      test.check("rank4", {{"A", 1 + rows % 2}, {"B", rows}, {"E", 1 + size % 3}, {"D", size}});
      test.check("narrow", {{"B", rows}, {"D", size}});
      test.check("integers", {{"B", rows}, {"D", size}}, 0);
      test.check("shared", {{"B", rows}, {"D", size}});
      test.check("broadcast", {{"B", rows}, {"D", size}});
      test.check("transpose", {{"A", 1 + rows % 3}, {"B", size}, {"E", rows}}, 0);
    }
  }
  report(test);
}

TEST_P(ComputeTest, SoftmaxAndReductions) {
  std::string dims = R"(
        %zero = arith.constant 0.0 : f32 %c0 = arith.constant 0 : index %c1 = arith.constant 1 : index
        %c2 = arith.constant 2 : index
        %a = tensor.dim %x, %c0 : {x} %b = tensor.dim %x, %c1 : {x} %d = tensor.dim %x, %c2 : {x}
        %e = tensor.empty(%a, %b, %d) : {x})";
  std::string text;
  for (std::string dimension : {"0", "1", "2"}) {
    text += functionText("softmax" + dimension, {{"x", "A, B, D, f32"}}, {{"y", "A, B, D, f32"}},
                         dims + "%y = linalg.softmax dimension(" + dimension +
                             ") ins(%x : {x}) outs(%e : {y}) -> {y} return %y : {y}");
  }
  for (auto [name, sizes, type, list] :
       {std::tuple("sum_last", "%a, %b", "A, B, f32", "[2]"),
        std::tuple("sum_first", "%b, %d", "B, D, f32", "[0]"),
        std::tuple("sum_middle", "%a, %d", "A, D, f32", "[1]"),
        std::tuple("sum_two", "%b", "B, f32", "[0, 2]"), std::tuple("sum_all", "", "f32", "[0, 1, 2]")})
    text += functionText(name, {{"x", "A, B, D, f32"}}, {{"y", type}},
                         dims + "%o = tensor.empty(" + sizes + ") : {y} " +
                             "%z = linalg.fill ins(%zero : f32) outs(%o : {y}) -> {y} " +
                             "%s = arith.mulf %x, %x : {x} %y = linalg.reduce { arith.addf } ins(%s : {x}) "
                             "outs(%z : {y}) dimensions = " +
                             list + " return %y : {y}");
  text +=
      functionText("batch_matmul", {{"x", "A, B, D, f32"}, {"w", "A, D, N, f32"}}, {{"y", "A, B, N, f32"}},
                   dims + R"(%n = tensor.dim %w, %c2 : {w} %o = tensor.empty(%a, %b, %n) : {y}
        %z = linalg.fill ins(%zero : f32) outs(%o : {y}) -> {y}
        %y = linalg.batch_matmul ins(%x, %w : {x}, {w}) outs(%z : {y}) -> {y}
        return %y : {y})");
  Differential test(text, GetParam());
  ASSERT_TRUE(test.isCompiled());
  for (std::string name :
       {"softmax0", "softmax1", "softmax2", "sum_last", "sum_first", "sum_middle", "sum_two", "sum_all"})
    for (int64_t rows : kRows)
      for (int64_t size : kColumns)
        test.check(name, {{"A", 1 + rows % 3}, {"B", rows}, {"D", size}});
  for (int64_t n : kColumns)
    for (int64_t k : kDepths)
      test.check("batch_matmul", {{"A", 1 + k % 3}, {"B", kRows[(n + k) % 9]}, {"D", k}, {"N", n}});
  report(test);
}

} // namespace
