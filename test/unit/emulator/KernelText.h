//===- KernelText.h - small kernels for the emulator's tests --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_UNIT_EMULATOR_KERNELTEXT_H
#define TEST_UNIT_EMULATOR_KERNELTEXT_H

#include "codegen/GPU/IR/XGPU.h"
#include "emulator/Emulator.h"
#include "tools/driver/Driver.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mlir::emulator {

inline MLIRContext &context() {
  static MLIRContext *context = [] {
    DialectRegistry registry;
    transformer::registerAll(registry);
    return new MLIRContext(registry, MLIRContext::Threading::DISABLED);
  }();
  return *context;
}

/// A kernel of one argument, f32 of any length, that it reads and writes.
inline std::string kernelText(unsigned threads, unsigned shared, const std::string &body,
                              unsigned cluster = 1) {
  return "func.func @k(%x: memref<?xf32>) attributes {xgpu.kernel = #xgpu.kernel<threads = " +
         std::to_string(threads) + ", shared = " + std::to_string(shared) +
         ", cluster = " + std::to_string(cluster) + ">} {\n" +
         "%tid32 = nvvm.read.ptx.sreg.tid.x : i32\n%tid = arith.index_castui %tid32 : i32 to index\n"
         "%base = xgpu.shared_memory : !llvm.ptr<3>\n%c4 = arith.constant 4 : i32\n%c1 = arith.constant 1 : "
         "index\n"
         "%bytes = arith.muli %tid32, %c4 : i32\n"
         "%own = llvm.getelementptr %base[%bytes] : (!llvm.ptr<3>, i32) -> !llvm.ptr<3>, i8\n" +
         body + "\nreturn\n}\n";
}

/// What the launch of one cluster of kernel `k` says is wrong; "" where nothing is.
inline std::string launch(const std::string &text, DeviceMemory &memory, ArrayRef<uint64_t> words,
                          const EmulatorOptions &options) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context());
  if (!module)
    return "does not parse";
  auto function = module->lookupSymbol<func::FuncOp>("k");
  llvm::Expected<std::unique_ptr<EmulatedKernel>> kernel = EmulatedKernel::create(function);
  if (!kernel)
    return llvm::toString(kernel.takeError());
  uint64_t blocks = xgpu::KernelAttr::of(function).getCluster();
  llvm::Expected<LaunchReport> report = (*kernel)->launch({blocks, words}, memory, options);
  return report ? "" : llvm::toString(report.takeError());
}

/// The same of a kernel of `kernelText`.
inline std::string launch(const std::string &text, std::vector<float> &data, EmulatorOptions options = {},
                          bool writable = true) {
  DeviceMemory memory;
  memory.add(data.data(), data.size() * 4, "x", writable);
  return launch(text, memory, {reinterpret_cast<uint64_t>(data.data()), data.size()}, options);
}

inline std::vector<float> count(size_t n) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i)
    values[i] = static_cast<float>(i);
  return values;
}

/// The launch ends with a message that has one of `parts`, whatever the order of turns.
inline void expectFaults(const std::string &text, ArrayRef<StringRef> parts, size_t size = 64) {
  for (uint64_t seed : {0, 1, 2}) {
    std::vector<float> data = count(size);
    EmulatorOptions options;
    options.seed = seed;
    std::string message = launch(text, data, options);
    EXPECT_TRUE(llvm::any_of(parts, [&](StringRef part) { return StringRef(message).contains(part); }))
        << "seed " << seed << ": " << message;
  }
}

inline void expectFault(const std::string &text, const std::string &part, size_t size = 64) {
  expectFaults(text, {part}, size);
}

} // namespace mlir::emulator

#endif // TEST_UNIT_EMULATOR_KERNELTEXT_H
