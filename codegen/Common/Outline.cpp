//===- Outline.cpp - groups of ops as shared functions --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/Outline.h"
#include "codegen/Common/DispatchCost.h"
#include "codegen/Common/DispatchUtils.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include "llvm/Support/Regex.h"

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

/// "layers.3.ffn_up" -> "layer.ffn_up".
static std::string withoutLayerNumber(StringRef name) {
  static llvm::Regex number("layers?\\.[0-9]+\\.");
  return number.sub("layer.", name);
}

/// The name an importer gave the op, or the op's own name.
static std::string labelOf(Operation *op) {
  std::string label;
  op->getLoc()->walk([&](Location loc) {
    auto name = dyn_cast<NameLoc>(loc);
    if (!name)
      return WalkResult::advance();
    label = withoutLayerNumber(name.getName());
    return WalkResult::interrupt();
  });
  if (label.empty())
    label = op->getName().stripDialect();
  return label;
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// The extent of loop `loop` of `op`, from what is in the function already. A
/// broadcast does not read all its sizes; they are those of where it is read.
static Value loopSizeInside(OpBuilder &b, const DispatchGroup &group, linalg::GenericOp op, AffineExpr loop,
                            const IRMapping &mapping, Value out) {
  for (OpOperand *operand : op.getDpsInputOperands()) {
    std::optional<unsigned> at = op.getMatchingIndexingMap(operand).getResultPosition(loop);
    if (Value value = mapping.lookupOrNull(operand->get()); value && at)
      return tensor::DimOp::create(b, op.getLoc(), value, *at);
  }
  std::optional<unsigned> at = op.getIndexingMapsArray().back().getResultPosition(loop);
  if (!at)
    return {};
  if (op == group.output)
    return tensor::DimOp::create(b, op.getLoc(), out, *at);
  for (OpOperand &use : op.getResult(0).getUses()) {
    auto consumer = dyn_cast<linalg::GenericOp>(use.getOwner());
    if (!consumer || !group.ops.contains(consumer))
      continue;
    AffineExpr read = consumer.getMatchingIndexingMap(&use).getResult(*at);
    if (Value size = loopSizeInside(b, group, consumer, read, mapping, out))
      return size;
  }
  return {};
}

/// An init for an intermediate result. Emission never reads it; only its shape
/// has to be stated.
static Value intermediateInit(OpBuilder &b, const DispatchGroup &group, linalg::GenericOp op,
                              const IRMapping &mapping, Value out) {
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  AffineMap map = op.getIndexingMapsArray().back();
  SmallVector<OpFoldResult> sizes;
  auto outer = op.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>();
  for (auto [i, size] : llvm::enumerate(type.getShape())) {
    if (!ShapedType::isDynamic(size)) {
      sizes.push_back(b.getIndexAttr(size));
      continue;
    }
    Value known = outer ? mapping.lookupOrNull(outer.getDynamicSize(i)) : Value();
    sizes.push_back(known ? known : loopSizeInside(b, group, op, map.getResult(i), mapping, out));
  }
  return tensor::EmptyOp::create(b, op.getLoc(), sizes, type.getElementType());
}

/// Whether `value` is a tensor.empty, or a fill of one.
static Value emptyUnder(Value init, linalg::FillOp &fill) {
  fill = init.getDefiningOp<linalg::FillOp>();
  Value under = fill ? fill.getDpsInits()[0] : init;
  return under.getDefiningOp<tensor::EmptyOp>() ? under : Value();
}

/// Where the group's result is made: the cache it appends to, or an empty tensor.
static Value placeOf(OpBuilder &b, Operation *output) {
  if (auto append = dyn_cast<CacheAppendOp>(output))
    return append.getCache();
  Location loc = output->getLoc();
  Type element = cast<RankedTensorType>(output->getResult(0).getType()).getElementType();
  if (auto linalgOp = dyn_cast<linalg::LinalgOp>(output)) {
    Value init = linalgOp.getDpsInits()[0];
    linalg::FillOp fill;
    if (Value empty = emptyUnder(init, fill))
      return empty;
    return tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, init), element);
  }
  ReifiedRankedShapedTypeDims dims;
  LogicalResult reified = reifyResultShapes(b, output, dims);
  (void)reified;
  assert(succeeded(reified) && "attention states its result's shape");
  return tensor::EmptyOp::create(b, loc, dims[0], element);
}

//===----------------------------------------------------------------------===//
// Outlining
//===----------------------------------------------------------------------===//

Outliner::Captures Outliner::capture(const DispatchGroup &group, ArrayRef<Operation *> ops) {
  Captures captures;
  auto add = [&](Value value) {
    Operation *def = value.getDefiningOp();
    if (def && group.ops.contains(def))
      return;
    if (isa_and_present<arith::ConstantOp>(def))
      captures.constants.insert(def);
    else
      captures.inputs.insert(value);
  };
  /// Inits are places; only what a reduction starts from is read.
  auto addInit = [&](Value init) {
    linalg::FillOp fill;
    Value empty = emptyUnder(init, fill);
    if (fill)
      add(fill.getInputs()[0]);
    else if (!empty)
      add(init);
  };
  for (Operation *op : ops) {
    auto append = dyn_cast<CacheAppendOp>(op);
    auto generic = dyn_cast<linalg::GenericOp>(op);
    // A slice reads in its region alone, so that no operand tells its sizes.
    if (generic && op != group.output && generic.getNumDpsInputs() == 0)
      if (auto empty = generic.getDpsInits()[0].getDefiningOp<tensor::EmptyOp>())
        for (Value size : empty.getDynamicSizes())
          captures.inputs.insert(size);
    for (OpOperand &operand : op->getOpOperands()) {
      bool isPlace = (append && operand.get() == append.getCache()) ||
                     (isa<linalg::FillOp>(op) && operand.getOperandNumber() == 1);
      if (generic && generic.isDpsInit(&operand))
        addInit(operand.get());
      else if (!isPlace)
        add(operand.get());
    }
    for (Region &region : op->getRegions())
      region.walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          if (!op->isAncestor(operand.getParentBlock()->getParentOp()))
            add(operand);
      });
  }
  return captures;
}

func::FuncOp Outliner::build(const DispatchGroup &group, ArrayRef<Operation *> ops, const Captures &captures,
                             Type outType) {
  Location loc = group.output->getLoc();
  SmallVector<Type> types = llvm::map_to_vector(captures.inputs, [](Value v) { return v.getType(); });
  types.push_back(outType);
  OpBuilder b = OpBuilder::atBlockEnd(module.getBody());
  auto func = func::FuncOp::create(b, loc, labelOf(group.named()),
                                   b.getFunctionType(types, group.output->getResult(0).getType()));
  func.setPrivate();
  markDispatch(func);
  Block *body = func.addEntryBlock();
  Value out = body->getArguments().back();
  b.setInsertionPointToEnd(body);
  IRMapping mapping;
  for (auto [input, argument] : llvm::zip(captures.inputs, body->getArguments()))
    mapping.map(input, argument);
  for (Operation *constant : captures.constants)
    b.clone(*constant, mapping);
  for (Operation *op : ops) {
    if (auto append = dyn_cast<CacheAppendOp>(op))
      mapping.map(append.getCache(), out);
    if (auto fill = dyn_cast<linalg::FillOp>(op))
      mapping.map(fill.getDpsInits()[0], out);
    linalg::FillOp fill;
    auto generic = dyn_cast<linalg::GenericOp>(op);
    if (generic && (emptyUnder(generic.getDpsInits()[0], fill) || fill)) {
      Value place = op == group.output ? out : intermediateInit(b, group, generic, mapping, out);
      if (fill)
        place =
            linalg::FillOp::create(b, op->getLoc(), mapping.lookup(fill.getInputs()[0]), place).getResult(0);
      mapping.map(generic.getDpsInits()[0], place);
    }
    b.clone(*op, mapping);
  }
  func::ReturnOp::create(b, loc, mapping.lookup(group.output->getResult(0)));
  return func;
}

void Outliner::outline(const DispatchGroup &group, StringRef entry) {
  SmallVector<Operation *> ops(group.ops.begin(), group.ops.end());
  llvm::sort(ops, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
  OpBuilder b(group.output);
  Value out = placeOf(b, group.output);
  Captures captures = capture(group, ops);
  // How much a cache grows is the first argument of what appends to it.
  if (auto append = dyn_cast<CacheAppendOp>(group.output)) {
    Value positions = getValueOrCreateConstantIndexOp(
        b, append.getLoc(), tensor::getMixedSize(b, append.getLoc(), append.getKey(), 1));
    Captures all;
    all.inputs.insert(positions);
    all.inputs.insert(captures.inputs.begin(), captures.inputs.end());
    captures.inputs = all.inputs;
  }
  func::FuncOp func = share(build(group, ops, captures, out.getType()));

  Value result = group.output->getResult(0);
  auto launch = LaunchOp::create(b, group.named()->getLoc(), TypeRange{result.getType()},
                                 SymbolRefAttr::get(func), Value(), captures.inputs.getArrayRef(), out);
  setLabel(launch, (entry + "." + labelOf(group.named())).str());
  result.replaceAllUsesWith(launch.getResult(0));
}

func::FuncOp Outliner::share(func::FuncOp candidate) {
  // Two functions are equal when their types and bodies print alike.
  std::string text;
  llvm::raw_string_ostream stream(text);
  candidate.getFunctionType().print(stream);
  OpPrintingFlags flags;
  for (Operation &op : candidate.getBody().front())
    op.print(stream, flags.useLocalScope().assumeVerified());
  auto [it, isNew] = byBody.try_emplace(text, candidate);
  if (!isNew) {
    candidate.erase();
    return it->second;
  }
  symbols.insert(candidate);
  setCost(candidate, costOf(candidate));
  return candidate;
}
