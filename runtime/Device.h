//===- Device.h - where buffers lie and kernels run ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef XFM_RUNTIME_DEVICE_H
#define XFM_RUNTIME_DEVICE_H

#include "runtime/Manifest.h"
#include "runtime/xfm_abi.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace xfm {

/// A launch of the runtime's own, as xfm_abi::launch has them.
struct DeviceLaunch {
  int32_t kernel = 0;
  std::vector<int64_t> dims;
  std::vector<uint64_t> words;
};

/// Copies bytes of a device to the host, while it works on.
class Readback {
public:
  virtual ~Readback() = default;
  /// Puts the copy behind all work so far. One is under way at a time.
  virtual Status begin(const void *from) = 0;
  /// Waits for the copy, but for nothing behind it; the bytes are there until the next one begins.
  virtual Status finish(const void *&data) = 0;
};

/// A device with memory of its own. The CPU is none: its sessions use the process's memory.
/// All of it happens in one order, as in a stream. Sessions of one model share it, in threads of their own.
class Device {
public:
  virtual ~Device() = default;
  /// For people, e.g. "cuda:0 (NVIDIA H100)".
  virtual std::string name() const = 0;

  /// `bytes` bytes at a multiple of XFM_BUFFER_ALIGNMENT; `what` they are for is in the message
  /// where there is no memory.
  virtual Status allocate(int64_t bytes, const std::string &what, void *&out) = 0;
  virtual void release(void *memory) = 0;
  /// The host's data may change when upload returns, and is there when download returns.
  virtual Status upload(void *to, const void *from, int64_t bytes) = 0;
  virtual Status download(void *to, const void *from, int64_t bytes) = 0;

  /// What a module is initialised with; its `launch` takes `call.context` of `run`.
  virtual const xfm_abi &services() const = 0;
  /// Runs an entry point and, where it is not null, the launch `then` behind it; kernels may still be at work
  /// when it returns. Sets the call's context.
  virtual Status run(const EntryPoint &entry, xfm_entry_fn code, xfm_call &call,
                     const DeviceLaunch *then) = 0;
  /// Runs a kernel alone.
  virtual Status launch(const DeviceLaunch &launch) = 0;
  /// Makes a place for copies of `bytes` bytes, which must be gone before the device is.
  virtual Status makeReadback(int64_t bytes, std::unique_ptr<Readback> &out) = 0;
};

/// Memory of a device that grows and never shrinks. Growing drops what it held.
class DeviceBuffer {
public:
  DeviceBuffer() = default;
  ~DeviceBuffer() {
    if (memory)
      device->release(memory);
  }
  DeviceBuffer(DeviceBuffer &&other) noexcept { *this = std::move(other); }
  DeviceBuffer &operator=(DeviceBuffer &&other) noexcept {
    std::swap(device, other.device);
    std::swap(memory, other.memory);
    std::swap(capacity, other.capacity);
    return *this;
  }

  Status reserve(Device &of, int64_t bytes, const std::string &what) {
    if (memory && bytes <= capacity)
      return {};
    if (memory)
      device->release(std::exchange(memory, nullptr));
    device = &of;
    capacity = bytes;
    return of.allocate(bytes > 0 ? bytes : 1, what, memory);
  }
  char *data() const { return static_cast<char *>(memory); }

private:
  Device *device = nullptr;
  void *memory = nullptr;
  int64_t capacity = 0;
};

} // namespace xfm

#endif // XFM_RUNTIME_DEVICE_H
