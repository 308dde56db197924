//===- Compile.h - a module to an artifact --------------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CODEGEN_COMPILE_H
#define CODEGEN_COMPILE_H

#include "codegen/CPU/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace mlir::transformer {

struct LoweringOptions {
  /// Positions one call computes; longer inputs run in several.
  int64_t chunk = 512;
  /// Results do not depend on threads, on how a prompt is cut into calls, or on the
  /// other rows of a batch, to the bit.
  bool deterministic = false;
  /// Lowering configs that replace the chosen ones (JSON), or empty.
  std::string strategyFile;
  /// Lowering configs that were measured on this CPU (`tfopt --tune`), or empty.
  std::string tuningFile;
  /// The phase to start at, of a module that has been lowered up to it; empty for the
  /// optimisations and all phases.
  std::string startAt;
  /// -O0 to -O3.
  int optLevel = 3;
  /// Optimisation passes to run instead of the level's, or empty.
  std::string passes;
  /// Architectures of a GPU that kernels are made for (parseGPUArchs); empty: the CPU.
  std::vector<std::string> gpuArchs;
  /// Kernels that an architecture alone has are chosen, whether or not a GPU has shown them to be right.
  bool newestGPUKernels = false;
  /// A GPU multiplies f32 on tensor cores, rounded to tf32 (10 bits of mantissa).
  bool tf32 = false;
  /// Sequences that a decoding step on a GPU is taken to have; it may have any number.
  int64_t gpuSequences = 1;
};

/// The kernels of one architecture, in the form of codegen/GPU/README.md.
struct KernelModule {
  std::string arch;
  OwningOpRef<ModuleOp> module;
};

struct CompileOptions : LoweringOptions {
  std::string mcpu = "native";
  /// Empty: this machine's, or what `mcpu` belongs to.
  std::string mtriple;
  /// Threads for the weights; 0: one per core.
  unsigned threads = 0;
  /// A folder where evaluated weights are kept from compile to compile; empty for none.
  std::string cacheFolder;
  /// Shows progress on stderr where it is a terminal.
  bool progress = true;
  /// Writes code and shapes only.
  bool noWeights = false;
  /// Receives the kernels of a GPU as they are before PTX, for the emulator; may be null.
  std::vector<KernelModule> *kernels = nullptr;
  /// Receives lines such as the chosen target; may be null.
  llvm::raw_ostream *notes = nullptr;
};

/// Compiles `module` (transformer dialect; consumed) and writes the artifact
/// `output`. Weights are read from `sourceFolder`, from which the tokenizer is
/// copied too.
llvm::Error compileToArtifact(ModuleOp module, llvm::StringRef sourceFolder, llvm::StringRef output,
                              const CompileOptions &options);

/// Optimises `module` and lowers it up to the phase `stopAt` (all the way if empty). Kernels of
/// GPUs are handed over in `kernels`, which may be null where nobody wants them.
llvm::Error lowerModule(ModuleOp module, const CPUTarget &target, const LoweringOptions &options,
                        llvm::StringRef stopAt, std::vector<KernelModule> *kernels = nullptr);

/// Brings kernels to PTX; consumes them.
llvm::Expected<std::string> compileKernels(KernelModule &kernels);

} // namespace mlir::transformer

#endif // CODEGEN_COMPILE_H
