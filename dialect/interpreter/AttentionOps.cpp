//===- AttentionOps.cpp - rotary positions, attention, caches -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "dialect/interpreter/Execution.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// rope
//===----------------------------------------------------------------------===//

static LogicalResult runRope(RopeOp op, Execution &execution) {
  Tensor tensor = execution.takeTensor(op.getInputMutable()); // [B, S, H, D]
  Tensor cos = execution.getTensor(op.getCos()), sin = execution.getTensor(op.getSin());
  Tensor offsets = execution.getTensor(op.getOffsets());
  int64_t batch = tensor.getDim(0), length = tensor.getDim(1), heads = tensor.getDim(2),
          headDim = tensor.getDim(3);
  int64_t positions = cos.getDim(0), pairs = cos.getDim(1);
  if (offsets.getDim(0) != batch || cos.getShape() != sin.getShape())
    return op.emitOpError("expected one offset per row and tables of one shape");
  bool interleaved = op.getStyle() == RopeStyle::Interleaved;
  MutableArrayRef<double> elements = tensor.getMutableFloats();
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t s = 0; s < length; ++s) {
      int64_t position = offsets.getInts()[b] + s;
      if (position < 0 || position >= positions)
        return op.emitOpError("rotates position ")
               << position << " with tables of " << positions << " positions";
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < pairs; ++i) {
          double *head = &elements[((b * length + s) * heads + h) * headDim];
          double &x = head[interleaved ? 2 * i : i], &y = head[interleaved ? 2 * i + 1 : i + pairs];
          double c = cos.getFloats()[position * pairs + i], d = sin.getFloats()[position * pairs + i];
          double rotated = x * c - y * d;
          y = y * c + x * d;
          x = rotated;
        }
    }
  return execution.define(op->getResult(0), std::move(tensor));
}

//===----------------------------------------------------------------------===//
// attention
//===----------------------------------------------------------------------===//

namespace {

/// The keys or values that attention reads, wherever they are.
struct KeyValueView {
  const double *keys, *values;
  int64_t rowStride, headStride, placeStride;
  int64_t places = 0; // of a ring; 0 elsewhere
  SmallVector<int64_t> length;

  int64_t at(int64_t b, int64_t head, int64_t position) const {
    int64_t place = places != 0 ? position % places : position;
    return b * rowStride + head * headStride + place * placeStride;
  }
  /// A ring holds its last places only.
  int64_t firstHeld(int64_t b) const { return places != 0 ? std::max<int64_t>(0, length[b] - places) : 0; }
};

/// One attention op: softmax over the keys each query sees.
class Attention {
public:
  Attention(AttentionOp op, Execution &execution) : op(op), execution(execution) {}
  LogicalResult run();

private:
  LogicalResult readOperands();
  /// What query s of head h makes of the keys of range `split`.
  LogicalResult runQuery(int64_t b, int64_t s, int64_t h, int64_t split);
  /// What weights are rounded to before they meet the values, or null; their sum is not.
  Type weightType();

  AttentionOp op;
  Execution &execution;
  Tensor query, key, value, bias, result;
  KVCache cache;
  KeyValueView view;
  int64_t kvHeads;
  std::vector<double> scores;
};

} // namespace

LogicalResult Attention::readOperands() {
  query = execution.getTensor(op.getQuery()); // [B, Sq, H, D]
  int64_t batch = query.getDim(0), headDim = query.getDim(3);
  if (op.getCache()) {
    cache = execution.getCache(op.getCache()); // [B, KV, places, D]
    kvHeads = cache.type.getHeads();
    int64_t places = cache.keys.getDim(2);
    view = {cache.keys.getFloats().data(),
            cache.values.getFloats().data(),
            kvHeads * places * headDim,
            places * headDim,
            headDim,
            cache.type.getPolicy() == CachePolicy::Ring ? places : 0,
            cache.length};
    if (int64_t(cache.length.size()) != batch)
      return op.emitOpError("expected a cache of ") << batch << " rows, but got " << cache.length.size();
    for (int64_t length : cache.length)
      if (length < query.getDim(1))
        return op.emitOpError("expected a cache that holds the keys of ")
               << query.getDim(1) << " queries, but it has " << length << " positions";
  } else {
    key = execution.getTensor(op.getKey()); // [B, Sk, KV, D]
    value = execution.getTensor(op.getValue());
    kvHeads = key.getDim(2);
    if (key.getShape() != value.getShape() || key.getDim(0) != batch)
      return op.emitOpError("expected keys and values of one shape and ") << batch << " rows";
    int64_t length = key.getDim(1);
    view = {key.getFloats().data(),
            value.getFloats().data(),
            length * kvHeads * headDim,
            headDim,
            kvHeads * headDim,
            0,
            SmallVector<int64_t>(batch, length)};
  }
  if (op.getBias()) {
    bias = execution.getTensor(op.getBias()); // [B or 1, H or 1, Sq, Sk]
    int64_t longest = view.length.empty() ? 0 : *llvm::max_element(view.length);
    if ((bias.getDim(0) != 1 && bias.getDim(0) != batch) ||
        (bias.getDim(1) != 1 && bias.getDim(1) != query.getDim(2)) || bias.getDim(2) != query.getDim(1) ||
        bias.getDim(3) != longest)
      return op.emitOpError("expected a bias of [B or 1, H or 1, ")
             << query.getDim(1) << ", " << longest << "], but got [" << bias.getShape() << ']';
  }
  return success();
}

LogicalResult Attention::runQuery(int64_t b, int64_t s, int64_t h, int64_t split) {
  int64_t queries = query.getDim(1), heads = query.getDim(2), headDim = query.getDim(3);
  int64_t length = view.length[b], position = length - queries + s;
  // The mask: keys in [first, last).
  int64_t first = 0, last = length;
  if (op.getMask().getKind() != MaskKind::None)
    last = position + 1;
  if (op.getMask().getKind() == MaskKind::Window)
    first = std::max<int64_t>(0, position - op.getMask().getWindow() + 1);
  if (first < last && first < view.firstHeld(b))
    return op.emitOpError("reads position ")
           << first << ", but the ring holds positions from " << view.firstHeld(b)
           << " on; only queries of the latest append see a whole window";
  const double *q = &query.getFloats()[((b * queries + s) * heads + h) * headDim];
  // Splits take the place of positions.
  int64_t row = op.getSplits() ? b * op.splitCount() + split : b * queries + s;
  double *out = &result.getMutableFloats()[(row * heads + h) * result.getDim(3)];
  if (op.getSplits()) {
    constexpr int64_t unit = AttentionOp::kSplitUnit;
    int64_t even = (last - first + op.splitCount() - 1) / op.splitCount(), end = last;
    int64_t keys = (std::max(even, op.leastSplitKeys()) + unit - 1) / unit * unit;
    first = std::min(first + split * keys, end);
    last = std::min(first + keys, end);
    // What must not be read is NaN.
    std::fill(out, out + headDim, NAN);
    out[headDim] = AttentionOp::kNoMaximum;
  }
  int64_t kvHead = h / (heads / kvHeads);
  double scale = op.getScale().convertToDouble(),
         softcap = op.getSoftcap() ? op.getSoftcap()->convertToDouble() : 0;
  scores.assign(std::max<int64_t>(last - first, 0), 0);
  double largest = -INFINITY, sum = 0;
  for (int64_t j = first; j < last; ++j) {
    const double *k = view.keys + view.at(b, kvHead, j);
    double score = 0;
    for (int64_t d = 0; d < headDim; ++d)
      score += q[d] * k[d];
    score *= scale;
    if (op.getSoftcap())
      score = softcap * std::tanh(score / softcap);
    if (op.getBias()) {
      int64_t batch = bias.getDim(0) == 1 ? 0 : b, head = bias.getDim(1) == 1 ? 0 : h;
      score += bias.getFloats()[((batch * bias.getDim(1) + head) * queries + s) * bias.getDim(3) + j];
    }
    scores[j - first] = score;
    // Not std::max: a NaN score must not be lost.
    largest = largest >= score ? largest : score;
  }
  // A bias of -inf hides a key too; a query that sees none gets zeros.
  if (largest == -INFINITY)
    return success();
  for (double &score : scores)
    sum += score = std::exp(score - largest);
  if (Type type = weightType())
    for (double &score : scores)
      score = roundTo(type, score);
  std::fill(out, out + headDim, 0);
  for (int64_t j = first; j < last; ++j) {
    const double *v = view.values + view.at(b, kvHead, j);
    for (int64_t d = 0; d < headDim; ++d)
      out[d] += scores[j - first] * v[d];
  }
  if (op.getSplits()) {
    out[headDim] = largest;
    out[headDim + 1] = sum;
    return success();
  }
  for (int64_t d = 0; d < headDim; ++d)
    out[d] /= sum;
  return success();
}

Type Attention::weightType() {
  Type type = getElementTypeOrSelf(op.getQuery());
  Type values = op.getCache() ? op.getCache().getType().getElement() : getElementTypeOrSelf(op.getValue());
  bool isNarrow = type.isBF16() || type.isF16();
  bool isOne = type == values && type == getElementTypeOrSelf(op.getType());
  return execution.roundsToIR() && isNarrow && isOne ? type : Type();
}

LogicalResult Attention::run() {
  if (failed(readOperands()))
    return failure();
  int64_t splits = std::max<int64_t>(op.splitCount(), 1);
  SmallVector<int64_t> shape(query.getShape());
  if (op.getSplits()) {
    shape[1] = splits;
    shape[3] += 2;
  }
  result = Tensor(shape, op.getSplits() ? Float32Type::get(op.getContext()) : query.getElementType());
  for (int64_t b = 0; b < query.getDim(0); ++b)
    for (int64_t s = 0; s < query.getDim(1); ++s)
      for (int64_t h = 0; h < query.getDim(2); ++h)
        for (int64_t split = 0; split < splits; ++split)
          if (failed(runQuery(b, s, h, split)))
            return failure();
  return execution.define(op->getResult(0), std::move(result));
}

static LogicalResult runAttention(AttentionOp op, Execution &execution) {
  return Attention(op, execution).run();
}

static LogicalResult runAttentionMerge(AttentionMergeOp op, Execution &execution) {
  Tensor input = execution.getTensor(op.getInput()); // [B, splits, H, D + 2]
  int64_t batch = input.getDim(0), splits = input.getDim(1), heads = input.getDim(2),
          headDim = input.getDim(3) - 2;
  Tensor result({batch, 1, heads, headDim}, cast<RankedTensorType>(op.getType()).getElementType());
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h) {
      auto partOf = [&](int64_t i) {
        return &input.getFloats()[((b * splits + i) * heads + h) * (headDim + 2)];
      };
      double *out = &result.getMutableFloats()[(b * heads + h) * headDim];
      double largest = -INFINITY, sum = 0;
      for (int64_t i = 0; i < splits; ++i)
        largest = largest >= partOf(i)[headDim] ? largest : partOf(i)[headDim];
      for (int64_t i = 0; i < splits; ++i) {
        if (partOf(i)[headDim + 1] == 0)
          continue;
        double weight = std::exp(partOf(i)[headDim] - largest);
        sum += weight * partOf(i)[headDim + 1];
        for (int64_t d = 0; d < headDim; ++d)
          out[d] += weight * partOf(i)[d];
      }
      for (int64_t d = 0; d < headDim; ++d)
        out[d] = sum == 0 ? 0 : out[d] / sum;
    }
  return execution.define(op->getResult(0), std::move(result));
}

//===----------------------------------------------------------------------===//
// Caches
//===----------------------------------------------------------------------===//

/// Writes position `s` of row `b` of `source` [B, S, KV, D] to a place of `store` [B, KV, places, D].
static void writePosition(const Tensor &source, int64_t b, int64_t s, Tensor &store, int64_t place) {
  int64_t heads = source.getDim(2), headDim = source.getDim(3), places = store.getDim(2);
  int64_t from = (b * source.getDim(1) + s) * heads * headDim;
  copyBox(source, from, {headDim, 1}, store, (b * heads * places + place) * headDim, {places * headDim, 1},
          {heads, headDim});
}

/// `store` with `places` places. `length` says what each row of a ring holds.
static Tensor withPlaces(const Tensor &store, int64_t places, bool ring, ArrayRef<int64_t> length) {
  int64_t rows = store.getDim(0), heads = store.getDim(1), held = store.getDim(2), headDim = store.getDim(3);
  Tensor larger({rows, heads, places, headDim}, store.getElementType());
  SmallVector<int64_t> from = stridesOf(store.getShape()), to = stridesOf(larger.getShape());
  if (!ring) {
    copyBox(store, 0, from, larger, 0, to, store.getShape());
    return larger;
  }
  for (int64_t b = 0; b < rows; ++b)
    for (int64_t p = std::max<int64_t>(0, length[b] - held); p < length[b]; ++p)
      copyBox(store, b * from[0] + p % held * from[2], {from[1], 1}, larger, b * to[0] + p % places * to[2],
              {to[1], 1}, {heads, headDim});
  return larger;
}

static LogicalResult runCacheAppend(CacheAppendOp op, Execution &execution) {
  KVCache cache = std::get<KVCache>(execution.take(op.getCacheMutable()));
  Tensor key = execution.getTensor(op.getKey()), value = execution.getTensor(op.getValue()); // [B, S, KV, D]
  int64_t rows = cache.length.size(), count = key.getDim(1);
  if (key.getShape() != value.getShape() || key.getDim(0) != rows)
    return op.emitOpError("expected keys and values of one shape and ") << rows << " rows";
  bool ring = cache.type.getPolicy() == CachePolicy::Ring;
  // The first of the new queries sees a whole window back, the last itself.
  int64_t places =
      ring ? cache.type.getWindow() + count - 1 : (rows == 0 ? 0 : *llvm::max_element(cache.length)) + count;
  if (places > cache.keys.getDim(2)) {
    SmallVector<int64_t> shape{rows, cache.type.getHeads(), places, cache.type.getHeadDim()};
    if (failed(execution.makeTensor(op, shape, cache.type.getElement())))
      return failure();
    cache.keys = withPlaces(cache.keys, places, ring, cache.length);
    cache.values = withPlaces(cache.values, places, ring, cache.length);
  }
  key = key.retyped(cache.type.getElement());
  value = value.retyped(cache.type.getElement());
  if (execution.roundsToIR()) {
    key.round();
    value.round();
  }
  for (int64_t b = 0; b < rows; ++b) {
    for (int64_t s = 0; s < count; ++s) {
      int64_t place = cache.length[b] + s;
      if (ring)
        place %= cache.keys.getDim(2);
      writePosition(key, b, s, cache.keys, place);
      writePosition(value, b, s, cache.values, place);
    }
    cache.length[b] += count;
  }
  return execution.define(op->getResult(0), std::move(cache));
}

static LogicalResult runCacheLength(CacheLengthOp op, Execution &execution) {
  KVCache cache = execution.getCache(op.getCache());
  Tensor lengths({static_cast<int64_t>(cache.length.size())}, IntegerType::get(op.getContext(), 32),
                 std::vector<int64_t>(cache.length.begin(), cache.length.end()));
  return execution.define(op->getResult(0), std::move(lengths));
}

void transformer::addAttentionOps(HandlerTable &table) {
  table.add<RopeOp, runRope>();
  table.add<AttentionOp, runAttention>();
  table.add<AttentionMergeOp, runAttentionMerge>();
  table.add<CacheAppendOp, runCacheAppend>();
  table.add<CacheLengthOp, runCacheLength>();
}
