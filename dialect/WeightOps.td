//===- WeightOps.td - weights and derived weights --------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef DIALECT_WEIGHTOPS
#define DIALECT_WEIGHTOPS

include "dialect/TransformerTypes.td"

def Transformer_WeightTensor : StaticShapeTensorOf<[AnyFloat, AnyInteger]>;

def Transformer_WeightOp : Transformer_Op<"weight", [Symbol]> {
  let summary = "names a tensor of a checkpoint";
  let description = [{
    Declares that the tensor `key` (by default the symbol's own name) of `file`,
    a safetensors file relative to the model's folder, is a weight of this module.
    The type is the stored one. No data is read until the weights are evaluated.

    Constraints:
    - C1: `file` is a plain name: no `/`, no `..`.

    ```mlir
    transformer.weight @model.norm.weight : tensor<64xf32> from "model.safetensors"
    transformer.weight @norm : tensor<64xbf16> from "model.safetensors" key "model.norm.weight"
    ```
  }];
  let arguments = (ins
    SymbolNameAttr:$sym_name,
    TypeAttrOf<Transformer_WeightTensor>:$type,
    StrAttr:$file,
    OptionalAttr<StrAttr>:$key
  );
  let assemblyFormat = "$sym_name `:` $type `from` $file (`key` $key^)? attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The tensor's name in the file.
    ::llvm::StringRef getTensorName() { return getKey() ? *getKey() : getSymName(); }
    ::mlir::RankedTensorType getTensorType() { return ::llvm::cast<::mlir::RankedTensorType>(getType()); }
  }];
}

def Transformer_DeriveOp : Transformer_Op<"derive", [
    Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "a weight computed from other weights";
  let description = [{
    Defines a weight by a transformation of other weights; it is evaluated once,
    after all passes, and only if something still uses it. One op defines one
    symbol; parts of one transformation are ops that differ only in `part`.

    | kind | sources | parameters | result |
    |---|---|---|---|
    | `convert` | 1 | | the source rounded to the result's element type |
    | `transpose` | 1, rank 2 | | the transpose |
    | `concat` | 1 or more | `axis` | the sources joined along `axis` |
    | `add_scalar` | 1 | `value` | source + value |
    | `scale` | 1 | `value` | source * value |
    | `slice` | 1 | `axis`, `begin`, `end` | the rows [begin, end) along `axis` |
    | `rope_table` | 0 | `theta`, `part` = "cos" or "sin", `scaling` and its parameters | `[positions, rotary_dim/2]` |
    | `sinusoid` | 0 | `layout` = "split" or "interleaved" | `[positions, dim]` |
    | `pack` | 1, rank 2 | the result's encoding, `#transformer.packed` | the source, in another order of bytes |
    | `fill` | 0 | `value` | every element is `value` |
    | `scale_columns` | 2: `[n, k]`, `[k]` | | column k of the first times element k of the second |
    | `add` | 1 or more, of one shape | | their sum |
    | `matmul` | 2: `[n, m]`, then `[m, k]` or `[m]` | | their product, `[n, k]` or `[n]` |
    | `factorize` | 1: `[n, m]` | `rank`, `part` = "left" or "right" | `[n, rank]` or `[rank, m]` |

    Everything is computed in float64 and rounded once. `factorize`: left times
    right is the best approximation of that rank in the sum of squares
    (Eckart and Young, 1936), each factor with half of the singular values. With
    the parameter `max_error`, a product that differs from the source by more (the
    root of the sum of squares, relative to the source's) is an error.

    `rope_table`: entry (p, i) is cos or sin of p * f_i with
    f_i = theta^(-2i/rotary_dim) (RoFormer, arXiv:2104.09864), changed by
    `scaling`:
    - `linear`: f_i / `factor`.
    - `llama3`: with wavelength l = 2 pi / f and L = `original_max_positions`, f
      where l < L / `high_freq_factor`, f / `factor` where l > L /
      `low_freq_factor`, between them (1-s) f/factor + s f with
      s = (L/l - low) / (high - low).
    - `longrope`: f_i / `ext_factors`[i], the table times `attention_factor`
      (arXiv:2402.13753).
    - `yarn`: (1-m) f/factor + m f with m = 1 - ramp(i) between the dimensions
      that turn `beta_fast` and `beta_slow` times in L positions, the table times
      `attention_factor` (arXiv:2309.00071).

    Constraints:
    - C1: the number and ranks of the sources are those of the kind.
    - C2: every parameter the kind needs is there and has the right type.
    - C3: the result type follows from the sources and parameters.
    - C4: each source is a weight or derived weight of this module.

    ```mlir
    transformer.weight @q : tensor<64x64xf32> from "model.safetensors"
    transformer.weight @k : tensor<64x64xf32> from "model.safetensors"
    transformer.derive @qk = concat(@q, @k) {axis = 0 : i64} : tensor<128x64xf32>
    transformer.derive @rope.cos = rope_table() {part = "cos", scaling = "none", theta = 1.0e4 : f64} : tensor<512x4xf32>
    ```
  }];
  let arguments = (ins
    SymbolNameAttr:$sym_name,
    Transformer_DeriveKindAttr:$kind,
    TypedArrayAttrBase<FlatSymbolRefAttr, "weight symbols">:$sources,
    TypeAttrOf<Transformer_WeightTensor>:$type
  );
  let assemblyFormat = "$sym_name `=` custom<DeriveKind>($kind) `` custom<SymbolList>($sources) attr-dict `:` $type";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() { return ::llvm::cast<::mlir::RankedTensorType>(getType()); }
  }];
}

def Transformer_UseOp : Transformer_Op<"use", [
    Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "reads a weight";
  let description = [{
    The value of a weight or derived weight. On memrefs, after bufferization, it
    is the place where the runtime mapped the weight.

    Constraints:
    - C1: the symbol is a weight or derived weight of this module, of this shape
      and element type.

    ```mlir
    transformer.weight @norm : tensor<64xf32> from "model.safetensors"
    func.func @read() -> tensor<64xf32> {
      %0 = transformer.use @norm : tensor<64xf32>
      return %0 : tensor<64xf32>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs AnyTypeOf<[AnyRankedTensor, AnyMemRef]>:$result);
  let assemblyFormat = "$weight attr-dict `:` type($result)";
}

#endif // DIALECT_WEIGHTOPS
