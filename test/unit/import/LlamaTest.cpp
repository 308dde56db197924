//===- LlamaTest.cpp - folders of the Llama family ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/HuggingFace.h"
#include "test/unit/weights/Fixtures.h"
#include "weights/WeightWriter.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/FileCheck/FileCheck.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

#include <map>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::test;

namespace {
/// A model of two layers that a test may damage before it is imported.
struct TinyModel {
  explicit TinyModel(StringRef dtype = "F32") : dtype(dtype.str()) {
    tensor("model.embed_tokens.weight", {16, 8});
    for (std::string layer : {"model.layers.0.", "model.layers.1."}) {
      tensor(layer + "input_layernorm.weight", {8});
      tensor(layer + "self_attn.q_proj.weight", {8, 8});
      tensor(layer + "self_attn.k_proj.weight", {4, 8});
      tensor(layer + "self_attn.v_proj.weight", {4, 8});
      tensor(layer + "self_attn.o_proj.weight", {8, 8});
      tensor(layer + "post_attention_layernorm.weight", {8});
      tensor(layer + "mlp.gate_proj.weight", {12, 8});
      tensor(layer + "mlp.up_proj.weight", {12, 8});
      tensor(layer + "mlp.down_proj.weight", {8, 12});
    }
    tensor("model.norm.weight", {8});
    tensor("lm_head.weight", {16, 8});
  }

  void tensor(StringRef name, std::vector<int64_t> shape) { tensors[name.str()] = {dtype, shape}; }
  /// Gives a key of the config another value; an empty text removes it.
  void set(const std::string &key, const std::string &value) { config[key] = value; }

  void writeTo(const TempFolder &folder) const {
    std::string text;
    for (const auto &[key, value] : config)
      if (!value.empty())
        text += (text.empty() ? "{\"" : ", \"") + key + "\": " + value;
    folder.write("config.json", text + "}");
    SafetensorsBuilder builder;
    for (const auto &[name, tensor] : tensors) {
      int64_t bytes = tensor.first == "F32" ? 4 : 2;
      for (int64_t dim : tensor.second)
        bytes *= dim;
      builder.addBytes(name, tensor.first, tensor.second, std::string(bytes, '\0'));
    }
    folder.write("model.safetensors", builder.build());
  }

  std::string dtype;
  std::map<std::string, std::pair<std::string, std::vector<int64_t>>> tensors;
  std::map<std::string, std::string> config = {{"model_type", "\"llama\""},
                                               {"vocab_size", "16"},
                                               {"hidden_size", "8"},
                                               {"intermediate_size", "12"},
                                               {"num_hidden_layers", "2"},
                                               {"num_attention_heads", "4"},
                                               {"num_key_value_heads", "2"},
                                               {"rms_norm_eps", "1e-5"},
                                               {"hidden_act", "\"silu\""},
                                               {"max_position_embeddings", "32"},
                                               {"tie_word_embeddings", "false"}};
};

struct Llama : testing::Test {
  llvm::Expected<OwningOpRef<ModuleOp>> import(const TinyModel &model) {
    model.writeTo(folder);
    return importHuggingFace(context, folder.str(), options);
  }
  std::string errorOf(const TinyModel &model) { return messageOf(import(model)); }

  /// The error after one key of the config got another value.
  std::string errorWith(const std::string &key, const std::string &value) {
    TinyModel model;
    model.set(key, value);
    return errorOf(model);
  }

  DictionaryAttr modelAttr(ModuleOp module) {
    return module->getAttrOfType<DictionaryAttr>("transformer.model");
  }

  MLIRContext context;
  TempFolder folder;
  ImportOptions options;
};
} // namespace

static std::string print(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream os(text);
  module.print(os, OpPrintingFlags().enableDebugInfo(true, false).useLocalScope());
  return text;
}

/// Runs FileCheck over `text` with the patterns of a file beside this one.
static bool fileCheck(const std::string &text, StringRef prefix) {
  llvm::FileCheckRequest request;
  request.CheckPrefixes = {prefix};
  request.AllowEmptyInput = false;
  request.EnableVarScope = false;
  llvm::FileCheck check(request);
  auto file = llvm::MemoryBuffer::getFile(XFM_TEST_DIR "/unit/import/llama.check", /*IsText=*/true);
  if (!file || !check.ValidateCheckPrefixes())
    return false;
  llvm::SmallString<4096> patternText, inputText;
  StringRef patterns = check.CanonicalizeFile(**file, patternText);
  auto input = llvm::MemoryBuffer::getMemBufferCopy(text, "import");
  StringRef canonical = check.CanonicalizeFile(*input, inputText);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBuffer(patterns, "llama.check"), llvm::SMLoc());
  if (check.readCheckFile(sources, patterns))
    return false;
  sources.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBuffer(canonical, "import"), llvm::SMLoc());
  return check.checkInput(sources, canonical);
}

//===----------------------------------------------------------------------===//
// The IR
//===----------------------------------------------------------------------===//

TEST_F(Llama, F32) {
  auto module = import(TinyModel());
  ASSERT_TRUE(bool(module)) << toString(module.takeError());
  EXPECT_TRUE(fileCheck(print(**module), "F32"));
  EXPECT_FALSE(fileCheck(print(**module), "BF16")); // the check can fail
}

TEST_F(Llama, BF16) {
  auto module = import(TinyModel("BF16"));
  ASSERT_TRUE(bool(module)) << toString(module.takeError());
  EXPECT_TRUE(fileCheck(print(**module), "BF16"));
}

TEST_F(Llama, BiasesAndRopeScaling) {
  TinyModel model;
  model.set("attention_bias", "true");
  model.set("mlp_bias", "true");
  model.set("hidden_act", "\"gelu_new\"");
  model.set("rope_scaling", R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                "high_freq_factor": 4.0, "original_max_position_embeddings": 16})");
  model.set("rope_theta", "500000.0");
  for (std::string layer : {"model.layers.0.", "model.layers.1."}) {
    model.tensor(layer + "self_attn.q_proj.bias", {8});
    model.tensor(layer + "self_attn.k_proj.bias", {4});
    model.tensor(layer + "self_attn.v_proj.bias", {4});
    model.tensor(layer + "self_attn.o_proj.bias", {8});
    model.tensor(layer + "mlp.gate_proj.bias", {12});
    model.tensor(layer + "mlp.up_proj.bias", {12});
    model.tensor(layer + "mlp.down_proj.bias", {8});
  }
  auto module = import(model);
  ASSERT_TRUE(bool(module)) << toString(module.takeError());
  EXPECT_TRUE(fileCheck(print(**module), "BIAS"));
}

TEST_F(Llama, PrecisionFollowsTheCheckpointOrTheOption) {
  auto precision = [&](StringRef dtype, Precision asked) {
    options.precision = asked;
    auto module = cantFail(import(TinyModel(dtype)));
    return modelAttr(*module).getAs<StringAttr>("precision").getValue().str();
  };
  EXPECT_EQ(precision("F32", Precision::Auto), "f32");
  EXPECT_EQ(precision("F16", Precision::Auto), "f32");
  EXPECT_EQ(precision("BF16", Precision::Auto), "bf16");
  EXPECT_EQ(precision("F32", Precision::BF16), "bf16");
  EXPECT_EQ(precision("BF16", Precision::F32), "f32");
}

TEST_F(Llama, MaxPositionsGivesTheTables) {
  options.maxPositions = 100;
  auto module = cantFail(import(TinyModel()));
  EXPECT_EQ(modelAttr(*module).getAs<IntegerAttr>("max_positions").getInt(), 100);
  EXPECT_EQ(cast<DeriveOp>(module->lookupSymbol("rope.cos")).getTensorType().getShape(),
            ArrayRef<int64_t>({100, 1}));
}

TEST_F(Llama, HeadDimNeedNotDivide) {
  TinyModel model;
  model.set("head_dim", "6");
  for (std::string layer : {"model.layers.0.", "model.layers.1."}) {
    model.tensor(layer + "self_attn.q_proj.weight", {24, 8});
    model.tensor(layer + "self_attn.k_proj.weight", {12, 8});
    model.tensor(layer + "self_attn.v_proj.weight", {12, 8});
    model.tensor(layer + "self_attn.o_proj.weight", {8, 24});
  }
  EXPECT_EQ(errorOf(model), "");
}

TEST_F(Llama, KeyValueHeadsDefaultToHeads) {
  TinyModel model;
  model.set("num_key_value_heads", "");
  for (std::string layer : {"model.layers.0.", "model.layers.1."}) {
    model.tensor(layer + "self_attn.k_proj.weight", {8, 8});
    model.tensor(layer + "self_attn.v_proj.weight", {8, 8});
  }
  EXPECT_EQ(errorOf(model), "");
}

// Configs leave out what equals the library's defaults.
TEST_F(Llama, DefaultsAreTheLibrarys) {
  TinyModel model;
  for (const char *key : {"hidden_act", "rms_norm_eps"})
    model.set(key, "");
  std::string text = print(*cantFail(import(model)));
  EXPECT_NE(text.find("silu"), std::string::npos);
  EXPECT_NE(text.find("epsilon 9.9999999999999995E-7"), std::string::npos) << text;
}

//===----------------------------------------------------------------------===//
// Embeddings, tokens, notes
//===----------------------------------------------------------------------===//

TEST_F(Llama, TiedEmbeddings) {
  TinyModel model;
  model.tensors.erase("lm_head.weight");
  expectMessage(errorOf(model), {folder.str(), "\"lm_head.weight\"", "tie_word_embeddings"});
  model.set("tie_word_embeddings", "");
  expectMessage(errorOf(model), {"\"lm_head.weight\"", "tie_word_embeddings"});
  model.set("tie_word_embeddings", "true");
  auto module = cantFail(import(model));
  EXPECT_FALSE(module->lookupSymbol("lm_head.weight"));
  EXPECT_NE(print(*module).find("transformer.linear %"), std::string::npos);
  unsigned uses = 0;
  module->walk([&](UseOp use) { uses += use.getWeight() == "model.embed_tokens.weight"; });
  EXPECT_EQ(uses, 6u); // embedding and head of three entry points
}

TEST_F(Llama, SpecialTokens) {
  TinyModel model;
  model.set("bos_token_id", "1");
  model.set("eos_token_id", "2");
  auto ids = [&] {
    auto module = cantFail(import(model));
    auto bos = modelAttr(*module).getAs<IntegerAttr>("bos_token_id");
    auto eos = modelAttr(*module).getAs<DenseI64ArrayAttr>("eos_token_ids");
    return std::pair<int64_t, std::vector<int64_t>>(bos ? bos.getInt() : -1, eos.asArrayRef());
  };
  EXPECT_EQ(ids(), std::pair(int64_t(1), std::vector<int64_t>{2}));
  // The generation config decides, null included; what it lacks comes from the config.
  folder.write("generation_config.json", R"({"eos_token_id": [3, 4]})");
  EXPECT_EQ(ids(), std::pair(int64_t(1), std::vector<int64_t>{3, 4}));
  folder.write("generation_config.json", R"({"bos_token_id": null, "eos_token_id": 5})");
  EXPECT_EQ(ids(), std::pair(int64_t(-1), std::vector<int64_t>{5}));
  folder.write("generation_config.json", R"({"eos_token_id": 16})");
  expectMessage(errorOf(model), {"generation_config.json", "\"eos_token_id\"", "vocab_size 16"});
  folder.write("generation_config.json", "[");
  expectMessage(errorOf(model), {"generation_config.json", "invalid JSON"});
}

TEST_F(Llama, NotesUnusedTensors) {
  TinyModel model;
  model.tensor("model.layers.0.extra.weight", {3});
  model.tensor("model.layers.0.self_attn.rotary_emb.inv_freq", {1});
  std::string notes;
  llvm::raw_string_ostream os(notes);
  options.notes = &os;
  cantFail(import(model));
  EXPECT_EQ(notes, "note: the tensor \"model.layers.0.extra.weight\" of the checkpoint is not used\n");
}

//===----------------------------------------------------------------------===//
// Bad input
//===----------------------------------------------------------------------===//

TEST_F(Llama, RefusesFoldersWithoutFiles) {
  expectMessage(messageOf(importHuggingFace(context, "/nowhere", options)),
                {"/nowhere/config.json", "No such file"});
  folder.write("config.json", R"({"model_type": "llama"})");
  expectMessage(messageOf(importHuggingFace(context, folder.str(), options)), {"neither model.safetensors"});
}

TEST_F(Llama, RefusesUnknownFamilies) {
  expectMessage(errorWith("model_type", "\"mamba\""), {"config.json", "\"mamba\" is not known", "llama"});
  expectMessage(errorWith("model_type", "7"), {"\"model_type\"", "expected a string"});
  expectMessage(errorWith("model_type", ""), {"\"model_type\" is missing"});
  expectMessage(errorWith("quantization_config", "{\"bits\": 4}"), {"quantization_config"});
}

TEST_F(Llama, RefusesBadConfigs) {
  for (const char *key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "max_position_embeddings"}) {
    expectMessage(errorWith(key, ""), {"config.json", std::string("\"") + key + "\" is missing"});
    for (const char *value : {"0", "-1", "4294967296", "1e300", "\"8\"", "[]", "{}", "2.5"})
      expectMessage(errorWith(key, value), {"config.json", std::string("\"") + key + "\" is"});
  }
  expectMessage(errorWith("num_key_value_heads", "3"), {"\"num_attention_heads\" 4 is no multiple", "3"});
  expectMessage(errorWith("num_attention_heads", "3"), {"\"hidden_size\" 8 is no multiple"});
  expectMessage(errorWith("rms_norm_eps", "0"), {"\"rms_norm_eps\" is"});
  expectMessage(errorWith("rms_norm_eps", "NaN"), {"config.json: invalid JSON"});
  expectMessage(errorWith("hidden_act", "\"softmax\""), {"\"hidden_act\"", "\"softmax\"", "known are silu"});
  expectMessage(errorWith("tie_word_embeddings", "1"), {"true or false"});
  expectMessage(errorWith("bos_token_id", "16"), {"\"bos_token_id\"", "vocab_size 16"});
  expectMessage(errorWith("max_position_embeddings", "2147483648"),
                {"2147483648 positions", "--max-positions"});
  TinyModel wide;
  wide.set("num_attention_heads", "2147483648");
  wide.set("num_key_value_heads", "2147483648");
  wide.set("head_dim", "2147483648");
  expectMessage(errorOf(wide), {"2147483648 times \"head_dim\" 2147483648"});
  expectMessage(errorWith("vocab_size\": 3, \"vocab_size", "16"), {"config.json", "\"vocab_size\"", "twice"});
  expectMessage(errorWith("x", std::string(100000, '[')), {"config.json", "deeper than"});
  options.maxPositions = -1;
  expectMessage(errorOf(TinyModel()), {"positive number of positions"});
}

// Sizes that are in bounds alone but of which no tensor could exist.
TEST_F(Llama, RefusesSizesTheCheckpointDoesNotHave) {
  expectMessage(errorWith("vocab_size", "2147483648"),
                {"\"model.embed_tokens.weight\"", "expected shape [2147483648, 8]", "found [16, 8]"});
  expectMessage(errorWith("num_hidden_layers", "2147483648"),
                {"no tensor \"model.layers.2.input_layernorm.weight\""});
  expectMessage(errorWith("head_dim", "2147483648"), {"q_proj.weight\"", "[8589934592, 8]", "found [8, 8]"});
}

TEST_F(Llama, ChecksEveryTensor) {
  for (const auto &[name, good] : TinyModel().tensors) {
    TinyModel missing;
    missing.tensors.erase(name);
    expectMessage(errorOf(missing), {"\"" + name + "\""});

    TinyModel misshaped;
    misshaped.tensors[name].second.back() += 1;
    expectMessage(errorOf(misshaped), {"\"" + name + "\"", "expected shape [", "found ["});

    TinyModel mistyped;
    mistyped.tensors[name].first = "I16";
    expectMessage(errorOf(mistyped), {"\"" + name + "\"", "expected dtype F32, F16 or BF16", "found I16"});
  }
}

//===----------------------------------------------------------------------===//
// Whole models
//===----------------------------------------------------------------------===//

// The bundled example, where this checkout has it.
TEST_F(Llama, Bard) {
  std::string path = XFM_SOURCE_DIR "/examples/bard";
  if (!llvm::sys::fs::exists(path + "/config.json"))
    GTEST_SKIP() << "no " << path;
  auto module = importHuggingFace(context, path, options);
  ASSERT_TRUE(bool(module)) << toString(module.takeError());
  EXPECT_EQ(modelAttr(**module).getAs<StringAttr>("precision").getValue(), "bf16");
  WeightStore store(path);
  WriteResult result;
  EXPECT_EQ(messageOf(writeWeights(**module, usedWeights(**module), store, folder.file("w"), {}, result)),
            "");
}

// What is written for a model can be read back, tensor by tensor.
TEST_F(Llama, WritesItsWeights) {
  auto module = cantFail(import(TinyModel()));
  WeightStore store(folder.str());
  WriteResult result;
  SmallVector<StringRef> symbols = usedWeights(*module);
  EXPECT_EQ(symbols.size(), TinyModel().tensors.size() + 2);
  ASSERT_EQ(messageOf(writeWeights(*module, symbols, store, folder.file("w.safetensors"), {}, result)), "");
  const auto *tensors = cantFail(store.tensorsOf("w.safetensors"));
  for (StringRef symbol : symbols)
    EXPECT_TRUE(tensors->contains(symbol)) << symbol.str();
}
