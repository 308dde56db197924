//===- Pipeline.cpp - from the dialect to LLVM ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/CPU/Pipeline.h"

#include "codegen/Passes.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace mlir::transformer;

/// Keeps the IR small and readable between phases.
static void addCleanup(OpPassManager &pm) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

namespace {
struct Phase {
  StringRef name;
  void (*build)(OpPassManager &, const CPUPipelineOptions &);
};
} // namespace

static const Phase kPhases[] = {
    // Everything but attention and caches is one kind of op from here on, so that
    // fusion and emission need not know the dialect.
    {"linalg",
     [](OpPassManager &pm, const CPUPipelineOptions &) {
       pm.addPass(createToLinalgPass());
       addCleanup(pm);
     }},
    // Before bufferization, while producers and consumers are values.
    {"dispatch",
     [](OpPassManager &pm, const CPUPipelineOptions &options) {
       pm.addPass(createCheckDispatchablePass());
       FormDispatchesPassOptions form;
       form.fusion = options.fusion;
       pm.addPass(createFormDispatchesPass(form));
       addCleanup(pm);
     }},
    // Decisions, apart from what carries them out.
    {"strategy",
     [](OpPassManager &pm, const CPUPipelineOptions &options) {
       SelectStrategyPassOptions strategy;
       strategy.vectorBytes = options.vectorBytes;
       strategy.vectorRegisters = options.vectorRegisters;
       strategy.nativeBF16 = options.nativeBF16;
       strategy.deterministic = options.deterministic;
       strategy.overrides = options.strategyFile;
       strategy.tuning = options.tuningFile;
       pm.addPass(createSelectStrategyPass(strategy));
       // What the configs ask of weights.
       pm.addPass(createPackWeightsPass());
       pm.addPass(createSplitAttentionPass());
     }},
    // The specification of each dispatch becomes its loops.
    {"kernels",
     [](OpPassManager &pm, const CPUPipelineOptions &) {
       pm.addPass(createEmitKernelsPass());
       addCleanup(pm);
       pm.addPass(createLoopInvariantCodeMotionPass());
     }},
    // Entry functions only compute sizes and launch; nothing allocates.
    {"memory",
     [](OpPassManager &pm, const CPUPipelineOptions &options) {
       BufferizeEntriesPassOptions bufferize;
       bufferize.chunk = options.chunk;
       pm.addPass(createBufferizeEntriesPass(bufferize));
       addCleanup(pm);
       pm.addPass(createPlanMemoryPass());
       addCleanup(pm);
     }},
    // The runtime's ABI.
    {"launches",
     [](OpPassManager &pm, const CPUPipelineOptions &) { pm.addPass(createLowerLaunchesPass()); }},
    // exp, tanh and erf become polynomials: there is no libm inside a module.
    {"llvm",
     [](OpPassManager &pm, const CPUPipelineOptions &options) {
       pm.addPass(createExpandMathPass());
       // Arithmetic on narrow values is done in f32 and rounded.
       arith::ArithEmulateUnsupportedFloatsOptions emulate;
       emulate.sourceTypeStrs = {"bf16", "f16"};
       emulate.targetTypeStr = "f32";
       pm.addPass(arith::createArithEmulateUnsupportedFloats(emulate));
       // Without an instruction for it, rounding to bf16 would become a library call.
       arith::ArithExpandOpsPassOptions expand;
       expand.includeBf16 = !options.nativeBF16;
       pm.addNestedPass<func::FuncOp>(arith::createArithExpandOpsPass(expand));
       if (!options.nativeF16 || !options.nativeRounding) {
         EmulateInstructionsPassOptions emulated;
         emulated.f16 = !options.nativeF16;
         emulated.rounding = !options.nativeRounding;
         pm.addPass(createEmulateInstructionsPass(emulated));
       }
       pm.addPass(memref::createExpandStridedMetadataPass());
       pm.addPass(createLowerAffinePass());
       pm.addPass(createSCFToControlFlowPass());
       // Before the general conversion, which leaves casts of vector masks behind.
       pm.addPass(createConvertVectorToLLVMPass());
       pm.addPass(createUBToLLVMConversionPass());
       pm.addPass(createConvertToLLVMPass());
       pm.addPass(createReconcileUnrealizedCastsPass());
       if (!options.nativeBF16)
         pm.addPass(createExpandBF16Pass());
       pm.addPass(createCheckLoweredPass());
     }},
};

ArrayRef<StringRef> mlir::transformer::cpuPhases() {
  static const SmallVector<StringRef> names =
      llvm::map_to_vector(kPhases, [](const Phase &p) { return p.name; });
  return names;
}

void mlir::transformer::buildCPUPipeline(OpPassManager &pm, const CPUPipelineOptions &options) {
  bool started = options.startAt.empty();
  for (const Phase &phase : kPhases) {
    started |= phase.name == options.startAt;
    if (started)
      phase.build(pm, options);
    if (phase.name == options.stopAt)
      return;
  }
}

namespace {
struct PipelineOptions : PassPipelineOptions<PipelineOptions> {
  Option<int64_t> vectorBytes{*this, "vector-bytes", llvm::cl::desc("bytes of the target's vector registers"),
                              llvm::cl::init(32)};
  Option<int64_t> vectorRegisters{*this, "vector-registers",
                                  llvm::cl::desc("number of the target's vector registers"),
                                  llvm::cl::init(16)};
  Option<bool> nativeBF16{
      *this, "native-bf16",
      llvm::cl::desc("the target multiplies pairs of bf16, and rounds to it, in one instruction"),
      llvm::cl::init(false)};
  Option<int64_t> chunk{*this, "chunk", llvm::cl::desc("positions one call computes at most"),
                        llvm::cl::init(512)};
  Option<bool> deterministic{*this, "deterministic",
                             llvm::cl::desc("no result may depend on how work is cut"),
                             llvm::cl::init(false)};
  Option<std::string> strategy{*this, "strategy", llvm::cl::desc("file of lowering configs"),
                               llvm::cl::init("")};
  Option<int64_t> fusion{*this, "fusion", llvm::cl::desc("how much dispatches fuse: 0, 1 or 2"),
                         llvm::cl::init(2)};
  Option<std::string> stopAt{*this, "stop-at", llvm::cl::desc("the last phase to run"), llvm::cl::init("")};
};
} // namespace

void mlir::transformer::registerCPUPipeline() {
  PassPipelineRegistration<PipelineOptions>(
      "transformer-cpu-pipeline", "Lower transformer functions to LLVM for the CPU",
      [](OpPassManager &pm, const PipelineOptions &options) {
        buildCPUPipeline(pm, {options.vectorBytes, options.vectorRegisters, options.nativeBF16,
                              /*nativeF16=*/true, /*nativeRounding=*/true, options.chunk,
                              options.deterministic, options.strategy, /*tuningFile=*/"", /*startAt=*/"",
                              options.stopAt, options.fusion});
      });
}
