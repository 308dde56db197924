//===- VerifyNumerics.cpp - what each pass does to results ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/verify/VerifyNumerics.h"

#include "codegen/Common/FirstError.h"
#include "tools/interpret/HostTensors.h"
#include "tools/verify/ReduceLayers.h"
#include "tools/verify/Samples.h"
#include "weights/Error.h"

#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"

#include <cmath>

using namespace mlir;
using namespace mlir::transformer;

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

namespace {

/// The largest difference of two results, and that relative to the largest element.
struct Difference {
  double absolute = 0, relative = 0;

  void add(const Difference &other) {
    absolute = std::max(absolute, other.absolute);
    relative = std::max(relative, other.relative);
  }
};

} // namespace

static constexpr double kInfinite = std::numeric_limits<double>::infinity();

static Difference compareFloats(ArrayRef<double> before, ArrayRef<double> after) {
  double largest = 0;
  Difference difference;
  for (auto [a, b] : llvm::zip_equal(before, after)) {
    // Not a number is what a program must not read: it is never right in a result.
    if (a == b)
      largest = std::max(largest, std::isfinite(a) ? std::fabs(a) : 0.0);
    else if (!std::isfinite(a) || !std::isfinite(b))
      return {kInfinite, kInfinite};
    else {
      largest = std::max(largest, std::fabs(a));
      difference.absolute = std::max(difference.absolute, std::fabs(a - b));
    }
  }
  if (difference.absolute > 0)
    difference.relative = largest > 0 ? difference.absolute / largest : kInfinite;
  return difference;
}

static Difference compare(const Tensor &before, const Tensor &after) {
  if (before.getShape() != after.getShape() || before.isFloat() != after.isFloat())
    return {kInfinite, kInfinite};
  if (before.isFloat())
    return compareFloats(before.getFloats(), after.getFloats());
  return before.getInts() == after.getInts() ? Difference() : Difference{kInfinite, kInfinite};
}

static Difference compare(const RuntimeValue &before, const RuntimeValue &after) {
  if (before.index() != after.index())
    return {kInfinite, kInfinite};
  if (auto *a = std::get_if<Tensor>(&before))
    return compare(*a, std::get<Tensor>(after));
  if (auto *a = std::get_if<KVCache>(&before)) {
    const auto &b = std::get<KVCache>(after);
    if (a->length != b.length)
      return {kInfinite, kInfinite};
    Difference difference = compare(a->keys, b.keys);
    difference.add(compare(a->values, b.values));
    return difference;
  }
  if (auto *a = std::get_if<double>(&before))
    return compareFloats(*a, std::get<double>(after));
  return std::get<int64_t>(before) == std::get<int64_t>(after) ? Difference()
                                                               : Difference{kInfinite, kInfinite};
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

namespace {

using Results = SmallVector<RuntimeValue>;

/// A pass by its argument, and as it would be written in a pipeline, with options.
struct PassName {
  std::string argument, text;

  explicit PassName(Pass *pass) : argument(pass->getArgument().str()) {
    llvm::raw_string_ostream os(text);
    pass->printAsTextualPipeline(os);
    if (argument.empty())
      argument = text;
  }
};

/// One state of the module: what its functions are, and what they compute, once asked.
struct State {
  OwningOpRef<ModuleOp> module;
  std::function<FailureOr<Tensor>(StringRef)> weights;
  llvm::StringMap<std::string> texts; // of public functions with the weights they read
  llvm::StringMap<Results> results;
};

class Verifier {
public:
  Verifier(const VerifyOptions &options, bool isReduced, bool hasWeights)
      : options(options), store(options.folder), hasWeights(hasWeights) {
    // Layers of large models take seconds each.
    if (isReduced)
      sizes = {1, 3, 2};
  }

  State capture(ModuleOp module);
  /// Compares two states around `pass`.
  llvm::Error check(const PassName &name, State &before, State &after);

private:
  llvm::Expected<Results *> resultsOf(State &state, StringRef function);
  llvm::Expected<Difference> differenceOf(StringRef function, State &before, State &after);
  llvm::Error fail(const PassName &name, StringRef function, const Difference &difference, double tolerance,
                   State &before);
  bool stillFails(ModuleOp module, StringRef pass, StringRef function, double tolerance);

  const VerifyOptions &options;
  SampleSizes sizes;
  SampleWeights samples;
  WeightStore store;
  bool hasWeights;
};

} // namespace

/// The text of a function and of every derived weight that it depends on.
static std::string textOf(func::FuncOp function, SymbolTable &table) {
  std::string text;
  llvm::raw_string_ostream os(text);
  function.print(os);
  SetVector<StringRef> symbols;
  function.walk([&](UseOp use) { symbols.insert(use.getWeight()); });
  for (size_t i = 0; i < symbols.size(); ++i)
    if (auto derive = dyn_cast_or_null<DeriveOp>(table.lookup(symbols[i]))) {
      derive->print(os);
      for (auto source : derive.getSources().getAsRange<FlatSymbolRefAttr>())
        symbols.insert(source.getValue());
    }
  return text;
}

State Verifier::capture(ModuleOp module) {
  State state;
  state.module = module.clone();
  state.weights = hasWeights ? readWeights(*state.module, store) : samples.of(*state.module);
  SymbolTable table(*state.module);
  for (auto function : state.module->getOps<func::FuncOp>())
    if (function.isPublic() && !function.isDeclaration())
      state.texts[function.getName()] = textOf(function, table);
  return state;
}

llvm::Expected<Results *> Verifier::resultsOf(State &state, StringRef name) {
  auto [entry, isNew] = state.results.try_emplace(name);
  if (!isNew)
    return &entry->second;
  FirstError errors(state.module->getContext());
  auto function = state.module->lookupSymbol<func::FuncOp>(name);
  FailureOr<Results> arguments = sampleArguments(function, sizes);
  FailureOr<Results> results = failure();
  if (succeeded(arguments))
    results = interpret(*state.module, name, *arguments, {Rounding::Ideal, state.weights});
  if (failed(results)) {
    state.results.erase(name);
    return errors.take("it cannot be interpreted");
  }
  entry->second = std::move(*results);
  return &entry->second;
}

llvm::Expected<Difference> Verifier::differenceOf(StringRef function, State &before, State &after) {
  llvm::Expected<Results *> a = resultsOf(before, function);
  if (!a)
    return a.takeError();
  llvm::Expected<Results *> b = resultsOf(after, function);
  if (!b)
    return b.takeError();
  if ((*a)->size() != (*b)->size())
    return Difference{kInfinite, kInfinite};
  Difference difference;
  for (auto [x, y] : llvm::zip_equal(**a, **b))
    difference.add(compare(x, y));
  return difference;
}

llvm::Error Verifier::check(const PassName &name, State &before, State &after) {
  StringRef pass = name.argument;
  double tolerance = std::max(options.tolerance, lossBudget(pass));
  Difference worst;
  unsigned changed = 0;
  for (auto &entry : before.texts) {
    StringRef function = entry.getKey();
    auto found = after.texts.find(function);
    if (found == after.texts.end())
      return makeError("verify-numerics: " + pass + " removed @" + function);
    if (found->second == entry.second) {
      if (auto known = before.results.find(function); known != before.results.end())
        after.results[function] = known->second;
      continue;
    }
    ++changed;
    llvm::Expected<Difference> difference = differenceOf(function, before, after);
    if (!difference)
      return makeError("verify-numerics: " + pass + ": @" + function + ": " +
                       llvm::toString(difference.takeError()));
    if (difference->relative > tolerance)
      return fail(name, function, *difference, tolerance, before);
    worst.add(*difference);
  }
  if (options.report && changed == 0)
    *options.report << "verify-numerics: " << pass << ": nothing changed\n";
  else if (options.report)
    *options.report << "verify-numerics: " << pass << ": " << changed
                    << (changed == 1 ? " function" : " functions")
                    << llvm::format(", absolute error %.1e, relative %.1e (allowed %.0e)\n", worst.absolute,
                                    worst.relative, tolerance);
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Failing
//===----------------------------------------------------------------------===//

/// Whether `pass` alone, on `module`, makes the same mistake.
bool Verifier::stillFails(ModuleOp module, StringRef pass, StringRef function, double tolerance) {
  State before = capture(module), after;
  OwningOpRef<ModuleOp> copy = module.clone();
  PassManager pm(module.getContext());
  FirstError errors(module.getContext());
  std::string ignored;
  llvm::raw_string_ostream sink(ignored);
  if (failed(parsePassPipeline(pass, pm, sink)) || failed(pm.run(*copy)))
    return false;
  after = capture(*copy);
  llvm::Expected<Difference> difference = differenceOf(function, before, after);
  if (!difference) {
    llvm::consumeError(difference.takeError());
    return false;
  }
  return difference->relative > tolerance;
}

/// Takes out of `before` what the mistake does not need, one thing after the other.
llvm::Error Verifier::fail(const PassName &name, StringRef function, const Difference &difference,
                           double tolerance, State &before) {
  StringRef pass = name.argument;
  std::string error;
  llvm::raw_string_ostream(error) << llvm::format("%.1e", difference.relative) << ", more than "
                                  << llvm::format("%.0e", tolerance);
  auto attempt = [&](llvm::function_ref<bool(ModuleOp)> reduce) {
    OwningOpRef<ModuleOp> smaller = before.module->clone();
    if (reduce(*smaller) && stillFails(*smaller, name.text, function, tolerance))
      before.module = std::move(smaller);
  };
  attempt([&](ModuleOp module) {
    for (auto other : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      if (other.getName() != function && other.isPublic())
        other->erase();
    dropUnreadWeights(module);
    return true;
  });
  attempt([](ModuleOp module) { return reduceLayers(module, 2); });
  attempt([](ModuleOp module) { return reduceLayers(module, 1); });

  std::string path = options.reproducer.empty() ? (pass + "-reproducer.mlir").str() : options.reproducer;
  std::error_code code;
  llvm::raw_fd_ostream file(path, code);
  if (code)
    return makeError("verify-numerics: " + pass + " changes @" + function + " by a relative " + error +
                     "; the reproducer cannot be written to " + path + ": " + code.message());
  file << "// tfopt compile " << path << " \"--passes=" << name.text
       << llvm::format("\" --verify-numerics=%g", options.tolerance) << " --stop-at=" << kOptimizedPhase
       << '\n';
  if (hasWeights)
    file << "// in the folder of the model's files; elsewhere weights are random\n";
  before.module->print(file);
  return makeError("verify-numerics: " + pass + " changes @" + function + " by a relative " + error +
                   "; reproducer: " + path);
}

//===----------------------------------------------------------------------===//
// Watching
//===----------------------------------------------------------------------===//

namespace {

/// Looks at the module around every pass until one is wrong.
class Watcher : public PassInstrumentation {
public:
  Watcher(Verifier &verifier, ModuleOp module, std::string &problem)
      : verifier(verifier), module(module), problem(problem), before(verifier.capture(module)) {}

  void runAfterPass(Pass *pass, Operation *op) override {
    if (op != module.getOperation() || !problem.empty())
      return;
    State after = verifier.capture(module);
    if (llvm::Error error = verifier.check(PassName(pass), before, after))
      problem = llvm::toString(std::move(error));
    before = std::move(after);
  }

private:
  Verifier &verifier;
  ModuleOp module;
  std::string &problem;
  State before;
};

} // namespace

static int64_t countWeights(ModuleOp module) {
  int64_t count = 0;
  for (auto weight : module.getOps<WeightOp>())
    count += weight.getTensorType().getNumElements();
  return count;
}

llvm::Error mlir::transformer::verifyNumerics(ModuleOp module, const VerifyOptions &options) {
  OwningOpRef<ModuleOp> copy = module.clone();
  bool isReduced = countWeights(module) > kLargestWholeModel && reduceLayers(*copy, 2);
  bool hasWeights = !isReduced && llvm::all_of(copy->getOps<WeightOp>(), [&](WeightOp weight) {
    return llvm::sys::fs::exists(options.folder + "/" + weight.getFile());
  });
  FirstError errors(module.getContext());
  PassManager pm(module.getContext());
  if (llvm::Error error = buildOptimizationPipeline(pm, options.optimization))
    return error;
  if (options.report && !module.getOps<WeightOp>().empty())
    *options.report << "verify-numerics: " << (isReduced ? "two layers" : "all layers") << " with "
                    << (hasWeights ? "the model's" : "random") << " weights\n";
  std::string problem;
  Verifier verifier(options, isReduced, hasWeights);
  pm.addInstrumentation(std::make_unique<Watcher>(verifier, *copy, problem));
  bool hasRun = succeeded(pm.run(*copy));
  if (!problem.empty())
    return makeError(problem);
  return hasRun ? llvm::Error::success() : errors.take("a pass failed without a reason");
}
