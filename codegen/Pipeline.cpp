//===- Pipeline.cpp - from the dialect to LLVM ----------------------------===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "codegen/Pipeline.h"

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

/// Structured control flow and vectors; what remains is left to the general conversion.
static void addStructuredToLLVM(OpPassManager &pm) {
  pm.addPass(memref::createExpandStridedMetadataPass());
  pm.addPass(createLowerAffinePass());
  pm.addPass(createSCFToControlFlowPass());
  // Before the general conversion, which leaves casts of vector masks behind.
  pm.addPass(createConvertVectorToLLVMPass());
}

namespace {
struct Phase {
  StringRef name;
  enum Of { Both, CPU, GPU } of;
  void (*build)(OpPassManager &, const LoweringPipelineOptions &);
};
} // namespace

static const Phase kPhases[] = {
    // Everything but attention and caches is one kind of op from here on, so that
    // fusion and emission need not know the dialect.
    {"linalg", Phase::Both,
     [](OpPassManager &pm, const LoweringPipelineOptions &) {
       pm.addPass(createToLinalgPass());
       addCleanup(pm);
     }},
    // Before bufferization, while producers and consumers are values.
    {"dispatch", Phase::Both,
     [](OpPassManager &pm, const LoweringPipelineOptions &options) {
       pm.addPass(createCheckDispatchablePass());
       if (!options.gpuArchs.empty()) {
         PadProductsPassOptions pad;
         pad.tf32 = options.tf32;
         pm.addPass(createPadProductsPass(pad));
       }
       FormDispatchesPassOptions form;
       form.fusion = options.fusion;
       form.gpu = !options.gpuArchs.empty();
       form.sequences = options.gpuSequences;
       pm.addPass(createFormDispatchesPass(form));
       addCleanup(pm);
     }},
    // Decisions, apart from what carries them out.
    {"strategy", Phase::CPU,
     [](OpPassManager &pm, const LoweringPipelineOptions &options) {
       SelectStrategyPassOptions strategy;
       strategy.vectorBytes = options.vectorBytes;
       strategy.vectorRegisters = options.vectorRegisters;
       strategy.nativeBF16 = options.nativeBF16;
       strategy.int8Depth = options.int8Depth;
       strategy.fmaPipes = options.fmaPipes;
       strategy.fmaLatency = options.fmaLatency;
       strategy.l1Bytes = options.l1Bytes;
       strategy.l2Bytes = options.l2Bytes;
       strategy.cores = options.cores;
       strategy.deterministic = options.deterministic;
       strategy.overrides = options.strategyFile;
       strategy.tuning = options.tuningFile;
       pm.addPass(createSelectStrategyPass(strategy));
       // What the configs ask of weights.
       pm.addPass(createPackWeightsPass());
       pm.addPass(createSplitAttentionPass());
     }},
    // The specification of each dispatch becomes its loops.
    {"kernels", Phase::CPU,
     [](OpPassManager &pm, const LoweringPipelineOptions &) {
       pm.addPass(createEmitKernelsPass());
       addCleanup(pm);
       pm.addPass(createLoopInvariantCodeMotionPass());
     }},
    {"strategy", Phase::GPU,
     [](OpPassManager &pm, const LoweringPipelineOptions &options) {
       SelectGPUKernelsPassOptions select;
       llvm::append_range(select.archs, options.gpuArchs);
       select.newest = options.newestGPUKernels;
       select.tf32 = options.tf32;
       pm.addPass(createSelectGPUKernelsPass(select));
       pm.addPass(createSplitAttentionPass());
       // What merges splits is a dispatch too.
       pm.addPass(createSelectGPUKernelsPass(select));
     }},
    {"kernels", Phase::GPU,
     [](OpPassManager &pm, const LoweringPipelineOptions &) {
       pm.addPass(createEmitGPUKernelsPass());
       pm.addPass(createAddSampleKernelPass());
       addCleanup(pm);
       pm.addPass(createLoopInvariantCodeMotionPass());
     }},
    // Entry functions only compute sizes and launch; nothing allocates.
    {"memory", Phase::Both,
     [](OpPassManager &pm, const LoweringPipelineOptions &options) {
       BufferizeEntriesPassOptions bufferize;
       bufferize.chunk = options.chunk;
       pm.addPass(createBufferizeEntriesPass(bufferize));
       addCleanup(pm);
       pm.addPass(createPlanMemoryPass());
       addCleanup(pm);
     }},
    // From here on kernels and host code go different ways.
    {"outline", Phase::GPU,
     [](OpPassManager &pm, const LoweringPipelineOptions &options) {
       OutlineGPUKernelsPassOptions outline;
       llvm::append_range(outline.archs, options.gpuArchs);
       outline.overlap = options.newestGPUKernels;
       pm.addPass(createOutlineGPUKernelsPass(outline));
     }},
    // The runtime's ABI.
    {"launches", Phase::Both,
     [](OpPassManager &pm, const LoweringPipelineOptions &options) {
       LowerLaunchesPassOptions launches;
       launches.gpu = !options.gpuArchs.empty();
       pm.addPass(createLowerLaunchesPass(launches));
     }},
    // exp, tanh and erf become polynomials: there is no libm inside a module.
    {"llvm", Phase::Both,
     [](OpPassManager &pm, const LoweringPipelineOptions &options) {
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
       addStructuredToLLVM(pm);
       pm.addPass(createUBToLLVMConversionPass());
       pm.addPass(createConvertToLLVMPass());
       pm.addPass(createReconcileUnrealizedCastsPass());
       if (!options.nativeBF16)
         pm.addPass(createExpandBF16Pass());
       pm.addPass(createCheckLoweredPass());
     }},
};

ArrayRef<StringRef> mlir::transformer::loweringPhases(bool gpu) {
  auto namesOf = [](Phase::Of other) {
    SmallVector<StringRef> names;
    for (const Phase &phase : kPhases)
      if (phase.of != other)
        names.push_back(phase.name);
    return names;
  };
  static const SmallVector<StringRef> ofCPU = namesOf(Phase::GPU), ofGPU = namesOf(Phase::CPU);
  return gpu ? ofGPU : ofCPU;
}

void mlir::transformer::buildLoweringPipeline(OpPassManager &pm, const LoweringPipelineOptions &options) {
  bool started = options.startAt.empty();
  Phase::Of other = options.gpuArchs.empty() ? Phase::GPU : Phase::CPU;
  for (const Phase &phase : kPhases) {
    if (phase.of == other)
      continue;
    started |= phase.name == options.startAt;
    if (started)
      phase.build(pm, options);
    if (phase.name == options.stopAt)
      return;
  }
}

void mlir::transformer::buildKernelPipeline(OpPassManager &pm) {
  // PTX has no library: what libdevice would bring is polynomials, as on the CPU.
  pm.addPass(createExpandMathPass());
  arith::ArithEmulateUnsupportedFloatsOptions emulate;
  emulate.sourceTypeStrs = {"bf16", "f16"};
  emulate.targetTypeStr = "f32";
  pm.addPass(arith::createArithEmulateUnsupportedFloats(emulate));
  pm.addPass(createLowerGPUKernelsPass());
  addCleanup(pm);
  addStructuredToLLVM(pm);
  pm.addPass(createConvertNVVMToLLVMPass());
  pm.addPass(createUBToLLVMConversionPass());
  pm.addPass(createConvertToLLVMPass());
  pm.addPass(createReconcileUnrealizedCastsPass());
  addCleanup(pm);
}

namespace {
struct GPUPipelineOptions : PassPipelineOptions<GPUPipelineOptions> {
  ListOption<std::string> archs{*this, "archs", llvm::cl::desc("architectures: sm_80, sm_90a, …")};
  Option<int64_t> chunk{*this, "chunk", llvm::cl::desc("positions one call computes at most"),
                        llvm::cl::init(512)};
  Option<int64_t> fusion{*this, "fusion", llvm::cl::desc("how much dispatches fuse: 0, 1 or 2"),
                         llvm::cl::init(2)};
  Option<bool> newest{*this, "newest",
                      llvm::cl::desc("choose kernels that an architecture alone has, validated or not"),
                      llvm::cl::init(false)};
  Option<bool> tf32{*this, "tf32", llvm::cl::desc("multiply f32 on tensor cores, rounded to tf32"),
                    llvm::cl::init(false)};
  Option<std::string> stopAt{*this, "stop-at", llvm::cl::desc("the last phase to run"),
                             llvm::cl::init("outline")};
};

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
  Option<int64_t> int8Depth{
      *this, "int8-depth",
      llvm::cl::desc("products of integers that the target sums in one instruction: 4 of i8, 2 or 1 of i16"),
      llvm::cl::init(1)};
  Option<int64_t> fmaPipes{*this, "fma-pipes",
                           llvm::cl::desc("vectors that a core multiplies and adds in one cycle"),
                           llvm::cl::init(2)};
  Option<int64_t> fmaLatency{*this, "fma-latency", llvm::cl::desc("cycles until such a sum can be added to"),
                             llvm::cl::init(4)};
  Option<int64_t> l1Bytes{*this, "l1-bytes", llvm::cl::desc("bytes of a core's first-level data cache"),
                          llvm::cl::init(32 << 10)};
  Option<int64_t> l2Bytes{*this, "l2-bytes", llvm::cl::desc("bytes of a core's second-level cache"),
                          llvm::cl::init(1 << 20)};
  Option<int64_t> cores{*this, "cores", llvm::cl::desc("cores that one model has"), llvm::cl::init(8)};
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

void mlir::transformer::registerLoweringPipelines() {
  PassPipelineRegistration<PipelineOptions>("transformer-cpu-pipeline",
                                            "Lower transformer functions to LLVM for the CPU",
                                            [](OpPassManager &pm, const PipelineOptions &options) {
                                              LoweringPipelineOptions lowering;
                                              lowering.vectorBytes = options.vectorBytes;
                                              lowering.vectorRegisters = options.vectorRegisters;
                                              lowering.nativeBF16 = options.nativeBF16;
                                              lowering.int8Depth = options.int8Depth;
                                              lowering.fmaPipes = options.fmaPipes;
                                              lowering.fmaLatency = options.fmaLatency;
                                              lowering.l1Bytes = options.l1Bytes;
                                              lowering.l2Bytes = options.l2Bytes;
                                              lowering.cores = options.cores;
                                              lowering.chunk = options.chunk;
                                              lowering.deterministic = options.deterministic;
                                              lowering.strategyFile = options.strategy;
                                              lowering.stopAt = options.stopAt;
                                              lowering.fusion = options.fusion;
                                              buildLoweringPipeline(pm, lowering);
                                            });
  PassPipelineRegistration<GPUPipelineOptions>(
      "transformer-gpu-pipeline", "Lower transformer functions to host code and kernels of a GPU",
      [](OpPassManager &pm, const GPUPipelineOptions &options) {
        LoweringPipelineOptions lowering;
        lowering.chunk = options.chunk;
        lowering.fusion = options.fusion;
        lowering.stopAt = options.stopAt;
        lowering.gpuArchs.assign(options.archs.begin(), options.archs.end());
        lowering.newestGPUKernels = options.newest;
        lowering.tf32 = options.tf32;
        buildLoweringPipeline(pm, lowering);
      });
  PassPipelineRegistration<>("transformer-gpu-kernel-pipeline", "Lower kernels of a GPU to LLVM",
                             [](OpPassManager &pm) { buildKernelPipeline(pm); });
}
