//===- Program.cpp - a kernel as steps over registers -------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "emulator/Program.h"

#include "emulator/Cluster.h"

#include "codegen/GPU/IR/XGPU.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinTypes.h"

#include <cmath>

using namespace mlir;
using namespace mlir::emulator;

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

ScalarType Translator::scalarOf(Type type) {
  type = getElementTypeOrSelf(type);
  if (type.isF32())
    return {Kind::F32, 32};
  if (type.isF64())
    return {Kind::F64, 64};
  if (type.isBF16())
    return {Kind::BF16, 16};
  if (type.isF16())
    return {Kind::F16, 16};
  if (auto integer = dyn_cast<IntegerType>(type))
    return {Kind::Int, integer.getWidth()};
  return {Kind::Int, 64}; // index, pointers
}

unsigned Translator::wordsOf(Type type) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.getNumElements();
  if (auto memref = dyn_cast<MemRefType>(type))
    return 1 + memref.getRank();
  if (auto structure = dyn_cast<LLVM::LLVMStructType>(type)) {
    unsigned words = 0;
    for (Type member : structure.getBody())
      words += wordsOf(member);
    return words;
  }
  return 1;
}

double mlir::emulator::toDouble(uint64_t bits, ScalarType type) {
  switch (type.kind) {
  case Kind::F32:
    return toFloat(bits);
  case Kind::BF16:
    return toFloat(bits << 16);
  case Kind::F16: {
    _Float16 value;
    uint16_t low = static_cast<uint16_t>(bits);
    __builtin_memcpy(&value, &low, 2);
    return value;
  }
  case Kind::F64: {
    double value;
    __builtin_memcpy(&value, &bits, 8);
    return value;
  }
  case Kind::Int:
    return static_cast<double>(signExtend(bits, type.bits));
  }
  return 0;
}

uint64_t mlir::emulator::fromDouble(double value, ScalarType type) {
  switch (type.kind) {
  case Kind::F32:
    return fromFloat(static_cast<float>(value));
  case Kind::BF16: {
    uint32_t bits = static_cast<uint32_t>(fromFloat(static_cast<float>(value)));
    if (std::isnan(value))
      return bits >> 16 | 0x40;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16; // to nearest, ties to even
  }
  case Kind::F16: {
    _Float16 narrow = static_cast<_Float16>(static_cast<float>(value));
    uint16_t bits;
    __builtin_memcpy(&bits, &narrow, 2);
    return bits;
  }
  case Kind::F64: {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, 8);
    return bits;
  }
  case Kind::Int:
    return truncateTo(static_cast<uint64_t>(static_cast<int64_t>(value)), type.bits);
  }
  return 0;
}

//===----------------------------------------------------------------------===//
// Translation
//===----------------------------------------------------------------------===//

unsigned Translator::newSlots(unsigned count) {
  unsigned first = program.words;
  program.words += count;
  return first;
}

unsigned Translator::slotOf(Value value) {
  auto [it, isNew] = slots.try_emplace(value, 0);
  if (isNew)
    it->second = newSlots(wordsOf(value.getType()));
  return it->second;
}

std::optional<Step> mlir::emulator::unsupported(Operation *op) {
  op->emitOpError("has a form that is unknown to the GPU emulator");
  return std::nullopt;
}

const Handlers &mlir::emulator::handlers() {
  static const Handlers all = [] {
    Handlers handlers;
    addScalarOps(handlers);
    addControlOps(handlers);
    addVectorOps(handlers);
    addMemoryOps(handlers);
    addWarpOps(handlers);
    addHopperOps(handlers);
    addTensorOps(handlers);
    addClusterOps(handlers);
    return handlers;
  }();
  return all;
}

LogicalResult Translator::translate(mlir::Block &block, Code &code) {
  for (Operation &op : block) {
    if (op.hasTrait<OpTrait::IsTerminator>()) {
      for (Value operand : op.getOperands())
        code.results.push_back(slotOf(operand));
      continue;
    }
    auto it = handlers().find(op.getName().getStringRef());
    if (it == handlers().end())
      return op.emitOpError("is unknown to the GPU emulator");
    std::optional<Step> step = it->second(*this, &op);
    if (!step)
      return failure();
    if (*step)
      code.steps.push_back(std::move(*step));
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static LogicalResult bindArguments(FunctionOpInterface kernel, Translator &translator) {
  Program &program = translator.program;
  int64_t word = 0;
  for (BlockArgument argument : kernel.getArguments()) {
    unsigned slot = translator.slotOf(argument), number = argument.getArgNumber();
    if (auto map = kernel.getArgAttrOfType<xgpu::TensorMapAttr>(number, xgpu::TensorMapAttr::kName)) {
      Value memref = kernel.getArgument(map.getArgument());
      program.tensorMaps[number] = {translator.slotOf(memref), Translator::scalarOf(memref.getType()).bytes(),
                                    SmallVector<int64_t>(map.getGroups()), SmallVector<int64_t>(map.getBox()),
                                    map.getSwizzle()};
      continue;
    }
    program.parameters.push_back({slot, word++, 0});
    auto memref = dyn_cast<MemRefType>(argument.getType());
    if (!memref)
      continue;
    if (!memref.getLayout().isIdentity())
      return kernel.emitOpError("expected dense memrefs, but got ") << memref;
    for (int64_t i = 0; i < memref.getRank(); ++i) {
      bool isDynamic = memref.isDynamicDim(i);
      program.parameters.push_back({slot + 1 + static_cast<unsigned>(i), isDynamic ? word++ : -1,
                                    isDynamic ? 0 : static_cast<uint64_t>(memref.getDimSize(i))});
    }
  }
  return success();
}

EmulatedKernel::EmulatedKernel(std::unique_ptr<Program> program) : program(std::move(program)) {}
EmulatedKernel::~EmulatedKernel() = default;

llvm::Expected<std::unique_ptr<EmulatedKernel>> EmulatedKernel::create(FunctionOpInterface kernel) {
  auto program = std::make_unique<Program>();
  xgpu::KernelAttr mark = xgpu::KernelAttr::of(kernel);
  if (!mark || kernel.isExternal())
    return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                   kernel.getName() + " is no kernel: it has no body or no xgpu.kernel");
  program->name = kernel.getName().str();
  program->threads = mark.getThreads();
  program->cluster = mark.getCluster();
  program->sharedBytes = mark.getShared();
  program->overlaps = mark.getOverlaps();
  Translator translator(*program);
  std::string message;
  ScopedDiagnosticHandler keep(kernel->getContext(), [&](Diagnostic &diagnostic) {
    if (message.empty()) {
      llvm::raw_string_ostream stream(message);
      stream << diagnostic.getLocation() << ": " << diagnostic;
    }
    return success();
  });
  if (failed(bindArguments(kernel, translator)) ||
      failed(translator.translate(kernel.getFunctionBody().front(), program->body)))
    return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
  return std::unique_ptr<EmulatedKernel>(new EmulatedKernel(std::move(program)));
}

void LaunchReport::operator+=(const LaunchReport &other) {
  instructions += other.instructions;
  matrixProducts += other.matrixProducts;
  sharedAccesses += other.sharedAccesses;
  bankConflicts += other.bankConflicts;
  globalSectors += other.globalSectors;
  neededSectors += other.neededSectors;
}

llvm::Expected<LaunchReport> EmulatedKernel::launch(const LaunchConfig &config, DeviceMemory &memory,
                                                    const EmulatorOptions &options) const {
  LaunchReport report;
  if (config.blocks % program->cluster != 0)
    return llvm::createStringError(llvm::inconvertibleErrorCode(), "kernel " + program->name + " has " +
                                                                       std::to_string(config.blocks) +
                                                                       " blocks, which are no clusters of " +
                                                                       std::to_string(program->cluster));
  for (uint64_t first = 0; first < config.blocks; first += program->cluster)
    if (!Cluster(*program, config, memory, options, report, first).run())
      return llvm::createStringError(llvm::inconvertibleErrorCode(), report.error);
  return report;
}
