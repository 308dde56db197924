//===- small_driver.c - a driver without most of its functions ------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

int cuDriverGetVersion(int *version) {
  *version = 12040;
  return 0;
}
