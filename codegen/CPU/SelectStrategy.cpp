//===- SelectStrategy.cpp - template and tiles of each dispatch -----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// func @dispatch {transformer.dispatch}
//   -> func @dispatch {transformer.config = #transformer.lowering_config<…>}
//
// Runs after dispatches are formed. The only place that decides.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Passes.h"

#define DEBUG_TYPE "transformer-select-strategy"

namespace mlir::transformer {
#define GEN_PASS_DEF_SELECTSTRATEGYPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Handing work to another thread costs about a microsecond; a piece should be
/// worth several, and this many scalar operations are.
constexpr int64_t kOperationsPerPiece = 32768;

/// The product of the static loop extents among `loops` of `op`; a dynamic one
/// counts as one.
int64_t staticExtent(linalg::GenericOp op, ArrayRef<unsigned> loops) {
  int64_t extent = 1;
  SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  for (unsigned loop : loops)
    if (!ShapedType::isDynamic(ranges[loop]))
      extent *= std::max<int64_t>(ranges[loop], 1);
  return extent;
}

struct SelectStrategy : transformer::impl::SelectStrategyPassBase<SelectStrategy> {
  using SelectStrategyPassBase::SelectStrategyPassBase;

  void runOnOperation() override {
    for (func::FuncOp func : getOperation().getOps<func::FuncOp>())
      if (isDispatch(func) && !getConfig(func))
        func->setAttr(kConfigAttr, select(func));
  }

  LoweringConfigAttr select(func::FuncOp func) {
    Operation *output = outputOf(func);
    int64_t lanes = std::max<int64_t>(vectorBytes / 4, 1);
    auto config = [&](StringRef name, ArrayRef<int64_t> tile, int64_t operationsPerTask) {
      int64_t grain = std::max<int64_t>(1, kOperationsPerPiece / std::max<int64_t>(operationsPerTask, 1));
      return LoweringConfigAttr::get(&getContext(), name, tile, lanes, grain);
    };
    if (auto attention = dyn_cast<AttentionOp>(output))
      // A few hundred keys are the common case.
      return config("attention", {1, lanes},
                    cast<RankedTensorType>(attention.getQuery().getType()).getDimSize(3) * 512);
    if (auto append = dyn_cast<CacheAppendOp>(output))
      return config("cache_append", {1, 1}, append.getCache().getType().getHeadDim() * 2);
    linalg::GenericOp contraction = contractionOf(func);
    auto type = cast<RankedTensorType>(output->getResult(0).getType());
    if (!contraction) {
      int64_t row = type.getRank() == 0 || type.isDynamicDim(type.getRank() - 1) ? 1 : type.getShape().back();
      int64_t passes = 0;
      func.walk([&](linalg::GenericOp) { ++passes; });
      return config("rows", {1, lanes}, row * std::max<int64_t>(passes, 1) * 4);
    }
    // Accumulators, a column of inputs and a row of weights stay in registers.
    SmallVector<unsigned> reductions;
    contraction.getReductionDims(reductions);
    int64_t rank = type.getRank();
    bool oneRow = rank < 2 || type.getDimSize(rank - 2) == 1;
    int64_t columns = rank == 0 ? 1 : oneRow ? 8 : 4;
    int64_t rows = oneRow ? 1 : vectorRegisters >= 32 ? 4 : 2;
    return config("tiles", {rows, columns}, staticExtent(contraction, reductions) * columns);
  }
};

} // namespace
