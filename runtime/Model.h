//===- Model.h - an open artifact -----------------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_MODEL_H
#define XFM_RUNTIME_MODEL_H

#include "runtime/Device.h"
#include "runtime/File.h"
#include "runtime/Manifest.h"
#include "runtime/Memory.h"
#include "runtime/Module.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace xfm {

/// Immutable once open: any number of threads may read it.
class Model {
public:
  /// What a caller may choose.
  struct Choices {
    bool skipWeightHash = false;
    bool profile = false;    ///< give the module the services that profile
    bool hugePages = false;  ///< copy the weights to large pages
    uint64_t randomSeed = 0; ///< not 0: weights are random values of this seed (fillRandomWeight)
    bool inspect = false;    ///< read and verify, load nothing
    /// The device to run on: "cpu", "cuda", "cuda:1"; empty for what the artifact is made for.
    std::string device;
    bool graphs = true; ///< a GPU's steps are recorded and replayed
    /// What is being done, and how many bytes of how many are; may be empty.
    std::function<void(const char *what, int64_t done, int64_t total)> progress;
    /// A device instead, for the kernels of one: the emulator's.
    std::unique_ptr<Device> given;
  };
  static Status open(const std::string &path, Choices choices, std::unique_ptr<Model> &out);

  const std::string &path() const { return folderPath; }
  const Manifest &manifest() const { return contents; }
  bool profiled() const { return isProfiled; }
  bool canRun() const { return isLoaded; }
  const EntryFunctions &functions(const EntryPoint &entry) const {
    return code.functions(static_cast<size_t>(&entry - contents.entryPoints.data()));
  }
  /// Null for the CPU.
  Device *device() const { return gpu.get(); }
  /// xfm_call::weights, in the device's memory. Generated code only reads them.
  void *const *weights() const { return weightPointers.data(); }

private:
  Status verifyFiles(const Folder &folder, bool skipWeightHash);
  Status findWeights(bool hugePages);
  Status loadModule();
  Status openDevice(const Folder &folder, Choices &choices);
  Status uploadWeights(const Choices &choices);
  Status makeRandomWeights(const Choices &choices);
  Status layOutWeights(std::vector<int64_t> &offsets, int64_t &total) const;

  std::string folderPath;
  bool isProfiled = false, isLoaded = false;
  Manifest contents;
  // Files before what points into them or was loaded from them.
  File moduleFile;
  File weightFile;
  LazyPages weightCopy; ///< in place of the file: in large pages, or random
  std::unique_ptr<Device> gpu;
  DeviceBuffer weightsOnDevice; ///< in the device's memory, so before it is gone
  Module code;
  std::vector<void *> weightPointers;
};

/// The handle of the C API for a model that was opened here, for programs that reach inside.
xfm_model *makeHandle(std::unique_ptr<Model> model);

} // namespace xfm

#endif // XFM_RUNTIME_MODEL_H
