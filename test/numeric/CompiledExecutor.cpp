//===- CompiledExecutor.cpp - compiled code in the numeric tests ----------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "test/numeric/CompiledExecutor.h"

#include "codegen/Compile.h"
#include "test/numeric/EmulatedAVX512.h"
#include "tools/interpret/HostTensors.h"
#include "weights/Dtype.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstring>

using namespace mlir;
using namespace mlir::transformer;
using namespace mlir::transformer::numeric;

static llvm::Error error(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

static llvm::Error lastError(const llvm::Twine &what) { return error(what + ": " + xfm_last_error()); }

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

static const std::pair<Dtype, xfm_dtype> kTypes[] = {{Dtype::F32, XFM_F32},   {Dtype::F16, XFM_F16},
                                                     {Dtype::BF16, XFM_BF16}, {Dtype::I32, XFM_I32},
                                                     {Dtype::I64, XFM_I64},   {Dtype::I8, XFM_I8}};

/// The bytes of a tensor as the runtime takes them.
static llvm::Expected<xfm_tensor> toRuntime(const Tensor &tensor, std::vector<char> &storage) {
  std::optional<Dtype> dtype = dtypeFromType(tensor.getElementType());
  auto *type =
      dtype ? llvm::find_if(kTypes, [&](auto &pair) { return pair.first == *dtype; }) : std::end(kTypes);
  if (type == std::end(kTypes))
    return error("the runtime has no tensors such as " + describe(tensor));
  xfm_tensor result = {};
  result.dtype = type->second;
  result.rank = static_cast<int32_t>(tensor.getRank());
  llvm::copy(tensor.getShape(), result.dims);
  size_t bytes = dtypeSize(*dtype);
  storage.resize(static_cast<size_t>(tensor.size()) * bytes + 1);
  if (tensor.isFloat())
    fromDoubles(*dtype, tensor.getFloats().data(), tensor.getFloats().size(), storage.data());
  else // Little-endian, as everywhere: the low bytes come first.
    for (auto [i, value] : llvm::enumerate(tensor.getInts()))
      std::memcpy(storage.data() + i * bytes, &value, bytes);
  result.data = storage.data();
  return result;
}

static Tensor fromRuntime(const xfm_tensor &tensor, MLIRContext *context) {
  auto *type = llvm::find_if(kTypes, [&](auto &pair) { return pair.second == tensor.dtype; });
  ArrayRef<int64_t> shape(tensor.dims, static_cast<size_t>(tensor.rank));
  size_t bytes = xfm_dtype_size(tensor.dtype);
  for (int64_t size : shape)
    bytes *= static_cast<size_t>(size);
  return toTensor({type->first, shape, ArrayRef(static_cast<const char *>(tensor.data), bytes)}, context);
}

//===----------------------------------------------------------------------===//
// CompiledModule
//===----------------------------------------------------------------------===//

llvm::Expected<std::unique_ptr<CompiledModule>>
CompiledModule::compile(ModuleOp module, StringRef mcpu, ArrayRef<StringRef> keep, int64_t chunk) {
  OwningOpRef<ModuleOp> copy = module.clone();
  for (auto function : llvm::make_early_inc_range(copy->getOps<func::FuncOp>()))
    if (!keep.empty() && function.isPublic() && !llvm::is_contained(keep, function.getName()))
      function.erase();
  SmallString<128> folder;
  if (std::error_code code = llvm::sys::fs::createUniqueDirectory("xfm-numeric", folder))
    return error("no temporary folder: " + code.message());
  SmallString<128> path(folder);
  llvm::sys::path::append(path, "test.tfa");
  CompileOptions options;
  options.mcpu = mcpu.str();
  options.threads = 1;
  options.chunk = chunk;
  options.progress = false;
  std::unique_ptr<CompiledModule> result(new CompiledModule(module.getContext()));
  llvm::Error failed = mcpu == kEmulatedAVX512 ? lowerForEmulation(*copy, options) : llvm::Error::success();
  if (!failed)
    failed = compileToArtifact(*copy, folder, path, options);
  if (!failed && xfm_model_open(path.c_str(), nullptr, &result->model) != XFM_OK)
    failed = lastError("does not open");
  // What is mapped stays until it is closed.
  llvm::sys::fs::remove_directories(folder);
  if (failed)
    return failed;
  return result;
}

CompiledModule::~CompiledModule() {
  xfm_session_destroy(session);
  xfm_model_close(model);
}

llvm::Error CompiledModule::begin(int64_t rows, int64_t positions, int32_t threads) {
  xfm_session_destroy(session);
  session = nullptr;
  xfm_session_options options = {};
  options.size = sizeof options;
  options.threads = threads;
  options.batch = rows;
  options.context = positions;
  if (xfm_session_create(model, &options, &session) != XFM_OK)
    return lastError("no session");
  return llvm::Error::success();
}

llvm::Expected<SmallVector<Tensor>> CompiledModule::call(StringRef function, ArrayRef<Tensor> inputs) {
  std::string entry = function.str();
  std::vector<std::vector<char>> storage(inputs.size());
  std::vector<xfm_tensor> given;
  for (auto [tensor, bytes] : llvm::zip_equal(inputs, storage)) {
    llvm::Expected<xfm_tensor> input = toRuntime(tensor, bytes);
    if (!input)
      return input.takeError();
    given.push_back(*input);
  }
  if (xfm_session_call(session, entry.c_str(), given.data(), static_cast<int32_t>(given.size())) != XFM_OK)
    return lastError("call");
  SmallVector<Tensor> outputs;
  for (int32_t i = 0, count = xfm_model_output_count(model, entry.c_str()); i < count; ++i) {
    xfm_tensor output;
    if (xfm_session_output(session, i, &output) != XFM_OK)
      return lastError("output");
    outputs.push_back(fromRuntime(output, context));
  }
  return outputs;
}

bool numeric::canRun(StringRef mcpu) {
  if (mcpu == kEmulatedAVX512)
    mcpu = "x86-64-v3";
  llvm::Expected<CPUTarget> host = CPUTarget::resolve("native");
  llvm::Expected<CPUTarget> target = CPUTarget::resolve(mcpu);
  if (!host || !target) {
    llvm::consumeError(host.takeError());
    llvm::consumeError(target.takeError());
    return false;
  }
  return llvm::all_of(target->features, [&](const std::string &feature) { return host->has(feature); });
}

//===----------------------------------------------------------------------===//
// CompiledExecutor
//===----------------------------------------------------------------------===//

/// What code generation or the runtime refuses by design, and a part of the reason.
static const std::pair<StringLiteral, StringLiteral> kRefusals[] = {
    // Entry functions are straight-line code of whole tensors.
    {"insert_steps", "'tensor.insert_slice' op has no form in linalg"},
    {"concat_pad", "'tensor.concat' op has no form in linalg"},
    {"running_sum", "'scf.for' op has a region; entry functions are straight-line code"},
    // It counts on every cache of an entry point to grow.
    {"lengths", "of cache 'read' to hold 1 positions, but the module counted 0"},
};

StringRef CompiledExecutor::getRefusal(StringRef function) const {
  auto *found = llvm::find_if(kRefusals, [&](auto &pair) { return pair.first == function; });
  return found == std::end(kRefusals) ? StringRef() : StringRef(found->second);
}

static bool hasCaches(func::FuncOp function) {
  return llvm::any_of(function.getArgumentTypes(), [](Type type) { return isa<KVCacheType>(type); });
}

LogicalResult CompiledExecutor::load(ModuleOp newModule) {
  if (module == newModule)
    return success();
  module = newModule;
  current = nullptr;
  shared.reset();
  separate.clear();
  return success();
}

llvm::Expected<CompiledModule *> CompiledExecutor::moduleOf(StringRef function) {
  bool alone = hasCaches(module.lookupSymbol<func::FuncOp>(function)) || !getRefusal(function).empty();
  std::unique_ptr<CompiledModule> &place = alone ? separate[function] : shared;
  if (place)
    return place.get();
  SmallVector<StringRef> keep;
  for (auto other : module.getOps<func::FuncOp>())
    if (alone ? other.getName() == function : !hasCaches(other) && getRefusal(other.getName()).empty())
      keep.push_back(other.getName());
  llvm::Expected<std::unique_ptr<CompiledModule>> compiled =
      CompiledModule::compile(module, mcpu, keep, chunk);
  if (!compiled)
    return compiled.takeError();
  place = std::move(*compiled);
  return place.get();
}

LogicalResult CompiledExecutor::begin(StringRef newFunction, int64_t rows) {
  function = newFunction.str();
  llvm::Expected<CompiledModule *> compiled = moduleOf(function);
  if (!compiled)
    return fail(compiled.takeError());
  current = *compiled;
  // Two threads, so that tasks are divided; room for every sequence of the goldens.
  if (llvm::Error error = current->begin(rows, /*context=*/64, /*threads=*/2))
    return fail(std::move(error));
  return success();
}

FailureOr<SmallVector<Tensor>> CompiledExecutor::call(ArrayRef<Tensor> inputs) {
  llvm::Expected<SmallVector<Tensor>> outputs = current->call(function, inputs);
  if (!outputs)
    return fail(outputs.takeError());
  return std::move(*outputs);
}
