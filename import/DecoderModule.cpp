//===- DecoderModule.cpp - entry points and weights of decoders ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/DecoderBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace llvm;

namespace mlir::transformer {

//===----------------------------------------------------------------------===//
// Entry points
//===----------------------------------------------------------------------===//

/// The name and dimensions of an argument or result, as the artifact states them.
static DictionaryAttr describe(OpBuilder &builder, const Twine &name, ArrayRef<StringRef> dims,
                               std::optional<int64_t> limit = std::nullopt) {
  NamedAttrList attrs;
  attrs.append("transformer.name", builder.getStringAttr(name));
  if (!dims.empty())
    attrs.append("transformer.dims", builder.getStrArrayAttr(dims));
  if (limit)
    attrs.append("transformer.range", builder.getDenseI64ArrayAttr({0, *limit}));
  return attrs.getDictionary(builder.getContext());
}

func::FuncOp DecoderBuilder::createFunction(Entry entry, StringRef name) {
  constexpr int64_t dynamic = ShapedType::kDynamic;
  bool isDecode = entry == Entry::Decode, isScore = entry == Entry::Score;
  SmallVector<int64_t> logitsShape{dynamic, settings.vocabSize};
  SmallVector<StringRef> logitsDims{"B", ""};
  if (isScore) {
    logitsShape = {dynamic, dynamic, settings.vocabSize};
    logitsDims = {"B", "S", ""};
  }
  SmallVector<Type> inputs{RankedTensorType::get({dynamic, isDecode ? 1 : dynamic}, builder.getI32Type())};
  SmallVector<Type> results{RankedTensorType::get(logitsShape, f32)};
  inputs.append(settings.layers, cacheType);
  results.append(settings.layers, cacheType);

  Location loc = nameLoc(name);
  auto function = func::FuncOp::create(builder, loc, name, builder.getFunctionType(inputs, results));
  function.addEntryBlock();
  function.setArgAttrs(0, describe(builder, "tokens", {"B", isDecode ? "" : "S"}, settings.vocabSize));
  function.setResultAttrs(0, describe(builder, "logits", logitsDims));
  for (int64_t layer = 0; layer < settings.layers; ++layer) {
    DictionaryAttr attrs = describe(builder, "cache." + Twine(layer), {});
    function.setArgAttrs(layer + 1, attrs);
    function.setResultAttrs(layer + 1, attrs);
  }
  return function;
}

/// [B, S, hidden] -> [B, hidden] of the last position; S is 1 in decode.
Value DecoderBuilder::lastPosition(Value hidden, Location loc) {
  int64_t width = settings.hiddenSize;
  if (sequence) {
    Value one = arith::ConstantIndexOp::create(builder, loc, 1);
    Value last = arith::SubIOp::create(builder, loc, sequence, one);
    OpFoldResult unit = builder.getIndexAttr(1), zero = builder.getIndexAttr(0);
    hidden = tensor::ExtractSliceOp::create(builder, loc,
                                            RankedTensorType::get({ShapedType::kDynamic, 1, width}, f32),
                                            hidden, ArrayRef<OpFoldResult>{zero, last, zero},
                                            ArrayRef<OpFoldResult>{batch, unit, builder.getIndexAttr(width)},
                                            ArrayRef<OpFoldResult>{unit, unit, unit});
  }
  return tensor::CollapseShapeOp::create(builder, loc,
                                         RankedTensorType::get({ShapedType::kDynamic, width}, f32), hidden,
                                         ArrayRef<ReassociationIndices>{{0, 1}, {2}});
}

/// The rows of the tokens and, in models that learn them, of the positions.
Value DecoderBuilder::buildEmbedding(Value tokens, ArrayRef<Value> caches) {
  Location loc = nameLoc("embed");
  SmallVector<int64_t> shape(cast<RankedTensorType>(tokens.getType()).getShape());
  auto idsType = RankedTensorType::get(shape, builder.getI32Type());
  shape.push_back(settings.hiddenSize);
  auto type = RankedTensorType::get(shape, f32);
  Value table = use(settings.embeddingName() + ".weight", loc);
  Value hidden = EmbeddingOp::create(builder, loc, type, tokens, table);
  hidden = scaled(hidden, settings.embeddingScale, loc);
  if (settings.names.positions.empty())
    return hidden;

  loc = nameLoc("embed_positions");
  Value length = cacheLength(caches.front(), loc);
  SmallVector<Value> sizes{batch};
  if (sequence)
    sizes.push_back(sequence);
  Value empty = tensor::EmptyOp::create(builder, loc, idsType, sizes);
  MLIRContext *context = builder.getContext();
  AffineMap rows = AffineMap::get(2, 0, getAffineDimExpr(0, context));
  auto positions = linalg::GenericOp::create(
      builder, loc, idsType, length, empty, {rows, AffineMap::getMultiDimIdentityMap(2, context)},
      SmallVector<utils::IteratorType>(2, utils::IteratorType::parallel),
      [](OpBuilder &b, Location loc, ValueRange args) {
        Value s = arith::IndexCastOp::create(b, loc, b.getI32Type(), linalg::IndexOp::create(b, loc, 1));
        linalg::YieldOp::create(b, loc, Value(arith::AddIOp::create(b, loc, args[0], s)));
      });
  Value rowsTable = use(settings.names.root + settings.names.positions + ".weight", loc);
  return add(hidden, EmbeddingOp::create(builder, loc, type, positions.getResult(0), rowsTable), loc);
}

Value DecoderBuilder::buildHead(Value hidden) {
  Location loc = nameLoc("lm_head");
  Value logits = linear(hidden, use(settings.headName() + ".weight", loc), /*bias=*/"", loc);
  logits = scaled(logits, settings.logitScale, loc);
  return settings.logitSoftcap ? softcapped(logits, *settings.logitSoftcap, nameLoc("lm_head_softcap"))
                               : logits;
}

void DecoderBuilder::buildEntry(Entry entry, StringRef name) {
  OpBuilder::InsertionGuard guard(builder);
  func::FuncOp function = createFunction(entry, name);
  if (!firstEntry)
    firstEntry = function;
  builder.setInsertionPointToStart(&function.front());
  Value tokens = function.getArgument(0);
  SmallVector<Value> caches(function.getArguments().drop_front());

  Location loc = nameLoc("embed");
  batch = tensor::DimOp::create(builder, loc, tokens, 0);
  sequence = entry == Entry::Decode ? Value() : Value(tensor::DimOp::create(builder, loc, tokens, 1));
  Value hidden = buildEmbedding(tokens, caches);
  for (auto [layer, cache] : enumerate(caches))
    hidden = buildLayer(layer, hidden, cache);

  // Only the last position's logits are asked for: the others never meet the
  // head, which is the largest matrix of small models.
  if (entry != Entry::Score)
    hidden = lastPosition(hidden, nameLoc("last_position"));
  hidden = norm(hidden, settings.finalNormName(), nameLoc("final_norm"));
  SmallVector<Value> results{buildHead(hidden)};
  results.append(caches);
  func::ReturnOp::create(builder, nameLoc(name), results);
}

//===----------------------------------------------------------------------===//
// The module
//===----------------------------------------------------------------------===//

void DecoderBuilder::declareWeights() {
  for (const auto &[name, entry] : checkpoint.used()) {
    auto type = RankedTensorType::get(entry->shape, dtypeToType(entry->dtype, builder.getContext()));
    WeightOp::create(builder, nameLoc(name), name, type, entry->file, /*key=*/StringAttr());
    weightTypes.try_emplace(name, type);
  }
}

Attribute DecoderBuilder::modelAttr(StringRef precision) {
  NamedAttrList attrs;
  attrs.append("architecture", builder.getStringAttr(settings.architecture));
  attrs.append("precision", builder.getStringAttr(precision));
  attrs.append("vocab_size", builder.getI64IntegerAttr(settings.vocabSize));
  attrs.append("max_positions", builder.getI64IntegerAttr(settings.maxPositions));
  attrs.append("layers", builder.getI64IntegerAttr(settings.layers));
  if (settings.bosTokenId)
    attrs.append("bos_token_id", builder.getI64IntegerAttr(*settings.bosTokenId));
  attrs.append("eos_token_ids", builder.getDenseI64ArrayAttr(settings.eosTokenIds));
  return attrs.getDictionary(builder.getContext());
}

void DecoderBuilder::buildRopeTables(const RopeSettings &rope, RopeTables tables) {
  auto real = [&](double value) { return builder.getF64FloatAttr(value); };
  auto type = RankedTensorType::get({settings.maxPositions, rope.rotaryDim / 2}, f32);
  for (auto [symbol, part] : {std::pair(tables.cos, "cos"), std::pair(tables.sin, "sin")}) {
    auto derive = DeriveOp::create(builder, nameLoc(symbol), symbol, DeriveKind::RopeTable,
                                   builder.getArrayAttr({}), type);
    weightTypes.try_emplace(symbol, type);
    derive->setAttr("part", builder.getStringAttr(part));
    derive->setAttr("theta", real(rope.theta));
    derive->setAttr("scaling", builder.getStringAttr(rope.scaling));
    if (rope.scaling == "linear" || rope.scaling == "llama3" || rope.scaling == "yarn")
      derive->setAttr("factor", real(rope.factor));
    if (rope.scaling == "llama3") {
      derive->setAttr("low_freq_factor", real(rope.lowFreqFactor));
      derive->setAttr("high_freq_factor", real(rope.highFreqFactor));
    }
    if (rope.scaling == "yarn") {
      derive->setAttr("beta_fast", real(rope.betaFast));
      derive->setAttr("beta_slow", real(rope.betaSlow));
    }
    if (rope.scaling == "llama3" || rope.scaling == "yarn")
      derive->setAttr("original_max_positions", builder.getI64IntegerAttr(rope.originalMaxPositions));
    if (rope.scaling == "longrope")
      derive->setAttr("ext_factors", builder.getDenseF64ArrayAttr(rope.extFactors));
    if (rope.scaling == "longrope" || rope.scaling == "yarn")
      derive->setAttr("attention_factor", real(rope.attentionFactor));
  }
}

OwningOpRef<ModuleOp> DecoderBuilder::build() {
  module = ModuleOp::create(builder, nameLoc(settings.architecture));
  builder.setInsertionPointToStart(module->getBody());
  (*module)->setAttr("transformer.model", modelAttr(storage.isBF16() ? "bf16" : "f32"));
  declareWeights();
  if (settings.hasRope)
    buildRopeTables(settings.rope, fullTables);
  if (settings.hasRope && settings.windowRope)
    buildRopeTables(*settings.windowRope, windowTables);
  buildEntry(Entry::Prefill, "prefill");
  buildEntry(Entry::Decode, "decode");
  buildEntry(Entry::Score, "score");
  return std::move(module);
}

} // namespace mlir::transformer
