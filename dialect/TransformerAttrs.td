//===- TransformerAttrs.td - enums and attributes --------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef DIALECT_TRANSFORMERATTRS
#define DIALECT_TRANSFORMERATTRS

include "dialect/TransformerBase.td"

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

def Transformer_ActivationKind : I32EnumAttr<"ActivationKind", "an elementwise activation", [
    I32EnumAttrCase<"Silu", 0, "silu">,           // x / (1 + exp(-x))
    I32EnumAttrCase<"GeluErf", 1, "gelu_erf">,    // x/2 * (1 + erf(x / sqrt 2))
    I32EnumAttrCase<"GeluTanh", 2, "gelu_tanh">,  // x/2 * (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
    I32EnumAttrCase<"Relu", 3, "relu">,           // max(x, 0)
    I32EnumAttrCase<"QuickGelu", 4, "quick_gelu"> // x / (1 + exp(-1.702 x))
  ]> {
  let cppNamespace = "::mlir::transformer";
  let genSpecializedAttr = 0;
}
def Transformer_ActivationKindAttr
    : EnumAttr<Transformer_Dialect, Transformer_ActivationKind, "activation_kind"> {
  let assemblyFormat = "$value";
}

def Transformer_MaskKind : I32EnumAttr<"MaskKind", "which keys a query sees", [
    I32EnumAttrCase<"None", 0, "none">,
    I32EnumAttrCase<"Causal", 1, "causal">,
    I32EnumAttrCase<"Window", 2, "window">
  ]> {
  let cppNamespace = "::mlir::transformer";
  let genSpecializedAttr = 0;
}

def Transformer_RopeStyle : I32EnumAttr<"RopeStyle", "which elements of a head rotate together", [
    I32EnumAttrCase<"HalfSplit", 0, "half_split">,    // i with i + rotary_dim/2
    I32EnumAttrCase<"Interleaved", 1, "interleaved">  // 2i with 2i + 1
  ]> {
  let cppNamespace = "::mlir::transformer";
  let genSpecializedAttr = 0;
}
def Transformer_RopeStyleAttr
    : EnumAttr<Transformer_Dialect, Transformer_RopeStyle, "rope_style"> {
  let assemblyFormat = "$value";
}

def Transformer_CachePolicy : I32EnumAttr<"CachePolicy", "what a cache keeps", [
    I32EnumAttrCase<"Full", 0, "full">,
    I32EnumAttrCase<"Ring", 1, "ring">
  ]> {
  let cppNamespace = "::mlir::transformer";
  let genSpecializedAttr = 0;
}

def Transformer_DeriveKind : I32EnumAttr<"DeriveKind", "how a derived weight is computed", [
    I32EnumAttrCase<"Convert", 0, "convert">,      // the source, rounded to the result's element type
    I32EnumAttrCase<"Transpose", 1, "transpose">,  // 2-D transpose
    I32EnumAttrCase<"Concat", 2, "concat">,        // sources joined along `axis`
    I32EnumAttrCase<"AddScalar", 3, "add_scalar">, // source + `value`
    I32EnumAttrCase<"Scale", 4, "scale">,          // source * `value`
    I32EnumAttrCase<"Slice", 5, "slice">,          // rows [`begin`, `end`) along `axis`
    I32EnumAttrCase<"RopeTable", 6, "rope_table">, // cos or sin of rotary angles
    I32EnumAttrCase<"Sinusoid", 7, "sinusoid">,    // fixed sinusoidal position table
    I32EnumAttrCase<"Fill", 8, "fill">,            // every element `value`
    I32EnumAttrCase<"ScaleColumns", 9, "scale_columns">, // column k times the second source's element k
    I32EnumAttrCase<"Add", 10, "add">,             // the sum of the sources
    I32EnumAttrCase<"Matmul", 11, "matmul">,       // product of matrices, or of a matrix and a vector
    I32EnumAttrCase<"Factorize", 12, "factorize">, // a factor of the best approximation of `rank`
    I32EnumAttrCase<"Pack", 13, "pack">            // a matrix in the panels that a kernel streams
  ]> {
  let cppNamespace = "::mlir::transformer";
  let genSpecializedAttr = 0;
}
def Transformer_DeriveKindAttr
    : EnumAttr<Transformer_Dialect, Transformer_DeriveKind, "derive_kind"> {
  let assemblyFormat = "$value";
}

def Transformer_BindingKind : I32EnumAttr<"BindingKind", "what a call hands to an entry point", [
    I32EnumAttrCase<"Buffer", 0, "buffer">, // inputs, caches, outputs
    I32EnumAttrCase<"Weight", 1, "weight">,
    I32EnumAttrCase<"Arena", 2, "arena">
  ]> {
  let cppNamespace = "::mlir::transformer";
  let genSpecializedAttr = 0;
}
def Transformer_BindingKindAttr
    : EnumAttr<Transformer_Dialect, Transformer_BindingKind, "binding_kind"> {
  let assemblyFormat = "$value";
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

def Transformer_MaskAttr : Transformer_Attr<"Mask", "mask"> {
  let summary = "which keys a query sees, as algebra over positions";
  let description = [{
    `none`: every key. `causal`: keys at positions j <= i. `window, w`: keys at
    positions i - w < j <= i, so that a window of w counts the query's own
    position (Mistral, arXiv:2310.06825).

    Constraints:
    - C1: a window has a width of at least 1; the other kinds have none.

    ```mlir
    #transformer.mask<causal>
    #transformer.mask<window, 4096>
    ```
  }];
  let parameters = (ins
    EnumParameter<Transformer_MaskKind>:$kind,
    DefaultValuedParameter<"int64_t", "0">:$window
  );
  let assemblyFormat = "`<` $kind (`,` $window^)? `>`";
  let genVerifyDecl = 1;
}

def Transformer_LoweringConfigAttr : Transformer_Attr<"LoweringConfig", "lowering_config"> {
  let summary = "how a dispatch is turned into loops";
  let description = [{
    Written by `--transformer-select-strategy` on a dispatch and read by kernel
    emission; nothing else decides. `template` names the kernel template, `tile`
    the register tile (rows, columns), `vector` the elements of a vector, `grain`
    the least number of tasks worth handing to another thread. `block` of a contraction
    is the rows of a task, the steps of k between two stores of the accumulators,
    the k that a step sums (2 for dot products of bf16 pairs), how many rows are so
    few that all their register tiles take turns, with the steps of a turn, the steps that
    are written out in a loop over k of many register tiles, and the panels that one row is
    multiplied with together. That of an attention is the query positions
    of a task, the keys of a tile, the k that a step sums, the positions that tiles begin
    at multiples of, the ranges that the keys of one position are split into, with the
    least keys of each, the steps that are written out in a prompt's loops over k (no
    matter for one position), and whether one position multiplies a whole key after the
    other (1) or several together, a few words of each (0).

    ```mlir
    #transformer.lowering_config<template = "rows", tile = [1, 16], vector = 16, grain = 8>
    #transformer.lowering_config<template = "contraction", tile = [6, 64], block = [132, 1024, 2, 16, 64, 2, 1], vector = 16, grain = 1>
    ```
  }];
  let parameters = (ins
    StringRefParameter<"kernel template">:$template_name,
    ArrayRefParameter<"int64_t", "register tile">:$tile,
    OptionalArrayRefParameter<"int64_t", "cache block">:$block,
    "int64_t":$vector,
    "int64_t":$grain
  );
  let assemblyFormat = [{
    `<` `template` `=` $template_name `,` `tile` `=` `[` $tile `]` `,`
    (`block` `=` `[` $block^ `]` `,`)? `vector` `=` $vector `,` `grain` `=` $grain `>`
  }];
}

def Transformer_PackedAttr : Transformer_Attr<"Packed", "packed"> {
  let summary = "how a packed matrix lies in memory";
  let description = [{
    The encoding of a weight [N, K] whose bytes are ordered as a contraction reads
    them: panels of `columns` rows of the matrix, in each panel steps of `depth`
    values of k, in each step `depth` neighbouring values of every row of the panel.
    What is missing to whole panels and steps is zeros. The shape stays the logical
    one; `derive pack` makes the weight.

    Integers are stored `bias` larger, so that an instruction may take them for
    unsigned ones. Values of i4 stand two to a byte: in the step of a row, the low
    half of byte j is value j, the high half value j + depth / 2.

    Constraints:
    - C1: `columns` and `depth` are positive.
    - C2: `bias` is from 0 to 128.

    ```mlir
    transformer.weight @w : tensor<100x33xbf16> from "model.safetensors"
    transformer.derive @w.packed = pack(@w) : tensor<100x33xbf16, #transformer.packed<64 x 2>>
    transformer.weight @b : tensor<100x33xi8> from "model.safetensors"
    transformer.derive @b.packed = pack(@b) : tensor<100x33xi8, #transformer.packed<64 x 4, bias 128>>
    ```
  }];
  let parameters = (ins "int64_t":$columns, "int64_t":$depth, DefaultValuedParameter<"int64_t", "0">:$bias);
  let assemblyFormat = "`<` $columns `x` $depth (`,` `bias` $bias^)? `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// [panels, steps, columns * depth]: the shape that a tensor of `type`, which has
    /// this encoding, has in memory; of i4 half as many bytes.
    ::llvm::SmallVector<int64_t> getStoredShape(::mlir::RankedTensorType type) const;
    /// The packing of a tensor's type, or null.
    static PackedAttr of(::mlir::Type type);
  }];
}

#endif // DIALECT_TRANSFORMERATTRS
