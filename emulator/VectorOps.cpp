//===- VectorOps.cpp - vectors and structs of a lane --------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Program.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cmath>

using namespace mlir;
using namespace mlir::emulator;

namespace {

/// A step that copies words: each of the result is one of the operands'.
Step gather(Translator &t, Operation *op, ArrayRef<unsigned> sources) {
  unsigned result = t.slotOf(op->getResult(0));
  SmallVector<unsigned> from(sources);
  return [result, from](Warp &warp) {
    ++warp.block.report.instructions;
    for (size_t i = 0; i < from.size(); ++i)
      std::copy_n(warp.at(from[i]), kLanes, warp.at(result + i));
  };
}

SmallVector<unsigned> allWords(Translator &t, Value value) {
  SmallVector<unsigned> words;
  for (unsigned i = 0, n = Translator::wordsOf(value.getType()), slot = t.slotOf(value); i < n; ++i)
    words.push_back(slot + i);
  return words;
}

std::optional<Step> fromElements(Translator &t, Operation *op) {
  SmallVector<unsigned> from;
  for (Value element : op->getOperands())
    from.push_back(t.slotOf(element));
  return gather(t, op, from);
}

std::optional<Step> extract(Translator &t, Operation *op) {
  auto extract = cast<vector::ExtractOp>(op);
  if (extract.getSourceVectorType().getRank() != 1 || extract.hasDynamicPosition() ||
      extract.getStaticPosition().size() != 1)
    return unsupported(op);
  return gather(t, op, t.slotOf(extract.getSource()) + static_cast<unsigned>(extract.getStaticPosition()[0]));
}

std::optional<Step> insert(Translator &t, Operation *op) {
  auto insert = cast<vector::InsertOp>(op);
  if (insert.getDestVectorType().getRank() != 1 || insert.hasDynamicPosition())
    return unsupported(op);
  SmallVector<unsigned> from = allWords(t, insert.getDest());
  from[insert.getStaticPosition()[0]] = t.slotOf(insert.getValueToStore());
  return gather(t, op, from);
}

std::optional<Step> broadcast(Translator &t, Operation *op) {
  if (isa<VectorType>(op->getOperand(0).getType()) && Translator::wordsOf(op->getOperand(0).getType()) != 1)
    return unsupported(op);
  return gather(
      t, op,
      SmallVector<unsigned>(Translator::wordsOf(op->getResult(0).getType()), t.slotOf(op->getOperand(0))));
}

std::optional<Step> slice(Translator &t, Operation *op) {
  auto slice = cast<vector::ExtractStridedSliceOp>(op);
  if (slice.getSourceVectorType().getRank() != 1)
    return unsupported(op);
  int64_t offset = cast<IntegerAttr>(slice.getOffsets()[0]).getInt(),
          size = cast<IntegerAttr>(slice.getSizes()[0]).getInt();
  SmallVector<unsigned> words = allWords(t, slice.getSource());
  return gather(t, op, ArrayRef(words).slice(offset, size));
}

std::optional<Step> step(Translator &t, Operation *op) {
  for (unsigned i = 0, n = Translator::wordsOf(op->getResult(0).getType()); i < n; ++i)
    t.setConstant(t.slotOf(op->getResult(0)) + i, i);
  return Step();
}

std::optional<Step> reduction(Translator &t, Operation *op) {
  auto reduction = cast<vector::ReductionOp>(op);
  using K = vector::CombiningKind;
  K kind = reduction.getKind();
  ScalarType type = Translator::scalarOf(reduction.getType());
  unsigned source = t.slotOf(reduction.getVector()), result = t.slotOf(reduction.getDest()),
           words = Translator::wordsOf(reduction.getVector().getType());
  bool hasInit = static_cast<bool>(reduction.getAcc());
  unsigned init = hasInit ? t.slotOf(reduction.getAcc()) : 0;
  auto combine = [kind, type](uint64_t a, uint64_t b) -> uint64_t {
    if (type.kind == Kind::Int) {
      int64_t x = signExtend(a, type.bits), y = signExtend(b, type.bits);
      return kind == K::ADD     ? truncateTo(a + b, type.bits)
             : kind == K::MUL   ? truncateTo(a * b, type.bits)
             : kind == K::MAXSI ? (x > y ? a : b)
                                : (x < y ? a : b);
    }
    double x = toDouble(a, type), y = toDouble(b, type);
    double value = kind == K::ADD                              ? x + y
                   : kind == K::MUL                            ? x * y
                   : kind == K::MAXIMUMF || kind == K::MAXNUMF ? std::fmax(x, y)
                                                               : std::fmin(x, y);
    return fromDouble(value, type);
  };
  bool known =
      type.kind != Kind::Int
          ? llvm::is_contained({K::ADD, K::MUL, K::MAXIMUMF, K::MAXNUMF, K::MINIMUMF, K::MINNUMF}, kind)
          : llvm::is_contained({K::ADD, K::MUL, K::MAXSI, K::MINSI}, kind);
  if (!known)
    return unsupported(op);
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      uint64_t value = warp.at(source)[lane];
      for (unsigned i = 1; i < words; ++i)
        value = combine(value, warp.at(source + i)[lane]);
      warp.at(result)[lane] = hasInit ? combine(value, warp.at(init)[lane]) : value;
    }
  };
}

std::optional<Step> shuffle(Translator &t, Operation *op) {
  auto shuffle = cast<vector::ShuffleOp>(op);
  SmallVector<unsigned> words = allWords(t, shuffle.getV1()), from;
  llvm::append_range(words, allWords(t, shuffle.getV2()));
  for (int64_t i : shuffle.getMask())
    from.push_back(words[std::max<int64_t>(i, 0)]);
  return gather(t, op, from);
}

/// Bits as other types: words are taken apart and put together by their widths.
std::optional<Step> bitcast(Translator &t, Operation *op) {
  ScalarType from = Translator::scalarOf(op->getOperand(0).getType()),
             to = Translator::scalarOf(op->getResult(0).getType());
  unsigned source = t.slotOf(op->getOperand(0)), result = t.slotOf(op->getResult(0)),
           results = Translator::wordsOf(op->getResult(0).getType());
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    for (unsigned i = 0; i < results; ++i)
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        uint64_t value = 0;
        for (unsigned bit = 0; bit < to.bits;) {
          unsigned place = i * to.bits + bit, inWord = place % from.bits,
                   count = std::min(from.bits - inWord, to.bits - bit);
          value |= truncateTo(warp.at(source + place / from.bits)[lane] >> inWord, count) << bit;
          bit += count;
        }
        warp.at(result + i)[lane] = value;
      }
  };
}

/// The first word of a member of a struct.
unsigned wordOfMember(LLVM::LLVMStructType type, int64_t member) {
  unsigned word = 0;
  for (int64_t i = 0; i < member; ++i)
    word += Translator::wordsOf(type.getBody()[i]);
  return word;
}

std::optional<Step> extractValue(Translator &t, Operation *op) {
  auto extract = cast<LLVM::ExtractValueOp>(op);
  auto type = dyn_cast<LLVM::LLVMStructType>(extract.getContainer().getType());
  if (!type || extract.getPosition().size() != 1)
    return unsupported(op);
  unsigned first = t.slotOf(extract.getContainer()) + wordOfMember(type, extract.getPosition()[0]);
  SmallVector<unsigned> from;
  for (unsigned i = 0, n = Translator::wordsOf(extract.getType()); i < n; ++i)
    from.push_back(first + i);
  return gather(t, op, from);
}

std::optional<Step> insertValue(Translator &t, Operation *op) {
  auto insert = cast<LLVM::InsertValueOp>(op);
  auto type = dyn_cast<LLVM::LLVMStructType>(insert.getType());
  if (!type || insert.getPosition().size() != 1)
    return unsupported(op);
  SmallVector<unsigned> from = allWords(t, insert.getContainer());
  unsigned first = wordOfMember(type, insert.getPosition()[0]);
  for (auto [i, word] : llvm::enumerate(allWords(t, insert.getValue())))
    from[first + i] = word;
  return gather(t, op, from);
}

std::optional<Step> undefined(Translator &t, Operation *op) {
  t.slotOf(op->getResult(0));
  return Step();
}
} // namespace

void mlir::emulator::addVectorOps(Handlers &h) {
  h["vector.from_elements"] = fromElements;
  h["vector.extract"] = extract;
  h["vector.insert"] = insert;
  h["vector.broadcast"] = h["vector.splat"] = broadcast;
  h["vector.extract_strided_slice"] = slice;
  h["vector.step"] = step;
  h["vector.reduction"] = reduction;
  h["vector.shuffle"] = shuffle;
  h["vector.bitcast"] = h["arith.bitcast"] = h["llvm.bitcast"] = bitcast;
  h["llvm.extractvalue"] = extractValue;
  h["llvm.insertvalue"] = insertValue;
  h["llvm.mlir.undef"] = h["llvm.mlir.poison"] = h["llvm.mlir.zero"] = h["ub.poison"] = undefined;
}
