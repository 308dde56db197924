//===- DecoderBuilder.h - decoder-only language models in IR --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef IMPORT_DECODERBUILDER_H
#define IMPORT_DECODERBUILDER_H

#include "dialect/Transformer.h"
#include "import/Rope.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "weights/Checkpoint.h"

namespace mlir::transformer {

/// What a decoder-only language model is made of. Tensor names are those of
/// the Hugging Face library; a family that has others changes them here.
struct DecoderSettings {
  std::string architecture;
  int64_t vocabSize = 0, hiddenSize = 0, layers = 0, heads = 0, kvHeads = 0, headDim = 0,
          intermediateSize = 0;
  int64_t maxPositions = 0;
  double normEpsilon = 0;
  RopeSettings rope;
  ActivationKind activation = ActivationKind::Silu;
  bool qkvBias = false, outputBias = false, mlpBias = false;
  bool tiedEmbeddings = false;
  std::optional<int64_t> bosTokenId;
  SmallVector<int64_t> eosTokenIds;

  std::string prefix = "model.";
  std::string embeddingName() const { return prefix + "embed_tokens.weight"; }
  std::string headName() const { return tiedEmbeddings ? embeddingName() : "lm_head.weight"; }
  std::string layerName(int64_t layer, StringRef rest) const;
};

/// Requires every tensor of the model from the checkpoint.
llvm::Error requireDecoderTensors(const DecoderSettings &settings, Checkpoint &checkpoint);

/// Builds the module of a decoder: the weights, and the entry points @prefill,
/// @decode and @score. The parts of a layer are virtual: a family overrides
/// what differs. Nothing here fails, since every tensor was required before.
class DecoderBuilder {
public:
  /// `storage` is the type in which values that feed contractions are stored
  /// and the caches keep theirs: f32 or bf16.
  DecoderBuilder(MLIRContext *context, const DecoderSettings &settings, const Checkpoint &checkpoint,
                 Type storage);
  virtual ~DecoderBuilder() = default;

  OwningOpRef<ModuleOp> build();

protected:
  /// One layer: hidden [B, S, hidden] -> the same; `cache` becomes the longer one.
  virtual Value buildLayer(int64_t layer, Value hidden, Value &cache);
  /// normed [B, S, hidden] -> [B, S, hidden], before the residual.
  virtual Value buildAttention(int64_t layer, Value normed, Value &cache);
  virtual Value buildFeedForward(int64_t layer, Value normed);

  // The blocks. `part` names the op in profiles: "attn_q" becomes
  // "layers.3.attn_q". `tensor` is a checkpoint's name without ".weight".
  Location layerLoc(int64_t layer, StringRef part);
  Value use(StringRef symbol, Location loc);
  Value linear(Value input, StringRef tensor, bool hasBias, Location loc);
  Value rmsNorm(Value input, StringRef tensor, Location loc);
  Value rope(Value input, Value offsets, Location loc);
  Value add(Value a, Value b, Location loc);
  /// [B, S, heads * headDim] -> [B, S, heads, headDim]
  Value splitHeads(Value input, int64_t heads, Location loc);
  /// [B, S, heads, headDim] -> [B, S, heads * headDim]
  Value mergeHeads(Value input, Location loc);
  /// `type` with another element type.
  static RankedTensorType withElement(Type type, Type element);
  /// Rounds to the storage type, where that is narrower than the value's.
  Value toStorage(Value input, Location loc);

  const DecoderSettings &settings;
  const Checkpoint &checkpoint;
  OpBuilder builder;
  Type f32, storage;

private:
  enum class Entry { Prefill, Decode, Score };
  void buildEntry(Entry entry, StringRef name);
  func::FuncOp createFunction(Entry entry, StringRef name);
  Value lastPosition(Value hidden, Location loc);
  void buildRopeTables();
  void declareWeights();
  Attribute modelAttr(StringRef precision);
  Location nameLoc(const Twine &name);

  OwningOpRef<ModuleOp> module;
  llvm::StringMap<RankedTensorType> weightTypes;
  KVCacheType cacheType;
  Value batch, sequence; // dimensions of the entry point being built; `sequence` is null in decode
};

} // namespace mlir::transformer

#endif // IMPORT_DECODERBUILDER_H
