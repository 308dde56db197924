//===- NumericTest.cpp - functions of every op against independent goldens ===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each .mlir of this folder is run on the inputs of the .safetensors beside it and
// compared with the outputs there, which test/goldens/make_numeric.py computed with
// NumPy and PyTorch. An executor more is one line in `main`.
//
//===----------------------------------------------------------------------===//

#include "test/numeric/CompiledExecutor.h"
#include "test/numeric/Goldens.h"
#include "tools/driver/Driver.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

namespace {

class CaseTest : public ::testing::Test {
public:
  CaseTest(Executor &executor, const Goldens &goldens, const Case &test, Worst &worst)
      : executor(executor), goldens(goldens), test(test), worst(worst) {}

  void TestBody() override {
    ASSERT_TRUE(succeeded(executor.load(*goldens.module)));
    std::vector<std::string> problems = runCase(executor, test, worst);
    if (StringRef refusal = executor.getRefusal(test.function); !refusal.empty()) {
      ASSERT_FALSE(problems.empty()) << "it runs now: remove it from the refusals";
      EXPECT_TRUE(StringRef(problems.front()).contains(refusal)) << problems.front();
      return;
    }
    for (const std::string &problem : problems)
      ADD_FAILURE() << test.function << ", case " << test.name << ", " << problem;
  }

private:
  Executor &executor;
  const Goldens &goldens;
  const Case &test;
  Worst &worst;
};

} // namespace

static MLIRContext &context() {
  static MLIRContext *context = [] {
    DialectRegistry registry;
    registerAll(registry);
    return new MLIRContext(registry, MLIRContext::Threading::DISABLED);
  }();
  return *context;
}

/// Every file of the folder, in the order of their names.
static const std::vector<Goldens> &allGoldens() {
  static const std::vector<Goldens> *all = [] {
    auto *result = new std::vector<Goldens>;
    std::set<std::string> names;
    std::error_code code;
    for (llvm::sys::fs::directory_iterator file(XFM_NUMERIC_DIR, code), end; file != end && !code;
         file.increment(code))
      if (llvm::sys::path::extension(file->path()) == ".mlir")
        names.insert(llvm::sys::path::stem(file->path()).str());
    for (const std::string &name : names) {
      llvm::Expected<Goldens> goldens = readGoldens(context(), XFM_NUMERIC_DIR, name);
      if (!goldens)
        llvm::report_fatal_error(goldens.takeError());
      result->push_back(std::move(*goldens));
    }
    return result;
  }();
  return *all;
}

//===----------------------------------------------------------------------===//
// The tests of the harness itself: a comparison that cannot fail is worth nothing
//===----------------------------------------------------------------------===//

TEST(Harness, FindsGoldens) {
  std::set<std::string> ops;
  for (const Goldens &goldens : allGoldens())
    goldens.module.get()->walk([&](Operation *op) { ops.insert(op->getName().getStringRef().str()); });
  // Every op of the dialect that computes on tensors; the others have tests of their own.
  for (const char *op : {"embedding", "linear", "layer_norm", "rms_norm", "activation", "gated_mlp", "rope",
                         "attention", "cache_append", "cache_length"})
    EXPECT_TRUE(ops.count(std::string("transformer.") + op)) << op;
}

TEST(Harness, RejectsOneChangedValue) {
  InterpreterExecutor executor(Rounding::Ideal);
  for (const Goldens &goldens : allGoldens()) {
    ASSERT_TRUE(succeeded(executor.load(*goldens.module)));
    for (Case test : goldens.cases) {
      Worst worst;
      ASSERT_TRUE(runCase(executor, test, worst).empty());
      Tensor &output = test.calls.back().outputs.back();
      if (output.isFloat()) {
        double largest = 0;
        for (double value : output.getFloats())
          largest = std::max(largest, std::abs(value));
        output.getMutableFloats()[output.size() / 2] += std::max(largest, 1e-300) * 1e-11;
      } else {
        output.getMutableInts()[output.size() / 2] += 1;
      }
      EXPECT_FALSE(runCase(executor, test, worst).empty()) << test.function << "/" << test.name;
    }
  }
}

TEST(Harness, RejectsWhatCannotBeCompared) {
  Type f64 = Float64Type::get(&context());
  Tensor expected({2, 2}, f64, std::vector<double>{1, 2, 3, 4});
  EXPECT_EQ(relativeError(expected, expected), 0);
  EXPECT_EQ(relativeError(Tensor({2, 2}, f64, std::vector<double>{1, 2, 3, 5}), expected), 0.25);
  EXPECT_TRUE(std::isinf(relativeError(Tensor({4}, f64, std::vector<double>{1, 2, 3, 4}), expected)));
  EXPECT_TRUE(std::isinf(relativeError(Tensor({2, 2}, f64, std::vector<double>{1, 2, 3, NAN}), expected)));
  EXPECT_TRUE(std::isinf(relativeError(expected, Tensor({2, 2}, f64, std::vector<double>{1, 2, 3, NAN}))));
  EXPECT_TRUE(
      std::isinf(relativeError(Tensor({2, 2}, f64, std::vector<double>{0, 0, 0, 1}), Tensor({2, 2}, f64))));
}

TEST(Harness, RejectsUnroundedResults) {
  struct Unrounded : InterpreterExecutor {
    Unrounded() : InterpreterExecutor(Rounding::Ideal) {}
    bool rounds() const override { return true; }
    double getTolerance(bool) const override { return 1; }
  } executor;
  int rejected = 0;
  for (const Goldens &goldens : allGoldens()) {
    ASSERT_TRUE(succeeded(executor.load(*goldens.module)));
    Worst worst;
    for (const Case &test : goldens.cases)
      rejected += !runCase(executor, test, worst).empty();
  }
  EXPECT_GT(rejected, 100);
}

int main(int argc, char **argv) {
  ::testing::InitGoogleTest(&argc, argv);
  std::vector<std::unique_ptr<Executor>> executors;
  executors.push_back(std::make_unique<InterpreterExecutor>(Rounding::Ideal));
  executors.push_back(std::make_unique<InterpreterExecutor>(Rounding::IR));
  // Vectors of the host, of 32 bytes with FMA, and of 16 without.
  executors.push_back(std::make_unique<CompiledExecutor>("CompiledNative", "native"));
  for (auto [name, mcpu] :
       {std::pair("CompiledX86V3", "x86-64-v3"), std::pair("CompiledX86V2", "x86-64-v2")}) {
    if (canRun(mcpu))
      executors.push_back(std::make_unique<CompiledExecutor>(name, mcpu));
    else
      std::printf("%s is left out: this machine does not run it\n", name);
  }

  // Kernels of a GPU, in the emulator.
  executors.push_back(std::make_unique<CompiledExecutor>("EmulatedSM80", "sm_80"));

  // Longer calls in pieces: chunks meet in the caches, and rings wrap around.
  executors.push_back(std::make_unique<CompiledExecutor>("CompiledChunks", "native", /*chunk=*/5));

  // Per executor and file.
  std::map<std::pair<size_t, std::string>, Worst> worst;
  for (size_t i = 0; i < executors.size(); ++i)
    for (const Goldens &goldens : allGoldens())
      for (const Case &test : goldens.cases) {
        // Without a mask a position sees those behind it, so pieces are another program.
        if (executors[i]->getName() == "CompiledChunks" && test.function == "append_attend_none")
          continue;
        std::string name = goldens.name + "/" + test.function + "/" + test.name;
        Worst &largest = worst[{i, goldens.name}];
        ::testing::RegisterTest(
            executors[i]->getName().str().c_str(), name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
            [&, i]() -> CaseTest * { return new CaseTest(*executors[i], goldens, test, largest); });
      }
  int status = RUN_ALL_TESTS();
  for (auto &[key, errors] : worst)
    std::printf("%-17s %-12s largest error %.2g in f32, %.2g in narrower types\n",
                executors[key.first]->getName().str().c_str(), key.second.c_str(), errors.wide,
                errors.narrow);
  return status;
}
