//===- Mutator.cpp - single faults in kernels ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Mutator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::emulator;

static bool isShared(Value pointer) {
  auto type = dyn_cast<LLVM::LLVMPointerType>(pointer.getType());
  return type && type.getAddressSpace() == 3;
}

/// The pointer to shared memory that an op accesses, by its operand's number; -1 where it accesses none.
static int sharedOperand(Operation *op) {
  if (auto load = dyn_cast<LLVM::LoadOp>(op); load && isShared(load.getAddr()))
    return 0;
  if (auto store = dyn_cast<LLVM::StoreOp>(op); store && isShared(store.getAddr()))
    return 1;
  return isa<NVVM::LdMatrixOp, NVVM::CpAsyncOp>(op) ? 0 : -1;
}

static std::optional<arith::CmpIPredicate> widened(arith::CmpIPredicate predicate) {
  using P = arith::CmpIPredicate;
  switch (predicate) {
  case P::ult:
    return P::ule;
  case P::slt:
    return P::sle;
  case P::ugt:
    return P::uge;
  case P::sgt:
    return P::sge;
  case P::ule:
    return P::ult;
  case P::uge:
    return P::ugt;
  default:
    return std::nullopt;
  }
}

static SmallVector<Mutation::Kind> kindsOf(Operation *op) {
  SmallVector<Mutation::Kind> kinds;
  if (isa<NVVM::Barrier0Op, NVVM::CpAsyncWaitGroupOp, NVVM::CpAsyncCommitGroupOp>(op))
    kinds.push_back(Mutation::Remove);
  if (isa<NVVM::CpAsyncWaitGroupOp>(op))
    kinds.push_back(Mutation::WaitForLess);
  if (auto compare = dyn_cast<arith::CmpIOp>(op); compare && widened(compare.getPredicate()))
    kinds.push_back(Mutation::WidenBound);
  if (sharedOperand(op) >= 0)
    kinds.push_back(Mutation::ShiftAddress);
  if (isa<NVVM::ShflOp>(op))
    kinds.push_back(Mutation::OtherLane);
  if (isa<NVVM::LdMatrixOp>(op))
    kinds.push_back(Mutation::Transpose);
  if (isa<NVVM::MmaOp>(op))
    kinds.push_back(Mutation::SwapOperands);
  if (auto copy = dyn_cast<NVVM::CpAsyncOp>(op); copy && copy.getCpSize())
    kinds.push_back(Mutation::CopyWhole);
  return kinds;
}

/// The comparisons of a kernel that have the bound of `op`.
static SmallVector<arith::CmpIOp> withSameBound(arith::CmpIOp op) {
  SmallVector<arith::CmpIOp> all;
  op->getParentOfType<FunctionOpInterface>().walk([&](arith::CmpIOp other) {
    if (other.getRhs() == op.getRhs() && other.getPredicate() == op.getPredicate())
      all.push_back(other);
  });
  return all;
}

/// The asynchronous copies of a kernel that may be partial.
static SmallVector<NVVM::CpAsyncOp> partialCopies(Operation *op) {
  SmallVector<NVVM::CpAsyncOp> all;
  op->getParentOfType<FunctionOpInterface>().walk([&](NVVM::CpAsyncOp copy) {
    if (copy.getCpSize())
      all.push_back(copy);
  });
  return all;
}

/// Whether `op` stands for all that are changed with it.
static bool isFirst(Operation *op, Mutation::Kind kind) {
  if (kind == Mutation::WidenBound)
    return withSameBound(cast<arith::CmpIOp>(op)).front() == op;
  return kind != Mutation::CopyWhole || partialCopies(op).front() == op;
}

std::vector<Mutation> mlir::emulator::mutationsOf(ModuleOp module) {
  std::vector<Mutation> mutations;
  unsigned number = 0;
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    for (Mutation::Kind kind : kindsOf(op))
      if (isFirst(op, kind))
        mutations.push_back({number, kind});
    ++number;
  });
  return mutations;
}

static Operation *findOp(ModuleOp module, unsigned wanted) {
  Operation *found = nullptr;
  unsigned number = 0;
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (number++ == wanted)
      found = op;
  });
  return found;
}

/// The bytes that one lane moves at most in one piece.
static int64_t pieceOf(Operation *op) {
  Type type = isa<LLVM::LoadOp>(op)    ? op->getResult(0).getType()
              : isa<LLVM::StoreOp>(op) ? op->getOperand(0).getType()
                                       : Type();
  if (!type)
    return 16;
  int64_t elements = isa<VectorType>(type) ? cast<VectorType>(type).getNumElements() : 1;
  return elements * getElementTypeOrSelf(type).getIntOrFloatBitWidth() / 8;
}

OwningOpRef<ModuleOp> mlir::emulator::mutate(ModuleOp module, const Mutation &mutation) {
  OwningOpRef<ModuleOp> copy = module.clone();
  Operation *op = findOp(*copy, mutation.op);
  OpBuilder b(op);
  Location loc = op->getLoc();
  switch (mutation.kind) {
  case Mutation::Remove:
    op->erase();
    break;
  case Mutation::WaitForLess: {
    auto wait = cast<NVVM::CpAsyncWaitGroupOp>(op);
    wait.setN(wait.getN() + 1);
    break;
  }
  case Mutation::WidenBound: {
    auto predicate = widened(cast<arith::CmpIOp>(op).getPredicate());
    for (arith::CmpIOp compare : withSameBound(cast<arith::CmpIOp>(op)))
      compare.setPredicate(*predicate);
    break;
  }
  case Mutation::ShiftAddress: {
    OpOperand &address = op->getOpOperand(sharedOperand(op));
    address.set(LLVM::GEPOp::create(b, loc, address.get().getType(), b.getI8Type(), address.get(),
                                    ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(pieceOf(op))}));
    break;
  }
  case Mutation::OtherLane: {
    OpOperand &offset = op->getOpOperand(2);
    // Another distance in a butterfly may be the same sum in another order; half of it never is.
    Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
    offset.set(arith::ShRUIOp::create(b, loc, offset.get(), one));
    break;
  }
  case Mutation::Transpose: {
    auto load = cast<NVVM::LdMatrixOp>(op);
    load.setLayout(load.getLayout() == NVVM::MMALayout::row ? NVVM::MMALayout::col : NVVM::MMALayout::row);
    break;
  }
  case Mutation::SwapOperands: {
    auto [first, count] = cast<NVVM::MmaOp>(op).getODSOperandIndexAndLength(1);
    (void)count;
    Value other = op->getOperand(first);
    op->setOperand(first, op->getOperand(first + 1));
    op->setOperand(first + 1, other);
    break;
  }
  case Mutation::CopyWhole:
    for (NVVM::CpAsyncOp copy : partialCopies(op))
      copy.getCpSizeMutable().clear();
    break;
  }
  return copy;
}

std::string Mutation::describe(ModuleOp module) const {
  static const char *const names[] = {"without",
                                      "with one more copy under way at",
                                      "with its border taken in at",
                                      "with another address at",
                                      "with another lane at",
                                      "with other layout at",
                                      "with swapped operands at",
                                      "with whole copies at"};
  Operation *found = findOp(module, op);
  std::string text = names[kind];
  llvm::raw_string_ostream stream(text);
  stream << ' ' << found->getName() << " (number " << op << ')';
  return text;
}
