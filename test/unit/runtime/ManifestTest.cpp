//===- ManifestTest.cpp - good and bad manifests --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Manifest.h"
#include "FakeArtifact.h"
#include "GpuArtifact.h"

#include <functional>
#include <random>

using namespace xfm;
using namespace xfm::test;
using nlohmann::json;

static Status parse(const std::string &text) {
  Manifest manifest;
  return parseManifest(text, "manifest.json", manifest);
}

static void expectFailure(const Status &status, xfm_status code, const std::string &part) {
  EXPECT_STREQ(xfm_status_name(status.code), xfm_status_name(code)) << status.message;
  EXPECT_NE(status.message.find(part), std::string::npos) << status.message << "\nlacks: " << part;
}

/// Makes the cache a ring of window 6 with 10 slots, or returns it as it is.
static json &ring(json &manifest, bool make = true) {
  json &cache = manifest["caches"][0];
  if (!make)
    return cache;
  cache["policy"] = "ring";
  cache["window"] = 6;
  json length = {{"part", "length"}, {"dtype", "i32"}, {"shape", {"B"}}};
  json keys = {{"part", "keys"}, {"dtype", "f32"}, {"shape", {"B", 2, 10, 8}}}, values = keys;
  values["part"] = "values";
  cache["buffers"] = {keys, values, length};
  return cache;
}
static json &keysOf(json &cache) { return cache["buffers"][0]; }
static json &costed(json &manifest) { return manifest["entry_points"][0]["dispatches"][0]; }

TEST(Manifest, ReadsAllOfIt) {
  FakeArtifact artifact;
  Manifest manifest;
  std::string text = manifestText(artifact.manifest);
  Status status = parseManifest(text, "manifest.json", manifest);
  ASSERT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(manifest.text, text);
  EXPECT_EQ(manifest.model.chunk, 4);
  EXPECT_EQ(manifest.model.eosTokenIds, (std::vector<int64_t>{2, 3}));
  const EntryPoint *prefill = manifest.findEntryPoint("prefill");
  ASSERT_NE(prefill, nullptr);
  EXPECT_EQ(prefill->inputs[1].dims[1].symbol, "S");
  EXPECT_EQ(prefill->inputs[1].dims[1].size, 1);
  EXPECT_EQ(prefill->inputs[1].dims[2].extent, 2);
  EXPECT_EQ(prefill->inputs[0].range->end, 100);
  EXPECT_EQ(manifest.caches[0].lengthBuffer, 1u);
  EXPECT_EQ(manifest.findEntryPoint("nothing"), nullptr);
}

// What a model does not have is absent.
TEST(Manifest, ModelMayBeEmpty) {
  FakeArtifact artifact;
  artifact.manifest["model"] = json::object();
  Manifest manifest;
  Status status = parseManifest(manifestText(artifact.manifest), "manifest.json", manifest);
  ASSERT_TRUE(status.ok()) << status.message;
  EXPECT_EQ(manifest.model.vocabSize, -1);
}

// 6 + 4 - 1 slots hold the window of every query of a piece; more do no harm.
TEST(Manifest, Rings) {
  FakeArtifact artifact;
  for (int64_t capacity : {9, 10, 1000}) {
    for (json &buffer : ring(artifact.manifest)["buffers"])
      if (buffer["part"] != "length")
        buffer["shape"][2] = capacity;
    Manifest manifest;
    Status status = parseManifest(manifestText(artifact.manifest), "manifest.json", manifest);
    ASSERT_TRUE(status.ok()) << status.message;
    EXPECT_EQ(manifest.caches[0].window, 6);
    EXPECT_EQ(manifest.caches[0].buffers[1].dims[2].extent, capacity);
  }
}

TEST(Manifest, Costs) {
  FakeArtifact artifact;
  costed(artifact.manifest)["flops"] = {{{"coefficient", 3}, {"sizes", {"B", "T"}}},
                                        {{"coefficient", 5}, {"sizes", json::array()}}};
  artifact.entry("prefill")["arena"] = {{{"bytes", 4}, {"sizes", {"B", "S"}}}};
  Manifest manifest;
  Status status = parseManifest(manifestText(artifact.manifest), "manifest.json", manifest);
  ASSERT_TRUE(status.ok()) << status.message;
  const EntryPoint &prefill = manifest.entryPoints[0];
  ASSERT_TRUE(prefill.dispatches[0].flops);
  EXPECT_FALSE(prefill.dispatches[0].bytes);
  EXPECT_EQ(evaluate(*prefill.dispatches[0].flops, {2, 4, 64}, meanKeys(10, 4)), 3 * 2 * 12.5 + 5);
  EXPECT_EQ(evaluate(prefill.arena, {2, 4, 64}, 0), 32);
}

//===----------------------------------------------------------------------===//
// One defect each, under a right checksum
//===----------------------------------------------------------------------===//

namespace {
struct Defect {
  const char *name;
  std::function<void(json &)> make;
  xfm_status status;
  const char *message;
};

class ManifestDefect : public ::testing::TestWithParam<Defect> {};
} // namespace

static const char *const huge = "larger than any memory";

static const std::vector<Defect> defects = {
    {"ForeignFormat", [](json &m) { m["format"] = "zip"; }, XFM_VERSION_MISMATCH, "format is 'zip'"},
    {"NewFormatVersion", [](json &m) { m["format_version"] = 2; }, XFM_VERSION_MISMATCH,
     "format_version is 2"},
    // A newer format is named as such, whatever else differs in it.
    {"NewStructure", [](json &m) { m["format_version"] = 2, m.erase("caches"), m["target"] = 1; },
     XFM_VERSION_MISMATCH, "format_version is 2"},
    {"NewAbi", [](json &m) { m["abi_version"] = 9; }, XFM_VERSION_MISMATCH, "abi_version is 9"},
    {"NoFormat", [](json &m) { m.erase("format"); }, XFM_CORRUPT, "expected a member 'format'"},
    {"VersionIsText", [](json &m) { m["format_version"] = "1"; }, XFM_CORRUPT,
     "format_version: expected an integer"},
    {"VersionIsFraction", [](json &m) { m["format_version"] = 1.5; }, XFM_CORRUPT, "expected an integer"},
    {"VersionIsHuge", [](json &m) { m["format_version"] = UINT64_MAX; }, XFM_CORRUPT, "18446744073709551615"},
    {"OtherDevice", [](json &m) { m["target"]["device"] = "gpu"; }, XFM_TARGET_MISMATCH, "'gpu'"},
    {"OtherArchitecture", [](json &m) { m["target"]["triple"] = "riscv64-unknown-linux-gnu"; },
     XFM_TARGET_MISMATCH, "riscv64"},
    {"OtherSystem", [](json &m) { m["target"]["triple"] = "x86_64-apple-darwin"; }, XFM_TARGET_MISMATCH,
     "darwin"},
    {"UnknownFeature", [](json &m) { m["target"]["features"] = {"warp9"}; }, XFM_TARGET_MISMATCH, "'warp9'"},
    // The target is compared before the rest is read.
    {"TargetBeforeStructure", [](json &m) { m["target"]["features"] = {"warp9"}, m.erase("files"); },
     XFM_TARGET_MISMATCH, "'warp9'"},
    {"NoModel", [](json &m) { m.erase("model"); }, XFM_CORRUPT, "expected a member 'model'"},
    {"NegativeVocabulary", [](json &m) { m["model"]["vocab_size"] = -5; }, XFM_CORRUPT, "model.vocab_size"},
    {"ChunkZero", [](json &m) { m["model"]["chunk"] = 0; }, XFM_CORRUPT, "model.chunk"},
    {"NoFiles", [](json &m) { m.erase("files"); }, XFM_CORRUPT, "expected a member 'files'"},
    {"FilesWithoutModule", [](json &m) { m["files"].erase(0); }, XFM_CORRUPT, "do not list 'module.so'"},
    {"FilesWithoutWeights", [](json &m) { m["files"].erase(1); }, XFM_CORRUPT, "'weights.safetensors'"},
    {"FileTwice", [](json &m) { m["files"].push_back(m["files"][0]); }, XFM_CORRUPT, "given twice"},
    {"FileWithFolder", [](json &m) { m["files"][0]["name"] = "a/module.so"; }, XFM_CORRUPT, "plain name"},
    {"FileAbove", [](json &m) { m["files"][0]["name"] = ".."; }, XFM_CORRUPT, "plain name"},
    {"FileEmpty", [](json &m) { m["files"][0]["name"] = ""; }, XFM_CORRUPT, "files[0].name"},
    {"FileNegative", [](json &m) { m["files"][0]["bytes"] = -1; }, XFM_CORRUPT, "files[0].bytes"},
    {"FileHashShort", [](json &m) { m["files"][0]["xxh3"] = "12"; }, XFM_CORRUPT, "16 lower-case hex digits"},
    {"FileHashNoHex", [](json &m) { m["files"][0]["xxh3"] = "ABCDEF0123456789"; }, XFM_CORRUPT, "hex digits"},
    {"EntryTwice", [](json &m) { m["entry_points"].push_back(m["entry_points"][0]); }, XFM_CORRUPT,
     "'prefill'"},
    {"EntriesAreObject", [](json &m) { m["entry_points"] = json::object(); }, XFM_CORRUPT,
     "expected an array"},
    {"EntryIsNumber", [](json &m) { m["entry_points"][0] = 3; }, XFM_CORRUPT, "expected an object"},
    {"SymbolNoIdentifier", [](json &m) { m["entry_points"][0]["symbol"] = "a b"; }, XFM_CORRUPT,
     "identifier"},
    {"NoArenaSymbol", [](json &m) { m["entry_points"][0].erase("arena_symbol"); }, XFM_CORRUPT,
     "arena_symbol"},
    {"ControlCharacter", [](json &m) { m["entry_points"][0]["name"] = "a\nb"; }, XFM_CORRUPT, "a\\x0ab"},
    {"SizeTwice", [](json &m) { m["entry_points"][0]["sizes"] = {"B", "B"}; }, XFM_CORRUPT, "given twice"},
    {"SizeNotBound", [](json &m) { m["entry_points"][1]["sizes"].push_back("T"); }, XFM_CORRUPT,
     "'T' is in no"},
    {"InputTwice",
     [](json &m) { m["entry_points"][0]["inputs"].push_back(m["entry_points"][0]["inputs"][0]); },
     XFM_CORRUPT, "'tokens' is given twice"},
    {"UnknownDtype", [](json &m) { m["entry_points"][0]["inputs"][0]["dtype"] = "f8"; }, XFM_CORRUPT, "'f8'"},
    {"UnknownSymbol", [](json &m) { m["entry_points"][0]["inputs"][0]["shape"] = {"B", "Q"}; }, XFM_CORRUPT,
     "'Q'"},
    {"NegativeDimension", [](json &m) { m["entry_points"][0]["outputs"][2]["shape"] = {"B", -2}; },
     XFM_CORRUPT, "outputs[2].shape[1]"},
    {"ShapeOverflows",
     [](json &m) { m["entry_points"][0]["outputs"][2]["shape"] = {"B", 1LL << 40, 1LL << 40}; }, XFM_CORRUPT,
     huge},
    // Zero times what overflows still overflows: strides are computed from it.
    {"ShapeOverflowsBesideZero",
     [](json &m) { m["entry_points"][0]["outputs"][2]["shape"] = {0, 1LL << 40, 1LL << 40}; }, XFM_CORRUPT,
     huge},
    {"BytesOverflow", [](json &m) { m["entry_points"][0]["outputs"][2]["shape"] = {1LL << 62}; }, XFM_CORRUPT,
     huge},
    {"RankTooHigh", [](json &m) { m["entry_points"][0]["outputs"][2]["shape"] = json(9, 1); }, XFM_CORRUPT,
     "at most 8 dimensions"},
    {"TwiceS", [](json &m) { m["entry_points"][0]["outputs"][2]["shape"] = {"S", "S"}; }, XFM_CORRUPT,
     "S twice"},
    {"RangeReversed", [](json &m) { m["entry_points"][0]["inputs"][0]["range"] = {5, 5}; }, XFM_CORRUPT,
     "begin < end"},
    {"RangeOfThree", [](json &m) { m["entry_points"][0]["inputs"][0]["range"] = {0, 1, 2}; }, XFM_CORRUPT,
     "[begin, end)"},
    {"RangeOfFloats", [](json &m) { m["entry_points"][0]["inputs"][1]["range"] = {0, 5}; }, XFM_CORRUPT,
     "integer type"},
    {"UnknownCache", [](json &m) { m["entry_points"][0]["caches"] = {"cache.7"}; }, XFM_CORRUPT, "'cache.7'"},
    {"CacheTwice", [](json &m) { m["entry_points"][0]["caches"] = {"cache.0", "cache.0"}; }, XFM_CORRUPT,
     "given twice"},
    {"UnknownPolicy", [](json &m) { m["caches"][0]["policy"] = "sink"; }, XFM_CORRUPT, "'sink'"},
    {"RingWithoutWindow", [](json &m) { ring(m).erase("window"); }, XFM_CORRUPT, "'window'"},
    {"RingOfNoWindow", [](json &m) { ring(m)["window"] = 0; }, XFM_CORRUPT, "caches[0].window"},
    {"RingWithoutChunk", [](json &m) { ring(m), m["model"].erase("chunk"); }, XFM_CORRUPT, "model's chunk"},
    // 8 + 4 - 1 slots are needed.
    {"RingTooSmall", [](json &m) { ring(m)["window"] = 8; }, XFM_CORRUPT,
     "window 8 and chunk 4 to have a capacity of 11 or more, but got 10"},
    {"RingSmallerThanWindow", [](json &m) { ring(m)["window"] = 11, m["model"]["chunk"] = 1; }, XFM_CORRUPT,
     "capacity of 11 or more, but got 10"},
    {"RingOfTwoCapacities", [](json &m) { keysOf(ring(m))["shape"][2] = 12; }, XFM_CORRUPT,
     "one capacity, but got 12 and 10"},
    {"RingOfContext", [](json &m) { keysOf(ring(m))["shape"][2] = "C"; }, XFM_CORRUPT,
     "[B, heads, capacity, head_dim] in numbers, but got"},
    {"RingOfRankTwo", [](json &m) { keysOf(ring(m))["shape"] = {"B", 10}; }, XFM_CORRUPT,
     "[B, heads, capacity, head_dim]"},
    {"RingOfNothing", [](json &m) { ring(m)["buffers"].erase(0), ring(m, false)["buffers"].erase(0); },
     XFM_CORRUPT, "keys and values"},
    {"CacheWithoutLength", [](json &m) { m["caches"][0]["buffers"].erase(1); }, XFM_CORRUPT, "'length'"},
    {"LengthOfFloats", [](json &m) { m["caches"][0]["buffers"][1]["dtype"] = "f32"; }, XFM_CORRUPT,
     "i32 [B]"},
    {"LengthWithoutRows", [](json &m) { m["caches"][0]["buffers"][1]["shape"] = {4}; }, XFM_CORRUPT,
     "i32 [B]"},
    {"CacheOfS", [](json &m) { m["caches"][0]["buffers"][0]["shape"] = {"B", "S"}; }, XFM_CORRUPT, "'S'"},
    {"WeightTwice", [](json &m) { m["weights"].push_back(m["weights"][0]); }, XFM_CORRUPT, "'bias'"},
    {"WeightSymbolic", [](json &m) { m["weights"][0]["shape"] = {"B"}; }, XFM_CORRUPT, "weights[0].shape[0]"},
    {"WeightOverflows", [](json &m) { m["weights"][0]["shape"] = {1LL << 40, 1LL << 40}; }, XFM_CORRUPT,
     huge},
    {"DispatchCount", [](json &m) { m["entry_points"][0]["dispatches"][0]["count"] = -1; }, XFM_CORRUPT,
     "count"},
    {"FlopsOfUnknownSize",
     [](json &m) { costed(m)["flops"] = {{{"coefficient", 1}, {"sizes", {"B", "Q"}}}}; }, XFM_CORRUPT,
     "entry point's sizes or 'T', but got 'Q'"},
    {"FlopsOfFraction", [](json &m) { costed(m)["flops"] = {{{"coefficient", 0.5}, {"sizes", {"B"}}}}; },
     XFM_CORRUPT, "flops[0].coefficient"},
    {"BytesNegative", [](json &m) { costed(m)["bytes"] = {{{"coefficient", -1}, {"sizes", {"B"}}}}; },
     XFM_CORRUPT, "bytes[0].coefficient"},
    {"BytesWithoutSizes", [](json &m) { costed(m)["bytes"] = {{{"coefficient", 1}}}; }, XFM_CORRUPT,
     "'sizes'"},
    {"ArenaOfKeys", [](json &m) { m["entry_points"][0]["arena"] = {{{"bytes", 8}, {"sizes", {"T"}}}}; },
     XFM_CORRUPT, "entry point's sizes, but got 'T'"},
    {"ArenaNegative",
     [](json &m) { m["entry_points"][0]["arena"] = {{{"bytes", -8}, {"sizes", json::array()}}}; },
     XFM_CORRUPT, "arena[0].bytes"},
};

TEST_P(ManifestDefect, IsRefused) {
  FakeArtifact artifact;
  GetParam().make(artifact.manifest);
  expectFailure(parse(manifestText(artifact.manifest)), GetParam().status, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(All, ManifestDefect, ::testing::ValuesIn(defects),
                         [](const auto &info) { return std::string(info.param.name); });

//===----------------------------------------------------------------------===//
// Kernels of a GPU
//===----------------------------------------------------------------------===//

/// An artifact for sm_80 and, in cubins alone, sm_90a.
static void makeForTwo(FakeArtifact &artifact) {
  makeGpuArtifact(artifact, FAKE_MODULE); // read only
  json &kernels = artifact.manifest["kernels"];
  json newer = kernels[0];
  newer["arch"] = "sm_90a";
  newer.erase("ptx");
  kernels.push_back(newer);
  artifact.manifest["target"]["archs"] = {"sm_80", "sm_90a"};
}

TEST(Manifest, Kernels) {
  FakeArtifact artifact;
  makeForTwo(artifact);
  Manifest manifest;
  Status status = parseManifest(manifestText(artifact.manifest), "manifest.json", manifest);
  ASSERT_TRUE(status.ok()) << status.message;
  EXPECT_TRUE(manifest.target.isGPU());
  EXPECT_EQ(manifest.target.archs, (std::vector<std::string>{"sm_80", "sm_90a"}));
  ASSERT_EQ(manifest.kernels.size(), 2u);
  EXPECT_EQ(manifest.kernels[0].ptx, "kernels/fake.ptx");
  EXPECT_EQ(manifest.kernels[0].capability(), 80);
  EXPECT_FALSE(manifest.kernels[0].isExact());
  EXPECT_EQ(manifest.kernels[1].ptx, "");
  EXPECT_EQ(manifest.kernels[1].capability(), 90);
  EXPECT_TRUE(manifest.kernels[1].isExact());
  const KernelSpec &mapped = manifest.kernels[0].table[3];
  EXPECT_EQ(mapped.symbol, "mapped");
  EXPECT_EQ(mapped.threads, 64);
  EXPECT_EQ(mapped.words, 4);
  EXPECT_EQ(mapped.tile, (std::vector<int64_t>{1, 8}));
  ASSERT_EQ(mapped.maps.size(), 1u);
  EXPECT_EQ(mapped.maps[0].dtype, XFM_I32);
  EXPECT_EQ(mapped.maps[0].swizzle, 64);
  EXPECT_EQ(mapped.maps[0].box, (std::vector<int64_t>{1, 16}));
  EXPECT_EQ(mapped.maps[0].dims[0].factor, 2);
  EXPECT_EQ(mapped.maps[0].dims[1].words, std::vector<int64_t>{3});
  EXPECT_TRUE(manifest.kernels[0].table[1].persistent);
  EXPECT_EQ(manifest.kernels[0].table[4].cluster, 4);
  ASSERT_TRUE(manifest.sampling);
  EXPECT_EQ(manifest.sampling->kernel, 6);
  EXPECT_EQ(manifest.sampling->entry, "step");
  EXPECT_EQ(manifest.sampling->logits, "logits");
  EXPECT_EQ(manifest.sampling->vocabulary, 4);
  EXPECT_EQ(manifest.findEntryPoint("prefill")->bufferCount, 7u);
}

static json &rowOf(json &manifest, size_t row) { return manifest["kernels"][0]["table"][row]; }
static json &mapOf(json &manifest) { return rowOf(manifest, 3)["maps"][0]; }

namespace {
class KernelDefect : public ::testing::TestWithParam<Defect> {};
} // namespace

static const std::vector<Defect> kernelDefects = {
    {"NoKernels", [](json &m) { m.erase("kernels"); }, XFM_CORRUPT, "expected a member 'kernels'"},
    {"KernelsOfNothing", [](json &m) { m["kernels"] = json::array(); }, XFM_CORRUPT,
     "kernels of at least one architecture"},
    {"KernelsAreObject", [](json &m) { m["kernels"] = json::object(); }, XFM_CORRUPT, "expected an array"},
    {"NoArchs", [](json &m) { m["target"].erase("archs"); }, XFM_CORRUPT, "'archs'"},
    {"ArchWithoutKernels", [](json &m) { m["target"]["archs"].push_back("sm_75"); }, XFM_CORRUPT,
     "target.archs: there are no kernels for 'sm_75'"},
    {"KernelsOfOtherArch", [](json &m) { m["target"]["archs"].erase(1); }, XFM_CORRUPT,
     "there are kernels for 'sm_90a', which is not listed"},
    {"ArchTwice", [](json &m) { m["kernels"][1]["arch"] = "sm_80"; }, XFM_CORRUPT, "'sm_80' is given twice"},
    {"ArchOfCPU", [](json &m) { m["kernels"][0]["arch"] = "x86"; }, XFM_CORRUPT,
     "kernels[0].arch: expected an architecture such as sm_80, but got 'x86'"},
    {"ArchWithoutNumber", [](json &m) { m["kernels"][0]["arch"] = "sm_"; }, XFM_CORRUPT, "such as sm_80"},
    {"ArchOfOneDigit", [](json &m) { m["kernels"][0]["arch"] = "sm_8"; }, XFM_CORRUPT, "such as sm_80"},
    {"ArchWithWord", [](json &m) { m["kernels"][0]["arch"] = "sm_80x"; }, XFM_CORRUPT, "such as sm_80"},
    {"ArchWithSign", [](json &m) { m["kernels"][0]["arch"] = "sm_-80"; }, XFM_CORRUPT, "such as sm_80"},
    {"NeitherFile", [](json &m) { m["kernels"][1].erase("cubin"); }, XFM_CORRUPT,
     "kernels[1]: expected a file of PTX or a cubin"},
    {"FileNotListed", [](json &m) { m["kernels"][0]["ptx"] = "kernels/other.ptx"; }, XFM_CORRUPT,
     "kernels in 'kernels/other.ptx', but files do not list it"},
    {"FileInOtherFolder", [](json &m) { m["files"].back()["name"] = "others/fake.cubin"; }, XFM_CORRUPT,
     "plain name"},
    {"FileAboveTheFolder", [](json &m) { m["files"].back()["name"] = "kernels/../module.so"; }, XFM_CORRUPT,
     "plain name"},
    {"NoTable", [](json &m) { m["kernels"][0].erase("table"); }, XFM_CORRUPT, "'table'"},
    {"TablesOfTwoLengths", [](json &m) { m["kernels"][1]["table"].erase(4); }, XFM_CORRUPT,
     "kernels[1]: expected as many kernels as the first architecture has, 7, but got 6"},
    {"WordsOfTwoCounts", [](json &m) { m["kernels"][1]["table"][2]["words"] = 7; }, XFM_CORRUPT,
     "expected kernel 2 to take 6 words and 1 dimensions as for the first architecture, but got 7 and 1"},
    {"TilesOfTwoRanks", [](json &m) { m["kernels"][1]["table"][1]["tile"] = {4}; }, XFM_CORRUPT,
     "but got 4 and 1"},
    {"NoSymbol", [](json &m) { rowOf(m, 0).erase("symbol"); }, XFM_CORRUPT, "'symbol'"},
    {"NoThreads", [](json &m) { rowOf(m, 0)["threads"] = 0; }, XFM_CORRUPT, "table[0].threads"},
    {"ThreadsOfHalfAWarp", [](json &m) { rowOf(m, 0)["threads"] = 48; }, XFM_CORRUPT,
     "expected a multiple of 32, but got 48"},
    {"TooManyThreads", [](json &m) { rowOf(m, 0)["threads"] = 2048; }, XFM_CORRUPT, "table[0].threads"},
    {"SharedNegative", [](json &m) { rowOf(m, 0)["shared"] = -1; }, XFM_CORRUPT, "table[0].shared"},
    {"ClusterOfNothing", [](json &m) { rowOf(m, 0)["cluster"] = 0; }, XFM_CORRUPT, "table[0].cluster"},
    {"PersistentNumber", [](json &m) { rowOf(m, 0)["persistent"] = 1; }, XFM_CORRUPT, "table[0].persistent"},
    {"WordsNegative", [](json &m) { rowOf(m, 0)["words"] = -1; }, XFM_CORRUPT, "table[0].words"},
    {"TileZero", [](json &m) { rowOf(m, 0)["tile"] = {0}; }, XFM_CORRUPT, "table[0].tile[0]"},
    {"MapOfNoWord", [](json &m) { mapOf(m)["word"] = 4; }, XFM_CORRUPT, "maps[0].word"},
    {"MapOfUnknownType", [](json &m) { mapOf(m)["dtype"] = "f8"; }, XFM_CORRUPT, "unknown element type 'f8'"},
    {"MapOfOddSwizzle", [](json &m) { mapOf(m)["swizzle"] = 48; }, XFM_CORRUPT,
     "expected 0, 32, 64 or 128, but got 48"},
    {"MapOfLargeBox", [](json &m) { mapOf(m)["box"][0] = 257; }, XFM_CORRUPT, "maps[0].box[0]"},
    {"MapOfOtherRank", [](json &m) { mapOf(m)["box"] = {1}; }, XFM_CORRUPT,
     "1 to 5 dimensions and a box of as many, but got 2 and 1"},
    {"MapOfNoRank", [](json &m) { mapOf(m)["box"] = mapOf(m)["dims"] = json::array(); }, XFM_CORRUPT,
     "but got 0 and 0"},
    {"MapOfUnknownWord", [](json &m) { mapOf(m)["dims"][0]["words"] = {9}; }, XFM_CORRUPT,
     "dims[0].words[0]"},
    {"MapOfNoFactor", [](json &m) { mapOf(m)["dims"][0]["factor"] = 0; }, XFM_CORRUPT, "dims[0].factor"},
    {"SampleKernelThatIsNone", [](json &m) { m["sampling"]["kernel"] = 7; }, XFM_CORRUPT,
     "sampling: there is no kernel 7: there are 7"},
    {"SampleKernelOfOtherWords", [](json &m) { m["sampling"]["kernel"] = 2; }, XFM_CORRUPT,
     "sampling: expected a kernel of 11 words and 1 dimension, but got 6 and 1"},
    {"SampleKernelIsText", [](json &m) { m["sampling"]["kernel"] = "sample"; }, XFM_CORRUPT,
     "sampling.kernel"},
    {"SamplingOfNoEntry", [](json &m) { m["sampling"]["entry"] = "decide"; }, XFM_CORRUPT,
     "sampling: there is no entry point 'decide'"},
    {"SamplingOfAPrompt", [](json &m) { m["sampling"]["entry"] = "prefill"; }, XFM_CORRUPT,
     "sampling: 'prefill' is no step: expected caches and one input, i32 [B, 1]"},
    {"SamplingWithoutCaches", [](json &m) { m["sampling"]["entry"] = "score"; }, XFM_CORRUPT,
     "sampling: 'score' is no step"},
    {"SamplingOfNoLogits", [](json &m) { m["sampling"]["logits"] = "sums"; }, XFM_CORRUPT,
     "sampling: 'step' has no output 'sums', f32 [B, 4]"},
    {"SamplingOfAnotherVocabulary", [](json &m) { m["sampling"]["vocabulary"] = 5; }, XFM_CORRUPT,
     "sampling: 'step' has no output 'logits', f32 [B, 5]"},
    {"SamplingOfNothing", [](json &m) { m["sampling"]["vocabulary"] = 0; }, XFM_CORRUPT,
     "sampling.vocabulary"},
    {"SamplingIsNumber", [](json &m) { m["sampling"] = 6; }, XFM_CORRUPT, "sampling: expected an object"},
    {"WeightsStoredIsText", [](json &m) { m["weights_stored"] = "no"; }, XFM_CORRUPT, "weights_stored"},
};

TEST_P(KernelDefect, IsRefused) {
  FakeArtifact artifact;
  makeForTwo(artifact);
  GetParam().make(artifact.manifest);
  expectFailure(parse(manifestText(artifact.manifest)), GetParam().status, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(All, KernelDefect, ::testing::ValuesIn(kernelDefects),
                         [](const auto &info) { return std::string(info.param.name); });

//===----------------------------------------------------------------------===//
// Defects of the text
//===----------------------------------------------------------------------===//

TEST(ManifestText, EveryFlippedBitIsNoticed) {
  FakeArtifact artifact;
  std::string text = manifestText(artifact.manifest);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << i % 8));
    EXPECT_EQ(parse(damaged).code, XFM_CORRUPT) << "byte " << i;
    damaged[i] = static_cast<char>(text[i] ^ 0x20); // upper case for lower case
    EXPECT_EQ(parse(damaged).code, XFM_CORRUPT) << "byte " << i;
  }
}

TEST(ManifestText, EveryTruncationIsNoticed) {
  FakeArtifact artifact;
  std::string text = manifestText(artifact.manifest);
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_EQ(parse(text.substr(0, length)).code, XFM_CORRUPT) << length;
  expectFailure(parse(text + "\n"), XFM_CORRUPT, "does not end with its checksum");
}

TEST(ManifestText, WrongChecksumShowsBoth) {
  std::string text = withChecksum("{\n  \"a\": 1");
  text[6] = 'b';
  expectFailure(parse(text), XFM_CORRUPT, "but the file says");
}

TEST(ManifestText, KeysAreUnique) {
  expectFailure(parse(withChecksum("{\"format\": \"a\", \"format\": \"b\"")), XFM_CORRUPT,
                "key 'format' is given twice");
  expectFailure(parse(withChecksum("{\"a\": [{\"k\": 1, \"k\": 2}]")), XFM_CORRUPT, "key 'k' is given twice");
  // The same key in two objects is none.
  expectFailure(parse(withChecksum("{\"a\": {\"k\": 1}, \"b\": {\"k\": {\"k\": 1}}")), XFM_CORRUPT,
                "expected a member 'format'");
}

TEST(ManifestText, NestingIsLimited) {
  auto nested = [](size_t depth) {
    return withChecksum("{\"a\": " + std::string(depth, '[') + std::string(depth, ']'));
  };
  expectFailure(parse(nested(63)), XFM_CORRUPT, "expected a member 'format'");
  expectFailure(parse(nested(64)), XFM_CORRUPT, "nested deeper than 64");
  expectFailure(parse(nested(1000000)), XFM_CORRUPT, "nested deeper than 64");
}

TEST(ManifestText, IsJson) {
  expectFailure(parse(withChecksum("[1, 2")), XFM_CORRUPT, "not valid JSON at byte");
  expectFailure(parse(withChecksum("{\"a\": 1e999")), XFM_CORRUPT, "number out of range");
  expectFailure(parse(withChecksum("{\"a\": \"\xff\"")), XFM_CORRUPT, "not valid JSON");
}

// Whatever values stand in a manifest, it is read or refused with one line.
TEST(ManifestText, ArbitraryValuesAreSafe) {
  FakeArtifact artifact;
  std::mt19937 random(1);
  const std::vector<json> values = {nullptr, -1,  0,    1ull << 63,    1e300,          "",
                                    "B",     "x", true, json::array(), json::object(), json::array({1, "S"})};
  json flat = artifact.manifest.flatten();
  std::vector<std::string> keys;
  for (auto &item : flat.items())
    keys.push_back(item.key());
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    json changed = artifact.manifest;
    std::string key = keys[random() % keys.size()];
    // Any ancestor may be replaced as well.
    json::json_pointer place(key);
    for (size_t up = random() % 3; up > 0 && !place.empty(); --up)
      place = place.parent_pointer();
    if (place.empty())
      continue;
    changed[place] = values[random() % values.size()];
    Status status = parse(manifestText(changed));
    refused += !status.ok();
    EXPECT_EQ(status.message.empty(), status.ok());
    EXPECT_EQ(status.message.find('\n'), std::string::npos);
  }
  EXPECT_GT(refused, 1500);
}
