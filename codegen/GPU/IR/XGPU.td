//===- XGPU.td - what kernels need beside nvvm ------------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef CODEGEN_GPU_IR_XGPU
#define CODEGEN_GPU_IR_XGPU

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def XGPU_Dialect : Dialect {
  let name = "xgpu";
  let cppNamespace = "::mlir::xgpu";
  let summary = "GPU kernels before they are lowered to LLVM";
  let description = [{
    The marks of a kernel and of its tensor maps, and the few operations that the
    `nvvm` dialect has no op for. They are ops rather than inline assembly, so that
    the emulator sees what they do; the last step of lowering writes the assembly.
  }];
  let useDefaultAttributePrinterParser = 1;
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
  let hasOperationAttrVerify = 1;
  let hasRegionArgAttrVerify = 1;
}

class XGPU_Attr<string name, string attrMnemonic> : AttrDef<XGPU_Dialect, name> {
  let mnemonic = attrMnemonic;
}

class XGPU_Op<string mnemonic, list<Trait> traits = []> : Op<XGPU_Dialect, mnemonic, traits>;

def XGPU_KernelAttr : XGPU_Attr<"Kernel", "kernel"> {
  let summary = "marks a function as a kernel and states its block";
  let description = [{
    `threads` of a block (x alone), bytes of dynamic `shared` memory, blocks of a
    `cluster`. A `persistent` kernel takes any number of blocks up to that of its
    tiles, and walks the rest itself. One that `overlaps` may be launched before the kernels
    ahead of it are done, and waits for them itself (`nvvm.griddepcontrol wait`) before it
    touches global memory.

    Constraints:
    - C1: `threads` is a multiple of 32 from 32 to 1024.
    - C2: `shared` is from 0 to 232448, what a block of sm_90 may have.
    - C3: `cluster` is from 1 to 8.

    ```mlir
    func.func private @copy(%x: memref<?xf32>, %out: memref<?xf32>)
        attributes {xgpu.kernel = #xgpu.kernel<threads = 128, shared = 0, cluster = 1>}
    ```
  }];
  let parameters = (ins "int64_t":$threads, "int64_t":$shared, "int64_t":$cluster,
                        DefaultValuedParameter<"bool", "false">:$persistent,
                        DefaultValuedParameter<"bool", "false">:$overlaps);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static constexpr ::llvm::StringLiteral kName = "xgpu.kernel";
    /// The mark of a function, or null.
    static KernelAttr of(::mlir::Operation *function);
  }];
}

def XGPU_ConfigAttr : XGPU_Attr<"Config", "config"> {
  let summary = "how a dispatch becomes a kernel";
  let description = [{
    The choice of `transformer-select-gpu-kernels` for one architecture: the template, the
    `tile` of a block (its members are the template's), its `threads`, the `stages` of
    its pipeline of copies and the elements of a `vector` that a thread moves at once. A
    dispatch has a dictionary of them by architecture, `xgpu.configs`.

    Constraints:
    - C1: `threads` is a multiple of 32 from 32 to 1024, `stages` and `vector` are 1 or more.

    ```mlir
    func.func private @dispatch_norm(%x: tensor<?x64xf32>, %out: tensor<?x64xf32>) -> tensor<?x64xf32>
        attributes {xgpu.configs = {sm_80 = #xgpu.config<"rows", tile = [4, 32], threads = 128, stages = 1, vector = 4>}}
    ```
  }];
  let parameters = (ins StringRefParameter<>:$templateName, ArrayRefParameter<"int64_t">:$tile,
                        "int64_t":$threads, "int64_t":$stages, "int64_t":$vector);
  let assemblyFormat = [{
    `<` $templateName `,` `tile` `=` `[` $tile `]` `,` `threads` `=` $threads `,` `stages` `=` $stages
    `,` `vector` `=` $vector `>`
  }];
  let genVerifyDecl = 1;
}

def XGPU_TensorMapAttr : XGPU_Attr<"TensorMap", "tensor_map"> {
  let summary = "how TMA sees a memref argument";
  let description = [{
    On an argument of type `!llvm.ptr`: it is the tensor map of memref argument number
    `argument`, whose dimensions are taken together in `groups` (their number each,
    outermost first, together the rank). `box` states the elements that one copy moves in
    each of these dimensions, `swizzle` the bytes of the pattern that spreads 16-byte
    pieces over banks (0: none). Strides are dense; what is out of bounds reads as zero.

    Constraints:
    - C1: 1 to 5 groups, each of one dimension or more, and as many members of `box`,
      each from 1 to 256.
    - C2: `swizzle` is 0, 32, 64 or 128.

    ```mlir
    func.func private @k(%x: memref<?x?x768xbf16>,
        %map: !llvm.ptr {xgpu.tensor_map = #xgpu.tensor_map<argument = 0, groups = [2, 1], box = [128, 64], swizzle = 128>})
        attributes {xgpu.kernel = #xgpu.kernel<threads = 128, shared = 16384, cluster = 1>}
    ```
  }];
  let parameters = (ins "int64_t":$argument, ArrayRefParameter<"int64_t">:$groups,
                        ArrayRefParameter<"int64_t">:$box, "int64_t":$swizzle);
  let assemblyFormat = [{
    `<` `argument` `=` $argument `,` `groups` `=` `[` $groups `]` `,` `box` `=` `[` $box `]` `,`
    `swizzle` `=` $swizzle `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    static constexpr ::llvm::StringLiteral kName = "xgpu.tensor_map";
  }];
}

def XGPU_SharedMemoryOp : XGPU_Op<"shared_memory", [Pure]> {
  let summary = "the dynamic shared memory of the block";
  let description = [{
    Its base, aligned to 1024 bytes; there are as many bytes as the kernel's `shared`.

    ```mlir
    func.func private @k() attributes {xgpu.kernel = #xgpu.kernel<threads = 32, shared = 128, cluster = 1>} {
      %base = xgpu.shared_memory : !llvm.ptr<3>
      return
    }
    ```
  }];
  let results = (outs AnyType:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def XGPU_WgmmaOp : XGPU_Op<"wgmma", [AttrSizedOperandSegments]> {
  let summary = "an asynchronous matrix product of a warpgroup (sm_90a)";
  let description = [{
    sums [64, N] += left [64, 16] right [16, N] by the four warps of a warpgroup, in f32 (PTX
    ISA, `wgmma.mma_async.m64nNk16`). `left` is a matrix descriptor (i64) or, of each lane, four
    i32 of two elements as `mma.m16n8k16` has its left operand; `right` is a descriptor. A lane
    has N / 2 sums: those of `mma.m16n8k16`, for eight columns after the others. Without `sums`
    they begin at zero.

    The sums are there after an `xgpu.wgmma_wait` that passes them on, and shared memory is
    read until then. `transposed`: `right` is [16, N] in shared memory, not [N, 16].

    Constraints:
    - C1: `left` is one i64 or four i32.
    - C2: N is a multiple of 8 from 8 to 256, and there are as many `sums` as results, or none.
    - C3: `element` is bf16 or f16.

    ```mlir
    func.func private @k(%left: i64, %right: i64)
        attributes {xgpu.kernel = #xgpu.kernel<threads = 128, shared = 16384, cluster = 1>} {
      nvvm.wgmma.fence.aligned
      %0:4 = xgpu.wgmma %left by %right {element = bf16} : i64 -> f32, f32, f32, f32
      %1:4 = xgpu.wgmma %left by %right plus %0#0, %0#1, %0#2, %0#3 {element = bf16} : i64 -> f32, f32, f32, f32
      nvvm.wgmma.commit.group.sync.aligned
      %2:4 = xgpu.wgmma_wait pending 0 passes %1#0, %1#1, %1#2, %1#3 : f32, f32, f32, f32
      return
    }
    ```
  }];
  let arguments = (ins Variadic<AnyTypeOf<[I32, I64]>>:$left, I64:$right, Variadic<F32>:$sums,
                       TypeAttr:$element, UnitAttr:$transposed);
  let results = (outs Variadic<F32>:$results);
  let assemblyFormat = [{
    $left `by` $right (`plus` $sums^)? attr-dict `:` type($left) `->` type($results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// N, the columns of `right`.
    int64_t getColumns() { return 2 * static_cast<int64_t>(getNumResults()); }
  }];
}

def XGPU_WgmmaWaitOp : XGPU_Op<"wgmma_wait"> {
  let summary = "waits for products of the warpgroup";
  let description = [{
    Until at most `pending` committed groups are under way. The `values` are passed on: sums
    that are complete behind it, and only its results may be used. So no use of a sum
    can be moved before the wait, whatever moves code later.

    Constraints:
    - C1: `pending` is at most 7.
    - C2: there are as many results as `values`.

    ```mlir
    func.func private @k() attributes {xgpu.kernel = #xgpu.kernel<threads = 128, shared = 0, cluster = 1>} {
      xgpu.wgmma_wait pending 0
      return
    }
    ```
  }];
  let arguments = (ins I64Attr:$pending, Variadic<F32>:$values);
  let results = (outs Variadic<F32>:$results);
  let assemblyFormat = "`pending` $pending (`passes` $values^)? attr-dict (`:` type($results)^)?";
  let hasVerifier = 1;
}

#endif // CODEGEN_GPU_IR_XGPU
