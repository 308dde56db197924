//===- KernelBuilder.cpp - what kernel templates are written with ---------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/KernelBuilder.h"

#include "codegen/GPU/IR/XGPU.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace mlir::transformer;

int64_t SharedMemory::allocate(int64_t bytes, int64_t alignment) {
  int64_t offset = llvm::alignTo(used, alignment);
  used = offset + bytes;
  return offset;
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

Value mlir::transformer::constantIndex(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantIndexOp::create(b, loc, value);
}

Value mlir::transformer::constantI32(OpBuilder &b, Location loc, int64_t value) {
  return arith::ConstantIntOp::create(b, loc, b.getI32Type(), value);
}

Value mlir::transformer::threadIndex(OpBuilder &b, Location loc, int64_t threads) {
  auto range = LLVM::ConstantRangeAttr::get(b.getContext(), APInt(32, 0), APInt(32, threads));
  Value id = NVVM::ThreadIdXOp::create(b, loc, b.getI32Type(), range);
  return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), id);
}

Value mlir::transformer::blockIndex(OpBuilder &b, Location loc) {
  Value id = NVVM::BlockIdXOp::create(b, loc, b.getI32Type());
  return arith::IndexCastUIOp::create(b, loc, b.getIndexType(), id);
}

void mlir::transformer::ifTrue(OpBuilder &b, Location loc, Value condition,
                               function_ref<void(OpBuilder &)> then,
                               function_ref<void(OpBuilder &)> otherwise) {
  auto region = [](function_ref<void(OpBuilder &)> body) {
    return [body](OpBuilder &b, Location loc) {
      body(b);
      scf::YieldOp::create(b, loc);
    };
  };
  if (otherwise)
    scf::IfOp::create(b, loc, condition, region(then), region(otherwise));
  else
    scf::IfOp::create(b, loc, condition, region(then));
}

void mlir::transformer::ifBelow(OpBuilder &b, Location loc, Value index, Value bound,
                                function_ref<void(OpBuilder &)> then) {
  ifTrue(b, loc, arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ult, index, bound), then);
}

void mlir::transformer::barrier(OpBuilder &b, Location loc) { NVVM::Barrier0Op::create(b, loc); }

Value mlir::transformer::shuffleXor(OpBuilder &b, Location loc, Value value, int64_t distance) {
  if (value.getType().isInteger(64)) {
    Value half = arith::ConstantIntOp::create(b, loc, value.getType(), 32);
    auto shuffled = [&](Value bits) -> Value {
      bits = shuffleXor(b, loc, arith::TruncIOp::create(b, loc, b.getI32Type(), bits), distance);
      return arith::ExtUIOp::create(b, loc, value.getType(), bits);
    };
    Value low = shuffled(value), high = shuffled(arith::ShRUIOp::create(b, loc, value, half));
    return arith::OrIOp::create(b, loc, low, arith::ShLIOp::create(b, loc, high, half));
  }
  return NVVM::ShflOp::create(b, loc, value.getType(), constantI32(b, loc, -1), value,
                              constantI32(b, loc, distance), constantI32(b, loc, kWarp - 1),
                              NVVM::ShflKind::bfly, UnitAttr());
}

Value mlir::transformer::shuffleFrom(OpBuilder &b, Location loc, Value value, Value from) {
  return NVVM::ShflOp::create(b, loc, value.getType(), constantI32(b, loc, -1), value, from,
                              constantI32(b, loc, kWarp - 1), NVVM::ShflKind::idx, UnitAttr());
}

Value mlir::transformer::reduceLanes(OpBuilder &b, Location loc, vector::CombiningKind kind, Value value,
                                     int64_t lanes) {
  for (int64_t distance = lanes / 2; distance > 0; distance /= 2)
    value = vector::makeArithReduction(b, loc, kind, value, shuffleXor(b, loc, value, distance));
  return value;
}

Value mlir::transformer::approximateExp2(OpBuilder &b, Location loc, Value x) {
  auto name = b.getStringAttr("llvm.nvvm.ex2.approx.ftz.f");
  return LLVM::CallIntrinsicOp::create(b, loc, b.getF32Type(), name, ValueRange{x}).getResult(0);
}

//===----------------------------------------------------------------------===//
// Shared memory
//===----------------------------------------------------------------------===//

Value mlir::transformer::sharedBase(OpBuilder &b, Location loc) {
  return xgpu::SharedMemoryOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext(), 3));
}

Value mlir::transformer::sharedAddress(OpBuilder &b, Location loc, Value base, int64_t offset, Value index,
                                       int64_t elementBytes) {
  Value bytes = arith::IndexCastUIOp::create(b, loc, b.getI32Type(), index);
  bytes = arith::MulIOp::create(b, loc, bytes, constantI32(b, loc, elementBytes));
  bytes = arith::AddIOp::create(b, loc, bytes, constantI32(b, loc, offset));
  return LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{bytes},
                             LLVM::GEPNoWrapFlags::inbounds);
}

static unsigned alignmentOf(Type type) {
  int64_t elements = 1;
  if (auto vector = dyn_cast<VectorType>(type))
    elements = vector.getNumElements();
  return std::min<int64_t>(16, getElementTypeOrSelf(type).getIntOrFloatBitWidth() * elements / 8);
}

Value mlir::transformer::loadFrom(OpBuilder &b, Location loc, Type type, Value address) {
  return LLVM::LoadOp::create(b, loc, type, address, alignmentOf(type));
}

void mlir::transformer::storeTo(OpBuilder &b, Location loc, Value value, Value address) {
  LLVM::StoreOp::create(b, loc, value, address, alignmentOf(value.getType()));
}

//===----------------------------------------------------------------------===//
// Alignment
//===----------------------------------------------------------------------===//

int64_t mlir::transformer::knownDivisor(Value index) {
  if (APInt constant; matchPattern(index, m_ConstantInt(&constant)))
    return std::abs(constant.getSExtValue());
  if (auto argument = dyn_cast<BlockArgument>(index)) {
    auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp());
    if (loop && argument == loop.getInductionVar())
      return std::gcd(knownDivisor(loop.getLowerBound()), knownDivisor(loop.getStep()));
    return 1;
  }
  Operation *def = index.getDefiningOp();
  if (auto sum = dyn_cast<arith::AddIOp>(def))
    return std::gcd(knownDivisor(sum.getLhs()), knownDivisor(sum.getRhs()));
  if (auto difference = dyn_cast<arith::SubIOp>(def))
    return std::gcd(knownDivisor(difference.getLhs()), knownDivisor(difference.getRhs()));
  if (auto product = dyn_cast<arith::MulIOp>(def))
    return knownDivisor(product.getLhs()) * knownDivisor(product.getRhs());
  // The rest of a multiple, by a multiple.
  if (auto rest = dyn_cast<arith::RemUIOp>(def))
    return std::gcd(knownDivisor(rest.getLhs()), knownDivisor(rest.getRhs()));
  if (auto choice = dyn_cast<arith::SelectOp>(def))
    return std::gcd(knownDivisor(choice.getTrueValue()), knownDivisor(choice.getFalseValue()));
  if (isa<arith::IndexCastOp, arith::IndexCastUIOp, arith::ExtUIOp, arith::ExtSIOp>(def))
    return knownDivisor(def->getOperand(0));
  return 1;
}

/// Bytes that the place of a vector is surely a multiple of.
static int64_t alignmentAt(MemRefType memref, ValueRange indices, VectorType vector) {
  int64_t bytes = memref.getElementTypeBitWidth() / 8;
  int64_t divisor = 0, stride = 1;
  for (int64_t i = memref.getRank() - 1; i >= 0; --i) {
    divisor = std::gcd(divisor, knownDivisor(indices[i]) * stride);
    stride *= memref.isDynamicDim(i) ? 1 : memref.getDimSize(i);
  }
  int64_t whole = vector.getNumElements() * bytes;
  int64_t known = divisor == 0 ? 16 : (divisor & -divisor) * bytes;
  return std::min({known, whole & -whole, int64_t(16)});
}

void mlir::transformer::stateAlignment(Operation *op) {
  op->walk([](Operation *access) {
    Builder b(access->getContext());
    if (auto load = dyn_cast<vector::LoadOp>(access))
      load.setAlignment(alignmentAt(load.getMemRefType(), load.getIndices(), load.getVectorType()));
    else if (auto store = dyn_cast<vector::StoreOp>(access))
      store.setAlignment(alignmentAt(store.getMemRefType(), store.getIndices(), store.getVectorType()));
  });
}
