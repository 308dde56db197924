//===- IntegerTest.cpp - products of i8 and i4 against exact sums ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Weights come from a file, so that they are packed. Sums are compared bit by bit
// with sums in int64: every instruction that multiplies bytes has its own way to
// be a little wrong (saturated pairs, a sign, -128).
//
//===----------------------------------------------------------------------===//

#include "test/numeric/CompiledExecutor.h"
#include "test/unit/codegen/Differential.h"
#include "test/unit/weights/Fixtures.h"
#include "tools/driver/Driver.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

/// How values are chosen.
enum class Values { Random, Lowest, Highest, Extremes };

struct Case {
  int64_t columns, depth;
  bool isNarrow; ///< weights of i4
  Values weights = Values::Random;

  std::string name() const {
    return llvm::formatv("n{0}_k{1}_{2}_{3}", columns, depth, isNarrow ? "i4" : "i8",
                         static_cast<int>(weights));
  }
};

MLIRContext &context() {
  static MLIRContext *context = [] {
    DialectRegistry registry;
    registerAll(registry);
    return new MLIRContext(registry, MLIRContext::Threading::DISABLED);
  }();
  return *context;
}

std::vector<int64_t> choose(Values values, int64_t count, int64_t low, int64_t high, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_int_distribution<int64_t> uniform(low, high);
  std::vector<int64_t> result(static_cast<size_t>(count));
  for (int64_t &value : result)
    switch (values) {
    case Values::Random:
      value = uniform(random);
      break;
    case Values::Lowest:
      value = low;
      break;
    case Values::Highest:
      value = high;
      break;
    case Values::Extremes:
      value = random() % 2 ? low : high;
      break;
    }
  return result;
}

/// The function of `test` with rows `rows` (a number or `?`); `epilogue` scales by row and column.
std::string textOf(const Case &test, const std::string &rows, bool epilogue) {
  const char *format = R"(
transformer.weight @w_{0} : tensor<{1}x{2}x{3}> from "model.safetensors"
func.func @run_{0}_{8}(%x: tensor<{4}x{2}xi8> {{transformer.name = "x", transformer.dims = ["{5}", ""]}{6})
    -> (tensor<{4}x{1}x{7}> {{transformer.name = "y", transformer.dims = ["{5}", ""]}) {{
  %w = transformer.use @w_{0} : tensor<{1}x{2}x{3}>
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0 : i32
  %m = tensor.dim %x, %c0 : tensor<{4}x{2}xi8>
  %e = tensor.empty({9}) : tensor<{4}x{1}xi32>
  %f = linalg.fill ins(%zero : i32) outs(%e : tensor<{4}x{1}xi32>) -> tensor<{4}x{1}xi32>
  %s = linalg.generic {{indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
      affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%x, %w : tensor<{4}x{2}xi8>, tensor<{1}x{2}x{3}>) outs(%f : tensor<{4}x{1}xi32>) {{
  ^bb0(%a: i8, %b: {3}, %c: i32):
    %p = arith.extsi %a : i8 to i32
    %q = arith.extsi %b : {3} to i32
    %r = arith.muli %p, %q : i32
    %t = arith.addi %c, %r : i32
    linalg.yield %t : i32
  } -> tensor<{4}x{1}xi32>
{10}
})";
  std::string n = std::to_string(test.columns), k = std::to_string(test.depth), body;
  std::string type = "tensor<" + rows + "x" + n + "x";
  if (epilogue)
    body = llvm::formatv(R"(  %g = tensor.empty({0}) : {1}f32>
  %y = linalg.generic {{indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m)>,
      affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (n)>, affine_map<(m, n) -> (m, n)>],
      iterator_types = ["parallel", "parallel"]}
      ins(%s, %row, %column, %bias : {1}i32>, tensor<{2}xf32>, tensor<{3}xf32>, tensor<{3}xf32>) outs(%g : {1}f32>) {{
  ^bb0(%a: i32, %r: f32, %c: f32, %b: f32, %o: f32):
    %v = arith.sitofp %a : i32 to f32
    %p = arith.mulf %v, %r : f32
    %q = arith.mulf %p, %c : f32
    %z = arith.addf %q, %b : f32
    linalg.yield %z : f32
  } -> {1}f32>
  return %y : {1}f32>)",
                         rows == "?" ? "%m" : "", type, rows, n);
  else
    body = "  return %s : " + type + "i32>";
  std::string more;
  if (epilogue)
    more =
        llvm::formatv(", %row: tensor<{0}xf32> {{transformer.name = \"row\", transformer.dims = [\"{2}\"]}, "
                      "%column: tensor<{1}xf32> {{transformer.name = \"column\", transformer.dims = [\"\"]}, "
                      "%bias: tensor<{1}xf32> {{transformer.name = \"bias\", transformer.dims = [\"\"]}",
                      rows, n, rows == "?" ? "M" : "");
  return llvm::formatv(format, test.name(), n, k, test.isNarrow ? "i4" : "i8", rows, rows == "?" ? "M" : "",
                       more, epilogue ? "f32" : "i32", rows == "?" ? "any" : rows, rows == "?" ? "%m" : "",
                       body);
}

/// Functions of several weights, compiled from a folder that holds them.
class Products {
public:
  Products(ArrayRef<Case> cases, ArrayRef<std::string> rows, StringRef mcpu, bool epilogue = false) {
    std::string text;
    for (const Case &test : cases)
      for (const std::string &count : rows) {
        std::string one = textOf(test, count, epilogue);
        // The weight once.
        text += &count == rows.begin() ? one : one.substr(one.find("func.func"));
        text += "\n";
      }
    compile(cases, text, mcpu);
  }
  /// Of any functions.
  Products(StringRef mcpu, ArrayRef<Case> cases, const std::string &text) { compile(cases, text, mcpu); }

  /// Sums of `count` rows, each of which must be exact.
  void check(const Case &test, const std::string &rows, int64_t count, Values values);
  void checkEpilogue(const Case &test, const std::string &rows, int64_t count);
  int64_t compared() const { return sums; }
  std::vector<int64_t> expect(const Case &test, ArrayRef<int64_t> x, int64_t count) const;
  SmallVector<Tensor> call(const std::string &name, ArrayRef<Tensor> inputs);
  std::vector<int64_t> weightsOf(const Case &test) const {
    unsigned seed = static_cast<unsigned>(test.columns * 131 + test.depth + 7 * test.isNarrow);
    return choose(test.weights, test.columns * test.depth, test.isNarrow ? -8 : -128, test.isNarrow ? 7 : 127,
                  seed);
  }

private:
  void compile(ArrayRef<Case> cases, const std::string &text, StringRef mcpu);
  void writeWeights(ArrayRef<Case> cases);
  SmallVector<Tensor> call(const Case &test, const std::string &rows, ArrayRef<Tensor> inputs) {
    return call("run_" + test.name() + "_" + (rows == "?" ? "any" : rows), inputs);
  }

  test::TempFolder folder;
  std::unique_ptr<CompiledModule> compiled;
  int64_t sums = 0;
};

void Products::compile(ArrayRef<Case> cases, const std::string &text, StringRef mcpu) {
  writeWeights(cases);
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context());
  ASSERT_TRUE(module) << text;
  CompileOptions options;
  options.threads = 1;
  options.mcpu = mcpu.str();
  llvm::Expected<std::unique_ptr<CompiledModule>> result =
      CompiledModule::compile(*module, options, folder.str());
  ASSERT_TRUE(bool(result)) << mcpu.str() << ": " << llvm::toString(result.takeError());
  compiled = std::move(*result);
  if (llvm::Error error = compiled->begin(1, 0, /*threads=*/2))
    ADD_FAILURE() << llvm::toString(std::move(error));
}

void Products::writeWeights(ArrayRef<Case> cases) {
  test::SafetensorsBuilder file;
  for (const Case &test : cases) {
    std::vector<int64_t> weights = weightsOf(test);
    file.add("w_" + test.name(), "I8", {test.columns, test.depth},
             std::vector<int8_t>(weights.begin(), weights.end()));
  }
  folder.write("model.safetensors", file.build());
}

SmallVector<Tensor> Products::call(const std::string &name, ArrayRef<Tensor> inputs) {
  llvm::Expected<SmallVector<Tensor>> actual = compiled->call(name, inputs);
  if (actual)
    return std::move(*actual);
  ADD_FAILURE() << name << ": " << llvm::toString(actual.takeError());
  return {};
}

std::vector<int64_t> Products::expect(const Case &test, ArrayRef<int64_t> x, int64_t count) const {
  std::vector<int64_t> w = weightsOf(test), result;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < test.columns; ++j) {
      int64_t sum = 0;
      for (int64_t k = 0; k < test.depth; ++k)
        sum += x[i * test.depth + k] * w[j * test.depth + k];
      result.push_back(sum);
    }
  return result;
}

void Products::check(const Case &test, const std::string &rows, int64_t count, Values values) {
  ASSERT_TRUE(compiled);
  std::vector<int64_t> x = choose(values, count * test.depth, -128, 127, static_cast<unsigned>(count));
  Tensor input({count, test.depth}, IntegerType::get(&context(), 8), x);
  SmallVector<Tensor> actual = call(test, rows, input);
  ASSERT_EQ(actual.size(), 1U);
  std::vector<int64_t> wanted = expect(test, x, count);
  ASSERT_EQ(actual[0].getInts().size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    ASSERT_EQ(actual[0].getInts()[i], wanted[i])
        << test.name() << ", " << count << " rows of " << rows << ", row " << i / test.columns << ", column "
        << i % test.columns;
  sums += static_cast<int64_t>(wanted.size());
}

void Products::checkEpilogue(const Case &test, const std::string &rows, int64_t count) {
  ASSERT_TRUE(compiled);
  std::vector<int64_t> x =
      choose(Values::Random, count * test.depth, -128, 127, static_cast<unsigned>(count));
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  auto vector = [&](int64_t size) {
    Tensor tensor({size}, Float32Type::get(&context()));
    for (double &value : tensor.getMutableFloats())
      value = normal(random);
    tensor.round();
    return tensor;
  };
  Tensor row = vector(count), column = vector(test.columns), bias = vector(test.columns);
  SmallVector<Tensor> actual =
      call(test, rows, {Tensor({count, test.depth}, IntegerType::get(&context(), 8), x), row, column, bias});
  ASSERT_EQ(actual.size(), 1U);
  std::vector<int64_t> wanted = expect(test, x, count);
  for (size_t i = 0; i < wanted.size(); ++i) {
    size_t m = i / test.columns, n = i % test.columns;
    double product = static_cast<double>(wanted[i]) * row.getFloats()[m] * column.getFloats()[n];
    double exact = product + bias.getFloats()[n];
    // Four roundings to f32: of the sum, of two products and of the result.
    double allowed = 0x1p-24 * (3.01 * std::fabs(product) + std::fabs(exact)) + 1e-30;
    ASSERT_NEAR(actual[0].getFloats()[i], exact, allowed) << test.name() << ", " << m << ", " << n;
  }
  sums += static_cast<int64_t>(wanted.size());
}

//===----------------------------------------------------------------------===//
// Tests
//===----------------------------------------------------------------------===//

class IntegerTest : public TargetTest {
protected:
  void reportSums(const Products &products) {
    std::printf("  %lld sums\n", static_cast<long long>(products.compared()));
  }
};

/// Every way to multiply bytes that this machine has.
INSTANTIATE_TEST_SUITE_P(Targets, IntegerTest,
                         ::testing::Values("native", "alderlake", "x86-64-v4", "x86-64-v3", "x86-64-v2",
                                           "sandybridge"),
                         targetName);

constexpr int64_t kRows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 31};

std::vector<Case> around(bool isNarrow) {
  std::vector<Case> cases;
  constexpr int64_t columns[] = {1, 3, 16, 17, 33, 64, 65, 100}, depths[] = {1, 2, 3, 5, 8, 31, 64, 65, 130};
  // Each of both with three of the other.
  for (size_t i = 0; i < std::size(columns); ++i)
    for (size_t j = 0; j < 3; ++j)
      cases.push_back({columns[i], depths[(i * 4 + j * 5) % std::size(depths)], isNarrow});
  return cases;
}

/// Any number of rows, at sizes before, at and behind the borders of tiles, vectors and steps.
TEST_P(IntegerTest, AnyRows) {
  for (bool isNarrow : {false, true}) {
    std::vector<Case> cases = around(isNarrow);
    Products products(cases, {"?"}, GetParam());
    for (const Case &test : cases)
      for (int64_t rows : kRows)
        products.check(test, "?", rows, Values::Random);
    reportSums(products);
  }
}

/// One row, as in decoding, and a few have tiles of their own.
TEST_P(IntegerTest, FewRows) {
  for (bool isNarrow : {false, true}) {
    std::vector<Case> cases{{33, 65, isNarrow}, {64, 128, isNarrow}, {100, 200, isNarrow}};
    std::vector<std::string> rows{"1", "2", "3", "5", "7", "8", "12", "16"};
    Products products(cases, rows, GetParam());
    for (const Case &test : cases)
      for (const std::string &count : rows)
        products.check(test, count, std::stoll(count), Values::Random);
    reportSums(products);
  }
}

/// The values at which an instruction would saturate or lose a sign.
TEST_P(IntegerTest, ExtremeValues) {
  for (bool isNarrow : {false, true}) {
    std::vector<Case> cases;
    for (Values values : {Values::Lowest, Values::Highest, Values::Extremes})
      for (int64_t depth : {4, 63, 640})
        cases.push_back({48, depth, isNarrow, values});
    Products products(cases, {"?"}, GetParam());
    for (const Case &test : cases)
      for (Values values : {Values::Lowest, Values::Highest, Values::Extremes})
        for (int64_t rows : {1, 6, 9})
          products.check(test, "?", rows, values);
    reportSums(products);
  }
}

/// Several cache blocks of k, of columns and of rows, and sums near the end of i32.
TEST_P(IntegerTest, LargeSizes) {
  for (bool isNarrow : {false, true}) {
    std::vector<Case> cases{{200, 9001, isNarrow},
                            {72, 33000, isNarrow, Values::Extremes},
                            {64, 130000, isNarrow, Values::Lowest}};
    Products products(cases, {"?"}, GetParam());
    products.check(cases[0], "?", 150, Values::Random);
    products.check(cases[0], "?", 1, Values::Random);
    products.check(cases[1], "?", 7, Values::Extremes);
    products.check(cases[2], "?", 2, Values::Lowest);
    products.check(cases[2], "?", 3, Values::Highest);
    reportSums(products);
  }
}

/// Scales of rows and of columns and a bias, on the sums in registers.
TEST_P(IntegerTest, Epilogues) {
  for (bool isNarrow : {false, true}) {
    std::vector<Case> cases{{33, 65, isNarrow}, {64, 128, isNarrow}, {100, 48, isNarrow}};
    Products products(cases, {"?", "1"}, GetParam(), /*epilogue=*/true);
    for (const Case &test : cases) {
      for (int64_t rows : kRows)
        products.checkEpilogue(test, "?", rows);
      products.checkEpilogue(test, "1", 1);
    }
    reportSums(products);
  }
}

/// Rows that are rounded to i8 on the way, two products of them, and what is made of both sums. A weight that
/// is read element by element stays as it is.
TEST_P(IntegerTest, Layers) {
  for (bool isNarrow : {false, true}) {
    Case left{50, 66, isNarrow}, right{50, 66, isNarrow, Values::Extremes};
    std::string type = isNarrow ? "i4" : "i8";
    auto product = [&](const std::string &result, const Case &weight) -> std::string {
      return llvm::formatv(R"(
  %w{0} = transformer.use @w_{1} : tensor<50x66x{2}>
  %e{0} = tensor.empty(%m) : tensor<?x50xi32>
  %f{0} = linalg.fill ins(%zero : i32) outs(%e{0} : tensor<?x50xi32>) -> tensor<?x50xi32>
  %{0} = linalg.generic {{indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
      affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%q, %w{0} : tensor<?x66xi8>, tensor<50x66x{2}>) outs(%f{0} : tensor<?x50xi32>) {{
  ^bb0(%a: i8, %b: {2}, %c: i32):
    %l = arith.extsi %a : i8 to i32
    %r = arith.extsi %b : {2} to i32
    %p = arith.muli %r, %l : i32
    %t = arith.addi %p, %c : i32
    linalg.yield %t : i32
  } -> tensor<?x50xi32>)",
                           result, weight.name(), type);
    };
    std::string text;
    for (const Case &weight : {left, right})
      text += "transformer.weight @w_" + weight.name() + " : tensor<50x66x" + type +
              "> from \"model.safetensors\"\n";
    text += R"(
func.func @layer(%x: tensor<?x66xf32> {transformer.name = "x", transformer.dims = ["M", ""]})
    -> (tensor<?x50xi32> {transformer.name = "y", transformer.dims = ["M", ""]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0 : i32
  %m = tensor.dim %x, %c0 : tensor<?x66xf32>
  %eq = tensor.empty(%m) : tensor<?x66xi8>
  %q = linalg.generic {indexing_maps = [affine_map<(m, k) -> (m, k)>, affine_map<(m, k) -> (m, k)>],
      iterator_types = ["parallel", "parallel"]} ins(%x : tensor<?x66xf32>) outs(%eq : tensor<?x66xi8>) {
  ^bb0(%a: f32, %b: i8):
    %i = arith.fptosi %a : f32 to i32
    %n = arith.trunci %i : i32 to i8
    linalg.yield %n : i8
  } -> tensor<?x66xi8>)" +
            product("s", left) + product("t", right) + R"(
  %ey = tensor.empty(%m) : tensor<?x50xi32>
  %y = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m, n)>,
      affine_map<(m, n) -> (m, n)>], iterator_types = ["parallel", "parallel"]}
      ins(%s, %t : tensor<?x50xi32>, tensor<?x50xi32>) outs(%ey : tensor<?x50xi32>) {
  ^bb0(%a: i32, %b: i32, %c: i32):
    %three = arith.constant 3 : i32
    %p = arith.muli %b, %three : i32
    %d = arith.subi %a, %p : i32
    linalg.yield %d : i32
  } -> tensor<?x50xi32>
  return %y : tensor<?x50xi32>
}
func.func @widened() -> (tensor<50x66xf32> {transformer.name = "y", transformer.dims = ["", ""]}) {
  %w = transformer.use @w_)" +
            left.name() + " : tensor<50x66x" + type + R"(>
  %e = tensor.empty() : tensor<50x66xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(n, k) -> (n, k)>, affine_map<(n, k) -> (n, k)>],
      iterator_types = ["parallel", "parallel"]} ins(%w : tensor<50x66x)" +
            type + ">) outs(%e : tensor<50x66xf32>) {\n  ^bb0(%a: " + type + R"(, %b: f32):
    %f = arith.sitofp %a : )" +
            type + R"( to f32
    linalg.yield %f : f32
  } -> tensor<50x66xf32>
  return %y : tensor<50x66xf32>
}
)";
    Products products(GetParam(), {left, right}, text);
    for (int64_t rows : kRows) {
      std::vector<int64_t> x = choose(Values::Random, rows * 66, -128, 127, static_cast<unsigned>(rows));
      Tensor input({rows, 66}, Float32Type::get(&context()), std::vector<double>(x.begin(), x.end()));
      SmallVector<Tensor> actual = products.call("layer", input);
      ASSERT_EQ(actual.size(), 1U);
      std::vector<int64_t> s = products.expect(left, x, rows), t = products.expect(right, x, rows);
      for (size_t i = 0; i < s.size(); ++i)
        ASSERT_EQ(actual[0].getInts()[i], s[i] - 3 * t[i]) << rows << " rows, at " << i;
    }
    SmallVector<Tensor> widened = products.call("widened", {});
    ASSERT_EQ(widened.size(), 1U);
    std::vector<int64_t> w = products.weightsOf(left);
    for (size_t i = 0; i < w.size(); ++i)
      ASSERT_EQ(widened[0].getFloats()[i], static_cast<double>(w[i])) << i;
  }
}

} // namespace
