//===- Goldens.cpp - inputs and expected outputs of the numeric tests -----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/numeric/Goldens.h"

#include "tools/interpret/HostTensors.h"
#include "weights/WeightStore.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <map>
#include <set>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

static llvm::Error error(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

namespace {

/// Takes tensors by name and remembers which were taken.
class Reader {
public:
  Reader(WeightStore &store, StringRef file, const llvm::StringMap<StoredTensor> &tensors,
         MLIRContext *context)
      : store(store), file(file), tensors(tensors), context(context) {}

  llvm::Expected<Case> readCase(func::FuncOp function, StringRef name);
  /// A tensor that no case took, or "".
  StringRef findUnused() const {
    for (const auto &entry : tensors)
      if (!used.count(entry.getKey().str()))
        return entry.getKey();
    return "";
  }

private:
  llvm::Expected<Tensor> take(const llvm::Twine &name);
  llvm::Expected<Call> readCall(func::FuncOp function, const std::string &prefix);

  WeightStore &store;
  StringRef file;
  const llvm::StringMap<StoredTensor> &tensors;
  MLIRContext *context;
  std::set<std::string> used;
};

} // namespace

llvm::Expected<Tensor> Reader::take(const llvm::Twine &name) {
  std::string key = name.str();
  llvm::Expected<TensorView> view = store.lookup(file, key);
  if (!view)
    return view.takeError();
  used.insert(key);
  return toTensor(*view, context);
}

llvm::Expected<Call> Reader::readCall(func::FuncOp function, const std::string &prefix) {
  Call call;
  for (Type type : function.getArgumentTypes()) {
    if (isa<KVCacheType>(type))
      continue;
    // Inputs of static shape are the same in every case.
    std::string in = "/in" + std::to_string(call.inputs.size());
    bool isOwn = tensors.contains(prefix + in);
    llvm::Expected<Tensor> input = take((isOwn ? prefix : function.getName().str()) + in);
    if (!input)
      return input.takeError();
    if (!hasType(*input, type))
      return error(prefix + in + " is " + describe(*input) + ", which is not what the function takes");
    call.inputs.push_back(std::move(*input));
  }
  for (Type type : function.getResultTypes()) {
    if (isa<KVCacheType>(type))
      continue;
    llvm::Expected<Tensor> output = take(prefix + "/out" + std::to_string(call.outputs.size()));
    if (!output)
      return output.takeError();
    call.outputs.push_back(std::move(*output));
  }
  return call;
}

static bool isNarrow(Type type) { return type.isBF16() || type.isF16(); }

/// Whether values in between are rounded to bf16 or f16. Narrow arguments are no
/// reason: the goldens are computed from what they hold.
static bool roundsInside(func::FuncOp function) {
  WalkResult result = function.walk([&](Operation *op) -> WalkResult {
    if (auto append = dyn_cast<CacheAppendOp>(op))
      return isNarrow(append.getCache().getType().getElement()) &&
                     !isNarrow(getElementTypeOrSelf(append.getKey()))
                 ? WalkResult::interrupt()
                 : WalkResult::advance();
    // The product inside is stored in the input's type.
    if (auto mlp = dyn_cast<GatedMLPOp>(op); mlp && isNarrow(getElementTypeOrSelf(mlp.getInput())))
      return WalkResult::interrupt();
    for (Value value : op->getResults())
      if (isNarrow(getElementTypeOrSelf(value)) &&
          !llvm::all_of(value.getUsers(), [](Operation *user) { return isa<func::ReturnOp>(user); }))
        return WalkResult::interrupt();
    return WalkResult::advance();
  });
  return result.wasInterrupted();
}

llvm::Expected<Case> Reader::readCase(func::FuncOp function, StringRef name) {
  Case result{function.getName().str(), name.str(), roundsInside(function), 1, {}};
  std::string prefix = result.function + "/" + result.name;
  bool hasCaches =
      llvm::any_of(function.getArgumentTypes(), [](Type type) { return isa<KVCacheType>(type); });
  // Calls are numbered from 0; the first that is absent ends them.
  for (int number = 0;; ++number) {
    std::string place = hasCaches ? prefix + "/call" + std::to_string(number) : prefix;
    if (number > 0 && (!hasCaches || !tensors.contains(place + "/out0")))
      break;
    llvm::Expected<Call> call = readCall(function, place);
    if (!call)
      return call.takeError();
    result.calls.push_back(std::move(*call));
  }
  // B is the first dimension of the first argument that names its dimensions so.
  for (auto [i, input] : llvm::enumerate(result.calls[0].inputs))
    if (auto dims = function.getArgAttrOfType<ArrayAttr>(i, "transformer.dims"))
      if (!dims.empty() && dims[0] == StringAttr::get(context, "B"))
        result.rows = input.getDim(0);
  return result;
}

llvm::Expected<Goldens> numeric::readGoldens(MLIRContext &context, StringRef folder, StringRef name) {
  SmallString<128> path(folder);
  llvm::sys::path::append(path, name + ".mlir");
  Goldens goldens{name.str(), parseSourceFile<ModuleOp>(path, &context), {}};
  if (!goldens.module)
    return error(path + " does not parse");
  WeightStore store(folder);
  std::string file = (name + ".safetensors").str();
  llvm::Expected<const llvm::StringMap<StoredTensor> *> tensors = store.tensorsOf(file);
  if (!tensors)
    return tensors.takeError();
  std::map<std::string, std::set<std::string>> cases; // by function
  for (const auto &entry : **tensors) {
    auto [function, rest] = entry.getKey().split('/');
    if (rest.contains('/'))
      cases[function.str()].insert(rest.split('/').first.str());
  }
  Reader reader(store, file, **tensors, &context);
  for (auto function : goldens.module->getOps<func::FuncOp>()) {
    if (!function.isPublic())
      continue;
    if (cases[function.getName().str()].empty())
      return error(file + " has no case of @" + function.getName());
    for (const std::string &caseName : cases[function.getName().str()]) {
      llvm::Expected<Case> test = reader.readCase(function, caseName);
      if (!test)
        return test.takeError();
      goldens.cases.push_back(std::move(*test));
    }
  }
  if (StringRef unused = reader.findUnused(); !unused.empty())
    return error(file + ": no function takes or returns the tensor " + unused);
  return goldens;
}

//===----------------------------------------------------------------------===//
// Comparing
//===----------------------------------------------------------------------===//

std::vector<std::string> numeric::runCase(Executor &executor, const Case &test, Worst &worst) {
  std::vector<std::string> problems;
  if (failed(executor.begin(test.function, test.rows)))
    return {"does not begin: " + executor.getLastError().str()};
  for (auto [number, call] : llvm::enumerate(test.calls)) {
    FailureOr<SmallVector<Tensor>> outputs = executor.call(call.inputs);
    std::string where = "call " + std::to_string(number);
    if (failed(outputs))
      return {where + " fails: " + executor.getLastError().str()};
    if (outputs->size() != call.outputs.size())
      return {where + " returns " + std::to_string(outputs->size()) + " tensors"};
    for (auto [i, actual, expected] : llvm::enumerate(*outputs, call.outputs)) {
      double error = relativeError(actual, expected);
      bool narrow = test.isNarrow || isNarrow(actual.getElementType());
      double tolerance = executor.getTolerance(narrow);
      double &largest = narrow ? worst.narrow : worst.wide;
      largest = std::max(largest, error);
      std::string which = where + ", output " + std::to_string(i) + ": ";
      if (!(error <= tolerance))
        problems.push_back(which + "relative error " +
                           llvm::formatv("{0:e3} > {1:e3}", error, tolerance).str());
      Tensor rounded = actual;
      rounded.round();
      if (executor.rounds() && relativeError(rounded, actual) != 0)
        problems.push_back(which + "is not rounded to its type");
    }
  }
  return problems;
}
