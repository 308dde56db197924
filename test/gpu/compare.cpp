//===- compare.cpp - an .npy file against what was expected ---------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// compare ACTUAL.npy EXPECTED.npy TOLERANCE: prints the largest difference as a
// share of the largest expected value. Status 1 where it is above the tolerance,
// shapes differ or a value is no number.
//
//===----------------------------------------------------------------------===//

#include "runtime/Npy.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

int main(int argc, char **argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: compare ACTUAL.npy EXPECTED.npy TOLERANCE\n");
    return 2;
  }
  xfm::NpyArray arrays[2];
  for (int i = 0; i < 2; ++i)
    if (xfm::Status status = xfm::readNpy(argv[1 + i], {/*narrowF64=*/true}, arrays[i]); !status.ok()) {
      std::fprintf(stderr, "compare: error: %s\n", status.message.c_str());
      return 2;
    }
  const auto &[actual, expected] = arrays;
  if (actual.shape != expected.shape || actual.dtype != XFM_F32 || expected.dtype != XFM_F32) {
    std::printf("shapes differ\n");
    return 1;
  }
  auto *a = reinterpret_cast<const float *>(actual.data.data());
  auto *e = reinterpret_cast<const float *>(expected.data.data());
  double largest = 0, difference = 0;
  for (size_t i = 0, count = expected.data.size() / sizeof(float); i < count; ++i) {
    if (!std::isfinite(a[i])) {
      std::printf("no number\n");
      return 1;
    }
    largest = std::fmax(largest, std::fabs(e[i]));
    difference = std::fmax(difference, std::fabs(double(a[i]) - e[i]));
  }
  double relative = largest > 0 ? difference / largest : difference;
  std::printf("%.2e\n", relative);
  return relative <= std::atof(argv[3]) ? 0 : 1;
}
