//===- DeriveTest.cpp - derived weights against goldens ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Derive.h"
#include "Fixtures.h"

#include "mlir/Parser/Parser.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::test;

namespace {
struct Derive : testing::Test {
  Derive() { context.loadDialect<TransformerDialect>(); }

  OwningOpRef<ModuleOp> parse(StringRef text) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text.str();
    return module;
  }

  MLIRContext context;
};
} // namespace

static std::vector<double> doubles(Dtype dtype, ArrayRef<char> data) {
  std::vector<double> values(data.size() / dtypeSize(dtype));
  toDoubles(dtype, data.data(), values.size(), values.data());
  return values;
}

/// Tables go through cos and sin, whose last bit in double is the library's:
/// after rounding to f32 one unit in the last place. Sums of products depend on
/// their order, by as much of the largest element. All else is exact.
static void expectEqual(StringRef name, const HostTensor &value, const TensorView &expected, DeriveOp op) {
  ASSERT_EQ(dtypeFromType(value.type.getElementType()), expected.dtype) << name.str();
  ASSERT_EQ(value.type.getShape(), expected.shape) << name.str();
  ASSERT_EQ(value.data.size(), expected.data.size()) << name.str();
  std::vector<double> a = doubles(expected.dtype, value.data), b = doubles(expected.dtype, expected.data);
  bool isTable = op.getSources().empty() && op.getKind() != DeriveKind::Fill;
  double tolerance = isTable ? std::ldexp(1.0, -23) : 0, largest = 0;
  if (op.getKind() == DeriveKind::Matmul)
    for (double expectedValue : b)
      largest = std::max(largest, std::ldexp(std::fabs(expectedValue), -22));
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_LE(std::fabs(a[i] - b[i]), std::max(largest, tolerance * std::fabs(b[i])))
        << name.str() << " at " << i << ": " << a[i];
}

TEST_F(Derive, MatchesGoldens) {
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(XFM_TEST_DIR "/goldens/derive.mlir", &context);
  ASSERT_TRUE(module);
  WeightStore store(XFM_TEST_DIR "/goldens");
  size_t checked = 0;
  for (DeriveOp derive : module->getOps<DeriveOp>()) {
    if (derive.getSymName() == "chain.rows" || derive.getKind() == DeriveKind::Factorize)
      continue; // steps on the way
    llvm::Expected<HostTensor> value = evaluateWeight(*module, derive.getSymName(), store);
    ASSERT_TRUE(bool(value)) << toString(value.takeError());
    llvm::Expected<TensorView> expected = store.lookup("derive.expected.safetensors", derive.getSymName());
    ASSERT_TRUE(bool(expected)) << toString(expected.takeError());
    expectEqual(derive.getSymName(), *value, *expected, derive);
    ++checked;
  }
  EXPECT_EQ(checked, cantFail(store.tensorsOf("derive.expected.safetensors"))->size());
}

TEST_F(Derive, BoundsTheErrorOfFactors) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @big : tensor<70x45xf32> from "derive.source.safetensors"
    transformer.derive @few = factorize(@big) {rank = 3 : i64, part = "left", max_error = 0.1 : f64} : tensor<70x3xf32>
    transformer.derive @wide = factorize(@big) {rank = 3 : i64, part = "left", max_error = 1.0 : f64} : tensor<70x3xf32>
    transformer.derive @all = factorize(@big) {rank = 45 : i64, part = "right", max_error = 1.0e-6 : f64} : tensor<45x45xf32>
  )");
  WeightStore store(XFM_TEST_DIR "/goldens");
  llvm::Expected<HostTensor> few = evaluateWeight(*module, "few", store);
  ASSERT_FALSE(bool(few));
  std::string message = toString(few.takeError());
  // Random numbers have no low rank: nearly all of it is needed.
  EXPECT_NE(message.find("derived weight @few: factors of rank 3 have a relative error of 0."),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("more than 0.1; rank 4"), std::string::npos) << message;
  cantFail(evaluateWeight(*module, "wide", store));
  cantFail(evaluateWeight(*module, "all", store));
}

TEST_F(Derive, BorrowsWhatNeedsNoWork) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @a : tensor<6x10xf32> from "derive.source.safetensors"
    transformer.derive @same = convert(@a) : tensor<6x10xf32>
    transformer.derive @rows = slice(@a) {axis = 0 : i64, begin = 2 : i64, end = 5 : i64} : tensor<3x10xf32>
    transformer.derive @columns = slice(@a) {axis = 1 : i64, begin = 0 : i64, end = 5 : i64} : tensor<6x5xf32>
  )");
  WeightStore store(XFM_TEST_DIR "/goldens");
  HostTensor a = cantFail(evaluateWeight(*module, "a", store));
  EXPECT_TRUE(a.isBorrowed());
  EXPECT_EQ(cantFail(evaluateWeight(*module, "same", store)).data, a.data);
  HostTensor rows = cantFail(evaluateWeight(*module, "rows", store));
  EXPECT_TRUE(rows.isBorrowed());
  EXPECT_EQ(rows.data.data(), a.data.data() + 2 * 10 * 4);
  EXPECT_FALSE(cantFail(evaluateWeight(*module, "columns", store)).isBorrowed());
}

TEST_F(Derive, SharedSourcesAreComputedOnce) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @a : tensor<6x10xf32> from "derive.source.safetensors"
    transformer.derive @t = transpose(@a) : tensor<10x6xf32>
    transformer.derive @top = slice(@t) {axis = 0 : i64, begin = 0 : i64, end = 4 : i64} : tensor<4x6xf32>
    transformer.derive @bottom = slice(@t) {axis = 0 : i64, begin = 4 : i64, end = 10 : i64} : tensor<6x6xf32>
  )");
  WeightStore store(XFM_TEST_DIR "/goldens");
  auto evaluator = cantFail(WeightEvaluator::create(*module, {"top", "bottom"}, store));
  HostTensor top = cantFail(evaluator->evaluate("top")), bottom = cantFail(evaluator->evaluate("bottom"));
  // Both are views of one transpose, which nothing else keeps alive.
  EXPECT_EQ(top.owner, bottom.owner);
  EXPECT_EQ(bottom.data.data(), top.data.data() + 4 * 6 * 4);
  EXPECT_EQ(top.owner.use_count(), 2);
}

TEST_F(Derive, RefusesUnknownSymbolsAndCycles) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @a : tensor<2x2xf32> from "m.safetensors"
    transformer.derive @x = scale(@y) {value = 2.0 : f64} : tensor<2x2xf32>
    transformer.derive @y = scale(@x) {value = 2.0 : f64} : tensor<2x2xf32>
    transformer.derive @self = transpose(@self) : tensor<2x2xf32>
  )");
  WeightStore store("/nowhere");
  expectMessage(messageOf(evaluateWeight(*module, "b", store)), {"@b", "no weight"});
  expectMessage(messageOf(evaluateWeight(*module, "x", store)), {"derived from itself"});
  expectMessage(messageOf(evaluateWeight(*module, "self", store)), {"@self", "derived from itself"});
  expectMessage(messageOf(evaluateWeight(*module, "a", store)), {"/nowhere/m.safetensors", "No such file"});
}

TEST_F(Derive, RefusesChainsWithoutEnd) {
  std::string text = "transformer.weight @w0 : tensor<2xf32> from \"m.safetensors\"\n";
  llvm::raw_string_ostream os(text);
  for (int i = 0; i < 1000; ++i)
    os << "transformer.derive @w" << i + 1 << " = convert(@w" << i << ") : tensor<2xf32>\n";
  OwningOpRef<ModuleOp> module = parse(text);
  WeightStore store("/nowhere");
  expectMessage(messageOf(evaluateWeight(*module, "w1000", store)), {"chain of more than 256"});
}

TEST_F(Derive, RefusesWhatTheFileDoesNotHold) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @a : tensor<6x11xf32> from "derive.source.safetensors"
    transformer.weight @half : tensor<3x4xbf16> from "derive.source.safetensors"
    transformer.weight @c : tensor<3x4xbf16> from "derive.source.safetensors"
    transformer.weight @d : tensor<3x4xi7> from "derive.source.safetensors"
  )");
  WeightStore store(XFM_TEST_DIR "/goldens");
  expectMessage(messageOf(evaluateWeight(*module, "a", store)), {"@a", "F32 [6, 11]", "holds F32 [6, 10]"});
  expectMessage(messageOf(evaluateWeight(*module, "half", store)), {"BF16 [3, 4]", "holds F16 [3, 4]"});
  expectMessage(messageOf(evaluateWeight(*module, "c", store)), {"no tensor \"c\""});
  expectMessage(messageOf(evaluateWeight(*module, "d", store)), {"@d", "i7", "no form"});
}

TEST_F(Derive, RefusesIntegersAsResults) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @a : tensor<6x10xf32> from "derive.source.safetensors"
    transformer.weight @ids : tensor<4x6xi32> from "derive.source.safetensors"
    transformer.derive @x = convert(@a) : tensor<6x10xi8>
    transformer.derive @y = add_scalar(@ids) {value = 1.0 : f64} : tensor<4x6xi32>
    transformer.derive @z = sinusoid() {layout = "split"} : tensor<4x6xi32>
  )");
  WeightStore store(XFM_TEST_DIR "/goldens");
  expectMessage(messageOf(evaluateWeight(*module, "x", store)), {"@x", "integer type"});
  expectMessage(messageOf(evaluateWeight(*module, "y", store)), {"@y", "integer type"});
  expectMessage(messageOf(evaluateWeight(*module, "z", store)), {"@z", "float type"});
}

TEST_F(Derive, PacksIntegers) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @a : tensor<3x5xi8> from "m.safetensors"
    transformer.derive @plain = pack(@a) : tensor<3x5xi8, #transformer.packed<2 x 4>>
    transformer.derive @larger = pack(@a) : tensor<3x5xi8, #transformer.packed<2 x 4, bias 128>>
    transformer.weight @b : tensor<3x5xi4> from "m.safetensors"
    transformer.derive @halves = pack(@b) : tensor<3x5xi4, #transformer.packed<2 x 4, bias 8>>
    transformer.weight @c : tensor<3x5xi4> from "m.safetensors"
    transformer.derive @wide = pack(@c) : tensor<3x5xi4, #transformer.packed<2 x 4, bias 8>>
  )");
  const char a[] = {-128, -1, 0, 1, 127, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const char b[] = {-8, -1, 0, 1, 7, 2, 3, 4, 5, 6, -2, -3, -4, -5, -6};
  TempFolder folder;
  folder.write("m.safetensors", SafetensorsBuilder()
                                    .addBytes("a", "I8", {3, 5}, StringRef(a, 15))
                                    .addBytes("b", "I8", {3, 5}, StringRef(b, 15))
                                    .addBytes("c", "I8", {3, 5}, StringRef(a, 15))
                                    .build());
  WeightStore store(folder.str());
  auto expectBytes = [&](StringRef name, ArrayRef<int64_t> shape, ArrayRef<int> bytes) {
    llvm::Expected<HostTensor> value = evaluateWeight(*module, name, store);
    ASSERT_TRUE(bool(value)) << toString(value.takeError());
    EXPECT_EQ(value->type.getShape(), shape) << name.str();
    EXPECT_TRUE(value->type.getElementType().isInteger(8)) << name.str();
    std::vector<int> actual;
    for (char byte : value->data)
      actual.push_back(static_cast<uint8_t>(byte));
    EXPECT_EQ(ArrayRef(actual), bytes) << name.str();
  };
  // Two rows to a panel, four values to a step, zeros where either ends.
  expectBytes("plain", {2, 2, 8}, {128, 255, 0, 1,  2, 3, 4, 5, 127, 0, 0, 0, 6, 0, 0, 0,
                                   7,   8,   9, 10, 0, 0, 0, 0, 11,  0, 0, 0, 0, 0, 0, 0});
  expectBytes("larger", {2, 2, 8}, {0,   127, 128, 129, 130, 131, 132, 133, 255, 0, 0, 0, 134, 0, 0, 0,
                                    135, 136, 137, 138, 0,   0,   0,   0,   139, 0, 0, 0, 0,   0, 0, 0});
  // Value j in the low half of byte j, value j + 2 in its high half.
  expectBytes("halves", {2, 2, 4},
              {0x80, 0x97, 0xca, 0xdb, 0x0f, 0, 0x0e, 0, 0x46, 0x35, 0, 0, 0x02, 0, 0, 0});
  expectMessage(messageOf(evaluateWeight(*module, "wide", store)), {"i4", "-8 to 7"});
}
