//===- InterpreterTest.cpp - what the numeric tests do not reach: rounding, control flow, diagnostics ===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Interpreter.h"

#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Parses modules, runs their functions, keeps the text of diagnostics.
class Interpreter : public ::testing::Test {
protected:
  Interpreter() : context(registry(), MLIRContext::Threading::DISABLED) {
    context.loadDialect<TransformerDialect>();
    context.getDiagEngine().registerHandler(
        [&](Diagnostic &diagnostic) { messages += diagnostic.str() + "\n"; });
  }

  static const DialectRegistry &registry() {
    static DialectRegistry *registry = [] {
      auto *r = new DialectRegistry;
      registerAllDialects(*r);
      r->insert<TransformerDialect>();
      return r;
    }();
    return *registry;
  }

  /// Runs @main of `source`.
  FailureOr<SmallVector<RuntimeValue>> run(StringRef source, ArrayRef<RuntimeValue> args,
                                           Rounding rounding = Rounding::Ideal) {
    options.rounding = rounding;
    module = parseSourceString<ModuleOp>(source, &context);
    if (!module) {
      ADD_FAILURE() << "the test's module does not parse: " << messages;
      return failure();
    }
    return interpret(*module, "main", args, options);
  }

  /// Expects that running @main fails with a diagnostic that contains `message`.
  void expectError(StringRef source, ArrayRef<RuntimeValue> args, StringRef message) {
    messages.clear();
    EXPECT_TRUE(failed(run(source, args)));
    EXPECT_TRUE(StringRef(messages).contains(message)) << messages;
  }

  /// Expects one tensor of floats, exactly.
  void expectFloats(const FailureOr<SmallVector<RuntimeValue>> &results, std::vector<double> expected) {
    ASSERT_TRUE(succeeded(results)) << messages;
    EXPECT_EQ(std::get<Tensor>((*results)[0]).getFloats(), ArrayRef<double>(expected));
  }
  void expectInt(const FailureOr<SmallVector<RuntimeValue>> &results, int64_t expected) {
    ASSERT_TRUE(succeeded(results)) << messages;
    EXPECT_EQ(std::get<int64_t>((*results)[0]), expected);
  }

  Tensor floats(ArrayRef<int64_t> shape, std::vector<double> values) {
    return Tensor(shape, Float32Type::get(&context), std::move(values));
  }
  Tensor ints(ArrayRef<int64_t> shape, std::vector<int64_t> values) {
    return Tensor(shape, IntegerType::get(&context, 32), std::move(values));
  }

  MLIRContext context;
  InterpreterOptions options;
  OwningOpRef<ModuleOp> module;
  std::string messages;
};

} // namespace

//===----------------------------------------------------------------------===//
// Rounding
//===----------------------------------------------------------------------===//

TEST_F(Interpreter, RoundsToNearestEven) {
  Type bf16 = BFloat16Type::get(&context), f16 = Float16Type::get(&context), f32 = Float32Type::get(&context);
  EXPECT_EQ(roundTo(bf16, 1.00390625), 1.0);      // half way, down to even
  EXPECT_EQ(roundTo(bf16, 1.01171875), 1.015625); // half way, up to even
  EXPECT_EQ(roundTo(bf16, 1.00390625 + 1e-12), 1.0078125);
  EXPECT_EQ(roundTo(bf16, -1e-50), 0.0);
  EXPECT_EQ(roundTo(bf16, 0x1p-133), 0x1p-133); // the least subnormal
  EXPECT_EQ(roundTo(bf16, 0x1.8p-134), 0x1p-133);
  EXPECT_EQ(roundTo(bf16, 0x1p-134), 0.0); // half of it
  EXPECT_EQ(roundTo(bf16, 3.4e38), INFINITY);
  EXPECT_EQ(roundTo(f16, 65519.0), 65504.0);
  EXPECT_EQ(roundTo(f16, 65520.0), INFINITY);
  EXPECT_EQ(roundTo(f16, 0x1p-24), 0x1p-24);
  EXPECT_EQ(roundTo(f32, 0.1), static_cast<double>(0.1f));
  EXPECT_TRUE(std::isnan(roundTo(bf16, NAN)));
  // Every type against APFloat, over magnitudes from subnormal to overflow.
  for (Type type : {bf16, f16, f32}) {
    uint64_t state = 1;
    for (int i = 0; i < 20000; ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      double value =
          std::ldexp(1.0 + (state >> 11) * 0x1p-53, int(state % 320) - 170) * (state & 1024 ? 1 : -1);
      APFloat number(value);
      bool losesInfo;
      number.convert(cast<FloatType>(type).getFloatSemantics(), APFloat::rmNearestTiesToEven, &losesInfo);
      number.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &losesInfo);
      ASSERT_EQ(roundTo(type, value), number.convertToDouble()) << value;
    }
  }
}

TEST_F(Interpreter, RoundsWhereATensorIsMade) {
  const char *source = R"(
    func.func @main(%a: tensor<1xf32>, %b: tensor<1xf32>) -> tensor<1xbf16> {
      %0 = arith.mulf %a, %b : tensor<1xf32>
      %1 = arith.truncf %0 : tensor<1xf32> to tensor<1xbf16>
      return %1 : tensor<1xbf16>
    })";
  double a = 1.1f, b = 3.3f;
  expectFloats(run(source, {floats({1}, {a}), floats({1}, {b})}), {a * b});
  expectFloats(run(source, {floats({1}, {a}), floats({1}, {b})}, Rounding::IR),
               {roundTo(BFloat16Type::get(&context), static_cast<float>(a * b))});
}

TEST_F(Interpreter, DoesNotRoundInsideAnOp) {
  // The sum 2^24 + 1 does not fit f32; minus 2^24 it is 1 again.
  const char *source = R"(
    func.func @main(%a: tensor<1xf32>) -> tensor<1xf32> {
      %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%a : tensor<1xf32>) {
      ^bb0(%x: f32):
        %one = arith.constant 1.0 : f32
        %1 = arith.addf %x, %one : f32
        %2 = arith.subf %1, %x : f32
        linalg.yield %2 : f32
      } -> tensor<1xf32>
      return %0 : tensor<1xf32>
    })";
  expectFloats(run(source, {floats({1}, {16777216.0})}, Rounding::IR), {1.0});
}

TEST_F(Interpreter, CachesRoundTheirElements) {
  const char *source = R"(
    func.func @main(%q: tensor<1x1x1x1xf32>, %v: tensor<1x1x1x1xf32>, %c: !transformer.kv_cache<1 x 1 x bf16, full>) -> (tensor<1x1x1x1xf32>, !transformer.kv_cache<1 x 1 x bf16, full>) {
      %0 = transformer.cache_append %c, %q, %v : !transformer.kv_cache<1 x 1 x bf16, full>, tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>
      %1 = transformer.attention %q cache %0 scale 1.0 mask <causal> : tensor<1x1x1x1xf32>, !transformer.kv_cache<1 x 1 x bf16, full> -> tensor<1x1x1x1xf32>
      return %1, %0 : tensor<1x1x1x1xf32>, !transformer.kv_cache<1 x 1 x bf16, full>
    })";
  auto cache =
      KVCache::empty(KVCacheType::get(&context, 1, 1, BFloat16Type::get(&context), CachePolicy::Full, 0), 1);
  Tensor q = floats({1, 1, 1, 1}, {1}), v = floats({1, 1, 1, 1}, {1.00390625});
  expectFloats(run(source, {q, v, cache}), {1.00390625});
  expectFloats(run(source, {q, v, cache}, Rounding::IR), {1.0});
}

TEST_F(Interpreter, GatedMLPStoresTheProductInTheInputType) {
  const char *source = R"(
    func.func @main(%x: tensor<1x1xbf16>, %g: tensor<1x1xf32>, %u: tensor<1x1xf32>, %d: tensor<1x1xf32>) -> tensor<1x1xf32> {
      %0 = transformer.gated_mlp relu %x, %g, %u, %d : tensor<1x1xbf16>, tensor<1x1xf32>, tensor<1x1xf32>, tensor<1x1xf32> -> tensor<1x1xf32>
      return %0 : tensor<1x1xf32>
    })";
  Tensor x({1, 1}, BFloat16Type::get(&context), std::vector<double>{1});
  Tensor one = floats({1, 1}, {1}), up = floats({1, 1}, {1.00390625});
  expectFloats(run(source, {x, one, up, one}), {1.00390625});
  expectFloats(run(source, {x, one, up, one}, Rounding::IR), {1.0});
}

/// Of two keys with weights 1 and e^-1 the second weight is 0.3671875 in bf16; the sum of both is not
/// rounded.
TEST_F(Interpreter, AttentionRoundsItsWeightsWhereAllIsNarrow) {
  auto source = [](StringRef result) {
    return ("func.func @main(%q: tensor<1x1x1x1xbf16>, %k: tensor<1x2x1x1xbf16>, %v: tensor<1x2x1x1xbf16>) "
            "-> "
            "tensor<1x1x1x1x" +
            result +
            "> {\n"
            "  %0 = transformer.attention %q, %k, %v scale 1.0 mask <none> : tensor<1x1x1x1xbf16>, "
            "tensor<1x2x1x1xbf16>, tensor<1x2x1x1xbf16> -> tensor<1x1x1x1x" +
            result +
            ">\n"
            "  return %0 : tensor<1x1x1x1x" +
            result + ">\n}")
        .str();
  };
  Type bf16 = BFloat16Type::get(&context);
  Tensor q({1, 1, 1, 1}, bf16, std::vector<double>{1}), k({1, 2, 1, 1}, bf16, std::vector<double>{0, -1}),
      v({1, 2, 1, 1}, bf16, std::vector<double>{0, 1});
  double exact = std::exp(-1) / (1 + std::exp(-1)), rounded = 0.3671875 / (1 + std::exp(-1));
  auto resultOf = [&](StringRef type) {
    FailureOr<SmallVector<RuntimeValue>> results = run(source(type), {q, k, v}, Rounding::IR);
    return succeeded(results) ? std::get<Tensor>((*results)[0]).getFloats()[0] : -1;
  };
  EXPECT_EQ(resultOf("f32"), static_cast<float>(exact));
  EXPECT_EQ(resultOf("bf16"), roundTo(bf16, rounded));
  EXPECT_NE(roundTo(bf16, rounded), roundTo(bf16, exact));
}

//===----------------------------------------------------------------------===//
// Weights, launches, calls
//===----------------------------------------------------------------------===//

TEST_F(Interpreter, ReadsWeights) {
  const char *source = R"(
    transformer.weight @w : tensor<2xf32> from "model.safetensors"
    func.func @main() -> tensor<2xf32> {
      %0 = transformer.use @w : tensor<2xf32>
      return %0 : tensor<2xf32>
    })";
  expectError(source, {}, "reads @w, but no weights were given");
  options.weight = [&](StringRef name) -> FailureOr<Tensor> {
    EXPECT_EQ(name, "w");
    return floats({2}, {1, 2});
  };
  expectFloats(run(source, {}), {1, 2});
  options.weight = [&](StringRef) -> FailureOr<Tensor> { return floats({3}, {1, 2, 3}); };
  expectError(source, {}, "expected a weight of type 'tensor<2xf32>', but got 'tensor<3xf32>'");
  options.weight = [&](StringRef) -> FailureOr<Tensor> { return failure(); };
  expectError(source, {}, "cannot read the weight @w");
}

TEST_F(Interpreter, LaunchCallsItsKernel) {
  const char *source = R"(
    func.func private @kernel(%a: tensor<?xf32>, %b: tensor<?xf32>, %out: tensor<?xf32>) -> tensor<?xf32> {
      %0 = linalg.sub ins(%a, %b : tensor<?xf32>, tensor<?xf32>) outs(%out : tensor<?xf32>) -> tensor<?xf32>
      return %0 : tensor<?xf32>
    }
    func.func @main(%a: tensor<?xf32>, %b: tensor<?xf32>) -> tensor<?xf32> {
      %0 = transformer.launch @kernel ins(%a, %b : tensor<?xf32>, tensor<?xf32>) outs(%b : tensor<?xf32>) -> tensor<?xf32>
      return %0 : tensor<?xf32>
    })";
  expectFloats(run(source, {floats({2}, {5, 7}), floats({2}, {1, 2})}), {4, 5});
}

TEST_F(Interpreter, EmittedKernelsAreRefused) {
  expectError(R"(
    func.func private @kernel(memref<?xf32>, index, index)
    func.func @main(%a: tensor<?xf32>) -> tensor<?xf32> {
      %0 = transformer.launch @kernel outs(%a : tensor<?xf32>) -> tensor<?xf32>
      return %0 : tensor<?xf32>
    })",
              {floats({2}, {5, 7})}, "interpret the program before kernels are emitted");
}

TEST_F(Interpreter, RecursionEnds) {
  expectError("func.func @main() { call @main() : () -> () return }", {}, "calls deep");
}

TEST_F(Interpreter, ArgumentsAreChecked) {
  const char *source = "func.func @main(%a: tensor<?x2xf32>) { return }";
  EXPECT_TRUE(succeeded(run(source, {floats({3, 2}, std::vector<double>(6))})));
  expectError(source, {floats({2, 3}, std::vector<double>(6))}, "expected a value of type 'tensor<?x2xf32>'");
  expectError(source, {ints({3, 2}, std::vector<int64_t>(6))}, "but got 'tensor<3x2xi32>'");
  expectError(source, {int64_t(1)}, "but got an integer");
  expectError(source, {}, "expected 1 arguments, but got 0");
  expectError("func.func @other() { return }", {}, "expected a function named 'main'");
  expectError("func.func private @main()", {}, "has no body to interpret");
}

TEST_F(Interpreter, UnknownOpsAreNamed) {
  expectError("func.func @main(%a: vector<2xf32>) { return }", {1.0},
              "expected a value of type 'vector<2xf32>'");
  expectError("func.func @main() { %0 = memref.alloc() : memref<2xf32> return }", {},
              "'memref.alloc' op is not supported by the interpreter");
  expectError("func.func @main() { cf.br ^a\n ^a: return }", {}, "only structured control flow");
}

//===----------------------------------------------------------------------===//
// arith
//===----------------------------------------------------------------------===//

TEST_F(Interpreter, IntegersWrapAndDivide) {
  auto binary = [&](StringRef op, int64_t a, int64_t b, StringRef type = "i8") {
    return run(("func.func @main(%a: " + type + ", %b: " + type + ") -> " + type + " { %0 = arith." + op +
                " %a, %b : " + type + " return %0 : " + type + " }")
                   .str(),
               {a, b});
  };
  expectInt(binary("addi", 127, 1), -128);
  expectInt(binary("muli", 100, 100), 16);
  expectInt(binary("divsi", -7, 2), -3);
  expectInt(binary("floordivsi", -7, 2), -4);
  expectInt(binary("ceildivsi", 7, 2), 4);
  expectInt(binary("ceildivsi", -7, 2), -3);
  expectInt(binary("remsi", -7, 2), -1);
  expectInt(binary("divui", -1, 2), 127);
  expectInt(binary("ceildivui", -1, 2), -128);
  expectInt(binary("remui", -1, 16), 15);
  expectInt(binary("shrsi", -128, 3), -16);
  expectInt(binary("shrui", -128, 3), 16);
  expectInt(binary("shli", 3, 7), -128);
  expectInt(binary("maxui", -1, 1), -1);
  expectInt(binary("minui", -1, 1), 1);
  expectInt(binary("maxsi", -1, 1), 1);
  expectInt(binary("xori", 1, 1, "i1"), 0);
  expectInt(binary("remsi", std::numeric_limits<int64_t>::min(), -1, "i64"), 0);
  for (StringRef op : {"divsi", "divui", "remsi", "remui", "ceildivsi", "ceildivui", "floordivsi"}) {
    messages.clear();
    EXPECT_TRUE(failed(binary(op, 1, 0)));
    EXPECT_TRUE(StringRef(messages).contains("divides by zero")) << messages;
  }
  messages.clear();
  EXPECT_TRUE(failed(binary("divsi", -128, -1)));
  EXPECT_TRUE(StringRef(messages).contains("overflows")) << messages;
  EXPECT_TRUE(failed(binary("divsi", std::numeric_limits<int64_t>::min(), -1, "i64")));
  EXPECT_TRUE(failed(binary("shli", 1, 8)));
}

TEST_F(Interpreter, Conversions) {
  auto unary = [&](StringRef op, RuntimeValue value, StringRef from, StringRef to) {
    return run(("func.func @main(%a: " + from + ") -> " + to + " { %0 = arith." + op + " %a : " + from +
                " to " + to + " return %0 : " + to + " }")
                   .str(),
               {value});
  };
  expectInt(unary("extsi", int64_t(1), "i1", "i8"), -1);
  expectInt(unary("extui", int64_t(1), "i1", "i8"), 1);
  expectInt(unary("extui", int64_t(-1), "i8", "i16"), 255);
  expectInt(unary("trunci", int64_t(0x1ff), "i16", "i8"), -1);
  expectInt(unary("fptosi", -2.9, "f32", "i32"), -2);
  expectInt(unary("bitcast", 1.0, "f32", "i32"), 0x3f800000);
  expectInt(unary("bitcast", -2.0, "bf16", "i16"), static_cast<int16_t>(0xc000));
  EXPECT_EQ(std::get<double>((*unary("bitcast", int64_t(0x3f80), "i16", "bf16"))[0]), 1.0);
  EXPECT_EQ(std::get<double>((*unary("uitofp", int64_t(-1), "i8", "f32"))[0]), 255.0);
  EXPECT_EQ(std::get<double>((*unary("sitofp", int64_t(1), "i1", "f32"))[0]), -1.0);
  for (double value : {300.0, -129.0, static_cast<double>(NAN), static_cast<double>(INFINITY)}) {
    messages.clear();
    EXPECT_TRUE(failed(unary("fptosi", value, "f32", "i8")));
    EXPECT_TRUE(StringRef(messages).contains("cannot hold")) << messages;
  }
}

TEST_F(Interpreter, ComparisonsOfNaN) {
  auto compare = [&](StringRef predicate) {
    return run(("func.func @main(%a: f32, %b: f32) -> i1 { %0 = arith.cmpf " + predicate +
                ", %a, %b : f32 return %0 : i1 }")
                   .str(),
               {static_cast<double>(NAN), 1.0});
  };
  expectInt(compare("olt"), 0);
  expectInt(compare("one"), 0);
  expectInt(compare("ult"), 1);
  expectInt(compare("une"), 1);
  expectInt(compare("uno"), 1);
  expectInt(compare("ord"), 0);
}

//===----------------------------------------------------------------------===//
// Structured ops and control flow
//===----------------------------------------------------------------------===//

TEST_F(Interpreter, UninitialisedElementsShow) {
  // The sum begins with what nobody wrote.
  auto results = run(R"(
    func.func @main(%a: tensor<2xf32>) -> tensor<f32> {
      %e = tensor.empty() : tensor<f32>
      %0 = linalg.reduce { arith.addf } ins(%a : tensor<2xf32>) outs(%e : tensor<f32>) dimensions = [0]
      return %0 : tensor<f32>
    })",
                     {floats({2}, {1, 2})});
  ASSERT_TRUE(succeeded(results));
  EXPECT_TRUE(std::isnan(std::get<Tensor>((*results)[0]).getFloats()[0]));
}

TEST_F(Interpreter, BodyWithControlFlow) {
  expectFloats(run(R"(
    func.func @main(%a: tensor<3xf32>) -> tensor<3xf32> {
      %c1 = arith.constant 1 : index
      %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%a : tensor<3xf32>) {
      ^bb0(%x: f32):
        %i = linalg.index 0 : index
        %is = arith.cmpi eq, %i, %c1 : index
        %1 = scf.if %is -> (f32) {
          %2 = arith.addf %x, %x : f32
          scf.yield %2 : f32
        } else {
          scf.yield %x : f32
        }
        linalg.yield %1 : f32
      } -> tensor<3xf32>
      return %0 : tensor<3xf32>
    })",
                   {floats({3}, {1, 2, 3})}),
               {1, 4, 3});
}

TEST_F(Interpreter, MapsThatAreNotProjections) {
  // A convolution of width 2, a reversal by affine.apply.
  expectFloats(run(R"(
    func.func @main(%a: tensor<4xf32>, %k: tensor<2xf32>) -> tensor<3xf32> {
      %zero = arith.constant dense<0.0> : tensor<3xf32>
      %0 = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0 + d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%a, %k : tensor<4xf32>, tensor<2xf32>) outs(%zero : tensor<3xf32>) {
      ^bb0(%x: f32, %y: f32, %sum: f32):
        %1 = arith.mulf %x, %y : f32
        %2 = arith.addf %sum, %1 : f32
        linalg.yield %2 : f32
      } -> tensor<3xf32>
      return %0 : tensor<3xf32>
    })",
                   {floats({4}, {1, 2, 3, 4}), floats({2}, {10, 1})}),
               {12, 23, 34});
  expectFloats(run(R"(
    func.func @main(%a: tensor<?xf32>) -> tensor<?xf32> {
      %c0 = arith.constant 0 : index
      %n = tensor.dim %a, %c0 : tensor<?xf32>
      %0 = tensor.generate %n {
      ^bb0(%i: index):
        %j = affine.apply affine_map<(d0)[s0] -> (s0 - d0 - 1)>(%i)[%n]
        %x = tensor.extract %a[%j] : tensor<?xf32>
        tensor.yield %x : f32
      } : tensor<?xf32>
      return %0 : tensor<?xf32>
    })",
                   {floats({3}, {1, 2, 3})}),
               {3, 2, 1});
}

TEST_F(Interpreter, Loops) {
  // 2^n by a while loop, capped by affine.min.
  const char *source = R"(
    func.func @main(%n: index) -> index {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %0:2 = scf.while (%i = %c0, %x = %c1) : (index, index) -> (index, index) {
        %more = arith.cmpi slt, %i, %n : index
        scf.condition(%more) %i, %x : index, index
      } do {
      ^bb0(%i: index, %x: index):
        %next = arith.addi %i, %c1 : index
        %twice = arith.addi %x, %x : index
        scf.yield %next, %twice : index, index
      }
      %1 = affine.min affine_map<(d0) -> (d0, 1000)>(%0#1)
      return %1 : index
    })";
  expectInt(run(source, {int64_t(5)}), 32);
  expectInt(run(source, {int64_t(20)}), 1000);
  expectFloats(run(R"(
    func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {
      %0 = scf.forall (%i) = (0) to (4) step (2) shared_outs(%out = %a) -> (tensor<4xf32>) {
        %1 = tensor.extract_slice %a[%i] [2] [1] : tensor<4xf32> to tensor<2xf32>
        %2 = arith.addf %1, %1 : tensor<2xf32>
        scf.forall.in_parallel {
          tensor.parallel_insert_slice %2 into %out[%i] [2] [1] : tensor<2xf32> into tensor<4xf32>
        }
      }
      return %0 : tensor<4xf32>
    })",
                   {floats({4}, {1, 2, 3, 4})}),
               {2, 4, 6, 8});
  expectError("func.func @main(%s: index) { scf.for %i = %s to %s step %s { } return }", {int64_t(0)},
              "expected a positive step, but got 0");
}

//===----------------------------------------------------------------------===//
// What does not fit
//===----------------------------------------------------------------------===//

TEST_F(Interpreter, IndicesOutOfRange) {
  const char *extract = R"(
    func.func @main(%a: tensor<?xf32>, %i: index) -> f32 {
      %0 = tensor.extract %a[%i] : tensor<?xf32>
      return %0 : f32
    })";
  expectError(extract, {floats({2}, {1, 2}), int64_t(2)}, "uses index 2 of a dimension of 2");
  expectError(extract, {floats({2}, {1, 2}), int64_t(-1)}, "uses index -1 of a dimension of 2");
  const char *slice = R"(
    func.func @main(%a: tensor<?xf32>, %offset: index, %size: index, %step: index) -> tensor<?xf32> {
      %0 = tensor.extract_slice %a[%offset] [%size] [%step] : tensor<?xf32> to tensor<?xf32>
      return %0 : tensor<?xf32>
    })";
  expectFloats(run(slice, {floats({4}, {1, 2, 3, 4}), int64_t(3), int64_t(2), int64_t(-2)}), {4, 2});
  expectFloats(run(slice, {floats({4}, {1, 2, 3, 4}), int64_t(4), int64_t(0), int64_t(1)}), {});
  expectError(slice, {floats({4}, {1, 2, 3, 4}), int64_t(3), int64_t(2), int64_t(1)},
              "takes 2 elements from 3");
  expectError(slice, {floats({4}, {1, 2, 3, 4}), int64_t(0), int64_t(-1), int64_t(1)}, "takes -1 elements");
  expectError(slice, {floats({4}, {1, 2, 3, 4}), int64_t(0), int64_t(3), std::numeric_limits<int64_t>::max()},
              "takes 3 elements");
  expectError(R"(
    func.func @main(%a: tensor<?xf32>, %t: tensor<2xf32>) -> tensor<?xf32> {
      %0 = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]} outs(%a : tensor<?xf32>) {
      ^bb0(%x: f32):
        %i = linalg.index 0 : index
        %1 = tensor.extract %t[%i] : tensor<2xf32>
        linalg.yield %1 : f32
      } -> tensor<?xf32>
      return %0 : tensor<?xf32>
    })",
              {floats({3}, {1, 2, 3}), floats({2}, {1, 2})}, "reads index 2 of a dimension of 2");
}

TEST_F(Interpreter, ShapesThatDoNotFit) {
  expectError(R"(
    func.func @main(%a: tensor<?xf32>, %b: tensor<?xf32>) -> tensor<?xf32> {
      %0 = arith.addf %a, %b : tensor<?xf32>
      return %0 : tensor<?xf32>
    })",
              {floats({2}, {1, 2}), floats({1}, {1})}, "expected operands of one shape, but got [2] and [1]");
  expectError(R"(
    func.func @main(%a: tensor<?xf32>, %b: tensor<?xf32>) -> tensor<?xf32> {
      %0 = linalg.add ins(%a, %b : tensor<?xf32>, tensor<?xf32>) outs(%a : tensor<?xf32>) -> tensor<?xf32>
      return %0 : tensor<?xf32>
    })",
              {floats({2}, {1, 2}), floats({1}, {1})}, "runs loop 0 over dimensions of 2 and 1");
  expectError(R"(
    func.func @main(%n: index) -> tensor<?xf32> {
      %0 = tensor.empty(%n) : tensor<?xf32>
      return %0 : tensor<?xf32>
    })",
              {int64_t(-1)}, "impossible shape [-1]");
  expectError(R"(
    func.func @main(%a: tensor<?xf32>) -> tensor<3xf32> {
      %0 = tensor.cast %a : tensor<?xf32> to tensor<3xf32>
      return %0 : tensor<3xf32>
    })",
              {floats({2}, {1, 2})}, "expected a value of type 'tensor<3xf32>', but got 'tensor<2xf32>'");
  expectError(R"(
    func.func @main(%a: tensor<?xf32>, %n: index) -> tensor<?x2xf32> {
      %0 = tensor.expand_shape %a [[0, 1]] output_shape [%n, 2] : tensor<?xf32> into tensor<?x2xf32>
      return %0 : tensor<?x2xf32>
    })",
              {floats({4}, {1, 2, 3, 4}), int64_t(3)}, "expands dimension 0 of 4 to [3, 2]");
  expectError(R"(
    func.func @main(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>) -> tensor<?x?xf32> {
      %0 = transformer.linear %x, %w : tensor<?x?xf32>, tensor<?x?xf32> -> tensor<?x?xf32>
      return %0 : tensor<?x?xf32>
    })",
              {floats({1, 2}, {1, 2}), floats({1, 3}, {1, 2, 3})},
              "expected a weight of 2 columns, but got 3");
  expectError(R"(
    func.func @main(%ids: tensor<1xi32>, %t: tensor<4x1xf32>) -> tensor<1x1xf32> {
      %0 = transformer.embedding %ids, %t : tensor<1xi32>, tensor<4x1xf32> -> tensor<1x1xf32>
      return %0 : tensor<1x1xf32>
    })",
              {ints({1}, {4}), floats({4, 1}, {1, 2, 3, 4})}, "reads id 4 of a table of 4 rows");
  expectError(R"(
    func.func @main(%x: tensor<1x2x1x2xf32>, %t: tensor<4x1xf32>, %at: tensor<1xi32>) -> tensor<1x2x1x2xf32> {
      %0 = transformer.rope half_split %x, %t, %t at %at : tensor<1x2x1x2xf32>, tensor<4x1xf32>, tensor<4x1xf32>, tensor<1xi32> -> tensor<1x2x1x2xf32>
      return %0 : tensor<1x2x1x2xf32>
    })",
              {floats({1, 2, 1, 2}, {1, 2, 3, 4}), floats({4, 1}, {1, 2, 3, 4}), ints({1}, {3})},
              "rotates position 4 with tables of 4 positions");
}

TEST_F(Interpreter, RowsOfACacheHaveTheirOwnLength) {
  // Row 0 holds one position before the call, row 1 two; the new query of each sees all of its row.
  const char *source = R"(
    func.func @main(%q: tensor<2x1x1x1xf32>, %v: tensor<2x1x1x1xf32>, %c: !transformer.kv_cache<1 x 1 x f32, full>) -> (tensor<2x1x1x1xf32>, !transformer.kv_cache<1 x 1 x f32, full>) {
      %0 = transformer.cache_append %c, %q, %v : !transformer.kv_cache<1 x 1 x f32, full>, tensor<2x1x1x1xf32>, tensor<2x1x1x1xf32>
      %1 = transformer.attention %q cache %0 scale 1.0 mask <causal> : tensor<2x1x1x1xf32>, !transformer.kv_cache<1 x 1 x f32, full> -> tensor<2x1x1x1xf32>
      return %1, %0 : tensor<2x1x1x1xf32>, !transformer.kv_cache<1 x 1 x f32, full>
    })";
  KVCache cache =
      KVCache::empty(KVCacheType::get(&context, 1, 1, Float32Type::get(&context), CachePolicy::Full, 0), 2);
  cache.keys = floats({2, 1, 2, 1}, {0, 99, 0, 0});
  cache.values = floats({2, 1, 2, 1}, {3, 99, 3, 6});
  cache.length = {1, 2};
  expectFloats(run(source, {floats({2, 1, 1, 1}, {0, 0}), floats({2, 1, 1, 1}, {5, 9}), cache}), {4, 6});
}

TEST_F(Interpreter, RingsForget) {
  // Appends `n` positions one by one, then attends with three queries at once.
  const char *source = R"(
    func.func @main(%q: tensor<1x3x1x1xf32>, %k: tensor<1x1x1x1xf32>, %n: index, %c: !transformer.kv_cache<1 x 1 x f32, ring, 4>) -> tensor<1x3x1x1xf32> {
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %0 = scf.for %i = %c0 to %n step %c1 iter_args(%held = %c) -> (!transformer.kv_cache<1 x 1 x f32, ring, 4>) {
        %2 = transformer.cache_append %held, %k, %k : !transformer.kv_cache<1 x 1 x f32, ring, 4>, tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>
        scf.yield %2 : !transformer.kv_cache<1 x 1 x f32, ring, 4>
      }
      %1 = transformer.attention %q cache %0 scale 1.0 mask <window, 3> : tensor<1x3x1x1xf32>, !transformer.kv_cache<1 x 1 x f32, ring, 4> -> tensor<1x3x1x1xf32>
      return %1 : tensor<1x3x1x1xf32>
    })";
  auto type = KVCacheType::get(&context, 1, 1, Float32Type::get(&context), CachePolicy::Ring, 4);
  Tensor q = floats({1, 3, 1, 1}, {0, 0, 0}), k = floats({1, 1, 1, 1}, {7});
  expectFloats(run(source, {q, k, int64_t(4), KVCache::empty(type, 1)}), {7, 7, 7});
  // The first query is at position 2 of 5 and sees from 0 on, but the ring has forgotten that.
  expectError(source, {q, k, int64_t(5), KVCache::empty(type, 1)},
              "reads position 0, but the ring holds positions from 1 on");
  expectError(source, {q, k, int64_t(2), KVCache::empty(type, 1)},
              "expected a cache that holds the keys of 3 queries");
}

TEST_F(Interpreter, CachesAreChecked) {
  const char *source = "func.func @main(%c: !transformer.kv_cache<2 x 8 x f32, full>) { return }";
  KVCache cache =
      KVCache::empty(KVCacheType::get(&context, 2, 8, Float32Type::get(&context), CachePolicy::Full, 0), 3);
  EXPECT_TRUE(succeeded(run(source, {cache})));
  KVCache longer = cache;
  longer.length[1] = 1;
  expectError(source, {longer}, "expected a value of type '!transformer.kv_cache");
  KVCache rows = cache;
  rows.length.push_back(0);
  expectError(source, {rows}, "expected a value of type '!transformer.kv_cache");
}

TEST_F(Interpreter, HiddenByBias) {
  // A bias of -inf hides keys; a query that sees none gets zeros.
  expectFloats(
      run(R"(
    func.func @main(%q: tensor<1x2x1x1xf32>, %b: tensor<1x1x2x2xf32>) -> tensor<1x2x1x1xf32> {
      %0 = transformer.attention %q, %q, %q bias %b scale 1.0 mask <none> : tensor<1x2x1x1xf32>, tensor<1x2x1x1xf32>, tensor<1x2x1x1xf32>, tensor<1x1x2x2xf32> -> tensor<1x2x1x1xf32>
      return %0 : tensor<1x2x1x1xf32>
    })",
          {floats({1, 2, 1, 1}, {3, 5}), floats({1, 1, 2, 2}, {-INFINITY, 0, -INFINITY, -INFINITY})}),
      {5, 0});
}
