//===- LaunchOps.td - dispatches on the host -------------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef DIALECT_LAUNCHOPS
#define DIALECT_LAUNCHOPS

include "dialect/TransformerTypes.td"

def Transformer_LaunchOp : Transformer_Op<"launch", [
    AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "runs a dispatch over a grid of tasks";
  let description = [{
    Runs `kernel` over every task of `grid`, in any order and on any thread. Before
    bufferization the operands are tensors and caches: `outs` are the places the
    results are made in, one result per `outs` operand of tensor or cache type.
    After it they are memrefs and there are no results. The grid is absent until
    kernels have been emitted.

    Constraints:
    - C1: the kernel is a function of this module whose arguments are `ins`, then
      `outs` (then, once emitted, the bounds of the tasks on a CPU, tensor maps on a GPU).
    - C2: there is a result for each tensor or cache in `outs`, of its type.
    - C3: the kernel returns what the launch returns.

    ```mlir
    func.func private @double(memref<?xf32>, memref<?xf32>, index, index)
    func.func @run(%a: memref<?xf32>, %b: memref<?xf32>, %tasks: index) {
      transformer.launch @double grid(%tasks) ins(%a : memref<?xf32>) outs(%b : memref<?xf32>)
      return
    }
    ```
  }];
  let arguments = (ins
    FlatSymbolRefAttr:$kernel,
    Optional<Index>:$grid,
    Variadic<AnyType>:$inputs,
    Variadic<AnyType>:$outputs
  );
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = [{
    $kernel (`grid` `(` $grid^ `)`)? (`ins` `(` $inputs^ `:` type($inputs) `)`)?
    (`outs` `(` $outputs^ `:` type($outputs) `)`)? attr-dict (`->` type($results)^)?
  }];
}

def Transformer_BindingOp : Transformer_Op<"binding", [Pure]> {
  let summary = "memory that a call hands to an entry point";
  let description = [{
    The buffer, weight or arena at `index` of the call structure (`xfm_call`), as
    a dense memref. `dims` are its dynamic dimensions.

    Constraints:
    - C1: one value per dynamic dimension.
    - C2: the memref has the identity layout.

    ```mlir
    func.func @xfm_entry_run(%call: !llvm.ptr) {
      %s = transformer.size %call[0]
      %x = transformer.binding %call buffer[0] (%s) : memref<?x64xf32>
      return
    }
    ```
  }];
  let arguments = (ins
    AnyType:$call,
    Transformer_BindingKindAttr:$kind,
    I64Attr:$index,
    Variadic<Index>:$dims
  );
  let results = (outs AnyMemRef:$result);
  let assemblyFormat = "$call `` $kind `[` $index `]` (`(` $dims^ `)`)? attr-dict `:` type($result) `` custom<CallType>(type($call))";
  let hasVerifier = 1;
}

def Transformer_SizeOp : Transformer_Op<"size", [Pure]> {
  let summary = "a symbolic size of a call";
  let description = [{
    The value of the entry point's symbolic size number `index` (`xfm_call::sizes`).

    ```mlir
    func.func @rows(%call: !llvm.ptr) -> index {
      %s = transformer.size %call[1]
      return %s : index
    }
    ```
  }];
  let arguments = (ins AnyType:$call, I64Attr:$index);
  let results = (outs Index:$result);
  let assemblyFormat = "$call `[` $index `]` attr-dict `` custom<CallType>(type($call))";
}

#endif // DIALECT_LAUNCHOPS
