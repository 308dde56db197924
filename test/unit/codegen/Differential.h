//===- Differential.h - compiled code against the interpreter -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_UNIT_CODEGEN_DIFFERENTIAL_H
#define TEST_UNIT_CODEGEN_DIFFERENTIAL_H

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "test/numeric/CompiledExecutor.h"

#include "llvm/ADT/StringMap.h"

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace mlir::transformer::numeric {

/// An argument or a result: "B, S, 8, f32" is tensor<?x?x8xf32> with dimensions
/// named B and S; what starts with '!' is the type itself.
struct Signature {
  std::string name, type;
  std::string attributes = ""; ///< more of them, e.g. "transformer.range = array<i64: 0, 9>"
};

/// The text of a function. In `body` a name in braces stands for that argument's or
/// result's type: "%y = transformer.activation relu %x : {x} -> {y}".
std::string functionText(const std::string &name, const std::vector<Signature> &arguments,
                         const std::vector<Signature> &results, std::string body);

/// Functions that are compiled once and run on many sizes; each result is compared
/// with the interpreter's in float64. Failures are GoogleTest's.
class Differential {
public:
  /// For a GPU, `emulation` says how its kernels run. Weights, of floats and from "model.safetensors", are
  /// random.
  Differential(const std::string &text, StringRef mcpu, const emulator::EmulatorOptions &emulation = {});

  bool isCompiled() const { return compiled != nullptr; }
  /// Runs `function` with its dimensions of these sizes. `tolerance` is relative to
  /// the largest value of a result; bf16 results are allowed `kNarrowTolerance`.
  void check(StringRef function, const std::map<std::string, int64_t> &sizes, double tolerance = 1e-5);
  /// The same for a function with caches: one call per element of `positions`, the
  /// size S of each, from empty caches on.
  void checkSequence(StringRef function, std::map<std::string, int64_t> sizes, ArrayRef<int64_t> positions,
                     double tolerance = 1e-5);

  /// The same for functions that share their caches: one call each with its size S.
  void checkCalls(ArrayRef<std::pair<std::string, int64_t>> calls, std::map<std::string, int64_t> sizes,
                  double tolerance = 1e-5);

  /// Changes the random values of the argument of this name; they are rounded afterwards.
  std::function<void(StringRef name, MutableArrayRef<double> values)> override;

  /// The largest error seen so far in results of f32 and of narrower types.
  double worst = 0, worstNarrow = 0;
  int64_t calls = 0;

  static constexpr double kNarrowTolerance = 8e-3;

private:
  /// Empty caches for `name`, and a session for as many rows and positions.
  SmallVector<KVCache> begin(StringRef name, int64_t rows, int64_t context);
  Tensor makeInput(Type type, Attribute range, ArrayRef<int64_t> shape);
  /// The file of the module's weights, whose values are kept for the interpreter.
  std::string makeWeights();
  void compareCall(StringRef function, const std::map<std::string, int64_t> &sizes,
                   SmallVector<KVCache> &caches, double tolerance);

  OwningOpRef<ModuleOp> module;
  std::unique_ptr<CompiledModule> compiled;
  llvm::StringMap<Tensor> weights;
  std::mt19937_64 random{20240607};
};

/// Runs each test for vectors of the host, of 32 bytes and of 16, where the machine can.
class TargetTest : public ::testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    if (!canRun(GetParam()))
      GTEST_SKIP() << "this machine does not run " << GetParam();
  }
  void report(const Differential &test) {
    std::printf("  %lld calls, largest error %.2g in f32, %.2g in bf16\n", static_cast<long long>(test.calls),
                test.worst, test.worstNarrow);
  }
};

inline auto targets() { return ::testing::Values("native", "x86-64-v3", "x86-64-v2", "sm_80"); }

/// A target as a test's name.
inline std::string targetName(const ::testing::TestParamInfo<const char *> &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

} // namespace mlir::transformer::numeric

#endif // TEST_UNIT_CODEGEN_DIFFERENTIAL_H
