//===- EmulatedDevice.h - artifacts of a GPU without one ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_EMULATEDDEVICE_H
#define EMULATOR_EMULATEDDEVICE_H

#include "emulator/Emulator.h"
#include "runtime/Device.h"

#include "mlir/IR/BuiltinOps.h"

#include <vector>

namespace mlir::emulator {

/// A device of the runtime whose kernels the emulator runs: the host code and the runtime are those of a
/// GPU, its memory is the process's.
class EmulatedDevice : public xfm::Device {
public:
  /// `kernels` is the module of one architecture (codegen/GPU/README.md), which need not live on.
  static llvm::Expected<std::unique_ptr<EmulatedDevice>> create(ModuleOp kernels,
                                                                const EmulatorOptions &options = {});
  ~EmulatedDevice() override;

  std::string name() const override { return "the emulated GPU"; }
  xfm::Status allocate(int64_t bytes, const std::string &what, void *&out) override;
  void release(void *allocation) override;
  xfm::Status upload(void *to, const void *from, int64_t bytes) override;
  xfm::Status download(void *to, const void *from, int64_t bytes) override;
  const xfm_abi &services() const override;
  xfm::Status run(const xfm::EntryPoint &entry, xfm_entry_fn code, xfm_call &call,
                  const xfm::DeviceLaunch *then) override;
  xfm::Status launch(const xfm::DeviceLaunch &launch) override;
  xfm::Status makeReadback(int64_t bytes, std::unique_ptr<xfm::Readback> &out) override;

  /// What all launches so far did, and how many there were.
  const LaunchReport &total() const { return work; }
  int64_t launches() const { return launchCount; }

private:
  struct Kernel {
    std::unique_ptr<EmulatedKernel> code;
    SmallVector<int64_t> tile;
    int64_t words;
    bool isPersistent = false;
    uint64_t cluster = 1;
  };
  explicit EmulatedDevice(const EmulatorOptions &options) : options(options) {}
  static void launchThunk(void *context, int32_t kernel, const int64_t *dims, const uint64_t *words, int32_t);
  void launch(int32_t number, const int64_t *dims, const uint64_t *words);

  EmulatorOptions options;
  std::vector<Kernel> kernels;
  OwningOpRef<ModuleOp> module;
  DeviceMemory memory;
  LaunchReport work;
  int64_t launchCount = 0;
  std::string error;
};

} // namespace mlir::emulator

#endif // EMULATOR_EMULATEDDEVICE_H
