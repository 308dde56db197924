//===- Mutator.cpp - single faults in kernels ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Mutator.h"

#include "codegen/GPU/IR/XGPU.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::emulator;

using TensorCopyOp = NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp;

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
  return isa<NVVM::LdMatrixOp, NVVM::CpAsyncOp, TensorCopyOp>(op) ? 0 : -1;
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

/// What orders accesses or says that something has come, and gives no value.
static bool isOrdering(Operation *op) {
  if (auto wait = dyn_cast<xgpu::WgmmaWaitOp>(op))
    return wait.getValues().empty();
  if (auto control = dyn_cast<NVVM::GriddepcontrolOp>(op))
    return control.getKind() == NVVM::GridDepActionKind::wait;
  if (auto registers = dyn_cast<NVVM::SetMaxRegisterOp>(op))
    return registers.getAction() == NVVM::SetMaxRegisterAction::decrease;
  return isa<NVVM::Barrier0Op, NVVM::BarrierOp, NVVM::BarrierArriveOp, NVVM::CpAsyncWaitGroupOp,
             NVVM::CpAsyncCommitGroupOp, NVVM::MBarrierInitOp, NVVM::MBarrierArriveOp,
             NVVM::MBarrierArriveExpectTxOp, NVVM::MBarrierTryWaitParityOp, NVVM::FenceMbarrierInitOp,
             NVVM::FenceProxyOp, TensorCopyOp, NVVM::WgmmaFenceAlignedOp, NVVM::WgmmaGroupSyncAlignedOp,
             NVVM::MBarrierTryWaitOp, NVVM::ClusterArriveOp>(op);
}

/// The share of something that a block has by its rank in the cluster.
static bool isShareOfBlock(Operation *op) {
  return isa<arith::MulIOp>(op) && llvm::any_of(op->getOperands(), [](Value v) {
           return v.getDefiningOp<NVVM::ClusterId>() != nullptr;
         });
}

/// Whether an op at an mbarrier is seen by the whole cluster.
static bool isForCluster(Operation *op) {
  constexpr auto cluster = NVVM::MemScopeKind::CLUSTER;
  if (auto arrive = dyn_cast<NVVM::MBarrierArriveOp>(op))
    return arrive.getScope() == cluster;
  auto wait = dyn_cast<NVVM::MBarrierTryWaitOp>(op);
  return wait && wait.getScope() == cluster;
}

/// The constant part of matrix descriptors: their strides and swizzle.
static bool isDescriptorForm(Operation *op) {
  auto constant = dyn_cast<arith::ConstantOp>(op);
  auto value = constant ? dyn_cast<IntegerAttr>(constant.getValue()) : IntegerAttr();
  return value && value.getType().isInteger(64) && value.getValue().getZExtValue() >> 62 == 1;
}

static SmallVector<Mutation::Kind> kindsOf(Operation *op) {
  SmallVector<Mutation::Kind> kinds;
  if (isOrdering(op))
    kinds.push_back(Mutation::Remove);
  if (isa<NVVM::CpAsyncWaitGroupOp, xgpu::WgmmaWaitOp>(op))
    kinds.push_back(Mutation::WaitForLess);
  if (isa<NVVM::MBarrierInitOp, NVVM::MBarrierArriveExpectTxOp>(op))
    kinds.push_back(Mutation::OtherCount);
  if (isa<NVVM::MBarrierTryWaitParityOp, NVVM::MBarrierTryWaitOp>(op))
    kinds.push_back(Mutation::OtherParity);
  if (isa<TensorCopyOp>(op))
    kinds.append({Mutation::OtherRow, Mutation::OtherColumn});
  if (auto copy = dyn_cast<TensorCopyOp>(op); copy && copy.getMulticastMask())
    kinds.push_back(Mutation::OtherBlocks);
  if (isa<NVVM::MapaOp>(op))
    kinds.push_back(Mutation::OtherRank);
  if (isa<NVVM::MBarrierArriveOp>(op) && op->getOperand(0).getDefiningOp<NVVM::MapaOp>())
    kinds.push_back(Mutation::OwnBlock);
  if (isShareOfBlock(op))
    kinds.push_back(Mutation::OtherShare);
  if (isForCluster(op))
    kinds.push_back(Mutation::OtherScope);
  if (isDescriptorForm(op))
    kinds.append({Mutation::OtherStride, Mutation::OtherSwizzle});
  if (auto product = dyn_cast<xgpu::WgmmaOp>(op)) {
    kinds.append({Mutation::Transpose, Mutation::SwapOperands});
    if (!product.getSums().empty())
      kinds.push_back(Mutation::ForgetSums);
  }
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

/// The shuffles that exchange values of 64 bits, in halves, at the distance of `op`: of what is reduced
/// together.
static SmallVector<NVVM::ShflOp> withSameLanes(NVVM::ShflOp op) {
  auto isHalf = [](NVVM::ShflOp shuffle) {
    return shuffle.getVal().getDefiningOp<arith::TruncIOp>() != nullptr;
  };
  APInt distance, other;
  if (!isHalf(op) || !matchPattern(op.getOffset(), m_ConstantInt(&distance)))
    return {op};
  SmallVector<NVVM::ShflOp> all;
  for (auto shuffle : op->getBlock()->getOps<NVVM::ShflOp>())
    if (isHalf(shuffle) && matchPattern(shuffle.getOffset(), m_ConstantInt(&other)) && other == distance)
      all.push_back(shuffle);
  return all;
}

/// Whether `op` stands for all that are changed with it.
static bool isFirst(Operation *op, Mutation::Kind kind) {
  if (kind == Mutation::WidenBound)
    return withSameBound(cast<arith::CmpIOp>(op)).front() == op;
  if (kind == Mutation::OtherLane)
    return withSameLanes(cast<NVVM::ShflOp>(op)).front() == op;
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
  if (isa<TensorCopyOp>(op))
    return 128; // what it must be aligned to
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
    if (isa<NVVM::ClusterArriveOp>(op))
      op->getNextNode()->erase(); // the wait
    if (isa<NVVM::MBarrierTryWaitOp>(op))
      op->replaceAllUsesWith(arith::ConstantOp::create(b, loc, b.getBoolAttr(true)));
    op->erase();
    break;
  case Mutation::WaitForLess: {
    if (auto products = dyn_cast<xgpu::WgmmaWaitOp>(op)) {
      products.setPending(products.getPending() + 1);
      break;
    }
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
    // Another distance in a butterfly may be the same sum in another order; half of it never is.
    Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
    for (NVVM::ShflOp shuffle : withSameLanes(cast<NVVM::ShflOp>(op))) {
      b.setInsertionPoint(shuffle);
      shuffle.getOffsetMutable().assign(arith::ShRUIOp::create(b, loc, shuffle.getOffset(), one));
    }
    break;
  }
  case Mutation::OtherCount: {
    OpOperand &count = op->getOpOperand(1);
    Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
    count.set(arith::AddIOp::create(b, loc, count.get(), one));
    break;
  }
  case Mutation::OtherParity: {
    OpOperand &parity = op->getOpOperand(1);
    Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
    parity.set(arith::XOrIOp::create(b, loc, parity.get(), one));
    break;
  }
  case Mutation::OtherRow:
  case Mutation::OtherColumn: {
    // Coordinates are innermost first; eight elements are 16 bytes.
    MutableOperandRange at = cast<TensorCopyOp>(op).getCoordinatesMutable();
    OpOperand &coordinate = at[mutation.kind == Mutation::OtherRow ? 1 : 0];
    Value more =
        arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(mutation.kind == Mutation::OtherRow ? 1 : 8));
    coordinate.set(arith::AddIOp::create(b, loc, coordinate.get(), more));
    break;
  }
  case Mutation::OtherStride:
  case Mutation::OtherSwizzle: {
    auto constant = cast<arith::ConstantOp>(op);
    int64_t bits = cast<IntegerAttr>(constant.getValue()).getInt();
    constexpr int64_t oneRow = int64_t(128 / 16) << 32;
    bits = mutation.kind == Mutation::OtherStride ? bits + oneRow : bits ^ int64_t(3) << 62;
    constant.setValueAttr(b.getI64IntegerAttr(bits));
    break;
  }
  case Mutation::OtherBlocks: {
    Value mask = cast<TensorCopyOp>(op).getMulticastMask();
    Value one = arith::ConstantOp::create(b, loc, b.getI16IntegerAttr(1));
    cast<TensorCopyOp>(op).getMulticastMaskMutable().assign(arith::ShRUIOp::create(b, loc, mask, one));
    break;
  }
  case Mutation::OtherRank: {
    OpOperand &rank = op->getOpOperand(1);
    Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
    // Lanes that reach a block each may as well change places.
    bool isConstant = rank.get().getDefiningOp<arith::ConstantOp>();
    rank.set(isConstant ? Value(arith::XOrIOp::create(b, loc, rank.get(), one))
                        : Value(arith::ShRUIOp::create(b, loc, rank.get(), one)));
    break;
  }
  case Mutation::OwnBlock: {
    auto place = op->getOperand(0).getDefiningOp<NVVM::MapaOp>();
    op->setOperand(0, LLVM::AddrSpaceCastOp::create(b, loc, place.getType(), place.getA()));
    break;
  }
  case Mutation::OtherShare: {
    b.setInsertionPointAfter(op);
    Value one = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(1));
    Operation *further = arith::AddIOp::create(b, loc, op->getResult(0), one);
    op->getResult(0).replaceAllUsesExcept(further->getResult(0), further);
    break;
  }
  case Mutation::OtherScope:
    if (auto arrive = dyn_cast<NVVM::MBarrierArriveOp>(op))
      arrive.setScope(NVVM::MemScopeKind::CTA);
    else
      cast<NVVM::MBarrierTryWaitOp>(op).setScope(NVVM::MemScopeKind::CTA);
    break;
  case Mutation::ForgetSums:
    cast<xgpu::WgmmaOp>(op).getSumsMutable().clear();
    break;
  case Mutation::Transpose: {
    if (auto product = dyn_cast<xgpu::WgmmaOp>(op)) {
      product.setTransposed(!product.getTransposed());
      break;
    }
    auto load = cast<NVVM::LdMatrixOp>(op);
    load.setLayout(load.getLayout() == NVVM::MMALayout::row ? NVVM::MMALayout::col : NVVM::MMALayout::row);
    break;
  }
  case Mutation::SwapOperands: {
    if (auto product = dyn_cast<xgpu::WgmmaOp>(op)) {
      // With fragments in registers, two of them.
      unsigned other = product.getLeft().size() > 1 ? 1 : product.getRightMutable().getOperandNumber();
      Value first = op->getOperand(0);
      op->setOperand(0, op->getOperand(other));
      op->setOperand(other, first);
      break;
    }
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
                                      "with whole copies at",
                                      "with another count at",
                                      "with the other parity at",
                                      "a row further at",
                                      "a chunk further at",
                                      "with another stride at",
                                      "with another swizzle at",
                                      "with sums from zero at",
                                      "with fewer blocks at",
                                      "with another rank at",
                                      "at the block's own instead of",
                                      "with another share by",
                                      "with the scope of a block at"};
  Operation *found = findOp(module, op);
  std::string text = names[kind];
  llvm::raw_string_ostream stream(text);
  stream << ' ' << found->getName() << " (number " << op << ')';
  return text;
}
