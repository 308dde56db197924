//===- ContractionTemplate.cpp - products with packed weights -------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// x [M, K] (the leading dimensions flattened) times one or several packed weights
// [N, K]. The grid is blocks of rows x panels of columns, panels fastest. A run of
// tasks goes, block by block:
//
//   a block of x is computed into a scratch of its own, where x is not an argument
//   for each panel, for each group of rows:
//     for each cache block of k, for each register tile of rows:
//       accumulators of native vectors, carried by the loop over k
//       -> a tile of sums [rows, columns] in f32 or i32, one for each weight
//     for each row of the tile: the rest of the dispatch, inlined, on vectors
//
// The sums meet the rest of the dispatch in memory that stays in the first-level
// cache. So the epilogue is emitted once, however many register tiles there are,
// and what it costs is one store and one load per K multiplications. A group is the
// rows of one register tile, so that results are written while the next is computed;
// where k is cut into blocks, it is all rows of the block.
//
// The register tiles of a block are as few as can be, and equal but for one row: there
// is a loop for each number of rows, and none computes rows that are not there. Few rows
// (2 to 16) wait for weights more than for multiplications. Their tiles take turns on a
// part of a panel that the first-level cache holds, and ask for the next part meanwhile,
// so that weights come from memory once and all the time. One row takes several panels
// together: memory gives more to several streams.
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/MicroKernel.h"
#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/GenericBuilder.h"
#include "codegen/Common/Projection.h"
#include "codegen/Common/RowEmitter.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace mlir::transformer;

/// Steps of k in a turn of loops that wait for more than for instructions.
static constexpr int64_t kFewUnroll = 2;
static constexpr int64_t kPageBytes = 4096;

namespace {

class ContractionEmitter {
public:
  ContractionEmitter(KernelContext &context, LoweringConfigAttr config)
      : context(context), config(config), roots(projectionsOf(context.spec)),
        result(outputOf(context.spec)->getResult(0)), loc(roots[0].op.getLoc()),
        tileRows(config.getTile()[0]), tileColumns(config.getTile()[1]), blockRows(config.getBlock()[0]),
        blockSteps(config.getBlock()[1]), depth(config.getBlock()[2]), fewRows(config.getBlock()[3]),
        fewSteps(config.getBlock()[4]), unroll(config.getBlock()[5]), rowPanels(config.getBlock()[6]),
        lanes(config.getVector()), columns(roots[0].columns()), width(roots[0].depth()) {
    steps = llvm::divideCeilSigned(width, depth);
    groupRows = std::max(cutsSteps() ? blockRows : std::max(tileRows, fewRows), rowPanels);
    if (roots[0].isInteger())
      integers.emplace(roots[0].weightType().getElementType(), lanes, depth);
  }

  void emit(OpBuilder &b);

private:
  /// Rows of x, as [rows, K] in memory.
  struct Input {
    Value memref, firstRow;
  };
  /// A register tile's rows in its block, of which it is the `number`-th, and where its sums begin.
  struct Rows {
    Value first, count, number, sums;
  };
  /// Register tiles that take turns, and the steps of k of one turn.
  struct Turns {
    Value tiles, steps;
  };

  /// A loop over k for a register tile of `rows` rows.
  struct Loop {
    int64_t rows;
    bool isOfMany; ///< register tiles, see below
  };

  /// Whether k is cut into cache blocks, for many rows and for few.
  bool cutsSteps() const { return steps > blockSteps; }
  bool cutsFew() const { return fewRows > 1 && steps > fewSteps; }
  /// Of the rows of a block, if that is known.
  std::optional<int64_t> knownTiles() const;
  int64_t tilesOfMany() const;
  int64_t linesOf(int64_t steps) const;
  int64_t stepsOfTurn(Loop loop) const { return loop.isOfMany ? unroll : kFewUnroll; }
  SmallVector<Loop> loops() const;
  void setUp(OpBuilder &b);
  Input prepareInput(OpBuilder &b, Value row, Value rows);
  void emitCorrections(OpBuilder &b, Value rows, Input input);
  Value correctionOf(OpBuilder &b, const MicroKernel &kernel, Value row);
  Value widenTo(OpBuilder &b, Value value);
  void emitPanel(OpBuilder &b, Value panel, Value row, Value rows, Input input);
  Value firstRow(OpBuilder &b, Value tile, Value rows);
  Turns turnsOf(OpBuilder &b, Value rows);
  void forParts(OpBuilder &b, Value begin, Value end, Value size,
                function_ref<void(OpBuilder &, Value from, Value to)> body);
  void multiply(OpBuilder &b, size_t root, Value panel, Input input, Rows tile, Value firstStep,
                Value lastStep);
  void emitRegisterTile(OpBuilder &b, size_t root, Value panel, Input input, Rows tile, Loop loop,
                        Value firstStep, Value lastStep);
  int64_t placesAhead(Loop loop) const;
  MicroKernel::Ahead aheadOf(OpBuilder &b, Value weight, Value panel, Value tile, Loop loop, Value firstStep,
                             Value lastStep);
  void emitRow(OpBuilder &b, Value panel, Value row, Input input);
  void emitEpilogue(OpBuilder &b, Value panel, Value row, Value rows, Value sums);

  /// The type rows are multiplied in, and that of sums. What no instruction multiplies is widened once,
  /// not each time that it meets a panel.
  Type rowType() {
    if (integers)
      return integers->rowType(loc.getContext());
    Type input = getElementTypeOrSelf(roots[0].input->get().getType());
    return depth > 1 ? input : Float32Type::get(loc.getContext());
  }
  /// The distance of the scratch's rows. Those a whole number of pages apart would meet in one set of the
  /// first-level cache.
  int64_t scratchWidth() {
    int64_t elementBytes = rowType().getIntOrFloatBitWidth() / 8;
    bool meets = steps * depth * elementBytes % kPageBytes == 0;
    return steps * depth + (meets ? kLineBytes / elementBytes : 0);
  }
  Type sumType() { return getElementTypeOrSelf(roots[0].op.getResult(0).getType()); }
  Value constant(OpBuilder &b, int64_t v) { return arith::ConstantIndexOp::create(b, loc, v); }
  void forLoop(OpBuilder &b, Value from, Value to, int64_t step,
               function_ref<void(OpBuilder &, Value)> body) {
    transformer::forLoop(b, loc, from, to, step, body);
  }
  VectorType vectorOf(int64_t size, Type element) { return VectorType::get({size}, element); }

  KernelContext &context;
  LoweringConfigAttr config;
  SmallVector<Projection> roots;
  Value result;
  Location loc;
  int64_t tileRows, tileColumns, blockRows, blockSteps, depth, fewRows, fewSteps, unroll, rowPanels, lanes,
      columns, width, steps, groupRows;
  std::optional<IntegerProducts> integers;

  SmallVector<OpFoldResult> leading; ///< sizes of the result's dimensions but the last
  Value allRows, panels;
  Value registerTiles;      ///< of the block's rows
  Value scratch;            ///< [blockRows, K], where x is computed or copied; else null
  Value corrections;        ///< [blockRows, 1], what sums start from; null where that is zero
  SmallVector<Value> tiles; ///< [groupRows, tileColumns] sums of each weight
};

} // namespace

std::optional<int64_t> ContractionEmitter::knownTiles() const {
  int64_t rows = roots[0].rows();
  return rows > 0 && rows <= blockRows ? std::optional(llvm::divideCeilSigned(rows, tileRows)) : std::nullopt;
}

/// Lines of a panel of weights that so many steps read.
int64_t ContractionEmitter::linesOf(int64_t steps) const {
  int64_t bits = roots[0].weightType().getElementTypeBitWidth();
  return std::max<int64_t>(steps * tileColumns * depth * bits / 8 / kLineBytes, 1);
}

/// The register tiles of a block with which one line of the weights that come next, in each turn of a tile,
/// is all of them: a longer turn then holds little but products.
int64_t ContractionEmitter::tilesOfMany() const { return linesOf(unroll); }

/// The loops over k, of which a register tile takes one. It can have any number of rows, or one or two where
/// it is known how many a block has. Where long turns pay, whole tiles and those of a row less, which are all
/// but a few of a block of many, have such a loop. The largest comes first.
SmallVector<ContractionEmitter::Loop> ContractionEmitter::loops() const {
  int64_t least = 1, most = tileRows;
  std::optional<int64_t> tiles = knownTiles();
  if (tiles) {
    least = roots[0].rows() / *tiles;
    most = llvm::divideCeilSigned(roots[0].rows(), *tiles);
  }
  bool canBeMany = unroll > kFewUnroll && tiles.value_or(blockRows / tileRows) >= tilesOfMany();
  bool isMany = canBeMany && tiles;
  SmallVector<Loop> list;
  for (bool isOfMany : {true, false})
    for (int64_t rows = most; rows >= least; --rows)
      if (bool isLarge = rows >= tileRows - 1; isOfMany ? canBeMany && isLarge : !(isMany && isLarge))
        list.push_back({rows, isOfMany});
  return list;
}

void ContractionEmitter::setUp(OpBuilder &b) {
  Evaluator evaluator(context, lanes);
  int64_t out = context.spec.getNumArguments() - 1;
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  setGrid(context.kernel, {{out, 0, blockRows, rank - 1}, {out, rank - 1, tileColumns}});
  allRows = constant(b, 1);
  for (int64_t i = 0; i + 1 < rank; ++i) {
    leading.push_back(evaluator.dimSize(b, context.spec.getArgument(out), i));
    allRows = arith::MulIOp::create(b, loc, allRows, indexValue(b, loc, leading.back()));
  }
  panels = constant(b, llvm::divideCeilSigned(columns, tileColumns));

  auto allocate = [&](int64_t rows, int64_t rowSize, Type element) -> Value {
    return memref::AllocaOp::create(b, loc, MemRefType::get({rows, rowSize}, element),
                                    b.getI64IntegerAttr(64));
  };
  Value x = roots[0].input->get();
  Type element = rowType();
  if (!isa<BlockArgument>(x) || width % depth != 0 || element != getElementTypeOrSelf(x.getType()))
    scratch = allocate(blockRows, scratchWidth(), element);
  if (integers && integers->bias() != 0)
    corrections = allocate(blockRows, 1, b.getI32Type());
  for (size_t i = 0; i < roots.size(); ++i)
    tiles.push_back(allocate(groupRows, tileColumns, sumType()));
}

void ContractionEmitter::emit(OpBuilder &b) {
  setUp(b);
  // Blocks of equal size: one that is smaller would leave a thread idle.
  Value blocks = arith::CeilDivUIOp::create(b, loc, allRows, constant(b, blockRows));
  Value share = arith::CeilDivUIOp::create(b, loc, allRows, blocks);
  Value first = arith::DivUIOp::create(b, loc, context.begin, panels);
  Value last = arith::CeilDivUIOp::create(b, loc, context.end, panels);
  forLoop(b, first, last, 1, [&](OpBuilder &b, Value block) {
    Value zero = constant(b, 0);
    Value row = arith::MinUIOp::create(b, loc, arith::MulIOp::create(b, loc, block, share), allRows);
    Value rows = arith::MinUIOp::create(b, loc, share, arith::SubIOp::create(b, loc, allRows, row));
    registerTiles = arith::CeilDivUIOp::create(b, loc, rows, constant(b, tileRows));
    Value origin = arith::MulIOp::create(b, loc, block, panels);
    Value from = arith::MaxSIOp::create(b, loc, arith::SubIOp::create(b, loc, context.begin, origin), zero);
    Value to = arith::MinSIOp::create(b, loc, arith::SubIOp::create(b, loc, context.end, origin), panels);
    Input input = prepareInput(b, row, rows);
    if (corrections)
      emitCorrections(b, rows, input);
    if (rowPanels > 1) {
      Value isOne = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, rows, constant(b, 1));
      Value count = arith::SubIOp::create(b, loc, to, from);
      Value rest = arith::RemUIOp::create(b, loc, count, constant(b, rowPanels));
      rest = arith::SelectOp::create(b, loc, isOne, rest, count);
      Value first = from;
      from = arith::SubIOp::create(b, loc, to, rest);
      forLoop(b, first, from, rowPanels, [&](OpBuilder &b, Value panel) { emitRow(b, panel, row, input); });
    }
    forLoop(b, from, to, 1, [&](OpBuilder &b, Value panel) { emitPanel(b, panel, row, rows, input); });
  });
}

ContractionEmitter::Input ContractionEmitter::prepareInput(OpBuilder &b, Value row, Value rows) {
  Value x = roots[0].input->get();
  if (!scratch) {
    // Dense, so that the leading dimensions are one.
    int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
    ReassociationIndices outer = llvm::to_vector(llvm::seq<int64_t>(0, rank - 1));
    Value flat = context.argument(x);
    if (rank > 2)
      flat = memref::CollapseShapeOp::create(b, loc, flat, ArrayRef<ReassociationIndices>{outer, {rank - 1}});
    return {flat, row};
  }
  RowEmitter emitter(context, x, lanes);
  forLoop(b, constant(b, 0), rows, 1, [&](OpBuilder &b, Value i) {
    Value at = arith::AddIOp::create(b, loc, row, i);
    emitter.emit(b, delinearize(b, loc, at, leading),
                 [&](OpBuilder &b, Value value, LaneIndex column, Value mask) {
                   storeElements(b, loc, widenTo(b, value), scratch, {i, column.base}, mask);
                 });
    Type element = rowType();
    for (int64_t k = width; k < steps * depth; ++k)
      memref::StoreOp::create(b, loc, arith::ConstantOp::create(b, loc, b.getZeroAttr(element)), scratch,
                              ValueRange{i, constant(b, k)});
  });
  return {scratch, constant(b, 0)};
}

/// A value of x in the type it is multiplied in.
Value ContractionEmitter::widenTo(OpBuilder &b, Value value) {
  Type type = rowType();
  if (getElementTypeOrSelf(value.getType()) == type)
    return value;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    type = vector.clone(type);
  if (integers)
    return arith::ExtSIOp::create(b, loc, type, value);
  return arith::ExtFOp::create(b, loc, type, value);
}

void ContractionEmitter::emitCorrections(OpBuilder &b, Value rows, Input input) {
  Value zero = constant(b, 0);
  forLoop(b, zero, rows, 1, [&](OpBuilder &b, Value i) {
    Value row = arith::AddIOp::create(b, loc, input.firstRow, i);
    Value sum = integers->correction(b, loc, input.memref, row, steps * depth);
    memref::StoreOp::create(b, loc, sum, corrections, ValueRange{i, zero});
  });
}

/// The block's row that a register tile of its `rows` rows begins at.
Value ContractionEmitter::firstRow(OpBuilder &b, Value tile, Value rows) {
  return arith::DivUIOp::create(b, loc, arith::MulIOp::create(b, loc, tile, rows), registerTiles);
}

/// Each tile alone takes all steps, so that results are written while the next is computed; or all tiles take
/// turns, because there are too many steps or few rows.
ContractionEmitter::Turns ContractionEmitter::turnsOf(OpBuilder &b, Value rows) {
  Turns turns{cutsSteps() ? registerTiles : constant(b, 1), constant(b, std::min(steps, blockSteps))};
  if (!cutsFew())
    return turns;
  Value few = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ule, rows, constant(b, fewRows));
  Value several = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, rows, constant(b, 1));
  Value isFew = arith::AndIOp::create(b, loc, few, several);
  return {arith::SelectOp::create(b, loc, isFew, registerTiles, turns.tiles),
          arith::SelectOp::create(b, loc, isFew, constant(b, fewSteps), turns.steps)};
}

/// `body` for the parts of [begin, end) that have `size` elements, the last one perhaps fewer.
void ContractionEmitter::forParts(OpBuilder &b, Value begin, Value end, Value size,
                                  function_ref<void(OpBuilder &, Value from, Value to)> body) {
  scf::ForOp::create(
      b, loc, begin, end, size, ValueRange(), [&](OpBuilder &b, Location loc, Value from, ValueRange) {
        Value to = arith::MinUIOp::create(b, loc, arith::AddIOp::create(b, loc, from, size), end);
        body(b, from, to);
        scf::YieldOp::create(b, loc);
      });
}

void ContractionEmitter::emitPanel(OpBuilder &b, Value panel, Value row, Value rows, Input input) {
  Value zero = constant(b, 0), one = constant(b, 1), allSteps = constant(b, steps);
  Turns turns = turnsOf(b, rows);
  forParts(b, zero, registerTiles, turns.tiles, [&](OpBuilder &b, Value firstTile, Value lastTile) {
    Value first = firstRow(b, firstTile, rows), last = firstRow(b, lastTile, rows);
    for (size_t root = 0; root < roots.size(); ++root)
      forParts(b, zero, allSteps, turns.steps, [&](OpBuilder &b, Value from, Value to) {
        forParts(b, firstTile, lastTile, one, [&](OpBuilder &b, Value number, Value next) {
          Value begin = firstRow(b, number, rows), end = firstRow(b, next, rows);
          Rows tile{begin, arith::SubIOp::create(b, loc, end, begin), number,
                    arith::SubIOp::create(b, loc, begin, first)};
          multiply(b, root, panel, input, tile, from, to);
        });
      });
    emitEpilogue(b, panel, arith::AddIOp::create(b, loc, row, first),
                 arith::SubIOp::create(b, loc, last, first), zero);
  });
}

/// One row and `rowPanels` panels from `panel` on, whose sums are rows of `tiles`.
void ContractionEmitter::emitRow(OpBuilder &b, Value panel, Value row, Input input) {
  MicroKernel kernel(loc, lanes, tileColumns / lanes, depth, kFewUnroll, integers);
  int64_t vectors = kernel.rowVectors();
  for (auto [root, tile] : llvm::zip_equal(roots, tiles)) {
    Value weight = context.argument(root.weight->get());
    SmallVector<MicroKernel::Columns> streams;
    for (int64_t i = 0; i < rowPanels; ++i)
      streams.push_back({weight, {addIndex(b, loc, panel, i)}, constant(b, 0)});
    SmallVector<Value> sums = kernel.zeros(b, rowPanels);
    if (corrections)
      std::fill(sums.begin(), sums.end(), correctionOf(b, kernel, constant(b, 0)));
    sums = kernel.run(b, {input.memref, {{input.firstRow}}}, streams, constant(b, 0), constant(b, steps),
                      steps % kFewUnroll == 0, sums);
    for (auto [n, sum] : llvm::enumerate(sums))
      vector::StoreOp::create(b, loc, sum, tile,
                              ValueRange{constant(b, n / vectors), constant(b, n % vectors * lanes)});
  }
  forLoop(b, constant(b, 0), constant(b, rowPanels), 1, [&](OpBuilder &b, Value i) {
    emitEpilogue(b, arith::AddIOp::create(b, loc, panel, i), row, constant(b, 1), i);
  });
}

/// The sums of a register tile, by the loop for its number of rows.
void ContractionEmitter::multiply(OpBuilder &b, size_t root, Value panel, Input input, Rows tile,
                                  Value firstStep, Value lastStep) {
  SmallVector<Loop> all = loops();
  // Loops of many tiles are numbered behind the others.
  auto numberOf = [&](Loop loop) { return loop.rows + (loop.isOfMany ? tileRows : 0); };
  Value number = tile.count;
  if (all.front().isOfMany) {
    Value isMany =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, registerTiles, constant(b, tilesOfMany()));
    Value isLarge =
        arith::CmpIOp::create(b, loc, arith::CmpIPredicate::uge, tile.count, constant(b, tileRows - 1));
    number = arith::SelectOp::create(b, loc, arith::AndIOp::create(b, loc, isMany, isLarge),
                                     addIndex(b, loc, number, tileRows), number);
  }
  // The region of the first is that of all numbers that are no case.
  SmallVector<int64_t> cases = llvm::map_to_vector(ArrayRef(all).drop_front(), numberOf);
  auto choice = scf::IndexSwitchOp::create(b, loc, TypeRange(), number, cases, cases.size());
  for (auto [region, loop] : llvm::zip_equal(choice->getRegions(), all)) {
    OpBuilder inside = OpBuilder::atBlockBegin(&region.emplaceBlock());
    emitRegisterTile(inside, root, panel, input, tile, loop, firstStep, lastStep);
    scf::YieldOp::create(inside, loc);
  }
}

/// Places that a register tile asks for in a turn: all that it reads in one where that is little beside its
/// products, of which those of integers have no registers to spare.
int64_t ContractionEmitter::placesAhead(Loop loop) const {
  if (loop.isOfMany)
    return 1;
  return std::min({linesOf(kFewUnroll), loop.rows, integers ? int64_t(1) : int64_t(4)});
}

/// What a register tile asks for of the weights that all rows need next, behind the steps that they need now.
/// Each tile takes its share, so that they come from memory evenly: while a first tile waits for it, and
/// while the others find theirs in the cache.
MicroKernel::Ahead ContractionEmitter::aheadOf(OpBuilder &b, Value weight, Value panel, Value tile, Loop loop,
                                               Value firstStep, Value lastStep) {
  auto type = cast<MemRefType>(weight.getType());
  int64_t step = type.getShape().back(), line = 8 * kLineBytes / type.getElementTypeBitWidth();
  int64_t places = placesAhead(loop), turn = stepsOfTurn(loop);
  Value stride = arith::CeilDivUIOp::create(b, loc, constant(b, turn * step / places), registerTiles);
  // Tiles too few to ask for all leave it: a part of the stream in the cache would only break it. Then it is
  // the same line each time, which costs nothing that could be measured.
  Value areFew = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ugt, stride, constant(b, line));
  stride = arith::SelectOp::create(b, loc, areFew, constant(b, 0), stride);
  // Of several loops LLVM would keep all that they ask for in registers from outside of them.
  if (loops().front().isOfMany)
    stride = MicroKernel::opaqueIndex(b, loc, stride, /*staysInLoop=*/true);
  Value count = arith::SubIOp::create(b, loc, lastStep, firstStep);
  Value all = arith::MulIOp::create(b, loc, arith::DivUIOp::create(b, loc, count, constant(b, turn)),
                                    constant(b, places));
  Value before = arith::MulIOp::create(b, loc, arith::MulIOp::create(b, loc, tile, all), stride);
  Value first =
      arith::AddIOp::create(b, loc, arith::MulIOp::create(b, loc, count, constant(b, step)), before);
  return {weight, {panel, firstStep}, first, stride, places};
}

/// What the sums of row `row` of the block start from.
Value ContractionEmitter::correctionOf(OpBuilder &b, const MicroKernel &kernel, Value row) {
  Value start = memref::LoadOp::create(b, loc, corrections, ValueRange{row, constant(b, 0)});
  return vector::BroadcastOp::create(b, loc, kernel.sumType(b), start);
}

/// The accumulators of `tile`'s rows, of which `loop` is for so many, over the steps [firstStep, lastStep)
/// of k.
void ContractionEmitter::emitRegisterTile(OpBuilder &b, size_t root, Value panel, Input input, Rows tile,
                                          Loop loop, Value firstStep, Value lastStep) {
  int64_t count = loop.rows, turn = stepsOfTurn(loop);
  MicroKernel kernel(loc, lanes, tileColumns / lanes, depth, turn, integers);
  Value weight = context.argument(roots[root].weight->get());
  int64_t vectors = kernel.rowVectors();
  SmallVector<Value> sums = kernel.zeros(b, count), tileRow;
  MicroKernel::Rows rows{input.memref, {}};
  Value base = arith::AddIOp::create(b, loc, input.firstRow, tile.first);
  for (int64_t i = 0; i < count; ++i) {
    rows.leading.push_back({addIndex(b, loc, base, i)});
    tileRow.push_back(addIndex(b, loc, tile.sums, i));
    if (!corrections)
      continue;
    std::fill_n(sums.begin() + i * vectors, vectors,
                correctionOf(b, kernel, addIndex(b, loc, tile.first, i)));
  }
  if (cutsSteps() || cutsFew()) {
    // Sums of earlier steps.
    Value isFirst = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, firstStep, constant(b, 0));
    auto start = scf::IfOp::create(
        b, loc, isFirst, [&](OpBuilder &b, Location loc) { scf::YieldOp::create(b, loc, sums); },
        [&](OpBuilder &b, Location loc) {
          SmallVector<Value> held;
          for (int64_t n = 0; n < count * vectors; ++n)
            held.push_back(
                vector::LoadOp::create(b, loc, kernel.sumType(b), tiles[root],
                                       ValueRange{tileRow[n / vectors], constant(b, n % vectors * lanes)}));
          scf::YieldOp::create(b, loc, held);
        });
    sums = SmallVector<Value>(start.getResults());
  }
  bool isWhole =
      steps % turn == 0 && (!cutsSteps() || blockSteps % turn == 0) && (!cutsFew() || fewSteps % turn == 0);
  // One row asks for what it reads itself.
  std::optional<MicroKernel::Ahead> ahead;
  if (count > 1 && !(integers && integers->parts() > 1))
    ahead = aheadOf(b, weight, panel, tile.number, loop, firstStep, lastStep);
  sums = kernel.run(b, rows, MicroKernel::Columns{weight, {panel}, constant(b, 0)}, firstStep, lastStep,
                    isWhole, sums, ahead ? &*ahead : nullptr);
  for (auto [n, sum] : llvm::enumerate(sums))
    vector::StoreOp::create(b, loc, sum, tiles[root],
                            ValueRange{tileRow[n / vectors], constant(b, n % vectors * lanes)});
}

/// The rest of the dispatch for some rows, whose sums stand in `tiles` from row `sums` on.
void ContractionEmitter::emitEpilogue(OpBuilder &b, Value panel, Value row, Value rows, Value sums) {
  Evaluator evaluator(context, lanes);
  int64_t rank = cast<RankedTensorType>(result.getType()).getRank();
  SmallVector<bool> varies(rank, false);
  varies.back() = true;
  for (Projection &root : roots)
    evaluator.setKnown(root.op.getResult(0), panel); // any value: what is known is not looked into
  bool vectors = lanes > 1 && evaluator.canVectorize(result, varies);
  int64_t size = vectors ? lanes : 1;
  Value column = arith::MulIOp::create(b, loc, panel, constant(b, tileColumns));
  Value left = arith::MinUIOp::create(b, loc, arith::SubIOp::create(b, loc, constant(b, columns), column),
                                      constant(b, tileColumns));
  forLoop(b, constant(b, 0), rows, 1, [&](OpBuilder &b, Value i) {
    SmallVector<Value> indices = delinearize(b, loc, arith::AddIOp::create(b, loc, row, i), leading);
    indices.push_back(Value());
    Value tileRow = arith::AddIOp::create(b, loc, sums, i);
    auto element = [&](OpBuilder &b, Value at, Value mask) {
      for (auto [root, tile] : llvm::zip(roots, tiles)) {
        Value sum = vectors ? Value(vector::LoadOp::create(b, loc, vectorOf(lanes, sumType()), tile,
                                                           ValueRange{tileRow, at}))
                            : Value(memref::LoadOp::create(b, loc, tile, ValueRange{tileRow, at}));
        evaluator.setKnown(root.op.getResult(0), sum);
      }
      evaluator.setMask(mask);
      indices.back() = arith::AddIOp::create(b, loc, column, at);
      SmallVector<LaneIndex> where = llvm::map_to_vector(indices, [](Value v) { return LaneIndex{v}; });
      where.back().lanes = vectors;
      Value value = evaluator.evaluate(b, result, where);
      storeElements(b, loc, vectors ? evaluator.broadcast(b, loc, value) : value, context.out(), indices,
                    mask);
      evaluator.setMask(Value());
    };
    Value rest = arith::RemUIOp::create(b, loc, left, constant(b, size));
    Value whole = arith::SubIOp::create(b, loc, left, rest);
    forLoop(b, constant(b, 0), whole, size, [&](OpBuilder &b, Value at) { element(b, at, Value()); });
    if (columns % size == 0)
      return;
    Value any = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::ne, rest, constant(b, 0));
    scf::IfOp::create(b, loc, any, [&](OpBuilder &b, Location loc) {
      element(b, whole, vector::CreateMaskOp::create(b, loc, vectorOf(lanes, b.getI1Type()), rest));
      scf::YieldOp::create(b, loc);
    });
  });
}

LogicalResult mlir::transformer::emitContraction(OpBuilder &b, KernelContext &context,
                                                 LoweringConfigAttr config) {
  int64_t columns = config.getTile()[1], depth = config.getBlock()[2];
  for (Projection &root : projectionsOf(context.spec)) {
    PackedAttr packed = PackedAttr::of(root.weightType());
    int64_t bias = biasOf(root.weightType().getElementType(), config);
    if (!packed || packed.getColumns() != columns || packed.getDepth() != depth || packed.getBias() != bias)
      return root.op.emitOpError("expected weights packed as ")
             << PackedAttr::get(b.getContext(), columns, depth, bias) << ", but got " << root.weightType();
  }
  ContractionEmitter(context, config).emit(b);
  return success();
}
