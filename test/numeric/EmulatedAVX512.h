//===- EmulatedAVX512.h - kernels of AVX-512 on any x86-64 ----------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef TEST_NUMERIC_EMULATEDAVX512_H
#define TEST_NUMERIC_EMULATEDAVX512_H

#include "codegen/Compile.h"

namespace mlir::transformer::numeric {

/// The name of a target: kernels chosen and emitted for AVX-512 with bf16, whose own
/// instructions are then written in operations that AVX2 has. What templates emit for
/// wide vectors and for pairs is tested so where no machine runs it.
constexpr llvm::StringLiteral kEmulatedAVX512 = "emulated-avx512bf16";

/// Lowers `module` up to its kernels, for a CPU with AVX-512 and bf16, and changes `options`
/// so that the rest is compiled for x86-64-v3.
llvm::Error lowerForEmulation(ModuleOp module, CompileOptions &options);

} // namespace mlir::transformer::numeric

#endif // TEST_NUMERIC_EMULATEDAVX512_H
