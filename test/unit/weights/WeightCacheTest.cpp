//===- WeightCacheTest.cpp - values kept between compiles -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/WeightCache.h"
#include "test/unit/weights/Fixtures.h"
#include "weights/WeightWriter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"

#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::test;
namespace stdfs = std::filesystem;

static constexpr StringLiteral model = R"(
  transformer.weight @a : tensor<4x8xf32> from "m.safetensors"
  transformer.weight @b : tensor<4x8xf32> from "m.safetensors"
  transformer.derive @a.t = transpose(@a) : tensor<8x4xf32>
  transformer.derive @b.t = transpose(@b) : tensor<8x4xf32>
  transformer.derive @both = concat(@a.t, @b.t) {axis = 0 : i64} : tensor<16x4xf32>
  transformer.derive @cos = rope_table() {part = "cos", scaling = "none", theta = 1.0e4 : f64} : tensor<30x4xf32>
)";

namespace {
struct Cache : testing::Test {
  Cache() {
    context.loadDialect<TransformerDialect, func::FuncDialect>();
    writeCheckpoint(0);
  }

  /// `change` is what the last value of @b becomes; nothing else depends on it.
  void writeCheckpoint(float change) {
    std::vector<float> a(32), b(32);
    for (int i = 0; i < 32; ++i)
      a[i] = float(i), b[i] = float(100 + i);
    b.back() = change;
    folder.write("m.safetensors",
                 SafetensorsBuilder().add("a", "F32", {4, 8}, a).add("b", "F32", {4, 8}, b).build());
  }

  OwningOpRef<ModuleOp> parse(StringRef text) { return parseSourceString<ModuleOp>(text, &context); }

  struct Run {
    std::string error, file;
    unsigned reused = 0, stored = 0, damaged = 0;
    bool operator==(std::array<unsigned, 3> counts) const {
      return error.empty() && std::array<unsigned, 3>{reused, stored, damaged} == counts;
    }
    friend std::ostream &operator<<(std::ostream &os, const Run &run) {
      return os << run.error << " reused " << run.reused << ", stored " << run.stored << ", damaged "
                << run.damaged;
    }
  };
  /// Writes all the symbols with the cache; the counts are of this run.
  Run write(StringRef text, bool isCached = true) {
    OwningOpRef<ModuleOp> module = parse(text);
    SmallVector<StringRef> symbols;
    for (Operation &op : *module->getBody())
      symbols.push_back(SymbolTable::getSymbolName(&op).getValue());
    WeightStore store(folder.str());
    Run run;
    std::unique_ptr<WeightCache> cache;
    if (isCached)
      cache = cantFail(WeightCache::open(folder.file("cache")));
    WriteOptions options;
    options.threads = 2;
    options.cache = cache.get();
    WriteResult result;
    std::string path = folder.file("out-" + std::to_string(count++));
    run.error = messageOf(writeWeights(*module, symbols, store, path, options, result));
    if (run.error.empty())
      run.file = cantFail(MappedFile::open(path))->text().str();
    if (cache)
      run = {run.error, run.file, cache->countReused(), cache->countStored(), cache->countDamaged()};
    return run;
  }
  std::vector<stdfs::path> entries() const {
    std::vector<stdfs::path> paths;
    for (const auto &entry : stdfs::directory_iterator(folder.file("cache")))
      paths.push_back(entry.path());
    return paths;
  }

  MLIRContext context;
  TempFolder folder;
  std::atomic<int> count{0};
};
} // namespace

TEST_F(Cache, SecondRunComputesNothing) {
  std::string plain = write(model, /*isCached=*/false).file;
  Run first = write(model), second = write(model);
  EXPECT_EQ(first, (std::array<unsigned, 3>{0, 4, 0}));
  EXPECT_EQ(second, (std::array<unsigned, 3>{4, 0, 0}));
  EXPECT_EQ(first.file, plain);
  EXPECT_EQ(second.file, plain);
}

// What takes long on the way to a symbol is kept as well: another packing of the same product computes it no
// more.
TEST_F(Cache, CostlyStepsAreKept) {
  auto packed = [](StringRef packing) {
    return R"(
      transformer.weight @a : tensor<4x8xf32> from "m.safetensors"
      transformer.weight @b : tensor<4x8xf32> from "m.safetensors"
      transformer.derive @a.t = transpose(@a) : tensor<8x4xf32>
      transformer.derive @ab = matmul(@b, @a.t) : tensor<4x4xf32>
      transformer.derive @ab.packed = pack(@ab) : tensor<4x4xf32, #transformer.packed<)" +
           packing.str() + ">>";
  };
  auto last = [&](const std::string &text) {
    OwningOpRef<ModuleOp> module = parse(text);
    WeightStore store(folder.str());
    std::unique_ptr<WeightCache> cache = cantFail(WeightCache::open(folder.file("cache")));
    WriteOptions options;
    options.cache = cache.get();
    WriteResult result;
    EXPECT_EQ(messageOf(writeWeights(*module, {"ab.packed"}, store, folder.file("w"), options, result)), "");
    return std::pair<unsigned, unsigned>{cache->countReused(), cache->countStored()};
  };
  EXPECT_EQ(last(packed("2 x 1")), (std::pair<unsigned, unsigned>{0, 2})); // @ab and @ab.packed
  EXPECT_EQ(last(packed("4 x 2")), (std::pair<unsigned, unsigned>{1, 1}));
  EXPECT_EQ(last(packed("4 x 2")), (std::pair<unsigned, unsigned>{1, 0}));
}

// Same name, size and time, other bytes: what depends on them is computed again.
TEST_F(Cache, ContentDecides) {
  write(model);
  std::string path = folder.file("m.safetensors");
  stdfs::file_time_type time = stdfs::last_write_time(path);
  uint64_t size = stdfs::file_size(path);
  writeCheckpoint(7);
  stdfs::last_write_time(path, time);
  ASSERT_EQ(stdfs::file_size(path), size);
  Run run = write(model);
  EXPECT_EQ(run, (std::array<unsigned, 3>{2, 2, 0})); // @b.t and @both
  EXPECT_EQ(run.file, write(model, /*isCached=*/false).file);
  // The old one, back again, is still known.
  writeCheckpoint(0);
  EXPECT_EQ(write(model), (std::array<unsigned, 3>{4, 0, 0}));
}

// Names of symbols, files and tensors are no part of a key; everything else is.
TEST_F(Cache, DerivationDecides) {
  auto table = [](StringRef name, StringRef theta, StringRef type) {
    return ("transformer.derive @" + name + " = rope_table() {part = \"cos\", scaling = \"none\", theta = " +
            theta + " : f64} : tensor<" + type + ">")
        .str();
  };
  auto factors = [](StringRef last) {
    return ("transformer.derive @l = rope_table() {part = \"cos\", scaling = \"longrope\", ext_factors = "
            "array<f64: 1.0, " +
            last + ">, attention_factor = 1.0 : f64, theta = 1.0e4 : f64} : tensor<16x2xf32>")
        .str();
  };
  std::array<unsigned, 3> isNew{0, 1, 0}, isKnown{1, 0, 0};
  EXPECT_EQ(write(table("x", "1.0e4", "9x4xf32")), isNew);
  EXPECT_EQ(write(table("y", "1.0e4", "9x4xf32")), isKnown);
  // The next double; the same text in six digits.
  EXPECT_EQ(write(table("x", "10000.000000000002", "9x4xf32")), isNew);
  EXPECT_EQ(write(table("x", "1.0e4", "9x4xbf16")), isNew);
  EXPECT_EQ(write(table("x", "1.0e4", "8x4xf32")), isNew);
  EXPECT_EQ(write(factors("1.5")), isNew);
  EXPECT_EQ(write(factors("1.5000000000000002")), isNew);
  EXPECT_EQ(write(factors("1.5")), isKnown);
}

// What is stored as it is read is not kept a second time.
TEST_F(Cache, ViewsAreNotKept) {
  Run run = write(R"(
    transformer.weight @a : tensor<4x8xf32> from "m.safetensors"
    transformer.derive @same = convert(@a) : tensor<4x8xf32>
    transformer.derive @rows = slice(@same) {axis = 0 : i64, begin = 1 : i64, end = 3 : i64} : tensor<2x8xf32>
  )");
  EXPECT_EQ(run, (std::array<unsigned, 3>{0, 0, 0}));
  EXPECT_TRUE(entries().empty());
}

TEST_F(Cache, DamagedEntriesAreReplaced) {
  std::string plain = write(model).file;
  ASSERT_EQ(entries().size(), 4u);
  std::vector<std::function<void(const stdfs::path &)>> damages = {
      [](const stdfs::path &path) { stdfs::resize_file(path, 0); },
      [](const stdfs::path &path) { stdfs::resize_file(path, 63); },
      [](const stdfs::path &path) { stdfs::resize_file(path, stdfs::file_size(path) - 1); },
      [](const stdfs::path &path) { stdfs::resize_file(path, stdfs::file_size(path) + 1); },
  };
  // One bit of each byte of the header, and some of the value.
  for (int at = 0; at < 80; ++at)
    damages.push_back([at](const stdfs::path &path) {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(at);
      char byte = char(file.get() ^ (1 << at % 8));
      file.seekp(at);
      file.put(byte);
    });
  for (size_t i = 0; i < damages.size(); ++i) {
    for (const stdfs::path &path : entries())
      damages[i](path);
    Run run = write(model);
    EXPECT_EQ(run, (std::array<unsigned, 3>{0, 4, 4})) << i;
    EXPECT_EQ(run.file, plain) << i;
  }
  EXPECT_EQ(write(model), (std::array<unsigned, 3>{4, 0, 0}));
  // An entry of another key, whole in itself.
  std::vector<stdfs::path> paths = entries();
  stdfs::copy_file(paths[0], paths[1], stdfs::copy_options::overwrite_existing);
  Run run = write(model);
  EXPECT_EQ(run, (std::array<unsigned, 3>{3, 1, 1}));
  EXPECT_EQ(run.file, plain);
  // Something that is no file.
  stdfs::remove(paths[2]);
  stdfs::create_directory(paths[2]);
  EXPECT_NE(write(model).error, "");
}

TEST_F(Cache, ManyAtOnce) {
  std::string plain = write(model, /*isCached=*/false).file;
  std::vector<std::thread> threads;
  std::vector<std::string> files(8);
  for (std::string &file : files)
    threads.emplace_back([&] { file = write(model).file; });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::string &file : files)
    EXPECT_EQ(file, plain);
  EXPECT_EQ(entries().size(), 4u);
  EXPECT_EQ(write(model), (std::array<unsigned, 3>{4, 0, 0}));
}

// A source that two symbols read is let go of, whichever of them is found.
TEST_F(Cache, SharedSourcesWithOneOfTheReadersKept) {
  write(StringRef(model).substr(0, StringRef(model).find("transformer.derive @both")).str());
  Run run = write(model);
  EXPECT_EQ(run, (std::array<unsigned, 3>{2, 2, 0}));
  EXPECT_EQ(run.file, write(model, /*isCached=*/false).file);
}

TEST_F(Cache, OldTemporariesGo) {
  write(model);
  std::string entry = entries().front();
  for (const char *name : {".0badcafe.tmp", ".1badcafe.tmp"})
    std::ofstream(entry + name) << "half";
  std::ofstream(folder.file("cache/notes.tmp")) << "somebody's";
  auto old = stdfs::file_time_type::clock::now() - std::chrono::hours(25);
  stdfs::last_write_time(entry + ".0badcafe.tmp", old);
  stdfs::last_write_time(folder.file("cache/notes.tmp"), old);
  EXPECT_EQ(write(model), (std::array<unsigned, 3>{4, 0, 0}));
  EXPECT_FALSE(stdfs::exists(entry + ".0badcafe.tmp"));
  EXPECT_TRUE(stdfs::exists(entry + ".1badcafe.tmp")); // may be another process's
  EXPECT_TRUE(stdfs::exists(folder.file("cache/notes.tmp")));
}

TEST_F(Cache, PlacesThatCannotBe) {
  folder.write("file", "");
  expectMessage(messageOf(WeightCache::open(folder.file("file"))), {"is no folder"});
  expectMessage(messageOf(WeightCache::open(folder.file("file/under"))), {"cannot be created"});
}

// A full disk is an error, and leaves neither an entry nor a temporary file.
TEST_F(Cache, NoRoomIsAnError) {
  std::unique_ptr<WeightCache> cache = cantFail(WeightCache::open(folder.file("cache")));
  OwningOpRef<ModuleOp> module = parse(model);
  WeightStore store(folder.str());
  HostTensor value = cantFail(evaluateWeight(*module, "cos", store));
  pid_t child = fork();
  if (child == 0) {
    rlimit bound{200, 200};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &bound);
    std::string message = messageOf(cache->store(WeightCache::Key{}, value));
    _exit(message.find("File too large") != std::string::npos &&
                  message.find("make room") != std::string::npos
              ? 0
              : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_TRUE(entries().empty());
}
