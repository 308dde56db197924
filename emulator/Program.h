//===- Program.h - a kernel as steps over registers ---------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef EMULATOR_PROGRAM_H
#define EMULATOR_PROGRAM_H

#include "emulator/Execution.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"

#include <map>

namespace mlir::emulator {

/// One instruction, its operands' registers bound.
using Step = std::function<void(Warp &)>;

/// A block of IR: its steps, and the registers of its terminator's operands.
struct Code {
  std::vector<Step> steps;
  SmallVector<unsigned> results;
  void run(Warp &warp) const {
    for (const Step &step : steps)
      step(warp);
  }
};

/// How bits of a word are read.
enum class Kind { Int, F16, BF16, F32, F64 };
struct ScalarType {
  Kind kind;
  unsigned bits;
  unsigned bytes() const { return bits == 1 ? 1 : bits / 8; }
};

class Program {
public:
  std::string name;
  unsigned threads = 0, words = 0; ///< of a block; of registers
  unsigned cluster = 1;            ///< blocks
  unsigned warps() const { return threads / kLanes; }
  /// Who clocks know of: the warps of a cluster and the mbarriers of its blocks.
  unsigned clockMembers() const { return cluster * (warps() + Mbarriers::kMost); }
  uint64_t sharedBytes = 0;
  bool overlaps = false; ///< other kernels, until it has waited for them
  struct Constant {
    unsigned slot;
    uint64_t bits;
  };
  /// The words of a launch to registers: a memref's static sizes are constants.
  struct Parameter {
    unsigned slot;
    int64_t word; ///< -1: `bits`
    uint64_t bits;
  };
  std::vector<Parameter> parameters;
  /// By number of the argument.
  std::map<unsigned, TensorMap> tensorMaps;
  std::vector<Constant> constants;
  Code body;
};

/// Translates IR to steps. Handlers of ops ask it for registers.
class Translator {
public:
  explicit Translator(Program &program) : program(program) {}

  /// Fails where an op is unknown, and reports it.
  LogicalResult translate(mlir::Block &block, Code &code);

  unsigned slotOf(Value value);
  static unsigned wordsOf(Type type);
  static ScalarType scalarOf(Type type);
  unsigned newSlots(unsigned count);
  void setConstant(unsigned slot, uint64_t bits) { program.constants.push_back({slot, bits}); }
  Program &program;

private:
  llvm::DenseMap<Value, unsigned> slots;
};

/// Makes the step of an op; an empty one where it does nothing, nullopt where the op is
/// not as the emulator knows it (the error has been reported).
using Handler = std::function<std::optional<Step>(Translator &, Operation *)>;
/// Reports that an op has a form that the emulator does not know; nullopt.
std::optional<Step> unsupported(Operation *op);
using Handlers = llvm::StringMap<Handler>;
const Handlers &handlers();
void addScalarOps(Handlers &handlers);
void addControlOps(Handlers &handlers);
void addVectorOps(Handlers &handlers);
void addMemoryOps(Handlers &handlers);
void addWarpOps(Handlers &handlers);
void addHopperOps(Handlers &handlers);
void addTensorOps(Handlers &handlers);
void addClusterOps(Handlers &handlers);

//===--- values of words ---===//
double toDouble(uint64_t bits, ScalarType type);
uint64_t fromDouble(double value, ScalarType type);
inline float toFloat(uint64_t bits) {
  float value;
  uint32_t low = static_cast<uint32_t>(bits);
  __builtin_memcpy(&value, &low, 4);
  return value;
}
inline uint64_t fromFloat(float value) {
  uint32_t low;
  __builtin_memcpy(&low, &value, 4);
  return low;
}
inline uint64_t truncateTo(uint64_t bits, unsigned width) {
  return width >= 64 ? bits : bits & ((uint64_t(1) << width) - 1);
}
inline int64_t signExtend(uint64_t bits, unsigned width) {
  return width >= 64 ? static_cast<int64_t>(bits)
                     : static_cast<int64_t>(bits << (64 - width)) >> (64 - width);
}

} // namespace mlir::emulator

#endif // EMULATOR_PROGRAM_H
