//===- MemoryOps.cpp - loads and stores ---------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Program.h"

#include "codegen/GPU/IR/XGPU.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <cstring>

using namespace mlir;
using namespace mlir::emulator;

namespace {

/// Widest access of one instruction; wider vectors are several.
constexpr unsigned kMostBytes = 16;

/// What is moved: `words` values of `bytes` bytes each, and how far their address is known to be aligned.
struct Access {
  unsigned space, words, bytes, alignment;
  unsigned pieceWords() const {
    return std::max(1u, std::min(words, std::min(kMostBytes, alignment) / bytes));
  }
};

void load(Warp &warp, Operation *op, const Access &access, const uint64_t *address, unsigned result) {
  unsigned piece = access.pieceWords();
  uint8_t buffer[kLanes * kMostBytes];
  uint64_t place[kLanes];
  for (unsigned first = 0; first < access.words; first += piece) {
    ++warp.block.report.instructions;
    unsigned count = std::min(piece, access.words - first), bytes = count * access.bytes;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      place[lane] = address[lane] + first * access.bytes;
    warp.read(op, access.space, place, bytes, buffer);
    for (unsigned i = 0; i < count; ++i)
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        uint64_t value = 0;
        if (warp.active(lane))
          std::memcpy(&value, buffer + lane * bytes + i * access.bytes, access.bytes);
        warp.at(result + first + i)[lane] = value;
      }
  }
}

void store(Warp &warp, Operation *op, const Access &access, const uint64_t *address, unsigned source) {
  unsigned piece = access.pieceWords();
  uint8_t buffer[kLanes * kMostBytes];
  uint64_t place[kLanes];
  for (unsigned first = 0; first < access.words; first += piece) {
    ++warp.block.report.instructions;
    unsigned count = std::min(piece, access.words - first), bytes = count * access.bytes;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      place[lane] = address[lane] + first * access.bytes;
    for (unsigned i = 0; i < count; ++i)
      for (unsigned lane = 0; lane < kLanes; ++lane)
        std::memcpy(buffer + lane * bytes + i * access.bytes, &warp.at(source + first + i)[lane],
                    access.bytes);
    warp.write(op, access.space, place, bytes, buffer);
  }
}

Access accessOf(Type type, unsigned space, unsigned alignment) {
  ScalarType scalar = Translator::scalarOf(type);
  unsigned words = Translator::wordsOf(type);
  return {space, words, scalar.bytes(), alignment ? alignment : scalar.bytes()};
}

//===----------------------------------------------------------------------===//
// Memrefs
//===----------------------------------------------------------------------===//

/// Where the element at `indices` of a memref is.
std::function<void(Warp &, uint64_t *)> addressing(Translator &t, Value memref, ValueRange indices) {
  unsigned base = t.slotOf(memref),
           bytes = Translator::scalarOf(cast<MemRefType>(memref.getType()).getElementType()).bytes();
  SmallVector<unsigned> at;
  for (Value index : indices)
    at.push_back(t.slotOf(index));
  return [=](Warp &warp, uint64_t *address) {
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      uint64_t place = 0;
      for (size_t i = 0; i < at.size(); ++i)
        place = place * warp.at(base + 1 + i)[lane] + warp.at(at[i])[lane];
      address[lane] = warp.at(base)[lane] + place * bytes;
    }
  };
}

/// An index beyond its dimension is wrong even where it stays in the buffer.
void checkIndices(Warp &warp, Operation *op, unsigned base, ArrayRef<unsigned> at, unsigned words) {
  for (size_t i = 0; i < at.size(); ++i)
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      uint64_t index = warp.at(at[i])[lane] + (i + 1 == at.size() ? words - 1 : 0),
               size = warp.at(base + 1 + i)[lane];
      if (warp.active(lane) && index >= size)
        warp.fail(op,
                  "has index " + std::to_string(index) + " in dimension " + std::to_string(i) + " of " +
                      std::to_string(size),
                  lane);
    }
}

std::optional<Step> memoryAccess(Translator &t, Operation *op, bool writes, Value memref, ValueRange indices,
                                 Value value, unsigned alignment) {
  auto place = addressing(t, memref, indices);
  Access access = accessOf(value.getType(), 1, alignment);
  unsigned slot = t.slotOf(value), base = t.slotOf(memref);
  SmallVector<unsigned> at;
  for (Value index : indices)
    at.push_back(t.slotOf(index));
  return [=](Warp &warp) {
    uint64_t address[kLanes];
    checkIndices(warp, op, base, at, access.words);
    place(warp, address);
    writes ? store(warp, op, access, address, slot) : load(warp, op, access, address, slot);
  };
}

std::optional<Step> dim(Translator &t, Operation *op) {
  auto dim = cast<memref::DimOp>(op);
  std::optional<int64_t> index = dim.getConstantIndex();
  if (!index) {
    op->emitOpError("expected a constant dimension");
    return std::nullopt;
  }
  unsigned from = t.slotOf(dim.getSource()) + 1 + static_cast<unsigned>(*index),
           result = t.slotOf(dim.getResult());
  return [=](Warp &warp) { std::copy_n(warp.at(from), kLanes, warp.at(result)); };
}

std::optional<Step> pointerOf(Translator &t, Operation *op) {
  unsigned from = t.slotOf(op->getOperand(0)), result = t.slotOf(op->getResult(0));
  return [=](Warp &warp) { std::copy_n(warp.at(from), kLanes, warp.at(result)); };
}

//===----------------------------------------------------------------------===//
// Pointers
//===----------------------------------------------------------------------===//

unsigned spaceOf(Value pointer) { return cast<LLVM::LLVMPointerType>(pointer.getType()).getAddressSpace(); }

std::optional<Step> elementPointer(Translator &t, Operation *op) {
  auto gep = cast<LLVM::GEPOp>(op);
  if (gep.getRawConstantIndices().size() != 1) {
    op->emitOpError("expected one index");
    return std::nullopt;
  }
  unsigned base = t.slotOf(gep.getBase()), result = t.slotOf(gep.getRes());
  int64_t bytes = Translator::scalarOf(gep.getElemType()).bytes() * Translator::wordsOf(gep.getElemType());
  int64_t constant = gep.getRawConstantIndices()[0];
  bool isDynamic = constant == LLVM::GEPOp::kDynamicIndex;
  unsigned index = isDynamic ? t.slotOf(gep.getDynamicIndices()[0]) : 0;
  unsigned bits = isDynamic ? Translator::scalarOf(gep.getDynamicIndices()[0].getType()).bits : 64;
  bool isShared = spaceOf(gep.getBase()) == kShared || spaceOf(gep.getBase()) == kClusterShared;
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      int64_t offset = isDynamic ? signExtend(warp.at(index)[lane], bits) : constant;
      uint64_t address = warp.at(base)[lane] + static_cast<uint64_t>(offset * bytes);
      warp.at(result)[lane] = isShared ? truncateTo(address, 32) : address;
    }
  };
}

std::optional<Step> loadPointer(Translator &t, Operation *op) {
  auto load = cast<LLVM::LoadOp>(op);
  Access access = accessOf(load.getType(), spaceOf(load.getAddr()), load.getAlignment().value_or(0));
  unsigned address = t.slotOf(load.getAddr()), result = t.slotOf(load.getRes());
  return [=](Warp &warp) {
    uint64_t place[kLanes];
    std::copy_n(warp.at(address), kLanes, place);
    ::load(warp, op, access, place, result);
  };
}

std::optional<Step> storePointer(Translator &t, Operation *op) {
  auto store = cast<LLVM::StoreOp>(op);
  Access access =
      accessOf(store.getValue().getType(), spaceOf(store.getAddr()), store.getAlignment().value_or(0));
  unsigned address = t.slotOf(store.getAddr()), value = t.slotOf(store.getValue());
  return [=](Warp &warp) { ::store(warp, op, access, warp.at(address), value); };
}

std::optional<Step> sharedMemory(Translator &t, Operation *op) {
  t.setConstant(t.slotOf(op->getResult(0)), 0);
  return Step();
}

//===----------------------------------------------------------------------===//
// Asynchronous copies
//===----------------------------------------------------------------------===//

std::optional<Step> copyAsync(Translator &t, Operation *op) {
  auto copy = cast<NVVM::CpAsyncOp>(op);
  unsigned target = t.slotOf(copy.getDst()), source = t.slotOf(copy.getSrc()), bytes = copy.getSize();
  bool isPartial = static_cast<bool>(copy.getCpSize());
  unsigned copied = isPartial ? t.slotOf(copy.getCpSize()) : 0;
  return [=](Warp &warp) {
    ++warp.block.report.instructions;
    warp.copyAsync(op, warp.at(target), warp.at(source), bytes, isPartial ? warp.at(copied) : nullptr);
  };
}
} // namespace

void mlir::emulator::addMemoryOps(Handlers &h) {
  h["memref.load"] = [](Translator &t, Operation *op) {
    auto load = cast<memref::LoadOp>(op);
    return memoryAccess(t, op, false, load.getMemRef(), load.getIndices(), load.getResult(), 0);
  };
  h["memref.store"] = [](Translator &t, Operation *op) {
    auto store = cast<memref::StoreOp>(op);
    return memoryAccess(t, op, true, store.getMemRef(), store.getIndices(), store.getValue(), 0);
  };
  h["vector.load"] = [](Translator &t, Operation *op) {
    auto load = cast<vector::LoadOp>(op);
    return memoryAccess(t, op, false, load.getBase(), load.getIndices(), load.getResult(),
                        load.getAlignment().value_or(0));
  };
  h["vector.store"] = [](Translator &t, Operation *op) {
    auto store = cast<vector::StoreOp>(op);
    return memoryAccess(t, op, true, store.getBase(), store.getIndices(), store.getValueToStore(),
                        store.getAlignment().value_or(0));
  };
  h["memref.dim"] = dim;
  h["memref.extract_aligned_pointer_as_index"] = pointerOf;
  h["llvm.getelementptr"] = elementPointer;
  h["llvm.load"] = loadPointer;
  h["llvm.store"] = storePointer;
  h["xgpu.shared_memory"] = sharedMemory;
  h["nvvm.cp.async.shared.global"] = copyAsync;
  h["nvvm.cp.async.commit.group"] = [](Translator &, Operation *op) -> std::optional<Step> {
    return [=](Warp &warp) { warp.commitCopies(op); };
  };
  h["nvvm.cp.async.wait.group"] = [](Translator &, Operation *op) -> std::optional<Step> {
    unsigned pending = cast<NVVM::CpAsyncWaitGroupOp>(op).getN();
    return [=](Warp &warp) { warp.waitForCopies(op, pending); };
  };
}
