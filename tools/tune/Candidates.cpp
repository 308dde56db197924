//===- Candidates.cpp - configs worth timing ------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tune/Candidates.h"

#include "codegen/Tuning.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Bytes that rows which are computed may take on a thread's stack.
constexpr int64_t kMostScratch = 2 * 1024 * 1024;

/// Collects configs, each once.
class Candidates {
public:
  Candidates(LoweringConfigAttr base, LoweringConfigAttr chosen, const CandidateLimits &limits)
      : base(base), chosen(chosen), limits(limits) {}

  void add(ArrayRef<int64_t> tile, ArrayRef<int64_t> block, int64_t grain) {
    auto config = LoweringConfigAttr::get(base.getContext(), base.getTemplateName(), tile, block,
                                          base.getVector(), grain);
    if (config != base && !llvm::is_contained(list, config) && whyNotConfig(config, chosen).empty())
      list.push_back(config);
  }

  void addTiles();
  void addRows();
  void addRowPanels();
  void addKeyOrders();
  void addSteps();
  void addGrains();

  SmallVector<LoweringConfigAttr> list;

private:
  bool isContraction() const { return base.getTemplateName() == "contraction"; }
  void addTile(int64_t rows, int64_t vectors);
  /// Those of all of k, in pairs.
  int64_t allSteps() const {
    int64_t steps = llvm::divideCeilSigned(limits.depth, chosen.getBlock()[2]);
    return static_cast<int64_t>(llvm::alignTo(std::max<int64_t>(steps, 1), 2));
  }

  LoweringConfigAttr base, chosen;
  const CandidateLimits &limits;
};

} // namespace

/// What else is in the config keeps its size: the rows of a block, the bytes of a panel, the sums of one row.
void Candidates::addTile(int64_t rows, int64_t vectors) {
  int64_t columns = vectors * base.getVector();
  if (limits.keepsColumns && columns != chosen.getTile()[1])
    return;
  SmallVector<int64_t> block(base.getBlock());
  if (isContraction()) {
    // Columns of a last panel that are not there cost as much as those that are.
    if (int64_t padded = static_cast<int64_t>(llvm::alignTo(limits.columns, columns));
        padded > limits.columns + limits.columns / 3)
      return;
    block[0] = std::max(block[0] / rows, int64_t(1)) * rows;
    if (columns != base.getTile()[1]) {
      block[1] = std::clamp<int64_t>(block[1] * base.getTile()[1] / columns / 2 * 2, 2, allSteps());
      if (!limits.manyRows)
        block.back() = std::max<int64_t>(block.back() * base.getTile()[1] / columns, 1);
    }
  } else {
    block[1] = llvm::alignTo(block[1], columns);
  }
  add({rows, columns}, block, base.getGrain());
}

void Candidates::addTiles() {
  int64_t accumulators = limits.registers * 3 / 4;
  // A row of several vectors first: fewer broadcasts for as many products.
  for (int64_t vectors : {4, 3, 2, 1}) {
    int64_t most = std::min<int64_t>(accumulators / vectors, 14);
    if (!limits.manyRows && isContraction()) {
      addTile(base.getTile()[0], vectors);
      continue;
    }
    for (int64_t rows : {most, int64_t(6), int64_t(8), int64_t(4), int64_t(5)})
      if (rows <= most)
        addTile(rows, vectors);
  }
}

/// Panels that one row is multiplied with together, whose sums have registers.
void Candidates::addRowPanels() {
  SmallVector<int64_t> block(base.getBlock());
  int64_t vectors = base.getTile()[1] / base.getVector();
  for (int64_t panels : {2, 4, 1, 3, 6, 8})
    if (panels * vectors <= limits.registers * 3 / 4) {
      block.back() = panels;
      add(base.getTile(), block, base.getGrain());
    }
}

/// One position that reads its keys in the other order, in tiles as long and in short ones.
void Candidates::addKeyOrders() {
  SmallVector<int64_t> block(base.getBlock());
  block.back() = 1 - block.back();
  add(base.getTile(), block, base.getGrain());
  block[1] = base.getTile()[1];
  add(base.getTile(), block, base.getGrain());
}

void Candidates::addRows() {
  SmallVector<int64_t> block(base.getBlock());
  if (!isContraction() && block[0] == 1)
    return addKeyOrders();
  if (!limits.manyRows && isContraction())
    return addRowPanels();
  if (!limits.manyRows || block[0] == 1)
    return;
  int64_t unit = isContraction() ? base.getTile()[0] : 1;
  for (auto [numerator, denominator] : {std::pair(1, 2), {2, 1}, {3, 4}, {3, 2}, {4, 1}}) {
    int64_t rows = std::max<int64_t>(base.getBlock()[0] * numerator / denominator / unit, 1) * unit;
    bool fits = isContraction() ? rows * limits.depth * 4 <= kMostScratch : numerator <= 2 * denominator;
    if (rows > base.getBlock()[0] && !fits)
      continue;
    block[0] = rows;
    add(base.getTile(), block, base.getGrain());
  }
}

void Candidates::addSteps() {
  SmallVector<int64_t> block(base.getBlock());
  int64_t unit = isContraction() ? 2 : base.getTile()[1];
  int64_t all = isContraction() ? allSteps() : block[1];
  for (int64_t steps : {base.getBlock()[1] / 2, base.getBlock()[1] * 2, all}) {
    block[1] = std::max<int64_t>(llvm::alignTo(steps, unit), unit);
    // Beyond all of k there is nothing to choose.
    if (!isContraction() || block[1] <= all)
      add(base.getTile(), block, base.getGrain());
  }
}

void Candidates::addGrains() {
  for (int64_t grain : {base.getGrain() * 2, base.getGrain() / 2, base.getGrain() * 4, int64_t(1)})
    add(base.getTile(), base.getBlock(), std::max<int64_t>(grain, 1));
}

SmallVector<LoweringConfigAttr> mlir::transformer::candidatesOf(LoweringConfigAttr base,
                                                                LoweringConfigAttr chosen, Stage stage,
                                                                const CandidateLimits &limits) {
  Candidates candidates(base, chosen, limits);
  switch (stage) {
  case Stage::Tile:
    candidates.addTiles();
    break;
  case Stage::Rows:
    candidates.addRows();
    break;
  case Stage::Steps:
    candidates.addSteps();
    break;
  case Stage::Grain:
    candidates.addGrains();
    break;
  }
  return std::move(candidates.list);
}
