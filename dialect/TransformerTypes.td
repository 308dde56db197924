//===- TransformerTypes.td - types -----------------------------*- tablegen -*-===//
//
// Part of the Transformer compiler, under the Apache License v2.0 with LLVM
// Exceptions. See LICENSE for license information.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===--------------------------------------------------------------------------===//

#ifndef DIALECT_TRANSFORMERTYPES
#define DIALECT_TRANSFORMERTYPES

include "dialect/TransformerAttrs.td"

def Transformer_KVCacheType : Transformer_Type<"KVCache", "kv_cache"> {
  let summary = "the keys and values of one attention layer";
  let description = [{
    Keys and values `[B, heads, C, head_dim]` of `element` type, and the number
    of positions appended so far, an i32 per row `[B]`. The batch B and the
    capacity C are the session's. `full` keeps every position up to C. `ring, w`
    keeps the last w positions as each query of the latest append sees them:
    where at most S positions are appended at once, C is w + S - 1 and position p
    is at place p mod C. Its length still counts the positions it has forgotten.

    A cache is a linear value: `cache_append` consumes one and returns the next.

    Constraints:
    - C1: `heads` and `head_dim` are positive.
    - C2: `element` is f32, f16 or bf16.
    - C3: a ring has a window of at least 1; a full cache has none.

    ```mlir
    !transformer.kv_cache<4 x 64 x bf16, full>
    !transformer.kv_cache<4 x 64 x f32, ring, 1024>
    ```
  }];
  let parameters = (ins
    "int64_t":$heads,
    "int64_t":$headDim,
    "::mlir::Type":$element,
    EnumParameter<Transformer_CachePolicy>:$policy,
    DefaultValuedParameter<"int64_t", "0">:$window
  );
  let assemblyFormat = "`<` $heads `x` $headDim `x` $element `,` $policy (`,` $window^)? `>`";
  let genVerifyDecl = 1;
}

#endif // DIALECT_TRANSFORMERTYPES
