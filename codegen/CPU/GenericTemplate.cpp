//===- GenericTemplate.cpp - rows and tiles -------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The fallback for every dispatch of linalg ops: rows for elementwise results,
// register tiles of dot products for reductions.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

void mlir::transformer::forEachTask(OpBuilder &b, KernelContext &context,
                                    function_ref<void(OpBuilder &, Value)> body) {
  forLoop(b, context.spec.getLoc(), context.begin, context.end, 1, body);
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

LogicalResult mlir::transformer::emitRows(OpBuilder &b, KernelContext &context, LoweringConfigAttr config) {
  Value result = outputOf(context.spec)->getResult(0);
  Location loc = result.getLoc();
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  Evaluator evaluator(context, config.getVector());
  int64_t outArgument = context.spec.getNumArguments() - 1;
  Value outTensor = context.spec.getArgument(outArgument);

  SmallVector<GridDim> grid;
  SmallVector<OpFoldResult> sizes;
  for (int64_t i = 0; i + 1 < rank; ++i) {
    grid.push_back({outArgument, i, 1});
    sizes.push_back(evaluator.dimSize(b, outTensor, i));
  }
  setGrid(context.kernel, grid);
  forEachTask(b, context, [&](OpBuilder &b, Value task) {
    if (rank == 0) {
      memref::StoreOp::create(b, loc, evaluator.evaluate(b, result, {}), context.out(), ValueRange());
      return;
    }
    SmallVector<Value> leading = delinearize(b, loc, task, sizes);
    RowEmitter(context, result, config.getVector())
        .emit(b, leading, [&](OpBuilder &b, Value value, LaneIndex column, Value mask) {
          SmallVector<Value> at(leading);
          at.push_back(column.base);
          storeElements(b, loc, value, context.out(), at, mask);
        });
  });
  return success();
}

//===----------------------------------------------------------------------===//
// Tiles
//===----------------------------------------------------------------------===//

namespace {
class TileEmitter {
public:
  TileEmitter(KernelContext &context, LoweringConfigAttr config)
      : context(context), config(config), evaluator(context, config.getVector()),
        root(contractionOf(context.spec)), result(outputOf(context.spec)->getResult(0)), loc(root.getLoc()) {
    rank = cast<RankedTensorType>(result.getType()).getRank();
    root.getReductionDims(reductions);
    kind = combiningKind(root);
  }

  LogicalResult emit(OpBuilder &b);

private:
  /// All rows of one tile of `columns` columns starting at `column`.
  void emitColumns(OpBuilder &b, SmallVector<Value> at, int64_t columns);
  /// One register tile; `at` is its first element.
  void emitTile(OpBuilder &b, ArrayRef<Value> at, int64_t rows, int64_t columns);
  /// The accumulators of a tile, reduced to scalars, row by row.
  SmallVector<Value> reduceTile(OpBuilder &b, ArrayRef<SmallVector<LaneIndex>> elements);

  KernelContext &context;
  LoweringConfigAttr config;
  Evaluator evaluator;
  linalg::GenericOp root;
  Value result;
  Location loc;
  int64_t rank;
  SmallVector<unsigned> reductions;
  std::optional<vector::CombiningKind> kind;
  OpFoldResult rowCount, columnCount;
};
} // namespace

LogicalResult TileEmitter::emit(OpBuilder &b) {
  int64_t outArgument = context.spec.getNumArguments() - 1;
  Value outTensor = context.spec.getArgument(outArgument);
  SmallVector<GridDim> grid;
  SmallVector<OpFoldResult> sizes;
  for (int64_t i = 0; i + 2 < rank; ++i) {
    grid.push_back({outArgument, i, 1});
    sizes.push_back(evaluator.dimSize(b, outTensor, i));
  }
  int64_t columns = config.getTile()[1];
  if (rank > 0) {
    columnCount = evaluator.dimSize(b, outTensor, rank - 1);
    grid.push_back({outArgument, rank - 1, columns});
    Value tiles = arith::CeilDivUIOp::create(b, loc, indexValue(b, loc, columnCount),
                                             arith::ConstantIndexOp::create(b, loc, columns));
    sizes.push_back(tiles);
  }
  if (rank > 1)
    rowCount = evaluator.dimSize(b, outTensor, rank - 2);
  setGrid(context.kernel, grid);

  forEachTask(b, context, [&](OpBuilder &b, Value task) {
    SmallVector<Value> at = delinearize(b, loc, task, sizes);
    if (rank == 0)
      return emitTile(b, {}, 1, 1);
    Value width = arith::ConstantIndexOp::create(b, loc, columns);
    Value column = arith::MulIOp::create(b, loc, at.back(), width);
    if (rank > 1)
      at.insert(at.end() - 1, Value()); // the row
    at.back() = column;
    std::optional<int64_t> n = getConstantIntValue(columnCount);
    if (columns == 1 || (n && *n % columns == 0))
      return emitColumns(b, at, columns);
    Value size = indexValue(b, loc, columnCount);
    Value fits =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, addIndex(b, loc, column, columns), size);
    scf::IfOp::create(
        b, loc, fits,
        [&](OpBuilder &b, Location loc) {
          emitColumns(b, at, columns);
          scf::YieldOp::create(b, loc);
        },
        [&](OpBuilder &b, Location loc) {
          Value one = arith::ConstantIndexOp::create(b, loc, 1);
          scf::ForOp::create(b, loc, column, size, one, ValueRange(),
                             [&](OpBuilder &b, Location loc, Value j, ValueRange) {
                               at.back() = j;
                               emitColumns(b, at, 1);
                               scf::YieldOp::create(b, loc);
                             });
          scf::YieldOp::create(b, loc);
        });
  });
  return success();
}

void TileEmitter::emitColumns(OpBuilder &b, SmallVector<Value> at, int64_t columns) {
  if (rank < 2)
    return emitTile(b, at, 1, columns);
  int64_t rows = config.getTile()[0];
  Value zero = arith::ConstantIndexOp::create(b, loc, 0);
  Value size = indexValue(b, loc, rowCount), whole = zero;
  auto loop = [&](Value from, Value to, int64_t step) {
    Value width = arith::ConstantIndexOp::create(b, loc, step);
    scf::ForOp::create(b, loc, from, to, width, ValueRange(),
                       [&](OpBuilder &b, Location loc, Value i, ValueRange) {
                         at[rank - 2] = i;
                         emitTile(b, at, step, columns);
                         scf::YieldOp::create(b, loc);
                       });
  };
  if (std::optional<int64_t> m = getConstantIntValue(rowCount); m && *m == 1) {
    at[rank - 2] = zero;
    return emitTile(b, at, 1, columns);
  }
  if (rows > 1) {
    Value step = arith::ConstantIndexOp::create(b, loc, rows);
    whole = arith::SubIOp::create(b, loc, size, arith::RemUIOp::create(b, loc, size, step));
    loop(zero, whole, rows);
  }
  loop(whole, size, 1);
}

void TileEmitter::emitTile(OpBuilder &b, ArrayRef<Value> at, int64_t rows, int64_t columns) {
  SmallVector<SmallVector<LaneIndex>> elements;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      SmallVector<LaneIndex> element;
      for (auto [dim, value] : llvm::enumerate(at)) {
        int64_t offset = static_cast<int64_t>(dim) == rank - 1   ? j
                         : static_cast<int64_t>(dim) == rank - 2 ? i
                                                                 : 0;
        element.push_back({addIndex(b, loc, value, offset)});
      }
      elements.push_back(element);
    }
  SmallVector<Value> sums = reduceTile(b, elements);
  for (auto [element, sum] : llvm::zip(elements, sums)) {
    evaluator.setKnown(root.getResult(0), sum);
    Value value = evaluator.evaluate(b, result, element);
    SmallVector<Value> indices = llvm::map_to_vector(element, [](const LaneIndex &i) { return i.base; });
    memref::StoreOp::create(b, loc, value, context.out(), indices);
  }
  evaluator.forget(root.getResult(0));
}

SmallVector<Value> TileEmitter::reduceTile(OpBuilder &b, ArrayRef<SmallVector<LaneIndex>> elements) {
  unsigned loops = root.getNumLoops(), innermost = reductions.back();
  SmallVector<bool> lanes(loops, false);
  lanes[innermost] = true;
  int64_t width = evaluator.getWidth();
  bool vectors = width > 1 && kind;
  for (OpOperand *operand : root.getDpsInputOperands()) {
    AffineMap map = root.getMatchingIndexingMap(operand);
    SmallVector<bool> read;
    for (AffineExpr expr : map.getResults()) {
      bool depends = expr.isFunctionOfDim(innermost);
      vectors &= !depends || isa<AffineDimExpr>(expr);
      read.push_back(depends);
    }
    vectors = vectors && evaluator.canVectorize(operand->get(), read);
  }
  // Loops of the root for each element of the tile.
  SmallVector<SmallVector<LaneIndex>> indices;
  for (const SmallVector<LaneIndex> &element : elements) {
    SmallVector<LaneIndex> index(loops);
    for (auto [i, expr] : llvm::enumerate(root.getIndexingMapsArray().back().getResults()))
      index[cast<AffineDimExpr>(expr).getPosition()] = element[i];
    indices.push_back(index);
  }
  if (!vectors) {
    SmallVector<Value> sums;
    for (const SmallVector<LaneIndex> &element : elements)
      sums.push_back(evaluator.evaluateReduction(b, root, element));
    return sums;
  }

  Type elementType = getElementTypeOrSelf(root.getResult(0).getType());
  Value neutral = evaluator.broadcast(b, loc, neutralElement(b, loc, *kind, elementType));
  SmallVector<Value> accumulators(elements.size(), neutral);
  Value zero = arith::ConstantIndexOp::create(b, loc, 0), one = arith::ConstantIndexOp::create(b, loc, 1);
  auto advance = [&](OpBuilder &b, LaneIndex k, ValueRange carried) {
    SmallVector<Value> next;
    for (auto [index, accumulator] : llvm::zip(indices, carried)) {
      index[innermost] = k;
      next.push_back(evaluator.broadcast(b, loc, evaluator.evaluateRegion(b, root, index, accumulator)));
    }
    return next;
  };
  std::function<SmallVector<Value>(OpBuilder &, unsigned, ValueRange)> nest =
      [&](OpBuilder &b, unsigned depth, ValueRange carried) {
        unsigned loop = reductions[depth];
        OpFoldResult folded = evaluator.loopSize(b, root, loop);
        Value size = indexValue(b, loc, folded);
        if (depth + 1 < reductions.size()) {
          auto body = [&](OpBuilder &b, Location loc, Value k, ValueRange inner) {
            for (SmallVector<LaneIndex> &index : indices)
              index[loop] = {k};
            scf::YieldOp::create(b, loc, nest(b, depth + 1, inner));
          };
          return SmallVector<Value>(scf::ForOp::create(b, loc, zero, size, one, carried, body).getResults());
        }
        Value step = arith::ConstantIndexOp::create(b, loc, width);
        Value rest = arith::RemUIOp::create(b, loc, size, step),
              whole = arith::SubIOp::create(b, loc, size, rest);
        auto body = [&](OpBuilder &b, Location loc, Value k, ValueRange inner) {
          scf::YieldOp::create(b, loc, advance(b, {k, true}, inner));
        };
        SmallVector<Value> sums(scf::ForOp::create(b, loc, zero, whole, step, carried, body).getResults());
        if (std::optional<int64_t> n = getConstantIntValue(folded); n && *n % width == 0)
          return sums;
        Value mask = vector::CreateMaskOp::create(b, loc, VectorType::get({width}, b.getI1Type()), rest);
        evaluator.setMask(mask);
        SmallVector<Value> last = advance(b, {whole, true}, sums);
        evaluator.setMask(Value());
        for (auto [sum, value] : llvm::zip(sums, last))
          sum = arith::SelectOp::create(b, loc, mask, value, sum);
        return sums;
      };
  SmallVector<Value> sums = nest(b, 0, accumulators);
  for (auto [sum, element] : llvm::zip(sums, elements)) {
    Value init = evaluator.evaluate(b, root.getDpsInits()[0], element);
    sum = horizontal(b, loc, *kind, sum, init);
  }
  return sums;
}

LogicalResult mlir::transformer::emitTiles(OpBuilder &b, KernelContext &context, LoweringConfigAttr config) {
  return TileEmitter(context, config).emit(b);
}
