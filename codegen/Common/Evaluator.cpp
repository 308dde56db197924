//===- Evaluator.cpp - tensor expressions as scalar or vector code --------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/Evaluator.h"

#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Linalg/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

Value mlir::transformer::indexValue(OpBuilder &b, Location loc, OpFoldResult value) {
  return getValueOrCreateConstantIndexOp(b, loc, value);
}

Value mlir::transformer::addIndex(OpBuilder &b, Location loc, Value a, int64_t offset) {
  if (offset == 0)
    return a;
  return arith::AddIOp::create(b, loc, a, arith::ConstantIndexOp::create(b, loc, offset));
}

std::optional<vector::CombiningKind> mlir::transformer::combiningKind(linalg::GenericOp op) {
  SmallVector<Operation *> combiners;
  if (!matchReduction(op.getRegionOutputArgs(), 0, combiners) || combiners.size() != 1)
    return std::nullopt;
  using Kind = vector::CombiningKind;
  return TypeSwitch<Operation *, std::optional<Kind>>(combiners[0])
      .Case<arith::AddFOp, arith::AddIOp>([](auto) { return Kind::ADD; })
      .Case<arith::MulFOp, arith::MulIOp>([](auto) { return Kind::MUL; })
      .Case<arith::MaximumFOp>([](auto) { return Kind::MAXIMUMF; })
      .Case<arith::MinimumFOp>([](auto) { return Kind::MINIMUMF; })
      .Case<arith::MaxNumFOp>([](auto) { return Kind::MAXNUMF; })
      .Case<arith::MinNumFOp>([](auto) { return Kind::MINNUMF; })
      .Case<arith::MaxSIOp>([](auto) { return Kind::MAXSI; })
      .Case<arith::MinSIOp>([](auto) { return Kind::MINSI; })
      .Default([](Operation *) { return std::nullopt; });
}

Value mlir::transformer::neutralElement(OpBuilder &b, Location loc, vector::CombiningKind kind, Type type) {
  using Kind = vector::CombiningKind;
  if (auto floatType = dyn_cast<FloatType>(type)) {
    const llvm::fltSemantics &semantics = floatType.getFloatSemantics();
    APFloat value = APFloat::getZero(semantics);
    if (kind == Kind::MUL)
      value = APFloat(semantics, 1);
    else if (kind == Kind::MAXIMUMF || kind == Kind::MAXNUMF)
      value = APFloat::getInf(semantics, /*Negative=*/true);
    else if (kind == Kind::MINIMUMF || kind == Kind::MINNUMF)
      value = APFloat::getInf(semantics);
    return arith::ConstantOp::create(b, loc, b.getFloatAttr(type, value));
  }
  unsigned bits = type.getIntOrFloatBitWidth();
  APInt value(bits, 0);
  if (kind == Kind::MUL)
    value = 1;
  else if (kind == Kind::MAXSI)
    value = APInt::getSignedMinValue(bits);
  else if (kind == Kind::MINSI)
    value = APInt::getSignedMaxValue(bits);
  return arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, value));
}

Value mlir::transformer::horizontal(OpBuilder &b, Location loc, vector::CombiningKind kind, Value vector,
                                    Value init) {
  // Lanes have been summed in an order of their own already: let them be added as a tree.
  return vector::ReductionOp::create(b, loc, kind, vector, init, arith::FastMathFlags::reassoc);
}

//===----------------------------------------------------------------------===//
// What can be computed in vectors
//===----------------------------------------------------------------------===//

namespace {
/// How a value varies over the lanes.
enum class Lane { Uniform, Next, Varying };
} // namespace

/// Memory is read in vectors where only the last index advances, by one a lane.
static bool isContiguous(ArrayRef<Lane> at) {
  for (auto [i, lane] : llvm::enumerate(at))
    if (lane == Lane::Varying || (lane == Lane::Next && i + 1 != at.size()))
      return false;
  return true;
}

/// How the results of `map` vary where the loops do so as `loops` says.
static SmallVector<Lane> mapLanes(AffineMap map, ArrayRef<bool> loops) {
  SmallVector<Lane> result;
  for (AffineExpr expr : map.getResults()) {
    bool varies = false;
    for (auto [dim, lanes] : llvm::enumerate(loops))
      varies |= lanes && expr.isFunctionOfDim(dim);
    result.push_back(!varies ? Lane::Uniform : isa<AffineDimExpr>(expr) ? Lane::Next : Lane::Varying);
  }
  return result;
}

bool Evaluator::canVectorize(Value tensor, ArrayRef<bool> lanes) {
  if (known.contains(tensor) || llvm::none_of(lanes, [](bool l) { return l; }))
    return true;
  if (isa<BlockArgument>(tensor)) {
    SmallVector<Lane> at;
    for (bool l : lanes)
      at.push_back(l ? Lane::Next : Lane::Uniform);
    Type element = cast<ShapedType>(tensor.getType()).getElementType();
    return isContiguous(at) && !element.isInteger(1) && !element.isIndex();
  }
  if (tensor.getDefiningOp<linalg::FillOp>() || matchPattern(tensor, m_Constant()))
    return true;
  if (isa_and_present<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(tensor.getDefiningOp()))
    return canVectorizeReshape(tensor.getDefiningOp(), lanes);
  auto op = tensor.getDefiningOp<linalg::GenericOp>();
  if (!op || op.getNumReductionLoops() != 0)
    return false;
  return canVectorizeRegion(op, lanes, /*skipInits=*/false);
}

bool Evaluator::canVectorizeReshape(Operation *op, ArrayRef<bool> lanes) {
  Value source = op->getOperand(0);
  if (isa<tensor::CastOp>(op))
    return canVectorize(source, lanes);
  auto sourceType = cast<RankedTensorType>(source.getType());
  SmallVector<bool> flags(sourceType.getRank(), false);
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    for (auto [i, group] : llvm::enumerate(expand.getReassociationIndices()))
      for (int64_t dim : group)
        if (lanes[dim]) {
          if (dim != group.back())
            return false;
          flags[i] = true;
        }
    return canVectorize(source, flags);
  }
  // One index becomes several: a vector must not reach into the next row.
  for (auto [i, group] : llvm::enumerate(cast<tensor::CollapseShapeOp>(op).getReassociationIndices()))
    if (lanes[i]) {
      int64_t size = sourceType.getDimSize(group.back());
      if (group.size() > 1 && (ShapedType::isDynamic(size) || size % width != 0))
        return false;
      flags[group.back()] = true;
    }
  return canVectorize(source, flags);
}

bool Evaluator::canVectorizeRegion(linalg::GenericOp op, ArrayRef<bool> loops, bool skipInits) {
  DenseMap<Value, Lane> lane;
  for (OpOperand &operand : op->getOpOperands()) {
    bool isInit = op.isDpsInit(&operand);
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    lane[argument] = Lane::Varying;
    if (isInit ? (skipInits || argument.use_empty()) : argument.use_empty())
      continue;
    SmallVector<Lane> at = mapLanes(op.getMatchingIndexingMap(&operand), loops);
    if (llvm::is_contained(at, Lane::Varying))
      return false;
    if (llvm::all_of(at, [](Lane l) { return l == Lane::Uniform; }))
      lane[argument] = Lane::Uniform;
    if (!isa<ShapedType>(operand.get().getType())) {
      lane[argument] = Lane::Uniform;
      continue;
    }
    SmallVector<bool> flags = llvm::map_to_vector(at, [](Lane l) { return l == Lane::Next; });
    if (!canVectorize(operand.get(), flags))
      return false;
  }
  auto laneOf = [&](Value v) { return lane.lookup_or(v, Lane::Uniform); };
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      lane[index.getResult()] = loops[index.getDim()] ? Lane::Next : Lane::Uniform;
      continue;
    }
    if (auto extract = dyn_cast<tensor::ExtractOp>(inner)) {
      SmallVector<Lane> at = llvm::map_to_vector(extract.getIndices(), laneOf);
      SmallVector<bool> flags = llvm::map_to_vector(at, [](Lane l) { return l == Lane::Next; });
      if (!isContiguous(at) || !canVectorize(extract.getTensor(), flags))
        return false;
      lane[extract.getResult()] = llvm::is_contained(at, Lane::Next) ? Lane::Varying : Lane::Uniform;
      continue;
    }
    // Neighbours stay neighbours where the same is added to all of them.
    if (auto add = dyn_cast<arith::AddIOp>(inner)) {
      Lane a = laneOf(add.getLhs()), b = laneOf(add.getRhs());
      if ((a == Lane::Next && b == Lane::Uniform) || (a == Lane::Uniform && b == Lane::Next)) {
        lane[add.getResult()] = Lane::Next;
        continue;
      }
    }
    bool uniform = llvm::all_of(inner.getOperands(), [&](Value v) { return laneOf(v) == Lane::Uniform; });
    if (!uniform && !OpTrait::hasElementwiseMappableTraits(&inner))
      return false;
    for (Value result : inner.getResults())
      lane[result] = uniform ? Lane::Uniform : Lane::Varying;
  }
  return true;
}

//===----------------------------------------------------------------------===//
// Sizes
//===----------------------------------------------------------------------===//

OpFoldResult Evaluator::toValue(OpBuilder &b, Location loc, const Extent &extent) {
  if (extent.isStatic())
    return b.getIndexAttr(extent.size);
  if (extent.argument.getType().isIndex())
    return context.argument(extent.argument);
  return memref::DimOp::create(b, loc, context.argument(extent.argument), extent.dim).getResult();
}

OpFoldResult Evaluator::dimSize(OpBuilder &b, Value tensor, unsigned dim) {
  return toValue(b, tensor.getLoc(), extentOf(tensor, dim));
}

OpFoldResult Evaluator::loopSize(OpBuilder &b, linalg::GenericOp op, unsigned loop) {
  return toValue(b, op.getLoc(), loopExtent(op, loop));
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

Value Evaluator::broadcast(OpBuilder &b, Location loc, Value value) {
  if (isa<VectorType>(value.getType()))
    return value;
  return vector::BroadcastOp::create(b, loc, VectorType::get({width}, value.getType()), value);
}

Value Evaluator::load(OpBuilder &b, Location loc, Value memref, ArrayRef<LaneIndex> at) {
  SmallVector<Value> indices = llvm::map_to_vector(at, [](const LaneIndex &i) { return i.base; });
  if (llvm::none_of(at, [](const LaneIndex &i) { return i.lanes; }))
    return memref::LoadOp::create(b, loc, memref, indices);
  auto type = VectorType::get({width}, cast<MemRefType>(memref.getType()).getElementType());
  if (!mask)
    return vector::LoadOp::create(b, loc, type, memref, indices);
  Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(type));
  return vector::MaskedLoadOp::create(b, loc, type, memref, indices, mask, zero);
}

/// The indices at which an operand is read, from those of the loops.
static SmallVector<LaneIndex> applyMap(OpBuilder &b, Location loc, AffineMap map, ArrayRef<LaneIndex> loops) {
  SmallVector<LaneIndex> result;
  for (AffineExpr expr : map.getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr)) {
      result.push_back(loops[dim.getPosition()]);
      continue;
    }
    SmallVector<OpFoldResult> operands =
        llvm::map_to_vector(loops, [](const LaneIndex &i) { return OpFoldResult(i.base); });
    OpFoldResult value = affine::makeComposedFoldedAffineApply(
        b, loc, AffineMap::get(map.getNumDims(), 0, expr, b.getContext()), operands);
    result.push_back({indexValue(b, loc, value), false});
  }
  return result;
}

Value Evaluator::evaluate(OpBuilder &b, Value tensor, ArrayRef<LaneIndex> at) {
  if (auto it = known.find(tensor); it != known.end())
    return it->second;
  Location loc = tensor.getLoc();
  if (!isa<ShapedType>(tensor.getType()))
    return isa<BlockArgument>(tensor) ? context.argument(tensor)
                                      : b.clone(*tensor.getDefiningOp())->getResult(0);
  if (isa<BlockArgument>(tensor)) {
    Value loaded = load(b, loc, context.argument(tensor), at);
    Type element = getElementTypeOrSelf(tensor.getType()), type = element;
    if (!element.isInteger(4))
      return loaded;
    // In memory it is a byte.
    if (auto vector = dyn_cast<VectorType>(loaded.getType()))
      type = vector.clone(element);
    return arith::TruncIOp::create(b, loc, type, loaded);
  }
  if (auto fill = tensor.getDefiningOp<linalg::FillOp>())
    return evaluate(b, fill.getInputs()[0], {});
  if (DenseElementsAttr constant; matchPattern(tensor, m_Constant(&constant)) && constant.isSplat())
    return arith::ConstantOp::create(b, loc, cast<TypedAttr>(constant.getSplatValue<Attribute>()));
  if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(tensor.getDefiningOp()))
    return evaluateReshape(b, tensor.getDefiningOp(), at);
  auto op = tensor.getDefiningOp<linalg::GenericOp>();
  assert(op && "what a dispatch may hold is checked before emission");
  if (op.getNumReductionLoops() != 0)
    return evaluateReduction(b, op, at);
  return evaluateRegion(b, op, at, Value());
}

Value Evaluator::evaluateReshape(OpBuilder &b, Operation *op, ArrayRef<LaneIndex> at) {
  Value source = op->getOperand(0);
  Location loc = op->getLoc();
  if (isa<tensor::CastOp>(op))
    return evaluate(b, source, at);
  SmallVector<LaneIndex> indices;
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op)) {
    for (const ReassociationIndices &group : expand.getReassociationIndices()) {
      LaneIndex index = at[group.front()];
      for (int64_t dim : ArrayRef(group).drop_front()) {
        Value size = indexValue(b, loc, dimSize(b, expand.getResult(), dim));
        Value base = arith::MulIOp::create(b, loc, index.base, size);
        index = {arith::AddIOp::create(b, loc, base, at[dim].base), at[dim].lanes};
      }
      indices.push_back(index);
    }
    return evaluate(b, source, indices);
  }
  for (auto [i, group] : llvm::enumerate(cast<tensor::CollapseShapeOp>(op).getReassociationIndices())) {
    SmallVector<LaneIndex> parts(group.size());
    Value rest = at[i].base;
    for (size_t j = group.size(); j-- > 1;) {
      Value size = indexValue(b, loc, dimSize(b, source, group[j]));
      parts[j] = {arith::RemUIOp::create(b, loc, rest, size)};
      rest = arith::DivUIOp::create(b, loc, rest, size);
    }
    parts[0] = {rest};
    parts.back().lanes = at[i].lanes;
    indices.append(parts);
  }
  return evaluate(b, source, indices);
}

/// Lets the backend fuse multiplications and additions.
static void allowContraction(Operation *op) {
  if (isa<arith::AddFOp, arith::SubFOp, arith::MulFOp>(op))
    op->setAttr("fastmath", arith::FastMathFlagsAttr::get(op->getContext(), arith::FastMathFlags::contract));
}

static bool isDivision(Operation *op) {
  return isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::CeilDivSIOp,
             arith::CeilDivUIOp, arith::FloorDivSIOp>(op);
}

/// Lanes that do not exist hold zeros, and dividing by one of them traps.
static Value oneWhereMasked(OpBuilder &b, Location loc, Value mask, Value divisor) {
  Value ones = arith::ConstantOp::create(b, loc, b.getOneAttr(divisor.getType()));
  return arith::SelectOp::create(b, loc, mask, divisor, ones);
}

Value Evaluator::evaluateRegion(OpBuilder &b, linalg::GenericOp op, ArrayRef<LaneIndex> loops,
                                Value accumulator) {
  Location loc = op.getLoc();
  DenseMap<Value, Value> values;
  DenseMap<Value, LaneIndex> lanes; // index values that advance by one per lane
  for (OpOperand &operand : op->getOpOperands()) {
    BlockArgument argument = op.getMatchingBlockArgument(&operand);
    if (argument.use_empty())
      continue;
    values[argument] =
        op.isDpsInit(&operand) && accumulator
            ? accumulator
            : evaluate(b, operand.get(), applyMap(b, loc, op.getMatchingIndexingMap(&operand), loops));
  }
  auto valueOf = [&](Value v) -> Value {
    if (auto it = lanes.find(v); it != lanes.end()) {
      Value step = vector::StepOp::create(b, loc, VectorType::get({width}, b.getIndexType()));
      return arith::AddIOp::create(b, loc, step, broadcast(b, loc, it->second.base));
    }
    if (auto it = values.find(v); it != values.end())
      return it->second;
    // Captured: an argument of the dispatch or a constant of its body.
    if (isa<BlockArgument>(v))
      return values[v] = context.argument(v);
    Operation *constant = b.clone(*v.getDefiningOp());
    return values[v] = constant->getResult(0);
  };
  for (Operation &inner : op.getBody()->without_terminator()) {
    if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
      LaneIndex at = loops[index.getDim()];
      if (at.lanes)
        lanes[index.getResult()] = at;
      else
        values[index.getResult()] = at.base;
      continue;
    }
    if (auto dim = dyn_cast<tensor::DimOp>(inner)) {
      values[dim.getResult()] = indexValue(b, loc, dimSize(b, dim.getSource(), *dim.getConstantIndex()));
      continue;
    }
    if (auto extract = dyn_cast<tensor::ExtractOp>(inner)) {
      SmallVector<LaneIndex> at;
      for (Value index : extract.getIndices()) {
        auto it = lanes.find(index);
        at.push_back(it != lanes.end() ? it->second : LaneIndex{valueOf(index)});
      }
      values[extract.getResult()] = evaluate(b, extract.getTensor(), at);
      continue;
    }
    if (auto add = dyn_cast<arith::AddIOp>(inner);
        add && lanes.count(add.getLhs()) + lanes.count(add.getRhs()) == 1) {
      bool left = lanes.contains(add.getLhs());
      Value other = valueOf(left ? add.getRhs() : add.getLhs());
      if (!isa<VectorType>(other.getType())) {
        Value base = lanes.lookup(left ? add.getLhs() : add.getRhs()).base;
        lanes[add.getResult()] = {arith::AddIOp::create(b, loc, base, other), true};
        continue;
      }
    }
    SmallVector<Value> operands = llvm::map_to_vector(inner.getOperands(), valueOf);
    bool isVector = llvm::any_of(operands, [](Value v) { return isa<VectorType>(v.getType()); });
    if (mask && isVector && isDivision(&inner))
      operands[1] = oneWhereMasked(b, loc, mask, broadcast(b, loc, operands[1]));
    OperationState state(loc, inner.getName());
    state.addAttributes(inner.getAttrs());
    for (Value operand : operands)
      state.operands.push_back(isVector ? broadcast(b, loc, operand) : operand);
    for (Type type : inner.getResultTypes())
      state.types.push_back(isVector ? Type(VectorType::get({width}, type)) : type);
    Operation *clone = b.create(state);
    allowContraction(clone);
    for (auto [from, to] : llvm::zip(inner.getResults(), clone->getResults()))
      values[from] = to;
  }
  return valueOf(op.getBody()->getTerminator()->getOperand(0));
}

Value Evaluator::evaluateReduction(OpBuilder &b, linalg::GenericOp op, ArrayRef<LaneIndex> at) {
  Location loc = op.getLoc();
  AffineMap resultMap = op.getIndexingMapsArray().back();
  SmallVector<LaneIndex> loops(op.getNumLoops());
  for (auto [i, expr] : llvm::enumerate(resultMap.getResults()))
    loops[cast<AffineDimExpr>(expr).getPosition()] = at[i];
  SmallVector<unsigned> reductions;
  op.getReductionDims(reductions);
  unsigned innermost = reductions.back();

  SmallVector<bool> lanes(op.getNumLoops(), false);
  lanes[innermost] = true;
  std::optional<vector::CombiningKind> kind = combiningKind(op);
  bool vectors = width > 1 && kind && canVectorizeRegion(op, lanes, /*skipInits=*/true);
  Type element = getElementTypeOrSelf(op.getResult(0).getType());
  Value init = evaluate(b, op.getDpsInits()[0], at);
  Value start = vectors ? broadcast(b, loc, neutralElement(b, loc, *kind, element)) : init;

  Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
  Value outerMask = mask;
  mask = Value();
  // Outer reduction loops carry the accumulator; the innermost runs in vectors.
  std::function<Value(OpBuilder &, unsigned, Value)> nest = [&](OpBuilder &b, unsigned depth,
                                                                Value acc) -> Value {
    unsigned loop = reductions[depth];
    OpFoldResult folded = loopSize(b, op, loop);
    Value size = indexValue(b, loc, folded);
    bool inner = depth + 1 == reductions.size();
    if (!inner || !vectors) {
      auto body = [&](OpBuilder &b, Location loc, Value i, ValueRange carried) {
        loops[loop] = {i, false};
        Value next = inner ? evaluateRegion(b, op, loops, carried[0]) : nest(b, depth + 1, carried[0]);
        scf::YieldOp::create(b, loc, next);
      };
      return scf::ForOp::create(b, loc, zero, size, one, acc, body).getResult(0);
    }
    Value step = arith::ConstantIndexOp::create(b, loc, width);
    Value rest = arith::RemUIOp::create(b, loc, size, step),
          whole = arith::SubIOp::create(b, loc, size, rest);
    auto body = [&](OpBuilder &b, Location loc, Value i, ValueRange carried) {
      loops[loop] = {i, true};
      scf::YieldOp::create(b, loc, broadcast(b, loc, evaluateRegion(b, op, loops, carried[0])));
    };
    acc = scf::ForOp::create(b, loc, zero, whole, step, acc, body).getResult(0);
    if (std::optional<int64_t> n = getConstantIntValue(folded); n && *n % width == 0)
      return acc;
    // The rest in one masked vector; lanes beyond it keep the accumulator.
    mask = vector::CreateMaskOp::create(b, loc, VectorType::get({width}, b.getI1Type()), rest);
    loops[loop] = {whole, true};
    Value last = broadcast(b, loc, evaluateRegion(b, op, loops, acc));
    last = arith::SelectOp::create(b, loc, mask, last, acc);
    mask = Value();
    return last;
  };
  Value result = nest(b, 0, start);
  mask = outerMask;
  if (vectors)
    result = horizontal(b, loc, *kind, result, init);
  return result;
}
