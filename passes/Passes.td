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

def SplitGateUpPass : Pass<"transformer-split-gate-up", "::mlir::ModuleOp"> {
  let summary = "Split a matrix of gates and ups into two projections";
  let description = [{
    Some checkpoints store the gate and up matrices of an MLP as one. Its result
    is read by two slices that meet in a product; each becomes a projection with
    the rows of its half, so that `transformer-fuse-gated-mlp` meets one form and a
    kernel can read row i of gate and up together. No weight is copied: rows of a
    matrix are a view.

    ```mlir
    transformer.weight @gu : tensor<96x64xf32> from "model.safetensors"
    func.func @mlp(%x: tensor<4x64xf32>) -> tensor<4x48xf32> {
      %w = transformer.use @gu : tensor<96x64xf32>
      %h = transformer.linear %x, %w : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
      %g = tensor.extract_slice %h[0, 0] [4, 48] [1, 1] : tensor<4x96xf32> to tensor<4x48xf32>
      %u = tensor.extract_slice %h[0, 48] [4, 48] [1, 1] : tensor<4x96xf32> to tensor<4x48xf32>
      %a = transformer.activation silu %g : tensor<4x48xf32> -> tensor<4x48xf32>
      %y = arith.mulf %a, %u : tensor<4x48xf32>
      return %y : tensor<4x48xf32>
    }
    ```
    becomes
    ```mlir
    transformer.weight @gu : tensor<96x64xf32> from "model.safetensors"
    transformer.derive @gu.slice = slice(@gu) {axis = 0 : i64, begin = 0 : i64, end = 48 : i64} : tensor<48x64xf32>
    transformer.derive @gu.slice_0 = slice(@gu) {axis = 0 : i64, begin = 48 : i64, end = 96 : i64} : tensor<48x64xf32>
    func.func @mlp(%x: tensor<4x64xf32>) -> tensor<4x48xf32> {
      %0 = transformer.use @gu.slice : tensor<48x64xf32>
      %1 = transformer.linear %x, %0 : tensor<4x64xf32>, tensor<48x64xf32> -> tensor<4x48xf32>
      %2 = transformer.use @gu.slice_0 : tensor<48x64xf32>
      %3 = transformer.linear %x, %2 : tensor<4x64xf32>, tensor<48x64xf32> -> tensor<4x48xf32>
      %4 = transformer.activation silu %1 : tensor<4x48xf32> -> tensor<4x48xf32>
      %5 = arith.mulf %4, %3 : tensor<4x48xf32>
      return %5 : tensor<4x48xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

def FuseGatedMLPPass : Pass<"transformer-fuse-gated-mlp", "::mlir::ModuleOp"> {
  let summary = "Fuse gated MLPs (SwiGLU, GeGLU) into one op";
  let description = [{
    A projection of the product of an activated projection and another projection
    of the same value is `transformer.gated_mlp`. Either operand of the product may
    be the gate; the product may be rounded to the type of the MLP's input, which
    is how the fused op stores it. Nothing in between may be read by others.

    ```mlir
    func.func @mlp(%x: tensor<4x64xf32>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<4x64xf32> {
      %0 = transformer.linear %x, %g : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
      %1 = transformer.linear %x, %u : tensor<4x64xf32>, tensor<96x64xf32> -> tensor<4x96xf32>
      %2 = transformer.activation silu %0 : tensor<4x96xf32> -> tensor<4x96xf32>
      %3 = arith.mulf %2, %1 : tensor<4x96xf32>
      %4 = transformer.linear %3, %d : tensor<4x96xf32>, tensor<64x96xf32> -> tensor<4x64xf32>
      return %4 : tensor<4x64xf32>
    }
    ```
    becomes
    ```mlir
    func.func @mlp(%x: tensor<4x64xf32>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<4x64xf32> {
      %0 = transformer.gated_mlp silu %x, %g, %u, %d : tensor<4x64xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x96xf32> -> tensor<4x64xf32>
      return %0 : tensor<4x64xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

def MergeQKVPass : Pass<"transformer-merge-qkv", "::mlir::ModuleOp"> {
  let summary = "Merge the projections of queries, keys and values";
  let description = [{
    Projections of one value that are split into heads of one size for an
    attention become one projection with a `concat` weight; queries, keys and
    values are slices of its heads. Two of them are merged where the third cannot
    be. Biases are concatenated, with zeros for a projection that has none.
    Matrices that a checkpoint stores merged are brought into the same form.

    ```mlir
    transformer.weight @q : tensor<32x64xf32> from "model.safetensors"
    transformer.weight @k : tensor<16x64xf32> from "model.safetensors"
    func.func @attend(%x: tensor<1x4x64xf32>, %v: tensor<1x4x2x8xf32>) -> tensor<1x4x4x8xf32> {
      %0 = transformer.use @q : tensor<32x64xf32>
      %1 = transformer.linear %x, %0 : tensor<1x4x64xf32>, tensor<32x64xf32> -> tensor<1x4x32xf32>
      %2 = transformer.use @k : tensor<16x64xf32>
      %3 = transformer.linear %x, %2 : tensor<1x4x64xf32>, tensor<16x64xf32> -> tensor<1x4x16xf32>
      %4 = tensor.expand_shape %1 [[0], [1], [2, 3]] output_shape [1, 4, 4, 8] : tensor<1x4x32xf32> into tensor<1x4x4x8xf32>
      %5 = tensor.expand_shape %3 [[0], [1], [2, 3]] output_shape [1, 4, 2, 8] : tensor<1x4x16xf32> into tensor<1x4x2x8xf32>
      %6 = transformer.attention %4, %5, %v scale 1.0 mask <causal> : tensor<1x4x4x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32> -> tensor<1x4x4x8xf32>
      return %6 : tensor<1x4x4x8xf32>
    }
    ```
    becomes
    ```mlir
    transformer.weight @q : tensor<32x64xf32> from "model.safetensors"
    transformer.weight @k : tensor<16x64xf32> from "model.safetensors"
    transformer.derive @q.concat = concat(@q, @k) {axis = 0 : i64} : tensor<48x64xf32>
    func.func @attend(%x: tensor<1x4x64xf32>, %v: tensor<1x4x2x8xf32>) -> tensor<1x4x4x8xf32> {
      %0 = transformer.use @q.concat : tensor<48x64xf32>
      %1 = transformer.linear %x, %0 : tensor<1x4x64xf32>, tensor<48x64xf32> -> tensor<1x4x48xf32>
      %2 = tensor.expand_shape %1 [[0], [1], [2, 3]] output_shape [1, 4, 6, 8] : tensor<1x4x48xf32> into tensor<1x4x6x8xf32>
      %3 = tensor.extract_slice %2[0, 0, 0, 0] [1, 4, 4, 8] [1, 1, 1, 1] : tensor<1x4x6x8xf32> to tensor<1x4x4x8xf32>
      %4 = tensor.extract_slice %2[0, 0, 4, 0] [1, 4, 2, 8] [1, 1, 1, 1] : tensor<1x4x6x8xf32> to tensor<1x4x2x8xf32>
      %5 = transformer.attention %3, %4, %v scale 1.0 mask <causal> : tensor<1x4x4x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32> -> tensor<1x4x4x8xf32>
      return %5 : tensor<1x4x4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::tensor::TensorDialect"];
}

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

//===----------------------------------------------------------------------===//
// Raising
//===----------------------------------------------------------------------===//

def RaiseNormsPass : Pass<"transformer-raise-norms", "::mlir::ModuleOp"> {
  let summary = "Raise rms_norm and layer_norm from decomposed graphs";
  let description = [{
    TODO-RaiseNorms
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseActivationsPass : Pass<"transformer-raise-activations", "::mlir::ModuleOp"> {
  let summary = "Raise activations from decomposed graphs";
  let description = [{
    TODO-RaiseActivations
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseRopePass : Pass<"transformer-raise-rope", "::mlir::ModuleOp"> {
  let summary = "Raise rotary embeddings from decomposed graphs";
  let description = [{
    TODO-RaiseRope
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseAttentionPass : Pass<"transformer-raise-attention", "::mlir::ModuleOp"> {
  let summary = "Raise attention from decomposed graphs";
  let description = [{
    TODO-RaiseAttention
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseHeadsPass : Pass<"transformer-raise-heads", "::mlir::ModuleOp"> {
  let summary = "Raise one attention from one for each head";
  let description = [{
    TODO-RaiseHeads
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseLinearPass : Pass<"transformer-raise-linear", "::mlir::ModuleOp"> {
  let summary = "Raise linear from contractions with weights";
  let description = [{
    TODO-RaiseLinear
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseEmbeddingPass : Pass<"transformer-raise-embedding", "::mlir::ModuleOp"> {
  let summary = "Raise embeddings from gathers of rows";
  let description = [{
    TODO-RaiseEmbedding
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseElementwisePass : Pass<"transformer-raise-elementwise", "::mlir::ModuleOp"> {
  let summary = "Write sums and products of whole tensors as arith ops";
  let description = [{
    TODO-RaiseElementwise
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseViewsPass : Pass<"transformer-raise-views", "::mlir::ModuleOp"> {
  let summary = "Shorten chains of transposes and reshapes";
  let description = [{
    TODO-RaiseViews
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

#endif // PASSES_PASSES
