//===- WarpOps.cpp - what the lanes of a warp do together ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Program.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Matchers.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace mlir::emulator;

namespace {

//===----------------------------------------------------------------------===//
// Special registers and barriers
//===----------------------------------------------------------------------===//

template <typename F> Handler specialRegister(F valueOf) {
  return [valueOf](Translator &t, Operation *op) -> std::optional<Step> {
    unsigned result = t.slotOf(op->getResult(0));
    return [=](Warp &warp) {
      for (unsigned lane = 0; lane < kLanes; ++lane)
        warp.at(result)[lane] = valueOf(warp, lane);
    };
  };
}

std::optional<Step> barrierOfBlock(Translator &, Operation *op) {
  return [=](Warp &warp) {
    warp.requireAllLanes(op);
    warp.block.meet(warp, op, 0, warp.block.threads);
  };
}

/// Barrier `id` (0 where there is none) of `count` threads (all where there is none).
Step namedBarrier(Translator &t, Operation *op, Value id, Value count, bool waits) {
  bool hasId = static_cast<bool>(id), hasCount = static_cast<bool>(count);
  unsigned idSlot = hasId ? t.slotOf(id) : 0, countSlot = hasCount ? t.slotOf(count) : 0;
  return [=](Warp &warp) {
    warp.requireAllLanes(op);
    uint64_t number = hasId ? warp.uniform(idSlot) : 0;
    if (number > 15)
      warp.fail(op, "names barrier " + std::to_string(number) + "; there are 16");
    warp.block.meet(warp, op, number, hasCount ? warp.uniform(countSlot) : warp.block.threads, waits);
  };
}

//===----------------------------------------------------------------------===//
// Shuffles
//===----------------------------------------------------------------------===//

std::optional<Step> shuffle(Translator &t, Operation *op) {
  auto shuffle = cast<NVVM::ShflOp>(op);
  if (shuffle.getReturnValueAndIsValid())
    return unsupported(op);
  NVVM::ShflKind kind = shuffle.getKind();
  unsigned members = t.slotOf(shuffle.getThreadMask()), value = t.slotOf(shuffle.getVal()),
           offset = t.slotOf(shuffle.getOffset()), clamp = t.slotOf(shuffle.getMaskAndClamp()),
           result = t.slotOf(shuffle.getRes());
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    uint32_t named = static_cast<uint32_t>(warp.uniform(members));
    if ((named & ~warp.mask) != 0)
      warp.fail(op, "names lanes that do not execute it");
    uint64_t out[kLanes];
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      out[lane] = warp.at(value)[lane];
      if (!warp.active(lane))
        continue;
      int64_t distance = warp.at(offset)[lane] & 31, controls = warp.at(clamp)[lane];
      int64_t segment = controls >> 8 & 31, bound = (lane & segment) | (controls & 31 & ~segment),
              from = lane;
      bool valid = true;
      switch (kind) {
      case NVVM::ShflKind::bfly:
        from = lane ^ distance, valid = from <= bound;
        break;
      case NVVM::ShflKind::idx:
        from = (lane & segment) | (distance & ~segment), valid = from <= bound;
        break;
      case NVVM::ShflKind::down:
        from = lane + distance, valid = from <= bound;
        break;
      case NVVM::ShflKind::up:
        from = lane - distance, valid = from >= bound;
        break;
      }
      if (!valid)
        continue;
      if (!warp.active(static_cast<unsigned>(from)))
        warp.fail(op, "reads lane " + std::to_string(from) + ", which does not execute it", lane);
      out[lane] = warp.at(value)[from];
    }
    std::copy_n(out, kLanes, warp.at(result));
  };
}

//===----------------------------------------------------------------------===//
// Matrices
//===----------------------------------------------------------------------===//

/// Up to four 8x8 matrices of 16 bits: lane i names row i % 8 of matrix i / 8 and gets two
/// neighbours of row i / 4 of each (of column i / 4 where they are transposed).
std::optional<Step> loadMatrix(Translator &t, Operation *op) {
  auto load = cast<NVVM::LdMatrixOp>(op);
  unsigned count = load.getNum();
  bool transposed = load.getLayout() == NVVM::MMALayout::col;
  unsigned address = t.slotOf(load.getPtr()), result = t.slotOf(load.getRes());
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    warp.requireAllLanes(op);
    uint64_t places[kLanes];
    uint8_t rows[kLanes * 16];
    // Lanes beyond the matrices name nothing: they read what the first ones do.
    for (unsigned lane = 0; lane < kLanes; ++lane)
      places[lane] = warp.at(address)[lane % (8 * count)];
    warp.read(op, 3, places, 16, rows);
    for (unsigned matrix = 0; matrix < count; ++matrix)
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        uint64_t value = 0;
        for (unsigned i = 0; i < 2; ++i) {
          unsigned row = lane / 4, column = lane % 4 * 2 + i;
          if (transposed)
            std::swap(row, column);
          uint16_t element;
          std::memcpy(&element, rows + (matrix * 8 + row) * 16 + column * 2, 2);
          value |= uint64_t(element) << (16 * i);
        }
        warp.at(result + matrix)[lane] = value;
      }
  };
}

/// The reverse of it: lane i names row i % 8 of matrix i / 8.
std::optional<Step> storeMatrix(Translator &t, Operation *op) {
  auto store = cast<NVVM::StMatrixOp>(op);
  bool isKnown = store.getShape().getM() == 8 && store.getShape().getN() == 8 &&
                 store.getEltType() == NVVM::LdStMatrixEltType::B16;
  if (!isKnown)
    return unsupported(op);
  bool transposed = store.getLayout() == NVVM::MMALayout::col;
  unsigned address = t.slotOf(store.getPtr());
  SmallVector<unsigned> sources;
  for (Value source : store.getSources())
    sources.push_back(t.slotOf(source));
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    warp.requireAllLanes(op);
    uint8_t rows[kLanes * 16] = {};
    for (auto [matrix, slot] : llvm::enumerate(sources))
      for (unsigned lane = 0; lane < kLanes; ++lane)
        for (unsigned i = 0; i < 2; ++i) {
          unsigned row = lane / 4, column = lane % 4 * 2 + i;
          if (transposed)
            std::swap(row, column);
          uint16_t element = static_cast<uint16_t>(warp.at(slot)[lane] >> (16 * i));
          std::memcpy(rows + (matrix * 8 + row) * 16 + column * 2, &element, 2);
        }
    // The addresses of lanes beyond the matrices mean nothing.
    warp.mask = kAllLanes >> (kLanes - 8 * sources.size());
    warp.write(op, kShared, warp.at(address), 16, rows);
    warp.mask = kAllLanes;
  };
}

/// A fragment's registers as elements: of words of 32 bits, or of vectors of two.
struct Operands {
  SmallVector<unsigned> slots;
  bool pairs; ///< the values are vectors of two halves
  ScalarType type;
  /// Half `half` of register `i`; the whole of it for types of 32 bits.
  double element(Warp &warp, unsigned i, unsigned half, unsigned lane) const {
    if (type.bits == 32)
      return toFloat(warp.at(slots[i])[lane] & ~uint64_t(0x1fff)); // tf32 has 10 bits of mantissa
    uint64_t bits = pairs ? warp.at(slots[i] + half)[lane] : warp.at(slots[i])[lane] >> (16 * half) & 0xffff;
    return toDouble(bits, type);
  }
};

Operands operandsOf(Translator &t, ValueRange values, std::optional<NVVM::MMATypes> ptx) {
  Operands operands;
  for (Value value : values)
    operands.slots.push_back(t.slotOf(value));
  operands.pairs = isa<VectorType>(values[0].getType());
  operands.type = operands.pairs                ? Translator::scalarOf(values[0].getType())
                  : ptx == NVVM::MMATypes::bf16 ? ScalarType{Kind::BF16, 16}
                  : ptx == NVVM::MMATypes::tf32 ? ScalarType{Kind::F32, 32}
                                                : ScalarType{Kind::F16, 16};
  return operands;
}

/// D = A B + C with A 16 x k, B k x 8 (PTX ISA, matrix fragments for mma.m16n8k16 and m16n8k8).
std::optional<Step> multiplyMatrices(Translator &t, Operation *op) {
  auto mma = cast<NVVM::MmaOp>(op);
  NVVM::MMAShapeAttr shape = mma.getShape();
  Operands a = operandsOf(t, mma.getOperandA(), mma.getMultiplicandAPtxType()),
           b = operandsOf(t, mma.getOperandB(), mma.getMultiplicandBPtxType());
  unsigned depth = shape.getK(), halves = a.type.bits == 32 ? 1 : 2;
  bool isKnown = shape.getM() == 16 && shape.getN() == 8 && a.slots.size() == 4 && b.slots.size() == 2 &&
                 depth == (a.type.bits == 32 ? 8u : 16u) && mma.getOperandC().size() == 4 &&
                 mma.getOperandC()[0].getType().isF32();
  if (!isKnown)
    return unsupported(op);
  SmallVector<unsigned> c;
  for (Value value : mma.getOperandC())
    c.push_back(t.slotOf(value));
  unsigned result = t.slotOf(mma.getRes());
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    ++warp.block.report.matrixProducts;
    warp.requireAllLanes(op);
    double x[16][16], y[16][8];
    for (unsigned lane = 0; lane < kLanes; ++lane)
      for (unsigned half = 0; half < halves; ++half) {
        unsigned group = lane / 4, k = lane % 4 * halves + half;
        for (unsigned i = 0; i < 4; ++i)
          x[group + i % 2 * 8][k + i / 2 * depth / 2] = a.element(warp, i, half, lane);
        for (unsigned i = 0; i < 2; ++i)
          y[k + i * depth / 2][group] = b.element(warp, i, half, lane);
      }
    for (unsigned lane = 0; lane < kLanes; ++lane)
      for (unsigned i = 0; i < 4; ++i) {
        unsigned row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        double sum = toFloat(warp.at(c[i])[lane]);
        for (unsigned k = 0; k < depth; ++k)
          sum += x[row][k] * y[k][column];
        warp.at(result + i)[lane] = fromFloat(static_cast<float>(sum));
      }
  };
}

//===----------------------------------------------------------------------===//
// Intrinsics
//===----------------------------------------------------------------------===//

/// What is below the smallest normal number is zero with .ftz.
float flush(float x) { return std::fabs(x) < 1.17549435e-38f ? std::copysign(0.0f, x) : x; }

std::optional<Step> intrinsic(Translator &t, Operation *op) {
  StringRef name = cast<LLVM::CallIntrinsicOp>(op).getIntrin();
  float (*function)(float) = nullptr;
  if (name == "llvm.nvvm.ex2.approx.ftz.f")
    function = [](float x) { return flush(std::exp2(flush(x))); };
  else if (name == "llvm.nvvm.rcp.approx.ftz.f")
    function = [](float x) { return flush(1 / flush(x)); };
  else if (name == "llvm.nvvm.rsqrt.approx.ftz.f")
    function = [](float x) { return flush(1 / std::sqrt(flush(x))); };
  else if (name == "llvm.nvvm.tanh.approx.f")
    function = [](float x) { return std::tanh(x); };
  if (!function || op->getNumOperands() != 1)
    return unsupported(op);
  unsigned source = t.slotOf(op->getOperand(0)), result = t.slotOf(op->getResult(0));
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      warp.at(result)[lane] = fromFloat(function(toFloat(warp.at(source)[lane])));
  };
}
} // namespace

void mlir::emulator::addWarpOps(Handlers &h) {
  h["nvvm.read.ptx.sreg.tid.x"] =
      specialRegister([](Warp &warp, unsigned lane) { return warp.number * kLanes + lane; });
  h["nvvm.read.ptx.sreg.laneid"] = specialRegister([](Warp &, unsigned lane) { return lane; });
  h["nvvm.read.ptx.sreg.warpid"] = specialRegister([](Warp &warp, unsigned) { return warp.number; });
  h["nvvm.read.ptx.sreg.ctaid.x"] = specialRegister([](Warp &warp, unsigned) { return warp.block.number; });
  h["nvvm.read.ptx.sreg.nctaid.x"] =
      specialRegister([](Warp &warp, unsigned) { return warp.block.config.blocks; });
  h["nvvm.read.ptx.sreg.ntid.x"] = specialRegister([](Warp &warp, unsigned) { return warp.block.threads; });
  h["nvvm.barrier0"] = barrierOfBlock;
  h["nvvm.barrier"] = [](Translator &t, Operation *op) -> std::optional<Step> {
    auto barrier = cast<NVVM::BarrierOp>(op);
    if (barrier.getReductionOp())
      return unsupported(op);
    return namedBarrier(t, op, barrier.getBarrierId(), barrier.getNumberOfThreads(), /*waits=*/true);
  };
  h["nvvm.barrier.arrive"] = [](Translator &t, Operation *op) -> std::optional<Step> {
    auto barrier = cast<NVVM::BarrierArriveOp>(op);
    return namedBarrier(t, op, barrier.getBarrierId(), barrier.getNumberOfThreads(), /*waits=*/false);
  };
  h["nvvm.bar.warp.sync"] = [](Translator &, Operation *op) -> std::optional<Step> {
    return [=](Warp &warp) { warp.requireAllLanes(op); };
  };
  h["nvvm.shfl.sync"] = shuffle;
  h["nvvm.ldmatrix"] = loadMatrix;
  h["nvvm.stmatrix"] = storeMatrix;
  h["nvvm.mma.sync"] = multiplyMatrices;
  h["llvm.call_intrinsic"] = intrinsic;
}
