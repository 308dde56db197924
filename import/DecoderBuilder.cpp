//===- DecoderBuilder.cpp - decoder-only language models in IR ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/DecoderBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>

using namespace llvm;

namespace mlir::transformer {

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

std::string DecoderSettings::layerName(int64_t layer, StringRef rest) const {
  return (prefix + "layers." + Twine(layer) + "." + rest).str();
}

/// A matrix [rows, columns] and, where there is one, its bias.
static Error requireLinear(Checkpoint &checkpoint, const std::string &tensor, int64_t rows, int64_t columns,
                           bool hasBias) {
  if (Error error = checkpoint.require(tensor + ".weight", {rows, columns}))
    return error;
  return hasBias ? checkpoint.require(tensor + ".bias", {rows}) : Error::success();
}

static Error requireLayer(const DecoderSettings &s, Checkpoint &checkpoint, int64_t layer) {
  struct {
    StringRef name;
    int64_t rows, columns;
    bool hasBias;
  } matrices[] = {{"self_attn.q_proj", s.heads * s.headDim, s.hiddenSize, s.qkvBias},
                  {"self_attn.k_proj", s.kvHeads * s.headDim, s.hiddenSize, s.qkvBias},
                  {"self_attn.v_proj", s.kvHeads * s.headDim, s.hiddenSize, s.qkvBias},
                  {"self_attn.o_proj", s.hiddenSize, s.heads * s.headDim, s.outputBias},
                  {"mlp.gate_proj", s.intermediateSize, s.hiddenSize, s.mlpBias},
                  {"mlp.up_proj", s.intermediateSize, s.hiddenSize, s.mlpBias},
                  {"mlp.down_proj", s.hiddenSize, s.intermediateSize, s.mlpBias}};
  for (StringRef norm : {"input_layernorm.weight", "post_attention_layernorm.weight"})
    if (Error error = checkpoint.require(s.layerName(layer, norm), {s.hiddenSize}))
      return error;
  for (const auto &m : matrices)
    if (Error error = requireLinear(checkpoint, s.layerName(layer, m.name), m.rows, m.columns, m.hasBias))
      return error;
  return Error::success();
}

Error requireDecoderTensors(const DecoderSettings &s, Checkpoint &checkpoint) {
  if (Error error = checkpoint.require(s.embeddingName(), {s.vocabSize, s.hiddenSize}))
    return error;
  for (int64_t layer = 0; layer < s.layers; ++layer)
    if (Error error = requireLayer(s, checkpoint, layer))
      return error;
  if (Error error = checkpoint.require(s.prefix + "norm.weight", {s.hiddenSize}))
    return error;
  return s.tiedEmbeddings ? Error::success() : checkpoint.require(s.headName(), {s.vocabSize, s.hiddenSize});
}

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

static constexpr StringLiteral ropeCos = "rope.cos", ropeSin = "rope.sin";

DecoderBuilder::DecoderBuilder(MLIRContext *context, const DecoderSettings &settings,
                               const Checkpoint &checkpoint, Type storage)
    : settings(settings), checkpoint(checkpoint), builder(context), f32(Float32Type::get(context)),
      storage(storage), cacheType(KVCacheType::get(context, settings.kvHeads, settings.headDim, storage,
                                                   CachePolicy::Full, 0)) {}

Location DecoderBuilder::nameLoc(const Twine &name) { return NameLoc::get(builder.getStringAttr(name)); }

Location DecoderBuilder::layerLoc(int64_t layer, StringRef part) {
  return nameLoc("layers." + Twine(layer) + "." + part);
}

RankedTensorType DecoderBuilder::withElement(Type type, Type element) {
  return RankedTensorType::get(cast<RankedTensorType>(type).getShape(), element);
}

Value DecoderBuilder::use(StringRef symbol, Location loc) {
  assert(weightTypes.contains(symbol) && "a tensor that was not required");
  return UseOp::create(builder, loc, weightTypes.lookup(symbol),
                       FlatSymbolRefAttr::get(builder.getContext(), symbol));
}

Value DecoderBuilder::linear(Value input, StringRef tensor, bool hasBias, Location loc) {
  Value weight = use((tensor + ".weight").str(), loc);
  Value bias = hasBias ? use((tensor + ".bias").str(), loc) : Value();
  SmallVector<int64_t> shape(cast<RankedTensorType>(input.getType()).getShape());
  shape.back() = cast<RankedTensorType>(weight.getType()).getDimSize(0);
  return LinearOp::create(builder, loc, RankedTensorType::get(shape, f32), input, weight, bias);
}

Value DecoderBuilder::rmsNorm(Value input, StringRef tensor, Location loc) {
  Value scale = use((tensor + ".weight").str(), loc);
  return RMSNormOp::create(builder, loc, withElement(input.getType(), storage), input, scale,
                           builder.getF64FloatAttr(settings.normEpsilon));
}

Value DecoderBuilder::rope(Value input, Value offsets, Location loc) {
  // Not as arguments of one call: compilers differ in the order of evaluation, and the IR's order follows it.
  Value cos = use(ropeCos, loc);
  Value sin = use(ropeSin, loc);
  return RopeOp::create(builder, loc, withElement(input.getType(), storage), RopeStyle::HalfSplit, input, cos,
                        sin, offsets);
}

Value DecoderBuilder::add(Value a, Value b, Location loc) {
  return arith::AddFOp::create(builder, loc, a, b);
}

Value DecoderBuilder::splitHeads(Value input, int64_t heads, Location loc) {
  auto type = cast<RankedTensorType>(input.getType());
  OpFoldResult positions = sequence ? OpFoldResult(sequence) : OpFoldResult(builder.getIndexAttr(1));
  auto result = RankedTensorType::get({type.getDimSize(0), type.getDimSize(1), heads, settings.headDim},
                                      type.getElementType());
  return tensor::ExpandShapeOp::create(builder, loc, result, input,
                                       ArrayRef<ReassociationIndices>{{0}, {1}, {2, 3}},
                                       ArrayRef<OpFoldResult>{batch, positions, builder.getIndexAttr(heads),
                                                              builder.getIndexAttr(settings.headDim)});
}

Value DecoderBuilder::mergeHeads(Value input, Location loc) {
  auto type = cast<RankedTensorType>(input.getType());
  auto result =
      RankedTensorType::get({type.getDimSize(0), type.getDimSize(1), type.getDimSize(2) * type.getDimSize(3)},
                            type.getElementType());
  return tensor::CollapseShapeOp::create(builder, loc, result, input,
                                         ArrayRef<ReassociationIndices>{{0}, {1}, {2, 3}});
}

Value DecoderBuilder::toStorage(Value input, Location loc) {
  if (cast<RankedTensorType>(input.getType()).getElementType() == storage)
    return input;
  return arith::TruncFOp::create(builder, loc, withElement(input.getType(), storage), input);
}

//===----------------------------------------------------------------------===//
// A layer
//===----------------------------------------------------------------------===//

Value DecoderBuilder::buildAttention(int64_t layer, Value normed, Value &cache) {
  auto loc = [&](StringRef part) { return layerLoc(layer, part); };
  auto name = [&](StringRef rest) { return settings.layerName(layer, rest); };
  // Positions before this call: the offset of the rotation. Read before the append.
  auto lengthType = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
  Value length = CacheLengthOp::create(builder, loc("attn_length"), lengthType, cache);
  Value q = linear(normed, name("self_attn.q_proj"), settings.qkvBias, loc("attn_q"));
  Value k = linear(normed, name("self_attn.k_proj"), settings.qkvBias, loc("attn_k"));
  Value v = linear(normed, name("self_attn.v_proj"), settings.qkvBias, loc("attn_v"));
  q = splitHeads(q, settings.heads, loc("attn_q"));
  k = splitHeads(k, settings.kvHeads, loc("attn_k"));
  v = splitHeads(v, settings.kvHeads, loc("attn_v"));
  q = rope(q, length, loc("attn_q_rope"));
  k = rope(k, length, loc("attn_k_rope"));
  cache = CacheAppendOp::create(builder, loc("attn_append"), cacheType, cache, k, v);
  Value attended = AttentionOp::create(
      builder, loc("attn"), q.getType(), q, /*key=*/Value(), /*value=*/Value(), cache, /*bias=*/Value(),
      builder.getF64FloatAttr(1.0 / std::sqrt(static_cast<double>(settings.headDim))),
      MaskAttr::get(builder.getContext(), MaskKind::Causal, 0), /*softcap=*/FloatAttr());
  return linear(mergeHeads(attended, loc("attn")), name("self_attn.o_proj"), settings.outputBias,
                loc("attn_out"));
}

Value DecoderBuilder::buildFeedForward(int64_t layer, Value normed) {
  auto loc = [&](StringRef part) { return layerLoc(layer, part); };
  auto name = [&](StringRef rest) { return settings.layerName(layer, rest); };
  Value gate = linear(normed, name("mlp.gate_proj"), settings.mlpBias, loc("ffn_gate"));
  Value up = linear(normed, name("mlp.up_proj"), settings.mlpBias, loc("ffn_up"));
  gate = ActivationOp::create(builder, loc("ffn_act"), gate.getType(), settings.activation, gate);
  Value product = arith::MulFOp::create(builder, loc("ffn_mul"), gate, up);
  return linear(toStorage(product, loc("ffn_mul")), name("mlp.down_proj"), settings.mlpBias, loc("ffn_down"));
}

Value DecoderBuilder::buildLayer(int64_t layer, Value hidden, Value &cache) {
  Value normed = rmsNorm(hidden, settings.layerName(layer, "input_layernorm"), layerLoc(layer, "attn_norm"));
  Value attended = buildAttention(layer, normed, cache);
  hidden = add(hidden, attended, layerLoc(layer, "attn_add"));
  normed =
      rmsNorm(hidden, settings.layerName(layer, "post_attention_layernorm"), layerLoc(layer, "ffn_norm"));
  return add(hidden, buildFeedForward(layer, normed), layerLoc(layer, "ffn_add"));
}

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

void DecoderBuilder::buildEntry(Entry entry, StringRef name) {
  OpBuilder::InsertionGuard guard(builder);
  func::FuncOp function = createFunction(entry, name);
  builder.setInsertionPointToStart(&function.front());
  Value tokens = function.getArgument(0);
  SmallVector<Value> caches(function.getArguments().drop_front());

  Location loc = nameLoc("embed");
  batch = tensor::DimOp::create(builder, loc, tokens, 0);
  sequence = entry == Entry::Decode ? Value() : Value(tensor::DimOp::create(builder, loc, tokens, 1));
  SmallVector<int64_t> shape(cast<RankedTensorType>(tokens.getType()).getShape());
  shape.push_back(settings.hiddenSize);
  Value hidden = EmbeddingOp::create(builder, loc, RankedTensorType::get(shape, f32), tokens,
                                     use(settings.embeddingName(), loc));
  for (auto [layer, cache] : enumerate(caches))
    hidden = buildLayer(layer, hidden, cache);

  // Only the last position's logits are asked for: the others never meet the
  // head, which is the largest matrix of small models.
  if (entry != Entry::Score)
    hidden = lastPosition(hidden, nameLoc("last_position"));
  hidden = rmsNorm(hidden, settings.prefix + "norm", nameLoc("final_norm"));
  std::string head = settings.headName();
  SmallVector<Value> results{linear(hidden, StringRef(head).drop_back(StringRef(".weight").size()),
                                    /*hasBias=*/false, nameLoc("lm_head"))};
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

void DecoderBuilder::buildRopeTables() {
  const RopeSettings &rope = settings.rope;
  auto real = [&](double value) { return builder.getF64FloatAttr(value); };
  auto type = RankedTensorType::get({settings.maxPositions, rope.rotaryDim / 2}, f32);
  for (auto [symbol, part] : {std::pair(ropeCos, "cos"), std::pair(ropeSin, "sin")}) {
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
  buildRopeTables();
  buildEntry(Entry::Prefill, "prefill");
  buildEntry(Entry::Decode, "decode");
  buildEntry(Entry::Score, "score");
  return std::move(module);
}

} // namespace mlir::transformer
