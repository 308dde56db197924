//===- EmulatedAVX512.cpp - kernels of AVX-512 on any x86-64 --------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/numeric/EmulatedAVX512.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

/// sum + x * y of the pairs' first elements, then of their second ones.
static Value multiplyPairs(OpBuilder &b, Location loc, ValueRange operands) {
  Value sum = operands[0];
  for (int64_t part : {1, 0}) {
    SmallVector<int64_t> places;
    for (int64_t i = part; i < 32; i += 2)
      places.push_back(i);
    auto elements = [&](Value pairs) -> Value {
      Value half = vector::ShuffleOp::create(b, loc, pairs, pairs, places);
      return arith::ExtFOp::create(b, loc, sum.getType(), half);
    };
    sum = vector::FMAOp::create(b, loc, elements(operands[1]), elements(operands[2]), sum);
  }
  return sum;
}

/// x * 2^y for whole y of at most 127, and zero where y is less than the least exponent.
static Value scale(OpBuilder &b, Location loc, ValueRange operands) {
  auto type = cast<VectorType>(operands[0].getType());
  VectorType ints = type.clone(b.getI32Type());
  auto constant = [&](VectorType of, TypedAttr value) -> Value {
    return arith::ConstantOp::create(b, loc, DenseElementsAttr::get(of, Attribute(value)));
  };
  Value bounded = arith::MaximumFOp::create(b, loc, operands[1], constant(type, b.getF32FloatAttr(-127)));
  Value exponent = arith::FPToSIOp::create(b, loc, ints, bounded);
  exponent = arith::AddIOp::create(b, loc, exponent, constant(ints, b.getI32IntegerAttr(127)));
  Value bits = arith::ShLIOp::create(b, loc, exponent, constant(ints, b.getI32IntegerAttr(23)));
  return arith::MulFOp::create(b, loc, operands[0], arith::BitcastOp::create(b, loc, type, bits));
}

llvm::Error numeric::lowerForEmulation(ModuleOp module, CompileOptions &options) {
  llvm::Expected<CPUTarget> target = CPUTarget::resolve("znver4");
  if (!target)
    return target.takeError();
  if (llvm::Error error = lowerModule(module, *target, options, "kernels"))
    return error;
  llvm::Error unknown = llvm::Error::success();
  module.walk([&](LLVM::CallIntrinsicOp call) {
    OpBuilder b(call);
    StringRef name = call.getIntrin();
    Value result;
    if (name == "llvm.x86.avx512bf16.dpbf16ps.512")
      result = multiplyPairs(b, call.getLoc(), call.getArgs());
    else if (name == "llvm.x86.avx512.mask.scalef.ps.512")
      result = scale(b, call.getLoc(), call.getArgs());
    else
      unknown = llvm::joinErrors(std::move(unknown), llvm::createStringError("no emulation of " + name));
    if (result) {
      call->replaceAllUsesWith(ValueRange{result});
      call.erase();
    }
  });
  options.mcpu = "x86-64-v3";
  options.startAt = "memory";
  return unknown;
}
