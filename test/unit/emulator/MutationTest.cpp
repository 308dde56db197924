//===- MutationTest.cpp - faults planted in generated kernels -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every kernel template, with every single fault that the mutator knows: the emulator must find it, or the
// results must differ. What survives is listed; at most one in twenty may.
//
//===----------------------------------------------------------------------===//

#include "codegen/Compile.h"
#include "emulator/EmulatedDevice.h"
#include "emulator/Mutator.h"
#include "runtime/Model.h"
#include "runtime/Session.h"
#include "tools/driver/Driver.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FileSystem.h"

#include <gtest/gtest.h>

#include <random>

using namespace mlir;
using namespace mlir::transformer;
using emulator::Mutation;

namespace {

struct Input {
  std::vector<int64_t> shape;
  bool isNarrow;
};
struct Program {
  const char *name, *text;
  std::vector<Input> inputs;
  /// Rows of the first input in further calls, for kernels that have other code for them.
  std::vector<int64_t> otherRows = {};
  const char *arch = "sm_80";
};

const Program kPrograms[] = {
    {"mma_gemm",
     R"(
func.func @run(%x: tensor<?x?x104xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]}, %w: tensor<72x104xbf16> {transformer.name = "w", transformer.dims = ["", ""]})
    -> (tensor<?x?x72xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %y = transformer.linear %x, %w : tensor<?x?x104xbf16>, tensor<72x104xbf16> -> tensor<?x?x72xf32>
  return %y : tensor<?x?x72xf32>
})",
     {{{1, 70, 104}, true}, {{72, 104}, true}}},
    {"wgmma_gemm",
     R"(
func.func @run(%x: tensor<?x?x136xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]}, %w: tensor<264x136xbf16> {transformer.name = "w", transformer.dims = ["", ""]})
    -> (tensor<?x?x264xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %y = transformer.linear %x, %w : tensor<?x?x136xbf16>, tensor<264x136xbf16> -> tensor<?x?x264xf32>
  return %y : tensor<?x?x264xf32>
})",
     {{{1, 150, 136}, true}, {{264, 136}, true}},
     /*otherRows=*/{},
     "sm_90a"},
    {"wgmma_gemm of pairs",
     R"(
func.func @run(%x: tensor<?x?x712xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]}, %w: tensor<264x712xbf16> {transformer.name = "w", transformer.dims = ["", ""]})
    -> (tensor<?x?x264xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %y = transformer.linear %x, %w : tensor<?x?x712xbf16>, tensor<264x712xbf16> -> tensor<?x?x264xf32>
  return %y : tensor<?x?x264xf32>
})",
     // Two of the three rows of tiles are shared, the third is split; so deep that copies come
     // to stages that sums passed through.
     {{{1, 300, 712}, true}, {{264, 712}, true}},
     /*otherRows=*/{},
     "sm_90a"},
    {"wgmma_attention",
     R"(
func.func @run(%q: tensor<?x?x4x32xbf16> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]}, %k: tensor<?x?x2x32xbf16> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x2x32xbf16> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}) -> (tensor<?x?x4x32xbf16> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.5 mask <window, 400> : tensor<?x?x4x32xbf16>, tensor<?x?x2x32xbf16>, tensor<?x?x2x32xbf16> -> tensor<?x?x4x32xbf16>
  return %y : tensor<?x?x4x32xbf16>
})",
     {{{1, 70, 4, 32}, true}, {{1, 600, 2, 32}, true}, {{1, 600, 2, 32}, true}},
     /*otherRows=*/{},
     "sm_90a"},
    {"simt_gemm",
     R"(
func.func @run(%x: tensor<?x?x20xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]}, %w: tensor<68x20xf32> {transformer.name = "w", transformer.dims = ["", ""]})
    -> (tensor<?x?x68xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %y = transformer.linear %x, %w : tensor<?x?x20xf32>, tensor<68x20xf32> -> tensor<?x?x68xf32>
  return %y : tensor<?x?x68xf32>
})",
     {{{1, 70, 20}, false}, {{68, 20}, false}}},
    {"gemv",
     R"(
func.func @run(%x: tensor<?x1x260xf32> {transformer.name = "x", transformer.dims = ["B", "", ""]}, %w: tensor<37x260xf32> {transformer.name = "w", transformer.dims = ["", ""]})
    -> (tensor<?x1x37xf32> {transformer.name = "y", transformer.dims = ["B", "", ""]}) {
  %y = transformer.linear %x, %w : tensor<?x1x260xf32>, tensor<37x260xf32> -> tensor<?x1x37xf32>
  return %y : tensor<?x1x37xf32>
})",
     {{{5, 1, 260}, false}, {{37, 260}, false}},
     /*otherRows=*/{1}},
    {"skinny_gemm",
     R"(
func.func @run(%x: tensor<?x1x600xbf16> {transformer.name = "x", transformer.dims = ["B", "", ""]}, %w: tensor<37x600xbf16> {transformer.name = "w", transformer.dims = ["", ""]})
    -> (tensor<?x1x37xf32> {transformer.name = "y", transformer.dims = ["B", "", ""]}) {
  %y = transformer.linear %x, %w : tensor<?x1x600xbf16>, tensor<37x600xbf16> -> tensor<?x1x37xf32>
  return %y : tensor<?x1x37xf32>
})",
     {{{19, 1, 600}, true}, {{37, 600}, true}},
     /*otherRows=*/{8, 9, 1}},
    {"gemv of normalised rows",
     R"(
func.func @run(%x: tensor<?x1x600xf32> {transformer.name = "x", transformer.dims = ["B", "", ""]}, %s: tensor<600xf32> {transformer.name = "s", transformer.dims = [""]},
    %w: tensor<21x600xf32> {transformer.name = "w", transformer.dims = ["", ""]}) -> (tensor<?x1x21xf32> {transformer.name = "y", transformer.dims = ["B", "", ""]}) {
  %h = transformer.layer_norm %x, %s epsilon 1.0e-5 : tensor<?x1x600xf32>, tensor<600xf32> -> tensor<?x1x600xf32>
  %y = transformer.linear %h, %w : tensor<?x1x600xf32>, tensor<21x600xf32> -> tensor<?x1x21xf32>
  return %y : tensor<?x1x21xf32>
})",
     {{{5, 1, 600}, false}, {{600}, false}, {{21, 600}, false}},
     /*otherRows=*/{1}},
    {"skinny_gemm of normalised rows",
     R"(
func.func @run(%x: tensor<?x1x1096xf32> {transformer.name = "x", transformer.dims = ["B", "", ""]}, %s: tensor<1096xf32> {transformer.name = "s", transformer.dims = [""]},
    %w: tensor<21x1096xbf16> {transformer.name = "w", transformer.dims = ["", ""]}) -> (tensor<?x1x21xf32> {transformer.name = "y", transformer.dims = ["B", "", ""]}) {
  %h = transformer.layer_norm %x, %s epsilon 1.0e-5 : tensor<?x1x1096xf32>, tensor<1096xf32> -> tensor<?x1x1096xbf16>
  %y = transformer.linear %h, %w : tensor<?x1x1096xbf16>, tensor<21x1096xbf16> -> tensor<?x1x21xf32>
  return %y : tensor<?x1x21xf32>
})",
     {{{19, 1, 1096}, false}, {{1096}, false}, {{21, 1096}, true}},
     /*otherRows=*/{8, 9, 1}},
    {"flash_attention",
     R"(
func.func @run(%q: tensor<?x?x4x32xbf16> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]}, %k: tensor<?x?x2x32xbf16> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x2x32xbf16> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}) -> (tensor<?x?x4x32xbf16> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.5 mask <window, 90> : tensor<?x?x4x32xbf16>, tensor<?x?x2x32xbf16>, tensor<?x?x2x32xbf16> -> tensor<?x?x4x32xbf16>
  return %y : tensor<?x?x4x32xbf16>
})",
     {{{1, 40, 4, 32}, true}, {{1, 200, 2, 32}, true}, {{1, 200, 2, 32}, true}}},
    {"flash_attention of wide heads",
     R"(
func.func @run(%q: tensor<?x?x4x136xbf16> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]}, %k: tensor<?x?x2x136xbf16> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x2x136xbf16> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}) -> (tensor<?x?x4x136xbf16> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.5 mask <window, 50> : tensor<?x?x4x136xbf16>, tensor<?x?x2x136xbf16>, tensor<?x?x2x136xbf16> -> tensor<?x?x4x136xbf16>
  return %y : tensor<?x?x4x136xbf16>
})",
     {{{1, 40, 4, 136}, true}, {{1, 100, 2, 136}, true}, {{1, 100, 2, 136}, true}}},
    {"simt_attention",
     R"(
func.func @run(%q: tensor<?x?x4x40xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]}, %k: tensor<?x?x2x40xf32> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x2x40xf32> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}) -> (tensor<?x?x4x40xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.5 mask <window, 33> : tensor<?x?x4x40xf32>, tensor<?x?x2x40xf32>, tensor<?x?x2x40xf32> -> tensor<?x?x4x40xf32>
  return %y : tensor<?x?x4x40xf32>
})",
     {{{1, 37, 4, 40}, false}, {{1, 70, 2, 40}, false}, {{1, 70, 2, 40}, false}}},
    {"row_attention",
     R"(
func.func @run(%q: tensor<?x?x4x132xf32> {transformer.name = "q", transformer.dims = ["B", "S", "", ""]}, %k: tensor<?x?x2x132xf32> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x2x132xf32> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}) -> (tensor<?x?x4x132xf32> {transformer.name = "y", transformer.dims = ["B", "S", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.5 mask <window, 33> : tensor<?x?x4x132xf32>, tensor<?x?x2x132xf32>, tensor<?x?x2x132xf32> -> tensor<?x?x4x132xf32>
  return %y : tensor<?x?x4x132xf32>
})",
     {{{1, 7, 4, 132}, false}, {{1, 70, 2, 132}, false}, {{1, 70, 2, 132}, false}}},
    {"decode_attention",
     R"(
func.func @run(%q: tensor<?x1x12x48xbf16> {transformer.name = "q", transformer.dims = ["B", "", "", ""]}, %k: tensor<?x?x1x48xbf16> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x1x48xbf16> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}) -> (tensor<?x1x12x48xf32> {transformer.name = "y", transformer.dims = ["B", "", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.5 mask <window, 520> : tensor<?x1x12x48xbf16>, tensor<?x?x1x48xbf16>, tensor<?x?x1x48xbf16> -> tensor<?x1x12x48xf32>
  return %y : tensor<?x1x12x48xf32>
})",
     {{{1, 1, 12, 48}, true}, {{1, 560, 1, 48}, true}, {{1, 560, 1, 48}, true}}},
    {"decode_attention of two positions",
     R"(
func.func @run(%q: tensor<?x2x4x32xbf16> {transformer.name = "q", transformer.dims = ["B", "", "", ""]}, %k: tensor<?x?x2x32xbf16> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x2x32xbf16> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}) -> (tensor<?x2x4x32xf32> {transformer.name = "y", transformer.dims = ["B", "", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.5 mask <window, 150> : tensor<?x2x4x32xbf16>, tensor<?x?x2x32xbf16>, tensor<?x?x2x32xbf16> -> tensor<?x2x4x32xf32>
  return %y : tensor<?x2x4x32xf32>
})",
     {{{1, 2, 4, 32}, true}, {{1, 170, 2, 32}, true}, {{1, 170, 2, 32}, true}}},
    {"simt_decode_attention",
     R"(
func.func @run(%q: tensor<?x1x4x20xf32> {transformer.name = "q", transformer.dims = ["B", "", "", ""]}, %k: tensor<?x?x1x20xf32> {transformer.name = "k", transformer.dims = ["B", "K", "", ""]},
    %v: tensor<?x?x1x20xf32> {transformer.name = "v", transformer.dims = ["B", "K", "", ""]}) -> (tensor<?x1x4x20xf32> {transformer.name = "y", transformer.dims = ["B", "", "", ""]}) {
  %y = transformer.attention %q, %k, %v scale 0.5 mask <window, 4900> : tensor<?x1x4x20xf32>, tensor<?x?x1x20xf32>, tensor<?x?x1x20xf32> -> tensor<?x1x4x20xf32>
  return %y : tensor<?x1x4x20xf32>
})",
     {{{1, 1, 4, 20}, false}, {{1, 5000, 1, 20}, false}, {{1, 5000, 1, 20}, false}}},
    {"rows",
     R"(
func.func @run(%x: tensor<?x?x1024xf32> {transformer.name = "x", transformer.dims = ["B", "S", ""]}, %w: tensor<1024xf32> {transformer.name = "w", transformer.dims = [""]})
    -> (tensor<?x?x1024xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %y = transformer.rms_norm %x, %w epsilon 1.0e-5 : tensor<?x?x1024xf32>, tensor<1024xf32> -> tensor<?x?x1024xf32>
  return %y : tensor<?x?x1024xf32>
})",
     {{{1, 3, 1024}, false}, {{1024}, false}}},
};

/// A program compiled for one architecture, to be run with kernels that may not be its own.
class Compiled {
public:
  explicit Compiled(const Program &program) : program(program) {
    DialectRegistry registry;
    registerAll(registry);
    context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
    llvm::sys::fs::createUniqueDirectory("xfm-mutants", folder);
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(program.text, context.get());
    CompileOptions options;
    options.progress = false;
    options.gpuArchs = {program.arch};
    options.newestGPUKernels = true;
    std::vector<KernelModule> modules;
    options.kernels = &modules;
    path = (folder + "/m.tfa").str();
    if (!module) {
      ADD_FAILURE() << program.name << " does not parse";
      return;
    }
    if (llvm::Error error = compileToArtifact(*module, folder, path, options))
      ADD_FAILURE() << llvm::toString(std::move(error));
    else
      kernels = std::move(modules[0].module);
    std::mt19937 random(7);
    for (const Input &input : program.inputs) {
      int64_t count = 1;
      for (int64_t size : input.shape)
        count *= size;
      std::vector<char> bytes(static_cast<size_t>(count) * (input.isNarrow ? 2 : 4));
      for (int64_t i = 0; i < count; ++i) {
        float value = std::uniform_real_distribution<float>(-1, 1)(random);
        uint32_t bits;
        std::memcpy(&bits, &value, 4);
        uint16_t high = static_cast<uint16_t>(bits >> 16);
        if (input.isNarrow)
          std::memcpy(&bytes[static_cast<size_t>(i) * 2], &high, 2);
        else
          std::memcpy(&bytes[static_cast<size_t>(i) * 4], &value, 4);
      }
      data.push_back(std::move(bytes));
    }
  }
  ~Compiled() { llvm::sys::fs::remove_directories(folder); }

  /// The bytes of the result; empty, with a message, where something was found to be wrong.
  std::string run(ModuleOp with, std::string &message) {
    std::string result = run(with, program.inputs[0].shape[0], message);
    for (int64_t rows : program.otherRows)
      if (message.empty())
        result += run(with, rows, message);
    return result;
  }

private:
  std::string run(ModuleOp with, int64_t rows, std::string &message) {
    llvm::Expected<std::unique_ptr<emulator::EmulatedDevice>> device = emulator::EmulatedDevice::create(with);
    if (!device) {
      message = llvm::toString(device.takeError());
      return "";
    }
    xfm::Model::Choices choices;
    choices.given = std::move(*device);
    std::unique_ptr<xfm::Model> model;
    std::unique_ptr<xfm::Session> session;
    xfm::Status status = xfm::Model::open(path, std::move(choices), model);
    if (status.ok())
      status = xfm::Session::create(*model, 1, 1, 1, false, session);
    std::vector<xfm_tensor> inputs;
    for (auto [input, bytes] : llvm::zip_equal(program.inputs, data)) {
      xfm_tensor tensor = {
          bytes.data(), input.isNarrow ? XFM_BF16 : XFM_F32, static_cast<int32_t>(input.shape.size()), {}};
      llvm::copy(input.shape, tensor.dims);
      if (&input == program.inputs.data())
        tensor.dims[0] = rows;
      inputs.push_back(tensor);
    }
    if (status.ok())
      status = session->call("run", inputs.data(), static_cast<int32_t>(inputs.size()));
    xfm_tensor output;
    if (status.ok())
      status = session->output(0, output);
    message = status.message;
    if (!status.ok())
      return "";
    size_t bytes = xfm_dtype_size(output.dtype);
    for (int32_t i = 0; i < output.rank; ++i)
      bytes *= static_cast<size_t>(output.dims[i]);
    return std::string(static_cast<const char *>(output.data), bytes);
  }

  const Program &program;
  std::unique_ptr<MLIRContext> context;

public:
  OwningOpRef<ModuleOp> kernels; // gone before the context

private:
  SmallString<128> folder;
  std::string path;
  std::vector<std::vector<char>> data;
};

struct Count {
  size_t caught = 0, all = 0;
};

void countCaught(const Program &program, Count &total) {
  Compiled compiled(program);
  ASSERT_TRUE(compiled.kernels);
  std::string message, expected = compiled.run(*compiled.kernels, message);
  ASSERT_EQ(message, "");
  size_t caught = 0, byEmulator = 0;
  std::vector<Mutation> mutations = emulator::mutationsOf(*compiled.kernels);
  ASSERT_FALSE(mutations.empty());
  for (const Mutation &mutation : mutations) {
    OwningOpRef<ModuleOp> mutant = emulator::mutate(*compiled.kernels, mutation);
    bool differs = compiled.run(*mutant, message) != expected;
    byEmulator += !message.empty();
    caught += differs;
    if (!differs)
      std::printf("  survives: %s %s\n", program.name, mutation.describe(*compiled.kernels).c_str());
  }
  std::printf("  %s: %zu of %zu faults caught, %zu of them by the emulator\n", program.name, caught,
              mutations.size(), byEmulator);
  total.caught += caught;
  total.all += mutations.size();
}

TEST(Mutants, AreCaught) {
  Count total;
  for (const Program &program : kPrograms)
    countCaught(program, total);
  std::printf("  together: %zu of %zu\n", total.caught, total.all);
  EXPECT_GE(static_cast<double>(total.caught), 0.95 * static_cast<double>(total.all));
}

} // namespace
