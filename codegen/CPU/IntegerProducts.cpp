//===- IntegerProducts.cpp - products of bytes, exact in i32 --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/IntegerProducts.h"

#include "codegen/Common/Evaluator.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::transformer;

/// A constant vector of one value.
static Value splat(OpBuilder &b, Location loc, Type type, int64_t value) {
  auto vector = cast<VectorType>(type);
  return arith::ConstantOp::create(
      b, loc, DenseElementsAttr::get(vector, Attribute(b.getIntegerAttr(vector.getElementType(), value))));
}

Value IntegerProducts::unpack(OpBuilder &b, Location loc, Value stored, int64_t part) const {
  auto type = cast<VectorType>(stored.getType());
  // Stored larger by 8, i4 is not negative, and neither extension is another.
  if (depth != 4) {
    type = type.clone(b.getI16Type());
    stored = isNarrow ? Value(arith::ExtUIOp::create(b, loc, type, stored))
                      : arith::ExtSIOp::create(b, loc, type, stored);
  }
  if (!isNarrow)
    return stored;
  if (part == 0)
    return arith::AndIOp::create(b, loc, stored, splat(b, loc, type, 15));
  return arith::ShRUIOp::create(b, loc, stored, splat(b, loc, type, 4));
}

Value IntegerProducts::multiplyAdd(OpBuilder &b, Location loc, Value weights, Value x, Value sum) const {
  auto call = [&](StringRef name, ValueRange operands) -> Value {
    return LLVM::CallIntrinsicOp::create(b, loc, sum.getType(), b.getStringAttr(name), operands).getResult(0);
  };
  if (depth == 4 && lanes == 4)
    return call("llvm.aarch64.neon.sdot.v4i32.v16i8", {sum, weights, x});
  if (depth == 4)
    return call(lanes == 16 ? "llvm.x86.avx512.vpdpbusd.512" : "llvm.x86.avx512.vpdpbusd.256",
                {sum, weights, x});
  Value product;
  if (depth == 2) {
    product = call(lanes == 16  ? "llvm.x86.avx512.pmaddw.d.512"
                   : lanes == 8 ? "llvm.x86.avx2.pmadd.wd"
                                : "llvm.x86.sse2.pmadd.wd",
                   {weights, x});
  } else {
    Value wide = arith::ExtSIOp::create(b, loc, sum.getType(), weights);
    product = arith::MulIOp::create(b, loc, wide, arith::ExtSIOp::create(b, loc, sum.getType(), x));
  }
  return arith::AddIOp::create(b, loc, sum, product);
}

Value IntegerProducts::correction(OpBuilder &b, Location loc, Value rows, Value row, int64_t width) const {
  IntegerType element = rowType(b.getContext());
  auto type = VectorType::get({lanes * depth}, element), part = VectorType::get({depth}, element);
  auto constant = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(b, loc, value); };
  Value sum = splat(b, loc, VectorType::get({lanes}, b.getI32Type()), 0), ones = splat(b, loc, type, 1);
  int64_t whole = width / (lanes * depth) * lanes * depth;
  auto vectors = scf::ForOp::create(b, loc, constant(0), constant(whole), constant(lanes * depth), sum,
                                    [&](OpBuilder &b, Location loc, Value at, ValueRange carried) {
                                      Value x =
                                          vector::LoadOp::create(b, loc, type, rows, ValueRange{row, at});
                                      scf::YieldOp::create(b, loc, multiplyAdd(b, loc, ones, x, carried[0]));
                                    });
  // The rest, an instruction for each lane's worth.
  Value none = splat(b, loc, type, 0);
  auto rest = scf::ForOp::create(
      b, loc, constant(whole), constant(width), constant(depth), vectors.getResult(0),
      [&](OpBuilder &b, Location loc, Value at, ValueRange carried) {
        Value x = vector::LoadOp::create(b, loc, part, rows, ValueRange{row, at});
        x = vector::InsertStridedSliceOp::create(b, loc, x, none, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{1});
        scf::YieldOp::create(b, loc, multiplyAdd(b, loc, ones, x, carried[0]));
      });
  Value total = vector::ReductionOp::create(b, loc, vector::CombiningKind::ADD, rest.getResult(0));
  return arith::MulIOp::create(b, loc, total,
                               arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(-bias())));
}
