//===- WeightWriterTest.cpp - the file that is written -----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/WeightWriter.h"
#include "Fixtures.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"

#include <csignal>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::test;

namespace {
struct WeightWriter : testing::Test {
  WeightWriter() { context.loadDialect<TransformerDialect, func::FuncDialect>(); }

  OwningOpRef<ModuleOp> parse(StringRef text) {
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text.str();
    return module;
  }

  OwningOpRef<ModuleOp> goldenModule() {
    return parseSourceFile<ModuleOp>(XFM_TEST_DIR "/goldens/derive.mlir", &context);
  }

  MLIRContext context;
  TempFolder folder;
};
} // namespace

static SmallVector<StringRef> allSymbols(ModuleOp module) {
  SmallVector<StringRef> symbols;
  for (Operation &op : *module.getBody())
    symbols.push_back(SymbolTable::getSymbolName(&op).getValue());
  return symbols;
}

static std::string contents(const std::string &path) {
  return cantFail(MappedFile::open(path))->text().str();
}

/// That `path` holds exactly what evaluating `symbols` gives, aligned.
static void expectWritten(ModuleOp module, ArrayRef<StringRef> symbols, WeightStore &source,
                          const std::string &path) {
  auto file = cantFail(MappedFile::open(path));
  auto tensors = parseSafetensors(file->bytes(), path);
  ASSERT_TRUE(bool(tensors)) << toString(tensors.takeError());
  uint64_t covered = 0;
  size_t pads = 0;
  for (const auto &entry : *tensors) {
    covered += entry.second.bytes;
    pads += entry.first().starts_with("__pad.");
  }
  EXPECT_EQ(tensors->size(), symbols.size() + pads);
  // No hole anywhere: the header, then every byte belongs to a tensor.
  EXPECT_EQ(8 + *reinterpret_cast<const uint64_t *>(file->bytes().data()) + covered, file->bytes().size());
  for (StringRef symbol : symbols) {
    ASSERT_TRUE(tensors->contains(symbol)) << symbol.str();
    const StoredTensor &tensor = tensors->find(symbol)->second;
    HostTensor expected = cantFail(evaluateWeight(module, symbol, source));
    EXPECT_EQ(tensor.offset % 64, 0u) << symbol.str();
    EXPECT_EQ(ArrayRef(tensor.shape), expected.type.getShape());
    EXPECT_EQ(tensor.dtype, *dtypeFromType(expected.type.getElementType()));
    EXPECT_EQ(file->bytes().slice(tensor.offset, tensor.bytes), expected.data) << symbol.str();
  }
}

TEST_F(WeightWriter, RoundTrip) {
  OwningOpRef<ModuleOp> module = goldenModule();
  SmallVector<StringRef> symbols = allSymbols(*module);
  WeightStore store(XFM_TEST_DIR "/goldens");
  WriteResult result;
  std::string path = folder.file("weights.safetensors");
  ASSERT_EQ(messageOf(writeWeights(*module, symbols, store, path, {}, result)), "");
  expectWritten(*module, symbols, store, path);
  std::string bytes = contents(path);
  EXPECT_EQ(result.bytes, bytes.size());
  EXPECT_EQ(result.hash, XXH3_64bits(bytes.data(), bytes.size()));
  EXPECT_EQ(folder.list(), std::vector<std::string>{"weights.safetensors"});
}

// The file does not depend on threads or memory, down to one tensor at a time.
TEST_F(WeightWriter, ThreadsAndBudgetDoNotChangeTheFile) {
  OwningOpRef<ModuleOp> module = goldenModule();
  SmallVector<StringRef> symbols = allSymbols(*module);
  WeightStore store(XFM_TEST_DIR "/goldens");
  std::string path = folder.file("weights.safetensors"), first;
  for (unsigned threads : {1, 2, 7}) {
    for (uint64_t budget : {uint64_t(0), uint64_t(1), uint64_t(20000), uint64_t(1) << 40}) {
      WriteOptions options;
      options.threads = threads;
      options.maxBytesInFlight = budget;
      WriteResult result;
      ASSERT_EQ(messageOf(writeWeights(*module, symbols, store, path, options, result)), "");
      std::string bytes = contents(path);
      if (first.empty())
        first = bytes;
      EXPECT_EQ(bytes, first) << threads << " threads, " << budget << " bytes";
    }
  }
}

TEST_F(WeightWriter, KeepsTheOrderAndDropsRepetitions) {
  OwningOpRef<ModuleOp> module = goldenModule();
  WeightStore store(XFM_TEST_DIR "/goldens");
  WriteResult result;
  std::string path = folder.file("w");
  ASSERT_EQ(messageOf(writeWeights(*module, {"half", "a", "half"}, store, path, {}, result)), "");
  auto tensors = cantFail(parseSafetensors(cantFail(MappedFile::open(path))->bytes(), path));
  EXPECT_EQ(tensors.find("half")->second.offset + 64, tensors.find("a")->second.offset); // 24 bytes, padded
  expectWritten(*module, {"half", "a"}, store, path);
}

TEST_F(WeightWriter, NothingToWrite) {
  OwningOpRef<ModuleOp> module = parse("");
  WeightStore store("/nowhere");
  WriteResult result;
  ASSERT_EQ(messageOf(writeWeights(*module, {}, store, folder.file("w"), {}, result)), "");
  expectWritten(*module, {}, store, folder.file("w"));
}

// Larger than the pieces in which a tensor is copied, and no multiple of them.
TEST_F(WeightWriter, LargeTensors) {
  constexpr int64_t count = (20 << 20) + 13;
  std::string bytes(count, '\0');
  for (int64_t i = 0; i < count; ++i)
    bytes[i] = static_cast<char>(i * 2654435761u >> 13);
  folder.write("m.safetensors", SafetensorsBuilder().addBytes("x", "I8", {count}, bytes).build());
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @x : tensor<20971533xi8> from "m.safetensors"
    transformer.derive @y = convert(@x) : tensor<20971533xbf16>
    transformer.derive @z = scale(@x) {value = 0.5 : f64} : tensor<20971533xf32>
  )");
  WeightStore store(folder.str());
  WriteOptions options;
  options.threads = 3;
  uint64_t last = 0;
  size_t calls = 0;
  options.progress = [&](const WriteProgress &p) {
    EXPECT_GE(p.bytesDone, last);
    EXPECT_LE(p.bytesDone, p.bytesTotal);
    EXPECT_EQ(p.bytesTotal, uint64_t(count) * 7);
    last = p.bytesDone;
    ++calls;
  };
  WriteResult result;
  std::string path = folder.file("w");
  ASSERT_EQ(messageOf(writeWeights(*module, {"x", "y", "z"}, store, path, options, result)), "");
  expectWritten(*module, {"x", "y", "z"}, store, path);
  EXPECT_EQ(last, uint64_t(count) * 7); // the last report is that all is done
  EXPECT_GE(calls, 1u);
}

// What is large is computed by rows where it can be: the file is the one that whole tensors give, which
// evaluateWeight computes.
TEST_F(WeightWriter, LargeTensorsByRows) {
  constexpr int64_t rows = 300007, columns = 33;
  std::string bytes(rows * columns * 4, '\0');
  auto *values = reinterpret_cast<float *>(bytes.data());
  for (int64_t i = 0; i < rows * columns; ++i)
    values[i] = static_cast<float>(i * 2654435761u >> 9) - 4e6f;
  std::string factors = bytes.substr(0, columns * 4);
  folder.write("m.safetensors", SafetensorsBuilder()
                                    .addBytes("x", "F32", {rows, columns}, bytes)
                                    .addBytes("f", "F32", {columns}, factors)
                                    .build());
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @x : tensor<300007x33xf32> from "m.safetensors"
    transformer.weight @f : tensor<33xf32> from "m.safetensors"
    transformer.derive @packed = pack(@x) : tensor<300007x33xf32, #transformer.packed<64 x 2>>
    transformer.derive @wide = convert(@x) : tensor<300007x33xf64>
    transformer.derive @plus = add_scalar(@x) {value = 1.0 : f64} : tensor<300007x33xf32>
    transformer.derive @scaled = scale_columns(@plus, @f) : tensor<300007x33xf32>
    transformer.derive @tail = slice(@scaled) {axis = 0 : i64, begin = 7 : i64, end = 300007 : i64} : tensor<300000x33xf32>
    transformer.derive @both = concat(@x, @tail) {axis = 0 : i64} : tensor<600007x33xf32>
    transformer.derive @both.packed = pack(@both) : tensor<600007x33xf32, #transformer.packed<48 x 1>>
    transformer.derive @t = transpose(@x) : tensor<33x300007xf32>
  )");
  WeightStore store(folder.str());
  std::string path = folder.file("w");
  SmallVector<StringRef> symbols{"packed", "wide", "plus", "scaled", "both.packed", "t"};
  WriteResult result;
  ASSERT_EQ(messageOf(writeWeights(*module, symbols, store, path, {}, result)), "");
  expectWritten(*module, symbols, store, path);
  // The same with a cache that is empty, and one that is not.
  std::string plain = contents(path);
  unsigned stored = 0;
  for (bool isKept : {false, true}) {
    std::unique_ptr<WeightCache> cache = cantFail(WeightCache::open(folder.file("cache")));
    WriteOptions options;
    options.cache = cache.get();
    ASSERT_EQ(messageOf(writeWeights(*module, symbols, store, path, options, result)), "");
    EXPECT_EQ(contents(path), plain);
    EXPECT_EQ(isKept ? cache->countStored() : cache->countReused(), 0u);
    if (!isKept)
      stored = cache->countStored();
    else
      EXPECT_EQ(cache->countReused(), stored);
  }
  EXPECT_GT(stored, symbols.size() + 4); // some were in pieces
}

TEST_F(WeightWriter, ErrorsLeaveNothingAndKeepWhatWasThere) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @a : tensor<6x10xf32> from "derive.source.safetensors"
    transformer.weight @missing : tensor<6x10xf32> from "derive.source.safetensors"
    transformer.weight @__pad.0 : tensor<6x10xf32> from "derive.source.safetensors"
  )");
  WeightStore store(XFM_TEST_DIR "/goldens");
  WriteResult result;
  folder.write("w", "before");
  std::string path = folder.file("w");
  expectMessage(messageOf(writeWeights(*module, {"a", "missing"}, store, path, {}, result)),
                {"no tensor \"missing\""});
  expectMessage(messageOf(writeWeights(*module, {"a", "unknown"}, store, path, {}, result)), {"@unknown"});
  expectMessage(messageOf(writeWeights(*module, {"__pad.0"}, store, path, {}, result)),
                {"@__pad.0", "rename"});
  EXPECT_EQ(contents(path), "before");
  EXPECT_EQ(folder.list(), std::vector<std::string>{"w"});
  expectMessage(messageOf(writeWeights(*module, {"a"}, store, folder.file("no/w"), {}, result)),
                {folder.file("no/w"), "No such file"});
}

/// Runs `body` in a child whose files may grow to `limit` bytes; true where it
/// returned true and no signal ended the child.
template <typename F> static bool inChildWithFileLimit(rlim_t limit, F body) {
  pid_t child = fork();
  if (child == 0) {
    rlimit bound{limit, limit};
    _exit(setrlimit(RLIMIT_FSIZE, &bound) == 0 && body() ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_F(WeightWriter, NoRoomIsAnError) {
  OwningOpRef<ModuleOp> module = goldenModule();
  SmallVector<StringRef> symbols = allSymbols(*module);
  WeightStore store(XFM_TEST_DIR "/goldens");
  std::string path = folder.file("w");
  for (rlim_t limit : {rlim_t(0), rlim_t(100), rlim_t(8192)})
    EXPECT_TRUE(inChildWithFileLimit(limit, [&] {
      WriteOptions options;
      options.threads = 2;
      WriteResult result;
      std::string message = messageOf(writeWeights(*module, symbols, store, path, options, result));
      // The signal must not be left pending: the process goes on.
      sigset_t pending;
      sigpending(&pending);
      return message.find(path) != std::string::npos && message.find("File too large") != std::string::npos &&
             message.find("make room") != std::string::npos && !sigismember(&pending, SIGXFSZ);
    })) << limit;
  EXPECT_EQ(folder.list(), std::vector<std::string>{});
  // The child can write where there is room: the test can tell the difference.
  EXPECT_TRUE(inChildWithFileLimit(1 << 20, [&] {
    WriteResult result;
    return messageOf(writeWeights(*module, symbols, store, path, {}, result)).empty();
  }));
}

TEST_F(WeightWriter, UsedWeightsAreThoseThatFunctionsRead) {
  OwningOpRef<ModuleOp> module = parse(R"(
    transformer.weight @a : tensor<2x2xf32> from "m.safetensors"
    transformer.weight @b : tensor<2x2xf32> from "m.safetensors"
    transformer.derive @t = transpose(@a) : tensor<2x2xf32>
    func.func @f() -> (tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>) {
      %0 = transformer.use @t : tensor<2x2xf32>
      %1 = transformer.use @b : tensor<2x2xf32>
      %2 = transformer.use @t : tensor<2x2xf32>
      return %0, %1, %2 : tensor<2x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>
    }
  )");
  EXPECT_EQ(usedWeights(*module), (SmallVector<StringRef>{"b", "t"}));
}
