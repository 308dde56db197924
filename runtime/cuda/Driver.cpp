//===- Driver.cpp - the CUDA driver, by dlopen --------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "runtime/cuda/Driver.h"

#include <dlfcn.h>

using namespace xfm;
using namespace xfm::cuda;

/// The first driver (of CUDA 11.8) that launches kernels with attributes and reads PTX 7.8.
static constexpr int oldestDriver = 11080;

static std::string versionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

Status Driver::error(CUresult code, const std::string &doing, const char *advice) const {
  const char *name = nullptr, *text = nullptr;
  if (GetErrorName)
    GetErrorName(code, &name);
  if (GetErrorString)
    GetErrorString(code, &text);
  return fail(code == CUDA_ERROR_OUT_OF_MEMORY ? XFM_OUT_OF_MEMORY : XFM_DEVICE_ERROR, doing, ": ",
              name ? name : "CUDA error", " (", text ? text : std::to_string(code).c_str(), ")",
              *advice ? ": " : "", advice);
}

Status Driver::load() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return fail(XFM_DEVICE_ERROR,
                "no CUDA driver: libcuda.so.1 cannot be loaded: install NVIDIA's driver, or compile ",
                "the model with --target=cpu");
#define XFM_CUDA_RESOLVE(name, symbol, parameters)                                                           \
  name = reinterpret_cast<decltype(name)>(dlsym(library, symbol));
  XFM_CUDA_FUNCTIONS(XFM_CUDA_RESOLVE)
#undef XFM_CUDA_RESOLVE
  int version = 0;
  if (!DriverGetVersion || DriverGetVersion(&version) != CUDA_SUCCESS || version < oldestDriver)
    return fail(XFM_DEVICE_ERROR, "the CUDA driver is of CUDA ", versionText(version), ", but ",
                versionText(oldestDriver), " or newer is needed: update NVIDIA's driver");
  const char *missing = nullptr;
#define XFM_CUDA_CHECK(name, symbol, parameters)                                                             \
  if (!name && !missing)                                                                                     \
    missing = symbol;
  XFM_CUDA_FUNCTIONS(XFM_CUDA_CHECK)
#undef XFM_CUDA_CHECK
  if (missing && std::string(missing) != "cuTensorMapEncodeTiled") // of 12.0, and for sm_90 alone
    return fail(XFM_DEVICE_ERROR, "the CUDA driver has no ", missing, ": update NVIDIA's driver");
  if (CUresult code = Init(0); code != CUDA_SUCCESS)
    return error(code, "the CUDA driver does not start", "is there a GPU, and may this process use it?");
  return {};
}

Status Driver::get(const Driver *&out) {
  static Driver *driver = new Driver; // never unloaded: other threads may be in it at exit
  static const Status loaded = driver->load();
  out = driver;
  return loaded;
}
