//===- PlanMemory.cpp - one arena per entry function ----------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// %a = memref.alloc(%b, %s) : memref<?x?x64xf32>
//   -> %a = memref.view %arena[%offset][%b, %s]
//
// Runs on bufferized entry functions. A buffer's size is a constant times a
// product of symbolic sizes. Buffers with the same product share a section of the
// arena, in which offsets are constants times that product: one assignment is
// right for every size. Within a section: largest first, lowest free offset; a
// result takes the place of an operand that dies with it where the kernel allows.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
#include "codegen/Common/Monomial.h"
#include "codegen/Passes.h"
#include "runtime/xfm_abi.h"

#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"

#include <map>

#define DEBUG_TYPE "transformer-plan-memory"

namespace mlir::transformer {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// One or more buffers that share a place: each but the first is written over the
/// one before it by the op that reads it last.
struct Slot {
  SmallVector<memref::AllocOp> ops;
  int64_t bytes;      // per unit of the section's product
  int64_t begin, end; // first and last op that touches it
  int64_t offset = 0; // per unit of the section's product
};

/// Slots by the product of symbolic sizes they are multiples of.
using Sections = std::map<std::vector<int64_t>, std::vector<Slot>>;

/// Extends the slot's lifetime over every user of `value`, through views.
void addUsers(Value value, Slot &slot, const DenseMap<Operation *, int64_t> &order) {
  for (Operation *user : value.getUsers()) {
    if (isa<ViewLikeOpInterface, memref::CastOp>(user)) {
      addUsers(user->getResult(0), slot, order);
      continue;
    }
    slot.begin = std::min(slot.begin, order.lookup(user));
    slot.end = std::max(slot.end, order.lookup(user));
  }
}

/// The allocation under views, or null.
memref::AllocOp allocationOf(Value value) {
  while (Operation *def = value.getDefiningOp()) {
    if (auto alloc = dyn_cast<memref::AllocOp>(def))
      return alloc;
    if (!isa<ViewLikeOpInterface, memref::CastOp>(def))
      return {};
    value = def->getOperand(0);
  }
  return {};
}

FailureOr<Sections> collect(func::FuncOp entry, const DenseMap<Operation *, int64_t> &order) {
  Sections sections;
  for (auto op : entry.getOps<memref::AllocOp>()) {
    MemRefType type = op.getType();
    Monomial size{static_cast<int64_t>(llvm::divideCeil(type.getElementTypeBitWidth(), 8)), {}};
    for (int64_t dim : type.getShape())
      if (!ShapedType::isDynamic(dim))
        size.coefficient *= dim;
    for (Value dim : op.getDynamicSizes()) {
      std::optional<Monomial> factor = Monomial::of(dim);
      if (!factor)
        return op.emitOpError("expected sizes that are products of the call's symbolic sizes");
      size *= *factor;
    }
    // Rounding the coefficient aligns every offset, whatever the symbols are.
    int64_t bytes =
        static_cast<int64_t>(llvm::alignTo(std::max<int64_t>(size.coefficient, 1), XFM_BUFFER_ALIGNMENT));
    Slot slot{{op}, bytes, INT64_MAX, -1};
    addUsers(op.getResult(), slot, order);
    sections[std::vector<int64_t>(size.symbols.begin(), size.symbols.end())].push_back(slot);
  }
  return sections;
}

/// Lets results take the place of operands that die where they are made, if the
/// kernel reads each element of the operand before it writes that of the result.
void reuseInPlace(func::FuncOp entry, std::vector<Slot> &slots, const DenseMap<Operation *, int64_t> &order) {
  auto module = entry->getParentOfType<ModuleOp>();
  auto slotOf = [&](memref::AllocOp alloc) {
    return llvm::find_if(slots, [&](const Slot &slot) { return llvm::is_contained(slot.ops, alloc); });
  };
  for (auto launch : entry.getOps<LaunchOp>()) {
    auto kernel = module.lookupSymbol<func::FuncOp>(launch.getKernel());
    auto places = kernel ? kernel->getAttrOfType<DenseI64ArrayAttr>(kInPlaceAttr) : DenseI64ArrayAttr();
    memref::AllocOp result =
        launch.getOutputs().size() == 1 ? allocationOf(launch.getOutputs()[0]) : memref::AllocOp();
    if (!places || !result)
      continue;
    for (int64_t argument : places.asArrayRef()) {
      memref::AllocOp operand = allocationOf(launch.getInputs()[argument]);
      auto from = operand ? slotOf(operand) : slots.end(), to = slotOf(result);
      if (from == slots.end() || to == slots.end() || from == to || from->bytes != to->bytes ||
          from->end != order.lookup(launch) || to->begin != order.lookup(launch))
        continue;
      from->ops.append(to->ops);
      from->end = to->end;
      slots.erase(to);
      break;
    }
  }
}

/// The largest sum of slots alive at one op: no plan can need less.
int64_t lowerBound(ArrayRef<Slot> slots) {
  int64_t bound = 0;
  for (const Slot &at : slots) {
    int64_t live = 0;
    for (const Slot &other : slots)
      if (other.begin <= at.begin && at.begin <= other.end)
        live += other.bytes;
    bound = std::max(bound, live);
  }
  return bound;
}

/// Places the slots one after the other, each in the lowest gap between those alive
/// at the same time; returns the section's bytes per unit.
int64_t place(ArrayRef<Slot *> slots) {
  std::vector<Slot *> placed;
  int64_t total = 0;
  for (Slot *slot : slots) {
    std::vector<Slot *> alive;
    for (Slot *other : placed)
      if (other->begin <= slot->end && slot->begin <= other->end)
        alive.push_back(other);
    llvm::sort(alive, [](Slot *a, Slot *b) { return a->offset < b->offset; });
    int64_t offset = 0;
    for (Slot *other : alive) {
      if (offset + slot->bytes <= other->offset)
        break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    slot->offset = offset;
    total = std::max(total, offset + slot->bytes);
    placed.push_back(slot);
  }
  return total;
}

/// Gives each slot an offset; returns the section's bytes per unit. No one order is
/// best for every model, and each costs little: the first that needs the least.
int64_t assign(std::vector<Slot> &slots) {
  using Key = std::tuple<int64_t, int64_t>;
  static constexpr Key (*kOrders[])(const Slot &) = {
      [](const Slot &s) { return Key(-s.bytes, s.begin); },
      [](const Slot &s) { return Key(s.begin - s.end, -s.bytes); },
      [](const Slot &s) { return Key(s.bytes * (s.begin - s.end), s.begin); },
      [](const Slot &s) { return Key(s.begin, -s.bytes); },
  };
  int64_t bound = lowerBound(slots), least = INT64_MAX;
  std::vector<int64_t> best;
  for (auto key : kOrders) {
    std::vector<Slot *> order;
    for (Slot &slot : slots)
      order.push_back(&slot);
    llvm::sort(order, [&](Slot *a, Slot *b) { return std::pair(key(*a), a) < std::pair(key(*b), b); });
    int64_t total = place(order);
    if (total >= least)
      continue;
    least = total;
    best.clear();
    for (const Slot &slot : slots)
      best.push_back(slot.offset);
    if (total == bound)
      break;
  }
  for (auto [slot, offset] : llvm::zip(slots, best))
    slot.offset = offset;
  return slots.empty() ? 0 : least;
}

/// The product of the given symbolic sizes times `coefficient`.
Value product(OpBuilder &b, Location loc, ArrayRef<int64_t> symbols, int64_t coefficient,
              function_ref<Value(int64_t)> size) {
  Value result = arith::ConstantIndexOp::create(b, loc, coefficient);
  for (int64_t symbol : symbols)
    result = arith::MulIOp::create(b, loc, result, size(symbol));
  return result;
}

/// `@xfm_arena_<name>(%sizes: !llvm.ptr) -> i64`
void emitArenaFunction(func::FuncOp entry, StringRef name, const Sections &sections,
                       ArrayRef<int64_t> totals) {
  Location loc = entry.getLoc();
  OpBuilder b(entry);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto func =
      func::FuncOp::create(b, loc, ("xfm_arena_" + name).str(), b.getFunctionType(pointer, b.getI64Type()));
  Block *body = func.addEntryBlock();
  b.setInsertionPointToStart(body);
  auto size = [&](int64_t symbol) -> Value {
    Value address = LLVM::GEPOp::create(b, loc, pointer, b.getI64Type(), body->getArgument(0),
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(symbol)});
    Value value = LLVM::LoadOp::create(b, loc, b.getI64Type(), address);
    return arith::IndexCastOp::create(b, loc, b.getIndexType(), value);
  };
  Value bytes = arith::ConstantIndexOp::create(b, loc, 0);
  for (auto [section, total] : llvm::zip(sections, totals))
    bytes = arith::AddIOp::create(b, loc, bytes, product(b, loc, section.first, total, size));
  func::ReturnOp::create(b, loc, Value(arith::IndexCastOp::create(b, loc, b.getI64Type(), bytes)));
}

struct PlanMemory : transformer::impl::PlanMemoryPassBase<PlanMemory> {
  void runOnOperation() override {
    for (func::FuncOp func : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (func->hasAttr(kEntryAttr) && failed(plan(func)))
        return signalPassFailure();
  }

  LogicalResult plan(func::FuncOp entry) {
    DenseMap<Operation *, int64_t> order;
    for (auto [i, op] : llvm::enumerate(entry.getBody().front()))
      order[&op] = static_cast<int64_t>(i);
    FailureOr<Sections> sections = collect(entry, order);
    if (failed(sections))
      return failure();
    EntryInfo info = EntryInfo::fromAttribute(entry->getAttrOfType<DictionaryAttr>(kEntryAttr));
    SmallVector<int64_t> totals;
    SmallVector<Attribute> plan;
    Builder attributes(&getContext());
    for (auto &[symbols, slots] : *sections) {
      reuseInPlace(entry, slots, order);
      totals.push_back(assign(slots));
      SmallVector<StringRef> names =
          llvm::map_to_vector(symbols, [&](int64_t s) -> StringRef { return info.sizes[s]; });
      plan.push_back(attributes.getDictionaryAttr(
          {attributes.getNamedAttr("sizes", attributes.getStrArrayAttr(names)),
           attributes.getNamedAttr("bytes", attributes.getI64IntegerAttr(totals.back())),
           attributes.getNamedAttr("bound", attributes.getI64IntegerAttr(lowerBound(slots)))}));
    }
    // What tests hold the plan to, and --info prints.
    entry->setAttr(kArenaAttr, attributes.getArrayAttr(plan));
    emitArenaFunction(entry, info.name, *sections, totals);

    Location loc = entry.getLoc();
    SmallVector<Value> sizes;
    for (auto size : entry.getOps<SizeOp>())
      sizes.push_back(size.getResult());
    OpBuilder b = OpBuilder::atBlockBegin(&entry.getBody().front());
    if (!sizes.empty())
      b.setInsertionPointAfterValue(sizes.back());
    auto sizeOf = [&](int64_t symbol) { return sizes[symbol]; };
    Value bytes = arith::ConstantIndexOp::create(b, loc, 0);
    SmallVector<Value> bases, units;
    for (auto [section, total] : llvm::zip(*sections, totals)) {
      bases.push_back(bytes);
      Value unit = product(b, loc, section.first, 1, sizeOf);
      units.push_back(unit);
      Value size = arith::MulIOp::create(b, loc, unit, arith::ConstantIndexOp::create(b, loc, total));
      bytes = arith::AddIOp::create(b, loc, bytes, size);
    }
    auto type = MemRefType::get({ShapedType::kDynamic}, b.getI8Type());
    Value arena = BindingOp::create(b, loc, type, entry.getArgument(0), BindingKind::Arena, 0, bytes);
    for (auto [section, base, unit] : llvm::zip(*sections, bases, units))
      for (Slot &slot : section.second)
        for (memref::AllocOp op : slot.ops) {
          OpBuilder at(op);
          Value offset =
              arith::MulIOp::create(at, loc, unit, arith::ConstantIndexOp::create(at, loc, slot.offset));
          offset = arith::AddIOp::create(at, loc, base, offset);
          Value view =
              memref::ViewOp::create(at, op.getLoc(), op.getType(), arena, offset, op.getDynamicSizes());
          op.replaceAllUsesWith(view);
          op.erase();
        }
    return success();
  }
};

} // namespace
