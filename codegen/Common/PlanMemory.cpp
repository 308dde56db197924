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
// right for every size. Within a section: largest first, lowest free offset.
//
//===----------------------------------------------------------------------===//

#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
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

/// coefficient * product of symbolic sizes (their numbers, sorted).
struct Monomial {
  int64_t coefficient = 1;
  SmallVector<int64_t> symbols;
};

struct Allocation {
  memref::AllocOp op;
  int64_t bytes;       // per unit of the section's product
  int64_t begin, end;  // first and last op that touches it
  int64_t offset = 0;  // per unit of the section's product
};

using Sections = std::map<std::vector<int64_t>, std::vector<Allocation>>;

std::optional<Monomial> monomialOf(Value value) {
  if (std::optional<int64_t> constant = getConstantIntValue(value))
    return Monomial{*constant, {}};
  if (auto size = value.getDefiningOp<SizeOp>())
    return Monomial{1, {static_cast<int64_t>(size.getIndex())}};
  auto product = value.getDefiningOp<arith::MulIOp>();
  if (!product)
    return std::nullopt;
  std::optional<Monomial> a = monomialOf(product.getLhs()), b = monomialOf(product.getRhs());
  if (!a || !b)
    return std::nullopt;
  a->coefficient *= b->coefficient;
  a->symbols.append(b->symbols);
  llvm::sort(a->symbols);
  return a;
}

/// Extends the allocation's lifetime over every user of `value`, through views.
void addUsers(Value value, Allocation &allocation, const DenseMap<Operation *, int64_t> &order) {
  for (Operation *user : value.getUsers()) {
    if (isa<ViewLikeOpInterface, memref::CastOp>(user)) {
      addUsers(user->getResult(0), allocation, order);
      continue;
    }
    allocation.begin = std::min(allocation.begin, order.lookup(user));
    allocation.end = std::max(allocation.end, order.lookup(user));
  }
}

FailureOr<Sections> collect(func::FuncOp entry) {
  DenseMap<Operation *, int64_t> order;
  for (auto [i, op] : llvm::enumerate(entry.getBody().front()))
    order[&op] = static_cast<int64_t>(i);
  Sections sections;
  for (auto op : entry.getOps<memref::AllocOp>()) {
    MemRefType type = op.getType();
    Monomial size{static_cast<int64_t>(llvm::divideCeil(type.getElementTypeBitWidth(), 8)), {}};
    for (int64_t dim : type.getShape())
      if (!ShapedType::isDynamic(dim))
        size.coefficient *= dim;
    for (Value dim : op.getDynamicSizes()) {
      std::optional<Monomial> factor = monomialOf(dim);
      if (!factor)
        return op.emitOpError("expected sizes that are products of the call's symbolic sizes");
      size.coefficient *= factor->coefficient;
      size.symbols.append(factor->symbols);
    }
    llvm::sort(size.symbols);
    // Rounding the coefficient aligns every offset, whatever the symbols are.
    int64_t bytes = static_cast<int64_t>(llvm::alignTo(std::max<int64_t>(size.coefficient, 1), XFM_BUFFER_ALIGNMENT));
    Allocation allocation{op, bytes, INT64_MAX, -1};
    addUsers(op.getResult(), allocation, order);
    sections[std::vector<int64_t>(size.symbols.begin(), size.symbols.end())].push_back(allocation);
  }
  return sections;
}

/// Gives each allocation an offset; returns the section's bytes per unit.
int64_t assign(std::vector<Allocation> &allocations) {
  std::vector<Allocation *> bySize, placed;
  for (Allocation &allocation : allocations)
    bySize.push_back(&allocation);
  llvm::sort(bySize, [](Allocation *a, Allocation *b) {
    return std::make_tuple(-a->bytes, a->begin, a) < std::make_tuple(-b->bytes, b->begin, b);
  });
  int64_t total = 0;
  for (Allocation *allocation : bySize) {
    // The lowest gap between buffers alive at the same time.
    std::vector<Allocation *> alive;
    for (Allocation *other : placed)
      if (other->begin <= allocation->end && allocation->begin <= other->end)
        alive.push_back(other);
    llvm::sort(alive, [](Allocation *a, Allocation *b) { return a->offset < b->offset; });
    int64_t offset = 0;
    for (Allocation *other : alive) {
      if (offset + allocation->bytes <= other->offset)
        break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    allocation->offset = offset;
    total = std::max(total, offset + allocation->bytes);
    placed.push_back(allocation);
  }
  return total;
}

/// The product of the given symbolic sizes times `coefficient`.
Value product(OpBuilder &b, Location loc, ArrayRef<int64_t> symbols, int64_t coefficient, function_ref<Value(int64_t)> size) {
  Value result = arith::ConstantIndexOp::create(b, loc, coefficient);
  for (int64_t symbol : symbols)
    result = arith::MulIOp::create(b, loc, result, size(symbol));
  return result;
}

/// `@xfm_arena_<name>(%sizes: !llvm.ptr) -> i64`
void emitArenaFunction(func::FuncOp entry, StringRef name, const Sections &sections, ArrayRef<int64_t> totals) {
  Location loc = entry.getLoc();
  OpBuilder b(entry);
  auto pointer = LLVM::LLVMPointerType::get(b.getContext());
  auto func = func::FuncOp::create(b, loc, ("xfm_arena_" + name).str(), b.getFunctionType(pointer, b.getI64Type()));
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
    FailureOr<Sections> sections = collect(entry);
    if (failed(sections))
      return failure();
    SmallVector<int64_t> totals;
    for (auto &[symbols, allocations] : *sections)
      totals.push_back(assign(allocations));
    EntryInfo info = EntryInfo::fromAttribute(entry->getAttrOfType<DictionaryAttr>(kEntryAttr));
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
      for (Allocation &allocation : section.second) {
        OpBuilder at(allocation.op);
        Value offset = arith::MulIOp::create(at, loc, unit, arith::ConstantIndexOp::create(at, loc, allocation.offset));
        offset = arith::AddIOp::create(at, loc, base, offset);
        Value view = memref::ViewOp::create(at, allocation.op.getLoc(), allocation.op.getType(), arena, offset,
                                            allocation.op.getDynamicSizes());
        allocation.op.replaceAllUsesWith(view);
        allocation.op.erase();
      }
    return success();
  }
};

} // namespace
