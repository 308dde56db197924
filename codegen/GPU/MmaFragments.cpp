//===- MmaFragments.cpp - matrix products of a warp ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/GPU/MmaFragments.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::transformer;

Value SwizzledTile::addressOf(OpBuilder &b, Location loc, Value base, Value shift, Value row, Value chunk,
                              int64_t below, int64_t right) const {
  // Eight chunks fill the banks once: rows that share these 128 bytes share a permutation.
  int64_t rowsPerLine = std::max<int64_t>(8 / chunks, 1);
  Value line =
      rowsPerLine > 1 ? Value(arith::DivUIOp::create(b, loc, row, constantI32(b, loc, rowsPerLine))) : row;
  Value pattern = arith::AndIOp::create(b, loc, line, constantI32(b, loc, std::min<int64_t>(chunks, 8) - 1));
  Value place = arith::MulIOp::create(b, loc, row, constantI32(b, loc, chunks));
  place = arith::AddIOp::create(b, loc, place, arith::XOrIOp::create(b, loc, chunk, pattern));
  place = arith::MulIOp::create(b, loc, place, constantI32(b, loc, 16));
  if (shift)
    place = arith::AddIOp::create(b, loc, place, shift);
  // The constant comes last: it is part of the instruction that uses the address.
  place = arith::AddIOp::create(b, loc, place, constantI32(b, loc, offset + (below * chunks + right) * 16));
  return LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{place},
                             LLVM::GEPNoWrapFlags::inbounds);
}

static SmallVector<Value> membersOf(OpBuilder &b, Location loc, Value structure, int64_t count) {
  SmallVector<Value> members;
  for (int64_t i = 0; i < count; ++i)
    members.push_back(LLVM::ExtractValueOp::create(b, loc, structure, i));
  return members;
}

SmallVector<Value> mlir::transformer::loadMatrices(OpBuilder &b, Location loc, Value address,
                                                   bool transposed) {
  auto type = LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(4, b.getI32Type()));
  auto shape = NVVM::LdStMatrixShapeAttr::get(b.getContext(), 8, 8);
  Value loaded = NVVM::LdMatrixOp::create(b, loc, type, address, /*num=*/4,
                                          transposed ? NVVM::MMALayout::col : NVVM::MMALayout::row, shape,
                                          NVVM::LdStMatrixEltType::B16);
  return membersOf(b, loc, loaded, 4);
}

SmallVector<Value> mlir::transformer::roundToTF32(OpBuilder &b, Location loc, ValueRange registers) {
  SmallVector<Value> rounded;
  for (Value value : registers) {
    Value x = LLVM::BitcastOp::create(b, loc, b.getF32Type(), value);
    rounded.push_back(
        NVVM::ConvertFloatToTF32Op::create(b, loc, b.getI32Type(), x, NVVM::FPRoundingMode::RNA));
  }
  return rounded;
}

SmallVector<Value> mlir::transformer::multiplyFragments(OpBuilder &b, Location loc, Type type, ValueRange a,
                                                        ValueRange factor, ValueRange sums) {
  NVVM::MMATypes ptx = type.isF32()    ? NVVM::MMATypes::tf32
                       : type.isBF16() ? NVVM::MMATypes::bf16
                                       : NVVM::MMATypes::f16;
  auto registersOf = [&](ValueRange values) {
    SmallVector<Value> registers(values);
    if (type.isF16()) // the op wants these as vectors
      for (Value &value : registers)
        value = LLVM::BitcastOp::create(b, loc, VectorType::get({2}, type), value);
    return registers;
  };
  auto result = LLVM::LLVMStructType::getLiteral(b.getContext(), SmallVector<Type>(4, b.getF32Type()));
  Value product =
      NVVM::MmaOp::create(b, loc, result, registersOf(a), registersOf(factor), sums,
                          ArrayRef<int64_t>{kMmaRows, kMmaColumns, 2 * elementsOfChunk(type)}, std::nullopt,
                          std::nullopt, std::array<NVVM::MMATypes, 2>{ptx, ptx},
                          std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  return membersOf(b, loc, product, 4);
}

Value mlir::transformer::packPair(OpBuilder &b, Location loc, Type type, Value low, Value high) {
  Value pair =
      vector::FromElementsOp::create(b, loc, VectorType::get({2}, b.getF32Type()), ValueRange{low, high});
  Value narrow = arith::TruncFOp::create(b, loc, VectorType::get({2}, type), pair);
  return LLVM::BitcastOp::create(b, loc, b.getI32Type(), narrow);
}

Value mlir::transformer::joinElements(OpBuilder &b, Location loc, Value x, int64_t i, Value y, int64_t j) {
  Value low = vector::ExtractOp::create(b, loc, x, i), high = vector::ExtractOp::create(b, loc, y, j);
  Value pair =
      vector::FromElementsOp::create(b, loc, VectorType::get({2}, low.getType()), ValueRange{low, high});
  return LLVM::BitcastOp::create(b, loc, b.getI32Type(), pair);
}

void mlir::transformer::copyChunkAsync(OpBuilder &b, Location loc, Value target, Value source, Value valid,
                                       int64_t bytes) {
  // Only whole chunks can pass the first-level cache by.
  auto cache = bytes == 16 ? NVVM::LoadCacheModifierKind::CG : NVVM::LoadCacheModifierKind::CA;
  NVVM::CpAsyncOp::create(b, loc, target, source, static_cast<uint32_t>(bytes), cache, valid);
}

void mlir::transformer::commitCopies(OpBuilder &b, Location loc) {
  NVVM::CpAsyncCommitGroupOp::create(b, loc);
}

void mlir::transformer::waitForCopies(OpBuilder &b, Location loc, int64_t pending) {
  NVVM::CpAsyncWaitGroupOp::create(b, loc, static_cast<uint32_t>(pending));
}
