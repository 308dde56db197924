//===- MutationTest.cpp - ten thousand damaged artifacts and checkpoints --===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// In this process, so that a crash, a hang or an allocation without measure ends
// the test: the address space is bounded. The same damage every time.
//
//===----------------------------------------------------------------------===//

#include "import/HuggingFace.h"
#include "test/e2e/Support.h"
#include "weights/WeightWriter.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sys/resource.h>
#include <thread>

using namespace mlir;
using namespace mlir::transformer;
using xfm::e2e::readFile;
using xfm::e2e::TemporaryFolder;
namespace fs = std::filesystem;

static constexpr int rounds = 10000;

//===----------------------------------------------------------------------===//
// Damage
//===----------------------------------------------------------------------===//

namespace {
/// One way in which a file is wrong.
struct Damage {
  std::string bytes;
  size_t first = std::string::npos; ///< of the bytes that changed in place; npos where the size did
  std::string what;
};

class Damager {
public:
  explicit Damager(unsigned seed) : random(seed) {}

  size_t below(size_t limit) { return limit == 0 ? 0 : random() % limit; }

  /// `head` bytes at the front are hit as often as all that follows.
  Damage damage(const std::string &original, size_t head) {
    Damage damage;
    do {
      damage = {original, original.size(), ""};
      damageOnce(damage, head);
    } while (damage.bytes == original);
    return damage;
  }

private:
  size_t place(const std::string &bytes, size_t head) {
    return below(2) && head > 0 ? below(std::min(head, bytes.size())) : below(bytes.size());
  }

  void damageOnce(Damage &damage, size_t head) {
    std::string &bytes = damage.bytes;
    size_t at = place(bytes, head), count = 1 + below(8);
    switch (below(7)) {
    case 0: // one bit
      bytes[at] ^= char(1 << below(8));
      damage.first = at;
      damage.what = "a bit of byte " + std::to_string(at);
      return;
    case 1: // some bytes
      damage.first = bytes.size();
      for (size_t i = 0; i < count; ++i) {
        size_t other = place(bytes, head);
        bytes[other] = char(below(256));
        damage.first = std::min(damage.first, other);
      }
      damage.what = std::to_string(count) + " bytes from " + std::to_string(damage.first);
      return;
    case 2: // a digit, quote or bracket of JSON
      bytes[at] = "0919-.eE\"{}[],: "[below(16)];
      damage.first = at;
      damage.what = "a character at " + std::to_string(at);
      return;
    case 3:
      bytes.resize(at);
      damage.what = "cut at " + std::to_string(at);
      break;
    case 4:
      bytes.append(count, char(below(256)));
      damage.what = std::to_string(count) + " bytes more";
      break;
    case 5:
      bytes.erase(at, count);
      damage.what = std::to_string(count) + " bytes less at " + std::to_string(at);
      break;
    default:
      bytes.insert(at, bytes.substr(below(bytes.size()), count));
      damage.what = std::to_string(count) + " bytes twice, at " + std::to_string(at);
      break;
    }
    damage.first = std::string::npos;
  }

  std::mt19937 random;
};

/// Bounds the address space to a gigabyte more than is in use.
class MemoryBound {
public:
  MemoryBound() {
    getrlimit(RLIMIT_AS, &before);
    std::ifstream status("/proc/self/statm");
    rlim_t pages = 0;
    status >> pages;
    rlimit bound = {pages * 4096 + (rlim_t(1) << 30), before.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &bound), 0);
  }
  ~MemoryBound() { setrlimit(RLIMIT_AS, &before); }

private:
  rlimit before;
};

/// That each round is short.
class Clock {
public:
  void check(const std::string &what) {
    auto now = std::chrono::steady_clock::now();
    EXPECT_LT(now - last, std::chrono::seconds(5)) << what;
    last = now;
  }

private:
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
};

struct Mutations : testing::Test {
  void SetUp() override {
    xfm::e2e::Outcome outcome =
        xfm::e2e::run({XFM_PYTHON, XFM_SOURCE_DIR "/test/tools/tiny_llama.py", folder / "model"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
  }
  static void write(const std::string &path, const std::string &bytes) {
    fs::remove(path); // the old one may be mapped
    std::ofstream(path, std::ios::binary) << bytes;
  }

  TemporaryFolder folder;
};
} // namespace

//===----------------------------------------------------------------------===//
// Artifacts
//===----------------------------------------------------------------------===//

namespace {
struct ArtifactMutations : Mutations {
  void SetUp() override {
    Mutations::SetUp();
    // Any tokenizer: the runtime's core only verifies it.
    write(folder / "model/tokenizer.json", R"({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}})");
    xfm::e2e::Outcome outcome = xfm::e2e::run({XFM_TFOPT, folder / "model", "-o", folder / "m.tfa", "-q"});
    ASSERT_EQ(outcome.status, 0) << outcome.error;
    for (const fs::directory_entry &entry : fs::directory_iterator(folder / "m.tfa"))
      files.push_back(entry.path().filename());
    std::sort(files.begin(), files.end());
    ASSERT_EQ(files.size(), 4u);
  }

  std::vector<float> logits(xfm_model *model) {
    xfm::e2e::Session session(xfm::e2e::Model(model, xfm_model_close));
    return session.call("score", {1, 2, 3, 4, 5}).values;
  }

  std::vector<std::string> files;
};
} // namespace

/// Each is refused with one line; what is not refused must compute what the undamaged one computes.
TEST_F(ArtifactMutations, AreRefused) {
  xfm_model *model = nullptr;
  ASSERT_EQ(xfm_model_open((folder / "m.tfa").c_str(), nullptr, &model), XFM_OK) << xfm_last_error();
  std::vector<float> expected = logits(model);
  Damager damager(1);
  MemoryBound bound;
  Clock clock;
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string name = files[round % files.size()], path = folder / ("m.tfa/" + name);
    std::string original = readFile(path);
    Damage damage = damager.damage(original, 1024);
    write(path, damage.bytes);
    model = nullptr;
    if (xfm_model_open((folder / "m.tfa").c_str(), nullptr, &model) == XFM_OK) {
      EXPECT_EQ(logits(model), expected) << name << ": " << damage.what;
    } else {
      std::string message = xfm_last_error();
      EXPECT_TRUE(!message.empty() && message.find('\n') == std::string::npos) << message;
      EXPECT_EQ(model, nullptr);
      ++refused;
    }
    write(path, original);
    clock.check(name + ": " + damage.what);
  }
  EXPECT_EQ(refused, rounds);
  ASSERT_EQ(xfm_model_open((folder / "m.tfa").c_str(), nullptr, &model), XFM_OK) << xfm_last_error();
  EXPECT_EQ(logits(model), expected); // what was damaged is whole again
}

/// Weights that nobody verifies may hold other numbers, but their header cannot lead outside of them.
TEST_F(ArtifactMutations, WeightsThatAreNotVerified) {
  std::string path = folder / "m.tfa/weights.safetensors", original = readFile(path);
  uint64_t header;
  std::memcpy(&header, original.data(), sizeof header);
  xfm_open_options options = {sizeof options, 1, 0, 0, nullptr, 0, 0, 0, nullptr, nullptr};
  Damager damager(2);
  MemoryBound bound;
  Clock clock;
  int ran = 0;
  for (int round = 0; round < rounds / 5; ++round) {
    Damage damage = damager.damage(original, header);
    write(path, damage.bytes);
    xfm_model *model = nullptr;
    if (xfm_model_open((folder / "m.tfa").c_str(), &options, &model) == XFM_OK) {
      EXPECT_EQ(logits(model).size(), 5u * 32u);
      ++ran;
    }
    clock.check(damage.what);
  }
  EXPECT_GT(ran, 100); // otherwise nothing was tried
}

/// Two models of one artifact, each with a session in a thread of its own.
TEST_F(ArtifactMutations, OpenedTwiceInTwoThreads) {
  std::vector<float> results[2];
  std::vector<std::thread> threads;
  for (std::vector<float> &result : results)
    threads.emplace_back([&] {
      xfm_model *model = nullptr;
      if (xfm_model_open((folder / "m.tfa").c_str(), nullptr, &model) != XFM_OK)
        return;
      xfm::e2e::Session session(xfm::e2e::Model(model, xfm_model_close), /*threads=*/2);
      for (int i = 0; i < 200; ++i) {
        session.reset();
        std::vector<float> now = session.call("prefill", {1, 2, 3}).values;
        now = session.call("decode", {4}).values;
        if (i > 0 && now != result) {
          result.clear();
          return;
        }
        result = now;
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(results[0].size(), 32u);
  EXPECT_EQ(results[0], results[1]);
}

//===----------------------------------------------------------------------===//
// Checkpoints
//===----------------------------------------------------------------------===//

namespace {
/// What a checkpoint becomes: its IR, and its weights as they are written.
struct Import {
  std::string error, ir, weights;
};

struct CheckpointMutations : Mutations {
  Import import(const std::string &model) {
    // Types live as long as their context.
    if (!context || ++uses % 500 == 0)
      context = std::make_unique<MLIRContext>(MLIRContext::Threading::DISABLED);
    llvm::Expected<OwningOpRef<ModuleOp>> module = importHuggingFace(*context, model, {});
    if (!module)
      return {llvm::toString(module.takeError()), "", ""};
    Import result;
    llvm::raw_string_ostream os(result.ir);
    (*module)->print(os);
    WeightStore store(model);
    WriteOptions options;
    options.threads = 1;
    WriteResult written;
    std::string path = folder / "weights";
    if (llvm::Error error = writeWeights(**module, usedWeights(**module), store, path, options, written))
      return {llvm::toString(std::move(error)), "", ""};
    result.weights = readFile(path);
    return result;
  }

  /// Splits the checkpoint into two shards with an index.
  void split() {
    std::string file = readFile(folder / "model/model.safetensors");
    auto tensors = llvm::cantFail(parseSafetensors({file.data(), file.size()}, "m"));
    llvm::json::Object headers[2], map;
    std::string data[2];
    for (const auto &entry : tensors) {
      int shard = entry.first().contains("layers.1");
      const StoredTensor &tensor = entry.second;
      headers[shard][entry.first()] = llvm::json::Object{
          {"dtype", dtypeName(tensor.dtype)},
          {"shape", llvm::json::Array(tensor.shape)},
          {"data_offsets", llvm::json::Array{data[shard].size(), data[shard].size() + tensor.bytes}}};
      data[shard] += file.substr(tensor.offset, tensor.bytes);
      map[entry.first()] = std::string(1, char('a' + shard)) + ".safetensors";
    }
    for (int shard = 0; shard < 2; ++shard) {
      std::string header = llvm::formatv("{0}", llvm::json::Value(std::move(headers[shard]))).str();
      uint64_t size = header.size();
      write(folder / ("model/" + std::string(1, char('a' + shard)) + ".safetensors"),
            std::string(reinterpret_cast<char *>(&size), sizeof size) + header + data[shard]);
    }
    llvm::json::Object index{{"weight_map", std::move(map)}};
    write(folder / "model/model.safetensors.index.json",
          llvm::formatv("{0}", llvm::json::Value(std::move(index))).str());
    fs::remove(folder / "model/model.safetensors");
  }

  void damageFiles(const std::vector<std::string> &files, unsigned seed, int count);

  std::unique_ptr<MLIRContext> context;
  unsigned uses = 0;
};
} // namespace

/// How many bytes differ; -1 where the sizes do.
static int64_t difference(const std::string &a, const std::string &b) {
  if (a.size() != b.size())
    return -1;
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i)
    count += a[i] != b[i];
  return count;
}

/// A damaged file is refused with one line, or it says something else that is valid: a config another
/// model, the data of a tensor exactly the bytes that changed. Nothing else may change.
void CheckpointMutations::damageFiles(const std::vector<std::string> &files, unsigned seed, int count) {
  Import expected = import(folder / "model");
  ASSERT_EQ(expected.error, "");
  Damager damager(seed);
  MemoryBound bound;
  Clock clock;
  int refused = 0, same = 0, changed = 0;
  for (int round = 0; round < count; ++round) {
    std::string name = files[round % files.size()], path = folder / ("model/" + name);
    std::string original = readFile(path);
    bool isWeights = llvm::StringRef(name).ends_with(".safetensors");
    uint64_t header = 0;
    if (isWeights) {
      std::memcpy(&header, original.data(), sizeof header);
      header += sizeof header;
    }
    Damage damage = damager.damage(original, isWeights ? header : original.size());
    write(path, damage.bytes);
    Import result = import(folder / "model");
    std::string what = name + ": " + damage.what;
    if (!result.error.empty()) {
      EXPECT_EQ(result.error.find('\n'), std::string::npos) << what << ": " << result.error;
      EXPECT_EQ(result.error.find("defect"), std::string::npos) << what << ": " << result.error;
      ++refused;
    } else if (result.ir == expected.ir && result.weights == expected.weights) {
      ++same;
    } else if (name == "config.json") {
      ++changed; // another model
    } else {
      EXPECT_EQ(result.ir, expected.ir) << what;
      bool inPlace = damage.bytes.size() == original.size() && damage.first != std::string::npos;
      EXPECT_TRUE(isWeights && (inPlace || damage.bytes.size() >= original.size())) << what;
      if (inPlace)
        EXPECT_EQ(difference(result.weights, expected.weights),
                  difference(damage.bytes.substr(header), original.substr(header)))
            << what;
      ++changed;
    }
    write(path, original);
    clock.check(what);
  }
  Import after = import(folder / "model");
  EXPECT_EQ(after.weights, expected.weights);
  // All three happen, or the test tries less than it says.
  EXPECT_GT(refused, count / 4);
  EXPECT_GT(same, 0);
  EXPECT_GT(changed, 0);
  RecordProperty("refused", refused);
  RecordProperty("same", same);
  RecordProperty("changed", changed);
}

TEST_F(CheckpointMutations, OneFile) { damageFiles({"model.safetensors", "config.json"}, 3, rounds / 2); }

TEST_F(CheckpointMutations, Shards) {
  split();
  damageFiles({"a.safetensors", "b.safetensors", "model.safetensors.index.json"}, 4, rounds / 2);
}
