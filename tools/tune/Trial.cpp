//===- Trial.cpp - a config, compiled and timed ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tune/Trial.h"

#include "codegen/Common/DispatchUtils.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"

#include <ctime>
#include <random>

using namespace mlir;
using namespace mlir::transformer;

static llvm::Error makeError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

//===----------------------------------------------------------------------===//
// Data
//===----------------------------------------------------------------------===//

static const llvm::fltSemantics &semanticsOf(xfm_dtype type) {
  return type == XFM_F16 ? llvm::APFloat::IEEEhalf() : llvm::APFloat::BFloat();
}

std::vector<char> mlir::transformer::randomBytes(size_t count, xfm_dtype type, unsigned seed) {
  size_t size = xfm_dtype_size(type);
  std::vector<char> bytes(count * size); // of whole numbers, zeros: they index
  if (type != XFM_F32 && type != XFM_F16 && type != XFM_BF16)
    return bytes;
  if (count == 0)
    return bytes;
  // A block repeated: the values do not matter, only that they are none of the easy ones.
  constexpr size_t kBlock = 65521; // a prime, so that no row is like the next
  std::vector<char> block(std::min(kBlock, count) * size);
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-0.5F, 0.5F);
  for (size_t i = 0; i * size < block.size(); ++i) {
    llvm::APFloat value(uniform(random));
    bool lossy = false;
    if (type != XFM_F32)
      value.convert(semanticsOf(type), llvm::APFloat::rmNearestTiesToEven, &lossy);
    uint64_t bits = value.bitcastToAPInt().getZExtValue();
    memcpy(block.data() + i * size, &bits, size);
  }
  for (size_t done = 0; done < bytes.size(); done += block.size())
    memcpy(bytes.data() + done, block.data(), std::min(block.size(), bytes.size() - done));
  return bytes;
}

static xfm_dtype dtypeOf(Type element) {
  return element.isF32() ? XFM_F32 : element.isF16() ? XFM_F16 : XFM_BF16;
}

llvm::Error mlir::transformer::writeRandomWeights(llvm::StringRef folder,
                                                  llvm::ArrayRef<RankedTensorType> weights) {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, kTuneWeights);
  std::error_code code;
  llvm::raw_fd_ostream file(path, code);
  if (code)
    return makeError("cannot write " + path + ": " + code.message());
  std::string header = "{";
  size_t offset = 0;
  for (auto [i, type] : llvm::enumerate(weights)) {
    size_t bytes = type.getNumElements() * type.getElementTypeBitWidth() / 8;
    llvm::StringRef dtype = type.getElementType().isF32()   ? "F32"
                            : type.getElementType().isF16() ? "F16"
                                                            : "BF16";
    header += llvm::formatv(R"({0}"w{1}":{{"dtype":"{2}","shape":[{3:$[,]}],"data_offsets":[{4},{5}]})",
                            i ? "," : "", i, dtype,
                            llvm::make_range(type.getShape().begin(), type.getShape().end()), offset,
                            offset + bytes)
                  .str();
    offset += bytes;
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  uint64_t size = header.size();
  file.write(reinterpret_cast<char *>(&size), 8);
  file << header;
  for (auto [i, type] : llvm::enumerate(weights)) {
    std::vector<char> bytes =
        randomBytes(type.getNumElements(), dtypeOf(type.getElementType()), static_cast<unsigned>(i));
    file.write(bytes.data(), bytes.size());
  }
  file.close();
  if (!file.has_error())
    return llvm::Error::success();
  code = file.error();
  file.clear_error();
  return makeError("cannot write " + path + ": " + code.message());
}

//===----------------------------------------------------------------------===//
// Trials
//===----------------------------------------------------------------------===//

llvm::Error Trial::setThreads(int count) {
  threads = count;
  sessions.resize(models.size());
  for (auto [model, session] : llvm::zip(models, sessions)) {
    if (session)
      xfm_session_destroy(session);
    session = nullptr;
    xfm_session_options options = {};
    options.size = sizeof options;
    options.threads = threads;
    options.context = hasCache ? context : 0;
    if (xfm_session_create(model, &options, &session) != XFM_OK)
      return makeError(xfm_last_error());
  }
  return llvm::Error::success();
}

llvm::Expected<std::unique_ptr<Trial>> Trial::make(const DispatchModule &source, LoweringConfigAttr config,
                                                   llvm::StringRef folder, const CompileOptions &options,
                                                   int64_t context, int64_t copies, int threads) {
  OwningOpRef<ModuleOp> module(cast<ModuleOp>(source.module.get()->clone()));
  SymbolTable::lookupSymbolIn(*module, source.name)->setAttr(kConfigAttr, config);
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, "trial.tfa");
  if (llvm::Error error = compileToArtifact(*module, folder, path, options))
    return std::move(error);
  std::unique_ptr<Trial> trial(new Trial);
  trial->config = config;
  trial->hasCache = source.hasCache;
  trial->context = context;
  xfm_open_options open = {};
  open.size = sizeof open;
  open.skip_weight_hash = 1; // it was written a moment ago
  open.huge_pages = copies > 1;
  bool ok = true;
  for (int64_t i = 0; i < copies && ok; ++i) {
    xfm_model *model = nullptr;
    ok = xfm_model_open(path.c_str(), &open, &model) == XFM_OK;
    trial->models.push_back(model);
  }
  // What is open stays open.
  llvm::sys::fs::remove_directories(path);
  if (!ok)
    return makeError(xfm_last_error());
  if (llvm::Error error = trial->setThreads(threads))
    return std::move(error);
  return trial;
}

Trial::~Trial() {
  for (xfm_session *session : sessions)
    if (session)
      xfm_session_destroy(session);
  for (xfm_model *model : models)
    xfm_model_close(model);
}

void Trial::reset() {
  for (xfm_session *session : sessions)
    xfm_session_reset(session);
}

TrialInputs Trial::inputsFor(int64_t positions) const {
  TrialInputs inputs;
  inputs.positions = positions;
  int32_t count = xfm_model_input_count(models[0], kTuneEntry.data());
  for (int32_t i = 0; i < count; ++i) {
    xfm_tensor_info info;
    if (xfm_model_input(models[0], kTuneEntry.data(), i, &info) != XFM_OK)
      break;
    xfm_tensor tensor = {};
    tensor.dtype = info.dtype;
    tensor.rank = info.rank;
    size_t elements = 1;
    for (int32_t d = 0; d < info.rank; ++d) {
      bool isPositions = info.dims[d] < 0 && llvm::StringRef(info.symbols[d]) != "B";
      tensor.dims[d] = info.dims[d] >= 0 ? info.dims[d] : isPositions ? positions : 1;
      elements *= tensor.dims[d];
    }
    inputs.data.push_back(randomBytes(elements, info.dtype, 100 + i));
    inputs.tensors.push_back(tensor);
  }
  for (auto [tensor, data] : llvm::zip(inputs.tensors, inputs.data))
    tensor.data = data.data();
  return inputs;
}

llvm::Error Trial::call(const TrialInputs &inputs) {
  next = (next + 1) % sessions.size();
  if (xfm_session_call(last(), kTuneEntry.data(), inputs.tensors.data(),
                       static_cast<int32_t>(inputs.tensors.size())) == XFM_OK)
    return llvm::Error::success();
  return makeError(xfm_last_error());
}

/// Of this thread alone, or of the wall's clock.
static double seconds(bool ofThread) {
  timespec time = {};
  clock_gettime(ofThread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

llvm::Expected<double> Trial::time(const TrialInputs &inputs, int64_t cached, int64_t calls) {
  // There is one copy where there are caches.
  if (hasCache && (inputs.positions > 1 || xfm_session_length(last()) + calls * inputs.positions > context))
    reset();
  while (hasCache && xfm_session_length(last()) < cached)
    if (llvm::Error error = call(inputs))
      return std::move(error);
  double start = seconds(threads == 1);
  for (int64_t i = 0; i < calls; ++i)
    if (llvm::Error error = call(inputs))
      return std::move(error);
  return seconds(threads == 1) - start;
}

bool Trial::isNarrow() const {
  xfm_tensor tensor;
  return xfm_session_output(last(), 0, &tensor) == XFM_OK && tensor.dtype != XFM_F32;
}

std::vector<float> Trial::output() const {
  xfm_tensor tensor;
  if (xfm_session_output(last(), 0, &tensor) != XFM_OK)
    return {};
  size_t elements = 1, size = xfm_dtype_size(tensor.dtype);
  for (int32_t d = 0; d < tensor.rank; ++d)
    elements *= tensor.dims[d];
  std::vector<float> values(elements);
  for (size_t i = 0; i < elements; ++i) {
    uint64_t bits = 0;
    memcpy(&bits, static_cast<const char *>(tensor.data) + i * size, size);
    if (tensor.dtype == XFM_F32)
      memcpy(&values[i], &bits, 4);
    else
      values[i] = llvm::APFloat(semanticsOf(tensor.dtype), llvm::APInt(16, bits)).convertToFloat();
  }
  return values;
}
