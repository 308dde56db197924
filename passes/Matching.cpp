//===- Matching.cpp - forms that several patterns look for ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "passes/Matching.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::transformer;

std::optional<HeadSplit> mlir::transformer::headSplitOf(Operation *op) {
  auto expand = dyn_cast<tensor::ExpandShapeOp>(op);
  if (!expand || expand.getSrcType().getRank() == 0)
    return std::nullopt;
  RankedTensorType type = expand.getResultType();
  SmallVector<ReassociationIndices> groups = expand.getReassociationIndices();
  bool isLast =
      groups.back().size() == 2 &&
      llvm::all_of(ArrayRef(groups).drop_back(), [](const auto &group) { return group.size() == 1; });
  int64_t heads = type.getDimSize(type.getRank() - 2), headDim = type.getShape().back();
  if (!isLast || ShapedType::isDynamic(heads) || ShapedType::isDynamic(headDim))
    return std::nullopt;
  return HeadSplit{expand, heads, headDim};
}

/// The operand that has the same dimension `i`, and its number there; null where
/// the dimension begins here.
static std::pair<Value, int64_t> dimensionBefore(Operation *op, int64_t i, int64_t rank) {
  if (isElementwise(op) || isa<RMSNormOp, LayerNormOp, RopeOp, AttentionOp>(op))
    return {op->getOperand(0), i};
  if (isa<LinearOp, GatedMLPOp, EmbeddingOp>(op) && i + 1 < rank)
    return {op->getOperand(0), i};
  auto through = [&](ArrayRef<ReassociationIndices> groups, bool toResult) -> std::pair<Value, int64_t> {
    for (auto [group, dims] : llvm::enumerate(groups))
      if (dims.size() == 1 && (toResult ? dims.front() : static_cast<int64_t>(group)) == i)
        return {op->getOperand(0), toResult ? static_cast<int64_t>(group) : dims.front()};
    return {Value(), 0};
  };
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return through(expand.getReassociationIndices(), /*toResult=*/true);
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return through(collapse.getReassociationIndices(), /*toResult=*/false);
  return {Value(), 0};
}

/// A size as people compare it: a constant, or a dimension of the value in which it begins.
namespace {
struct Size {
  std::optional<int64_t> constant;
  Value value;
  int64_t dimension = -1; // -1: the value itself is the size

  bool operator==(const Size &other) const {
    return constant || other.constant ? constant == other.constant
                                      : value == other.value && dimension == other.dimension;
  }
};
} // namespace

static Size sizeOf(OpFoldResult size);

static Size sizeOf(Value value, int64_t i) {
  while (true) {
    auto type = cast<RankedTensorType>(value.getType());
    int64_t size = type.getDimSize(i), rank = type.getRank();
    if (!ShapedType::isDynamic(size))
      return {size, Value()};
    Operation *def = value.getDefiningOp();
    if (auto slice = dyn_cast_or_null<tensor::ExtractSliceOp>(def))
      if (slice.getType().getRank() == slice.getSourceType().getRank())
        return sizeOf(slice.getMixedSizes()[i]);
    auto [before, dimension] = def ? dimensionBefore(def, i, rank) : std::pair<Value, int64_t>();
    if (!before || !isa<RankedTensorType>(before.getType()))
      return {std::nullopt, value, i};
    value = before;
    i = dimension;
  }
}

static Size sizeOf(OpFoldResult size) {
  if (std::optional<int64_t> constant = getConstantIntValue(size))
    return {constant, Value()};
  auto value = cast<Value>(size);
  if (auto dim = value.getDefiningOp<tensor::DimOp>())
    if (std::optional<int64_t> index = dim.getConstantIndex();
        index && isa<RankedTensorType>(dim.getSource().getType()))
      return sizeOf(dim.getSource(), *index);
  return {std::nullopt, value};
}

bool mlir::transformer::isSizeOf(OpFoldResult size, Value value, int64_t i) {
  return sizeOf(size) == sizeOf(value, i);
}

std::optional<LastSlice> mlir::transformer::lastSliceOf(Operation *op) {
  auto slice = dyn_cast<tensor::ExtractSliceOp>(op);
  if (!slice || slice.getType().getRank() == 0 || !slice.hasUnitStride() ||
      slice.getType().getRank() != slice.getSourceType().getRank())
    return std::nullopt;
  int64_t last = slice.getType().getRank() - 1;
  if (slice.isDynamicOffset(last) || slice.isDynamicSize(last))
    return std::nullopt;
  for (int64_t i = 0; i < last; ++i)
    if (slice.isDynamicOffset(i) || slice.getStaticOffset(i) != 0 ||
        !isSizeOf(slice.getMixedSizes()[i], slice.getSource(), i))
      return std::nullopt;
  return LastSlice{slice, slice.getStaticOffset(last), slice.getStaticSize(last)};
}

bool mlir::transformer::isElementwise(Operation *op) {
  return OpTrait::hasElementwiseMappableTraits(op) || isa<ActivationOp>(op);
}

bool mlir::transformer::feedsAttention(Value value) {
  // Linear in the ops on the way: heads are read by few.
  SmallVector<Value> work{value};
  DenseSet<Value> seen;
  while (!work.empty()) {
    Value next = work.pop_back_val();
    if (!seen.insert(next).second)
      continue;
    for (Operation *user : next.getUsers()) {
      if (isa<AttentionOp, CacheAppendOp>(user))
        return true;
      if (isElementwise(user) || isa<RopeOp, RMSNormOp, LayerNormOp, tensor::ExpandShapeOp,
                                     tensor::CollapseShapeOp, tensor::ExtractSliceOp>(user))
        llvm::append_range(work, user->getResults());
    }
  }
  return false;
}

bool mlir::transformer::arePositions(Value ids) {
  SmallVector<Value> work{ids};
  bool hasLength = false;
  while (!work.empty()) {
    Operation *def = work.pop_back_val().getDefiningOp();
    if (isa_and_nonnull<CacheLengthOp>(def))
      hasLength = true;
    else if (isa_and_nonnull<tensor::EmptyOp, arith::ConstantOp>(def))
      continue;
    else if (def &&
             (isElementwise(def) ||
              isa<linalg::GenericOp, linalg::BroadcastOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp>(
                  def)))
      for (Value operand : def->getOperands())
        isa<RankedTensorType>(operand.getType()) ? work.push_back(operand) : void();
    else
      return false;
  }
  return hasLength;
}

Type mlir::transformer::elementTypeOf(Value value) { return getElementTypeOrSelf(value.getType()); }

RankedTensorType mlir::transformer::withLast(RankedTensorType type, int64_t size) {
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = size;
  return RankedTensorType::get(shape, type.getElementType());
}

SmallVector<OpFoldResult> mlir::transformer::leadingSizes(OpBuilder &builder, Location loc, Value input,
                                                          tensor::ExpandShapeOp split) {
  auto type = cast<RankedTensorType>(input.getType());
  SmallVector<OpFoldResult> known = split.getMixedOutputShape(), sizes;
  auto isThere = [&](Value value) {
    Operation *def = value.getDefiningOp();
    Block::iterator place = builder.getInsertionPoint();
    return !def || (def->getBlock() == builder.getBlock() &&
                    (place == builder.getBlock()->end() || def->isBeforeInBlock(&*place)));
  };
  for (int64_t i = 0; i + 1 < type.getRank(); ++i) {
    if (!type.isDynamicDim(i)) {
      sizes.push_back(builder.getIndexAttr(type.getDimSize(i)));
      continue;
    }
    auto value = dyn_cast<Value>(known[i]);
    sizes.push_back(value && isThere(value) ? value
                                            : tensor::DimOp::create(builder, loc, input, i).getResult());
  }
  return sizes;
}

Location mlir::transformer::jointLoc(ArrayRef<Location> locs) {
  SmallVector<StringRef> names;
  for (Location loc : locs) {
    auto name = dyn_cast<NameLoc>(loc);
    if (!name)
      return locs.front();
    names.push_back(name.getName().getValue());
  }
  size_t common = names.front().size();
  for (StringRef name : names)
    while (!name.starts_with(names.front().take_front(common)))
      --common;
  std::string joint = names.front().take_front(common).str();
  bool areShort = llvm::all_of(names, [&](StringRef name) { return name.size() <= common + 2; });
  for (StringRef name : names)
    if (areShort)
      joint += name.drop_front(common);
  StringRef result = StringRef(joint).rtrim("_.");
  return result.empty() ? locs.front()
                        : Location(NameLoc::get(StringAttr::get(locs.front()->getContext(), result)));
}
