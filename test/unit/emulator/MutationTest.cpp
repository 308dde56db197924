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
#include "test/unit/codegen/SampledRows.h"
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
    {"wgmma_gemm of fours",
     R"(
func.func @run(%x: tensor<?x?x1032xbf16> {transformer.name = "x", transformer.dims = ["B", "S", ""]}, %w: tensor<120x1032xbf16> {transformer.name = "w", transformer.dims = ["", ""]})
    -> (tensor<?x?x120xf32> {transformer.name = "y", transformer.dims = ["B", "S", ""]}) {
  %y = transformer.linear %x, %w : tensor<?x?x1032xbf16>, tensor<120x1032xbf16> -> tensor<?x?x120xf32>
  return %y : tensor<?x?x120xf32>
})",
     // Three tiles for two clusters are split; of five, four are shared and one is split. A share of
     // K is so deep that copies come to stages that sums passed through.
     {{{3, 104, 1032}, true}, {{120, 1032}, true}},
     /*otherRows=*/{5},
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

/// Takes the bytes of a call's result, or none where something was found to be wrong; whether there is to be
/// another.
using GoesOn = llvm::function_ref<bool(std::string result)>;

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
      for (int64_t rows : program.otherRows)
        if (&input == program.inputs.data())
          count = std::max(count, count / input.shape[0] * rows);
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

  /// One result for each call, as long as `goesOn` with the last one.
  void run(ModuleOp with, std::string &message, GoesOn goesOn) {
    SmallVector<int64_t> calls{program.inputs[0].shape[0]};
    llvm::append_range(calls, program.otherRows);
    for (int64_t rows : calls)
      if (!goesOn(run(with, rows, message)))
        return;
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

/// The kernel `sample`, which no function launches, and rows that it draws from.
class Sampled {
public:
  Sampled() : kernel(numeric::sampleModule(context, kTokens, {/*threads=*/128, kGathered})) {
    constexpr double kHot = 1e4; // all that is kept is as likely
    // The number that draws the last of what is kept.
    auto isLast = [](double uniform) { return uniform > 1 - 1.0 / kTokens; };
    auto isAny = [](double) { return true; };
    add(kHot, 5, 1, 0, 1, isLast);
    add(kHot, 0, 1, 0, 1, isLast);
    add(kHot, 40, 0.5, 0, 1, isLast);
    add(kHot, 0, 0.9, 0, 1.3, isLast);
    add(kHot, 150, 1, 0.01, 1, isLast);
    add(0, 0, 1, 0, 1.3, isAny);
    for (int i = 1; i < 10; ++i)
      add(i, 10 * i * i, 1 - 0.02 * i, 0.01 * i, 1.1, isAny);
    add(1, 0, 1, 0, 1, isAny).logits[200] = NAN;
    // Of 64 equal ones each pass takes an eighth; each of the last eight is an answer of each search once.
    for (int rank = 1; rank <= 8; ++rank) {
      auto isOfRank = [&](double uniform) { return int(uniform * kEqual) == rank; };
      makeEqual(add(kHot, rank, 1, 0, 1, isLast), kEqual);
      makeEqual(add(kHot, 0, (rank - 0.5) / kEqual, 0, 1, isLast), kEqual);
      makeEqual(add(1, kEqual, 1, 0, 1, isOfRank), kEqual);
      makeEqual(add(1, 0, 1, 0, 1, isOfRank), kEqual);
      // More than are gathered, of which only so many are read as there must be.
      makeEqual(add(kHot, kGathered + 2 * rank, 1, 0, 1, isLast), 2 * kEqual);
      add(kHot, kGathered + 20 * rank, 1, 0, 1, isLast);
    }
  }

  void run(ModuleOp with, std::string &message, GoesOn goesOn) const {
    llvm::Expected<std::unique_ptr<emulator::EmulatedKernel>> created =
        emulator::EmulatedKernel::create(*with.getOps<func::FuncOp>().begin());
    if (!created) {
      message = llvm::toString(created.takeError());
      goesOn("");
      return;
    }
    emulator::EmulatorOptions emulation;
    emulation.mostInstructions = 1000000; // twenty times what a launch takes
    for (numeric::SampledRows rows : launches) {
      std::string result;
      auto append = [&](const auto &values) {
        result.append(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(values[0]));
      };
      message = rows.launch(**created, emulation);
      if (message.empty()) {
        append(rows.tokens);
        append(rows.status);
        append(rows.seen);
        append(rows.random);
      }
      if (!goesOn(result))
        return;
    }
  }

private:
  /// A launch with the first seed whose number suits.
  numeric::SampledRows &add(double temperature, int64_t topK, double topP, double minP, double penalty,
                            llvm::function_ref<bool(double)> suits) {
    xfm::text::SamplingOptions options;
    options.temperature = temperature, options.topK = topK, options.topP = topP, options.minP = minP;
    options.repetitionPenalty = penalty;
    while (!suits(xfm::text::Random(options.seed).uniform()))
      ++options.seed;
    numeric::SampledRows &rows = launches.emplace_back(/*rows=*/1, kTokens);
    rows.setOptions(options);
    for (float &logit : rows.logits)
      logit = std::normal_distribution<float>(0, 1)(random);
    for (int8_t &seen : rows.seen)
      seen = random() % 4 == 0;
    rows.logits[17] = -9; // the last one, of the first warp
    return rows;
  }
  static void makeEqual(numeric::SampledRows &rows, int64_t count) {
    std::fill_n(rows.logits.begin(), count, 1.0f);
    std::fill(rows.logits.begin() + count, rows.logits.end(), -9.0f);
  }

  static constexpr int64_t kTokens = 300, kGathered = 100, kEqual = 64;
  std::mt19937 random{9};
  MLIRContext context{MLIRContext::Threading::DISABLED};
  std::vector<numeric::SampledRows> launches;

public:
  OwningOpRef<ModuleOp> kernel;
};

struct Count {
  size_t caught = 0, all = 0;
};

using Run = llvm::function_ref<void(ModuleOp, std::string &message, GoesOn)>;

void countCaught(const char *name, ModuleOp kernels, Run run, Count &total) {
  std::string message;
  std::vector<std::string> expected;
  run(kernels, message, [&](std::string result) {
    expected.push_back(std::move(result));
    return message.empty();
  });
  ASSERT_EQ(message, "") << name;
  size_t caught = 0, byEmulator = 0;
  std::vector<Mutation> mutations = emulator::mutationsOf(kernels);
  ASSERT_FALSE(mutations.empty());
  for (const Mutation &mutation : mutations) {
    OwningOpRef<ModuleOp> mutant = emulator::mutate(kernels, mutation);
    size_t equal = 0;
    run(*mutant, message, [&](const std::string &result) { return result == expected[equal] && ++equal; });
    bool differs = equal < expected.size();
    byEmulator += !message.empty();
    caught += differs;
    if (!differs)
      std::printf("  survives: %s %s\n", name, mutation.describe(kernels).c_str());
  }
  std::printf("  %s: %zu of %zu faults caught, %zu of them by the emulator\n", name, caught, mutations.size(),
              byEmulator);
  total.caught += caught;
  total.all += mutations.size();
}

TEST(Mutants, AreCaught) {
  Count total;
  for (const Program &program : kPrograms) {
    Compiled compiled(program);
    ASSERT_TRUE(compiled.kernels);
    auto run = [&](ModuleOp with, std::string &message, GoesOn goesOn) {
      compiled.run(with, message, goesOn);
    };
    countCaught(program.name, *compiled.kernels, run, total);
  }
  Sampled sampled;
  auto run = [&](ModuleOp with, std::string &message, GoesOn goesOn) { sampled.run(with, message, goesOn); };
  countCaught("sample", *sampled.kernel, run, total);
  std::printf("  together: %zu of %zu\n", total.caught, total.all);
  EXPECT_GE(static_cast<double>(total.caught), 0.95 * static_cast<double>(total.all));
}

} // namespace
