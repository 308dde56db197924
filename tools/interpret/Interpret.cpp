//===- Interpret.cpp - entry points of models, interpreted ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/interpret/Interpret.h"

#include "tools/driver/Driver.h"
#include "tools/interpret/HostTensors.h"
#include "tools/interpret/Npy.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"

using namespace mlir;
using namespace mlir::transformer;

namespace {

/// `NAME=FILE`, and whether an argument or result of that name was found.
struct Binding {
  StringRef name, file;
  bool used = false;
};

} // namespace

static llvm::Error error(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static llvm::Expected<SmallVector<Binding>> parseBindings(ArrayRef<std::string> texts, StringRef option) {
  SmallVector<Binding> bindings;
  for (StringRef text : texts) {
    auto [name, file] = text.split('=');
    if (name.empty() || file.empty())
      return error("--" + option + "=" + text + ": expected NAME=FILE.npy");
    bindings.push_back({name, file});
  }
  return bindings;
}

static Binding *findBinding(MutableArrayRef<Binding> bindings, StringRef name) {
  for (Binding &binding : bindings)
    if (binding.name == name) {
      binding.used = true;
      return &binding;
    }
  return nullptr;
}

/// Every name that nothing has, with those that there are.
static llvm::Error expectUsed(ArrayRef<Binding> bindings, StringRef what, StringRef entry,
                              ArrayRef<std::string> names) {
  for (const Binding &binding : bindings)
    if (!binding.used)
      return error("@" + entry + " has no " + what + " named '" + binding.name + "'; it has " +
                   llvm::join(names, ", "));
  return llvm::Error::success();
}

static std::string nameOr(StringAttr name, StringRef otherwise, unsigned i) {
  return name ? name.str() : (otherwise + llvm::Twine(i)).str();
}

static llvm::Expected<func::FuncOp> findEntry(ModuleOp module, StringRef name) {
  SmallVector<StringRef> entries;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.getName() == name)
      return function;
    if (function.isPublic())
      entries.push_back(function.getName());
  }
  return error("no entry point named '" + name + "'; there are " + llvm::join(entries, ", "));
}

/// Checks the range that the entry point states for its integers.
static llvm::Error checkRange(func::FuncOp entry, unsigned i, const Tensor &tensor, StringRef name) {
  auto range = entry.getArgAttrOfType<DenseI64ArrayAttr>(i, "transformer.range");
  if (!range || range.size() != 2)
    return llvm::Error::success();
  int64_t low = range[0], high = range[1];
  for (int64_t value : tensor.getInts())
    if (value < low || value >= high)
      return error("input '" + name + "' holds " + llvm::Twine(value) + ", outside [" + llvm::Twine(low) +
                   ", " + llvm::Twine(high) + ")");
  return llvm::Error::success();
}

static llvm::Expected<SmallVector<RuntimeValue>>
readArguments(func::FuncOp entry, MutableArrayRef<Binding> inputs, Rounding rounding) {
  SmallVector<RuntimeValue> arguments;
  SmallVector<std::string> names;
  int64_t rows = 1;
  for (auto [i, type] : llvm::enumerate(entry.getArgumentTypes())) {
    if (isa<KVCacheType>(type)) {
      arguments.emplace_back();
      continue;
    }
    names.push_back(nameOr(entry.getArgAttrOfType<StringAttr>(i, "transformer.name"), "arg", i));
    auto tensorType = dyn_cast<RankedTensorType>(type);
    if (!tensorType)
      return error("input '" + names.back() + "' is no tensor");
    Binding *binding = findBinding(inputs, names.back());
    if (!binding)
      return error("input '" + names.back() + "' is missing: --input " + names.back() + "=FILE.npy");
    llvm::Expected<Tensor> tensor = readTensor(binding->file, tensorType.getElementType());
    if (!tensor)
      return tensor.takeError();
    if (rounding == Rounding::IR)
      tensor->round();
    if (!hasType(*tensor, type))
      return error("input '" + names.back() + "' is " + describe(*tensor) + ", which is not what @" +
                   entry.getName() + " takes");
    if (llvm::Error failure = checkRange(entry, i, *tensor, names.back()))
      return failure;
    auto dims = entry.getArgAttrOfType<ArrayAttr>(i, "transformer.dims");
    if (dims && !dims.empty() && cast<StringAttr>(dims[0]).getValue() == "B")
      rows = tensor->getDim(0);
    arguments.push_back(std::move(*tensor));
  }
  if (llvm::Error failure = expectUsed(inputs, "input", entry.getName(), names))
    return failure;
  // Every cache starts empty, with the rows of the inputs.
  for (auto [argument, type] : llvm::zip_equal(arguments, entry.getArgumentTypes()))
    if (auto cache = dyn_cast<KVCacheType>(type))
      argument = KVCache::empty(cache, rows);
  return arguments;
}

static llvm::Error writeResults(func::FuncOp entry, ArrayRef<RuntimeValue> results,
                                MutableArrayRef<Binding> outputs) {
  SmallVector<std::string> names;
  SmallVector<std::pair<Binding *, const Tensor *>> writes;
  for (auto [i, result] : llvm::enumerate(results)) {
    auto *tensor = std::get_if<Tensor>(&result);
    if (!tensor)
      continue;
    names.push_back(nameOr(entry.getResultAttrOfType<StringAttr>(i, "transformer.name"), "result", i));
    if (Binding *binding = findBinding(outputs, names.back()))
      writes.push_back({binding, tensor});
  }
  if (llvm::Error failure = expectUsed(outputs, "output", entry.getName(), names))
    return failure;
  for (auto [binding, tensor] : writes)
    if (llvm::Error failure = writeTensor(binding->file, *tensor))
      return failure;
  return llvm::Error::success();
}

llvm::Error transformer::interpretModel(const InterpretRequest &request) {
  llvm::Expected<SmallVector<Binding>> inputs = parseBindings(request.inputs, "input");
  if (!inputs)
    return inputs.takeError();
  llvm::Expected<SmallVector<Binding>> outputs = parseBindings(request.outputs, "output");
  if (!outputs)
    return outputs.takeError();
  DialectRegistry registry;
  registerAll(registry);
  MLIRContext context(registry);
  LoadOptions load;
  load.precision = request.precision;
  llvm::Expected<LoadedModel> model = loadModel(context, request.model, load);
  if (!model)
    return model.takeError();
  llvm::Expected<func::FuncOp> entry = findEntry(*model->module, request.entry);
  if (!entry)
    return entry.takeError();
  llvm::Expected<SmallVector<RuntimeValue>> arguments = readArguments(*entry, *inputs, request.rounding);
  if (!arguments)
    return arguments.takeError();

  WeightStore store(request.weights.empty() ? model->folder : request.weights);
  InterpreterOptions options{request.rounding, readWeights(*model->module, store)};
  std::string message;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (message.empty() && diagnostic.getSeverity() == DiagnosticSeverity::Error)
      llvm::raw_string_ostream(message) << diagnostic.getLocation() << ": " << diagnostic;
  });
  FailureOr<SmallVector<RuntimeValue>> results =
      interpret(*model->module, request.entry, *arguments, options);
  if (failed(results))
    return error(message);
  return writeResults(*entry, *results, *outputs);
}
