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

def CancelReshapesPass : Pass<"transformer-cancel-reshapes", "::mlir::ModuleOp"> {
  let summary = "Cancel transposes and reshapes that undo each other";
  let description = [{
    A transpose or reshape of what elementwise ops made of transposed or reshaped
    values is undone by them; splat constants fit any shape. Transposes of
    transposes become one, and transposed weights are derived weights.

    ```mlir
    func.func @between(%x: tensor<4x6x8xf32>, %a: tensor<4x8x6xf32>, %b: tensor<4x6x8xf32>) -> tensor<4x6x8xf32> {
      %0 = linalg.transpose ins(%x : tensor<4x6x8xf32>) outs(%a : tensor<4x8x6xf32>) permutation = [0, 2, 1]
      %1 = transformer.activation relu %0 : tensor<4x8x6xf32> -> tensor<4x8x6xf32>
      %2 = linalg.transpose ins(%1 : tensor<4x8x6xf32>) outs(%b : tensor<4x6x8xf32>) permutation = [0, 2, 1]
      return %2 : tensor<4x6x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @between(%x: tensor<4x6x8xf32>, %a: tensor<4x8x6xf32>, %b: tensor<4x6x8xf32>) -> tensor<4x6x8xf32> {
      %0 = transformer.activation relu %x : tensor<4x6x8xf32> -> tensor<4x6x8xf32>
      return %0 : tensor<4x6x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

def FuseLinearsPass : Pass<"transformer-fuse-linears", "::mlir::ModuleOp"> {
  let summary = "Fuse consecutive projections where that saves work";
  let description = [{
    Two projections with nothing between them are one by the product of their
    matrices, if that has no more elements than both; the matrices and what is
    between them must be stored in f32.

    ```mlir
    transformer.weight @a : tensor<64x32xf32> from "model.safetensors"
    transformer.weight @b : tensor<16x64xf32> from "model.safetensors"
    func.func @twice(%x: tensor<4x32xf32>) -> tensor<4x16xf32> {
      %0 = transformer.use @a : tensor<64x32xf32>
      %1 = transformer.linear %x, %0 : tensor<4x32xf32>, tensor<64x32xf32> -> tensor<4x64xf32>
      %2 = transformer.use @b : tensor<16x64xf32>
      %3 = transformer.linear %1, %2 : tensor<4x64xf32>, tensor<16x64xf32> -> tensor<4x16xf32>
      return %3 : tensor<4x16xf32>
    }
    ```
    becomes
    ```mlir
    transformer.weight @a : tensor<64x32xf32> from "model.safetensors"
    transformer.weight @b : tensor<16x64xf32> from "model.safetensors"
    transformer.derive @b.matmul = matmul(@b, @a) : tensor<16x32xf32>
    func.func @twice(%x: tensor<4x32xf32>) -> tensor<4x16xf32> {
      %0 = transformer.use @b.matmul : tensor<16x32xf32>
      %1 = transformer.linear %x, %0 : tensor<4x32xf32>, tensor<16x32xf32> -> tensor<4x16xf32>
      return %1 : tensor<4x16xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

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

def FoldQueryScalePass : Pass<"transformer-fold-query-scale", "::mlir::ModuleOp"> {
  let summary = "Fold attention's scale into the projection of the queries";
  let description = [{
    The scale commutes with rotations and reshapes: it becomes a factor of Wq and
    its bias, or of the weight of a norm of the queries. Only where nothing is
    rounded otherwise by that: all is stored in f32, or in bf16 and the scale is a power of two.

    ```mlir
    transformer.weight @q : tensor<32x64xf32> from "model.safetensors"
    func.func @attend(%x: tensor<1x4x64xf32>, %k: tensor<1x4x2x8xf32>) -> tensor<1x4x4x8xf32> {
      %0 = transformer.use @q : tensor<32x64xf32>
      %1 = transformer.linear %x, %0 : tensor<1x4x64xf32>, tensor<32x64xf32> -> tensor<1x4x32xf32>
      %2 = tensor.expand_shape %1 [[0], [1], [2, 3]] output_shape [1, 4, 4, 8] : tensor<1x4x32xf32> into tensor<1x4x4x8xf32>
      %3 = transformer.attention %2, %k, %k scale 0.125 mask <causal> : tensor<1x4x4x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32> -> tensor<1x4x4x8xf32>
      return %3 : tensor<1x4x4x8xf32>
    }
    ```
    becomes
    ```mlir
    transformer.weight @q : tensor<32x64xf32> from "model.safetensors"
    transformer.derive @q.scale = scale(@q) {value = 1.250000e-01 : f64} : tensor<32x64xf32>
    func.func @attend(%x: tensor<1x4x64xf32>, %k: tensor<1x4x2x8xf32>) -> tensor<1x4x4x8xf32> {
      %0 = transformer.use @q.scale : tensor<32x64xf32>
      %1 = transformer.linear %x, %0 : tensor<1x4x64xf32>, tensor<32x64xf32> -> tensor<1x4x32xf32>
      %2 = tensor.expand_shape %1 [[0], [1], [2, 3]] output_shape [1, 4, 4, 8] : tensor<1x4x32xf32> into tensor<1x4x4x8xf32>
      %3 = transformer.attention %2, %k, %k scale 1.0 mask <causal> : tensor<1x4x4x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32> -> tensor<1x4x4x8xf32>
      return %3 : tensor<1x4x4x8xf32>
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

def FoldNormScalePass : Pass<"transformer-fold-norm-scale", "::mlir::ModuleOp"> {
  let summary = "Fold a norm's weight into the projections that read it";
  let description = [{
    The weight of an RMS norm scales columns of the next matrix instead; so does
    that of a layer norm, whose bias goes through the matrix. Only where norm,
    matrices and result are stored in f32 and have no other reader.

    ```mlir
    transformer.weight @n : tensor<64xf32> from "model.safetensors"
    transformer.weight @w : tensor<32x64xf32> from "model.safetensors"
    func.func @project(%x: tensor<4x64xf32>) -> tensor<4x32xf32> {
      %0 = transformer.use @n : tensor<64xf32>
      %1 = transformer.rms_norm %x, %0 epsilon 1.0e-5 : tensor<4x64xf32>, tensor<64xf32> -> tensor<4x64xf32>
      %2 = transformer.use @w : tensor<32x64xf32>
      %3 = transformer.linear %1, %2 : tensor<4x64xf32>, tensor<32x64xf32> -> tensor<4x32xf32>
      return %3 : tensor<4x32xf32>
    }
    ```
    becomes
    ```mlir
    transformer.weight @n : tensor<64xf32> from "model.safetensors"
    transformer.weight @w : tensor<32x64xf32> from "model.safetensors"
    transformer.derive @w.scale_columns = scale_columns(@w, @n) : tensor<32x64xf32>
    func.func @project(%x: tensor<4x64xf32>) -> tensor<4x32xf32> {
      %cst = arith.constant dense<1.000000e+00> : tensor<64xf32>
      %0 = transformer.rms_norm %x, %cst epsilon 1.000000e-05 : tensor<4x64xf32>, tensor<64xf32> -> tensor<4x64xf32>
      %1 = transformer.use @w.scale_columns : tensor<32x64xf32>
      %2 = transformer.linear %0, %1 : tensor<4x64xf32>, tensor<32x64xf32> -> tensor<4x32xf32>
      return %2 : tensor<4x32xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::arith::ArithDialect"];
}

def NarrowToUsedPass : Pass<"transformer-narrow-to-used", "::mlir::ModuleOp"> {
  let summary = "Compute only the positions that are read";
  let description = [{
    A slice of rows moves above projections, norms, gated MLPs and elementwise ops
    whose result is read by equal slices alone. A prompt's head, last norm and last
    MLP then run for its last position only.

    ```mlir
    func.func @last(%x: tensor<1x9x64xf32>, %w: tensor<32x64xf32>) -> tensor<1x1x32xf32> {
      %0 = transformer.linear %x, %w : tensor<1x9x64xf32>, tensor<32x64xf32> -> tensor<1x9x32xf32>
      %1 = tensor.extract_slice %0[0, 8, 0] [1, 1, 32] [1, 1, 1] : tensor<1x9x32xf32> to tensor<1x1x32xf32>
      return %1 : tensor<1x1x32xf32>
    }
    ```
    becomes
    ```mlir
    func.func @last(%x: tensor<1x9x64xf32>, %w: tensor<32x64xf32>) -> tensor<1x1x32xf32> {
      %0 = tensor.extract_slice %x[0, 8, 0] [1, 1, 64] [1, 1, 1] : tensor<1x9x64xf32> to tensor<1x1x64xf32>
      %1 = transformer.linear %0, %w : tensor<1x1x64xf32>, tensor<32x64xf32> -> tensor<1x1x32xf32>
      return %1 : tensor<1x1x32xf32>
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
// Positions
//===----------------------------------------------------------------------===//

def TrimPositionTablesPass : Pass<"transformer-trim-position-tables", "::mlir::ModuleOp"> {
  let summary = "Cut tables of positions to the positions of the module";
  let description = [{
    Tables of rotations and learned positions with more rows than the module's
    `max_positions` lose the rows that nothing can read. A computed table
    (`rope_table`, `sinusoid`) is computed shorter, a stored one is a slice.

    ```mlir
    module attributes {transformer.model = {max_positions = 16 : i64}} {
      transformer.derive @cos = rope_table() {part = "cos", scaling = "none", theta = 1.0e4 : f64} : tensor<64x4xf32>
      transformer.weight @sin : tensor<64x4xf32> from "model.safetensors"
      func.func @rotate(%x: tensor<1x2x4x8xf32>, %at: tensor<1xi32>) -> tensor<1x2x4x8xf32> {
        %0 = transformer.use @cos : tensor<64x4xf32>
        %1 = transformer.use @sin : tensor<64x4xf32>
        %2 = transformer.rope half_split %x, %0, %1 at %at : tensor<1x2x4x8xf32>, tensor<64x4xf32>, tensor<64x4xf32>, tensor<1xi32> -> tensor<1x2x4x8xf32>
        return %2 : tensor<1x2x4x8xf32>
      }
    }
    ```
    becomes
    ```mlir
    module attributes {transformer.model = {max_positions = 16 : i64}} {
      transformer.derive @cos = rope_table() {part = "cos", scaling = "none", theta = 1.0e4 : f64} : tensor<64x4xf32>
      transformer.weight @sin : tensor<64x4xf32> from "model.safetensors"
      transformer.derive @cos_0 = rope_table() {part = "cos", scaling = "none", theta = 1.0e4 : f64} : tensor<16x4xf32>
      transformer.derive @sin.slice = slice(@sin) {axis = 0 : i64, begin = 0 : i64, end = 16 : i64} : tensor<16x4xf32>
      func.func @rotate(%x: tensor<1x2x4x8xf32>, %at: tensor<1xi32>) -> tensor<1x2x4x8xf32> {
        %0 = transformer.use @cos_0 : tensor<16x4xf32>
        %1 = transformer.use @sin.slice : tensor<16x4xf32>
        %2 = transformer.rope half_split %x, %0, %1 at %at : tensor<1x2x4x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>, tensor<1xi32> -> tensor<1x2x4x8xf32>
        return %2 : tensor<1x2x4x8xf32>
      }
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

def LowRankPositionsPass : Pass<"transformer-low-rank-positions", "::mlir::ModuleOp"> {
  let summary = "Factorise learned tables of positions";
  let description = [{
    Replaces a table of positions by the two factors of its best approximation of
    a rank, where they have fewer elements. Lossy and in no level's pipeline.
    Whether the factors are within `max-error` is known when they are computed; if
    they are not, compiling fails and says which rank would do.

    ```mlir
    transformer.weight @p : tensor<64x32xf32> from "model.safetensors"
    func.func @embed(%c: !transformer.kv_cache<2 x 8 x f32, full>) -> tensor<?x32xf32> {
      %at = transformer.cache_length %c : <2 x 8 x f32, full> -> tensor<?xi32>
      %0 = transformer.use @p : tensor<64x32xf32>
      %1 = transformer.embedding %at, %0 : tensor<?xi32>, tensor<64x32xf32> -> tensor<?x32xf32>
      return %1 : tensor<?x32xf32>
    }
    ```
    becomes
    ```mlir
    transformer.weight @p : tensor<64x32xf32> from "model.safetensors"
    transformer.derive @p.factorize = factorize(@p) {max_error = 1.000000e-02 : f64, part = "left", rank = 8 : i64} : tensor<64x8xf32>
    transformer.derive @p.factorize_0 = factorize(@p) {max_error = 1.000000e-02 : f64, part = "right", rank = 8 : i64} : tensor<8x32xf32>
    transformer.derive @p.factorize_0.transpose = transpose(@p.factorize_0) : tensor<32x8xf32>
    func.func @embed(%c: !transformer.kv_cache<2 x 8 x f32, full>) -> tensor<?x32xf32> {
      %at = transformer.cache_length %c : <2 x 8 x f32, full> -> tensor<?xi32>
      %0 = transformer.use @p.factorize : tensor<64x8xf32>
      %1 = transformer.use @p.factorize_0.transpose : tensor<32x8xf32>
      %2 = transformer.embedding %at, %0 : tensor<?xi32>, tensor<64x8xf32> -> tensor<?x8xf32>
      %3 = transformer.linear %2, %1 : tensor<?x8xf32>, tensor<32x8xf32> -> tensor<?x32xf32>
      return %3 : tensor<?x32xf32>
    }
    ```
  }];
  let options = [
    Option<"rank", "rank", "int64_t", "8", "rank of the factors">,
    Option<"maxError", "max-error", "double", "1e-2", "largest root of the sum of squared errors, relative to the table's">
  ];
  let dependentDialects = ["::mlir::transformer::TransformerDialect"];
}

//===----------------------------------------------------------------------===//
// Raising
//===----------------------------------------------------------------------===//

def RaiseNormsPass : Pass<"transformer-raise-norms", "::mlir::ModuleOp"> {
  let summary = "Raise rms_norm and layer_norm from decomposed graphs";
  let description = [{
    An element that is x (sum(x^2)/n + epsilon)^-1/2 w, with the sum over the last
    dimension, is an `rms_norm`'s; (x - m) (v + epsilon)^-1/2 w + b, with the mean m and
    the variance v, a `layer_norm`'s. Squares may be products or powers, the root rsqrt,
    a quotient by sqrt or a power, the variance the mean of squared deviations or of
    squares less the square of the mean (the raised op, which subtracts first, is the
    more exact), reshapes and broadcasts anywhere between. Without w the scale is ones;
    a weight w + 1 is derived.

    ```mlir
    func.func @norm(%x: tensor<4x8xf32>, %w: tensor<8xf32>) -> tensor<4x8xf32> {
      %zero = arith.constant 0.0 : f32
      %e = tensor.empty() : tensor<4xf32>
      %all = tensor.empty() : tensor<4x8xf32>
      %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
      %square = arith.mulf %x, %x : tensor<4x8xf32>
      %sum = linalg.reduce { arith.addf } ins(%square : tensor<4x8xf32>) outs(%zeros : tensor<4xf32>) dimensions = [1]
      %n = arith.constant dense<8.0> : tensor<4xf32>
      %epsilon = arith.constant dense<0.0625> : tensor<4xf32>
      %mean = arith.divf %sum, %n : tensor<4xf32>
      %inside = arith.addf %mean, %epsilon : tensor<4xf32>
      %root = math.rsqrt %inside : tensor<4xf32>
      %roots = linalg.broadcast ins(%root : tensor<4xf32>) outs(%all : tensor<4x8xf32>) dimensions = [1]
      %scales = linalg.broadcast ins(%w : tensor<8xf32>) outs(%all : tensor<4x8xf32>) dimensions = [0]
      %normed = arith.mulf %x, %roots : tensor<4x8xf32>
      %y = arith.mulf %normed, %scales : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @norm(%arg0: tensor<4x8xf32>, %arg1: tensor<8xf32>) -> tensor<4x8xf32> {
      %0 = transformer.rms_norm %arg0, %arg1 epsilon 6.250000e-02 : tensor<4x8xf32>, tensor<8xf32> -> tensor<4x8xf32>
      return %0 : tensor<4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseActivationsPass : Pass<"transformer-raise-activations", "::mlir::ModuleOp"> {
  let summary = "Raise activations from decomposed graphs";
  let description = [{
    silu, quick_gelu, gelu with erf or with tanh, and relu, by the formula of an
    element: sigmoids as quotients or factors, negation as a product, cubes as powers or
    products, one generic or an op a step, sums multiplied out or not. Constants are
    compared as f32 tells them apart. A factor that is multiplied in the same op, as in
    gated MLPs, becomes a product of its own.

    ```mlir
    func.func @silu(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %one = arith.constant dense<1.0> : tensor<4x8xf32>
      %minus = arith.negf %x : tensor<4x8xf32>
      %e = math.exp %minus : tensor<4x8xf32>
      %d = arith.addf %one, %e : tensor<4x8xf32>
      %sigmoid = arith.divf %one, %d : tensor<4x8xf32>
      %y = arith.mulf %x, %sigmoid : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @silu(%arg0: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %0 = transformer.activation silu %arg0 : tensor<4x8xf32> -> tensor<4x8xf32>
      return %0 : tensor<4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseRopePass : Pass<"transformer-raise-rope", "::mlir::ModuleOp"> {
  let summary = "Raise rotary embeddings from decomposed graphs";
  let description = [{
    The two elements of a pair are read as two formulas, a cos - b sin and b cos + a sin.
    Pairs are the halves of a row or neighbours; they may be sliced, negated, concatenated,
    inserted, split off and joined by reshapes in any order. Tables may repeat their
    columns for both halves if the IR shows that it is so: a table of all columns that a
    file holds is not raised. Positions begin at 0, so offsets are zeros. Columns that
    follow a rotated part of their row, by concatenation, are left as they are.

    ```mlir
    func.func @rotate(%x: tensor<1x6x3x8xf32>, %cos: tensor<6x4xf32>, %sin: tensor<6x4xf32>) -> tensor<1x6x3x8xf32> {
      %a = tensor.extract_slice %x[0, 0, 0, 0] [1, 6, 3, 4] [1, 1, 1, 1] : tensor<1x6x3x8xf32> to tensor<1x6x3x4xf32>
      %b = tensor.extract_slice %x[0, 0, 0, 4] [1, 6, 3, 4] [1, 1, 1, 1] : tensor<1x6x3x8xf32> to tensor<1x6x3x4xf32>
      %n = arith.negf %b : tensor<1x6x3x4xf32>
      %turned = tensor.concat dim(3) %n, %a : (tensor<1x6x3x4xf32>, tensor<1x6x3x4xf32>) -> tensor<1x6x3x8xf32>
      %cos2 = tensor.concat dim(1) %cos, %cos : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x8xf32>
      %sin2 = tensor.concat dim(1) %sin, %sin : (tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x8xf32>
      %e = tensor.empty() : tensor<1x6x3x8xf32>
      %c = linalg.broadcast ins(%cos2 : tensor<6x8xf32>) outs(%e : tensor<1x6x3x8xf32>) dimensions = [0, 2]
      %s = linalg.broadcast ins(%sin2 : tensor<6x8xf32>) outs(%e : tensor<1x6x3x8xf32>) dimensions = [0, 2]
      %xc = arith.mulf %x, %c : tensor<1x6x3x8xf32>
      %ts = arith.mulf %turned, %s : tensor<1x6x3x8xf32>
      %y = arith.addf %xc, %ts : tensor<1x6x3x8xf32>
      return %y : tensor<1x6x3x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @rotate(%arg0: tensor<1x6x3x8xf32>, %arg1: tensor<6x4xf32>, %arg2: tensor<6x4xf32>) -> tensor<1x6x3x8xf32> {
      %c0_i32 = arith.constant 0 : i32
      %splat = tensor.splat %c0_i32 : tensor<1xi32>
      %0 = transformer.rope half_split %arg0, %arg1, %arg2 at %splat : tensor<1x6x3x8xf32>, tensor<6x4xf32>, tensor<6x4xf32>, tensor<1xi32> -> tensor<1x6x3x8xf32>
      return %0 : tensor<1x6x3x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseAttentionPass : Pass<"transformer-raise-attention", "::mlir::ModuleOp"> {
  let summary = "Raise attention from decomposed graphs";
  let description = [{
    sum_j softmax_j(scale sum_d q[i, d] k[j, d], masked) v[j, e] is an `attention`. What
    is batch, head, group, query, key and column follows from which of the sums' factors
    a variable appears in, not from the order of dimensions: heads may be split and
    flattened with the batch, keys transposed either way, shared heads repeated by
    broadcasts. softmax may be written out. Scales may stand before the product, behind it
    or in both factors. A condition on positions that selects scores or adds 0 or less
    than -1e4 is the mask (causal or a window; the first query and the first key are at
    one position, so there must be as many); other tensors that are added are the bias.

    A mask that is off by one, adds too little, or a softmax over another dimension is
    a missed remark.

    ```mlir
    func.func @attend(%q: tensor<2x6x8xf32>, %k: tensor<2x6x8xf32>, %v: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
      %zero = arith.constant 0.0 : f32
      %ek = tensor.empty() : tensor<2x8x6xf32>
      %ez = tensor.empty() : tensor<2x6x6xf32>
      %ey = tensor.empty() : tensor<2x6x8xf32>
      %z0 = linalg.fill ins(%zero : f32) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
      %y0 = linalg.fill ins(%zero : f32) outs(%ey : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
      %kt = linalg.transpose ins(%k : tensor<2x6x8xf32>) outs(%ek : tensor<2x8x6xf32>) permutation = [0, 2, 1]
      %z = linalg.batch_matmul ins(%q, %kt : tensor<2x6x8xf32>, tensor<2x8x6xf32>) outs(%z0 : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
      %c = arith.constant dense<0.25> : tensor<2x6x6xf32>
      %l = arith.mulf %z, %c : tensor<2x6x6xf32>
      %p = linalg.softmax dimension(2) ins(%l : tensor<2x6x6xf32>) outs(%ez : tensor<2x6x6xf32>) -> tensor<2x6x6xf32>
      %y = linalg.batch_matmul ins(%p, %v : tensor<2x6x6xf32>, tensor<2x6x8xf32>) outs(%y0 : tensor<2x6x8xf32>) -> tensor<2x6x8xf32>
      return %y : tensor<2x6x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @attend(%arg0: tensor<2x6x8xf32>, %arg1: tensor<2x6x8xf32>, %arg2: tensor<2x6x8xf32>) -> tensor<2x6x8xf32> {
      %expanded = tensor.expand_shape %arg0 [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
      %expanded_0 = tensor.expand_shape %arg1 [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
      %expanded_1 = tensor.expand_shape %arg2 [[0], [1], [2, 3]] output_shape [2, 6, 1, 8] : tensor<2x6x8xf32> into tensor<2x6x1x8xf32>
      %0 = transformer.attention %expanded, %expanded_0, %expanded_1 scale 2.500000e-01 mask <none> : tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32>, tensor<2x6x1x8xf32> -> tensor<2x6x1x8xf32>
      %collapsed = tensor.collapse_shape %0 [[0], [1], [2, 3]] : tensor<2x6x1x8xf32> into tensor<2x6x8xf32>
      return %collapsed : tensor<2x6x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseHeadsPass : Pass<"transformer-raise-heads", "::mlir::ModuleOp"> {
  let summary = "Raise one attention from one for each head";
  let description = [{
    Attentions of one head each, on slices of the same queries, keys and values in
    regular steps, whose results are concatenated, are one attention. Heads that read the
    same keys and values share them in groups.

    ```mlir
    func.func @attend(%q: tensor<1x6x16xf32>, %k: tensor<1x6x1x8xf32>) -> tensor<1x6x16xf32> {
      %a = tensor.extract_slice %q[0, 0, 0] [1, 6, 8] [1, 1, 1] : tensor<1x6x16xf32> to tensor<1x6x8xf32>
      %b = tensor.extract_slice %q[0, 0, 8] [1, 6, 8] [1, 1, 1] : tensor<1x6x16xf32> to tensor<1x6x8xf32>
      %a4 = tensor.expand_shape %a [[0], [1], [2, 3]] output_shape [1, 6, 1, 8] : tensor<1x6x8xf32> into tensor<1x6x1x8xf32>
      %b4 = tensor.expand_shape %b [[0], [1], [2, 3]] output_shape [1, 6, 1, 8] : tensor<1x6x8xf32> into tensor<1x6x1x8xf32>
      %0 = transformer.attention %a4, %k, %k scale 0.5 mask <causal> : tensor<1x6x1x8xf32>, tensor<1x6x1x8xf32>, tensor<1x6x1x8xf32> -> tensor<1x6x1x8xf32>
      %1 = transformer.attention %b4, %k, %k scale 0.5 mask <causal> : tensor<1x6x1x8xf32>, tensor<1x6x1x8xf32>, tensor<1x6x1x8xf32> -> tensor<1x6x1x8xf32>
      %2 = tensor.collapse_shape %0 [[0], [1], [2, 3]] : tensor<1x6x1x8xf32> into tensor<1x6x8xf32>
      %3 = tensor.collapse_shape %1 [[0], [1], [2, 3]] : tensor<1x6x1x8xf32> into tensor<1x6x8xf32>
      %y = tensor.concat dim(2) %2, %3 : (tensor<1x6x8xf32>, tensor<1x6x8xf32>) -> tensor<1x6x16xf32>
      return %y : tensor<1x6x16xf32>
    }
    ```
    becomes
    ```mlir
    func.func @attend(%arg0: tensor<1x6x16xf32>, %arg1: tensor<1x6x1x8xf32>) -> tensor<1x6x16xf32> {
      %expanded = tensor.expand_shape %arg0 [[0], [1], [2, 3]] output_shape [1, 6, 2, 8] : tensor<1x6x16xf32> into tensor<1x6x2x8xf32>
      %0 = transformer.attention %expanded, %arg1, %arg1 scale 5.000000e-01 mask <causal> : tensor<1x6x2x8xf32>, tensor<1x6x1x8xf32>, tensor<1x6x1x8xf32> -> tensor<1x6x2x8xf32>
      %collapsed = tensor.collapse_shape %0 [[0], [1], [2, 3]] : tensor<1x6x2x8xf32> into tensor<1x6x16xf32>
      return %collapsed : tensor<1x6x16xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseLinearPass : Pass<"transformer-raise-linear", "::mlir::ModuleOp"> {
  let summary = "Raise linear from contractions with weights";
  let description = [{
    A sum of products with a weight that `transformer.use` reads, over one of the
    weight's dimensions, is a `linear`: matmul, contract or generic, with the weight as
    stored, transposed on the way, or stored [in, out], which derives its transpose. A
    slice of a weight derives the rows. A vector along the result's columns that is added,
    at once or in a longer sum, is the bias. Flattened rows are apart again.

    ```mlir
    transformer.weight @w : tensor<16x8xf32> from "model.safetensors"
    func.func @project(%x: tensor<2x3x8xf32>, %b: tensor<16xf32>) -> tensor<6x16xf32> {
      %zero = arith.constant 0.0 : f32
      %w = transformer.use @w : tensor<16x8xf32>
      %flat = tensor.collapse_shape %x [[0, 1], [2]] : tensor<2x3x8xf32> into tensor<6x8xf32>
      %ew = tensor.empty() : tensor<8x16xf32>
      %wt = linalg.transpose ins(%w : tensor<16x8xf32>) outs(%ew : tensor<8x16xf32>) permutation = [1, 0]
      %e = tensor.empty() : tensor<6x16xf32>
      %zeros = linalg.fill ins(%zero : f32) outs(%e : tensor<6x16xf32>) -> tensor<6x16xf32>
      %y = linalg.matmul ins(%flat, %wt : tensor<6x8xf32>, tensor<8x16xf32>) outs(%zeros : tensor<6x16xf32>) -> tensor<6x16xf32>
      %bs = linalg.broadcast ins(%b : tensor<16xf32>) outs(%e : tensor<6x16xf32>) dimensions = [0]
      %z = arith.addf %y, %bs : tensor<6x16xf32>
      return %z : tensor<6x16xf32>
    }
    ```
    becomes
    ```mlir
    transformer.weight @w : tensor<16x8xf32> from "model.safetensors"
    func.func @project(%arg0: tensor<2x3x8xf32>, %arg1: tensor<16xf32>) -> tensor<6x16xf32> {
      %0 = transformer.use @w : tensor<16x8xf32>
      %1 = transformer.linear %arg0, %0 bias %arg1 : tensor<2x3x8xf32>, tensor<16x8xf32>, tensor<16xf32> -> tensor<2x3x16xf32>
      %collapsed = tensor.collapse_shape %1 [[0, 1], [2]] : tensor<2x3x16xf32> into tensor<6x16xf32>
      return %collapsed : tensor<6x16xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseEmbeddingPass : Pass<"transformer-raise-embedding", "::mlir::ModuleOp"> {
  let summary = "Raise embeddings from gathers of rows";
  let description = [{
    A generic op that extracts rows of a table, at ids of i32, is an `embedding`.

    ```mlir
    func.func @embed(%ids: tensor<2x3xi32>, %table: tensor<16x8xf32>) -> tensor<2x3x8xf32> {
      %e = tensor.empty() : tensor<2x3x8xf32>
      %y = linalg.generic {indexing_maps = [affine_map<(b, s, d) -> (b, s)>, affine_map<(b, s, d) -> (b, s, d)>], iterator_types = ["parallel", "parallel", "parallel"]}
          ins(%ids : tensor<2x3xi32>) outs(%e : tensor<2x3x8xf32>) {
        ^bb0(%id: i32, %out: f32):
          %row = arith.index_cast %id : i32 to index
          %d = linalg.index 2 : index
          %v = tensor.extract %table[%row, %d] : tensor<16x8xf32>
          linalg.yield %v : f32
        } -> tensor<2x3x8xf32>
      return %y : tensor<2x3x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @embed(%arg0: tensor<2x3xi32>, %arg1: tensor<16x8xf32>) -> tensor<2x3x8xf32> {
      %0 = transformer.embedding %arg0, %arg1 : tensor<2x3xi32>, tensor<16x8xf32> -> tensor<2x3x8xf32>
      return %0 : tensor<2x3x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseElementwisePass : Pass<"transformer-raise-elementwise", "::mlir::ModuleOp"> {
  let summary = "Write sums and products of whole tensors as arith ops";
  let description = [{
    A sum, difference, product or quotient of two tensors of one shape, as a named or
    generic op of linalg, is the op of arith: the form in which residual sums and gated
    products are fused.

    ```mlir
    func.func @add(%x: tensor<4x8xf32>, %h: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %e = tensor.empty() : tensor<4x8xf32>
      %y = linalg.add ins(%x, %h : tensor<4x8xf32>, tensor<4x8xf32>) outs(%e : tensor<4x8xf32>) -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @add(%arg0: tensor<4x8xf32>, %arg1: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %0 = arith.addf %arg0, %arg1 : tensor<4x8xf32>
      return %0 : tensor<4x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

def RaiseViewsPass : Pass<"transformer-raise-views", "::mlir::ModuleOp"> {
  let summary = "Shorten chains of transposes and reshapes";
  let description = [{
    A chain of transposes, reshapes and slices is the shortest one that moves elements
    to the same places: often none.

    ```mlir
    func.func @move(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
      %e = tensor.empty() : tensor<2x4x3xf32>
      %t = linalg.transpose ins(%x : tensor<2x3x4xf32>) outs(%e : tensor<2x4x3xf32>) permutation = [0, 2, 1]
      %flat = tensor.collapse_shape %t [[0], [1, 2]] : tensor<2x4x3xf32> into tensor<2x12xf32>
      %again = tensor.expand_shape %flat [[0], [1, 2]] output_shape [2, 4, 3] : tensor<2x12xf32> into tensor<2x4x3xf32>
      %e2 = tensor.empty() : tensor<2x3x4xf32>
      %y = linalg.transpose ins(%again : tensor<2x4x3xf32>) outs(%e2 : tensor<2x3x4xf32>) permutation = [0, 2, 1]
      return %y : tensor<2x3x4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @move(%arg0: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
      return %arg0 : tensor<2x3x4xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::transformer::TransformerDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect", "::mlir::arith::ArithDialect"];
}

#endif // PASSES_PASSES
