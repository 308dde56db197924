//===- DecoderBuilder.h - decoder-only language models in IR --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef IMPORT_DECODERBUILDER_H
#define IMPORT_DECODERBUILDER_H

#include "import/DecoderSettings.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace mlir::transformer {

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

  /// The heads of queries, keys and values, before the rotation: [B, S, heads, headDim].
  struct Projections {
    Value q, k, v;
  };
  Projections buildProjections(int64_t layer, Value normed);
  /// hidden + the branch, which `outNorm` (if not empty) and the residual's factor change first.
  Value addBranch(int64_t layer, Value hidden, Value branch, StringRef outNorm, StringRef part);
  MaskAttr maskOf(int64_t layer);

  /// The symbols of rotary tables.
  struct RopeTables {
    StringLiteral cos, sin;
  };
  static constexpr RopeTables fullTables{"rope.cos", "rope.sin"},
      windowTables{"rope.window.cos", "rope.window.sin"};

  // The blocks. `part` names the op in profiles: "attn_q" becomes
  // "layers.3.attn_q". `tensor` is a checkpoint's name without ".weight".
  Location layerLoc(int64_t layer, StringRef part);
  Value use(StringRef symbol, Location loc);
  /// The weight `symbol`, derived from `source`; declared by the first that asks for it.
  Value derived(StringRef symbol, DeriveKind kind, StringRef source, RankedTensorType type, Location loc,
                std::optional<double> value = std::nullopt);
  /// A matrix of a layer, [out, in] however it is stored.
  Value matrix(StringRef tensor, Location loc);
  Value linear(Value input, StringRef tensor, bool hasBias, Location loc);
  /// The same with another weight; no bias where the name is empty.
  Value linear(Value input, Value weight, StringRef bias, Location loc);
  Value norm(Value input, StringRef tensor, Location loc);
  Value norm(Value input, StringRef tensor, Type element, Location loc);
  Value rope(Value input, Value offsets, RopeTables tables, Location loc);
  Value add(Value a, Value b, Location loc);
  /// The input times a constant; itself where that is 1.
  Value scaled(Value input, double factor, Location loc);
  /// cap * tanh(input / cap)
  Value softcapped(Value input, double cap, Location loc);
  /// The positions each row had before this call: i32 [B].
  Value cacheLength(Value cache, Location loc);
  /// [B, S, n] -> [B, S, size]: the elements from `begin` on.
  Value lastSlice(Value input, int64_t begin, int64_t size, Location loc);
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
  Value buildEmbedding(Value tokens, ArrayRef<Value> caches);
  Value buildHead(Value hidden);
  Value lastPosition(Value hidden, Location loc);
  OpFoldResult positionCount();
  void buildRopeTables(const RopeSettings &rope, RopeTables tables);
  void declareWeights();
  Attribute modelAttr(StringRef precision);
  Location nameLoc(const Twine &name);

  OwningOpRef<ModuleOp> module;
  llvm::StringMap<RankedTensorType> weightTypes;
  KVCacheType cacheType;
  Operation *firstEntry = nullptr; // derived weights stand before it
  Value batch, sequence;           // dimensions of the entry point being built; `sequence` is null in decode
};

} // namespace mlir::transformer

#endif // IMPORT_DECODERBUILDER_H
