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

#include "codegen/CPU/RegisterTile.h"
#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/Projection.h"
#include "codegen/Passes.h"
#include "codegen/Tuning.h"

#include "llvm/Support/GlobPattern.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"

#define DEBUG_TYPE "transformer-select-strategy"

namespace mlir::transformer {
#define GEN_PASS_DEF_SELECTSTRATEGYPASS
#include "codegen/Passes.h.inc"
} // namespace mlir::transformer

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// Handing work to another thread costs about a microsecond; a piece should be worth
/// that, and this many cycles of multiplications with what else a kernel does are several.
constexpr int64_t kCyclesPerPiece = 2048;

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

/// One entry of the overrides file.
struct Override {
  std::string pattern;
  llvm::json::Object members;
  bool used = false;

  bool matches(StringRef name) const {
    llvm::Expected<llvm::GlobPattern> glob = llvm::GlobPattern::create(pattern);
    if (glob)
      return glob->match(name);
    llvm::consumeError(glob.takeError());
    return false;
  }
};

/// Caches that are less are none that this could plan with.
constexpr int64_t kLeastL1Bytes = 8 * 1024, kLeastL2Bytes = 64 * 1024;

/// Of a thread's stack, on which scratch stands: for a block of computed inputs or rows of queries with
/// their results, and for packed keys and values.
constexpr int64_t kScratchBytes = 512 * 1024, kPackedKeyBytes = 256 * 1024;
/// Rows of a block: enough to read weights from memory seldom, and the fewest where many cores want blocks.
constexpr int64_t kBlockRows = 516, kLeastBlockRows = 24;
/// The most where rows are computed: a thread that begins in the middle of a block computes all of it again.
constexpr int64_t kComputedBlockRows = 66;
/// The most of bytes, whose sums are made faster than their rows come from a second-level cache.
constexpr int64_t kByteBlockRows = 96;

/// Steps of k in a turn of a product loop: fewer would leave its own instructions.
constexpr int64_t kUnroll = 2;

/// Rows of floats that wait for weights more than for multiplications, at most.
constexpr int64_t kFewRows = 16;

/// Query rows of a task of attention, at most: enough that packing keys and values costs a few
/// percent, and a little more than a power of two, whose last few rows would make a task of
/// their own.
constexpr int64_t kAttentionRows = 516, kLeastAttentionRows = 66;
/// Of a register tile in attention.
constexpr int64_t kAttentionTileRows = 6;

/// Bytes of the keys of a decoding step's tile: with their values, and the next keys on
/// their way, a fraction of the second-level cache; and a small part of a range, whose
/// first tile nobody asks for in time. Heads that share keys multiply each longer. Where keys
/// are multiplied one after the other, they and their values are two streams by turns.
constexpr int64_t kDecodeBytes = 24 * 1024, kSharedDecodeBytes = 8 * 1024, kRowDecodeBytes = 4 * 1024;
/// Heads with which a key is multiplied as it is read; more load too many queries for it. Sums of the lanes
/// of two heads cost more than that gains where a key is fewer vectors.
constexpr int64_t kMostHeadsByRows = 2, kLeastVectorsByRows = 4;

/// Positions of a prompt that every core should have tasks of: one of attention, and so many of a product
/// that none waits long for those that have one more.
constexpr int64_t kPromptPositions = 512, kProductTasks = 8;
/// Tasks of each core in a decoding step's attention, which are short.
constexpr int64_t kDecodeTasks = 4;
/// Keys of a range at least: several microseconds of reading.
constexpr int64_t kSplitKeys = 256;

/// Whether one generic alone is the contraction, with an input and a weight from
/// outside: what `tiles` can make.
bool suitsTiles(func::FuncOp func) {
  linalg::GenericOp root = contractionOf(func);
  return root && projectionsOf(func).size() <= 1 &&
         llvm::all_of(root.getDpsInputs(), [](Value v) { return isa<BlockArgument>(v); });
}

struct SelectStrategy : transformer::impl::SelectStrategyPassBase<SelectStrategy> {
  using SelectStrategyPassBase::SelectStrategyPassBase;

  void runOnOperation() override {
    for (auto [option, least] : {std::pair<Option<int64_t> *, int64_t>(&l1Bytes, kLeastL1Bytes),
                                 {&l2Bytes, kLeastL2Bytes},
                                 {&cores, 1},
                                 {&fmaPipes, 1},
                                 {&fmaLatency, 1}})
      if (option->getValue() < least) {
        getOperation().emitError() << option->getArgStr() << ": expected at least " << least << ", but got "
                                   << option->getValue();
        return signalPassFailure();
      }
    std::vector<Override> list;
    if (failed(readOverrides(list)))
      return signalPassFailure();
    Tuning tuned;
    if (failed(readTuning(tuned)))
      return signalPassFailure();
    getOperation().walk(
        [&](LaunchOp launch) { launches[launch.getKernelAttr().getLeafReference()].push_back(launch); });
    for (func::FuncOp func : getOperation().getOps<func::FuncOp>()) {
      if (!isDispatch(func) || getConfig(func))
        continue;
      llvm::Expected<LoweringConfigAttr> measured = tuned.configOf(func, select(func));
      if (!measured) {
        getOperation().emitError() << tuning << ": " << llvm::toString(measured.takeError());
        return signalPassFailure();
      }
      LoweringConfigAttr config = *measured;
      for (Override &entry : list)
        if (entry.matches(func.getSymName()) && failed(apply(entry, func, config)))
          return signalPassFailure();
      func->setAttr(kConfigAttr, config);
    }
    for (const Override &entry : list)
      if (!entry.used) {
        getOperation().emitError("no dispatch is named \"")
            << entry.pattern << "\" as " << overrides << " says";
        return signalPassFailure();
      }
  }

  LogicalResult readOverrides(std::vector<Override> &list) {
    if (overrides.empty())
      return success();
    auto text = llvm::MemoryBuffer::getFile(overrides);
    if (!text)
      return getOperation().emitError("cannot read ") << overrides << ": " << text.getError().message();
    llvm::Expected<llvm::json::Value> json = llvm::json::parse((*text)->getBuffer());
    if (!json)
      return getOperation().emitError() << overrides << ": " << llvm::toString(json.takeError());
    llvm::json::Object *object = json->getAsObject();
    if (!object)
      return getOperation().emitError() << overrides << ": expected an object of dispatch names";
    for (auto &[key, value] : *object) {
      if (!value.getAsObject())
        return getOperation().emitError()
               << overrides << ": expected \"" << key.str() << "\" to have an object of config members";
      list.push_back({key.str(), *value.getAsObject()});
    }
    return success();
  }

  LogicalResult readTuning(Tuning &tuned) {
    if (tuning.empty())
      return success();
    llvm::Expected<Tuning> file = Tuning::read(tuning);
    if (!file)
      return getOperation().emitError() << llvm::toString(file.takeError());
    tuned = std::move(*file);
    return success();
  }

  LogicalResult apply(Override &entry, func::FuncOp func, LoweringConfigAttr &config) {
    entry.used = true;
    std::string name = config.getTemplateName().str();
    SmallVector<int64_t> tile(config.getTile());
    int64_t vector = config.getVector(), grain = config.getGrain();
    for (auto &[key, value] : entry.members) {
      StringRef member = key;
      std::optional<int64_t> number = value.getAsInteger();
      if (member == "template" && value.getAsString()) {
        name = value.getAsString()->str();
      } else if (member == "vector" && number) {
        vector = *number;
      } else if (member == "grain" && number) {
        grain = *number;
      } else if (llvm::json::Array *list = value.getAsArray();
                 member == "tile" && list && list->size() == 2) {
        for (auto [to, from] : llvm::zip(tile, *list))
          to = from.getAsInteger().value_or(0);
      } else {
        return func.emitError()
               << overrides << ": \"" << member
               << "\" is no member of a config with this value; use template, tile [rows, columns], "
                  "vector, grain";
      }
    }
    if (!suits(name, func, config))
      return func.emitError() << overrides << ": the template \"" << name
                              << "\" cannot make this dispatch; it is for " << config.getTemplateName();
    // More than a handful of vectors a lane is never meant, and costs compile time.
    auto within = [](int64_t value, int64_t most) { return value >= 1 && value <= most; };
    if (!within(tile[0], 64) || !within(tile[1], 64) || !within(vector, 64) || !llvm::isPowerOf2_64(vector) ||
        grain < 1)
      return func.emitError()
             << overrides
             << ": expected tile members of 1 to 64, a vector of 1 to 64 elements that is a power "
                "of two, and a grain of 1 or more";
    bool isContraction = name == "contraction";
    // What these emit is chosen for the registers there are.
    if ((isContraction || name == "attention") && vector > config.getVector())
      return func.emitError() << overrides << ": expected a vector of at most " << config.getVector()
                              << " elements, a register of the target, but got " << vector;
    if ((isContraction || name == "attention") && config.getBlock()[2] > 1 && vector != config.getVector())
      return func.emitError() << overrides << ": expected a vector of " << config.getVector()
                              << " elements, in which the target multiplies pairs, but got " << vector;
    if (name == "attention" && (tile[1] % vector != 0 || config.getBlock()[1] % tile[1] != 0))
      return func.emitError() << overrides << ": expected a tile whose columns are whole vectors and divide "
                              << config.getBlock()[1] << ", the keys of a block";
    if (isContraction && (tile[1] % vector != 0 || config.getBlock()[0] % tile[0] != 0))
      return func.emitError() << overrides
                              << ": expected a tile whose columns are whole vectors and whose rows divide "
                              << config.getBlock()[0] << ", the rows of a block";
    config = LoweringConfigAttr::get(
        &getContext(), name, tile, name == config.getTemplateName() ? config.getBlock() : ArrayRef<int64_t>(),
        vector, grain);
    return success();
  }

  /// Whether the template can make the dispatch that `chosen` was chosen for.
  bool suits(StringRef name, func::FuncOp func, LoweringConfigAttr chosen) {
    return name == chosen.getTemplateName() ||
           (name == "tiles" && chosen.getTemplateName() == "contraction" && suitsTiles(func));
  }

  /// Whether every launch reads argument `argument` from a weight in its own order:
  /// then it can be packed.
  bool isWeight(func::FuncOp func, Value argument) {
    auto block = dyn_cast<BlockArgument>(argument);
    auto found = launches.find(func.getSymNameAttr());
    if (!block || found == launches.end() || PackedAttr::of(argument.getType()))
      return false;
    return llvm::all_of(found->second, [&](LaunchOp launch) {
      return launch.getInputs()[block.getArgNumber()].getDefiningOp<UseOp>() != nullptr;
    });
  }

  /// The projections of the dispatch if the contraction template can make them.
  SmallVector<Projection> packable(func::FuncOp func) {
    SmallVector<Projection> roots = projectionsOf(func);
    for (Projection &root : roots)
      if (!isWeight(func, root.weight->get()) || root.input->get() != roots[0].input->get() ||
          root.weightType() != roots[0].weightType())
        return {};
    return roots;
  }

  /// Shares of the second-level cache, which holds all that a kernel works on for a while. A panel of weights
  /// stays for all rows of a block, beside the next one, which is on its way, and rows that are computed.
  /// Packed keys and values stay for all rows of queries; those and their results pass once for a tile of
  /// keys, from front to back, and may come from farther away.
  int64_t panelBytes() const { return l2Bytes / 4; }
  int64_t scratchBytes() const { return std::min<int64_t>(l2Bytes / 2, kScratchBytes); }
  int64_t queryBytes() const { return std::min<int64_t>(l2Bytes, kScratchBytes); }
  int64_t keyBytes() const { return std::min<int64_t>(l2Bytes / 4, kPackedKeyBytes); }
  /// Of a panel, what register tiles of few rows read in turn while the next is on its way.
  int64_t turnBytes() const { return l1Bytes * 3 / 8; }
  /// Keys whose scores, of a register tile's rows, stay in the first-level cache beside what else is read
  /// there.
  int64_t scoredKeys() const { return l1Bytes * 3 / 8 / (kAttentionTileRows * 4); }

  int64_t lanes() const { return std::max<int64_t>(vectorBytes / 4, 1); }

  /// The fewest tasks of a piece, where each is so many operations on vectors.
  int64_t grainOf(int64_t operationsPerTask) const {
    int64_t piece = kCyclesPerPiece * fmaPipes * lanes();
    return std::max<int64_t>(1, piece / std::max<int64_t>(operationsPerTask, 1));
  }

  /// The most rows of a task, of `least` and more, that leave every core `tasks` of a prompt's, which has
  /// `rows` rows and of each `parts` tasks.
  int64_t sharedRows(int64_t rows, int64_t parts, int64_t tasks, int64_t least) const {
    return std::max(rows * parts / (cores * tasks), least);
  }

  /// Steps of k in a turn of a product loop of floats. Of 16 registers most hold few sums, so that a step has
  /// nearly as many other instructions as products, and those of the loop itself are felt where instructions
  /// are what a core has too few of: when another thread runs on it.
  int64_t unroll() const { return vectorRegisters < 32 ? 2 * kUnroll : kUnroll; }

  /// Of bf16, in vectors of one width on each architecture: AVX512-BF16, BFDOT.
  bool multipliesPairs() const { return nativeBF16 && (vectorBytes == 64 || vectorBytes == 16); }

  LoweringConfigAttr selectContraction(ArrayRef<Projection> roots) {
    Projection root = roots[0];
    Type input = getElementTypeOrSelf(root.input->get().getType()),
         weight = root.weightType().getElementType();
    int64_t depth = multipliesPairs() && input.isBF16() && weight.isBF16() ? 2 : 1;
    if (root.isInteger())
      depth = int8Depth * (weight.isInteger(4) ? 2 : 1);
    auto [rows, vectors, rowPanels] =
        registerTile(root, {vectorRegisters, lanes(), int8Depth, fmaPipes, fmaLatency});
    int64_t columns = vectors * lanes();
    int64_t rowBytes = root.depth() * input.getIntOrFloatBitWidth() / 8;
    bool isWidened = root.isInteger() ? int8Depth != 4 : depth == 1 && !input.isF32();
    if (isWidened)
      rowBytes *= 2;
    // Rows that are computed stand on the stack; others are read where they are.
    bool isComputed = !isa<BlockArgument>(root.input->get()) || root.depth() % depth != 0 || isWidened;
    int64_t blockRows = root.isInteger() && lanes() == 16 ? kByteBlockRows
                        : isComputed                      ? kComputedBlockRows
                                                          : kBlockRows;
    int64_t panels = llvm::divideCeilSigned(root.columns(), columns);
    blockRows = std::min(blockRows, sharedRows(kPromptPositions, panels, kProductTasks, kLeastBlockRows));
    int64_t fit = isComputed ? scratchBytes() / std::max<int64_t>(rowBytes, 1) : blockRows;
    int64_t block = std::max(std::min(fit, blockRows) / rows, int64_t(1)) * rows;
    int64_t steps = llvm::divideCeilSigned(root.depth(), depth);
    int64_t stepBytes = columns * depth * weight.getIntOrFloatBitWidth() / 8;
    auto inParts = [&](int64_t most) -> int64_t {
      return llvm::alignTo(llvm::divideCeilSigned(steps, llvm::divideCeilSigned(steps, most)), unroll());
    };
    int64_t fewRows = root.isInteger() || root.rows() > kFewRows ? 1 : kFewRows;
    bool isPlain = input.isF32() && weight.isF32();
    return LoweringConfigAttr::get(&getContext(), "contraction", {rows, columns},
                                   {block, inParts(panelBytes() / stepBytes), depth, fewRows,
                                    inParts(turnBytes() / stepBytes), isPlain ? unroll() : kUnroll,
                                    rowPanels},
                                   lanes(), grainOf(root.depth() * columns));
  }

  /// Ranges of keys that a decoding step attends to apart, so that there are tasks for
  /// all threads; 1 where heads are enough or there cannot be keys for two ranges.
  int64_t splitsOf(AttentionOp op, int64_t kvHeads) const {
    auto query = cast<RankedTensorType>(op.getQuery().getType());
    int64_t keys = std::numeric_limits<int64_t>::max();
    if (op.getMask().getKind() == MaskKind::Window)
      keys = op.getMask().getWindow();
    if (op.getKey() && !cast<RankedTensorType>(op.getKey().getType()).isDynamicDim(1))
      keys = std::min(keys, cast<RankedTensorType>(op.getKey().getType()).getDimSize(1));
    if (query.getDimSize(1) != 1 || keys <= kSplitKeys)
      return 1;
    int64_t batch = query.isDynamicDim(0) ? 1 : std::max<int64_t>(query.getDimSize(0), 1);
    return std::max<int64_t>(kDecodeTasks * cores / (batch * kvHeads), 1);
  }

  /// Whether one position's keys of `words` words are multiplied one after the other with all of `group`
  /// query heads. AArch64 with its vectors of 16 bytes was not measured so.
  bool readsByRows(int64_t group, int64_t words) const {
    bool isX86 = vectorRegisters < 32 || vectorBytes == 64;
    return isX86 && (group == 1 || (group <= kMostHeadsByRows && words >= kLeastVectorsByRows * lanes()));
  }

  LoweringConfigAttr selectAttention(AttentionOp op) {
    auto query = cast<RankedTensorType>(op.getQuery().getType());
    int64_t kvHeads = op.getCache() ? op.getCache().getType().getHeads()
                                    : cast<RankedTensorType>(op.getKey().getType()).getDimSize(2);
    Type keys =
        op.getCache() ? op.getCache().getType().getElement() : getElementTypeOrSelf(op.getKey().getType());
    Type values = op.getCache() ? keys : getElementTypeOrSelf(op.getValue().getType());
    int64_t group = query.getDimSize(2) / kvHeads, headDim = query.getDimSize(3);
    // The weights of the softmax are rounded to bf16 for them: not where the result is wider.
    bool dots = multipliesPairs() && getElementTypeOrSelf(op.getType()).isBF16() &&
                query.getElementType().isBF16() && keys.isBF16() && values.isBF16() && headDim % 2 == 0;
    int64_t columns = lanes() * (vectorRegisters >= 32 ? 4 : 2);
    // Rows enough that packing keys costs little beside multiplying them.
    int64_t rows =
        llvm::alignTo(std::min(queryBytes() / (headDim * 8), sharedRows(kPromptPositions * group, kvHeads,
                                                                        /*tasks=*/1, kLeastAttentionRows)),
                      kAttentionTileRows);
    rows = std::min(rows, kAttentionRows);
    int64_t positions = query.getDimSize(1) == 1 ? 1 : std::max<int64_t>(rows / group, 1);
    // A few hundred keys and queries are the common case.
    int64_t operations = positions * group * headDim * 1024;
    // Both are packed in the type they are multiplied in.
    int64_t bytesOfKey = 2 * headDim * (dots ? 2 : 4);
    if (!op.getCache() && !(isa<BlockArgument>(op.getKey()) && isa<BlockArgument>(op.getValue())))
      bytesOfKey *= 2; // rows that are computed stand beside them
    int64_t most = std::max(scoredKeys(), 2 * columns);
    int64_t block = std::clamp(keyBytes() / bytesOfKey, 2 * columns, most) / columns * columns;
    bool byRows = positions == 1 && readsByRows(group, headDim / (dots ? 2 : 1));
    if (positions == 1) {
      int64_t bytes = headDim * keys.getIntOrFloatBitWidth() / 8;
      int64_t ofTile = byRows ? kRowDecodeBytes : group > 1 ? kSharedDecodeBytes : kDecodeBytes;
      block = std::clamp(ofTile / bytes / columns, int64_t(1), most / columns) * columns;
    }
    return LoweringConfigAttr::get(&getContext(), "attention", {kAttentionTileRows, columns},
                                   {positions, block, dots ? 2 : 1, deterministic ? block : 1,
                                    splitsOf(op, kvHeads), kSplitKeys, dots ? kUnroll : unroll(), byRows},
                                   lanes(), grainOf(operations));
  }

  LoweringConfigAttr select(func::FuncOp func) {
    Operation *output = outputOf(func);
    auto config = [&](StringRef name, ArrayRef<int64_t> tile, int64_t operationsPerTask) {
      return LoweringConfigAttr::get(&getContext(), name, tile, {}, lanes(), grainOf(operationsPerTask));
    };
    if (auto attention = dyn_cast<AttentionOp>(output))
      return selectAttention(attention);
    if (auto append = dyn_cast<CacheAppendOp>(output))
      return config("cache_append", {1, 1}, append.getCache().getType().getHeadDim() * 2);
    if (SmallVector<Projection> roots = packable(func); !roots.empty())
      return selectContraction(roots);
    linalg::GenericOp contraction = contractionOf(func);
    auto type = cast<RankedTensorType>(output->getResult(0).getType());
    if (!contraction) {
      int64_t row = type.getRank() == 0 || type.isDynamicDim(type.getRank() - 1) ? 1 : type.getShape().back();
      int64_t passes = 0;
      func.walk([&](linalg::GenericOp) { ++passes; });
      return config("rows", {1, lanes()}, row * std::max<int64_t>(passes, 1) * 4);
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

  DenseMap<Attribute, SmallVector<LaunchOp>> launches;
};

} // namespace
