//===- Model.cpp - an open artifact ---------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/Model.h"
#include "runtime/Hash.h"
#include "runtime/RandomWeights.h"
#include "runtime/Safetensors.h"
#include "runtime/cuda/CudaDevice.h"

#include <algorithm>
#include <cstring>

using namespace xfm;

static constexpr const char *manifestName = "manifest.json";
static constexpr const char *moduleName = "module.so";
static constexpr const char *weightsName = "weights.safetensors";

/// A manifest is small; what is larger is not one, and is not read.
static constexpr size_t longestManifest = size_t{256} << 20;

/// What is uploaded between two reports of progress.
static constexpr int64_t uploadPiece = int64_t{128} << 20;

static Status readManifest(const Folder &folder, Manifest &out) {
  File file;
  Status status = folder.openFile(manifestName, file);
  if (status.code == XFM_NOT_FOUND)
    status.message += ": an artifact is the folder that the compiler wrote";
  if (!status.ok())
    return status;
  if (file.size() > longestManifest)
    return fail(XFM_CORRUPT, file.path(), ": ", file.size(), " bytes are too many for a manifest");
  if (status = file.map(); !status.ok())
    return status;
  return parseManifest(file.bytes(), file.path(), out);
}

static Status verifyHash(const FileSpec &spec, File &file) {
  if (Status status = file.map(); !status.ok())
    return status;
  uint64_t hash = hashBytes(file.bytes().data(), file.bytes().size());
  if (hash != spec.hash)
    return fail(XFM_CORRUPT, file.path(), ": hash is ", hexDigits(hash), ", but the manifest says ",
                hexDigits(spec.hash), ": the file is damaged, copy or compile the artifact again");
  return {};
}

Status Model::verifyFiles(const Folder &folder, bool skipWeightHash) {
  // All sizes first: they cost nothing, and tell most damage (a copy that was
  // cut off) before gigabytes are hashed.
  std::vector<File> files(contents.files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    const FileSpec &spec = contents.files[i];
    Status status = folder.openFile(spec.name, files[i]);
    if (status.code == XFM_NOT_FOUND)
      status.message += ", but the manifest lists it: copy the artifact again";
    if (!status.ok())
      return status;
    if (files[i].size() != static_cast<size_t>(spec.bytes))
      return fail(XFM_CORRUPT, files[i].path(), ": has ", files[i].size(), " bytes, but the manifest says ",
                  spec.bytes, ": the file is cut off or not of this artifact, copy it again");
  }
  for (size_t i = 0; i < files.size(); ++i) {
    const FileSpec &spec = contents.files[i];
    if (spec.name == weightsName && skipWeightHash)
      log(XFM_LOG_INFO, files[i].path() + ": hash not verified, as asked");
    else if (Status status = verifyHash(spec, files[i]); !status.ok())
      return status;
    if (spec.name == moduleName)
      moduleFile = std::move(files[i]);
    else if (spec.name == weightsName)
      weightFile = std::move(files[i]);
  }
  return {};
}

/// The element type of a weight format that is one, e.g. "bf16"; null for
/// packed formats, whose layout is between the compiler and its module.
static const char *storedType(std::string_view format) {
  constexpr const char *types[][2] = {{"f32", "F32"}, {"f16", "F16"}, {"bf16", "BF16"}, {"i64", "I64"},
                                      {"i32", "I32"}, {"i8", "I8"},   {"u8", "U8"}};
  for (auto &[name, stored] : types)
    if (format == name)
      return stored;
  return nullptr;
}

static Status checkWeight(const WeightSpec &weight, const StoredTensor &tensor, const std::string &path) {
  if (tensor.data.size() != static_cast<size_t>(weight.bytes))
    return fail(XFM_CORRUPT, path, ": tensor ", quote(weight.name), " has ", tensor.data.size(),
                " bytes, but the manifest says ", weight.bytes);
  if (reinterpret_cast<uintptr_t>(tensor.data.data()) % XFM_BUFFER_ALIGNMENT != 0)
    return fail(XFM_CORRUPT, path, ": tensor ", quote(weight.name), " does not start at a multiple of ",
                XFM_BUFFER_ALIGNMENT, " bytes");
  const char *type = storedType(weight.format);
  if (type && (tensor.dtype != type || tensor.shape != weight.shape))
    return fail(XFM_CORRUPT, path, ": tensor ", quote(weight.name), " is ", tensor.dtype, " ",
                shapeText(tensor.shape.data(), tensor.shape.size()), ", but the manifest says ",
                weight.format, " ", shapeText(weight.shape.data(), weight.shape.size()));
  return {};
}

Status Model::findWeights(bool hugePages) {
  if (contents.weights.empty())
    return {};
  if (Status status = weightFile.map(); !status.ok())
    return status;
  std::string_view bytes = weightFile.bytes();
  if (hugePages) {
    if (!weightCopy.allocate(static_cast<int64_t>(bytes.size()), /*huge=*/true))
      return fail(XFM_OUT_OF_MEMORY, weightFile.path(), ": no memory for a copy of ", bytes.size(),
                  " bytes: open the model without huge pages");
    std::memcpy(weightCopy.data(), bytes.data(), bytes.size());
    bytes = {weightCopy.data(), bytes.size()};
  }
  StoredTensors tensors;
  if (Status status = parseSafetensors(bytes, weightFile.path(), tensors); !status.ok())
    return status;
  for (const WeightSpec &weight : contents.weights) {
    auto found = tensors.find(weight.name);
    if (found == tensors.end())
      return fail(XFM_CORRUPT, weightFile.path(), ": holds no tensor ", quote(weight.name),
                  ", but the manifest lists it");
    if (Status status = checkWeight(weight, found->second, weightFile.path()); !status.ok())
      return status;
    weightPointers.push_back(const_cast<char *>(found->second.data.data()));
  }
  return {};
}

/// All weights in one allocation, as in their file.
Status Model::layOutWeights(std::vector<int64_t> &offsets, int64_t &total) const {
  total = 0;
  for (const WeightSpec &weight : contents.weights) {
    offsets.push_back(total);
    if (__builtin_add_overflow(total, weight.bytes, &total) || !alignUp(total, total))
      return fail(XFM_OUT_OF_MEMORY, folderPath, ": the weights are larger than any memory");
  }
  return {};
}

Status Model::makeRandomWeights(const Choices &choices) {
  std::vector<int64_t> offsets;
  int64_t total = 0;
  if (Status status = layOutWeights(offsets, total); !status.ok())
    return status;
  if (!weightCopy.allocate(total))
    return fail(XFM_OUT_OF_MEMORY, folderPath, ": no memory for random weights of ", total, " bytes");
  for (size_t i = 0; i < contents.weights.size(); ++i) {
    fillRandomWeight(contents.weights[i], choices.randomSeed, weightCopy.data() + offsets[i]);
    weightPointers.push_back(weightCopy.data() + offsets[i]);
    if (choices.progress)
      choices.progress("random weights", offsets[i] + contents.weights[i].bytes, total);
  }
  if (choices.progress)
    choices.progress("random weights", total, total);
  return {};
}

/// The code of a file exists once in a process, with one table of services. A
/// model that is profiled takes a copy of its own, so that others of the same file
/// are neither slowed down nor in its way.
Status Model::loadModule() {
  if (gpu)
    return code.load(moduleFile, contents.entryPoints, gpu->services());
  if (!isProfiled)
    return code.load(moduleFile, contents.entryPoints, plainServices());
  File copy;
  if (Status status = moduleFile.map(); !status.ok())
    return status;
  if (Status status = copy.makeInMemory(moduleFile.bytes(), moduleFile.path()); !status.ok())
    return status;
  moduleFile = std::move(copy);
  return code.load(moduleFile, contents.entryPoints, profilingServices());
}

/// The device that was asked for and that the artifact is for: never another one.
Status Model::openDevice(const Folder &folder, Choices &choices) {
  bool isGPU = contents.target.isGPU();
  if (isGPU && isProfiled)
    return fail(XFM_INVALID_ARGUMENT, "profiling is for the CPU: a GPU's kernels are not timed one by one");
  if (isGPU && choices.hugePages)
    return fail(XFM_INVALID_ARGUMENT, "huge pages are for the CPU: a GPU has the weights in its own memory");
  if (choices.given && isGPU) {
    gpu = std::move(choices.given);
    return {};
  }
  const std::string &wanted = choices.device;
  if (wanted.empty() ? !isGPU : wanted == "cpu") {
    if (isGPU)
      return fail(XFM_TARGET_MISMATCH, folderPath,
                  ": made for a GPU and cannot run on the CPU: use --device=cuda, ",
                  "or compile the model with --target=cpu");
    return {};
  }
  int64_t ordinal = 0;
  if (!wanted.empty() && !parseCudaDevice(wanted, ordinal))
    return fail(XFM_INVALID_ARGUMENT, "unknown device ", quote(wanted), ": use cpu, cuda or cuda:N");
  if (!isGPU)
    return fail(XFM_TARGET_MISMATCH, folderPath, ": made for the CPU and cannot run on ", wanted,
                ": compile the model with --target=cuda");
  return openCudaDevice(folder, contents, ordinal, choices.graphs, gpu);
}

Status Model::uploadWeights(const Choices &choices) {
  std::vector<int64_t> offsets;
  int64_t total = 0;
  if (Status status = layOutWeights(offsets, total); !status.ok())
    return status;
  if (Status status = weightsOnDevice.reserve(*gpu, total, "the weights"); !status.ok())
    return status;
  for (size_t i = 0; i < weightPointers.size(); ++i) {
    char *place = weightsOnDevice.data() + offsets[i];
    auto *source = static_cast<const char *>(weightPointers[i]);
    for (int64_t done = 0, bytes = contents.weights[i].bytes; done < bytes; done += uploadPiece) {
      int64_t count = std::min(uploadPiece, bytes - done);
      if (Status status = gpu->upload(place + done, source + done, count); !status.ok())
        return status;
      if (choices.progress)
        choices.progress("uploading weights", offsets[i] + done + count, total);
    }
    weightPointers[i] = place;
  }
  if (choices.progress)
    choices.progress("uploading weights", total, total);
  // What lies on the device is not needed here.
  weightFile = File();
  weightCopy.release();
  return {};
}

Status Model::open(const std::string &path, Choices choices, std::unique_ptr<Model> &out) {
  auto model = std::make_unique<Model>();
  model->folderPath = path;
  model->isProfiled = choices.profile;
  Folder folder;
  if (Status status = folder.open(path); !status.ok())
    return status;
  if (Status status = readManifest(folder, model->contents); !status.ok())
    return status;
  if (Status status = model->verifyFiles(folder, choices.skipWeightHash); !status.ok())
    return status;
  if (choices.inspect) {
    out = std::move(model);
    return {};
  }
  if (!model->contents.weightsStored && !choices.randomSeed)
    return fail(XFM_INVALID_ARGUMENT, path,
                ": has no weights, as it was compiled with --no-weights: use --random-weights=SEED, ",
                "or compile it with them");
  // Before gigabytes of weights are looked at: there may be no such device.
  if (Status status = model->openDevice(folder, choices); !status.ok())
    return status;
  if (Status status =
          choices.randomSeed ? model->makeRandomWeights(choices) : model->findWeights(choices.hugePages);
      !status.ok())
    return status;
  if (choices.hugePages)
    model->weightFile = File(); // its pages are not needed twice
  if (model->gpu)
    if (Status status = model->uploadWeights(choices); !status.ok())
      return status;
  // Nothing of the artifact runs before all of it was verified.
  if (Status status = model->loadModule(); !status.ok())
    return status;
  model->isLoaded = true;
  log(XFM_LOG_INFO, path + ": opened, " + std::to_string(model->contents.entryPoints.size()) +
                        " entry points, " + std::to_string(model->contents.weights.size()) + " weights");
  out = std::move(model);
  return {};
}
