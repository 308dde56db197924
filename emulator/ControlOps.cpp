//===- ControlOps.cpp - structured control flow under masks -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Program.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace mlir::emulator;

namespace {
/// Registers of several values, word by word.
SmallVector<unsigned> wordsOf(Translator &t, ValueRange values) {
  SmallVector<unsigned> words;
  for (Value value : values) {
    unsigned slot = t.slotOf(value);
    for (unsigned i = 0, n = Translator::wordsOf(value.getType()); i < n; ++i)
      words.push_back(slot + i);
  }
  return words;
}

/// Copies words of the lanes in `mask`. All are read before one is written: they may be each other's.
void copyWords(Warp &warp, ArrayRef<unsigned> from, ArrayRef<unsigned> to, uint32_t mask) {
  SmallVector<uint64_t, 256> values(from.size() * kLanes);
  for (size_t i = 0; i < from.size(); ++i)
    std::copy_n(warp.at(from[i]), kLanes, values.data() + i * kLanes);
  for (size_t i = 0; i < to.size(); ++i)
    for (unsigned lane = 0; lane < kLanes; ++lane)
      if (mask >> lane & 1)
        warp.at(to[i])[lane] = values[i * kLanes + lane];
}

std::optional<Step> translateFor(Translator &t, Operation *op) {
  auto loop = cast<scf::ForOp>(op);
  auto code = std::make_shared<Code>();
  if (failed(t.translate(*loop.getBody(), *code)))
    return std::nullopt;
  unsigned low = t.slotOf(loop.getLowerBound()), high = t.slotOf(loop.getUpperBound()),
           step = t.slotOf(loop.getStep()), counter = t.slotOf(loop.getInductionVar());
  SmallVector<unsigned> starts = wordsOf(t, loop.getInitArgs()),
                        carried = wordsOf(t, loop.getRegionIterArgs()),
                        results = wordsOf(t, loop.getResults());
  SmallVector<unsigned> yields = wordsOf(t, loop.getBody()->getTerminator()->getOperands());
  unsigned bits = Translator::scalarOf(loop.getInductionVar().getType()).bits;
  return [=](Warp &warp) {
    uint32_t outer = warp.mask;
    copyWords(warp, starts, carried, outer);
    uint64_t next[kLanes];
    std::copy_n(warp.at(low), kLanes, next);
    while (true) {
      uint32_t mask = 0;
      for (unsigned lane = 0; lane < kLanes; ++lane)
        if (outer >> lane & 1 && signExtend(next[lane], bits) < signExtend(warp.at(high)[lane], bits))
          mask |= 1u << lane;
      if (!mask)
        break;
      warp.mask = mask;
      std::copy_n(next, kLanes, warp.at(counter));
      code->run(warp);
      copyWords(warp, yields, carried, mask);
      for (unsigned lane = 0; lane < kLanes; ++lane)
        next[lane] = truncateTo(next[lane] + warp.at(step)[lane], bits);
    }
    warp.mask = outer;
    copyWords(warp, carried, results, outer);
  };
}

std::optional<Step> translateIf(Translator &t, Operation *op) {
  auto branch = cast<scf::IfOp>(op);
  auto yes = std::make_shared<Code>(), no = std::make_shared<Code>();
  SmallVector<unsigned> yesYields, noYields, results = wordsOf(t, branch.getResults());
  if (failed(t.translate(*branch.thenBlock(), *yes)))
    return std::nullopt;
  yesYields = wordsOf(t, branch.thenYield().getOperands());
  bool hasElse = branch.elseBlock();
  if (hasElse) {
    if (failed(t.translate(*branch.elseBlock(), *no)))
      return std::nullopt;
    noYields = wordsOf(t, branch.elseYield().getOperands());
  }
  unsigned condition = t.slotOf(branch.getCondition());
  return [=](Warp &warp) {
    uint32_t outer = warp.mask, mask = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane)
      if (outer >> lane & 1 && warp.at(condition)[lane] & 1)
        mask |= 1u << lane;
    if (mask) {
      warp.mask = mask;
      yes->run(warp);
      copyWords(warp, yesYields, results, mask);
    }
    if (hasElse && outer & ~mask) {
      warp.mask = outer & ~mask;
      no->run(warp);
      copyWords(warp, noYields, results, outer & ~mask);
    }
    warp.mask = outer;
  };
}

std::optional<Step> translateWhile(Translator &t, Operation *op) {
  auto loop = cast<scf::WhileOp>(op);
  auto before = std::make_shared<Code>(), after = std::make_shared<Code>();
  if (failed(t.translate(*loop.getBeforeBody(), *before)) ||
      failed(t.translate(*loop.getAfterBody(), *after)))
    return std::nullopt;
  scf::ConditionOp condition = loop.getConditionOp();
  unsigned proceed = t.slotOf(condition.getCondition());
  SmallVector<unsigned> starts = wordsOf(t, loop.getInits()), carried = wordsOf(t, loop.getBeforeArguments()),
                        passed = wordsOf(t, condition.getArgs()),
                        arguments = wordsOf(t, loop.getAfterArguments()),
                        yields = wordsOf(t, loop.getYieldOp().getOperands()),
                        results = wordsOf(t, loop.getResults());
  return [=](Warp &warp) {
    uint32_t outer = warp.mask, mask = outer;
    copyWords(warp, starts, carried, outer);
    while (mask) {
      if (warp.block.report.instructions > warp.block.options.mostInstructions)
        warp.fail(op,
                  "goes on after " + std::to_string(warp.block.options.mostInstructions) + " instructions");
      warp.mask = mask;
      before->run(warp);
      uint32_t stays = 0;
      for (unsigned lane = 0; lane < kLanes; ++lane)
        if (mask >> lane & 1 && warp.at(proceed)[lane] & 1)
          stays |= 1u << lane;
      copyWords(warp, passed, results, mask & ~stays);
      if (!stays)
        break;
      mask = warp.mask = stays;
      copyWords(warp, passed, arguments, mask);
      after->run(warp);
      copyWords(warp, yields, carried, mask);
    }
    warp.mask = outer;
  };
}
} // namespace

void mlir::emulator::addControlOps(Handlers &handlers) {
  handlers["scf.for"] = translateFor;
  handlers["scf.if"] = translateIf;
  handlers["scf.while"] = translateWhile;
}
