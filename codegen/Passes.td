//===- Passes.td - passes of code generation -------------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef CODEGEN_PASSES
#define CODEGEN_PASSES

include "mlir/Pass/PassBase.td"

def ToLinalgPass : Pass<"transformer-to-linalg", "::mlir::ModuleOp"> {
  let summary = "Lower transformer ops to linalg on tensors";
  let description = [{
    Turns every op but attention and the cache ops, which have kernel templates of
    their own, into `linalg.generic`. Inside an op everything is computed in f32;
    narrower operands are widened where they are read, narrower results rounded
    where they are stored. Named linalg ops, elementwise arith on tensors,
    `tensor.extract_slice` and `linalg.softmax` become generics too, so that
    dispatch formation sees one kind of op.

    ```mlir
    func.func @act(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
      %0 = transformer.activation relu %x : tensor<?x8xf32> -> tensor<?x8xf32>
      return %0 : tensor<?x8xf32>
    }
    ```
    becomes a `linalg.generic` whose region computes `max(x, 0)`.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def CheckDispatchablePass : Pass<"transformer-check-dispatchable", "::mlir::ModuleOp"> {
  let summary = "Report every op that no dispatch or host code can run";
  let description = [{
    Stands before dispatches are formed: lists each op of an entry function that
    is neither the root of a dispatch (`linalg.generic`, attention, cache append)
    nor a view, a size or a weight, with its location and what to do.
  }];
}

def FormDispatchesPass : Pass<"transformer-form-dispatches", "::mlir::ModuleOp"> {
  let summary = "Outline groups of ops into shared dispatch functions";
  let description = [{
    Groups each root (contraction, reduction, attention, cache append) with the
    elementwise ops around it that its template can inline, outlines each group
    into a private function on tensors, and calls it with `transformer.launch`.
    Groups with equal bodies share one function: a model's kernels do not grow
    with its depth.

    `fusion` says how far groups grow: 0 leaves every op alone, 1 takes elementwise
    neighbours, 2 also what a kernel computes before its own loops (the norm before a
    projection, rotations before attention and appends) and projections of one input
    whose results meet (gate and up). On a GPU what stands before a projection is fused in
    decoding steps, where that pays (`codegen/GPU/README.md`).
  }];
  let options = [Option<"fusion", "fusion", "int64_t", "2", "how much to fuse: 0, 1 or 2">,
                 Option<"gpu", "gpu", "bool", "false", "fuse what kernels of the GPU can inline">,
                 Option<"sequences", "sequences", "int64_t", "1",
                        "with gpu: sequences that a decoding step is taken to have, where they are not known">];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::func::FuncDialect"];
}

def SelectStrategyPass : Pass<"transformer-select-strategy", "::mlir::ModuleOp"> {
  let summary = "Choose template and tiles of each dispatch";
  let description = [{
    Attaches `#transformer.lowering_config` to every dispatch function. Nothing
    later decides; nothing later is needed to know what will be emitted. A config
    that is there already is kept.

    `tuning` names a file that `tfopt --tune` wrote; a dispatch whose signature is in
    it gets the config that was fastest. `overrides` goes before it.

    `overrides` names a JSON file in which a dispatch, by its name (`*` and `?`
    match as in file names), is given any of the config's members:

    ```json
    {"layer.ffn_*": {"tile": [2, 8], "grain": 4}, "lm_head": {"vector": 8}}
    ```
    A pattern that matches no dispatch, an unknown member, and a template that
    cannot make the dispatch are errors.
  }];
  let options = [Option<"vectorBytes", "vector-bytes", "int64_t", "32",
                        "bytes of the target's vector registers">,
                 Option<"vectorRegisters", "vector-registers", "int64_t", "16",
                        "number of the target's vector registers">,
                 Option<"nativeBF16", "native-bf16", "bool", "false",
                        "the target multiplies pairs of bf16 in one instruction">,
                 Option<"int8Depth", "int8-depth", "int64_t", "1",
                        "products of integers that the target sums in one instruction: 4 of i8, 2 or 1 of i16">,
                 Option<"fmaPipes", "fma-pipes", "int64_t", "2",
                        "vectors that a core multiplies and adds in one cycle">,
                 Option<"fmaLatency", "fma-latency", "int64_t", "4",
                        "cycles until such a sum can be added to">,
                 Option<"l1Bytes", "l1-bytes", "int64_t", "32 << 10",
                        "bytes of a core's first-level data cache">,
                 Option<"l2Bytes", "l2-bytes", "int64_t", "1 << 20",
                        "bytes of a core's second-level cache">,
                 Option<"cores", "cores", "int64_t", "8", "cores that one model has">,
                 Option<"deterministic", "deterministic", "bool", "false",
                        "no result may depend on how work is cut into calls and tasks">,
                 Option<"tuning", "tuning", "std::string", "\"\"",
                        "JSON file of configs by dispatch signature, as measured on this CPU">,
                 Option<"overrides", "overrides", "std::string", "\"\"",
                        "JSON file of configs by dispatch name, instead of the choice">];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

def PackWeightsPass : Pass<"transformer-pack-weights", "::mlir::ModuleOp"> {
  let summary = "Store the weights of contractions in the order their kernels read them";
  let description = [{
    Gives each weight argument of a dispatch with the template `contraction` the
    encoding `#transformer.packed` that its lowering config asks for, and each
    launch a derived weight of that type. What is packed is logically the same
    tensor, so the dispatch's body stays as it is.

    ```mlir
    transformer.weight @w : tensor<100x32xf32> from "model.safetensors"
    func.func @run() -> tensor<100x32xf32> {
      %0 = transformer.use @w : tensor<100x32xf32>
      return %0 : tensor<100x32xf32>
    }
    ```
    with a launch instead of the return becomes
    ```mlir
    transformer.weight @w : tensor<100x32xf32> from "model.safetensors"
    transformer.derive @w.packed_64x1 = pack(@w) : tensor<100x32xf32, #transformer.packed<64 x 1>>
    func.func @run() -> tensor<100x32xf32, #transformer.packed<64 x 1>> {
      %0 = transformer.use @w.packed_64x1 : tensor<100x32xf32, #transformer.packed<64 x 1>>
      return %0 : tensor<100x32xf32, #transformer.packed<64 x 1>>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

def SplitAttentionPass : Pass<"transformer-split-attention", "::mlir::ModuleOp"> {
  let summary = "Let decoding attend to ranges of keys apart and merge them";
  let description = [{
    Where the config of an attention of one query position (`lowering_config`, or `#xgpu.config`
    of every architecture alike) asks for splits, makes
    its dispatch attend to that many ranges of keys (FlashDecoding), and launches a second
    dispatch, with the template `attention_merge`, on their results (a GPU's is selected after this). Their number is fixed
    at compile time, so that results do not depend on the number of threads.

    ```
    %1 = transformer.launch @attn ins(%q, %cache : tensor<?x1x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>) outs(%0 : tensor<?x1x4x8xf32>) -> tensor<?x1x4x8xf32>
    ```
    becomes
    ```
    %2 = transformer.launch @attn ins(%q, %cache : tensor<?x1x4x8xf32>, !transformer.kv_cache<2 x 8 x f32, full>) outs(%1 : tensor<?x16x4x10xf32>) -> tensor<?x16x4x10xf32>
    %3 = transformer.launch @attn_merge ins(%2 : tensor<?x16x4x10xf32>) outs(%0 : tensor<?x1x4x8xf32>) -> tensor<?x1x4x8xf32>
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::tensor::TensorDialect"];
}

def EmitKernelsPass : Pass<"transformer-emit-kernels", "::mlir::ModuleOp"> {
  let summary = "Turn dispatch functions into loops on memrefs";
  let description = [{
    Reads the tensor-level body of each dispatch as its specification and writes
    a function on memrefs, inputs then outputs, then the range of tasks to run.
    Sets the attribute `transformer.grid` from which launches compute the number
    of tasks.
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::vector::VectorDialect", "::mlir::math::MathDialect",
                           "::mlir::arith::ArithDialect"];
}

def BufferizeEntriesPass : Pass<"transformer-bufferize-entries", "::mlir::ModuleOp"> {
  let summary = "Turn entry functions into launches on memrefs";
  let description = [{
    An entry function is straight-line code of destination-passing launches, so
    each tensor has one buffer: an output of the call where it is returned, a
    view where it is a reshape, otherwise an allocation that `transformer-plan-memory`
    places. Caches become their three buffers, updated in place. The function
    becomes `@xfm_entry_<name>(%call)`.
  }];
  let options = [Option<"chunk", "chunk", "int64_t", "512",
                        "positions of one call: a ring keeps its window and these">];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::scf::SCFDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::arith::ArithDialect"];
}

def PlanMemoryPass : Pass<"transformer-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Place all allocations of an entry function in one arena";
  let description = [{
    Gives each `memref.alloc` an offset in the call's arena such that buffers
    alive at the same time do not overlap. Sizes are products of a constant and
    symbolic sizes; buffers of one such monomial share a section of the arena, and
    sections follow each other. Adds `@xfm_arena_<name>(%sizes)`, which computes
    the arena's bytes.
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect"];
}

def LowerLaunchesPass : Pass<"transformer-lower-launches", "::mlir::ModuleOp"> {
  let summary = "Lower launches and bindings to the runtime's ABI";
  let description = [{
    Each launch stores the addresses and dynamic sizes of its buffers in an argument block on the stack
    and calls `parallel_for` of the ABI table; each kernel gets a task function
    that unpacks the block. Adds `xfm_module_init`, which takes the table.

    With `gpu` each launch calls `launch` of the table instead, with the number of its
    kernel and the factors of its grid; the declarations of kernels, which
    `transformer-outline-gpu-kernels` left, go.
  }];
  let options = [Option<"gpu", "gpu", "bool", "false", "launch kernels of a GPU">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::func::FuncDialect",
                           "::mlir::arith::ArithDialect"];
}

def ExpandMathPass : Pass<"transformer-expand-math", "::mlir::ModuleOp"> {
  let summary = "Replace exp, tanh, erf and log by polynomials";
  let description = [{
    Generated modules have no libm. Functions become polynomials with the errors that
    `codegen/README.md` states (exp: at most 1.5 units in the last place), others go
    through them (tan) or are upstream's approximations (erfc, acos, atan2, log1p);
    `math.fma` becomes a product and a sum that the backend may fuse. A function that is
    left and has no instruction is an error.
  }];
  let dependentDialects = ["::mlir::math::MathDialect", "::mlir::vector::VectorDialect",
                           "::mlir::arith::ArithDialect"];
}

def EmulateInstructionsPass : Pass<"transformer-emulate-instructions", "::mlir::ModuleOp"> {
  let summary = "Convert f16 and round to integers without instructions for it";
  let description = [{
    For x86-64 CPUs older than F16C or SSE4.1, where the backend would call a library
    that a module does not have. Both are exact: f16 is rounded to the nearest even,
    subnormal values and infinities included.
  }];
  let options = [Option<"f16", "f16", "bool", "true", "the target does not convert f16">,
                 Option<"rounding", "rounding", "bool", "true", "the target does not round to integers">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"];
}

def ExpandBF16Pass : Pass<"transformer-expand-bf16", "::mlir::ModuleOp"> {
  let summary = "Access bf16 in memory as 16-bit integers";
  let description = [{
    For targets without bf16 instructions, where the backend would convert every
    value of type bf16 with calls of a library that a module does not have. Runs on
    the LLVM dialect, after conversions have become integer code.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
}

def CheckLoweredPass : Pass<"transformer-check-lowered", "::mlir::ModuleOp"> {
  let summary = "Report every op that did not reach LLVM";
  let description = [{
    Stands before translation: lists each op that is left, with its location, so
    that no internal error of a conversion is the last word.
  }];
}

def PadProductsPass : Pass<"transformer-pad-products", "::mlir::ModuleOp"> {
  let summary = "Pad the rows of products on tensor cores to multiples of 16 bytes";
  let description = [{
    Products whose operands tensor cores multiply (bf16, f16; f32 with `tf32`) get rows of whole chunks of 16 bytes,
    with zeros behind them: weights as derived weights, everything else by a generic that copies. What read `@w` as
    `tensor<8x50xbf16>` reads `@w.padded_56` as `tensor<8x56xbf16>`:

    ```mlir
    transformer.weight @w : tensor<8x50xbf16> from "model.safetensors"
    transformer.derive @w.padded_56.zeros = fill() {value = 0.0} : tensor<8x6xbf16>
    transformer.derive @w.padded_56 = concat(@w, @w.padded_56.zeros) {axis = 1} : tensor<8x56xbf16>
    ```
  }];
  let options = [Option<"tf32", "tf32", "bool", "false", "f32 is multiplied on tensor cores, rounded to tf32">];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def SelectGPUKernelsPass : Pass<"transformer-select-gpu-kernels", "::mlir::ModuleOp"> {
  let summary = "Choose template and tiles of each dispatch for each architecture";
  let description = [{
    Attaches `xgpu.configs` to every dispatch function: a dictionary from architecture to
    `#xgpu.config`. Nothing later decides. A dictionary that is there already is kept.
    Templates that no GPU has shown to be right (`codegen/GPU/validated.txt`) are chosen with `newest` alone.
    With `tf32` products of f32 are made on tensor cores, of operands rounded to 10 bits of mantissa.
  }];
  let options = [ListOption<"archs", "archs", "std::string", "architectures: sm_80, sm_90a, …">,
                 Option<"newest", "newest", "bool", "false",
                        "choose what an architecture alone has, validated or not">,
                 Option<"tf32", "tf32", "bool", "false", "multiply f32 on tensor cores, rounded to tf32">];
  let dependentDialects = ["::mlir::xgpu::XGPUDialect"];
}

def EmitGPUKernelsPass : Pass<"transformer-emit-gpu-kernels", "::mlir::ModuleOp"> {
  let summary = "Turn dispatch functions into kernels";
  let description = [{
    Reads the tensor-level body of each dispatch as its specification and writes a kernel
    on memrefs, inputs then outputs, marked `#xgpu.kernel`; its form is described in
    `codegen/GPU/README.md`. Where architectures have different configs, the first one's
    kernel has the name of the dispatch and every other's that name with the architecture
    behind it.
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::vector::VectorDialect", "::mlir::math::MathDialect",
                           "::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::NVVM::NVVMDialect", "::mlir::xgpu::XGPUDialect"];
}

def AddSampleKernelPass : Pass<"transformer-add-sample-kernel", "::mlir::ModuleOp"> {
  let summary = "Add the kernel that draws the next token from logits";
  let description = [{
    Where there is an entry point `decode` that takes `tokens` [B, 1] of i32 and caches alone and gives `logits`
    [B, V] of f32, a kernel for V tokens is added, which no entry point launches: the runtime does, behind a
    step. Other modules stay as they are. What the kernel takes is in `codegen/GPU/README.md`:

    ```mlir
    func.func private @sample(memref<?x512xf32>, memref<5xf64>, memref<?x512xi8>, memref<?x4xi64>, memref<?xi32>, memref<?xi32>)
        attributes {transformer.dispatch, transformer.grid = array<i64: 0, 0, 1, 1>,
                    xgpu.config = #xgpu.config<"sample", tile = [1], threads = 512, stages = 1, vector = 1>}
    ```
  }];
  let dependentDialects = ["::mlir::scf::SCFDialect", "::mlir::memref::MemRefDialect",
                           "::mlir::vector::VectorDialect", "::mlir::math::MathDialect",
                           "::mlir::arith::ArithDialect", "::mlir::LLVM::LLVMDialect",
                           "::mlir::NVVM::NVVMDialect", "::mlir::xgpu::XGPUDialect"];
}

def OutlineGPUKernelsPass : Pass<"transformer-outline-gpu-kernels", "::mlir::ModuleOp"> {
  let summary = "Move kernels into a module for each architecture";
  let description = [{
    Each architecture gets a nested module, named like it, with one kernel for every
    dispatch; in the host's module a declaration stays, with the kernel's number in the
    table. Kernels that are loops over a range of tasks (what entry functions need beside
    dispatches) become one thread per task.

    With `overlap`, kernels for compute capability 9.0 and later may be launched before those ahead of
    them are done, and wait for them before they touch memory.
  }];
  let options = [ListOption<"archs", "archs", "std::string", "architectures: sm_80, sm_90a, …">,
                 Option<"overlap", "overlap", "bool", "false", "kernels wait for those ahead of them themselves">];
  let dependentDialects = ["::mlir::NVVM::NVVMDialect", "::mlir::xgpu::XGPUDialect",
                           "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect"];
}

def LowerGPUKernelsPass : Pass<"transformer-lower-gpu-kernels", "::mlir::ModuleOp"> {
  let summary = "Give kernels of one architecture's module the parameters of PTX";
  let description = [{
    Kernels become `llvm.func` whose parameters are tensor maps, then the words of the
    launch; memrefs are described from them. Operations of xgpu become what PTX has.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::NVVM::NVVMDialect",
                           "::mlir::arith::ArithDialect"];
}

#endif // CODEGEN_PASSES
