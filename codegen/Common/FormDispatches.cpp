//===- FormDispatches.cpp - groups of ops to shared functions -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// %s = generic sum_k x * W ; %y = generic %s + h  ->  %y = launch @dispatch ins(x, W, h)
//
// Runs on entry functions whose ops are linalg.generic, attention and cache
// appends. Walks backwards: each op that no group has taken yet is the output of
// a new group, which takes producers as long as nobody else reads them and the
// kernel template can inline them.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchCost.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/KernelTemplates.h"
#include "codegen/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/Regex.h"

#define DEBUG_TYPE "transformer-form-dispatches"

namespace mlir::transformer {
#define GEN_PASS_DEF_FORMDISPATCHESPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Takes producers into the group until none can be inlined.
void grow(DispatchGroup &group, const llvm::DenseSet<Operation *> &taken, const KernelTemplates &templates) {
  bool changed = true;
  while (changed) {
    changed = false;
    // Of several candidates the last in program order comes first.
    SmallVector<linalg::GenericOp> candidates;
    for (Operation *op : group.ops)
      for (Value operand : op->getOperands())
        if (auto producer = operand.getDefiningOp<linalg::GenericOp>())
          if (!group.ops.contains(producer) && !taken.contains(producer) &&
              !llvm::is_contained(candidates, producer))
            candidates.push_back(producer);
    llvm::sort(candidates, [](linalg::GenericOp a, linalg::GenericOp b) { return b->isBeforeInBlock(a); });
    for (linalg::GenericOp producer : candidates) {
      if (!templates.canInline(group, producer))
        continue;
      auto rows = [&](OpOperand &use) {
        auto consumer = cast<linalg::GenericOp>(use.getOwner());
        return !consumer.getMatchingIndexingMap(&use).isIdentity();
      };
      if (producer.getNumReductionLoops() != 0 && !llvm::all_of(producer.getResult(0).getUses(), rows))
        group.root = producer;
      group.ops.insert(producer);
      changed = true;
      break;
    }
  }
}

/// "layers.3.ffn_up" -> "layer.ffn_up".
std::string withoutLayerNumber(StringRef name) {
  static llvm::Regex number("layers?\\.[0-9]+\\.");
  return number.sub("layer.", name);
}

/// The name an importer gave the op, or the op's own name.
std::string labelOf(Operation *op) {
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
// Outlining
//===----------------------------------------------------------------------===//

class Outliner {
public:
  explicit Outliner(ModuleOp module) : module(module), symbols(module) {}

  void outline(DispatchGroup &group, StringRef entry);

private:
  /// The function of `body`'s text, made if there is none yet.
  func::FuncOp share(func::FuncOp candidate);

  ModuleOp module;
  SymbolTable symbols;
  llvm::StringMap<func::FuncOp> byBody;
};

/// The extent of loop `loop` of `op`, from what is in the function already. A
/// broadcast does not read all its sizes; they are those of where it is read.
Value loopSizeInside(OpBuilder &b, const DispatchGroup &group, linalg::GenericOp op, AffineExpr loop,
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
Value intermediateInit(OpBuilder &b, const DispatchGroup &group, linalg::GenericOp op,
                       const IRMapping &mapping, Value out) {
  auto type = cast<RankedTensorType>(op.getResult(0).getType());
  AffineMap map = op.getIndexingMapsArray().back();
  SmallVector<OpFoldResult> sizes;
  for (auto [i, size] : llvm::enumerate(type.getShape()))
    sizes.push_back(ShapedType::isDynamic(size)
                        ? OpFoldResult(loopSizeInside(b, group, op, map.getResult(i), mapping, out))
                        : b.getIndexAttr(size));
  return tensor::EmptyOp::create(b, op.getLoc(), sizes, type.getElementType());
}

/// Whether `value` is a tensor.empty, or a fill of one.
Value emptyUnder(Value init, linalg::FillOp &fill) {
  fill = init.getDefiningOp<linalg::FillOp>();
  Value under = fill ? fill.getDpsInits()[0] : init;
  return under.getDefiningOp<tensor::EmptyOp>() ? under : Value();
}

void Outliner::outline(DispatchGroup &group, StringRef entry) {
  Location loc = group.output->getLoc();
  MLIRContext *context = module.getContext();
  SmallVector<Operation *> ops(group.ops.begin(), group.ops.end());
  llvm::sort(ops, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });

  // The place of the result, and the values that come from outside.
  OpBuilder b(group.output);
  Value out;
  auto generic = dyn_cast<linalg::GenericOp>(group.output);
  auto append = dyn_cast<CacheAppendOp>(group.output);
  if (generic) {
    linalg::FillOp fill;
    out = emptyUnder(generic.getDpsInits()[0], fill);
    if (!out)
      out = tensor::EmptyOp::create(b, loc, tensor::getMixedSizes(b, loc, generic.getDpsInits()[0]),
                                    cast<RankedTensorType>(generic.getResult(0).getType()).getElementType());
  } else if (append) {
    out = append.getCache();
  } else if (auto fill = dyn_cast<linalg::FillOp>(group.output)) {
    linalg::FillOp none;
    out = emptyUnder(fill.getDpsInits()[0], none);
    if (!out)
      out = fill.getDpsInits()[0];
  } else {
    ReifiedRankedShapedTypeDims dims;
    if (failed(reifyResultShapes(b, group.output, dims)))
      return;
    out = tensor::EmptyOp::create(
        b, loc, dims[0], cast<RankedTensorType>(group.output->getResult(0).getType()).getElementType());
  }

  llvm::SetVector<Value> inputs;
  auto isCloned = [](Value value) {
    Operation *def = value.getDefiningOp();
    return def && (isa<arith::ConstantOp>(def));
  };
  llvm::SetVector<Operation *> constants;
  auto capture = [&](Value value) {
    Operation *def = value.getDefiningOp();
    if (def && group.ops.contains(def))
      return;
    if (isCloned(value))
      constants.insert(def);
    else
      inputs.insert(value);
  };
  for (Operation *op : ops) {
    auto linalgOp = dyn_cast<linalg::GenericOp>(op);
    for (OpOperand &operand : op->getOpOperands()) {
      if (linalgOp && linalgOp.isDpsInit(&operand)) {
        linalg::FillOp fill;
        Value empty = emptyUnder(operand.get(), fill);
        if (fill)
          capture(fill.getInputs()[0]);
        if (!empty && !fill)
          capture(operand.get());
        continue;
      }
      if (append && operand.get() == append.getCache())
        continue;
      if (isa<linalg::FillOp>(op) && operand.getOperandNumber() == 1)
        continue;
      capture(operand.get());
    }
    for (Region &region : op->getRegions())
      region.walk([&](Operation *inner) {
        for (Value operand : inner->getOperands())
          if (!op->isAncestor(operand.getParentBlock()->getParentOp()))
            capture(operand);
      });
  }

  // The function: inputs, then the place of the result.
  SmallVector<Type> types;
  for (Value input : inputs)
    types.push_back(input.getType());
  types.push_back(out.getType());
  Type resultType = group.output->getResult(0).getType();
  Operation *named = group.root ? group.root.getOperation() : group.output;
  std::string label = labelOf(named);
  OpBuilder top = OpBuilder::atBlockEnd(module.getBody());
  auto func = func::FuncOp::create(top, loc, label, FunctionType::get(context, types, resultType));
  func.setPrivate();
  markDispatch(func);
  Block *body = func.addEntryBlock();
  OpBuilder inner = OpBuilder::atBlockEnd(body);
  IRMapping mapping;
  for (auto [input, argument] : llvm::zip(inputs, body->getArguments()))
    mapping.map(input, argument);
  for (Operation *constant : constants)
    inner.clone(*constant, mapping);
  Value outArgument = body->getArguments().back();
  if (append)
    mapping.map(append.getCache(), outArgument);
  for (Operation *op : ops) {
    auto linalgOp = dyn_cast<linalg::GenericOp>(op);
    if (auto fill = dyn_cast<linalg::FillOp>(op))
      mapping.map(fill.getDpsInits()[0], outArgument);
    if (linalgOp) {
      Value init = linalgOp.getDpsInits()[0];
      linalg::FillOp fill;
      if (Value empty = emptyUnder(init, fill); empty || fill) {
        Value place =
            op == group.output ? outArgument : intermediateInit(inner, group, linalgOp, mapping, outArgument);
        if (fill)
          place = linalg::FillOp::create(inner, op->getLoc(), mapping.lookup(fill.getInputs()[0]), place)
                      .getResult(0);
        mapping.map(init, place);
      }
    }
    inner.clone(*op, mapping);
  }
  func::ReturnOp::create(inner, loc, mapping.lookup(group.output->getResult(0)));
  func = share(func);

  auto launch = LaunchOp::create(b, named->getLoc(), TypeRange{resultType}, SymbolRefAttr::get(func), Value(),
                                 inputs.getArrayRef(), out);
  setLabel(launch, (entry + "." + label).str());
  group.output->getResult(0).replaceAllUsesWith(launch.getResult(0));
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

struct FormDispatches : transformer::impl::FormDispatchesPassBase<FormDispatches> {
  void runOnOperation() override {
    Outliner outliner(getOperation());
    for (func::FuncOp entry : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (isEntry(entry) && failed(formIn(entry, outliner)))
        return signalPassFailure();
  }

  LogicalResult formIn(func::FuncOp entry, Outliner &outliner) {
    // The check before this pass lists everything; alone, it must not go wrong.
    if (!entry.getBody().hasOneBlock())
      return entry.emitOpError("expected one block: entry functions are straight-line code");
    Block &block = entry.getBody().front();
    copyUncomputedResults(block);
    llvm::DenseSet<Operation *> taken;
    std::vector<DispatchGroup> groups;
    for (Operation &op : llvm::reverse(block)) {
      if (taken.contains(&op) || !startsGroup(op))
        continue;
      DispatchGroup group{&op, {}, {}};
      group.ops.insert(&op);
      if (auto generic = dyn_cast<linalg::GenericOp>(op)) {
        if (generic.getNumResults() != 1)
          return generic.emitOpError("expected one result: a dispatch computes one tensor");
        grow(group, taken, cpuTemplates());
      }
      taken.insert(group.ops.begin(), group.ops.end());
      groups.push_back(std::move(group));
    }
    for (DispatchGroup &group : llvm::reverse(groups))
      outliner.outline(group, entry.getSymName());
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
      if (isOpTriviallyDead(&op))
        op.erase();
    return success();
  }

  /// A result of the function that no dispatch would make (an argument, a weight, a
  /// length, a result returned before) is made by a copy.
  static void copyUncomputedResults(Block &block) {
    llvm::DenseSet<Value> returned;
    for (OpOperand &operand : block.getTerminator()->getOpOperands()) {
      Value value = operand.get(), source = value;
      if (!isa<RankedTensorType>(value.getType()))
        continue;
      while (Operation *def = source.getDefiningOp()) {
        if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(def))
          break;
        source = def->getOperand(0);
      }
      Operation *def = source.getDefiningOp();
      if (def && startsGroup(*def) && returned.insert(source).second)
        continue;
      // A length must be read before the cache grows, so the copy stands beside what it copies.
      OpBuilder b(block.getTerminator());
      b.setInsertionPointAfterValue(value);
      // Elements are read in the region: a generic that yields its operand folds away.
      operand.set(
          buildMap(b, value.getLoc(), value, {}, [&](OpBuilder &b, Location loc, ValueRange) -> Value {
            SmallVector<Value> at;
            for (int64_t i = 0, rank = cast<RankedTensorType>(value.getType()).getRank(); i < rank; ++i)
              at.push_back(linalg::IndexOp::create(b, loc, i));
            return tensor::ExtractOp::create(b, loc, value, at);
          }));
    }
  }

  /// A fill is a dispatch of its own only where it is not the start of a reduction.
  static bool startsGroup(Operation &op) {
    if (auto fill = dyn_cast<linalg::FillOp>(op))
      return llvm::any_of(fill->getUses(), [](OpOperand &use) {
        auto consumer = dyn_cast<linalg::GenericOp>(use.getOwner());
        return !consumer || !consumer.isDpsInit(&use);
      });
    return isa<linalg::GenericOp, AttentionOp, CacheAppendOp>(op);
  }
};

} // namespace
