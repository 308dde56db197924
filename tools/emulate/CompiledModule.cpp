//===- CompiledModule.cpp - an artifact that is run in this process -----===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/emulate/CompiledModule.h"

#include "codegen/Passes.h"
#include "runtime/Model.h"
#include "tools/interpret/HostTensors.h"
#include "weights/Dtype.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cstring>

using namespace mlir;
using namespace mlir::transformer;

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

llvm::Error CompiledModule::openOnCPU(StringRef path) {
  if (xfm_model_open(path.str().c_str(), nullptr, &model) != XFM_OK)
    return lastError("does not open");
  return llvm::Error::success();
}

llvm::Error CompiledModule::openOnEmulator(StringRef path, ModuleOp kernels,
                                           const emulator::EmulatorOptions &options) {
  // As in PTX, so that the emulator's own exp is not what is tested.
  PassManager pm(kernels.getContext());
  pm.addPass(createExpandMathPass());
  if (failed(pm.run(kernels)))
    return error("no polynomials for the kernels");
  llvm::Expected<std::unique_ptr<emulator::EmulatedDevice>> device =
      emulator::EmulatedDevice::create(kernels, options);
  if (!device)
    return device.takeError();
  emulated = device->get();
  xfm::Model::Choices choices;
  choices.given = std::move(*device);
  std::unique_ptr<xfm::Model> opened;
  if (xfm::Status status = xfm::Model::open(path.str(), std::move(choices), opened); !status.ok())
    return error("does not open: " + status.message);
  model = xfm::makeHandle(std::move(opened));
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<CompiledModule>>
CompiledModule::compile(ModuleOp module, const CompileOptions &given, StringRef source,
                        ArrayRef<StringRef> keep, const emulator::EmulatorOptions &emulation) {
  OwningOpRef<ModuleOp> copy = module.clone();
  for (auto function : llvm::make_early_inc_range(copy->getOps<func::FuncOp>()))
    if (!keep.empty() && function.isPublic() && !llvm::is_contained(keep, function.getName()))
      function.erase();
  SmallString<128> folder;
  if (std::error_code code = llvm::sys::fs::createUniqueDirectory("xfm-compiled", folder))
    return error("no temporary folder: " + code.message());
  SmallString<128> path(folder);
  llvm::sys::path::append(path, "test.tfa");
  CompileOptions options = given;
  std::vector<KernelModule> kernels;
  options.kernels = &kernels;
  options.progress = false;
  std::unique_ptr<CompiledModule> result(new CompiledModule(module.getContext()));
  llvm::Error failed = compileToArtifact(*copy, source.empty() ? StringRef(folder) : source, path, options);
  if (!failed)
    failed = kernels.empty() ? result->openOnCPU(path)
                             : result->openOnEmulator(path, *kernels[0].module, emulation);
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
  options.threads = emulated ? 1 : threads; // of the CPU
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
