//===- Exp2.cpp - 2^x for softmax ------------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Exp2.h"

#include "codegen/Common/GenericBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

Value mlir::transformer::emitExp2(OpBuilder &b, Location loc, Value x, ArrayRef<double> coefficients) {
  auto contract = arith::FastMathFlags::contract;
  Type type = x.getType();
  auto constantLike = [&](double value) {
    Value scalar = constantF32(b, loc, value);
    return isa<VectorType>(type) ? Value(vector::BroadcastOp::create(b, loc, type, scalar)) : scalar;
  };
  auto polynomial = [&](Value f) {
    Value y = constantLike(coefficients[0]);
    for (double c : coefficients.drop_front())
      y = arith::AddFOp::create(b, loc, arith::MulFOp::create(b, loc, y, f, contract), constantLike(c),
                                contract);
    return y;
  };
  auto vectorType = dyn_cast<VectorType>(type);
  if (vectorType && vectorType.getNumElements() == 16) {
    // AVX-512 multiplies by a power of two in one instruction, which also rounds to zero.
    Value whole = math::RoundEvenOp::create(b, loc, x);
    Value y = polynomial(arith::SubFOp::create(b, loc, x, whole));
    Value all = arith::ConstantOp::create(b, loc, b.getI16IntegerAttr(-1));
    Value current = arith::ConstantOp::create(b, loc, b.getI32IntegerAttr(4)); // rounding mode
    return LLVM::CallIntrinsicOp::create(b, loc, type, b.getStringAttr("llvm.x86.avx512.mask.scalef.ps.512"),
                                         ValueRange{y, whole, y, all, current})
        .getResult(0);
  }
  Type intType = b.getI32Type();
  if (vectorType)
    intType = vectorType.clone(intType);
  // What is less becomes exactly zero: 1 with an exponent of one below the least.
  Value least = constantLike(-127.0);
  Value bounded =
      arith::MaximumFOp::create(b, loc, x, least, arith::FastMathFlags::nnan | arith::FastMathFlags::nsz);
  Value whole = math::RoundEvenOp::create(b, loc, bounded);
  Value y = polynomial(arith::SubFOp::create(b, loc, bounded, whole));
  // Adding to the exponent multiplies by a power of two.
  Value exponent = arith::FPToSIOp::create(b, loc, intType, whole);
  TypedAttr shift =
      isa<VectorType>(intType)
          ? TypedAttr(DenseElementsAttr::get(cast<VectorType>(intType), b.getI32IntegerAttr(23)))
          : TypedAttr(b.getI32IntegerAttr(23));
  Value bits = arith::ShLIOp::create(b, loc, exponent, arith::ConstantOp::create(b, loc, shift));
  bits = arith::AddIOp::create(b, loc, arith::BitcastOp::create(b, loc, intType, y), bits);
  return arith::BitcastOp::create(b, loc, type, bits);
}
