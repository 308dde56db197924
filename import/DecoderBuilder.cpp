//===- DecoderBuilder.cpp - decoder-only language models in IR ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "import/DecoderBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace llvm;

namespace mlir::transformer {

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

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

Value DecoderBuilder::derived(StringRef symbol, DeriveKind kind, StringRef source, RankedTensorType type,
                              Location loc, std::optional<double> value) {
  if (weightTypes.try_emplace(symbol, type).second) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(firstEntry);
    auto derive =
        DeriveOp::create(builder, nameLoc(symbol), symbol, kind,
                         builder.getArrayAttr(FlatSymbolRefAttr::get(builder.getContext(), source)), type);
    if (value)
      derive->setAttr("value", builder.getF64FloatAttr(*value));
  }
  return use(symbol, loc);
}

Value DecoderBuilder::matrix(StringRef tensor, Location loc) {
  std::string stored = (tensor + ".weight").str();
  if (!settings.storedTransposed)
    return use(stored, loc);
  RankedTensorType type = weightTypes.lookup(stored);
  auto transposed = RankedTensorType::get({type.getDimSize(1), type.getDimSize(0)}, type.getElementType());
  return derived((tensor + ".transposed").str(), DeriveKind::Transpose, stored, transposed, loc);
}

Value DecoderBuilder::linear(Value input, Value weight, StringRef bias, Location loc) {
  Value addend = bias.empty() ? Value() : use(bias, loc);
  SmallVector<int64_t> shape(cast<RankedTensorType>(input.getType()).getShape());
  shape.back() = cast<RankedTensorType>(weight.getType()).getDimSize(0);
  return LinearOp::create(builder, loc, RankedTensorType::get(shape, f32), input, weight, addend);
}

Value DecoderBuilder::linear(Value input, StringRef tensor, bool hasBias, Location loc) {
  Value weight = matrix(tensor, loc);
  return linear(input, weight, hasBias ? (tensor + ".bias").str() : "", loc);
}

Value DecoderBuilder::norm(Value input, StringRef tensor, Type element, Location loc) {
  std::string stored = (tensor + ".weight").str();
  FloatAttr epsilon = builder.getF64FloatAttr(settings.normEpsilon);
  RankedTensorType type = withElement(input.getType(), element);
  if (settings.layerNorm) {
    Value scale = use(stored, loc);
    Value bias = use((tensor + ".bias").str(), loc);
    return LayerNormOp::create(builder, loc, type, input, scale, bias, epsilon);
  }
  Value scale = settings.normOffset == 0
                    ? use(stored, loc)
                    : derived((tensor + ".scale").str(), DeriveKind::AddScalar, stored,
                              withElement(weightTypes.lookup(stored), f32), loc, settings.normOffset);
  return RMSNormOp::create(builder, loc, type, input, scale, epsilon);
}

Value DecoderBuilder::norm(Value input, StringRef tensor, Location loc) {
  return norm(input, tensor, storage, loc);
}

Value DecoderBuilder::rope(Value input, Value offsets, RopeTables tables, Location loc) {
  // Not as arguments of one call: compilers differ in the order of evaluation, and the IR's order follows it.
  Value cos = use(tables.cos, loc);
  Value sin = use(tables.sin, loc);
  return RopeOp::create(builder, loc, withElement(input.getType(), storage), RopeStyle::HalfSplit, input, cos,
                        sin, offsets);
}

Value DecoderBuilder::scaled(Value input, double factor, Location loc) {
  if (factor == 1)
    return input;
  auto type = cast<RankedTensorType>(input.getType());
  Value value = arith::ConstantOp::create(builder, loc, builder.getFloatAttr(type.getElementType(), factor));
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i)
    if (type.isDynamicDim(i))
      sizes.push_back(i == 0 ? batch : sequence);
  Value splat = tensor::SplatOp::create(builder, loc, type, value, sizes);
  return arith::MulFOp::create(builder, loc, input, splat);
}

Value DecoderBuilder::softcapped(Value input, double cap, Location loc) {
  Value bounded = math::TanhOp::create(builder, loc, scaled(input, 1.0 / cap, loc));
  return scaled(bounded, cap, loc);
}

Value DecoderBuilder::cacheLength(Value cache, Location loc) {
  auto type = RankedTensorType::get({ShapedType::kDynamic}, builder.getI32Type());
  return CacheLengthOp::create(builder, loc, type, cache);
}

Value DecoderBuilder::lastSlice(Value input, int64_t begin, int64_t size, Location loc) {
  auto type = cast<RankedTensorType>(input.getType());
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = size;
  SmallVector<OpFoldResult> offsets(shape.size(), builder.getIndexAttr(0)),
      strides(shape.size(), builder.getIndexAttr(1));
  offsets.back() = builder.getIndexAttr(begin);
  SmallVector<OpFoldResult> sizes{batch, positionCount(), builder.getIndexAttr(size)};
  return tensor::ExtractSliceOp::create(builder, loc, RankedTensorType::get(shape, type.getElementType()),
                                        input, offsets, sizes, strides);
}

Value DecoderBuilder::add(Value a, Value b, Location loc) {
  return arith::AddFOp::create(builder, loc, a, b);
}

OpFoldResult DecoderBuilder::positionCount() {
  return sequence ? OpFoldResult(sequence) : OpFoldResult(builder.getIndexAttr(1));
}

Value DecoderBuilder::splitHeads(Value input, int64_t heads, Location loc) {
  auto type = cast<RankedTensorType>(input.getType());
  auto result = RankedTensorType::get({type.getDimSize(0), type.getDimSize(1), heads, settings.headDim},
                                      type.getElementType());
  return tensor::ExpandShapeOp::create(
      builder, loc, result, input, ArrayRef<ReassociationIndices>{{0}, {1}, {2, 3}},
      ArrayRef<OpFoldResult>{batch, positionCount(), builder.getIndexAttr(heads),
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

DecoderBuilder::Projections DecoderBuilder::buildProjections(int64_t layer, Value normed) {
  auto loc = [&](StringRef part) { return layerLoc(layer, part); };
  auto name = [&](StringRef rest) { return settings.layerName(layer, rest); };
  const DecoderNames &names = settings.names;
  int64_t q = settings.heads * settings.headDim, kv = settings.kvHeads * settings.headDim;
  Projections p;
  if (names.qkv.empty()) {
    p.q = linear(normed, name(names.q), settings.qkvBias, loc("attn_q"));
    p.k = linear(normed, name(names.k), settings.qkvBias, loc("attn_k"));
    p.v = linear(normed, name(names.v), settings.qkvBias, loc("attn_v"));
  } else {
    Value qkv = linear(normed, name(names.qkv), settings.qkvBias, loc("attn_qkv"));
    p.q = lastSlice(qkv, 0, q, loc("attn_q"));
    p.k = lastSlice(qkv, q, kv, loc("attn_k"));
    p.v = lastSlice(qkv, q + kv, kv, loc("attn_v"));
  }
  p.q = splitHeads(p.q, settings.heads, loc("attn_q"));
  p.k = splitHeads(p.k, settings.kvHeads, loc("attn_k"));
  p.v = splitHeads(p.v, settings.kvHeads, loc("attn_v"));
  // A rotation rounds to the storage type; what it reads is still wide.
  Type normed32 = settings.hasRope ? Type(f32) : storage;
  if (!names.qNorm.empty())
    p.q = norm(p.q, name(names.qNorm), normed32, loc("attn_q_norm"));
  if (!names.kNorm.empty())
    p.k = norm(p.k, name(names.kNorm), normed32, loc("attn_k_norm"));
  return p;
}

MaskAttr DecoderBuilder::maskOf(int64_t layer) {
  // A window over all positions hides nothing.
  bool isNarrow = settings.hasWindow(layer) && settings.window < settings.maxPositions;
  return MaskAttr::get(builder.getContext(), isNarrow ? MaskKind::Window : MaskKind::Causal,
                       isNarrow ? settings.window : 0);
}

Value DecoderBuilder::buildAttention(int64_t layer, Value normed, Value &cache) {
  auto loc = [&](StringRef part) { return layerLoc(layer, part); };
  // Positions before this call: the offset of the rotation. Read before the append.
  Value length = settings.hasRope ? cacheLength(cache, loc("attn_length")) : Value();
  Projections p = buildProjections(layer, normed);
  if (settings.hasRope) {
    RopeTables tables = settings.windowRope && settings.hasWindow(layer) ? windowTables : fullTables;
    p.q = rope(p.q, length, tables, loc("attn_q_rope"));
    p.k = rope(p.k, length, tables, loc("attn_k_rope"));
  } else {
    p.q = toStorage(p.q, loc("attn_q"));
    p.k = toStorage(p.k, loc("attn_k"));
  }
  cache = CacheAppendOp::create(builder, loc("attn_append"), cacheType, cache, p.k, p.v);
  double scale = settings.attentionScale / (settings.scaleByLayer ? static_cast<double>(layer + 1) : 1.0);
  FloatAttr softcap =
      settings.attentionSoftcap ? builder.getF64FloatAttr(*settings.attentionSoftcap) : FloatAttr();
  Value attended = AttentionOp::create(builder, loc("attn"), p.q.getType(), p.q, /*key=*/Value(),
                                       /*value=*/Value(), cache, /*bias=*/Value(),
                                       builder.getF64FloatAttr(scale), maskOf(layer), softcap);
  return linear(mergeHeads(attended, loc("attn")), settings.layerName(layer, settings.names.output),
                settings.outputBias, loc("attn_out"));
}

Value DecoderBuilder::buildFeedForward(int64_t layer, Value normed) {
  auto loc = [&](StringRef part) { return layerLoc(layer, part); };
  auto name = [&](StringRef rest) { return settings.layerName(layer, rest); };
  const DecoderNames &names = settings.names;
  int64_t inner = settings.intermediateSize;
  Value gate, up;
  if (!names.gateUp.empty()) {
    Value both = linear(normed, name(names.gateUp), settings.mlpBias, loc("ffn_gate_up"));
    gate = lastSlice(both, 0, inner, loc("ffn_gate"));
    up = lastSlice(both, inner, inner, loc("ffn_up"));
  } else {
    if (!names.gate.empty())
      gate = linear(normed, name(names.gate), settings.mlpBias, loc("ffn_gate"));
    up = linear(normed, name(names.up), settings.mlpBias, loc("ffn_up"));
  }
  Value active = gate ? gate : up;
  active = ActivationOp::create(builder, loc("ffn_act"), active.getType(), settings.activation, active);
  if (gate)
    active = arith::MulFOp::create(builder, loc("ffn_mul"), active, up);
  return linear(toStorage(active, loc(gate ? "ffn_mul" : "ffn_act")), name(names.down), settings.mlpBias,
                loc("ffn_down"));
}

Value DecoderBuilder::addBranch(int64_t layer, Value hidden, Value branch, StringRef outNorm,
                                StringRef part) {
  if (!outNorm.empty())
    branch =
        norm(branch, settings.layerName(layer, outNorm), f32, layerLoc(layer, (part + "_out_norm").str()));
  Location loc = layerLoc(layer, (part + "_add").str());
  return add(hidden, scaled(branch, settings.residualScale, loc), loc);
}

Value DecoderBuilder::buildLayer(int64_t layer, Value hidden, Value &cache) {
  const DecoderNames &names = settings.names;
  Value normed = norm(hidden, settings.layerName(layer, names.attentionNorm), layerLoc(layer, "attn_norm"));
  Value attended = buildAttention(layer, normed, cache);
  hidden = addBranch(layer, hidden, attended, names.attentionOutNorm, "attn");
  normed = norm(hidden, settings.layerName(layer, names.feedForwardNorm), layerLoc(layer, "ffn_norm"));
  return addBranch(layer, hidden, buildFeedForward(layer, normed), names.feedForwardOutNorm, "ffn");
}

} // namespace mlir::transformer
