//===- tfrun.cpp - Runs a compiled model --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "tools/tfrun/Main.h"

int main(int argc, char **argv) { return xfm::tfrun::run(argc, argv); }
