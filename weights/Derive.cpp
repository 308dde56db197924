//===- Derive.cpp - evaluates weights and derived weights -----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "weights/Derive.h"
#include "dialect/KernelTypes.h"
#include "weights/Error.h"
#include "weights/Kernels.h"

using namespace llvm;

namespace mlir::transformer {

/// Derived weights of derived weights: far deeper than any chain of passes.
static constexpr unsigned maxDepth = 256;

/// A symbol to evaluate. Everything looked up in the context is looked up when
/// the node is made: evaluation only reads.
struct WeightEvaluator::Node {
  Operation *op = nullptr;
  RankedTensorType type;
  Dtype dtype = Dtype::F32;
  SmallVector<Node *> sources;
  uint64_t memory = 0;
  bool isComplete = false; // false while its sources are being added: a cycle shows

  std::mutex mutex;     // guards what follows
  unsigned readers = 0; // evaluations to come
  HostTensor value;     // kept where there is more than one reader
  bool hasValue = false;

  /// Whether its rows can be computed from rows of its sources. A packed matrix has
  /// panels for rows, which are of use to nobody else.
  bool isByRows(bool isSource = false) const {
    auto derive = dyn_cast<DeriveOp>(op);
    if (type.getRank() == 0 || !derive)
      return type.getRank() != 0;
    auto areByRows = [](ArrayRef<Node *> nodes) {
      return llvm::all_of(nodes, [](const Node *node) { return node->isByRows(/*isSource=*/true); });
    };
    switch (derive.getKind()) {
    case DeriveKind::Convert:
    case DeriveKind::AddScalar:
    case DeriveKind::Scale:
      return areByRows(sources);
    case DeriveKind::Pack:
      return !isSource && areByRows(sources);
    case DeriveKind::ScaleColumns:
      return areByRows(sources[0]) && sources[1]->isView();
    case DeriveKind::Slice:
      return axis() == 0 && sources[0]->dtype == dtype && areByRows(sources);
    case DeriveKind::Concat:
      return axis() == 0 && areByRows(sources);
    default:
      return false;
    }
  }
  int64_t axis() const { return op->getAttrOfType<IntegerAttr>("axis").getInt(); }

  std::mutex keyMutex; // guards `key`
  std::optional<WeightCache::Key> key;

  /// Whether computing the value takes much longer than reading it.
  bool isCostly() const {
    auto derive = dyn_cast<DeriveOp>(op);
    return derive && (derive.getKind() == DeriveKind::Matmul || derive.getKind() == DeriveKind::Factorize);
  }
  /// Whether the value is a part of the checkpoint as it is: nothing to keep.
  bool isView() const {
    auto derive = dyn_cast<DeriveOp>(op);
    if (!derive)
      return true;
    bool keepsBytes =
        (derive.getKind() == DeriveKind::Convert && sources[0]->dtype == dtype) ||
        (derive.getKind() == DeriveKind::Slice && derive->getAttrOfType<IntegerAttr>("axis").getInt() == 0);
    return keepsBytes && sources[0]->dtype == dtype && sources[0]->isView();
  }
};

WeightEvaluator::WeightEvaluator(WeightStore &store, WeightCache *cache) : store(store), cache(cache) {}
WeightEvaluator::~WeightEvaluator() = default;

Expected<std::unique_ptr<WeightEvaluator>> WeightEvaluator::create(ModuleOp module,
                                                                   ArrayRef<StringRef> symbols,
                                                                   WeightStore &store, WeightCache *cache) {
  std::unique_ptr<WeightEvaluator> evaluator(new WeightEvaluator(store, cache));
  SymbolTable table(module);
  for (StringRef symbol : symbols) {
    Expected<Node *> node = evaluator->addNode(table, symbol, 0);
    if (!node)
      return node.takeError();
  }
  return evaluator;
}

Expected<WeightEvaluator::Node *> WeightEvaluator::addNode(SymbolTable &table, StringRef symbol,
                                                           unsigned depth) {
  std::unique_ptr<Node> &slot = nodes[symbol];
  if (slot) {
    if (!slot->isComplete)
      return makeError("derived weight @" + symbol + " is derived from itself");
    ++slot->readers;
    return slot.get();
  }
  if (depth > maxDepth)
    return makeError("derived weight @" + symbol + " ends a chain of more than " + Twine(maxDepth));
  slot = std::make_unique<Node>();
  Node *node = slot.get(); // the map may move the pointer, not the node
  node->readers = 1;
  node->op = table.lookup(symbol);
  if (auto weight = dyn_cast_or_null<WeightOp>(node->op))
    node->type = weight.getTensorType();
  else if (auto derive = dyn_cast_or_null<DeriveOp>(node->op))
    node->type = storedType(derive.getTensorType());
  else
    return makeError("@" + symbol + " is no weight or derived weight of the module");

  std::optional<Dtype> dtype = dtypeFromType(node->type.getElementType());
  std::optional<uint64_t> bytes = dtype ? byteSize(node->type.getShape(), *dtype) : std::nullopt;
  if (!bytes) {
    std::string text;
    raw_string_ostream(text) << node->type;
    return makeError("weight @" + symbol + " of type " + text + " has no form in a safetensors file");
  }
  node->dtype = *dtype;
  if (auto derive = dyn_cast<DeriveOp>(node->op)) {
    node->memory = *bytes;
    for (auto source : derive.getSources().getAsRange<FlatSymbolRefAttr>()) {
      Expected<Node *> child = addNode(table, source.getValue(), depth + 1);
      if (!child)
        return child.takeError();
      node->sources.push_back(*child);
      node->memory = SaturatingAdd(node->memory, (*child)->memory);
    }
    // Linear algebra works on copies in float64.
    if (derive.getKind() == DeriveKind::Matmul || derive.getKind() == DeriveKind::Factorize)
      for (Node *source : node->sources)
        node->memory = SaturatingAdd<uint64_t>(node->memory, 8 * source->type.getNumElements());
  }
  node->isComplete = true;
  return node;
}

RankedTensorType WeightEvaluator::typeOf(StringRef symbol) const { return nodes.find(symbol)->second->type; }
uint64_t WeightEvaluator::memoryOf(StringRef symbol) const { return nodes.find(symbol)->second->memory; }

/// The bytes of a weight of the checkpoint, which must be what the module says they are.
static Expected<HostTensor> readWeight(WeightOp op, RankedTensorType type, Dtype dtype, WeightStore &store) {
  Expected<TensorView> tensor = store.lookup(op.getFile(), op.getTensorName());
  if (!tensor)
    return tensor.takeError();
  if (tensor->dtype != dtype || tensor->shape != type.getShape())
    return makeError("weight @" + op.getSymName() + ": the module says " + dtypeName(dtype) + " " +
                     shapeText(type.getShape()) + ", but " + op.getFile() + " holds " +
                     dtypeName(tensor->dtype) + " " + shapeText(tensor->shape) +
                     "; import the checkpoint again");
  return HostTensor{type, tensor->data, nullptr};
}

Expected<HostTensor> WeightEvaluator::compute(Node &node) {
  if (auto weight = dyn_cast<WeightOp>(node.op))
    return readWeight(weight, node.type, node.dtype, store);
  auto derive = cast<DeriveOp>(node.op);
  SmallVector<HostTensor> sources;
  for (Node *source : node.sources) {
    Expected<HostTensor> value = cache && source->isCostly() ? evaluateCached(*source) : evaluate(*source);
    if (!value)
      return value.takeError();
    sources.push_back(std::move(*value));
  }
  Expected<HostTensor> result = computeDerived(derive, sources, derive.getTensorType());
  // The pages of what was read are done with, unless the result is a part of them.
  if (result && !result->isBorrowed())
    for (const HostTensor &source : sources)
      if (source.isBorrowed())
        WeightStore::release(source.data);
  return result;
}

Expected<HostTensor> WeightEvaluator::evaluate(Node &node) {
  if (isa<WeightOp>(node.op))
    return compute(node);
  // A second reader waits here until the first has computed the value.
  std::lock_guard<std::mutex> lock(node.mutex);
  bool isLast = node.readers <= 1;
  if (node.readers > 0)
    --node.readers;
  if (node.hasValue) {
    HostTensor value = node.value;
    if (isLast)
      node.value.owner.reset();
    return value;
  }
  Expected<HostTensor> value = compute(node);
  if (value && !isLast) {
    node.value = *value;
    node.hasValue = true;
  }
  return value;
}

Expected<HostTensor> WeightEvaluator::evaluate(StringRef symbol) {
  auto it = nodes.find(symbol);
  if (it == nodes.end())
    return makeError("@" + symbol + " was not prepared for evaluation");
  return cache && !it->second->isView() ? evaluateCached(*it->second) : evaluate(*it->second);
}

//===----------------------------------------------------------------------===//
// By rows
//===----------------------------------------------------------------------===//

namespace {
/// Rows of a source that rows of a value need.
struct RowRange {
  size_t source;
  int64_t begin, end;
};
} // namespace

static RankedTensorType withRows(RankedTensorType type, int64_t rows) {
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = rows;
  return RankedTensorType::get(shape, type.getElementType(), type.getEncoding());
}

/// What the rows [begin, end) of `op`'s value are made of; `types` are those of the sources.
static SmallVector<RowRange> sourceRows(DeriveOp op, ArrayRef<RankedTensorType> types, int64_t begin,
                                        int64_t end) {
  switch (op.getKind()) {
  case DeriveKind::Pack: {
    int64_t columns = PackedAttr::of(op.getTensorType()).getColumns(), rows = types[0].getDimSize(0);
    return {{0, begin * columns, std::min(end * columns, rows)}};
  }
  case DeriveKind::Slice: {
    int64_t first = op->getAttrOfType<IntegerAttr>("begin").getInt();
    return {{0, begin + first, end + first}};
  }
  case DeriveKind::Concat: {
    SmallVector<RowRange> ranges;
    int64_t first = 0;
    for (auto [source, type] : enumerate(types)) {
      int64_t rows = type.getDimSize(0), from = std::max(begin - first, int64_t(0));
      int64_t to = std::min(end - first, rows);
      if (from < to)
        ranges.push_back({source, from, to});
      first += rows;
    }
    return ranges;
  }
  default:
    return {{0, begin, end}};
  }
}

bool WeightEvaluator::evaluatesByRows(StringRef symbol) {
  Node &node = *nodes.find(symbol)->second;
  // A view takes no memory, and what others read as well is computed once, whole.
  if (node.isView() || node.readers > 1 || !node.isByRows())
    return false;
  skip(node);
  return true;
}

Expected<HostTensor> WeightEvaluator::evaluateRows(Node &node, int64_t begin, int64_t end) {
  if (isa<WeightOp>(node.op)) {
    Expected<HostTensor> whole = compute(node);
    if (!whole)
      return whole;
    size_t rowBytes = whole->data.size() / node.type.getDimSize(0);
    return HostTensor{withRows(node.type, end - begin),
                      whole->data.slice(begin * rowBytes, (end - begin) * rowBytes), nullptr};
  }
  auto op = cast<DeriveOp>(node.op);
  SmallVector<RankedTensorType> types;
  for (Node *source : node.sources)
    types.push_back(source->type);
  SmallVector<HostTensor> sources;
  int64_t rows = 0;
  for (const RowRange &range : sourceRows(op, types, begin, end)) {
    Expected<HostTensor> value = evaluateRows(*node.sources[range.source], range.begin, range.end);
    if (!value)
      return value;
    rows += range.end - range.begin;
    sources.push_back(std::move(*value));
  }
  if (op.getKind() == DeriveKind::Slice)
    return HostTensor{withRows(node.type, rows), sources[0].data, sources[0].owner};
  if (op.getKind() == DeriveKind::ScaleColumns) {
    Expected<HostTensor> factors = compute(*node.sources[1]);
    if (!factors)
      return factors;
    sources.push_back(std::move(*factors));
  }
  Expected<HostTensor> result = computeDerived(op, sources, withRows(op.getTensorType(), rows));
  if (result && !result->isBorrowed())
    for (const HostTensor &source : sources)
      if (source.isBorrowed())
        WeightStore::release(source.data);
  return result;
}

Expected<WeightCache::Key> WeightEvaluator::keyOfRows(Node &node, int64_t begin, int64_t end) {
  if (isa<WeightOp>(node.op)) {
    Expected<HostTensor> rows = evaluateRows(node, begin, end);
    if (!rows)
      return rows.takeError();
    return cache->keyOfStored(node.dtype, rows->type.getShape(), rows->data);
  }
  auto op = cast<DeriveOp>(node.op);
  SmallVector<RankedTensorType> types;
  for (Node *source : node.sources)
    types.push_back(source->type);
  SmallVector<WeightCache::Key> keys;
  for (const RowRange &range : sourceRows(op, types, begin, end)) {
    Expected<WeightCache::Key> key = keyOfRows(*node.sources[range.source], range.begin, range.end);
    if (!key)
      return key;
    keys.push_back(*key);
  }
  if (op.getKind() == DeriveKind::ScaleColumns) {
    Expected<WeightCache::Key> key = keyOf(*node.sources[1], /*isFresh=*/true);
    if (!key)
      return key;
    keys.push_back(*key);
  }
  return cache->keyOfDerived(op, keys);
}

Expected<HostTensor> WeightEvaluator::evaluateRows(StringRef symbol, int64_t begin, int64_t end) {
  Node &node = *nodes.find(symbol)->second;
  if (!cache)
    return evaluateRows(node, begin, end);
  Expected<WeightCache::Key> key = keyOfRows(node, begin, end);
  if (!key)
    return key.takeError();
  if (std::optional<HostTensor> kept = cache->find(*key, withRows(node.type, end - begin)))
    return *kept;
  Expected<HostTensor> value = evaluateRows(node, begin, end);
  if (!value)
    return value;
  Expected<WeightCache::Key> now = keyOfRows(node, begin, end); // see evaluateCached
  if (!now)
    return now.takeError();
  if (*now == *key)
    if (Error error = cache->store(*key, *value))
      return error;
  return value;
}

//===----------------------------------------------------------------------===//
// With a cache
//===----------------------------------------------------------------------===//

/// A fresh key is made from the bytes as they are now.
Expected<WeightCache::Key> WeightEvaluator::keyOf(Node &node, bool isFresh) {
  std::unique_lock<std::mutex> lock(node.keyMutex, std::defer_lock);
  if (!isFresh) {
    lock.lock();
    if (node.key)
      return *node.key;
  }
  WeightCache::Key key;
  if (auto weight = dyn_cast<WeightOp>(node.op)) {
    Expected<HostTensor> tensor = readWeight(weight, node.type, node.dtype, store);
    if (!tensor)
      return tensor.takeError();
    key = cache->keyOfStored(node.dtype, node.type.getShape(), tensor->data);
    WeightStore::release(tensor->data);
  } else {
    SmallVector<WeightCache::Key> sources;
    for (Node *source : node.sources) {
      Expected<WeightCache::Key> of = keyOf(*source, isFresh);
      if (!of)
        return of.takeError();
      sources.push_back(*of);
    }
    key = cache->keyOfDerived(cast<DeriveOp>(node.op), sources);
  }
  if (!isFresh)
    node.key = key;
  return key;
}

/// One evaluation that will not take place: what was kept for it alone goes.
void WeightEvaluator::skip(Node &node) {
  if (isa<WeightOp>(node.op))
    return;
  std::lock_guard<std::mutex> lock(node.mutex);
  if (node.readers == 0 || --node.readers > 0)
    return;
  if (node.hasValue)
    node.value.owner.reset();
  else
    for (Node *source : node.sources)
      skip(*source);
}

Expected<HostTensor> WeightEvaluator::evaluateCached(Node &node) {
  Expected<WeightCache::Key> key = keyOf(node, /*isFresh=*/false);
  if (!key)
    return key.takeError();
  if (std::optional<HostTensor> kept = cache->find(*key, node.type)) {
    skip(node);
    return *kept;
  }
  Expected<HostTensor> value = evaluate(node);
  if (!value)
    return value;
  // Who writes to the checkpoint meanwhile spoils this compile, but no later one.
  Expected<WeightCache::Key> now = keyOf(node, /*isFresh=*/true);
  if (!now)
    return now.takeError();
  if (*now == *key)
    if (Error error = cache->store(*key, *value))
      return error;
  return value;
}

Expected<HostTensor> evaluateWeight(ModuleOp module, StringRef symbol, WeightStore &store) {
  Expected<std::unique_ptr<WeightEvaluator>> evaluator = WeightEvaluator::create(module, symbol, store);
  if (!evaluator)
    return evaluator.takeError();
  return (*evaluator)->evaluate(symbol);
}

} // namespace mlir::transformer
