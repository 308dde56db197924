//===- Passes.td - passes from dialect to dialect --------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef PASSES_PASSES
#define PASSES_PASSES

include "mlir/Pass/PassBase.td"

//===----------------------------------------------------------------------===//
// Fusion
//===----------------------------------------------------------------------===//

def ShareDerivedPass : Pass<"transformer-share-derived", "::mlir::ModuleOp"> {
  let summary = "Compute equal derived weights once";
  let description = [{
    Derived weights of the same kind, sources, parameters and type are one
    symbol, the first; its users are changed, and so are weights derived from
    them. Within a function one `use` of a symbol serves all readers. Derived
    weights that nothing reads go.

    ```mlir
    transformer.weight @w : tensor<8x8xf32> from "model.safetensors"
    transformer.derive @a = transpose(@w) : tensor<8x8xf32>
    transformer.derive @b = transpose(@w) : tensor<8x8xf32>
    func.func @read() -> (tensor<8x8xf32>, tensor<8x8xf32>) {
      %0 = transformer.use @a : tensor<8x8xf32>
      %1 = transformer.use @b : tensor<8x8xf32>
      return %0, %1 : tensor<8x8xf32>, tensor<8x8xf32>
    }
    ```
    becomes
    ```mlir
    transformer.weight @w : tensor<8x8xf32> from "model.safetensors"
    transformer.derive @a = transpose(@w) : tensor<8x8xf32>
    func.func @read() -> (tensor<8x8xf32>, tensor<8x8xf32>) {
      %0 = transformer.use @a : tensor<8x8xf32>
      return %0, %0 : tensor<8x8xf32>, tensor<8x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

#endif // PASSES_PASSES
