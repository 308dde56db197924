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
      `outs` (then, once emitted, the bounds of the tasks).
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

#endif // DIALECT_LAUNCHOPS
