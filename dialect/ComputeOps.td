//===- ComputeOps.td - embeddings, projections, norms, activations -*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef DIALECT_COMPUTEOPS
#define DIALECT_COMPUTEOPS

include "dialect/TransformerTypes.td"

def Transformer_EmbeddingOp : Transformer_TensorOp<"embedding"> {
  let summary = "rows of a table, one per id";
  let description = [{
    result[b, s, :] = table[ids[b, s], :]. Ids are i32 and must lie in
    [0, rows of the table); the runtime checks them before a call.

    Constraints:
    - C1: the result is the ids' shape followed by the table's row length.

    ```mlir
    func.func @embed(%ids: tensor<?x?xi32>, %table: tensor<512x64xbf16>) -> tensor<?x?x64xf32> {
      %0 = transformer.embedding %ids, %table : tensor<?x?xi32>, tensor<512x64xbf16> -> tensor<?x?x64xf32>
      return %0 : tensor<?x?x64xf32>
    }
    ```
  }];
  let arguments = (ins TensorOf<[I32]>:$ids, Transformer_FloatTensor<[2]>:$table);
  let results = (outs Transformer_Activations:$result);
  let assemblyFormat = "$ids `,` $table attr-dict `:` type(operands) `->` type($result)";
  let hasVerifier = 1;
}

def Transformer_LinearOp : Transformer_TensorOp<"linear"> {
  let summary = "x W^T + b, the weight stored [out, in] as in checkpoints";
  let description = [{
    result[..., n] = sum_k input[..., k] * weight[n, k] + bias[n].

    Constraints:
    - C1: the weight's second dimension is the input's last.
    - C2: the bias has as many elements as the weight has rows.
    - C3: the result is the input's shape with the weight's rows as last dimension.

    ```mlir
    func.func @project(%x: tensor<?x?x64xf32>, %w: tensor<128x64xbf16>, %b: tensor<128xf32>) -> tensor<?x?x128xf32> {
      %0 = transformer.linear %x, %w bias %b : tensor<?x?x64xf32>, tensor<128x64xbf16>, tensor<128xf32> -> tensor<?x?x128xf32>
      return %0 : tensor<?x?x128xf32>
    }
    ```
  }];
  let arguments = (ins
    Transformer_Activations:$input,
    Transformer_FloatTensor<[2]>:$weight,
    Optional<Transformer_FloatTensor<[1]>>:$bias
  );
  let results = (outs Transformer_Activations:$result);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? attr-dict `:` type($input) `,` type($weight) (`,` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def Transformer_LayerNormOp : Transformer_TensorOp<"layer_norm"> {
  let summary = "normalises the last dimension to mean 0 and variance 1";
  let description = [{
    (x - mean) / sqrt(variance + epsilon) * scale + bias over the last dimension,
    with the biased variance (arXiv:1607.06450).

    Constraints:
    - C1: scale and bias have the length of the input's last dimension.
    - C2: the result has the input's shape.
    - C3: epsilon is not negative.

    ```mlir
    func.func @norm(%x: tensor<?x?x64xf32>, %w: tensor<64xf32>, %b: tensor<64xf32>) -> tensor<?x?x64xf32> {
      %0 = transformer.layer_norm %x, %w bias %b epsilon 1.0e-5 : tensor<?x?x64xf32>, tensor<64xf32>, tensor<64xf32> -> tensor<?x?x64xf32>
      return %0 : tensor<?x?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Transformer_Activations:$input,
    Transformer_FloatTensor<[1]>:$scale,
    Optional<Transformer_FloatTensor<[1]>>:$bias,
    F64Attr:$epsilon
  );
  let results = (outs Transformer_Activations:$result);
  let assemblyFormat = [{
    $input `,` $scale (`bias` $bias^)? `epsilon` custom<F64>($epsilon) attr-dict
    `:` type($input) `,` type($scale) (`,` type($bias)^)? `->` type($result)
  }];
  let hasVerifier = 1;
}

def Transformer_RMSNormOp : Transformer_TensorOp<"rms_norm"> {
  let summary = "divides the last dimension by its root mean square";
  let description = [{
    x / sqrt(mean(x^2) + epsilon) * scale over the last dimension
    (arXiv:1910.07467). Checkpoints that store the scale minus one name a derived
    weight `add_scalar(@w) {value = 1.0}`.

    Constraints:
    - C1: the scale has the length of the input's last dimension.
    - C2: the result has the input's shape.
    - C3: epsilon is not negative.

    ```mlir
    func.func @norm(%x: tensor<?x?x64xf32>, %w: tensor<64xf32>) -> tensor<?x?x64xbf16> {
      %0 = transformer.rms_norm %x, %w epsilon 1.0e-5 : tensor<?x?x64xf32>, tensor<64xf32> -> tensor<?x?x64xbf16>
      return %0 : tensor<?x?x64xbf16>
    }
    ```
  }];
  let arguments = (ins
    Transformer_Activations:$input,
    Transformer_FloatTensor<[1]>:$scale,
    F64Attr:$epsilon
  );
  let results = (outs Transformer_Activations:$result);
  let assemblyFormat = [{
    $input `,` $scale `epsilon` custom<F64>($epsilon) attr-dict `:` type($input) `,` type($scale) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Transformer_ActivationOp : Transformer_TensorOp<"activation"> {
  let summary = "an elementwise activation";
  let description = [{
    `silu`: x / (1 + e^-x). `gelu_erf`: x/2 (1 + erf(x/sqrt 2)).
    `gelu_tanh`: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))). `relu`: max(x, 0).
    `quick_gelu`: x / (1 + e^(-1.702 x)).

    Constraints:
    - C1: the result has the input's shape.

    ```mlir
    func.func @act(%x: tensor<?x?x64xf32>) -> tensor<?x?x64xf32> {
      %0 = transformer.activation silu %x : tensor<?x?x64xf32> -> tensor<?x?x64xf32>
      return %0 : tensor<?x?x64xf32>
    }
    ```
  }];
  let arguments = (ins Transformer_ActivationKindAttr:$kind, Transformer_Activations:$input);
  let results = (outs Transformer_Activations:$result);
  let assemblyFormat = "`` $kind $input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Transformer_GatedMLPOp : Transformer_TensorOp<"gated_mlp"> {
  let summary = "down(act(gate(x)) * up(x))";
  let description = [{
    (act(x Wg^T) * (x Wu^T)) Wd^T: SwiGLU with silu, GeGLU with gelu
    (arXiv:2002.05202). The product before the last projection is stored in the
    input's element type. A target of fusion; importers do not write it.

    Constraints:
    - C1: gate and up have the same shape [ff, in], `in` the input's last dimension.
    - C2: down is [out, ff].
    - C3: the result is the input's shape with `out` as last dimension.

    ```mlir
    func.func @mlp(%x: tensor<?x?x64xf32>, %g: tensor<96x64xf32>, %u: tensor<96x64xf32>, %d: tensor<64x96xf32>) -> tensor<?x?x64xf32> {
      %0 = transformer.gated_mlp silu %x, %g, %u, %d : tensor<?x?x64xf32>, tensor<96x64xf32>, tensor<96x64xf32>, tensor<64x96xf32> -> tensor<?x?x64xf32>
      return %0 : tensor<?x?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Transformer_ActivationKindAttr:$kind,
    Transformer_Activations:$input,
    Transformer_FloatTensor<[2]>:$gate,
    Transformer_FloatTensor<[2]>:$up,
    Transformer_FloatTensor<[2]>:$down
  );
  let results = (outs Transformer_Activations:$result);
  let assemblyFormat = "`` $kind $input `,` $gate `,` $up `,` $down attr-dict `:` type(operands) `->` type($result)";
  let hasVerifier = 1;
}

#endif // DIALECT_COMPUTEOPS
