//===- Emulator.h - kernels run without a GPU ---------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_EMULATOR_H
#define EMULATOR_EMULATOR_H

#include "emulator/DeviceMemory.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/Error.h"

#include <memory>

namespace mlir::emulator {

struct LaunchConfig {
  uint64_t blocks = 1;
  /// The kernel's arguments, 64 bits each (codegen/GPU/README.md).
  ArrayRef<uint64_t> words;
};

struct EmulatorOptions {
  /// Asynchronous copies land as late as the waits allow; otherwise at once.
  bool late = true;
  /// Accesses to shared memory that no barrier orders are errors.
  bool checkRaces = true;
  /// Of the order in which warps take turns.
  uint64_t seed = 0;
  /// A loop that goes on after so many instructions of all warps is an error.
  uint64_t mostInstructions = UINT64_MAX;
};

/// What a launch did.
struct LaunchReport {
  uint64_t instructions = 0; ///< of warps
  uint64_t matrixProducts = 0;
  uint64_t sharedAccesses = 0,
           bankConflicts = 0; ///< accesses of warps; passes beyond the first that they took
  uint64_t globalSectors = 0, neededSectors = 0; ///< of 32 bytes: touched, and that the bytes would fill
  std::string error;

  void operator+=(const LaunchReport &other);
};

/// A kernel (a function with #xgpu.kernel) translated for emulation.
class EmulatedKernel {
public:
  /// An op that the emulator does not know is an error with its location.
  static llvm::Expected<std::unique_ptr<EmulatedKernel>> create(FunctionOpInterface kernel);
  ~EmulatedKernel();

  /// Runs all blocks. The first thing found to be wrong ends the launch and is the error:
  /// out of bounds, races, reads of what is in flight, deadlock, …
  llvm::Expected<LaunchReport> launch(const LaunchConfig &config, DeviceMemory &memory,
                                      const EmulatorOptions &options = {}) const;

private:
  explicit EmulatedKernel(std::unique_ptr<class Program> program);
  std::unique_ptr<Program> program;
};

} // namespace mlir::emulator

#endif // EMULATOR_EMULATOR_H
