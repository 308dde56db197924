//===- Tune.cpp - tfopt MODEL --tune --------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tune/Tune.h"

#include "codegen/CPU/Templates.h"
#include "codegen/Common/DispatchUtils.h"
#include "codegen/Common/EntryInfo.h"
#include "codegen/Common/Projection.h"
#include "tools/tune/Candidates.h"
#include "tools/tune/Trial.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SmallSet.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Threading.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// A config replaces the chosen one where it is faster by this, which repeated runs
/// do not differ by.
constexpr double kLeastSpeedup = 1.03;
/// Relative to the largest element; a narrow result may round the other way.
constexpr double kTolerance = 1e-5, kNarrowTolerance = 1e-2;
/// Positions of a prompt, and those that caches hold while decoding.
constexpr int64_t kPrompts[] = {128, 512};
constexpr int64_t kCached = 256, kMostContext = 1024;
/// Bytes of weights that trials open at once may hold.
constexpr int64_t kOpenBytes = int64_t(1) << 30;
/// Copies of weights at most, of those that the model reads from memory.
constexpr int64_t kMostCopies = 16;
constexpr int64_t kStageRounds = 9, kFinalRounds = 25;

llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

double median(std::vector<double> values) {
  auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Whether results agree, relative to the largest of them.
bool isClose(const std::vector<float> &result, const std::vector<float> &expected, double tolerance) {
  if (result.size() != expected.size())
    return false;
  double largest = 0, error = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    if (!std::isfinite(result[i]) || !std::isfinite(expected[i]))
      return false;
    largest = std::max<double>(largest, std::abs(expected[i]));
    error = std::max<double>(error, std::abs(result[i] - expected[i]));
  }
  return error <= tolerance * largest;
}

/// Bytes of the last-level cache that a core sees; the C library tells those of a whole
/// package.
int64_t cacheBytes() {
  int64_t kibibytes = 0;
  if (auto text = llvm::MemoryBuffer::getFileAsStream("/sys/devices/system/cpu/cpu0/cache/index3/size"))
    (*text)->getBuffer().trim().rtrim('K').getAsInteger(10, kibibytes);
  return (kibibytes > 0 ? kibibytes : 32 * 1024) * 1024;
}

/// A folder that goes with it.
struct TemporaryFolder {
  llvm::SmallString<128> path;

  llvm::Error make() {
    std::error_code code = llvm::sys::fs::createUniqueDirectory("tfopt-tune", path);
    return code ? makeError("no temporary folder: " + code.message()) : llvm::Error::success();
  }
  ~TemporaryFolder() {
    if (!path.empty())
      llvm::sys::fs::remove_directories(path);
  }
};

/// What the search of one dispatch found.
struct Found {
  LoweringConfigAttr config;
  double speedup = 1; ///< over all shapes; the less of two measurements
  /// Seconds of the chosen config and of the best, at the last of the shapes.
  double before = 0, after = 0;
  int64_t positions = 1;
  int64_t configs = 1;
};

/// Searches the configs of one dispatch.
class Search {
public:
  Search(const DispatchModule &source, LoweringConfigAttr chosen, const TuneOptions &options,
         Clock::time_point deadline, bool isCold, bool isBusy, bool sharesWeights)
      : source(source), chosen(chosen), options(options), deadline(deadline), isCold(isCold), isBusy(isBusy) {
    limits.keepsColumns = sharesWeights;
  }

  llvm::Expected<Found> run(const CPUTarget &target);

private:
  void setLimits(const CPUTarget &target);
  bool isOver() const { return Clock::now() >= deadline; }
  std::unique_ptr<Trial> tryMake(LoweringConfigAttr config);
  llvm::Error searchStage(Stage stage);
  llvm::Error searchTogether();
  llvm::Expected<double> confirm();
  /// Times of each trial beside the first: the mean over shapes of its speedup, or 0
  /// where its results differ.
  llvm::Expected<std::vector<double>> compare(llvm::ArrayRef<Trial *> trials, int64_t rounds);
  llvm::Error compareAt(llvm::ArrayRef<Trial *> trials, int64_t positions, int64_t rounds,
                        std::vector<double> &speedups);

  const DispatchModule &source;
  LoweringConfigAttr chosen;
  const TuneOptions &options;
  Clock::time_point deadline;
  /// Whether weights are read from memory, as the model has more than caches hold.
  bool isCold;
  /// Whether others have the cores: what several threads take is chance then.
  bool isBusy;
  int64_t copies = 1;
  int threads = 1;
  TemporaryFolder folder;
  CandidateLimits limits;
  SmallVector<int64_t> shapes;
  int64_t context = kMostContext, bytes = 0;
  std::unique_ptr<Trial> base, best; ///< `best` is null while nothing is better
  double bestSpeedup = 1;
  llvm::SmallPtrSet<const void *, 16> tried;
  Found found;
};

} // namespace

void Search::setLimits(const CPUTarget &target) {
  limits.registers = target.vectorRegisters();
  limits.manyRows = source.hasPositions;
  if (SmallVector<Projection> roots = projectionsOf(source.dispatch()); !roots.empty()) {
    limits.columns = roots[0].columns();
    limits.depth = roots[0].depth();
  }
  if (auto facts = source.module.get()->getAttrOfType<DictionaryAttr>(kModelAttr))
    if (auto most = facts.getAs<IntegerAttr>("max_positions"))
      context = std::clamp<int64_t>(most.getInt(), 1, context);
  for (RankedTensorType type : source.weights)
    bytes += type.getNumElements() * type.getElementTypeBitWidth() / 8;
  if (!source.hasPositions) {
    // Two trials in turn read more than the caches hold; small weights stay there in part.
    if (isCold && bytes > 0 && !source.hasCache)
      copies = std::clamp<int64_t>(llvm::divideCeilSigned(cacheBytes(), bytes), 1, kMostCopies);
    bytes *= copies;
    shapes.push_back(1);
    return;
  }
  int64_t most = std::min(options.compile.chunk, context);
  for (int64_t positions : kPrompts)
    if (int64_t possible = std::min(positions, most); !llvm::is_contained(shapes, possible))
      shapes.push_back(possible);
}

/// Null where the config cannot be emitted: then it is none to choose.
std::unique_ptr<Trial> Search::tryMake(LoweringConfigAttr config) {
  llvm::Expected<std::unique_ptr<Trial>> trial =
      Trial::make(source, config, folder.path, options.compile, context, copies, threads);
  if (trial)
    return std::move(*trial);
  llvm::consumeError(trial.takeError());
  return nullptr;
}

llvm::Error Search::compareAt(llvm::ArrayRef<Trial *> trials, int64_t positions, int64_t rounds,
                              std::vector<double> &speedups) {
  TrialInputs inputs = trials[0]->inputsFor(positions);
  int64_t cached = positions == 1 ? std::min(kCached, context / 2) : 0;
  std::vector<float> expected;
  double once = 0;
  for (auto [i, trial] : llvm::enumerate(trials)) {
    trial->reset();
    for (int warm = 0; warm < 2; ++warm) {
      llvm::Expected<double> seconds = trial->time(inputs, cached, 1);
      if (!seconds)
        return seconds.takeError();
      if (i == 0)
        once = *seconds;
    }
    std::vector<float> output = trial->output();
    if (i == 0)
      expected = output;
    if (!isClose(output, expected, trial->isNarrow() ? kNarrowTolerance : kTolerance))
      speedups[i] = 0;
  }
  // A sample is long beside the clock and the threads' wake.
  int64_t calls = positions > 1 && source.hasCache ? 1 : std::clamp<int64_t>(3e-4 / once, copies, 16);
  std::vector<std::vector<double>> samples(trials.size());
  for (int64_t round = 0; round < rounds && (round < 3 || !isOver()); ++round)
    for (size_t n = 0; n < trials.size(); ++n) {
      size_t i = (n + round) % trials.size();
      llvm::Expected<double> seconds = trials[i]->time(inputs, cached, calls);
      if (!seconds)
        return seconds.takeError();
      samples[i].push_back(*seconds / calls);
    }
  found.positions = positions;
  found.before = median(samples.front());
  found.after = median(samples.back());
  for (size_t i = 0; i < trials.size(); ++i) {
    // Of pairs: what slows the machine down for a while slows both of one.
    std::vector<double> ratios;
    for (auto [first, other] : llvm::zip(samples.front(), samples[i]))
      ratios.push_back(first / other);
    speedups[i] *= median(std::move(ratios));
  }
  return llvm::Error::success();
}

llvm::Expected<std::vector<double>> Search::compare(llvm::ArrayRef<Trial *> trials, int64_t rounds) {
  std::vector<double> speedups(trials.size(), 1);
  for (int64_t positions : shapes)
    if (llvm::Error error = compareAt(trials, positions, rounds, speedups))
      return std::move(error);
  for (double &speedup : speedups)
    speedup = std::pow(speedup, 1.0 / shapes.size());
  return speedups;
}

llvm::Error Search::searchStage(Stage stage) {
  SmallVector<LoweringConfigAttr> configs = candidatesOf(best ? best->config : chosen, chosen, stage, limits);
  size_t atOnce = std::clamp<int64_t>(kOpenBytes / std::max<int64_t>(bytes, 1) - 2, 1, 6);
  for (size_t next = 0; next < configs.size() && !isOver();) {
    std::vector<std::unique_ptr<Trial>> made;
    for (; next < configs.size() && made.size() < atOnce && !isOver(); ++next)
      if (tried.insert(configs[next].getAsOpaquePointer()).second)
        if (std::unique_ptr<Trial> trial = tryMake(configs[next]))
          made.push_back(std::move(trial));
    if (made.empty())
      continue;
    found.configs += made.size();
    SmallVector<Trial *> trials{base.get()};
    for (const std::unique_ptr<Trial> &trial : made)
      trials.push_back(trial.get());
    if (best)
      trials.push_back(best.get());
    llvm::Expected<std::vector<double>> speedups = compare(trials, kStageRounds);
    if (!speedups)
      return speedups.takeError();
    if (best)
      bestSpeedup = speedups->back();
    for (size_t i = 0; i < made.size(); ++i)
      if ((*speedups)[i + 1] > bestSpeedup * 1.01) {
        bestSpeedup = (*speedups)[i + 1];
        best = std::move(made[i]);
      }
  }
  return llvm::Error::success();
}

llvm::Expected<Found> Search::run(const CPUTarget &target) {
  setLimits(target);
  if (llvm::Error error = folder.make())
    return std::move(error);
  if (llvm::Error error = writeRandomWeights(folder.path, source.weights))
    return std::move(error);
  llvm::Expected<std::unique_ptr<Trial>> trial =
      Trial::make(source, chosen, folder.path, options.compile, context, copies, threads);
  if (!trial)
    return trial.takeError();
  base = std::move(*trial);
  tried.insert(chosen.getAsOpaquePointer());
  // One thread tells kernels apart, whatever else runs.
  for (Stage stage : {Stage::Tile, Stage::Rows, Stage::Steps})
    if (llvm::Error error = searchStage(stage))
      return std::move(error);
  llvm::Expected<double> alone = confirm();
  if (!alone)
    return alone.takeError();
  found.speedup = *alone;
  if (*alone < kLeastSpeedup)
    best = nullptr;
  if (!isBusy)
    if (llvm::Error error = searchTogether())
      return std::move(error);
  found.config = best ? best->config : chosen;
  return found;
}

/// What was the best of many is so by chance in part: twice more, alone.
llvm::Expected<double> Search::confirm() {
  SmallVector<Trial *> trials{base.get()};
  if (best)
    trials.push_back(best.get());
  double speedup = std::numeric_limits<double>::infinity();
  for (int repeat = 0; repeat < (best ? 2 : 1); ++repeat) {
    llvm::Expected<std::vector<double>> speedups = compare(trials, kFinalRounds);
    if (!speedups)
      return speedups.takeError();
    speedup = std::min(speedup, speedups->back());
  }
  return speedup;
}

/// With all threads: whether they agree, and how much work is worth handing over.
llvm::Error Search::searchTogether() {
  threads = 0;
  std::unique_ptr<Trial> alone = std::move(best);
  for (Trial *trial : {base.get(), alone.get()})
    if (trial)
      if (llvm::Error error = trial->setThreads(threads))
        return error;
  best = std::move(alone);
  if (best) {
    llvm::Expected<double> speedup = confirm();
    if (!speedup)
      return speedup.takeError();
    found.speedup = *speedup;
    if (*speedup < 1)
      best = nullptr;
  }
  LoweringConfigAttr before = best ? best->config : chosen;
  double speedupBefore = bestSpeedup = best ? found.speedup : 1;
  if (llvm::Error error = searchStage(Stage::Grain))
    return error;
  if (!best || best->config == before)
    return llvm::Error::success();
  llvm::Expected<double> speedup = confirm();
  if (!speedup)
    return speedup.takeError();
  if (*speedup >= std::max(kLeastSpeedup, speedupBefore)) {
    found.speedup = *speedup;
    return llvm::Error::success();
  }
  best = before == chosen ? nullptr : tryMake(before);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

/// The config that select-strategy gives the dispatch.
static llvm::Expected<LoweringConfigAttr> chosenConfig(const DispatchModule &source, const CPUTarget &target,
                                                       const LoweringOptions &options) {
  OwningOpRef<ModuleOp> module(cast<ModuleOp>(source.module.get()->clone()));
  if (llvm::Error error = lowerModule(*module, target, options, "strategy"))
    return std::move(error);
  return getConfig(cast<func::FuncOp>(SymbolTable::lookupSymbolIn(*module, source.name)));
}

/// Launches of dispatches that templates with something to choose may make, one each.
static SmallVector<LaunchOp> launchesToTune(ModuleOp module) {
  SmallVector<LaunchOp> launches;
  llvm::StringSet<> seen;
  module.walk([&](LaunchOp launch) {
    auto func = dyn_cast_or_null<func::FuncOp>(SymbolTable::lookupSymbolIn(module, launch.getKernel()));
    if (!func || !seen.insert(launch.getKernel()).second)
      return;
    if (isa<AttentionOp>(outputOf(func)) || !projectionsOf(func).empty())
      launches.push_back(launch);
  });
  return launches;
}

/// Bytes of the weights that entry points read.
static int64_t weightBytes(ModuleOp module) {
  DenseMap<Attribute, int64_t> bytes;
  module.walk([&](UseOp use) {
    auto type = cast<RankedTensorType>(use.getType());
    if (type.getElementType().isIntOrFloat())
      bytes[use.getWeightAttr()] = type.getNumElements() * type.getElementTypeBitWidth() / 8;
  });
  int64_t sum = 0;
  for (auto [symbol, size] : bytes)
    sum += size;
  return sum;
}

/// Kernels that read a weight which another of `launches` reads too.
static llvm::StringSet<> sharingWeights(ModuleOp module, ArrayRef<LaunchOp> launches) {
  llvm::StringSet<> kernels, sharing;
  for (LaunchOp launch : launches)
    if (!isa<AttentionOp>(
            outputOf(cast<func::FuncOp>(SymbolTable::lookupSymbolIn(module, launch.getKernel())))))
      kernels.insert(launch.getKernel());
  DenseMap<Attribute, llvm::StringSet<>> readers;
  module.walk([&](LaunchOp launch) {
    for (Value input : launch.getInputs())
      if (auto use = input.getDefiningOp<UseOp>();
          use && kernels.contains(launch.getKernel()) && cast<RankedTensorType>(use.getType()).getRank() == 2)
        readers[use.getWeightAttr()].insert(launch.getKernel());
  });
  for (auto &[weight, names] : readers)
    if (names.size() > 1)
      for (auto &name : names)
        sharing.insert(name.getKey());
  return sharing;
}

static std::string membersOf(LoweringConfigAttr config) {
  return llvm::formatv("tile [{0:$[, ]}] block [{1:$[, ]}] grain {2}",
                       llvm::make_range(config.getTile().begin(), config.getTile().end()),
                       llvm::make_range(config.getBlock().begin(), config.getBlock().end()),
                       config.getGrain())
      .str();
}

static void reportFound(llvm::raw_ostream &os, StringRef name, LoweringConfigAttr chosen,
                        const Found &found) {
  os << llvm::formatv("tune: {0}: {1:f1} us", name, found.before * 1e6);
  if (found.config == chosen)
    os << llvm::formatv(", kept (best of {0} configs: {1:f3}x)", found.configs, found.speedup);
  else
    os << llvm::formatv(" -> {0:f1} us at {1} positions, {2:f3}x with {3} instead of {4} ({5} configs)",
                        found.after * 1e6, found.positions, found.speedup, membersOf(found.config),
                        membersOf(chosen), found.configs);
  os << '\n';
}

llvm::Expected<Tuning> mlir::transformer::tuneModel(ModuleOp module, const TuneOptions &given) {
  auto start = Clock::now();
  TuneOptions options = given;
  llvm::raw_null_ostream nowhere;
  llvm::raw_ostream &report = options.report ? *options.report : nowhere;
  llvm::Expected<CPUTarget> target = CPUTarget::resolve(options.compile.mcpu, options.compile.mtriple);
  if (!target)
    return target.takeError();
  options.compile.strategyFile.clear();
  options.compile.tuningFile.clear();
  options.compile.cacheFolder.clear();
  options.compile.noWeights = false; // a trial has its own
  options.compile.progress = false;
  options.compile.notes = nullptr;
  if (llvm::Error error = lowerModule(module, *target, options.compile, "dispatch"))
    return std::move(error);
  options.compile.startAt = "strategy";

  Tuning tuning;
  tuning.cpu = target->cpu;
  tuning.features = target->features;
  bool isCold = weightBytes(module) > cacheBytes();
  double load = 0;
  bool isBusy = getloadavg(&load, 1) == 1 && load > 0.5 * llvm::hardware_concurrency().compute_thread_count();
  if (isBusy)
    report << "tune: the machine is busy, so that configs are compared on one thread and the grain stays\n";
  SmallVector<LaunchOp> launches = launchesToTune(module);
  llvm::StringSet<> sharing = sharingWeights(module, launches);
  auto end =
      start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds));
  for (auto [i, launch] : llvm::enumerate(launches)) {
    StringRef name = launch.getKernel();
    // The first is timed whatever the time is: a file without entries helps nobody.
    if (i > 0 && Clock::now() >= end) {
      report << "tune: the time is over before " << name << "; dispatches left: " << launches.size() - i
             << '\n';
      break;
    }
    llvm::Expected<DispatchModule> source = makeDispatchModule(launch);
    if (!source) {
      report << "tune: " << name << ": left out: " << llvm::toString(source.takeError()) << '\n';
      continue;
    }
    llvm::Expected<LoweringConfigAttr> chosen = chosenConfig(*source, *target, options.compile);
    if (!chosen)
      return chosen.takeError();
    if ((*chosen).getTemplateName() != "contraction" && (*chosen).getTemplateName() != "attention")
      continue;
    auto deadline = Clock::now() + (end - Clock::now()) / static_cast<int64_t>(launches.size() - i);
    llvm::Expected<Found> found =
        Search(*source, *chosen, options, deadline, isCold, isBusy, sharing.contains(name)).run(*target);
    if (!found)
      return makeError("tuning " + name + ": " + llvm::toString(found.takeError()));
    reportFound(report, name, *chosen, *found);
    TunedConfig &entry = tuning.dispatches[dispatchSignature(source->dispatch())] =
        TunedConfig::of(found->config);
    entry.name = name.str();
    entry.speedup = found->config == *chosen ? 1 : found->speedup;
  }
  if (tuning.dispatches.empty())
    return makeError("the model has no dispatch with a config to choose");
  return tuning;
}
